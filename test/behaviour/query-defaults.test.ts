import { createDb, QueryTimeoutError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'

const slow = 'select pg_sleep(0.4)'
const short = { query: { timeoutMs: 40 } }
const long = { query: { timeoutMs: 20_000 } }

test('the nearest default of timeoutMs counts: statement, then transaction, then scope or connection, then engine', async () => {
  await using database = await freshDatabase()
  const patient = await createDb(database.url, long).open()
  const hasty = await createDb(database.url, short).open()
  const timesOut = async (work: () => Promise<unknown>): Promise<void> => {
    expect(await caught(work())).toBeInstanceOf(QueryTimeoutError)
  }

  await timesOut(() => hasty.all(slow))
  await timesOut(() => patient.all(slow, [], { timeoutMs: 40 }))
  await timesOut(() => patient.scope(() => patient.all(slow), short))
  await timesOut(() => patient.scope(() => patient.transaction(() => patient.all(slow)), short))
  await timesOut(() => patient.scope(() => patient.scope(() => patient.all(slow), short)))
  await timesOut(() => patient.transaction(() => patient.transaction(() => patient.all(slow)), short))
  await timesOut(() => patient.scope((connection) => connection.transaction((tx) => tx.all(slow)), short))
  await timesOut(() => patient.scope(() => patient.iterate(slow).read(), short))

  await hasty.all(slow, [], { timeoutMs: 20_000 })
  await hasty.scope(() => hasty.all(slow), long)
  await hasty.scope(() => hasty.transaction(() => hasty.all(slow), long), short)
  await Promise.all([patient.close(), hasty.close()])
})

test('a pull that times out ends its cursor and gives the connection back', async () => {
  await using database = await freshDatabase()
  const db = await createDb(database.url).open()

  const cursor = db.iterate('select pg_sleep(0.3), g from generate_series(1, 3) g', [], { timeoutMs: 40 })

  expect(await caught(cursor.read())).toBeInstanceOf(QueryTimeoutError)
  expect(db.stats().reserved).toBe(0)
  await db.close()
})
