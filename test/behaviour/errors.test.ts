/** What the database refuses becomes an error of one class per kind, with what programs need of it. */

import {
  CheckViolationError,
  ConstraintViolationError,
  createDb,
  type Db,
  DeadlockDetectedError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  isGeneverError,
  NotNullViolationError,
  QueryCanceledError,
  QueryError,
  ReadOnlyError,
  SerializationError,
  SqlSyntaxError,
  StalePlanError,
  UniqueViolationError,
} from 'genever'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase, type FreshDatabase } from '../support/database.ts'
import { gate } from '../support/gate.ts'
import { until } from '../support/until.ts'

type Kind = new (message: string) => QueryError
type Case = readonly [what: string, text: string, kind: Kind, code: string, fields: Record<string, unknown>]

const schema = `
  create table team (id int primary key);
  create table gin (
    id int constraint gin_pk primary key,
    name text not null,
    age int constraint gin_age check (age > 0),
    team int constraint gin_team references team,
    slot int4range,
    constraint gin_alone exclude using gist (slot with &&)
  );
  insert into gin values (1, 'jonge', 3, null, '[1,5)')`
const [table, inSchema] = ['gin', 'public']

const cases: readonly Case[] = [
  [
    'unique',
    `insert into gin values (1, 'a')`,
    UniqueViolationError,
    '23505',
    { constraint: 'gin_pk', table, schema: inSchema },
  ],
  [
    'foreign key',
    `insert into gin values (2, 'a', 1, 99)`,
    ForeignKeyViolationError,
    '23503',
    { constraint: 'gin_team', table, schema: inSchema },
  ],
  [
    'not null',
    'insert into gin values (2, null)',
    NotNullViolationError,
    '23502',
    { column: 'name', table, schema: inSchema },
  ],
  [
    'check',
    `insert into gin values (2, 'a', -1)`,
    CheckViolationError,
    '23514',
    { constraint: 'gin_age', table, schema: inSchema },
  ],
  [
    'exclusion',
    `insert into gin values (2, 'a', 1, null, '[4,6)')`,
    ExclusionViolationError,
    '23P01',
    { constraint: 'gin_alone', table, schema: inSchema },
  ],
  ['syntax', 'selec 1', SqlSyntaxError, '42601', { position: 1 }],
  ['undefined table', 'select * from nowhere', SqlSyntaxError, '42P01', { position: 15 }],
  ['undefined column', 'select nothing from gin', SqlSyntaxError, '42703', { position: 8 }],
  ['undefined function', 'select nothing()', SqlSyntaxError, '42883', { position: 8 }],
  ['division by zero', 'select 1 / 0', QueryError, '22012', {}],
  [
    'raised',
    `do $$ begin raise exception 'no tonic' using errcode = 'G0001'; end $$`,
    QueryError,
    'G0001',
    { message: 'no tonic' },
  ],
]

