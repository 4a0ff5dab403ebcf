/** What a connection brings back from its borrower, and that the next one finds none of it. */

import { type Connection, createDb, type Db, UsageError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake, type Fake } from '../support/fake.ts'
import { noticesDuring } from '../support/gate.ts'
import { forEachDriver, pid } from '../support/matrix.ts'
import { until } from '../support/until.ts'

/** What the statement leaves in the session: `probe` gives `true` where it is found. */
const dirt: readonly (readonly [what: string, text: string, probe: string])[] = [
  ['SET', "set search_path to 'leak'", "select current_setting('search_path') = 'leak'"],
  ['SET SESSION', 'set session statement_timeout = 54321', "select current_setting('statement_timeout') = '54321ms'"],
  ['set_config', "select set_config('app.tenant', '7', false)", "select current_setting('app.tenant', true) = '7'"],
  ['SET TIME ZONE', "set time zone 'Asia/Kolkata'", "select current_setting('timezone') = 'Asia/Kolkata'"],
  ['SET ROLE', 'set role pg_monitor', "select current_user = 'pg_monitor'"],
  ['SET SESSION AUTHORIZATION', 'set session authorization pg_monitor', "select session_user = 'pg_monitor'"],
  ['set_config of the role', "select set_config('role', 'pg_monitor', false)", "select current_user = 'pg_monitor'"],
  ['a temporary table', 'create temp table leak (n int)', "select to_regclass('pg_temp.leak') is not null"],
  ['SELECT INTO TEMP', 'select 1 as n into temp leak', "select to_regclass('pg_temp.leak') is not null"],
  ['LISTEN', 'listen leak', "select 'leak' in (select pg_listening_channels())"],
  ['an advisory lock', 'select pg_advisory_lock(54321)', advisory()],
  ['a shared advisory lock', 'select pg_advisory_lock_shared(1, 2)', advisory()],
  [
    'a cursor WITH HOLD',
    'declare leak cursor with hold for select 1',
    "select 'leak' in (select name from pg_cursors)",
  ],
  ['PREPARE', 'prepare leak as select 1', "select 'leak' in (select name from pg_prepared_statements)"],
  [
    'DO',
    "do $$ begin perform set_config('app.tenant', '7', false); end $$",
    "select current_setting('app.tenant', true) = '7'",
  ],
  ['several statements', "select 1; set app.tenant = '7'", "select current_setting('app.tenant', true) = '7'"],
]

function advisory(): string {
  return "select exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())"
}

forEachDriver((driver) => {
  test('what onConnect set outlives every reset: settings of the server, made-up ones, the role', async () => {
    const state = `select current_setting('application_name') as name, current_setting('work_mem') as memory,
      current_setting('app.tenant', true) as tenant, current_setting('app.who', true) as who, current_user::text as role`
    const db = await driver.single({
      onConnect: async (connection) => {
        await connection.status(`set application_name = 'it''s \\ "ready"'`)
        await connection.scalar(`select set_config('work_mem', '5MB', false)`)
        await connection.status(`set app.tenant = 'none'`)
        await connection.scalar(`select set_config($1, $2, false)`, ['app.who', 'nobody'])
        await connection.status('set role pg_read_all_stats')
      },
    })
    const before = await db.one(state)

    await db.scope(async () => {
      await db.status(`set application_name = 'other'`)
      await db.status(`set work_mem = '7MB'`)
      await db.status(`set app.tenant = 'other'`)
      await db.status(`set app.who = 'other'`)
      await db.status('reset role')
    })

    expect(before).toEqual({
      name: `it's \\ "ready"`,
      memory: '5MB',
      tenant: 'none',
      who: 'nobody',
      role: 'pg_read_all_stats',
    })
    expect(await db.one(state)).toEqual(before)
    await using connection = await db.acquire()
    await connection.status('discard all')
    await connection.release({ permanent: false, discardSession: true })
    expect(await connection.one(state)).toEqual(before)
  })

  test('LISTEN in onConnect is refused, because a reset would lose it', async () => {
    const db = createDb(await driver.url(), { onConnect: (connection) => connection.status('listen news') })

    const error = await caught(db.open())

    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toContain('onConnect')
    await db.close()
  })

  describe.each(dirt)('%s', (_, text, probe) => {
    const found = (executor: Db | Connection): Promise<unknown> => executor.scalar(probe)

    test('lasts as long as the scope, and the next borrower of the connection finds nothing of it', async () => {
      const db = await driver.single()
      const before = await pid(db)

      await db.scope(async () => {
        await db.status(text)
        expect(await found(db)).toBe(true)
      })

      expect(await found(db)).not.toBe(true)
      await db.scope(async (connection) => expect(await found(connection)).not.toBe(true))
      expect(await pid(db)).toBe(before)
    })

    test('is gone as well when the statement was sent and its scope threw', async () => {
      const db = await driver.single()

      await caught(
        db.scope(async () => {
          await db.status(text)
          throw new TypeError('no')
        }),
      )

      expect(await found(db)).not.toBe(true)
    })
  })

  test('prepared statements of the driver survive a reset', async () => {
    const db = await driver.single()
    const run = (): Promise<unknown> => db.scalar('select $1::int + 1000', [1])
    const prepared = (): Promise<unknown> =>
      db.scalar(
        "select count(*) from pg_prepared_statements where statement like '%+ 1000%' and statement not like '%pg_prepared%'",
      )
    await run()
    const before = await prepared()

    await db.scope(() => db.status("set search_path to 'x'"))
    await run()

    expect(await prepared()).toBe(before)
  })

  test.each([
    ['open', "select set_config('app.tenant', '7', false)"],
    ['failed', 'select 1 / 0'],
  ])('a transaction begun by text that is still %s is rolled back', async (_, text) => {
    const db = await driver.single()
    const t = await driver.table('n int')

    const connection = await db.acquire()
    await connection.status('begin')
    await connection.status(`insert into ${t} values (1)`)
    await connection.status(text).catch(() => {})
    await connection.release()

    expect(await db.scalar(`select count(*) from ${t}`)).toBe(0)
    expect(await db.scalar("select current_setting('app.tenant', true) = '7'")).not.toBe(true)
  })

  test('the settings the session began with are back after a reset', async () => {
    const db = await driver.single({ settings: { timezone: 'Asia/Kolkata' } })

    await db.scope(async () => {
      await db.status("set time zone 'Europe/Paris'")
      await db.status('reset all')
    })
    await db.scope(() => db.status('set session authorization pg_monitor'))

    expect(await db.scalar("select current_setting('timezone')")).toBe('Asia/Kolkata')
  })

  test("with reset: 'always' effects hidden in functions are undone too", async () => {
    const t = await driver.table('n int')
    const text = `create function ${t}_hidden() returns text volatile language sql as $$ select set_config('app.tenant', '7', false) $$`
    const tenant = "select current_setting('app.tenant', true) = '7'"
    const always = await driver.single({ reset: 'always' })
    await always.status(text)

    await always.scope(() => always.scalar(`select ${t}_hidden()`))

    expect(await always.scalar(tenant)).not.toBe(true)
  })
})

