/** The value of `scalar()` is read as its column is declared, whatever asks for it; and conditions on lists. */

import { sql } from 'drizzle-orm'
import { bigint, date, integer, jsonb, numeric, pgEnum, pgTable, serial, text, timestamp } from 'drizzle-orm/pg-core'
import { json, many, Model } from 'genever/models'
import { expect, test } from 'vitest'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  test('scalar() gives the first column as its model declares it', async () => {
    const db = await driver.db()
    const name =
      await driver.table(`id serial primary key, big bigint, exact numeric, amount numeric, day date, at timestamp,
      words text[], many int[], profile jsonb not null default '{}'`)
    const table = pgTable(name, {
      id: serial().primaryKey(),
      big: bigint({ mode: 'bigint' }),
      exact: numeric({ mode: 'bigint' }),
      amount: numeric({ mode: 'number' }),
      day: date({ mode: 'date' }),
      at: timestamp({ mode: 'string' }),
      words: pgEnum('words', ['a', 'b'])().array(),
      many: integer().array(),
      profile: jsonb().notNull().default({}),
    })
    class Thing extends Model(db, table, { json: { profile: { seen: json.dateTime(), age: json.integer() } } }) {}
    const values = {
      big: 2n ** 62n,
      exact: 10n ** 20n,
      amount: 1.25,
      day: new Date('2024-02-29'),
      at: '2024-03-31 02:30:00.123456',
      words: ['a' as const, 'b' as const],
      many: [1, 2],
      seen: new Date(0),
      age: 7,
    }
    const { id } = await Thing.create(values)

    for (const [key, value] of Object.entries(values)) {
      const asked = Thing.select(key as keyof typeof values, 'id').where({ id })
      expect([key, await asked.scalar()]).toEqual([key, value])
      expect([key, await db.scalar(asked)]).toEqual([key, value])
      expect([key, await db.bake(asked).scalar()]).toEqual([key, value])
    }
    const { c } = Thing
    expect(await Thing.query().load(c.big).scalar()).toBe(values.big)
    expect(
      await Thing.query()
        .load([c.day, Thing] as const)
        .scalar(),
    ).toEqual(values.day)
    expect(
      await Thing.query()
        .load(sql<bigint>`max(${c.big})`.mapWith(c.big))
        .scalar(),
    ).toBe(values.big)
    expect(
      await Thing.query()
        .load(sql`max(${c.amount})`)
        .where({ id: -1 })
        .scalar(),
    ).toBeNull()
    expect(await Thing.query().scalar()).toBe(id)
    expect(await Thing.where({ id: -1 }).scalar()).toBeUndefined()
  })

  test('scalar() of objects with lists, and of a model without instances, gives the key', async () => {
    const db = await driver.db()
    const [first, second] = [await driver.table('id bigint primary key'), await driver.table('n serial, of bigint')]
    const owners = pgTable(first, { id: bigint({ mode: 'bigint' }).primaryKey() })
    const parts = pgTable(second, {
      n: serial().primaryKey(),
      of: bigint({ mode: 'bigint' }).references(() => owners.id),
    })
    let made = 0
    class Owner extends Model(db, owners, { afterLoad: () => void made++ }) {}
    class Part extends Model(db, parts) {}
    await Owner.create({ id: 2n ** 60n })
    await Part.createMany([{ of: 2n ** 60n }, { of: 2n ** 60n }])
    made = 0

    expect(
      await Owner.query()
        .load(Owner.load({ parts: many(Part) }))
        .scalar(),
    ).toBe(2n ** 60n)
    expect(await Owner.query().scalar()).toBe(2n ** 60n)
    expect(made).toBe(0)
  })

  test('a list is the value of a JSON property of lists, and of a column of lists', async () => {
    const db = await driver.db()
    const name = await driver.table("id serial primary key, words text[], profile jsonb not null default '{}'")
    const table = pgTable(name, {
      id: serial().primaryKey(),
      words: text().array(),
      profile: jsonb().notNull().default({}),
    })
    class Note extends Model(db, table, { json: { profile: { tags: json.array(), of: json.object() } } }) {}
    await Note.createMany([
      { words: ['a', 'b'], tags: ['a', 1, { b: null }], of: { k: 1, l: 2 } },
      { words: [], tags: [] },
      {},
    ])

    expect(await Note.where({ words: ['a', 'b'] }).count()).toBe(1)
    expect(await Note.where({ words: [] }).count()).toBe(1)
    expect(await Note.where({ tags: ['a', 1, { b: null }] }).count()).toBe(1)
    expect(await Note.where({ tags: [] }).count()).toBe(1)
    expect(await Note.where({ tags: null, words: null }).count()).toBe(1)
    expect(await Note.where({ of: { l: 2, k: 1 } }).count()).toBe(1)
    expect(() => Note.where({ tags: [Number.NaN] })).toThrow(/NaN/)
    // @ts-expect-error a list of lists is no value of such a column
    expect(await Note.where({ words: [['a', 'b']] }).count()).toBe(0)
  })
})
