/** The driver `mysql` on a real server: the rules of the contract, units, transactions, errors and the login. */

import { afterEach, expect, test } from 'vitest'
import { driverContract } from '../../src/driver/contract.ts'
import type { Failure } from '../../src/driver/driver.ts'
import { ParameterError } from '../../src/errors/index.ts'
import { mysql } from '../../src/mysql/dialect.ts'
import { describeMysql } from '../support/mysql.ts'
import { type Client, connect, driver, options } from './mysql-connection.ts'
import { closeAll, later, TestConnection } from './test-connection.ts'

afterEach(closeAll)

describeMysql('the driver mysql', () => {
  const subject = { driver, read: { sql: 'select ? as one', params: [1], rows: [{ one: 1 }] }, refused: 'fail' }
  test.each(driverContract(subject).map(({ name }) => name))('%s', async (rule) => {
    await driverContract({ ...subject, options: await options(), timeoutMs: 30_000 })
      .find(({ name }) => name === rule)
      ?.run()
  })

  test.each<readonly [sql: string, value: unknown]>([
    ['cast(9007199254740991 as signed)', 9007199254740991],
    ['-1', -1],
    ['1.5', '1.5'],
    ['1e300', 1e300],
    ["'é ☃ 😀'", 'é ☃ 😀'],
    ["''", ''],
    ['null', null],
    ["x'00ff10'", Buffer.from([0, 255, 16])],
    ["cast('2024-02-29' as date)", '2024-02-29'],
    ["cast('2024-02-29 12:34:56.789' as datetime(3))", new Date('2024-02-29T12:34:56.789Z')],
    ["cast('0000-00-00 00:00:00' as datetime)", '0000-00-00 00:00:00'],
    ["cast('-838:59:59' as time)", '-838:59:59'],
    ["cast('12:34:56.700000' as time(6))", '12:34:56.700000'],
    ["cast('12345678901234567890.1234567890' as decimal(30,10))", '12345678901234567890.1234567890'],
    ["json_extract('[1, 2]', '$[1]')", 2],
  ])('%s becomes the same as text and prepared', async (sql, value) => {
    const connection = await connect()

    expect(await connection.value(`select ${sql}`)).toEqual(value)
    expect(await connection.value(`select ${sql} from (select ? as p) as t`, [1])).toEqual(value)
  })

  test.each<readonly [value: unknown, text: string | null]>([
    ['é ☃ 😀', 'é ☃ 😀'],
    ['a \\ "quote" and \'two\'', 'a \\ "quote" and \'two\''],
    ['with\0zero', 'with\0zero'],
    ['x'.repeat(70_000), 'x'.repeat(70_000)],
    [null, null],
    [5, '5'],
    [-9007199254740991, '-9007199254740991'],
    [18446744073709551615n, '18446744073709551615'],
    [123456789012345678901234567890n, '123456789012345678901234567890'],
    [0.1, '0.1'],
    [true, '1'],
    [{ a: [1, 'x'] }, '{"a":[1,"x"]}'],
    [{ toJSON: () => '12.50' }, '12.50'],
    [new Uint8Array([97, 98]), 'ab'],
    [new Date('2024-02-29T10:34:56.789Z'), '2024-02-29 10:34:56.789000'],
  ])('the parameter %o arrives as it is', async (value, text) => {
    const connection = await connect()

    expect(await connection.value('select cast(? as char)', [value])).toBe(text)
  })

  test.each([
    [Number.NaN, /number 1 .*finite/],
    [new Date(Number.NaN), /number 1 .*date/],
    ['half \ud800', /number 1 .*surrogate/],
    [() => 1, /number 1 .*function/],
  ])('what cannot be sent is refused, and nothing of its unit runs: %o', async (value, says) => {
    const connection = await connect()
    await connection.run('drop table if exists unsent')
    await connection.run('create table unsent (a int)')
    const ops = [connection.op('insert into unsent values (1)'), connection.op('select ?', [value])]
    connection.raw.submitUnit({ ops })
    await Promise.all(ops.map(({ settled }) => settled))

    expect(ops.map(({ end }) => end)).toEqual(['skipped not_started', 'encode not_started'])
    expect(ops[1]?.failure?.cause).toBeInstanceOf(ParameterError)
    expect(String(ops[1]?.failure?.cause)).toMatch(says)
    expect(await connection.value('select count(*) from unsent')).toBe(0)
  })

  test.each([
    ['prepared', 'select ? union all select ?', ['x', null]],
    ['as a text', 'execute these', []],
  ] as const)(
    'an object is NULL by what the server sent, and not by what is made of that: %s',
    async (_, text, params) => {
      const connection = await connect()
      await connection.run("prepare these from 'select 1 union all select null'")
      const team = { path: ['team', 'id'], mode: 'string', nullGroup: 1, map: () => null } as const
      const { rows, failure } = await connection.run(text, params, { into: 'object', make: null, columns: [team] })

      expect(failure).toBeNull()
      expect(rows).toEqual([{ team: { id: null } }, { team: null }])
    },
  )

  test('behind a failed statement of a unit nothing is sent', async () => {
    const connection = await connect()
    await connection.run('drop table if exists units')
    await connection.run('create table units (a int)')

    expect(await connection.unit('begin work nonsense', 'insert into units values (1)')).toEqual([
      'server 1064 rolled_back',
      'skipped not_started',
    ])
    expect(await connection.value('select count(*) from units')).toBe(0)
  })

  test('behind a statement whose answer cannot be read the unit goes on: the server has run it', async () => {
    const connection = await connect()
    await connection.run('drop table if exists units')
    await connection.run('create table units (a int)')

    expect(
      await connection.unit(
        'START TRANSACTION',
        'insert into units values (1)',
        'select 9007199254740993 as big from units',
        'COMMIT',
      ),
    ).toEqual(['START', 'INSERT 1', 'decode rolled_back', 'COMMIT'])
    expect(connection.raw.status).toBe('idle')
    expect(await connection.value('select count(*) from units')).toBe(1)
  })

  test('after an error the server is asked whether the transaction is still there', async () => {
    const connection = await connect()
    await connection.unit('START TRANSACTION')
    await connection.run('select * from nowhere')
    expect(connection.raw.status).toBe('tx')
    await connection.run('call nowhere()')
    expect(connection.raw.status).toBe('tx')
  })

  test('a transaction that a SELECT begins is known from the end of its rows', async () => {
    const connection = await connect()
    await connection.run('drop table if exists begun')
    await connection.run('create table begun (a int)')
    await connection.run('insert into begun values (1)')
    await connection.run('set autocommit = 0')
    const texts: readonly (readonly [text: string, params: readonly unknown[]])[] = [
      ['select a from begun', []],
      ['select a from begun where a = ?', [1]],
      // Without a row, too.
      ['select a from begun where a = ?', [2]],
    ]
    for (const [text, params] of texts) {
      expect(connection.raw.status).toBe('idle')
      expect((await connection.run(text, params)).failure).toBeNull()
      expect(connection.raw.status).toBe('tx')
      await connection.run('commit')
    }
  })

  test('names in errors are read from the message, and values are not in what is shown', async () => {
    const connection = await connect()
    await connection.run('drop table if exists named')
    await connection.run('create table named (a varchar(40), unique key `a key` (a))')
    await connection.run('insert into named values (?)', ["it's' for key 'x"])
    const { failure } = await connection.run('insert into named values (?)', ["it's' for key 'x"])

    expect(failure?.fields).toMatchObject({ code: '1062', sqlState: '23000', constraint: 'a key' })
    expect(mysql.explain(failure?.fields ?? {}).kind).toBe('unique')
    expect(mysql.message(failure?.fields ?? {}, '')).toBe("Duplicate entry '…' for key 'a key'")
  })

  test.each([16_777_211, 16_777_212, 16_777_213, 16_777_214])(
    'a command of %i bytes, about as many as a packet has, is one packet',
    async (size) => {
      const connection = await connect()
      const warned: unknown[] = []
      const client = (await connection.raw.lend(60_000)) as Client
      client.on('warn', (warning) => warned.push(warning))
      await connection.raw.reclaim(later())
      const length = size - 18

      expect(await connection.value('select length(?)', [Buffer.alloc(length, 'a')])).toBe(length)
      expect(await connection.value('select ?', [7])).toBe(7)
      expect(warned).toEqual([])
    },
  )

  test.each([
    ['load data local infile "/etc/hostname" into table t', 'server'],
    ['select 1; select 2', 'encode not_started'],
    ['prepare s from "select 1"', 'PREPARE'],
    ['help "select"', 'HELP'],
    ['select 1 as `__proto__`', 'SELECT 1'],
  ])('%s is answered, and the connection goes on', async (text, end) => {
    const connection = await connect()

    expect((await connection.run(text)).end).toContain(end)
    expect(await connection.value('select 1')).toBe(1)
  })

  test('CALL gives the rows of its first result', async () => {
    const connection = await connect()
    await connection.run('drop procedure if exists several')
    await connection.run('create procedure several() begin select 1 as a union select 2; select 3 as b; end')
    const op = await connection.run('call several()')

    expect(op.rows.map((row: object) => ({ ...row }))).toEqual([{ a: 1 }, { a: 2 }])
    expect(await connection.value('select 4')).toBe(4)
  })

  test('a login that is refused, and a database that is not there, are matters of configuration', async () => {
    const opening = async (more: Record<string, unknown>): Promise<Failure> =>
      driver.open(driver.parse({ ...(await options()), ...more }), new TestConnection(), later()).then(
        () => expect.fail('it opened'),
        (failure: unknown) => failure as Failure,
      )

    for (const more of [{ user: 'nobody_here', password: 'secret' }, { database: 'not_there' }]) {
      const failure = await opening(more)
      expect(failure.kind).toBe('server')
      expect(driver.classify(failure)).toBe('config')
      expect(JSON.stringify(failure)).not.toContain('secret')
    }
    expect(driver.classify(await opening({ port: 1 }))).toBe('endpoint')
  })
})
