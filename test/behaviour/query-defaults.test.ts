import { createDb, QueryTimeoutError, sql } from 'genever'
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

test('inside of a transaction with a default of its own it counts for every handle whose statements run in it', async () => {
  await using database = await freshDatabase()
  await using db = await createDb(database.url).open()
  const timesOut = async (work: () => Promise<unknown>): Promise<void> => {
    expect(await caught(work())).toBeInstanceOf(QueryTimeoutError)
  }

  await timesOut(() => db.scope((connection) => db.transaction(() => connection.all(slow), short)))
  await timesOut(() => db.scope((connection) => connection.transaction(() => connection.all(slow), short), long))
  await timesOut(() => db.scope((connection) => connection.transaction(() => connection.sql`${sql.raw(slow)}`, short)))
  await timesOut(() => db.scope((connection) => db.transaction(() => connection.iterate(slow).read(), short)))
  await timesOut(() => db.transaction((tx) => tx.transaction(() => tx.all(slow), short)))
  await timesOut(() => db.transaction((tx) => tx.transaction(() => tx.connection.all(slow), short), long))
  await timesOut(() =>
    db.scope((connection) => db.transaction(() => db.transaction(() => connection.all(slow)), short)),
  )
  await timesOut(async () => {
    await using connection = await db.acquire(long)
    await using tx = await connection.begin(short)
    await tx.connection.status('select 1')
    return await connection.all(slow)
  })

  await db.scope((connection) => db.transaction(() => connection.all(slow), long), short)
  await db.transaction(() => db.scope((connection) => connection.all(slow), long), short)
  await db.transaction(async (tx) => {
    await using near = await db.acquire({ reuse: true, ...long })
    await near.all(slow)
    await tx.transaction(() => tx.all(slow), long)
  }, short)
  const outside = db.scope(async (connection) => {
    await db.transaction(() => connection.all('select 1'), short)
    await connection.all(slow)
  })
  await outside
})
