/** Lists on MySQL by keys of every kind: the server pairs them as a join of the two columns does. */

import { desc, gt } from 'drizzle-orm'
import {
  binary,
  char,
  customType,
  datetime,
  foreignKey,
  int,
  mysqlEnum,
  mysqlTable,
  serial,
  text,
  varbinary,
  varchar,
} from 'drizzle-orm/mysql-core'
import { createDb } from 'genever'
import { many, Model } from 'genever/models'
import { expect, test } from 'vitest'
import { describeMysql, freshMysql } from '../support/mysql.ts'

const uuid = customType<{ data: Buffer; driverData: Buffer }>({ dataType: () => 'binary(4)' })
const words = ['a', 'A', 'ä', 'b', '', '\u{1F600}']
const bytes = [Buffer.from([1, 2, 3, 4]), Buffer.from([255, 254, 0, 1]), Buffer.from([1, 2, 3, 5])]

/** The column of both tables, that of the child where it is another, how Drizzle declares it, and its values. */
const kinds = {
  text: ['varchar(9)', null, () => varchar({ length: 9 }), words],
  'text of another collation than the database': [
    'varchar(9) collate utf8mb4_unicode_ci',
    null,
    () => varchar({ length: 9 }),
    words,
  ],
  'text that is compared by bytes': ['varchar(9) collate utf8mb4_bin', null, () => varchar({ length: 9 }), words],
  'text that the child alone compares by bytes': [
    'varchar(9)',
    'varchar(9) collate utf8mb4_bin',
    () => varchar({ length: 9 }),
    words,
  ],
  'text of another character set': [
    'varchar(9) character set latin1 collate latin1_swedish_ci',
    null,
    () => varchar({ length: 9 }),
    words.slice(0, 5),
  ],
  char: ['char(9) collate utf8mb4_unicode_ci', null, () => char({ length: 9 }), words],
  'long text': ['text collate utf8mb4_unicode_ci', null, () => text(), words],
  enum: ["enum('sad','it''s','a,b')", null, () => mysqlEnum(['sad', "it's", 'a,b']), ['sad', "it's", 'a,b']],
  binary: ['binary(4)', null, () => binary({ length: 4 }), bytes],
  'a custom type of bytes': ['binary(4)', null, () => uuid(), bytes],
  varbinary: ['varbinary(9)', null, () => varbinary({ length: 9 }), [...bytes, Buffer.from('a'), Buffer.from('A')]],
  serial: ['bigint unsigned', null, () => serial(), [1, 2, 3]],
  microseconds: [
    'datetime(6)',
    null,
    () => datetime({ fsp: 6 }),
    ['2025-01-01 00:00:00.000001', '2025-01-01 00:00:00.000002'],
  ],
} as const

describeMysql('a list by', () => {
  test.each(Object.entries(kinds))('%s has what a join gives', async (_, [type, other, column, values]) => {
    await using server = await freshMysql(
      `create table parents (id int auto_increment primary key, k ${type} null, part int)`,
      `create table children (id int auto_increment primary key, k ${other ?? type} null, part int, n int not null)`,
    )
    for (const value of [...values, null]) {
      await server.query('insert into parents (k, part) values (?, 1), (?, null)', [value, value])
      await server.query('insert into children (k, part, n) values (?, 1, 1), (?, 2, 2), (?, 1, 3)', [
        value,
        value,
        value,
      ])
    }
    const db = createDb(server.url)
    try {
      const parents = mysqlTable('parents', { id: int().autoincrement().primaryKey(), k: column(), part: int() })
      const columns = { id: int().autoincrement().primaryKey(), k: column(), part: int(), n: int().notNull() }
      for (const composite of [false, true]) {
        const children = mysqlTable('children', columns, (t) => [
          composite
            ? foreignKey({ columns: [t.part, t.k], foreignColumns: [parents.part, parents.k] })
            : foreignKey({ columns: [t.k], foreignColumns: [parents.k] }),
        ])
        class Parent extends Model(db, parents) {}
        class Child extends Model(db, children) {}
        const joined = await server.query(
          `select p.id as parent, c.id as child, c.n from parents p left join children c
            on c.k = p.k ${composite ? 'and c.part = p.part' : ''} order by p.id, c.id`,
        )
        const expected = (keeps: (n: number) => boolean): number[][] => {
          const lists = new Map<unknown, number[]>()
          for (const { parent, child, n } of joined) {
            const list = lists.get(parent) ?? []
            lists.set(parent, list)
            if (child !== null && keeps(n as number)) list.push(child as number)
          }
          return [...lists.values()]
        }
        const ids = (rows: readonly { readonly children: readonly { readonly id: number }[] }[]): number[][] =>
          rows.map(({ children: list }) => list.map(({ id }) => id))

        const all = Parent.load({ children: many(Child) })
        const last = Parent.load({ children: many(Child.where(gt(Child.c.n, 1)).orderBy(desc(Child.c.id)).limit(2)) })
        expect(ids(await Parent.query().load(all).orderBy(Parent.c.id))).toEqual(expected(() => true))
        expect(ids(await Parent.query().load(last).orderBy(Parent.c.id))).toEqual(
          expected((n) => n > 1).map((list) => list.toReversed().slice(0, 2)),
        )
      }
    } finally {
      await db.close()
    }
  })
})
