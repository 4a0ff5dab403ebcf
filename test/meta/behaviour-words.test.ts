/** Tests that run on each driver leave it to `driver.words` how a database says something. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../support/source.ts'

const folder = join(root, 'test', 'behaviour')
const spoken = /\bpg_\w|(?<![\w$])\$\d|[\w')\]]::[a-z]/
const speaking = readdirSync(folder)
  .filter((name) => name.endsWith('.test.ts'))
  .filter((name) => {
    const text = readFileSync(join(folder, name), 'utf8')
    return text.includes('forEachDriver(') && spoken.test(text)
  })
  .map((name) => name.replace('.test.ts', ''))

/** They are about PostgreSQL, each by what. */
const about: Readonly<Record<string, string>> = {
  'baked-prebake': 'its catalogue of prepared statements; `test/mysql/baked.test.ts` counts them elsewhere',
  classification: 'which statements of PostgreSQL may share a connection',
  'client-encoding': 'its encodings',
  conversions: 'its types, as JavaScript has them',
  copy: 'COPY',
  'domain-parameters': 'its domains',
  'json-numbers': 'numbers in json and jsonb',
  listen: 'LISTEN',
  'local-settings': 'SET LOCAL',
  lock: 'advisory locks',
  'overlays-on-postgres': 'roles, constraint triggers',
  'parameters-on-postgres': 'casts, dollar quotes, arrays, bodies of functions',
  'prepared-names': 'search_path, and its catalogue of prepared statements',
  'raw-client': 'the clients of node-postgres and PGlite',
  'row-security': 'row security',
  'session-refusals': 'its session state: roles, LISTEN, cursors, advisory locks',
  'session-reset': 'the same',
  'session-state': 'the same',
  'standard-strings': 'standard_conforming_strings',
  'transaction-locks': 'advisory locks of a transaction',
  types: 'its catalogue of types',
  'types-names': 'names of its types',
  'types-page': 'the page on its types',
}

test('no further test that runs on each driver is written in the words of PostgreSQL', () => {
  expect(speaking.filter((name) => about[name] === undefined)).toEqual([])
})

test('every one that is excused still needs it', () => {
  expect(Object.keys(about).filter((name) => !speaking.includes(name))).toEqual([])
})
