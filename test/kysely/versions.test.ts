/** Which Kysely this run of the suites is on: a wrong install would test one version twice. */

import { TransactionBuilder, Transaction } from 'kysely'
import { Migrator } from 'kysely/migration'
import { expect, test } from 'vitest'

const versions: Readonly<Record<string, boolean>> = { main: true, 'kysely-0.28': false }

test('each project of the run has the Kysely it is named after', ({ task }) => {
  const project = task.file.projectName ?? ''

  // $extendTables came with 0.29.
  expect('$extendTables' in Transaction.prototype).toBe(versions[project])
  expect(project in versions).toBe(true)
  expect(TransactionBuilder).toBeTypeOf('function')
  expect(Migrator).toBeTypeOf('function')
})
