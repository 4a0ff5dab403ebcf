/** `select-in` finds by one parameter that holds all keys, whatever their type. */

import { desc, gt, ne } from 'drizzle-orm'
import { bigint, customType, date, integer, numeric, pgTable, serial, text, timestamp, uuid } from 'drizzle-orm/pg-core'
import { many, Model } from 'genever/models'
import { expect, test } from 'vitest'
import { hear } from '../support/events.ts'
import { forEachDriver } from '../support/matrix.ts'
import { blog, titles } from './support/blog.ts'

const upper = customType<{ data: string; driverData: string }>({
  dataType: () => 'text',
  toDriver: (value) => value.toUpperCase(),
  fromDriver: (value) => value.toLowerCase(),
})

// oxlint-disable typescript/explicit-function-return-type -- columns are inferred
const kinds = {
  integer: { type: 'int', column: () => integer(), keys: [1, -2] },
  text: { type: 'text', column: () => text(), keys: ['a, "b"', "{NULL}\\'", 'NULL'] },
  uuid: {
    type: 'uuid',
    column: () => uuid(),
    keys: ['6f1f6dbe-6c3a-4f5c-8a30-0c6f7f8b4b10', '00000000-0000-0000-0000-000000000001'],
  },
  bigint: { type: 'bigint', column: () => bigint({ mode: 'bigint' }), keys: [9_007_199_254_740_993n, 1n] },
  numeric: { type: 'numeric', column: () => numeric(), keys: ['1.50', '12345678901234567890'] },
  date: { type: 'date', column: () => date(), keys: ['2026-01-31', '0001-01-01'] },
  timestamp: {
    type: 'timestamptz',
    column: () => timestamp({ withTimezone: true }),
    keys: [new Date('2026-01-31T10:00:00.123Z'), new Date(0)],
  },
  custom: { type: 'text', column: () => upper(), keys: ['ann', 'bob'] },
} as const

forEachDriver((driver) => {
  test.each(Object.entries(kinds))('by keys of type %s', async (_, { type, column, keys }) => {
    const db = await driver.db()
    const owners = pgTable(await driver.table(`id serial primary key, key ${type} not null unique`), {
      id: serial().primaryKey(),
      key: column().notNull().unique(),
    })
    const things = pgTable(await driver.table(`id serial primary key, owner ${type}`), {
      id: serial().primaryKey(),
      owner: column().references(() => owners.key),
    })
    class Owner extends Model(db, owners) {}
    class Thing extends Model(db, things) {}
    for (const key of keys) {
      await Owner.create({ key })
      await Thing.createMany([{ owner: key }, { owner: key }] as never)
    }
    await Thing.create({})
    const loader = Owner.load({ things: many(Thing) })

    const separately = await Owner.query().load(loader, { strategy: 'select-in' }).orderBy(Owner.c.id)
    const joined = await Owner.query().load(loader).orderBy(Owner.c.id)

    expect(separately.map(({ things: found }) => found.length)).toEqual(keys.map(() => 2))
    expect(JSON.stringify(separately, text64)).toBe(JSON.stringify(joined, text64))
  })

  test('is one statement for any number of keys', async () => {
    const name = `keys ${driver.name}`
    const db = await driver.db({ name })
    const owners = pgTable(await driver.table('id serial primary key, name text'), {
      id: serial().primaryKey(),
      name: text(),
    })
    const things = pgTable(await driver.table('id serial primary key, owner int'), {
      id: serial().primaryKey(),
      owner: integer().references(() => owners.id),
    })
    class Owner extends Model(db, owners) {}
    class Thing extends Model(db, things) {}
    await Owner.createMany([{ name: 'a' }, { name: 'b' }, { name: 'c' }])
    await Thing.createMany([{ owner: 1 }, { owner: 2 }])
    const query = Owner.query().load(Owner.load({ things: many(Thing) }), { strategy: 'select-in' })
    using heard = hear(name)

    expect(await query).toHaveLength(3)
    expect(await query.where({ name: 'a' })).toHaveLength(1)

    const [, first, , second] = heard.statements.map(({ sql: statement }) => statement)
    expect(first).toMatch(/unnest\(\$1::text\[\]\)\) with ordinality/)
    expect(second).toBe(first)
  })

  test('a loader is compiled by its first query: the next ones look at no column again, and find what there is then', async () => {
    const db = await driver.db()
    const owners = pgTable(await driver.table('id serial primary key'), { id: serial().primaryKey() })
    const things = pgTable(await driver.table('id serial primary key, owner int'), {
      id: serial().primaryKey(),
      owner: integer().references(() => owners.id),
    })
    class Owner extends Model(db, owners) {}
    class Thing extends Model(db, things) {}
    await Owner.createMany([{}, {}])
    await Thing.createMany([{ owner: 1 }, { owner: 2 }, { owner: 1 }])
    const loader = Owner.load({ things: many(Thing) })
    const found = async (): Promise<readonly unknown[]> => {
      const all = await Owner.query().load(loader, { strategy: 'select-in' }).orderBy(Owner.c.id)
      return all.map(({ id, things: list }) => [id, ...list.map((thing) => thing.id)])
    }

    expect(await found()).toEqual([
      [1, 1, 3],
      [2, 2],
    ])
    await Thing.create({ owner: 2 })
    let looks = 0
    for (const column of [Owner.c.id, Thing.c.id, Thing.c.owner]) {
      const type = column.getSQLType()
      column.getSQLType = () => (looks++, type)
    }
    expect(await found()).toEqual([
      [1, 1, 3],
      [2, 2, 4],
    ])
    expect(looks).toBe(0)
  })

  test('one loader asks for the lists of other objects each time, with the values of its condition', async () => {
    const name = `keys again ${driver.name}`
    const { Author, Post } = await blog(driver, { name })
    const scored = Author.load({ posts: many(Post.where(gt(Post.c.score, 1)).orderBy(desc(Post.c.score)).limit(2)) })
    const query = Author.query().load(scored, { strategy: 'select-in' }).orderBy(Author.c.id)
    using heard = hear(name)
    expect(titles(await query)).toEqual(['a1 a3', 'b1', ''])
    expect(titles(await query.where({ id: 2 }))).toEqual(['b1'])
    expect(titles(await query.where(ne(Author.c.id, 1)))).toEqual(['b1', ''])
    expect(titles(await query.limit(1))).toEqual(['a1 a3'])
    expect(titles([await query.where({ id: 1 }).one()])).toEqual(['a1 a3'])
    const lists = heard.statements.map(({ sql }) => sql).filter((text) => text.includes(' ordinality '))
    expect(new Set(lists).size).toBe(1)
    expect(lists).toHaveLength(5)
  })
})

const text64 = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)
