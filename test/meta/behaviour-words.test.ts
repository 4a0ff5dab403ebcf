/** Behaviour tests leave it to the words of `test/support/` how a database says something. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../support/source.ts'

const folder = join(root, 'test', 'behaviour')
const spoken = /\bpg_\w|(?<![\w$])\$\d|[\w')\]]::[a-z]/
const speaking = readdirSync(folder)
  .filter((name) => name.endsWith('.test.ts') && spoken.test(readFileSync(join(folder, name), 'utf8')))
  .map((name) => name.replace('.test.ts', ''))

/** They are about PostgreSQL, each by what. */
const about: Readonly<Record<string, string>> = {
  'baked-prebake': 'its catalogue of prepared statements; `test/mysql/baked.test.ts` counts them elsewhere',
  'calls-and-names': 'functions that move the search_path or change tables',
  'calls-once': 'functions, and what its catalogue says of them',
  classification: 'which statements of PostgreSQL may share a connection',
  'client-encoding': 'its encodings',
  conversions: 'its types, as JavaScript has them',
  copy: 'COPY',
  'domain-parameters': 'its domains',
  errors: 'its SQLSTATEs',
  'errors-stack-mistakes': 'its limits on statements, settings and deferred constraints',
  'function-catalogue': 'what its catalogue says of functions',
  'function-elsewhere': 'functions that change while a program runs',
  'function-leftovers': 'what functions leave in a session',
  'function-state': 'the same',
  'function-callers': 'the same',
  'function-unseen': 'the same',
  'iterate-ahead': 'cursors that are asked for rows ahead, and the types of those',
  'iterate-on-demand': 'rows that wait as the server of PostgreSQL sent them',
  'json-numbers': 'numbers in json and jsonb',
  listen: 'LISTEN',
  'listen-pglite': 'the same',
  literals: 'TimeZone, DateStyle, and types whose texts depend on them',
  'loaded-later': 'one use of each part that is loaded later, channels among them',
  'local-settings': 'SET LOCAL',
  lock: 'advisory locks',
  migrations: 'migrations of schemas, indexes, enums and procedures, under advisory locks',
  'migrations-interrupted': 'the same, behind poolers too',
  'migrations-killed': 'the same',
  'migrations-tenants': 'the same, in schemas',
  'lock-left': 'advisory locks beside its cursors and COPY',
  'overlays-on-postgres': 'roles, constraint triggers',
  'parameters-on-postgres': 'casts, dollar quotes, arrays, bodies of functions',
  'prepared-names': 'search_path, and its catalogue of prepared statements',
  'raw-client': 'the clients of node-postgres and PGlite',
  'raw-client-pg': 'the client of node-postgres',
  'recall-state': 'sequences, functions, and what a session is asked about them',
  'row-security': 'row security',
  'sandbox-session': 'its session state: roles, LISTEN, cursors, advisory locks, deferred constraints',
  'scope-stress': 'its session state at random: roles, sequences, functions, temporary tables',
  'session-random': 'COPY, generate_series() and advisory locks',
  'session-refusals': 'its session state: roles, LISTEN, cursors, advisory locks',
  'session-reset': 'the same',
  'session-state': 'the same',
  'settings-kept-sent': 'set_config() and RESET, as they are sent',
  'several-hosts': "the parameters of libpq and the server's rules of access",
  'standard-strings': 'standard_conforming_strings',
  'tags-on-postgres': 'tags in its views and its catalogue of prepared statements',
  'tenants-nested': 'search_path and roles, and texts that change them',
  'tenants-schema': 'search_path',
  'tenants-stress': 'row security',
  'text-settings': 'extra_float_digits and DateStyle',
  'transaction-locks': 'advisory locks of a transaction',
  types: 'its catalogue of types',
  'types-apart': 'conversions of its types, which a user gives',
  'types-names': 'names of its types',
  'types-of-database': 'its enums, domains, composite types and ranges',
  'types-page': 'the page on its types',
  'types-parameters': 'parameters of its types',
}

test('no further behaviour test is written in the words of PostgreSQL', () => {
  expect(speaking.filter((name) => about[name] === undefined)).toEqual([])
})

test('every one that is excused still needs it', () => {
  expect(Object.keys(about).filter((name) => !speaking.includes(name))).toEqual([])
})
