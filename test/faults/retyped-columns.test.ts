/**
 * The server keeps, with a prepared statement, the types that its parameters had when it was parsed. When a column has got another type
 * since, it would read a value as the old one and convert it: times move, digits and leading zeros get lost, without any error.
 */

import { type Connection, createDb, type Db } from 'genever'
import { expect, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'
import { onServers } from '../support/extent.ts'
import { pgliteStart } from '../support/patience.ts'

const moment = new Date('2026-01-01T00:30:00.500Z')
const retypes = [
  { from: 'timestamp', to: 'timestamptz', value: moment, is: '2026-01-01 09:30:00.5+09' },
  { from: 'timestamptz', to: 'timestamp', value: moment, is: '2026-01-01 00:30:00.5' },
  { from: 'date', to: 'timestamptz', value: moment, is: '2026-01-01 09:30:00.5+09' },
  { from: 'int', to: 'text', first: '7', value: '007', is: '007' },
  { from: 'float8', to: 'numeric', first: '7', value: '0.1234567890123456789', is: '0.1234567890123456789' },
  { from: 'char(3)', to: 'text', first: 'a', value: 'a  ', is: 'a  ' },
] as const

/** In a session whose zone is not UTC. */
const elsewhere = { settings: { timezone: 'Asia/Tokyo' } }
const write = 'insert into kept values ($1)'
const kept = 'select jsonb_agg(v::text) from kept'
const alter = (to: string): string => `alter table kept alter v type ${to} using v::text::${to}`

/** Has the server parse the statement on this connection. */
async function parsed(on: Connection, value: unknown): Promise<void> {
  for (let run = 0; run < 3; run++) await on.status(write, [value])
  await on.status('delete from kept')
}

/** Ways in which the engine changes the column, on a connection that has not parsed the statement. */
const ways: Readonly<Record<string, (db: Db, to: string) => Promise<unknown>>> = {
  'a statement': (db, to) => db.status(alter(to)),
  'a transaction': (db, to) => db.transaction((tx) => tx.status(alter(to))),
  'a transaction that goes on': (db, to) =>
    db.transaction(async (tx) => {
      await tx.status(alter(to))
      await tx.scalar('select 1')
    }),
  'several statements in one text': (db, to) => db.status(`select 1; ${alter(to)}`),
  'a block of code': (db, to) => db.status(`do $body$ begin ${alter(to)}; end $body$`),
  'another table of that name': (db, to) =>
    db.transaction(async (tx) => {
      await tx.status('drop table kept')
      await tx.status(`create table kept (v ${to})`)
    }),
  'a renamed table': async (db, to) => {
    await db.status(`drop table if exists next; create table next (v ${to})`)
    await db.transaction(async (tx) => {
      await tx.status('alter table kept rename to before; alter table next rename to kept; drop table before')
    })
  },
}

for (const driver of onServers)
  test.each(Object.keys(ways))(`${driver}: what the engine changes by %s holds for every connection`, async (way) => {
    await using database = await freshDatabase()
    for (const { from, to, value, is, ...rest } of retypes) {
      await database.query(`drop table if exists kept; create table kept (v ${from})`)
      await using db = createDb(database.url, { driver, pool: { max: 3 }, ...elsewhere })
      await using one = await db.acquire()
      await using two = await db.acquire()
      for (const on of [one, two]) await parsed(on, 'first' in rest ? rest.first : value)

      await ways[way]?.(db, to)

      for (const on of [one, two]) await on.status(write, [value])
      expect([from, to, await one.scalar(kept)]).toEqual([from, to, [is, is]])
    }
  })

test.each(onServers)(
  '%s: a value that waits for the end of such a transaction is written as its new type',
  async (driver) => {
    await using database = await freshDatabase('create table kept (v timestamp)')
    await using db = createDb(database.url, { driver, pool: { max: 2 }, ...elsewhere })
    await using one = await db.acquire()
    await parsed(one, moment)

    const waiting = await db.transaction(async (tx) => {
      await tx.status(alter('timestamptz'))
      const written = one.status(write, [moment])
      await tx.scalar('select pg_sleep(.05)')
      return { written }
    })
    await waiting.written

    expect(await one.scalar(kept)).toEqual(['2026-01-01 09:30:00.5+09'])
  },
)

test.each(onServers)(
  '%s: what another process has changed holds for every connection once one of them sees it',
  async (driver) => {
    await using database = await freshDatabase('create table kept (v timestamp)')
    await using db = createDb(database.url, { driver, pool: { max: 3 }, ...elsewhere })
    await using one = await db.acquire()
    await using two = await db.acquire()
    const read = 'select v from kept'
    for (const on of [one, two]) {
      await parsed(on, moment)
      await on.all(read)
    }

    await database.query(alter('timestamptz'))
    await two.all(read)

    await one.status(write, [moment])
    expect(await one.scalar(kept)).toEqual(['2026-01-01 09:30:00.5+09'])
  },
)

test.each(onServers)('%s: a new connection sees it too, where nothing is read', async (driver) => {
  await using database = await freshDatabase('create table kept (v timestamp)')
  await using db = createDb(database.url, { driver, pool: { max: 2 }, ...elsewhere })
  await using one = await db.acquire()
  await parsed(one, '2026-01-01T00:30:00.500Z')

  await database.query(alter('timestamptz'))
  await using fresh = await db.acquire()
  await fresh.status(write, [moment])
  await fresh.status(write, [moment])

  await one.status(write, [moment])
  expect(await one.scalar(kept)).toEqual(Array.from({ length: 3 }, () => '2026-01-01 09:30:00.5+09'))
})

test.each(onServers)(
  '%s: one transaction finds a stale plan behind a change of another process, and no other of 300 on 20 connections',
  async (driver) => {
    await using database = await freshDatabase('create table kept (v int); insert into kept values (1)')
    await using db = createDb(database.url, { driver, pool: { max: 20 } })
    const texts = [1, 2, 3, 4, 5].map((n) => `select v, ${n} as n from kept`)
    let stale = 0
    const run = (): Promise<unknown> =>
      Promise.all(
        Array.from({ length: 20 }, async () => {
          for (const text of texts) await db.transaction((tx) => tx.all(text), { reuse: false }).catch(() => stale++)
        }),
      )
    for (let round = 0; round < 3; round++) await run()
    expect(stale).toBe(0)

    await db.status('alter table kept alter v type text')
    for (let round = 0; round < 3; round++) await run()
    expect(stale).toBe(0)

    // Somebody else: all that are sent before the first answer comes fail, and no other. The connection that is free first has this one parsed.
    const alone = (): Promise<unknown> =>
      db.transaction((tx) => tx.all(texts[0] as string), { reuse: false }).catch(() => stale++)
    for (let run = 0; run < 3; run++) await alone()
    await database.query('alter table kept alter v type bigint using v::bigint')
    await alone()
    for (let round = 0; round < 3; round++) await run()
    expect(stale).toBe(1)
  },
)

test.each(onServers)(
  '%s: temporary tables, functions and indexes of one session have nothing parsed anew on others',
  async (driver) => {
    await using database = await freshDatabase('create table kept (v int); create sequence s')
    await using db = createDb(database.url, { driver, pool: { max: 2 } })
    await using one = await db.acquire()
    await using two = await db.acquire()
    await parsed(one, 1)
    const since = "select min(prepare_time)::text from pg_prepared_statements where statement like 'insert into kept%'"
    const before = await one.scalar(since)

    await two.status('create temp table kept (v timestamp)')
    await two.status('drop table kept')
    await two.status('create temp table kept (v text)')
    await two.status(write, [moment])
    await two.status('drop table pg_temp.kept')
    await two.status('create index on kept (v)')
    await two.status('alter sequence s restart')
    await one.status(write, [1])

    expect(await one.scalar(since)).toBe(before)
  },
)

test('PGlite: what one engine changes holds for another that has the same database', async () => {
  const url = 'pglite://memory/retyped-columns'
  await using one = createDb(url, { pool: pgliteStart, ...elsewhere })
  await using other = createDb(url, { pool: pgliteStart, ...elsewhere })
  await one.status('create table kept (v timestamp)')
  for (let run = 0; run < 3; run++) await one.status(write, [moment])
  await one.status('delete from kept')

  await other.status(alter('timestamptz'))

  await one.status(write, [moment])
  expect(await one.scalar(kept)).toEqual(['2026-01-01 09:30:00.5+09'])
})
