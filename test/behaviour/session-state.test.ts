/** What code does to a session is gone when the connection goes back; what a lost session held is not missed in silence. */

import { type Connection, ConnectionLostError, type Db } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { onServer } from '../support/database.ts'
import { fake } from '../support/fake.ts'
import { noticesDuring } from '../support/gate.ts'
import { doing, forEachDriver, pid } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const state = `select current_setting('application_name') as name, coalesce(current_setting('app.who', true), '') as setting,
  current_user::text as role, to_regclass('pg_temp.mine') as temporary,
  (select count(*)::int from pg_listening_channels()) as channels,
  (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
  (select count(*)::int from pg_cursors where name = 'mine') as cursors,
  (select count(*)::int from pg_prepared_statements where name = 'mine') as prepared`

const changes: Readonly<Record<string, (connection: Connection) => Promise<unknown>>> = {
  SET: (connection) => connection.status(`set application_name = 'mine'`),
  set_config: (connection) => connection.scalar(`select set_config('app.who', '7', false)`),
  'SET ROLE': (connection) => connection.status('set role pg_read_all_stats'),
  'a temporary table': (connection) => connection.status('create temporary table mine (n int)'),
  LISTEN: (connection) => connection.status('listen mine'),
  'an advisory lock': (connection) => connection.scalar('select pg_advisory_lock(4712)'),
  'a cursor WITH HOLD': (connection) => connection.status('declare mine cursor with hold for select 1'),
  PREPARE: (connection) => connection.status('prepare mine as select 1'),
  'several statements in one text': (connection) =>
    connection.status(`set application_name = 'mine'; select pg_advisory_lock(4712); listen mine`),
  DO: (connection) => connection.status(`do $$ begin perform set_config('app.who', '7', false); end $$`),
  'a mutual undoing': async (connection) => {
    await connection.status('set role pg_read_all_stats')
    await connection.status(`set application_name = 'mine'`)
  },
}

forEachDriver((driver) => {
  test.each(Object.entries(changes))('nothing of it is left for the next one: %s', async (_, change) => {
    const db = await driver.single()
    const before = await db.one(state)

    await db.scope(change)
    expect(await db.one(state)).toEqual(before)

    const connection = await db.acquire()
    await change(connection)
    await connection.release()
    expect(await db.one(state)).toEqual(before)
  })

  test('in the scope itself it stays from statement to statement', async () => {
    const db = await driver.single()

    await db.scope(async () => {
      await db.status('create temporary table mine (n int)')
      await db.status('insert into mine values (1)')
      expect(await db.scope(() => db.transaction(() => db.scalar('select n from mine')))).toBe(1)
    })
  })

  test('a transaction begun by text and never ended is rolled back when its handle is released, and that is told', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    const connection = await db.acquire()
    await connection.status('begin')
    await connection.status(`insert into ${table} values (1)`)

    const notices = await noticesDuring(() => connection.release())

    expect(notices.map(({ code }) => code)).toEqual(['connection-closed-dirty'])
    expect(await db.scalar(`select count(*)::int from ${table}`)).toBe(0)
  })

  test('after a statement that failed in it such a transaction is rolled back as well', async () => {
    const db = await driver.single()
    const connection = await db.acquire()
    await connection.status('begin')
    await caught(connection.scalar('select 1 / 0'))

    await connection.release()

    expect(await db.scalar('select 1')).toBe(1)
  })

  test.skipIf(!driver.lends)(
    'rawConnection() keeps its connection to the end of the scope, and the connection is cleaned after it',
    async () => {
      const db = await driver.single()

      await db.scope(async (connection) => {
        const raw = await connection.rawConnection()
        await db.idle(() => expect(doing(db)).toBe('1 lent, 0 idle, 0 waiting'))
        expect([raw === connection.raw, await db.scalar('select 1')]).toEqual([true, 1])
      })

      await until(() => doing(db) === '0 lent, 1 idle, 0 waiting')
    },
  )

  test.skipIf(!driver.lends)(
    'what was done with rawConnection() nobody sees afterwards: settings, role, tables, an open transaction',
    async () => {
      const db = await driver.single()
      const table = await driver.table('n int')
      const state = `select current_setting('application_name') as name, current_user::text as role,
      coalesce(current_setting('app.who', true), '') as who, to_regclass('pg_temp.mine') as temporary,
      (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks`
      const before = await db.one(state)
      const own = await pid(db)

      await db.scope(async (connection) => {
        const client = (await connection.rawConnection()) as { query(text: string): Promise<unknown> }
        for (const text of [`set application_name = 'raw'`, `set app.who = '7'`, 'create temp table mine (n int)'])
          await client.query(text)
        for (const text of ['select pg_advisory_lock(4711)', 'begin', `insert into ${table} values (1)`])
          await client.query(text)
        await client.query('set role pg_monitor')
      })

      expect(await db.one(state)).toEqual(before)
      expect(await db.all(`select n from ${table}`)).toEqual([])
      expect(await pid(db)).toBe(own)
    },
  )
})

forEachDriver(
  (driver) => {
    const kill = async (db: Db): Promise<void> => {
      await onServer('select pg_terminate_backend($1)', [await pid(db)])
      await until(() => db.stats().open === 0)
    }

    test('a scope whose connection dies between two statements borrows another one', async () => {
      const db = await driver.single()

      await db.scope(async () => {
        const first = await pid(db)
        await kill(db)
        expect(await pid(db)).not.toBe(first)
      })
    })

    test('a scope that relied on what its session held is told once that it is gone', async () => {
      const db = await driver.single()

      await db.scope(async () => {
        await db.status(`set application_name = 'mine'`)
        await kill(db)
        const error = await caught(db.scalar('show application_name'))
        expect([error instanceof ConnectionLostError, error.outcome]).toEqual([true, 'not_started'])
        expect(await db.scalar('show application_name')).not.toBe('mine')
      })
    })

    test('settings of a scope are sent to the new connection too', async () => {
      const db = await driver.single()

      await db.scope(
        async () => {
          await kill(db)
          expect(await db.scalar(`select current_setting('app.tenant')`)).toBe('7')
        },
        { settings: { 'app.tenant': '7' } },
      )
    })
  },
  { connections: 2 },
)

test('a connection that cannot be cleaned is closed, and nobody gets it', async () => {
  await using server = await fake({}, { pool: { max: 1 } })
  const { db, driver } = server
  driver.faults.at({ phase: 'reset' }, { error: '57P03' })

  await db.scope(() => db.status('set a.b = 1'))

  expect(await db.scalar('select 1')).toBe(1)
  expect([driver.sessions.length, driver.openCount, driver.violations]).toEqual([2, 1, []])
})

test('one that is not cleaned in time is closed as well', async () => {
  await using server = await fake({}, { pool: { max: 1 }, resetTimeoutMs: 20 })
  const { db, driver } = server
  driver.faults.at({ phase: 'reset' }, { hang: true })

  await db.scope(() => db.status('set a.b = 1'))

  expect(await db.scalar('select 1')).toBe(1)
  expect(driver.sessions.length).toBe(2)
})

test("reset: 'always' cleans after every use, for effects that no text shows", async () => {
  await using server = await fake({}, { pool: { max: 1 }, reset: 'always' })

  await server.db.scalar('select 1')
  await until(() => server.db.stats().idle === 1)

  expect(server.sent()).toEqual(['select 1', expect.stringContaining('<reset')])
})
