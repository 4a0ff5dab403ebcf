/** Lists on MySQL by keys of every kind: the server pairs them as a join of the two columns does. */

import { desc, gt } from 'drizzle-orm'
import {
  bigint,
  binary,
  char,
  customType,
  date,
  datetime,
  double,
  float,
  foreignKey,
  int,
  mysqlEnum,
  mysqlTable,
  serial,
  text,
  time,
  timestamp,
  varbinary,
  varchar,
  year,
} from 'drizzle-orm/mysql-core'
import { createDb } from 'genever'
import { many, Model } from 'genever/models'
import { createRegistry } from 'genever/registry'
import { expect, test } from 'vitest'
import { describeMysql, freshMysql } from '../support/mysql.ts'

const uuid = customType<{ data: Buffer; driverData: Buffer }>({ dataType: () => 'binary(4)' })
const words = ['a', 'A', 'ä', 'b', '', '\u{1F600}']
const large = ['9007199254740993', '9007199254740992', '18446744073709551615', '7']
const bytes = [Buffer.from([1, 2, 3, 4]), Buffer.from([255, 254, 0, 1]), Buffer.from([1, 2, 3, 5])]
/** Of text, which is what Drizzle declares such columns as. */
const letters = [Buffer.from([1, 2, 3, 4]), Buffer.from([195, 169, 0, 1]), Buffer.from([1, 2, 3, 5])]

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
  binary: ['binary(4)', null, () => binary({ length: 4 }), letters],
  'a custom type of bytes': ['binary(4)', null, () => uuid(), bytes],
  varbinary: ['varbinary(9)', null, () => varbinary({ length: 9 }), [...letters, Buffer.from('a'), Buffer.from('A')]],
  serial: ['bigint unsigned', null, () => serial(), [1, 2, 3]],
  'numbers, declared as wider ones': ['int', 'smallint unsigned', () => bigint({ mode: 'bigint' }), [1, 2, 3]],
  'texts that are declared as numbers': ['varchar(20)', null, () => bigint({ mode: 'number' }), ['7', '07', '7.0']],
  'numbers that are declared as texts': ['bigint unsigned', null, () => varchar({ length: 20 }), large],
  'numbers larger than a double holds': ['bigint', null, () => bigint({ mode: 'bigint' }), large.slice(0, 2)],
  'decimals that are declared as whole numbers': [
    'decimal(30,2)',
    null,
    () => bigint({ mode: 'number' }),
    ['9007199254740992', '9007199254740993', '1'],
  ],
  'decimals that are declared as doubles': [
    'decimal(30,2)',
    'decimal(40,4)',
    () => double(),
    ['9007199254740992.01', '9007199254740992.02', '-0.5'],
  ],
  doubles: ['double', null, () => double(), [0.1, 1 / 3, 1e300, -5e-300, 16777217]],
  floats: ['float', null, () => float(), [0.1, 16777216, 16777214]],
  'bits that are declared as bytes': ['bit(16)', null, () => binary({ length: 2 }), [1, 256, 16705]],
  'bytes that are declared as texts': ['binary(4)', null, () => varchar({ length: 4 }), bytes],
  'texts that are declared as bytes': ['varchar(9)', null, () => varbinary({ length: 9 }), words],
  'texts that are declared as shorter ones': [
    'varchar(20)',
    null,
    () => varchar({ length: 2 }),
    ['abcd', 'abce', 'ABCD', 'ab', 'ab  '],
  ],
  'texts too long for a varchar of keys': [
    'text',
    null,
    () => text(),
    ['x'.repeat(9000), `${'x'.repeat(9000)}y`, 'X'.repeat(9000)],
  ],
  'microseconds that are declared as seconds': [
    'datetime(6)',
    null,
    () => datetime(),
    ['2025-01-01 00:00:00.000001', '2025-01-01 00:00:00.000002'],
  ],
  timestamp: ['timestamp(3)', null, () => timestamp(), ['2025-01-01 00:00:00.001', '2025-01-01 00:00:00.002']],
  date: ['date', null, () => date(), ['2025-01-01', '2025-01-02']],
  time: ['time(6)', null, () => time(), ['-100:00:00.000001', '100:00:00.000001', '00:00:00']],
  year: ['year', null, () => year(), [1999, 2024]],
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

  test('a key that has another type in the database of each tenant has the rows that are equal there', async () => {
    const types = { bigint: ['7', '8'], 'varchar(20)': ['7', '07'], 'varchar(20) collate utf8mb4_bin': ['7', '7a'] }
    await using server = await freshMysql()
    const names: string[] = []
    const tables = (type: string): string[] => [
      `create table parents (id int primary key, k ${type})`,
      `create table children (id int primary key, k ${type})`,
    ]
    await using first = await freshMysql(...tables('bigint'))
    await using second = await freshMysql(...tables('varchar(20)'))
    await using third = await freshMysql(...tables('varchar(20) collate utf8mb4_bin'))
    for (const [at, [a, b]] of Object.values(types).entries()) {
      const tenant = [first, second, third][at] as typeof first
      names.push(tenant.name)
      await tenant.query('insert into parents values (1, ?), (2, ?)', [a, b])
      await tenant.query('insert into children values (1, ?), (2, ?), (3, ?)', [a, b, a])
    }
    const db = createRegistry({
      main: { url: server.url, pool: { max: 1 } },
      tenancy: { settings: (tenant) => ({ database: tenant }) },
    })
    try {
      // As a number it says nothing of the type: `7a` is read as NaN.
      const k = () => bigint({ mode: 'number' })
      const parents = mysqlTable('parents', { id: int().primaryKey(), k: k() })
      const children = mysqlTable('children', { id: int().primaryKey(), k: k().references(() => parents.k) })
      class Parent extends Model(db, parents) {}
      class Child extends Model(db, children) {}
      const query = Parent.query()
        .load(Parent.load({ children: many(Child) }))
        .orderBy(Parent.c.id)
      for (const tenant of [...names, ...names.toReversed()])
        await db.withTenant(tenant, async () => {
          const expected = [[1, 3], [2]]
          const ids = (found: Awaited<typeof query>): number[][] =>
            found.map((each) => each.children.map(({ id }) => id))
          expect(ids(await query)).toEqual(expected)
          await db.transaction(async () => expect(ids(await query.limit(2).forUpdate())).toEqual(expected))
        })
    } finally {
      await db.close()
    }
  })
})
