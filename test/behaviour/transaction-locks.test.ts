/** What means something only in a transaction, or only in the session that drew a number, is refused anywhere else. */

import { type Db, type Executor, sql, TransactionStateError, UsageError } from 'genever'
import { Model } from 'genever/models'
import * as drizzle from 'drizzle-orm'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake, sound } from '../support/fake.ts'
import { doing, forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const locks = ['', 'try_'].flatMap((attempt) =>
  ['', '_shared'].flatMap((shared) => [
    `select pg_${attempt}advisory_xact_lock${shared}(42)`,
    `select pg_catalog . "pg_${attempt}advisory_xact_lock${shared}"(4, hashtext('x'))`,
    `SELECT PG_${attempt.toUpperCase()}ADVISORY_XACT_LOCK${shared.toUpperCase()} /* of */ (hashtextextended('x', 0))`,
  ]),
)
const inner = [
  'with l as (select pg_advisory_xact_lock(42)) select 1 from l',
  'select 1 where (select pg_try_advisory_xact_lock(42))',
  `explain analyze select pg_advisory_xact_lock(42)`,
]
const inTransaction = ['lock table pg_class in access share mode', 'lock pg_class in access share mode']
const onlyInTransaction = [...locks, ...inner, ...inTransaction, 'declare c cursor for select 1', 'set local role none']

/** Every way to run a text. */
const ways = (run: Executor, text: string): (() => Promise<unknown>)[] => [
  () => run.status(text),
  () => run.all(text),
  () => run.first(text),
  () => run.scalar(text, []),
  () => run.sql`${sql.raw(text)}`.all(),
]

async function refused(run: Executor, text: string): Promise<void> {
  for (const way of ways(run, text)) {
    const error = await caught(way())
    expect(error).toBeInstanceOf(TransactionStateError)
    expect(error).toMatchObject({ outcome: 'not_started' })
  }
}

forEachDriver((driver) => {
  test.each(onlyInTransaction)('without a transaction it is refused: %s', async (text) => {
    const db = await driver.single()
    const baked = db.bake(text)

    await refused(db, text)
    await db.detached(() => refused(db, text), { settings: { 'app.a': '1' } })
    await db.scope((connection) => refused(connection, text))
    await db.scope(() => refused(db, text), { settings: { 'app.a': '1' } })
    expect(await caught(baked.all())).toBeInstanceOf(TransactionStateError)
    {
      await using connection = await db.acquire()
      await refused(connection, text)
    }
    await until(() => doing(db) === '0 lent, 1 idle, 0 waiting')
  })

  test.each([...locks, ...inner, ...inTransaction])('in a transaction it runs: %s', async (text) => {
    const db = await driver.single()

    await db.transaction(() => db.status(text))
    await db.transaction((tx) => tx.transaction(() => db.bake(text).all()))
    await db.scope((connection) => connection.transaction(() => connection.all(text)))
    {
      await using tx = await db.begin()
      await tx.status(text)
    }
    await using connection = await db.acquire()
    await connection.status('begin')
    await connection.status(text)
    await connection.status('rollback')
    expect(await caught(connection.status(text))).toBeInstanceOf(TransactionStateError)
  })

  test('executeMany is a transaction, and so are several statements in one text', async () => {
    const db = await driver.single()
    await db.executeMany('select pg_advisory_xact_lock($1)', [[1], [2]])
    await db.status('select pg_advisory_xact_lock(1); select 1')
  })

  test('a lock in a query of a model is refused outside of a transaction', async () => {
    const db = await driver.single()
    const name = await driver.table('id int primary key')
    class Row extends Model(db, pgTable(name, { id: integer().primaryKey() })) {}
    const locked = (): Promise<unknown> => Row.where(drizzle.sql`pg_try_advisory_xact_lock(1)`).all()

    expect(await caught(locked())).toBeInstanceOf(TransactionStateError)
    expect(await db.transaction(locked)).toEqual([])
  })

  test('a function or view that takes such a lock can be made anywhere', async () => {
    const db = await driver.single()
    const name = await driver.table('n int')
    await db.status(`create function ${name}f() returns void begin atomic select pg_advisory_xact_lock(1); end`)
    await db.status(`create view ${name}v as select pg_try_advisory_xact_lock(1) as got`)
  })

  const drawn = async (db: Db, table: string): Promise<void> => {
    await db.status(`insert into ${table} (n) values (1)`)
  }

  test.each(['lastval()', 'currval(_)', 'pg_catalog."lastval"()', 'CURRVAL /* x */ (_)'])(
    '%s is refused without a frame, and answers for its own session in one',
    async (call) => {
      const table = await driver.table('id int generated always as identity, n int')
      const text = `select ${call.replace('(_)', `(pg_get_serial_sequence('${table}', 'id'))`)}`
      const db = await driver.single()
      await drawn(db, table)

      const error = await caught(db.scalar(text))
      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toContain('RETURNING')
      expect(await caught(db.detached(() => db.scalar(text), { settings: { 'app.a': '1' } }))).toBeInstanceOf(
        UsageError,
      )
      expect(await caught(db.bake(text).all())).toBeInstanceOf(UsageError)

      const inScope = await db.scope(async (connection) => {
        await drawn(db, table)
        const value = await db.scalar(text)
        // The number is the session's: it stays.
        expect(await caught(connection.release({ permanent: false }))).toBeInstanceOf(TransactionStateError)
        await db.idle(() => expect(doing(db)).toBe('1 lent, 0 idle, 0 waiting'))
        return value
      })
      const inOne = await db.transaction(async () => {
        await drawn(db, table)
        return db.scalar(text)
      })
      expect([inScope, inOne]).toEqual([2, 3])
    },
  )

  test('state that was undone, or that is only for one transaction, pins nothing', async () => {
    const db = await driver.single()
    await using connection = await db.acquire()
    await connection.transaction(async (tx) => {
      await tx.status(`set local application_name = 'brief'`)
      await tx.scalar(`select set_config('app.user', '7', true)`)
      await tx.status('create temporary table brief (n int) on commit drop')
      await tx.scalar('select pg_advisory_xact_lock(4711)')
    })

    await connection.release({ permanent: false })

    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })
})

test('nothing of what is refused is sent', async () => {
  await using server = await fake()
  for (const text of [...onlyInTransaction, 'select lastval()']) await caught(server.db.status(text))
  await server.db.scope(async (connection) => {
    for (const text of onlyInTransaction) await caught(connection.status(text))
  })
  expect(server.sent()).toEqual([])
  await sound(server)
})

test('behind a pooler lastval() runs in a transaction, which has one session, and nowhere else', async () => {
  await using server = await fake({ answer: () => [{ lastval: 7 }] }, { pooler: 'transaction' })
  const { db } = server
  expect(await caught(db.scalar('select lastval()'))).toBeInstanceOf(UsageError)
  expect(await caught(db.scope(() => db.scalar('select lastval()')))).toBeInstanceOf(UsageError)
  expect(await db.transaction(() => db.scalar('select lastval()'))).toBe(7)
})
