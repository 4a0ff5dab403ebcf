/** Cursors inside of transactions: their statements are prepared, and to close them takes no trip. */

import { createDb, type Db } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl } from '../support/database.ts'
import { forEachDriver } from '../support/matrix.ts'
import { type Link, startProxy } from '../support/proxy.ts'

const listed = async <R>(rows: AsyncIterable<R>): Promise<R[]> => {
  const all: R[] = []
  for await (const row of rows) all.push(row)
  return all
}

const firstOf = async <R>(rows: AsyncIterable<R>): Promise<R | undefined> => {
  for await (const row of rows) return row
  return undefined
}

const cursors = (db: Db): Promise<unknown> => db.scalar("select count(*)::int from pg_cursors where name <> ''")

forEachDriver((driver) => {
  test('each has the rows of its own parameters and batches, the first time and later', async () => {
    const db = await driver.single()
    const text = `select n, n::text as t, array[n, n + 1] as a, $1::jsonb as j, null as nothing
      from generate_series(1, $2::int) n`
    const expected = (j: unknown, count: number): unknown[] =>
      Array.from({ length: count }, (_, i) => ({ n: i + 1, t: `${i + 1}`, a: [i + 1, i + 2], j, nothing: null }))

    await db.transaction(async () => {
      for (const [j, count, batchSize] of [
        [{ a: 1 }, 5, 2],
        [[1, 2], 0, 2],
        [7, 3, 100],
        [null, 4, 2],
      ] as const)
        expect(await listed(db.iterate(text, [j, count], { batchSize }))).toEqual(expected(j, count))
    })
  })

  test('one statement can be read by two at once, and runs beside them', async () => {
    const db = await driver.single()
    const text = 'select $1::int + n as n from generate_series(1, 3) n'

    await db.transaction(async () => {
      const [one, other] = [db.iterate(text, [0], { batchSize: 1 }), db.iterate(text, [10], { batchSize: 1 })]
      const seen: unknown[] = []
      for (let i = 0; i < 3; i++) seen.push(await one.read(), await other.read(), (await db.all(text, [20 + i])).length)
      expect(seen).toEqual([{ n: 1 }, { n: 11 }, 3, { n: 2 }, { n: 12 }, 3, { n: 3 }, { n: 13 }, 3])
      expect([await one.read(), await other.read()]).toEqual([undefined, undefined])
    })
  })

  test('types of a query and types of the database count each time', async () => {
    const db = await driver.single()
    const t = await driver.table('n int')
    await db.status(`drop type if exists ${t}_mood; create type ${t}_mood as enum ('sad', 'glad')`)
    const text = `select 'glad'::${t}_mood as mood, array['sad']::${t}_mood[] as moods, 7::int8 as big`
    const row = { mood: 'glad', moods: '{sad}', big: 7 }

    await db.transaction(async () => {
      for (let i = 0; i < 3; i++) {
        expect(await listed(db.iterate(text))).toEqual([row])
        const types = { int8: (given: string) => `<${given}>` }
        expect(await listed(db.iterate(text, [], { types }))).toEqual([{ ...row, big: '<7>' }])
        expect(await db.all(text)).toEqual([row])
      }
    })
  })

  test('one that was left is closed before the next statement runs, and no later', async () => {
    const db = await driver.single()
    const t = await driver.table('n int')
    await db.status(`insert into ${t} select generate_series(1, 9)`)
    const left = (): Promise<unknown> => firstOf(db.iterate(`select n from ${t}`, [], { batchSize: 2 }))

    await db.transaction(async (tx) => {
      expect(await left()).toEqual({ n: 1 })
      await db.status(`alter table ${t} add column m int default 5`)
      expect(await left()).toEqual({ n: 1 })
      expect(await cursors(db)).toBe(0)
      await tx.transaction(left)
      await tx.transaction(async () => expect(await cursors(db)).toBe(0))
      await caught(
        tx.transaction(async () => {
          await left()
          await db.status('select 1 / 0')
        }),
      )
      expect(await left()).toEqual({ n: 1 })
      expect(await cursors(db)).toBe(0)
      await left()
    })
    await db.transaction(async () => expect(await cursors(db)).toBe(0))
  })

  test('one that passes over rows first is closed in the same way', async () => {
    const db = await driver.single()

    await db.transaction(async () => {
      const cursor = db.iterate('select n from generate_series(1, 9) n')
      expect(await cursor.skip(3)).toBe(3)
      expect(await cursor.read()).toEqual({ n: 4 })
      await cursor.close()
      expect(await cursors(db)).toBe(0)
    })
  })
})

forEachDriver(
  (driver) => {
    test('one that was left is closed before the client is lent, and while it is lent', async () => {
      const db = await driver.single()
      const t = await driver.table('n int')
      await db.status(`insert into ${t} select generate_series(1, 9)`)
      const left = (): Promise<unknown> => firstOf(db.iterate(`select n from ${t}`, [], { batchSize: 2 }))

      await db.transaction(async (tx) => {
        await left()
        const client = (await tx.connection.rawConnection()) as { query(text: string): Promise<unknown> }
        await client.query(`alter table ${t} add column m int`)
        await left()
        await client.query(`alter table ${t} add column o int`)
      })
    })
  },
  { lends: true },
)

describe('trips', () => {
  test.each(['pg', 'socket'] as const)(
    '%s: a cursor in a transaction takes one for each part that it reads',
    async (driver) => {
      await using proxy = await startProxy(await databaseUrl())
      await using db = createDb(proxy.url, { driver, pool: { max: 1 } })
      const work = (): Promise<void> =>
        db.transaction(async () => {
          await db.scalar('select 1')
          const text = 'select n from generate_series(1, $1::int) n'
          expect(await listed(db.iterate(text, [3]))).toHaveLength(3)
          expect(await listed(db.iterate(text, [3], { batchSize: 2 }))).toHaveLength(3)
          expect(await firstOf(db.iterate(text, [3], { batchSize: 2 }))).toEqual({ n: 1 })
        })
      await work()
      const { toServer } = proxy.open[0] as Link
      const before = toServer.types.length

      await work()

      const sent = toServer.types.slice(before)
      // BEGIN with the first, one part, two parts, one part, COMMIT.
      expect(sent.replaceAll(/[^SQ]/g, '')).toHaveLength(6)
      // BEGIN too is prepared.
      expect(sent.replaceAll(/[^PDH]/g, '')).toBe('')
      // Two of them in front of the next statement; the last ends with its transaction.
      expect(sent.replaceAll(/[^C]/g, '')).toBe('CC')
    },
  )
})
