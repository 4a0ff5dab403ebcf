/** What procedures give: OUT and INOUT parameters, several results, errors behind results. */

import type { Db } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, onFreshMysql } from '../support/mysql.ts'

const schema = [
  'create table t (id int primary key auto_increment, a int unique)',
  'create procedure twice(in x int, out y int, inout z decimal(30, 10)) begin set y = x * 2; set z = z + 1; end',
  'create procedure kinds(out d datetime, out s varchar(20), out j json) begin set d = "2024-01-02 03:04:05", s = "ü", j = null; end',
  'create procedure one(in x int) begin select x as one; end',
  'create procedure two(in x int) begin select x as one; select x + 1 as two, 3 as three union all select 4, 5; end',
  'create procedure mixed(in x int, out y int) begin insert into t (a) values (x); select x as one; set y = 5; end',
  'create procedure fails() begin select 1 as one; select 2 as two; signal sqlstate "45000" set message_text = "unlucky"; end',
  'create procedure nothing(in x int) begin insert into t (a) values (x); end',
]

describeMysql('a procedure', () => {
  let db: Db
  onFreshMysql(schema, (made) => ({ db } = made), { pool: { max: 1 } })

  test('gives its OUT and INOUT parameters as one row, in all ways of asking', async () => {
    for (let run = 0; run < 2; run++) {
      const text = 'call twice(?, ?, ?)'
      const row = { y: 2, z: '12345678901234567891.1000000000' }
      const params = [1, null, '12345678901234567890.1']
      expect(await db.one(text, params)).toEqual(row)
      expect(await db.all(text, params)).toEqual([row])
      expect(await db.scalar(text, params)).toBe(2)
      expect(await db.sql`call twice(${1}, ${null}, ${'12345678901234567890.1'})`.first()).toEqual(row)
      expect(await db.one('call twice(:x, :y, :z)', { x: 1, y: null, z: 5 })).toEqual({ y: 2, z: '6.0000000000' })
      expect(await db.status(text, params)).toMatchObject({ command: 'CALL', rowCount: 1, rows: [row] })
      expect((await db.status(text, params, { rows: 'array' })).rows).toEqual([Object.values(row)])
    }
    expect(await db.one('call kinds(?, ?, ?)', [null, null, null])).toEqual({
      d: new Date('2024-01-02T03:04:05Z'),
      s: 'ü',
      j: null,
    })
  })

  test('gives each of its results to status(), the OUT parameters last', async () => {
    const one = { command: 'CALL', rowCount: 1, rows: [{ one: 1 }] }
    const two = { command: 'CALL', rowCount: 2, rows: [{ two: 2, three: 3 }, { two: 4, three: 5 }] } // prettier-ignore
    for (const [text, params] of [
      ['call two(1)', []],
      ['call two(?)', [1]],
    ] as const) {
      const status = await db.status(text, params)
      expect(status).toMatchObject(two)
      expect(status.results).toMatchObject([one, two])
    }
    const arrays = await db.status('call two(?)', [1], { rows: 'array' })
    expect(arrays.results.map(({ rows, fields }) => [fields.map(({ name }) => name), rows])).toEqual([
      [['one'], [[1]]],
      [['two', 'three'], [[2, 3], [4, 5]]], // prettier-ignore
    ])
    const mixed = await db.status('call mixed(?, ?)', [1, null])
    expect(mixed.rows).toEqual([{ y: 5 }])
    expect(mixed.results.map(({ rows }) => rows)).toEqual([[{ one: 1 }], [{ y: 5 }]])
    expect(await db.all('call one(?)', [1])).toEqual([{ one: 1 }])
    expect(await db.status('call nothing(?)', [2])).toMatchObject({ rowCount: 1, rows: [] })
    const executed = await db.scope(async () => {
      await db.status("prepare it from 'call two(1)'")
      return db.status('execute it')
    })
    expect(executed.results).toHaveLength(2)
    const within = await db.status('set statement max_statement_time = 60 for call two(1)')
    expect(within.results.map(({ rows }) => rows)).toEqual([one.rows, two.rows])
  })

  describe('with several results', () => {
    const ways = {
      'all()': () => db.all('call mixed(?, ?)', [10, null]),
      'first()': () => db.first('call mixed(?, ?)', [11, null]),
      'one()': () => db.one('call mixed(?, ?)', [12, null]),
      'oneOrNone()': () => db.oneOrNone('call mixed(?, ?)', [13, null]),
      'scalar()': () => db.scalar('call mixed(?, ?)', [14, null]),
      'an awaited tag': () => db.sql`call mixed(${15}, ${null})`,
    }
    test.for(Object.entries(ways))('has run, and %s says that it would lose all but one', async ([, way]) => {
      const before = Number(await db.scalar('select count(*) from t'))
      expect(await caught(way())).toMatchObject({
        name: 'UsageError',
        outcome: 'committed',
        message: expect.stringContaining('CALL gave 2 results'),
      })
      expect(await db.scalar('select count(*) from t')).toBe(before + 1)
    })
  })

  test('that fails behind a result throws its error', async () => {
    for (const way of [() => db.status('call fails()'), () => db.all('call fails()')])
      expect(await caught(way())).toMatchObject({ name: 'QueryError', message: expect.stringContaining('unlucky') })
    expect(await db.scalar('select 1')).toBe(1)
  })
})
