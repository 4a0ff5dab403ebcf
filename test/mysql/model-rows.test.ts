/** Rows of models on MySQL and MariaDB that come in several ways: pages, lists of tables of any name. */

import { createDb, type Db } from 'genever'
import { many, Model } from 'genever/models'
import { asc } from 'drizzle-orm'
import * as d from 'drizzle-orm/mysql-core'
import { expect, test } from 'vitest'
import { describeMysql, onFreshMysql } from '../support/mysql.ts'

/** `o`, with a column `ord`, as the rows of keys have in SQL that others write. */
const orders = d.mysqlTable('o', { id: d.int().primaryKey(), ord: d.int() })
const lines = d.mysqlTable('j', { id: d.int().primaryKey(), order: d.int().references(() => orders.id) })

const schema = [
  'create table o (id int primary key, ord int)',
  'create table j (id int primary key, `order` int)',
  'insert into o values (1, 30), (2, 20), (3, 10)',
  'insert into j values (1, 2), (2, 2), (3, 1)',
]

describeMysql('models', () => {
  let db: Db = createDb()
  onFreshMysql(schema, (made) => ({ db } = made))

  test('pages of select() have plain objects of its columns', async () => {
    class Order extends Model(db, orders) {}
    const query = Order.select('ord').orderBy(asc(Order.c.ord)).limit(2)
    const first = await query.page()
    const second = await query.after(first.cursor).page()

    expect([first.rows, second.rows]).toEqual([[{ ord: 10 }, { ord: 20 }], [{ ord: 30 }]])
    expect(Object.getPrototypeOf(first.rows[0])).toBe(Object.prototype)
  })

  test('lists of tables, and objects of tables, that are called as parts of a query might be', async () => {
    class Order extends Model(db, orders) {}
    class Line extends Model(db, lines) {}

    const down = await Order.query()
      .orderBy(Order.c.id)
      .load(Order.load({ lines: many(Line.query().limit(1)) }))
    const up = await Line.query()
      .orderBy(Line.c.id)
      .load(Line.load({ owner: Order, same: many(Order) }))

    expect(down.map((order) => order.lines.map(({ id }) => id))).toEqual([[3], [1], []])
    expect(up.map(({ owner, same }) => [owner?.ord, same.map(({ ord }) => ord)])).toEqual([
      [20, [20]],
      [20, [20]],
      [30, [30]],
    ])
  })
})
