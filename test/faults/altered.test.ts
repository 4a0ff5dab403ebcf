/** Tables that change under load, and answers larger than anybody wants in memory. */

import { type Connection, createDb, ParameterError, StalePlanError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { onServers } from '../support/extent.ts'
import { until } from '../support/until.ts'
import { site, sound } from './support.ts'

test('a table altered 30 times under load fails no statement outside of a transaction, on none of 8 connections', async () => {
  await using place = await site({ pool: { max: 8 } })
  const { db, direct } = place
  await direct.query('drop table if exists wide; create table wide (a int, b text); insert into wide values (1, $$x$$)')
  const ends: Record<string, number> = {}
  const load = { over: false }
  const count = (end: string): void => void (ends[end] = (ends[end] ?? 0) + 1)
  const reader = async (): Promise<void> => {
    while (!load.over) {
      const [row] = await db.all('select * from wide')
      count(row?.['a'] === 1 && 'b' in row ? 'row' : 'wrong row')
    }
  }
  const inTransaction = async (): Promise<void> => {
    while (!load.over)
      try {
        await db.transaction(async (tx) => {
          await tx.all('select * from wide')
          await new Promise(setImmediate)
          await tx.all('select * from wide')
        })
        count('transaction')
      } catch (error) {
        expect(error).toBeInstanceOf(StalePlanError)
        expect(error).toMatchObject({ retryable: true, outcome: 'rolled_back' })
        count('stale')
      }
  }
  const running = Promise.all([...[1, 2, 3, 4, 5, 6].map(reader), inTransaction(), inTransaction()])

  for (let alters = 0; alters < 30; alters++) {
    const rows = ends['row'] ?? 0
    await direct.query(
      alters % 3 === 2 ? `alter table wide alter b type varchar(${alters})` : `alter table wide add c${alters} int`,
    )
    await until(() => (ends['row'] ?? 0) > rows + 12)
  }
  await until(() => (ends['transaction'] ?? 0) > 0)
  load.over = true
  await running

  expect(ends).toMatchObject({ row: expect.any(Number), transaction: expect.any(Number) })
  expect(ends['wrong row']).toBeUndefined()
  await sound(place)
})

test('a transaction on a connection that has not run the statement runs again when its columns have another type', async () => {
  await using place = await site({ pool: { max: 2 } })
  const { db, direct } = place
  await direct.query('drop table if exists retyped; create table retyped (a int); insert into retyped values (1)')
  const text = 'select a from retyped'
  // On this connection alone.
  await using known = await db.acquire()
  for (const _ of [1, 2, 3]) expect(await known.all(text)).toEqual([{ a: 1 }])
  await direct.query("alter table retyped alter a type interval using interval '1 day'")
  let attempts = 0

  const rows = await db.transaction(
    async (tx) => {
      attempts++
      return tx.all(text)
    },
    { reuse: false, retry: { limit: 1, intervalMs: 1 } },
  )

  expect(rows).toEqual([{ a: '1 day' }])
  expect(attempts).toBeLessThanOrEqual(2)
  await known.release()
  await sound(place)
})

test('300,000 rows of a kilobyte pass through a cursor in the memory of a few batches, whoever is slow', async () => {
  await using place = await site({ pool: { max: 1 } })
  global.gc?.()
  const before = process.memoryUsage().rss
  let most = 0
  let sum = 0
  const rows = place.db.iterate<{ n: number }>(
    `select n, repeat('x', 1000) as filler from generate_series(1, 300000) as n`,
    [],
    {
      batchSize: 500,
    },
  )

  for await (const { n } of rows) {
    sum += n
    if (n % 10_000 !== 0) continue
    most = Math.max(most, process.memoryUsage().rss - before)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }

  expect(sum).toBe((300_000 * 300_001) / 2)
  expect(most / 2 ** 20).toBeLessThan(150)
  await sound(place)
})

test('a type that is dropped and made anew under the same name is read and written on every connection', async () => {
  await using place = await site({ pool: { max: 3 } })
  const { db, direct } = place
  for (let round = 0; round < 5; round++) {
    const label = `ok${round}`
    await direct.query(`drop table if exists moods; drop type if exists mood cascade;
      create type mood as enum ('sad', '${label}'); create table moods (m mood, l mood[])`)
    const once = async (): Promise<void> => {
      await db.status('insert into moods values ($1, $2)', [label, ['sad', label]])
      expect(await db.first('select m, l from moods where m = $1', [label])).toEqual({ m: label, l: `{sad,${label}}` })
      expect(await db.scalar('select $1::mood', [label])).toBe(label)
    }
    for (let again = 0; again < 2; again++) await Promise.all([1, 2, 3, 4, 5, 6].map(once))
    expect(await direct.query('select count(*)::int as n from moods')).toEqual([{ n: 12 }])
  }
  await direct.query('drop table moods; drop type mood')
  await sound(place)
})

test.each(onServers)(
  '%s: a value that does not fit the type of a column is refused only after the server was asked what type that is now',
  async (driver) => {
    await using database = await freshDatabase('create table kinds (a int); insert into kinds values (1)')
    await using db = createDb(database.url, { driver, pool: { max: 1 } })
    const count = (value: unknown): Promise<unknown> =>
      db.scalar('select count(*)::int from kinds where a = $1', [value])
    for (let run = 0; run < 3; run++) expect(await count(1)).toBe(1)
    for (let run = 0; run < 3; run++)
      for (const value of [[1], Buffer.from([1])]) expect(await caught(count(value))).toBeInstanceOf(ParameterError)
    expect(await count(1)).toBe(1)

    await database.query('alter table kinds alter a type int[] using array[a]')
    for (let run = 0; run < 3; run++) expect(await count([1])).toBe(1)

    await database.query(`alter table kinds alter a type bytea using '\\x01'`)
    for (let run = 0; run < 3; run++) expect(await count(Buffer.from([1]))).toBe(1)
  },
)

test('times are right on a new connection when their column got a zone meanwhile, whatever the zone of the session is', async () => {
  await using place = await site({ pool: { max: 2 }, settings: { timezone: 'Asia/Tokyo' } })
  const { db, direct } = place
  await direct.query('drop table if exists zoned; create table zoned (at timestamp, about jsonb)')
  const at = new Date('2024-01-02T03:04:05.000Z')
  const about = { a: 1 }
  const write = 'insert into zoned values ($1, $2)'
  const one = 'select count(*) from zoned where at = $1'
  const several = 'select count(*) from zoned where at = any($1)'
  const read = async (on: Connection): Promise<unknown[]> => [
    await on.scalar(one, [at]),
    await on.scalar(several, [[at]]),
    await on.scalar(several, [Array.from({ length: 20 }, () => at)]),
  ]
  await using known = await db.acquire()
  for (const value of [at, at.toISOString()]) await known.status(write, [value, about])
  expect(await read(known)).toEqual([2, 2, 2])
  await direct.query("alter table zoned alter at type timestamptz using at at time zone 'UTC'")

  await using fresh = await db.acquire()
  for (const value of [at, at.toISOString()]) await fresh.status(write, [value, about])

  expect(await fresh.all('select distinct at from zoned')).toEqual([{ at }])
  expect(await read(fresh)).toEqual([4, 4, 4])
  await fresh.release()
  await known.release()
  await sound(place)
})