describe('a reset costs a round trip only where it is needed', () => {
  const resets = async (texts: readonly string[]): Promise<string[]> => {
    await using server = await fake({ answer: () => [] })
    const { db } = server
    await db.scope(async () => {
      for (const text of texts) await db.status(text)
    })
    await until(() => db.stats().idle === 1)
    return server.sent().filter((line) => line.startsWith('<'))
  }

  test.each([
    'select 1',
    'select * from t for update',
    "insert into t values ('set')",
    'update t set v = 2',
    'delete from t',
    'values (1)',
    'with x as (select 1) select * from x',
    "select nextval('s')",
    "select set_config('app.x', '1', true), 1",
    'show timezone',
    'merge into t using t s on false when not matched then do nothing',
  ])('none after %s', async (text) => {
    expect(await resets([text])).toEqual([])
  })

  test.each([
    ['set app.x = 1', '<reset settings>'],
    ['set role x', '<reset role>'],
    ['listen x', '<reset listen>'],
    ['create temp table x ()', '<reset temp>'],
    ['select pg_advisory_lock(1)', '<reset locks>'],
    ['create table x ()', '<reset unknown>'],
    ['do $$ begin end $$', '<reset unknown>'],
    ["select dblink('…')", '<reset unknown>'],
  ])('one after %s', async (text, line) => {
    expect(await resets([text, text])).toEqual([line])
  })

  test('one for all that a borrower did', async () => {
    expect(await resets(['set app.x = 1', 'listen x', 'select 1'])).toEqual(['<reset settings listen>'])
  })

  test('an implicit statement that dirties is followed by one too', async () => {
    await using server = await fake({ answer: () => [] })

    await server.db.status('create table x ()')
    await server.db.scalar('select 1')

    expect(server.sent()).toEqual(['create table x ()', '<reset unknown>', 'select 1'])
  })

  test('a statement that was sent and failed counts: it may have had its effect', async () => {
    await using server = await fake()
    server.driver.faults.at('set app.x', { error: '42501' })

    await caught(server.db.scope(() => server.db.status('set app.x = 1')))
    await server.db.scalar('select 1')

    expect(server.sent()).toContain('<reset settings>')
  })

  test("with reset: 'always' one after every borrower", async () => {
    await using server = await fake({}, { reset: 'always' })

    await server.db.scope(() => server.db.scalar('select 1'))
    await server.db.scalar('select 2')

    expect(server.sent().filter((line) => line.startsWith('<reset')).length).toBe(2)
  })
})

describe('a statement that leaves a transaction open outside of any', () => {
  const odd = (): Promise<Fake> =>
    fake({ answer: (text, _, session) => (text === 'odd' ? (session.execute('begin', []), []) : undefined) })

  test('in a scope is rolled back before the next statement, and told', async () => {
    await using server = await odd()
    const { db } = server

    const notices = await noticesDuring(() =>
      db.scope(async () => {
        await db.status('odd')
        await db.status('insert into t values (1)')
      }),
    )

    expect(notices.map(({ code }) => code)).toEqual(['connection-closed-dirty'])
    expect(server.sent().slice(0, 3)).toEqual(['odd', 'ROLLBACK', 'insert into t values (1)'])
    expect(server.driver.rows('t')).toEqual([{ v: 1 }])
  })

  test('without a frame is rolled back before the next borrower, and told', async () => {
    await using server = await odd()

    const notices = await noticesDuring(async () => {
      await server.db.status('odd')
      await server.db.status('insert into t values (1)')
    })

    expect(notices.map(({ code }) => code)).toEqual(['connection-closed-dirty'])
    expect(server.driver.rows('t')).toEqual([{ v: 1 }])
  })
})

test('a connection whose reset fails is closed, and the next borrower gets another', async () => {
  await using server = await fake({}, { pool: { max: 1 } })
  server.driver.faults.at({ phase: 'reset' }, { error: '57014' })

  await server.db.scope(() => server.db.status('set app.x = 1'))
  expect(await server.db.scalar('select 7')).toBe(7)

  expect(server.driver.sessions).toHaveLength(2)
})
