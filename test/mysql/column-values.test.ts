/** Values of model columns that MySQL compares or stores in a way of its own: JSON, floats, days that are none; and `scalar()`. */

import type { Db } from 'genever'
import { json, Model } from 'genever/models'
import { sql } from 'drizzle-orm'
import * as d from 'drizzle-orm/mysql-core'
import { beforeAll, expect, test } from 'vitest'
import { describeMysql, onFreshMysql } from '../support/mysql.ts'

const things = d.mysqlTable('things', {
  id: d.int().autoincrement().primaryKey(),
  big: d.bigint({ mode: 'bigint', unsigned: true }),
  exact: d.decimal({ mode: 'bigint', precision: 30 }),
  day: d.date(),
  at: d.datetime({ mode: 'string', fsp: 6 }),
  active: d.boolean(),
  ratio: d.float(),
  extra: d.json(),
  profile: d.json().notNull().default({}),
})

describeMysql('a column of a model on MySQL', () => {
  let db: Db
  onFreshMysql(
    [
      `create table things (id int auto_increment primary key, big bigint unsigned, exact decimal(30), day date, at datetime(6),
        active tinyint(1), ratio float, extra json, profile json not null default '{}')`,
    ],
    (made) => ({ db } = made),
  )
  const modelled = () =>
    class Thing extends Model(db, things, {
      json: { profile: { tags: json.array(), of: json.object(), age: json.integer() } },
    }) {}
  const values = {
    big: 2n ** 64n - 1n,
    exact: 10n ** 20n,
    day: new Date('2024-02-29'),
    at: '2024-03-31 02:30:00.123456',
    active: true,
    ratio: 1.1,
    extra: { a: 1 },
    tags: ['a'],
    of: { k: 1 },
    age: 7,
  }
  beforeAll(async () => void (await modelled().create(values)))

  test.for(Object.keys(values) as (keyof typeof values)[])('is what scalar() gives: %s', async (key) => {
    const Thing = modelled()
    expect(await Thing.select(key, 'id').where({ id: 1 }).scalar()).toEqual(values[key])
    expect(await db.scalar(Thing.select(key).where({ id: 1 }))).toEqual(values[key])
  })

  test.each([
    ['datetime', d.datetime({ fsp: 6 })],
    ['timestamp', d.timestamp({ fsp: 6 })],
  ])('a key with a %s that has more digits than a Date finds its own row', async (type, column) => {
    const name = `visits_${type}`
    await db.status(`create table ${name} (at ${type}(6) primary key, who text)`)
    await db.status(`insert into ${name} values ('2024-01-01 00:00:00.123', 'near')`)
    await db.status(`insert into ${name} values ('2024-01-01 00:00:00.123456', 'exact')`)
    class Visit extends Model(db, d.mysqlTable(name, { at: column.primaryKey(), who: d.text() })) {}
    const stored = (): Promise<unknown> => db.all(`select who from ${name} order by at`)
    const visit = await Visit.where({ who: 'exact' }).one()

    expect(visit.at).toEqual(new Date('2024-01-01T00:00:00.123Z'))
    await visit.update({ who: 'changed' })
    expect(await stored()).toEqual([{ who: 'near' }, { who: 'changed' }])
    expect((await Visit.getOr404(visit.at)).who).toBe('changed')
    const [listed] = await Visit.where({ at: [visit.at] }).load(Visit.load({}), { strategy: 'select-in' })
    await listed?.delete()
    expect(await stored()).toEqual([{ who: 'near' }])
  })

  test('a float finds its row, alone and in a list', async () => {
    const Thing = modelled()
    expect(await Thing.where({ id: 1, ratio: 1.1 }).count()).toBe(1)
    expect(await Thing.where({ id: 1, ratio: [1.1, 2.2, null] }).count()).toBe(1)
    expect(await Thing.where({ id: 1, ratio: 1.2 }).count()).toBe(0)
  })

  test('JSON is compared by no filter: each of them is refused by name', async () => {
    const Thing = modelled()
    const filters = [{ extra: { a: 1 } }, { extra: [{ a: 1 }] }, { of: { k: 1 } }, { tags: ['a'] }, { tags: [] }]
    for (const filter of filters) {
      const [key] = Object.keys(filter)
      expect(() => Thing.where(filter as never)).toThrow(`where({ ${key} }) compares JSON`)
    }
    expect(await Thing.where({ id: 1, extra: null }).count()).toBe(0)
    expect(
      await Thing.where({ id: 1, age: 7 })
        .where(sql`json_value(${Thing.c.extra}, '$.a') = 1`)
        .count(),
    ).toBe(1)
  })

  test('a day that is none stays text', async () => {
    const Thing = modelled()
    await db.scope(
      async () => {
        await db.status("insert into things (id, day) values (2, '0000-00-00'), (3, '2023-02-30')")
      },
      { settings: { sql_mode: 'ALLOW_INVALID_DATES' } },
    )
    const days = await Thing.where({ id: [2, 3] }).orderBy(Thing.c.id)
    expect(days.map(({ day }) => day)).toEqual(['0000-00-00', '2023-02-30'])
    expect(days.map((thing) => thing.toJSON().day)).toEqual(['0000-00-00', '2023-02-30'])
  })
})
