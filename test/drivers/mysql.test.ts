/** The driver `mysql` on a real server: the rules of the contract, and what only MySQL and MariaDB do. */

import type { Duplex } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import { driverContract } from '../../src/driver/contract.ts'
import type { Driver, Failure, RawConnection } from '../../src/driver/driver.ts'
import { mysqlDriver } from '../../src/driver/mysql/driver.ts'
import { ParameterError, UnsafeIntegerError, UsageError } from '../../src/errors/index.ts'
import { mysql } from '../../src/mysql/dialect.ts'
import { resolveOptions } from '../../src/options/options.ts'
import { StatementCache } from '../../src/sql/compile.ts'
import { type Compiled, Dirty, type RowSpec } from '../../src/sql/compiled.ts'
import { describeMysql, freshMysql, type FreshMysql, onMysql } from '../support/mysql.ts'
import { until } from '../support/until.ts'
import { closeAll, connect as open, later, TestConnection, TestOp } from './test-connection.ts'

const driver = mysqlDriver as Driver
let database: Promise<FreshMysql> | undefined

async function options(): Promise<Record<string, unknown>> {
  database ??= freshMysql()
  const { places: _, ...connection } = resolveOptions((await database).url).connection
  return connection
}

/** What is lent: mysql2's connection. */
interface Client {
  query(text: string, answered: (error: unknown, rows: unknown) => void): void
  on(event: 'warn', heard: (warning: unknown) => void): void
}

/** Its statements are those of MySQL. */
class MysqlConnection {
  readonly #cache = new StatementCache({ dialect: mysql, prepare: true })
  readonly #connection: TestConnection

  constructor(connection: TestConnection) {
    this.#connection = connection
  }

  get raw(): RawConnection {
    return this.#connection.raw
  }

  get told(): readonly string[] {
    return this.#connection.told
  }

  op(text: string, params: readonly unknown[] = [], spec?: RowSpec): TestOp {
    return new TestOp(this.#cache.compile(text).compiled, params, spec === undefined ? {} : { spec })
  }

  run(text: string, params?: readonly unknown[], spec?: RowSpec): Promise<TestOp> {
    const op = this.op(text, params, spec)
    this.raw.submit(op)
    return op.settled
  }

  async value(text: string, params?: readonly unknown[]): Promise<unknown> {
    const op = await this.run(text, params)
    expect(op.failure).toBeNull()
    return Object.values(op.rows[0] as object)[0]
  }

  async unit(...texts: readonly string[]): Promise<string[]> {
    const ops = texts.map((text) => this.op(text))
    this.raw.submitUnit({ ops })
    await Promise.all(ops.map(({ settled }) => settled))
    return ops.map(({ end }) => end)
  }
}

async function connect(more: Record<string, unknown> = {}): Promise<MysqlConnection> {
  return new MysqlConnection(await open(driver, { ...(await options()), ...more }))
}

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

  test('a time on a day that does not exist stays text, which sql_mode may allow', async () => {
    const connection = await connect()
    await connection.run("set sql_mode = 'ALLOW_INVALID_DATES'")

    for (const day of ['2024-02-30', '2023-02-29', '2023-04-31']) {
      const sql = `cast('${day} 10:20:30' as datetime)`
      expect(await connection.value(`select ${sql}`)).toBe(`${day} 10:20:30`)
      expect(await connection.value(`select ${sql} from (select ? as p) as t`, [1])).toBe(`${day} 10:20:30`)
      await connection.run(`prepare day from "select ${sql}"`)
      expect(await connection.value('execute day')).toBe(`${day} 10:20:30`)
    }
  })

