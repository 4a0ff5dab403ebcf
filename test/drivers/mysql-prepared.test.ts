/** Prepared statements and resets of the driver `mysql`: what stays prepared, and what a session is made clean of. */

import { afterEach, expect, test } from 'vitest'
import type { Failure } from '../../src/driver/driver.ts'
import { UsageError } from '../../src/errors/index.ts'
import { mysql } from '../../src/mysql/dialect.ts'
import { StatementCache } from '../../src/sql/compile.ts'
import { type Compiled, Dirty } from '../../src/sql/compiled.ts'
import { describeMysql, freshMysql, onMysql } from '../support/mysql.ts'
import { until } from '../support/until.ts'
import { connect, driver, type MysqlConnection, options } from './mysql-connection.ts'
import { closeAll, later, TestConnection } from './test-connection.ts'

afterEach(closeAll)

describeMysql('what the driver mysql keeps prepared', () => {
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

  test('prepared before the first use, a statement is there and one that is wrong says so', async () => {
    const connection = await connect()
    const cache = new StatementCache({ dialect: mysql, prepare: true })
    const good: Compiled = cache.compile('select ? + 100').compiled
    const bad: Compiled = cache.compile('select * from nowhere_at_all').compiled
    const refused = await connection.raw.prepare?.([good, bad], later())

    expect(refused?.map(({ stmt, failure }) => [stmt.text, failure.fields?.['code']])).toEqual([[bad.text, '1146']])
  })
})
