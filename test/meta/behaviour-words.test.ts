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

/** They are about PostgreSQL, or speak it still: no name is added, and one goes when its test does so no longer. */
const speakers: readonly string[] = [
  'arguments',
  'baked-prebake',
  'baked',
  'cardinality',
  'classification',
  'client-encoding',
  'close-served',
  'conversions',
  'copy',
  'domain-parameters',
  'errors-secrets',
  'errors',
  'execute-many',
  'iterate-ends',
  'iterate',
  'json-numbers',
  'local-settings',
  'on-connect',
  'opening',
  'listen',
  'lock',
  'settings-kept',
  'overlays',
  'parameters',
  'prepared-names',
  'promise',
  'query-options',
  'raw-client',
  'recall-moments',
  'recall',
  'release-for-now',
  'row-security',
  'sandbox-drivers',
  'session-refusals',
  'session-reset',
  'session-state',
  'sql-tag',
  'standard-strings',
  'transaction-admission',
  'transaction-concurrency',
  'transaction-locks',
  'transaction-rules',
  'transaction-swallowed',
  'types',
  'types-page',
]

test('no further test that runs on each driver is written in the words of PostgreSQL', () => {
  expect(speaking.filter((name) => !speakers.includes(name))).toEqual([])
})

test('every one that is excused still needs it', () => {
  expect(speakers.filter((name) => !speaking.includes(name))).toEqual([])
})
