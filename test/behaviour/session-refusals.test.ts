/** What text may do to a session: state only where a connection is held, transaction control only on an acquired one. */

import {
  type Connection,
  ConnectionLostError,
  createDb,
  type Db,
  QueryCanceledError,
  sql,
  TransactionStateError,
  UsageError,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase, onServer } from '../support/database.ts'
import { fake, sound } from '../support/fake.ts'
import { forEachDriver, pid } from '../support/matrix.ts'

const state = `select current_setting('application_name') as name, coalesce(current_setting('app.who', true), '') as setting,
  current_setting('statement_timeout') as timeout, current_setting('search_path') as path, current_user::text as role,
  session_user::text as login, to_regclass('pg_temp.left_behind') as temporary,
  (select count(*) from pg_listening_channels()) as channels,
  (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
  (select count(*) from pg_cursors where name = 'held') as cursors,
  (select count(*) from pg_prepared_statements where from_sql) as prepared`

/** Session state, and the statement that sets it. */
const kinds: readonly (readonly [string, string])[] = [
  ['SET', `set application_name = 'left'`],
  ['SET SESSION of the search path', 'set session search_path to nowhere'],
  ['SET among several statements', `select 1; set app.who to '7'; select 2`],
  ['statement_timeout', 'set statement_timeout = 12345'],
  ['set_config', `select set_config('app.who', '7', false)`],
  ['set_config in a CTE', `with s as (select set_config('app.who', '7', false) as v) select v from s`],
  ['a setting and a lock in one SELECT', `select set_config('app.who', '7', false), pg_advisory_lock(4711)`],
  ['SET ROLE', 'set role pg_monitor'],
  ['SET SESSION AUTHORIZATION', 'set session authorization pg_monitor'],
  ['a temporary table', 'create temporary table left_behind (n int)'],
  ['SELECT INTO a temporary table', 'select 1 as n into temp left_behind'],
  ['a temporary table by its schema', 'create table pg_temp.left_behind (n int)'],
  ['LISTEN', 'listen news'],
  ['an advisory lock', 'select pg_advisory_lock(4711)'],
  ['an advisory lock that was tried', 'select pg_try_advisory_lock_shared(4711)'],
  ['a cursor WITH HOLD', 'declare held cursor with hold for select 1'],
  ['PREPARE', 'prepare mine as select 1'],
]
/** What hides its effect from a look at its text, but leaves a trace that is looked for. */
const hidden: readonly (readonly [string, string])[] = [
  ['a DO block that sets', `do $$ begin perform set_config('app.who', '7', false); end $$`],
  ['a DO block that prepares', `do $$ begin execute 'prepare "my own" as select 1'; end $$`],
]
const controls = [
  ...['begin', 'start transaction', 'commit', 'end', 'rollback', 'abort', 'savepoint s', 'release s', 'rollback to s'],
  ...[`prepare transaction 'x'`, 'set transaction read only'],
]

