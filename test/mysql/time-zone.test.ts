/** The session of MySQL stays in UTC, in which dates are sent and read: another time zone is refused at every door that sets one. */

import { type Db, UsageError } from 'genever'
import { createRegistry } from 'genever/registry'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { dbOfTest, describeMysql, freshMysql, type FreshMysql } from '../support/mysql.ts'

const noon = new Date('2024-07-01T12:00:00Z')

describeMysql('the time zone of MySQL', () => {
  let server: FreshMysql
  beforeAll(async () => {
    server = await freshMysql(
      'create table seen (at timestamp not null, day datetime)',
      "create procedure moves() begin set time_zone = '+02:00'; end",
      "create procedure moves_back() begin set time_zone = '+02:00'; set time_zone = '+00:00'; end",
      "create procedure moves_and_fails() begin set time_zone = '+02:00'; signal sqlstate '45000'; end",
      "create procedure moves_and_answers() begin set time_zone = '+02:00'; select 1 as a; end",
      "create function moved_and_failed() returns int begin set time_zone = '+02:00'; signal sqlstate '45000'; return 1; end",
      "create function moved() returns int begin set time_zone = '+02:00'; return 1; end",
    )
  })
  afterAll(() => server[Symbol.asyncDispose]())

  const open = (options: object = {}): Db => dbOfTest(server.url, options)

  test.each(['+02:00', 'Europe/Berlin', 'SYSTEM', 'DEFAULT'])(
    'settings of an engine, a scope, a connection and a tenant with the zone %s are refused before anything is sent',
    async (zone) => {
      const settings = { Time_Zone: zone }
      const wrong = await caught(open({ settings }).all('select 1'))
      expect(wrong.message).toMatch(/time_zone, which can only be UTC .* convert_tz\(/i)

      using heard = hear(`zone ${zone}`)
      const db = open({ name: `zone ${zone}` })
      const tenants = createRegistry({ main: { url: server.url }, tenancy: { settings: () => settings } })
      onTestFinished(async () => void (await tenants.close()))
      for (const use of [
        () => db.scope(() => db.all('select 1'), { settings }),
        () => db.scope(() => db.transaction((tx) => tx.all('select 1')), { settings }),
        () => db.transaction(() => db.scope(() => db.all('select 1'), { settings })),
        () => tenants.withTenant('a', () => tenants.all('select 1')),
      ]) {
        const error = await caught(use())
        expect(error).toBeInstanceOf(UsageError)
        expect(error.message).toMatch(/convert_tz.*rawConnection/)
      }
      expect(heard.statements.filter(({ sql }) => /select|time_zone/i.test(sql))).toEqual([])
    },
  )

  test.each([
    "set time_zone = '+02:00'",
    "SET SESSION time_zone := '+02:00'",
    "set @@session.time_zone = '+02:00'",
    "set @@time_zone='+02:00'",
    "set local `time_zone` = '+02:00'",
    "set time_zone /* here */ = '+02:00'",
    "set @a = 1, time_zone = '+02:00'",
    "set time_zone = '+00:00', time_zone = '+02:00'",
    'set time_zone = @zone',
    'set time_zone = default',
    "set time_zone = concat('+0', '2:00')",
    "set time_zone = '+0' '2:00'",
    "set global max_connections = 100, session time_zone = '+02:00'",
  ])('%s is refused in a scope, in a transaction, in onConnect and without a scope', async (text) => {
    const db = open()
    for (const use of [
      () => db.scope(() => db.status(text)),
      () => db.transaction((tx) => tx.status(text)),
      () => db.status(text),
      () => open({ onConnect: (connection: Db) => connection.status(text) }).all('select 1'),
    ]) {
      const error = await caught(use())
      const said = [error, error.cause].map((each) => String((each as Error | undefined)?.message)).join(' ')
      expect(said).toContain('convert_tz')
    }
    expect(await db.scalar('select @@time_zone')).toBe('+00:00')
  })

  test.each([
    "set autocommit = 1, time_zone = '+02:00'",
    "set statement time_zone = '+02:00' for select from_unixtime(0)",
  ])('%s is refused on a connection from acquire()', async (text) => {
    const connection = await open().acquire()
    const error = await caught(connection.status(text))
    expect(await connection.scalar('select @@time_zone')).toBe('+00:00')
    await connection.release()

    expect([error.name, error.outcome]).toEqual(['UsageError', 'not_started'])
    expect(error.message).toContain('convert_tz')
  })

  test('UTC by any of its names may be set', async () => {
    const db = open({ settings: { time_zone: '+00:00' } })
    const [zones, text] = await db.scope(
      async () => {
        const first = await db.scalar('select @@time_zone')
        await db.status("set time_zone = '+00:00', @a = 1")
        await db.status("set session time_zone = '-00:00'")
        return [first, await db.scalar("select cast(convert_tz(?, @@time_zone, '+02:00') as char)", [noon])]
      },
      { settings: { time_zone: '-00:00' } },
    )
    expect([zones, text]).toEqual([expect.stringMatching(/^[+-]00:00$/), expect.stringMatching(/^2024-07-01 14:00:00/)])
  })

  test('a text that only names the zone runs', async () => {
    const db = open()
    await db.scope(async () => {
      await db.status("set @a = (select count(*) from (select 'x' as time_zone) as t where time_zone = 'x')")
      await db.status("set @time_zone = '+02:00'")
      expect(await db.all('select @a as a, @time_zone as z')).toEqual([{ a: 1, z: '+02:00' }])
    })
  })

  test.each([
    'call moves()',
    'call moves_and_answers()',
    'call moves_and_fails()',
    'select moved()',
    'select moved_and_failed()',
    'set @x = moved()',
    "execute immediate 'set time_zone = ''+02:00'''",
  ])('a session whose zone is moved by %s is closed, and no date is written shifted', async (text) => {
    const db = open()
    await db.status('delete from seen')
    const told: unknown[] = []
    // What the scope does then is its own affair, but no date may be shifted.
    await db
      .scope(async () => {
        await db.status(text).catch((error: unknown) => told.push(error))
        await db.status('insert into seen (at) values (?)', [noon])
      })
      .catch((error: unknown) => told.push(error))
    const said = told.flatMap((each) => [each, (each as Error).cause])
    expect(said.map((each) => String((each as Error | undefined)?.message)).join(' ')).toContain('convert_tz')
    expect(
      (await db.all<{ at: Date }>('select at from seen')).filter(({ at }) => at.getTime() !== noon.getTime()),
    ).toEqual([])
  })

  test('a procedure that puts the zone back keeps its session, and dates are right', async () => {
    const db = open()
    await db.status('delete from seen')
    await db.scope(async () => {
      await db.status('call moves_back()')
      await db.status('insert into seen values (?, ?)', [noon, noon])
    })
    expect(await db.all('select at, day, unix_timestamp(at) as s from seen')).toEqual([
      { at: noon, day: noon, s: noon.getTime() / 1000 },
    ])
  })

  test('a zone that is set on the client of rawConnection() is gone for the next user', async () => {
    const db = open()
    const connection = await db.acquire()
    const client = (await connection.rawConnection()) as {
      query(text: string, done: (error: Error | null, rows: unknown) => void): void
    }
    const ask = (text: string): Promise<unknown> =>
      new Promise((resolve, reject) =>
        client.query(text, (error, rows) => (error === null ? resolve(rows) : reject(error))),
      )
    await ask("set time_zone = '+02:00'")
    expect(await ask('select cast(from_unixtime(0) as char) as t')).toEqual([{ t: '1970-01-01 02:00:00' }])
    await connection.release()

    expect(await db.scalar('select cast(from_unixtime(0) as char)')).toBe('1970-01-01 00:00:00')
  })
})