  test('columns of tables become what their types say, also where only flags, lengths and character sets differ', async () => {
    const connection = await connect({ int8: 'bigint', tinyint1: 'boolean' })
    await connection.run('drop table if exists kinds')
    await connection.run(
      `create table kinds (a tinyint(1), b tinyint unsigned, c bigint unsigned, d bit(9), e float, f year, g json, h varbinary(9),
        i varchar(9), j enum('x','y'), k set('x','y'), l uuid, m timestamp(6), n char(4), o mediumint, p smallint unsigned, q double)`,
    )
    const values = [
      true,
      200,
      18446744073709551615n,
      257,
      0.1,
      2024,
      '{"a":[1]}',
      Buffer.from([0, 255]),
      'é',
      'y',
      'x,y',
    ]
    const rest = ['123e4567-e89b-12d3-a456-426614174000', new Date(1_700_000_000_123), 'ab', -8388608, 65535, 0.1]
    const inserted = await connection.run(`insert into kinds values (${'?, '.repeat(16)}?)`, [...values, ...rest])
    expect(inserted.end).toBe('INSERT 1')

    for (const text of ['select * from kinds', 'select * from kinds where ? = 1']) {
      const { rows } = await connection.run(text, text.includes('?') ? [1] : [])
      expect({ ...(rows[0] as object) }).toEqual({
        a: true,
        b: 200,
        c: 18446744073709551615n,
        d: Buffer.from([1, 1]),
        e: 0.1,
        f: 2024,
        g: { a: [1] },
        h: Buffer.from([0, 255]),
        i: 'é',
        j: 'y',
        k: 'x,y',
        l: '123e4567-e89b-12d3-a456-426614174000',
        m: new Date(1_700_000_000_123),
        n: 'ab',
        o: -8388608,
        p: 65535,
        q: 0.1,
      })
    }
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

  test('whole numbers and fractions are calculated exactly', async () => {
    const connection = await connect({ int8: 'bigint' })
    await connection.run('drop table if exists sums')
    await connection.run('create table sums (b bigint, d decimal(30,10))')
    await connection.run("insert into sums values (9007199254740993, '12345678901234567890.1')")
    await connection.run('update sums set b = b + ?, d = d + ?', [1, 0.1])

    const { rows } = await connection.run('select * from sums')
    expect({ ...(rows[0] as object) }).toEqual({ b: 9007199254740994n, d: '12345678901234567890.2000000000' })
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

  test('more or fewer values than the server counts are refused before anything is stored', async () => {
    const connection = await connect()
    await connection.run('drop table if exists counted')
    await connection.run('create table counted (a int, b varchar(9))')
    const op = await connection.run('insert into counted values (?, ?)', [1, 'x', 'extra'])

    expect(op.end).toBe('encode not_started')
    expect(String(op.failure?.cause)).toContain('2 placeholders in the statement, but 3 values')
    expect(await connection.value('select count(*) from counted')).toBe(0)
  })

  test('an integer that a number cannot hold fails its statement, and the connection goes on', async () => {
    const connection = await connect()
    const op = await connection.run('select 9223372036854775807 as big')

    expect(op.failure?.cause).toBeInstanceOf(UnsafeIntegerError)
    expect(await connection.value('select 1')).toBe(1)
  })

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

  test('a prepared statement belongs to its database: the same text in another one is another statement', async () => {
    const connection = await connect()
    await using one = await freshMysql('create table s (a int)', 'insert into s values (1)')
    await using two = await freshMysql('create table s (a int)', 'insert into s values (2)')
    const seen: unknown[] = []
    for (const { name } of [one, two, one, two]) {
      await connection.run(`use \`${name}\``)
      seen.push(await connection.value('select a from s'))
      await connection.run('insert into s values (?)', [seen.length + 10])
    }

    expect(seen).toEqual([1, 2, 1, 2])
    expect(await one.query('select a from s order by a')).toEqual([{ a: 1 }, { a: 11 }, { a: 13 }])
    expect(await two.query('select a from s order by a')).toEqual([{ a: 2 }, { a: 12 }, { a: 14 }])
  })

  test('a prepared statement belongs to the sql_mode it was prepared with', async () => {
    const connection = await connect()
    const text = "select '1' || '2' as both_ways"

    expect(await connection.value(text)).toBe(1)
    await connection.run("set session sql_mode = 'PIPES_AS_CONCAT'")
    expect(await connection.value(text)).toBe('12')
    expect(await connection.raw.reset(connection.raw.dirty, later())).toBe(true)
    expect(await connection.value(text)).toBe(1)
  })

  /** Statements that this session has prepared and closed. */
  const prepared = async (connection: MysqlConnection): Promise<{ made: number; closed: number }> => {
    const { rows } = await connection.run("show session status like 'Com\\_stmt\\_%'")
    const count = (name: string): number =>
      Number((rows as { Variable_name: string; Value: string }[]).find((row) => row.Variable_name === name)?.Value)
    return { made: count('Com_stmt_prepare'), closed: count('Com_stmt_close') }
  }

  test('no more statements stay prepared than statementCacheSize says', async () => {
    const connection = await connect({ statementCacheSize: 3 })
    const before = await prepared(connection)
    for (let i = 0; i < 10; i++) await connection.run(`select ${i} + ?`, [1])
    const after = await prepared(connection)

    expect(after.made - before.made).toBeGreaterThanOrEqual(10)
    expect(after.made - before.made - (after.closed - before.closed)).toBeLessThanOrEqual(3)
    expect(await connection.value('select 9 + ?', [1])).toBe(10)
  })

  test('a statement that is used stays prepared while others come and go', async () => {
    const connection = await connect({ statementCacheSize: 3 })
    await connection.run('select 100 + ?', [1])
    const before = await prepared(connection)
    for (let i = 0; i < 10; i++) {
      await connection.run(`select ${i} + ?`, [1])
      expect(await connection.value('select 100 + ?', [i])).toBe(100 + i)
    }
    const after = await prepared(connection)
    // The look at the counts is prepared too.
    expect(after.made - before.made).toBeLessThanOrEqual(11)
  })

  test('settings are taken back by name, so that prepared statements stay', async () => {
    const connection = await connect()
    await connection.run('select ? + 1', [1])
    await connection.run('SET @`app.tenant` = ?, SESSION max_statement_time = 5', ['7'])
    expect(connection.raw.dirty).toBe(Dirty.settings)
    expect(await connection.raw.reset(connection.raw.dirty, later())).toBe(true)

    expect(await connection.value('select @`app.tenant`')).toBeNull()
    expect(await connection.value('select cast(@@max_statement_time as signed)')).toBe(0)
    expect(await connection.value('select @@time_zone')).toBe('+00:00')
    const first = await prepared(connection)
    const second = await prepared(connection)
    expect(await connection.value('select ? + 1', [2])).toBe(3)
    const third = await prepared(connection)
    // Each look may be prepared; the statement is not.
    expect(third.made - second.made).toBe(second.made - first.made)
  })

  test('a reset by the server undoes what has no name, and brings database and time zone back', async () => {
    const connection = await connect()
    const home = await connection.value('select database()')
    await using other = await freshMysql()
    await connection.run(`use \`${other.name}\``)
    await connection.run('set net_write_timeout = 60 + 1')
    await connection.run('create temporary table temp_one (a int)')
    await connection.run("select get_lock('genever_one', 0)")
    expect(await connection.raw.reset(connection.raw.dirty | Dirty.unknown, later())).toBe(true)

    expect(await connection.value('select database()')).toBe(home)
    expect(await connection.value('select cast(@@net_write_timeout as signed)')).toBe(31_536_000)
    expect(await connection.value('select @@time_zone')).toBe('+00:00')
    expect((await connection.run('select * from temp_one')).end).toBe('server 1146 rolled_back')
    expect((await onMysql("select is_free_lock('genever_one') as free"))[0]).toEqual({ free: 1 })
  })

  test('a session whose role was changed cannot be made clean, and says so', async () => {
    const connection = await connect()
    await connection.run('set role none')
    expect(await connection.raw.reset(connection.raw.dirty, later())).toBe(false)
  })

  test('a session that reads quotes in another way from now on is closed', async () => {
    const connection = await connect()
    await connection.run("set sql_mode = concat('ANSI_', 'QUOTES')")
    await until(() => connection.told.includes('lost protocol'), { what: 'it is lost' })

    expect(connection.raw.alive).toBe(false)
  })

  test('a server that starts its sessions so is refused by name', async () => {
    const refused = await driver
      .open(
        driver.parse({ ...(await options()), settings: { sql_mode: 'NO_BACKSLASH_ESCAPES' } }),
        new TestConnection(),
        later(),
      )
      .then(
        () => expect.fail('it opened'),
        (failure: unknown) => failure as Failure,
      )
    expect(refused.cause).toBeInstanceOf(UsageError)
  })

  test('cancelling stops a statement, and never the one behind it', async () => {
    const connection = await connect()
    for (let i = 0; i < 20; i++) {
      const op = connection.op(`select sleep(${i % 2 === 0 ? 60 : 0.001}) as slept_${i}`)
      connection.raw.submit(op)
      await new Promise((resolve) => setTimeout(resolve, i % 4))
      const cancelled = await connection.raw.cancel(op, later())
      expect(['cancelled', 'completed']).toContain(cancelled)
      expect((await connection.run('select 1')).end).toBe('SELECT 1')
    }
  })

  test('a request to cancel that overtakes its statement is sent again', async () => {
    const connection = await connect()
    const { stream } = connection.raw.native as { stream: Duplex }
    const kills = async (): Promise<number> =>
      Number((await onMysql("show global status like 'Com_kill'"))[0]?.['Value'])
    await connection.run('select sleep(?)', [0])
    const op = connection.op('select sleep(?)', [60])
    stream.cork()
    connection.raw.submit(op)
    const before = await kills()
    const cancelled = connection.raw.cancel(op, later())
    await until(async () => (await kills()) > before, { what: 'the first request has been served' })
    stream.uncork()

    expect(await cancelled).toBe('cancelled')
    expect((await connection.run('select 1')).end).toBe('SELECT 1')
  })

  test('a statement that is asked to stop while it is prepared does not run, and says so', async () => {
    const connection = await connect()
    await connection.run('create table stopped (id int)')
    const op = connection.op('insert into stopped values (?)', [1])
    connection.raw.submit(op)
    // Its preparation is under way: the answer is read when the server has been asked to stop.
    expect(await connection.raw.cancel(op, later())).toBe('cancelled')
    expect(op.failure).toMatchObject({ kind: 'aborted', outcome: 'not_started' })
    expect(await connection.value('select count(*) from stopped')).toBe(0)
  })

  test('a statement that waits for a query of the client is not sent when it is cancelled, and that query goes on', async () => {
    const [holder, connection] = [await connect(), await connect()]
    await holder.value("select get_lock('of the holder', 60)")
    const client = (await connection.raw.lend(60_000)) as Client
    const answered = new Promise<unknown>((resolve) =>
      client.query("select get_lock('of the holder', 60) as got", (error, rows) => resolve(error ?? rows)),
    )
    const op = connection.op('do 1')
    connection.raw.submit(op)

    expect(await connection.raw.cancel(op, later())).toBe('cancelled')
    expect(op.failure).toMatchObject({ kind: 'aborted', outcome: 'not_started' })
    await holder.value("select release_lock('of the holder')")
    expect(await answered).toEqual([{ got: 1 }])
    expect((await connection.run('select 1')).end).toBe('SELECT 1')
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

  test('a killed session tells that it is lost, and what ran then is unknown', async () => {
    const connection = await connect()
    const op = connection.op('select sleep(60)')
    connection.raw.submit(op)
    await until(
      async () =>
        (
          await onMysql(
            `select 1 from information_schema.processlist where id = ${connection.raw.id} and command <> 'Sleep'`,
          )
        ).length > 0,
      { what: 'it runs' },
    )
    await onMysql(`kill ${connection.raw.id}`)
    await op.settled

    expect(op.failure).toMatchObject({ outcome: 'unknown' })
    await until(() => !connection.raw.alive, { what: 'it is lost' })
  })

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

  test('a row has its own member __proto__', async () => {
    const connection = await connect()
    const { rows } = await connection.run('select 5 as `__proto__`, 6 as a')

    expect(Object.entries(rows[0] as object)).toEqual([
      ['__proto__', 5],
      ['a', 6],
    ])
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

  test('prepared before the first use, a statement is there and one that is wrong says so', async () => {
    const connection = await connect()
    const cache = new StatementCache({ dialect: mysql, prepare: true })
    const good: Compiled = cache.compile('select ? + 100').compiled
    const bad: Compiled = cache.compile('select * from nowhere_at_all').compiled
    const refused = await connection.raw.prepare?.([good, bad], later())

    expect(refused?.map(({ stmt, failure }) => [stmt.text, failure.fields?.['code']])).toEqual([[bad.text, '1146']])
  })
})
