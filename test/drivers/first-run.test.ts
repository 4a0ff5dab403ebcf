/**
 * A statement that is new to a connection of the driver `socket`, and known to another one: its rows come in binary at once. What
 * became of its columns in the meantime is seen in the answer, never in how it is read.
 */

import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Driver } from '../../src/driver/driver.ts'
import { pgDriver } from '../../src/driver/pg/driver.ts'
import { socketDriver } from '../../src/driver/socket/driver.ts'
import type { Compiled, RowSpec } from '../../src/sql/compiled.ts'
import { createDb } from 'genever'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { sample } from '../support/extent.ts'
import { startProxy } from '../support/proxy.ts'
import { closeAll, connect, type TestConnection, type TestOp } from './test-connection.ts'

let database: FreshDatabase
let client: pg.Client

beforeAll(async () => {
  database = await freshDatabase()
  client = new pg.Client({ connectionString: database.url })
  await client.connect()
})
afterAll(async () => {
  await client.end()
  await database.drop()
})
afterEach(closeAll)

async function open(driver: Driver = socketDriver, url = database.url): Promise<TestConnection> {
  const { hostname, port, username, pathname } = new URL(url)
  return connect(driver, { host: hostname, port: Number(port), user: username, database: pathname.slice(1) })
}

/** The same statement for every connection, prepared or not, as an engine has it. */
const statement = (c: TestConnection, sql: string, named: boolean): Compiled => (named ? c.named(sql) : c.plain(sql))

/** Values that are asked for in binary, those whose binary form is not read, and others. */
const values: Readonly<Record<string, string>> = {
  int2: '7',
  int4: '1651076657',
  int8: '1651076657',
  oid: '4000000000',
  float4: '1.5',
  float8: '-2.25',
  numeric: '-12345.678900',
  bool: 'true',
  text: 'bin1',
  varchar: 'bin1',
  name: 'bin1',
  bytea: '\\x62696e31',
  date: '2026-02-28',
  timestamp: '2026-02-28 01:02:03.456',
  timestamptz: '2026-02-28 01:02:03.456+02',
  time: '01:02:03',
  interval: '1 day 02:00',
  uuid: '62696e31-6269-6e31-6269-6e3162696e31',
  jsonb: '{"a": [1, null]}',
  json: '{"a": [1, null]}',
  inet: '10.0.0.1/8',
  point: '(1,2)',
  'int4[]': '{1651076657,NULL}',
  'int8[]': '{{1,2},{3,4}}',
  'text[]': '{a,NULL,"b c"}',
  'timestamptz[]': '{"2026-02-28 01:02:03+00"}',
  'uuid[]': '{62696e31-6269-6e31-6269-6e3162696e31}',
  mood: 'sad',
}
const types = Object.keys(values)
/** What is asked for in binary: of each size. */
const binary = ['int4', 'timestamptz', 'bytea', 'text[]', 'text']
/** Each of them becomes some of the types, or all. */
const becomes = sample({ once: Math.ceil(types.length / binary.length), matrix: types.length, soak: types.length })

const alter = (type: string): string => {
  const value = `'${values[type]}'::${type}`
  const [list, listed] = type.endsWith('[]') ? [type, value] : [`${type}[]`, `array[${value}, null]`]
  return `drop table if exists changing; create table changing (id int, v ${type}, w ${list});
    insert into changing values (1, ${value}, ${listed}), (2, null, null)`
}

