/** The sandbox on every driver, also on the fake one, where faults strike at any message. */

import {
  ConnectionLostError,
  createDb,
  type Db,
  SelfDeadlockError,
  TransactionStateError,
  UniqueViolationError,
} from 'genever'
import { migrate, migrationStatus } from 'genever/migrations'
import { sandboxed } from 'genever/testing'
import { FakeDriver } from '../support/fake/driver.ts'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver } from '../support/matrix.ts'
import { folderOf } from '../support/migration-folders.ts'
import { until } from '../support/until.ts'

forEachDriver((driver) => {
  test.each([1, 5])('everything a test does is gone afterwards, with at most %i connections', async (max) => {
    const db = await driver.db({ pool: { max } })
    const table = await driver.table('id int primary key')
    const insert = (id: number): Promise<unknown> =>
      db.status(`insert into ${table} values (${driver.words.placeholder(1)})`, [id])
    const ids = async (): Promise<unknown[]> =>
      (await db.all(`select id from ${table} order by id`)).map(({ id }) => id)

    await sandboxed(db, async () => {
      await Promise.all([1, 2, 3, 4].map(insert))
      expect(await caught(insert(1))).toBeInstanceOf(UniqueViolationError)
      await db.transaction(async () => {
        await insert(5)
        await caught(db.transaction(() => insert(1)))
        await db.transaction(() => insert(6))
      })
      await caught(db.transaction(async () => void (await insert(7), await insert(1))))
      await Promise.all([8, 9].map((id) => db.transaction(() => insert(id))))
      await db.scope(() => insert(10), { settings: { 'app.tenant': 'a' } })
      const makesTable = db.status('create table inside (n int)')
      await (driver.words.rollsBackTables ? makesTable : caught(makesTable))
      expect(await ids()).toEqual([1, 2, 3, 4, 5, 6, 8, 9, 10])
    })

    expect(await ids()).toEqual([])
    expect(await db.all("select 1 from information_schema.tables where table_name = 'inside'")).toEqual([])
    await sandboxed(db, () => insert(1))
    expect(await ids()).toEqual([])
  })

  test.skipIf(driver.name === 'mysql')('who listens inside hears what is sent behind it', async () => {
    const db = await driver.db()
    const heard: unknown[] = []
    const channel = `sandboxed_${process.pid}`
    const listener = await sandboxed(db, () => db.listen(channel, ({ payload }) => void heard.push(payload)))
    await db.notify(channel, 'after')
    await until(() => heard.length > 0)
    await listener.unlisten()

    expect(heard).toEqual(['after'])
  })

  test('a second connection where there is only one is refused at once', async () => {
    const db = await driver.single()
    const work = (): Promise<unknown> =>
      db.transaction(async () => {
        await db.all('select 1')
        await db.transaction(() => db.all('select 1'), { reuse: false })
      })

    expect(await caught(sandboxed(db, work))).toBeInstanceOf(SelfDeadlockError)
  })

  test.skipIf(driver.name === 'mysql').each([1, 5])(
    'migrations run in it and are gone afterwards, several places at once too, with at most %i connections',
    async (max) => {
      const db = await driver.db({ pool: { max } })
      const folder = await folderOf({
        '1_first.sql': 'create table migrated (n int); insert into migrated values (1)',
        '2_second.sql': 'insert into migrated values (2)',
      })
      const numbers = async (schema: string): Promise<unknown[]> =>
        (await db.all(`select n from ${schema}.migrated order by n`)).map(({ n }) => n)
      await sandboxed(db, async () => {
        const [{ applied }, again] = [await migrate(db, { folder }), await migrate(db, { folder })]
        expect(applied.map(({ file }) => file)).toEqual(['1_first', '2_second'])
        expect(again.applied).toEqual([])
        for (const schema of ['a', 'b']) await db.status(`create schema ${schema}`)
        const places = { folder, schemas: ['a', 'b'], concurrency: 2 }
        await Promise.all([migrate(db, places), migrate(db, places)])
        for (const schema of ['public', 'a', 'b']) expect(await numbers(schema)).toEqual([1, 2])
        expect((await migrationStatus(db, places)).pending).toEqual([])
      })

      expect((await migrationStatus(db, { folder })).pending).toHaveLength(2)
      expect(await db.all("select 1 from information_schema.tables where table_name = 'migrated'")).toEqual([])
    },
  )

  test.skipIf(driver.name === 'mysql').each([
    ['refuse a transaction', 'create index concurrently i on apart (n)'],
    [
      'need what was committed before',
      "create type e as enum ('a'); alter type e add value 'b'; select cast('b' as e)",
    ],
  ])('a migration with statements that %s is refused by name, before any of them runs', async (_, text) => {
    const db = await driver.db()
    const folder = await folderOf({ '1_first.sql': 'create table apart (n int)', '2_apart.sql': text })
    await sandboxed(db, async () => {
      expect(await caught(migrate(db, { folder }))).toMatchObject({
        code: 'GENEVER_MIGRATION',
        outcome: 'not_started',
        message: expect.stringMatching(/^2_apart .*in a sandbox.*before the sandbox/) as string,
      })
    })
  })

  test.runIf(driver.name === 'mysql')('migrations are refused, because DDL commits by itself', async () => {
    const db = await driver.db()
    const folder = await folderOf({ '1_first.sql': 'create table t (n int)' })
    const error = await sandboxed(db, () => caught(migrate(db, { folder })))

    expect(error).toBeInstanceOf(TransactionStateError)
    expect(error.message).toMatch(/^migrate\(\) cannot run in a sandbox on (MySQL|MariaDB).*before the sandbox/)
    const { pending } = await sandboxed(db, () => migrationStatus(db, { folder }))
    expect(pending).toHaveLength(1)
  })

  test('rows come in a loop that uses another connection, where there is one', async () => {
    const db = await driver.db({ pool: { max: 5 } })
    const seen: unknown[] = []
    const loop = async (): Promise<void> => {
      const rows = db.iterate<{ n: number }>(driver.words.series(7), [], { batchSize: 3 })
      for await (const { n } of rows) seen.push(n, await db.scalar(driver.words.integer, [-n]))
    }
    // With one connection, the loop and its body share a transaction.
    await sandboxed(db, () => (driver.most === 1 ? db.transaction(loop) : loop()))

    expect(seen).toEqual([1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7])
  })
})