describe('by SQLSTATE', () => {
  let database: FreshDatabase
  let db: Db

  beforeAll(async () => {
    database = await freshDatabase(schema)
    db = await createDb(database.url).open()
  })
  afterAll(async () => {
    await db.close()
    await database.drop()
  })

  test.each(cases)('%s', async (_, text, kind, sqlState, fields) => {
    const inside = await caught(db.transaction((tx) => tx.status(text)))
    for (const error of [await caught(db.status(text)), inside]) {
      expect(error.constructor).toBe(kind)
      expect(error).toMatchObject({ sqlState, severity: 'ERROR', outcome: 'rolled_back', retryable: false, ...fields })
      expect(error.statement).toEqual({ sql: text })
    }
  })

  test('codes and classes of a kind or a kind above it are recognised, others are not', async () => {
    const error = await caught(db.status(`insert into gin values (1, 'a')`))

    for (const kind of ['GENEVER_UNIQUE_VIOLATION', 'CONSTRAINT_VIOLATION', 'QUERY', 'GENEVER_ERROR', undefined])
      expect([kind, isGeneverError(error, kind)]).toEqual([kind, true])
    for (const kind of ['CHECK_VIOLATION', 'GENEVER_USAGE', '23505', ''])
      expect([kind, isGeneverError(error, kind)]).toEqual([kind, false])
    expect([isGeneverError(error, ConstraintViolationError), isGeneverError(error, SerializationError)]).toEqual([
      true,
      false,
    ])
    for (const other of [new Error('no'), null, 'GENEVER_QUERY', { code: 'GENEVER_QUERY' }])
      expect(isGeneverError(other)).toBe(false)
  })

  test('a write in a read-only transaction', async () => {
    const error = await caught(db.transaction(() => db.status('delete from gin'), { readOnly: true }))

    expect(error).toBeInstanceOf(ReadOnlyError)
    expect(error).toMatchObject({ sqlState: '25006', outcome: 'rolled_back' })
  })

  test('a statement that the server cancels by itself, or by request', async () => {
    const bySetting = db.transaction(async (tx) => {
      await tx.status(`set local statement_timeout = 20`)
      await tx.scalar('select pg_sleep(60)')
    })
    const byRequest = db.scope(async (connection) => {
      const pid = await connection.scalar('select pg_backend_pid()')
      const running = connection.scalar('select pg_sleep(60)')
      const cancel = `select pg_cancel_backend(pid) from pg_stat_activity where pid = $1 and query like '%pg_sleep(60)' and state = 'active'`
      let over = false
      const done = caught(running).finally(() => (over = true))
      // One that comes before the server has begun to sleep is lost.
      await until(() => database.query(cancel, [pid]).then(() => over))
      throw await done
    })

    for (const error of await Promise.all([caught(bySetting), caught(byRequest)])) {
      expect(error).toBeInstanceOf(QueryCanceledError)
      expect(error).toMatchObject({ sqlState: '57014', outcome: 'rolled_back' })
    }
  })

  test('a serialization failure is retryable', async () => {
    await database.query('create table tonic (n int); insert into tonic values (0)')
    const both = gate()
    let ready = 0
    const add = (): Promise<unknown> =>
      db.transaction(
        async (tx) => {
          const n = await tx.scalar<number>('select n from tonic')
          if (++ready === 2) both.open()
          await both.promise
          await tx.status('update tonic set n = $1', [(n ?? 0) + 1])
        },
        { isolation: 'serializable', reuse: false },
      )

    const [a, b] = await Promise.allSettled([add(), add()])
    const error = (a.status === 'rejected' ? a : (b as PromiseRejectedResult)).reason as unknown
    expect([a.status, b.status].toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(error).toBeInstanceOf(SerializationError)
    expect(error).toMatchObject({ sqlState: '40001', outcome: 'rolled_back', retryable: true })
  })

  test('a deadlock on the server is retryable, and a kind of serialization failure', async () => {
    await database.query('create table rum (id int primary key, n int); insert into rum values (1, 0), (2, 0)')
    const both = gate()
    let ready = 0
    const lock = (ids: readonly [number, number]): Promise<unknown> =>
      db.transaction(async (tx) => {
        await tx.status(`set local deadlock_timeout = '20ms'`)
        await tx.status('update rum set n = n + 1 where id = $1', [ids[0]])
        if (++ready === 2) both.open()
        await both.promise
        await tx.status('update rum set n = n + 1 where id = $1', [ids[1]])
      })

    const ends = await Promise.allSettled([lock([1, 2]), lock([2, 1])])
    const lost = ends.filter((end) => end.status === 'rejected').map((end): unknown => end.reason)
    expect(lost).toHaveLength(1)
    expect(lost[0]).toBeInstanceOf(DeadlockDetectedError)
    expect(lost[0]).toMatchObject({ sqlState: '40P01', outcome: 'rolled_back', retryable: true })
    expect(isGeneverError(lost[0], 'SERIALIZATION')).toBe(true)
  })

  test('a plan that a changed table made stale is refused in a transaction, and works again after it', async () => {
    await database.query('create table plan (a int); insert into plan values (1)')
    await db.scope(async () => {
      for (let i = 0; i < 3; i++) await db.all('select * from plan')
      await database.query('alter table plan add b int')
      const error = await caught(db.transaction(() => db.all('select * from plan')))

      expect(error).toBeInstanceOf(StalePlanError)
      expect(error).toMatchObject({ sqlState: '0A000', outcome: 'rolled_back', retryable: true })
      expect(await db.transaction(() => db.all('select * from plan'))).toEqual([{ a: 1, b: null }])
      await database.query('alter table plan add c int')
      expect(await db.all('select * from plan')).toEqual([{ a: 1, b: null, c: null }])
    })
  })
})
