/** Rows of MySQL, few and many: objects of plain statements and of models, and times that are days, none, or before the year 100. */

import { createDb, type Db } from 'genever'
import { Model } from 'genever/models'
import * as d from 'drizzle-orm/mysql-core'
import { beforeAll, expect, test } from 'vitest'
import { describeMysql, onFreshMysql } from '../support/mysql.ts'

const things = d.mysqlTable('things', {
  id: d.int().primaryKey(),
  name: d.varchar({ length: 20 }),
  at: d.datetime({ fsp: 6 }),
})

/** More than it takes until code is made for the columns. */
const many = 900

describeMysql('rows on MySQL', () => {
  let db: Db
  let url: string
  onFreshMysql(
    ['create table things (id int primary key, name varchar(20), at datetime(6))'],
    ({ db: made, server }) => void ([db, url] = [made, server.url]),
  )
  beforeAll(async () => {
    await db.status(
      `insert into things with recursive n (i) as (select 1 union all select i + 1 from n where i < ${many})
       select i, if(i % 3 = 0, null, concat('n', i)), if(i % 5 = 0, null, timestampadd(microsecond, i, '2026-02-28 23:59:59')) from n`,
    )
  })

  const row = (id: number): object => ({
    id,
    name: id % 3 === 0 ? null : `n${id}`,
    at: id % 5 === 0 ? null : new Date(Date.parse('2026-02-28T23:59:59Z') + Math.trunc(id / 1000)),
  })
  const all = Array.from({ length: many }, (_, index) => row(index + 1))

  test('the first rows of a statement are what the last are', async () => {
    const read = (): Promise<unknown[]> => db.all('select id, name, at from things where id > ? order by id', [0])

    expect(await read()).toEqual(all)
    expect(await read()).toEqual(all)
    const few = await db.all('select id, name, at from things where id > ? order by id limit 3', [0])
    expect(few).toEqual(all.slice(0, 3))
  })

  test('names of columns may be anything, and twice', async () => {
    const text =
      'select id as `a"b\\c`, name as `a`, at as `a`, id as `\u2028`, id as `__proto__x`, id as `constructor` from things where id > ? order by id'
    const rows = await db.all<Record<string, unknown>>(text, [0])

    for (const [index, each] of [rows[0], rows[many - 1]].entries()) {
      const id = index === 0 ? 1 : many
      expect(each).toEqual({
        'a"b\\c': id,
        a: (row(id) as { at: unknown }).at,
        '\u2028': id,
        __proto__x: id,
        constructor: id,
      })
    }
    const proto = await db.all<object>('select id as `__proto__` from things where id > ?', [0])
    expect(Object.hasOwn(proto.at(-1) as object, '__proto__')).toBe(true)
  })

  test('a number of four bytes has all its digits, also in rows of CALL and of texts that do not stay prepared', async () => {
    await db.status('create table floats (id int auto_increment primary key, f float)')
    await db.status('create procedure of_floats() begin select f from floats; select 2 as second; end')
    const unprepared = createDb(url, { prepare: false, pool: { max: 1 } })
    const f = 16_777_216

    expect(await unprepared.all('insert into floats (f) values (16777216) returning f')).toEqual([{ f }])
    expect(await unprepared.all('select f from floats')).toEqual([{ f }])
    expect(await unprepared.all('with t as (select f from floats) select f from t')).toEqual([{ f }])
    expect(await db.all(`select f from floats -- ${'long '.repeat(30_000)}`)).toEqual([{ f }])
    const { results } = await db.status('call of_floats()')
    expect(results.map(({ rows }) => rows)).toEqual([[{ f }], [{ second: 2 }]])
    expect(await unprepared.scalar('select 7')).toBe(7)
    await unprepared.close()
  })

  test('a model reads the same, as its instances', async () => {
    class Thing extends Model(db, things) {}
    const read = await Thing.where({}).orderBy(things.id).all()

    expect(read).toHaveLength(many)
    expect(read.at(-1)).toBeInstanceOf(Thing)
    expect(read.map(({ id, name, at }) => ({ id, name, at }))).toEqual(all)
  })

  test.each<readonly [string, unknown]>([
    ['2026-02-28 23:59:59.999999', new Date('2026-02-28T23:59:59.999Z')],
    ['2024-02-29 00:00:00', new Date('2024-02-29T00:00:00Z')],
    ['2024-12-31 00:00:00.5', new Date('2024-12-31T00:00:00.500Z')],
    ['9999-12-31 23:59:59', new Date('9999-12-31T23:59:59Z')],
    ['0099-01-02 03:04:05', new Date('0099-01-02T03:04:05Z')],
    ['0000-00-00 00:00:00', '0000-00-00 00:00:00.000000'],
    ['2024-00-00 00:00:00', '2024-00-00 00:00:00.000000'],
  ])('the time %s is read from its fields', async (text, value) => {
    const read = await db.scalar('select cast(? as datetime(6)) as at', [text])

    expect(read).toEqual(value)
  })
})