describe.each([true, false])('a statement that another connection has described (prepared: %s)', (named) => {
  test('has its rows in binary in its first run, in the one trip that it needs', async () => {
    await using proxy = await startProxy(database.url)
    const [one, other] = [await open(), await open(socketDriver, proxy.url)]
    const stmt = statement(one, `select 1651076657 as n, '{1,2}'::int[] as list, $1 as v`, named)
    const seen = proxy.on({ to: 'client', type: 'D', text: 'bin1', when: 'after' }, () => {})
    const rows = await one.rows(stmt, ['x'])
    expect(await other.rows(stmt, ['x'])).toEqual(rows)
    expect(rows).toEqual([{ n: 1_651_076_657, list: [1, 2], v: 'x' }])
    expect(seen.link).not.toBeNull()
  })

  test('is written as text by the first that asks, and where a specification of its rows asks for texts', async () => {
    await using proxy = await startProxy(database.url)
    const [one, other] = [await open(socketDriver, proxy.url), await open(socketDriver, proxy.url)]
    const stmt = statement(one, 'select 1651076657 as n', named)
    const spec: RowSpec = { into: 'object', make: null, columns: [{ path: ['n'], mode: 'raw-text' }] }
    const seen = proxy.on({ to: 'client', type: 'D', text: 'bin1', when: 'after' }, () => {})
    expect(await one.rows(stmt)).toEqual([{ n: 1_651_076_657 }])
    expect((await other.run(stmt, [], { spec })).rows).toEqual([{ n: '1651076657' }])
    expect(seen.link).toBeNull()
  })

  test.each(binary)('reads columns that were of type %s as what they are by now', async (from) => {
    await client.query(
      "do $$ begin create type mood as enum ('sad'); exception when duplicate_object then null; end $$",
    )
    const first = binary.indexOf(from) * becomes
    for (const to of [...types, ...types].slice(first % types.length).slice(0, becomes)) {
      const plain = await open(pgDriver)
      await client.query(alter(from))
      const [one, other] = [await open(), await open()]
      const stmt = statement(one, `select v, w, id from changing order by id`, named)
      await one.rows(stmt)
      await client.query(alter(to))
      const wanted = await plain.rows('select v, w, id from changing order by id')
      expect([to, await other.rows(stmt)]).toEqual([to, wanted])
      expect([to, await other.rows(stmt)]).toEqual([to, wanted])
      expect([to, await one.rows(stmt)]).toEqual([to, wanted])
      await closeAll()
    }
  })

  test.each([
    ['fewer', 'a int'],
    ['one', 'c timestamptz'],
    ['more', 'a int, b int, c timestamptz, d text'],
    ['none at all', ''],
    ['others', 'd text, e jsonb, f uuid'],
  ])('has all columns where there are %s by now', async (_, columns) => {
    for (const before of ['a int', 'a int, b int, c timestamptz', 'a text']) {
      await client.query(`drop table if exists shifting; create table shifting (${before})`)
      const [one, other] = [await open(), await open()]
      const stmt = statement(one, 'select * from shifting', named)
      await one.rows(stmt)
      await client.query(`drop table shifting; create table shifting (${columns}); insert into shifting default values`)
      const wanted = (await client.query('select * from shifting')).rows
      for (const c of [other, other, one]) expect(await c.rows(stmt)).toEqual(wanted)
      await closeAll()
    }
  })

  test('in a transaction has the columns that it names as what they are, and as many as there are', async () => {
    for (const [sql, from, to] of [
      ['select a, b from inside', 'a int, b timestamptz', "a text default 'some', b numeric default 1.50"],
      ['select * from inside', 'a int, b timestamptz', 'a int default 1, b timestamptz default now(), c int default 3'],
      ['table inside', 'a int', 'a int default 1, b int default 2'],
      ['select i.* from inside as i', 'a int, b int', 'b int default 2'],
    ] as const) {
      await client.query(
        `drop table if exists inside; create table inside (${from}); insert into inside default values`,
      )
      const [one, other] = [await open(), await open()]
      const stmt = statement(one, sql, named)
      await one.rows(stmt)
      await client.query(`drop table inside; create table inside (${to}); insert into inside default values`)
      const op = other.op(stmt)
      expect(await other.unit('begin', op)).toEqual(['BEGIN', 'SELECT 1'])
      expect(op.rows).toEqual((await client.query(sql)).rows)
      expect(await other.unit(other.op(stmt), 'commit')).toEqual(['SELECT 1', 'COMMIT'])
      await closeAll()
    }
  })

  test('in a transaction fails alone where its type is not read in binary, and is read when it runs again', async () => {
    await client.query('drop table if exists inside; create table inside (a int); insert into inside values (1)')
    const [one, other] = [await open(), await open()]
    const stmt = statement(one, 'select a from inside', named)
    await one.rows(stmt)
    await client.query("alter table inside alter a type interval using '1 day'")

    await other.run('begin')
    const op = await other.run(stmt)
    expect(op.end).toBe('decode rolled_back')
    expect(String(op.failure?.cause)).toContain('have changed since another connection ran it')
    expect(op.failure?.cause).toMatchObject({ code: 'GENEVER_STALE_PLAN', retryable: true })
    expect(await other.rows(stmt)).toEqual([{ a: '1 day' }])
    expect((await other.run('commit')).end).toBe('COMMIT')
  })

  test('of several in flight, reads the rows of each in the formats that it has asked for', async () => {
    await client.query(`drop table if exists passed, barred; create table passed (a int); create table barred (n int);
      insert into passed values (77)`)
    const [one, other] = [await open(), await open()]
    const stmt = statement(one, 'select a from passed', named)
    await one.rows(stmt)
    await client.query('alter table passed alter a type numeric')
    const wanted = await (await open(pgDriver)).rows('select a from passed')
    await client.query('begin; lock table barred')
    const [first, waiting, second, third] = [stmt, 'select n from barred', stmt, stmt].map((each) => other.op(each))
    for (const op of [first, waiting, second]) other.raw.submit(op as TestOp)
    await first?.settled
    // Its columns are known by now, and those of the second are not yet.
    other.raw.submit(third as TestOp)
    await client.query('commit')
    await third?.settled
    for (const op of [first, second, third]) expect(op?.rows).toEqual(wanted)
  })

  test('that writes has its rows in text: it does not run twice', async () => {
    await client.query('drop table if exists written; create table written (a int)')
    const [one, other] = [await open(), await open()]
    const stmt = statement(one, 'insert into written values (default) returning *', named)
    await one.rows(stmt)
    await client.query(
      "alter table written alter a type interval using '1 day', alter a set default '2 days', add b int",
    )
    expect(await other.rows(stmt)).toEqual([{ a: '2 days', b: null }])
    expect((await client.query('select from written')).rowCount).toBe(2)
  })
})

test('what is said of types holds for the first run on every connection', async () => {
  const db = createDb(database.url, {
    driver: 'socket',
    types: { int4: String, timestamptz: String },
    pool: { max: 3 },
  })
  try {
    const held = await Promise.all([db.acquire(), db.acquire(), db.acquire()])
    const sql = `select 1::int4 as a, array[1]::int4[] as b, '2026-01-01 00:00Z'::timestamptz as c, 1.5::float8 as d`
    const rows = []
    for (const one of held) rows.push(await one.one(sql), await one.one(sql))
    for (const row of rows) expect(row).toEqual(rows[0])
    expect(rows[0]).toMatchObject({ a: '1', d: 1.5, c: expect.stringContaining('2026') as unknown })
    for (const one of held) await one.release()
  } finally {
    await db.close()
  }
})
