/** Rows of models on MySQL and MariaDB that come in several ways: pages, lists of tables of any name. */

import { createDb, type Db } from 'genever'
import { many, Model } from 'genever/models'
import { asc } from 'drizzle-orm'
import * as d from 'drizzle-orm/mysql-core'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, onFreshMysql } from '../support/mysql.ts'

/** `o`, with a column `ord`, as the rows of keys have in SQL that others write. */
const orders = d.mysqlTable('o', { id: d.int().primaryKey(), ord: d.int() })
const lines = d.mysqlTable('j', { id: d.int().primaryKey(), order: d.int().references(() => orders.id) })

const notes = d.mysqlTable('notes', {
  id: d.int().autoincrement().primaryKey(),
  name: d.varchar({ length: 20 }),
  changed: d.timestamp({ fsp: 6, mode: 'string' }).defaultNow().onUpdateNow(),
})

const schema = [
  'create table prices (price decimal(6, 2) primary key, n int)',
  'create table bytes (id binary(4) primary key, more varbinary(9))',
  `create table notes (id int primary key auto_increment, name varchar(20),
    changed timestamp(6) not null default current_timestamp(6) on update current_timestamp(6))`,
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

  test('an instance has what ON UPDATE CURRENT_TIMESTAMP made of its row, and what it is set to', async () => {
    class Note extends Model(db, notes) {}
    const note = await Note.create({ name: 'a' })
    const { changed: before } = note
    await db.status("update notes set changed = '2001-01-01 00:00:00'")

    await note.update({ name: 'b' })
    const stored = await Note.get(note.id)
    expect(note.changed).toBe(stored?.changed)
    expect(note.changed).not.toBe(before)

    await note.update({ name: 'c', changed: '2000-01-01 00:00:00.000001' })
    expect(note.changed).toBe('2000-01-01 00:00:00.000001')
    await db
      .transaction(async () => {
        await note.update({ name: 'd' })
        expect(note.changed).not.toMatch(/^2000/)
        throw new RangeError('back')
      })
      .catch(() => {})
    expect(note).toMatchObject({ name: 'c', changed: '2000-01-01 00:00:00.000001' })
  })

  test('bytes that are declared as text are that text, and refused where they are none', async () => {
    const table = d.mysqlTable('bytes', { id: d.binary({ length: 4 }).primaryKey(), more: d.varbinary({ length: 9 }) })
    class Bytes extends Model(db, table) {}
    await db.status("insert into bytes values ('abcd', 'é\uFEFF'), ('efgh', null), (x'00FF0102', 'x')")

    expect(await Bytes.get('abcd')).toMatchObject({ id: 'abcd', more: 'é\uFEFF' })
    expect(await Bytes.where({ id: 'efgh' }).one()).toMatchObject({ more: null })
    const error = await caught(Bytes.where({ more: 'x' }).one())
    expect(error).toMatchObject({ name: 'UsageError', message: expect.stringMatching(/'id' .*binary\(\).*customType/) })
    expect(await Bytes.select('more').where({ more: 'x' }).one()).toEqual({ more: 'x' })
  })

  test('a row whose new key is stored as another value is not said to be gone, and keeps its old one', async () => {
    const prices = d.mysqlTable('prices', { price: d.decimal({ precision: 6, scale: 2 }).primaryKey(), n: d.int() })
    class Price extends Model(db, prices) {}
    await db.status('insert into prices values (1.50, 1)')
    const price = await Price.query().one()

    const error = await caught(price.update({ price: '2.005' }).apply())
    expect(error).toMatchObject({ name: 'NoSuchRowError', message: expect.stringContaining('stores another value') })
    expect(await Price.query()).toMatchObject([{ price: '1.50' }])
    await price.update({ price: '2.5' })
    expect(price.price).toBe('2.50')
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
