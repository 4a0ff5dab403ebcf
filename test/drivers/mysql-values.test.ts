/** Values of the driver `mysql`: what columns become, and how parameters are sent, as text and prepared. */

import { afterEach, expect, test } from 'vitest'
import { UnsafeIntegerError } from '../../src/errors/index.ts'
import { describeMysql } from '../support/mysql.ts'
import { connect } from './mysql-connection.ts'
import { closeAll } from './test-connection.ts'

afterEach(closeAll)

describeMysql('values of the driver mysql', () => {
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

  test('whole numbers and fractions are calculated exactly', async () => {
    const connection = await connect({ int8: 'bigint' })
    await connection.run('drop table if exists sums')
    await connection.run('create table sums (b bigint, d decimal(30,10))')
    await connection.run("insert into sums values (9007199254740993, '12345678901234567890.1')")
    await connection.run('update sums set b = b + ?, d = d + ?', [1, 0.1])

    const { rows } = await connection.run('select * from sums')
    expect({ ...(rows[0] as object) }).toEqual({ b: 9007199254740994n, d: '12345678901234567890.2000000000' })
  })

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

  test('a row has its own member __proto__', async () => {
    const connection = await connect()
    const { rows } = await connection.run('select 5 as `__proto__`, 6 as a')

    expect(Object.entries(rows[0] as object)).toEqual([
      ['__proto__', 5],
      ['a', 6],
    ])
  })
})