describe('on the fake driver', () => {
  const insert = (db: Db, id: number): Promise<unknown> => db.status('insert into t (id) values (:id)', { id })

  test('nothing is left, no rule of the contract is broken, and every transaction is rolled back', async () => {
    await using server = await fake({ tables: { t: [] } }, { pool: { max: 3 } })
    const { db, driver } = server
    await sandboxed(db, async () => {
      await Promise.all([insert(db, 1), insert(db, 2)])
      await db
        .transaction(async () => {
          await insert(db, 3)
          await caught(db.status('fail 23505'))
        })
        .catch(() => {})
      await db.transaction(() => insert(db, 4))
      expect(await db.all('select id from t order by id')).toEqual([{ id: 1 }, { id: 2 }, { id: 4 }])
    })

    expect(driver.rows('t')).toEqual([])
    expect(driver.violations).toEqual([])
    expect(driver.log.filter((line) => /COMMIT/i.test(line))).toEqual([])
    expect(String(driver.sessions[0])).toMatch(/idle/)
  })

  test('BEGIN is a savepoint and nothing else, its end a release, and a statement inside has no savepoint', async () => {
    await using server = await fake({ tables: { t: [] } })
    await sandboxed(server.db, async () => {
      await server.db.all('select 1')
      server.sent()
      await server.db.transaction(() => insert(server.db, 1))
      const [begin = '', statement = '', end = '', ...rest] = server.sent()

      expect(begin).toMatch(/^SAVEPOINT genever_sandbox_\d+$/)
      expect(statement).toMatch(/^insert into t[^;]*$/)
      expect(end).toMatch(/^RELEASE SAVEPOINT genever_sandbox_\d+$/)
      expect(rest).toEqual([])
    })
  })

  const points = ['BEGIN', 'SAVEPOINT', 'insert', 'RELEASE', 'ROLLBACK TO', 'RESET ALL']
  test.each(points)(
    'a connection lost at %s is told, rolls everything back, and the engine works again',
    async (text) => {
      await using server = await fake({ tables: { t: [] } }, { pool: { max: 2 } })
      const { db, driver } = server
      driver.faults.at({ text, nth: text === 'SAVEPOINT' || text === 'RELEASE' ? 4 : 1 }, { lost: '57P01' })
      const error = await caught(
        sandboxed(db, async () => {
          await insert(db, 1).catch(() => {})
          await db.transaction(async () => void (await insert(db, 2), await db.status('fail 23505'))).catch(() => {})
          await db.transaction(() => insert(db, 3)).catch(() => {})
          await db.all('select 1')
        }),
      )

      expect(driver.faults.pending).toBe(0)
      expect(error).toBeInstanceOf(ConnectionLostError)
      await insert(db, 9)
      expect(driver.rows('t')).toEqual([{ id: 9 }])
      expect(driver.violations).toEqual([])
    },
  )

  test('a statement that cannot be stopped costs the sandbox its connection, and nothing else', async () => {
    await using server = await fake({ tables: { t: [] } }, { pool: { max: 2 }, cancelTimeoutMs: 50 })
    const { db, driver } = server
    driver.faults.at('sleep', { hang: true })
    driver.faults.at({ phase: 'cancel' }, { hang: true })
    const error = await caught(
      sandboxed(db, async () => {
        await insert(db, 1)
        await caught(db.status('sleep 1', [], { timeoutMs: 20 }))
        await until(() => driver.openCount === 0)
        await db.all('select 1')
      }),
    )

    expect(error).toBeInstanceOf(ConnectionLostError)
    await insert(db, 2)
    expect(driver.rows('t')).toEqual([{ id: 2 }])
  })

  test('when the ROLLBACK at the end gets no answer the connection is closed, and the test has passed', async () => {
    await using server = await fake({ tables: { t: [] } }, { pool: { max: 2 }, cancelTimeoutMs: 50 })
    const { db, driver } = server
    driver.faults.at({ text: /^ROLLBACK$/, phase: 'answer' }, { hang: true })

    await sandboxed(db, () => insert(db, 1))
    await until(() => driver.openCount === 0)
    await insert(db, 2)
    expect(driver.rows('t')).toEqual([{ id: 2 }])
  })

  test('a sandbox that cannot be opened leaves the engine as it was', async () => {
    const driver = new FakeDriver({ tables: { t: [] } })
    const db = await createDb({ driver, pool: { max: 1 } }).open()
    driver.faults.at('BEGIN', { error: '57P03' })

    expect(await caught(sandboxed(db, () => 1))).toMatchObject({ sqlState: '57P03' })
    await insert(db, 1)
    expect(driver.rows('t')).toEqual([{ id: 1 }])
    expect(await sandboxed(db, () => db.all('select id from t'))).toEqual([{ id: 1 }])
    await db.close()
  })
})