forEachDriver((driver) => {
  test.each([...kinds, ...hidden])('however it was borrowed, the next one does not see: %s', async (_, text) => {
    const db = await driver.single()
    const [before, own] = [await db.one(state), await pid(db)]
    const set = (connection: Connection): Promise<unknown> => connection.status(text)
    const ways: readonly (() => Promise<unknown>)[] = [
      () => db.scope(set),
      () => db.scope((connection) => set(connection).then(() => Promise.reject(new Error('thrown')))).catch(() => {}),
      async () => {
        await using connection = await db.acquire()
        await set(connection)
      },
      () => db.transaction((tx) => set(tx.connection)),
    ]

    for (const way of ways) {
      await way()
      expect(await db.one(state)).toEqual(before)
    }
    expect(await pid(db)).toBe(own)
  })

  test.each(kinds)('without a frame it is refused, and nothing is set: %s', async (_, text) => {
    const db = await driver.single()
    const before = await db.one(state)
    const error = await caught(db.status(text))

    expect(error.code).toBe('GENEVER_USAGE')
    expect(error.message).toContain('scope(work)')
    expect(await caught(db.detached(() => db.status(text)))).toBeInstanceOf(UsageError)
    expect(await db.scope(() => db.detached(() => caught(db.status(text))))).toBeInstanceOf(UsageError)
    expect(await db.one(state)).toEqual(before)
  })

  test('transaction control by text works on an acquired connection', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    await using connection = await db.acquire()
    await connection.status('begin')
    await connection.status(`insert into ${table} values (1)`)
    await connection.status('savepoint s')
    await connection.status(`insert into ${table} values (2)`)
    await connection.status('rollback to s')
    await connection.status('commit')
    await connection.status(`begin; insert into ${table} values (3); commit`)

    expect(await connection.all(`select n from ${table} order by n`)).toEqual([{ n: 1 }, { n: 3 }])
  })

  test.each(controls)('and is refused everywhere else: %s', async (text) => {
    const db = await driver.single()
    const refused = async (run: Pick<Db, 'status' | 'sql'>): Promise<void> => {
      for (const work of [
        () => run.status(text),
        () => run.status(`select 1; ${text}`),
        () => run.status(`/* a; */ ${text.toUpperCase()};`),
        () => run.sql`${sql.raw(text)}`.all(),
      ])
        expect(await caught(work())).toBeInstanceOf(TransactionStateError)
    }

    await refused(db)
    await db.scope(async (connection) => {
      await refused(db)
      await refused(connection)
    })
    await db.transaction(async (tx) => {
      await refused(db)
      await refused(tx)
      await refused(tx.connection)
      expect(await tx.scalar('select 1')).toBe(1)
    })
    await using connection = await db.acquire()
    await connection.transaction(() => refused(connection))
    await using tx = await connection.begin()
    await refused(connection)
    await refused(tx)
  })

  test('our own prepared statements outlive the reset', async () => {
    const db = await driver.single()
    const ours = `select string_agg(name, ' ' order by name) from pg_prepared_statements where not from_sql and statement like 'select 4711%'`
    for (let i = 0; i < 3; i++) await db.scalar('select 4711 + $1::int', [i])
    const before = await db.scalar(ours)
    await db.scope((connection) => connection.status(`set app.who = '7'; create table pg_temp.x (n int)`))

    expect(before).toEqual(expect.any(String))
    expect(await db.scalar(ours)).toBe(before)

    await db.scope((connection) => connection.status('prepare mine as select 1'))
    expect(await db.scalar('select 4711 + $1::int', [1])).toBe(4712)
  })
})

test('a statement_timeout left behind cancels nobody else', async () => {
  await using database = await freshDatabase()
  await using db = createDb(database.url, { pool: { max: 1 } })
  await db.scope(async () => {
    await db.status('set statement_timeout = 30')
    expect(await caught(db.scalar('select pg_sleep(5)'))).toBeInstanceOf(QueryCanceledError)
  })

  expect(await db.scalar('select 7 from pg_sleep(0.1)')).toBe(7)
})

test('after the loss of a session with state the next statement throws, then another is borrowed', async () => {
  await using database = await freshDatabase()
  await using db = createDb(database.url)
  await db.scope(async (connection) => {
    await connection.status(`set app.who = '7'`)
    await onServer('select pg_terminate_backend($1)', [await pid(connection)])
    const lost = await caught(connection.scalar(`select current_setting('app.who', true)`))
    expect(lost).toBeInstanceOf(ConnectionLostError)
    await connection.scalar('select 1').catch(() => {})
    expect(await connection.scalar(`select coalesce(current_setting('app.who', true), 'none')`)).toBe('none')
  })
})

describe('on the wire', () => {
  test('clean statements cost no reset, dirty ones one', async () => {
    await using server = await fake({ tables: { t: [] } })
    const { db } = server
    for (const text of ['select 1', 'insert into t values (1)', 'update t set v = 2', 'delete from t']) {
      await db.status(text)
      await db.scope(() => db.status(text))
      await db.transaction(() => db.status(text))
    }
    await (await db.acquire()).release()
    await db.scope(() => {})
    expect(server.sent().filter((line) => line.startsWith('<'))).toEqual([])

    await db.scope(async (connection) => {
      for (const text of ['set a.b = 1', 'listen news', 'set c.d = 2']) await connection.status(text)
    })
    await sound(server)
    expect(server.sent().slice(3, -1)).toEqual([expect.stringMatching(/^<reset .*settings.*>$/)])
  })

  test('a refused statement sends nothing', async () => {
    await using server = await fake()
    for (const text of ['set a.b = 1', 'listen news', 'begin', 'select 1; commit']) await caught(server.db.status(text))

    expect(server.sent()).toEqual([])
    await sound(server)
  })
})
