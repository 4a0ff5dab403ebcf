/** Many rows at once: createMany, static updates and deletions, upserts. */

import { gt, sql } from 'drizzle-orm'
import {
  boolean,
  customType,
  doublePrecision,
  integer,
  jsonb,
  numeric,
  pgSchema,
  pgTable,
  serial,
  text,
  timestamp,
  varchar,
} from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { QueryError, TransactionEndedError, UniqueViolationError, UnknownColumnError, UsageError } from 'genever'
import { json, Model } from 'genever/models'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'
import { people } from './support/people.ts'

const bytea = customType<{ data: Buffer; driverData: Buffer }>({ dataType: () => 'bytea' })

forEachDriver((driver) => {
  describe('createMany', () => {
    test('gives instances in the order of the values, by one statement whatever their number', async () => {
      const { Person, listen } = await people(driver)
      const heard = listen()

      const made = await Person.createMany([
        { name: 'c', nickname: 'C' },
        { name: 'a', nickname: 'A' },
        { name: 'b', nickname: 'B' },
      ])
      await Person.createMany(Array.from({ length: 50 }, (_, i) => ({ name: `n${i}`, nickname: 'x' })))

      expect(made.map(({ id, name, nickname }) => `${id}${name}${String(nickname)}`)).toEqual(['1cC', '2aA', '3bB'])
      expect(made[0]).toBeInstanceOf(Person)
      expect(made[1]?.greet()).toBe('hi a')
      const inserts = heard.map(({ sql: statement }) => statement).filter((statement) => statement.startsWith('insert'))
      expect(new Set(inserts).size).toBe(1)
      expect(inserts).toHaveLength(2)
    })

    test('of nothing sends nothing', async () => {
      const { Person, listen } = await people(driver)
      const heard = listen()

      expect(await Person.createMany([])).toEqual([])

      expect(heard).toEqual([])
    })

    test('leaves what a row lacks to the database, and keeps the order', async () => {
      const { Person } = await people(driver)

      const made = await Person.createMany([
        { name: 'a', visits: 1 },
        { name: 'b' },
        { name: 'c', email: 'c', active: false },
        { name: sql`upper('d')`, nickname: 'D' },
      ])

      expect(made.map(({ id, name, visits, email, active }) => [id, name, visits, email, active])).toEqual([
        [1, 'a', 1, null, true],
        [2, 'b', 0, null, true],
        [3, 'c', 0, 'c', false],
        [4, 'D', 0, null, true],
      ])
    })

    test('inserts rows of defaults alone', async () => {
      const db = await driver.db()
      const table = pgTable(await driver.table('id serial primary key, n integer default 7'), {
        id: serial().primaryKey(),
        n: integer(),
      })
      class Thing extends Model(db, table) {}

      expect((await Thing.createMany([{}, {}])).map(({ id, n }) => [id, n])).toEqual([
        [1, 7],
        [2, 7],
      ])
    })

    test('is all or nothing, in one statement and in several', async () => {
      const { Person } = await people(driver)
      const same = Array.from({ length: 10_001 }, (_, i) => ({ name: 'x', email: `e${i % 10_000}` }))
      const mixed = [{ name: 'a', email: 'e' }, { name: 'b' }, { name: 'c', email: 'e' }]

      expect(await caught(Person.createMany(same))).toBeInstanceOf(UniqueViolationError)
      expect(await caught(Person.createMany(mixed))).toBeInstanceOf(UniqueViolationError)

      expect(await Person.query().count()).toBe(0)
    })

    test('takes more rows than a statement has parameters, of one shape and of many', async () => {
      const { Person } = await people(driver)
      const same = Array.from({ length: 12_000 }, (_, i) => ({ name: `s${i}`, visits: i, active: false }))
      const mixed = Array.from({ length: 8001 }, (_, i) =>
        i % 2 === 0 ? { name: 'm', visits: i } : { name: 'm', active: false },
      )

      const first = await Person.createMany(same)
      const second = await Person.createMany(mixed)

      expect(first).toHaveLength(12_000)
      expect(first.every(({ visits }, i) => visits === i)).toBe(true)
      expect(second.map(({ id }) => id)).toEqual(Array.from({ length: 8001 }, (_, i) => 12_001 + i))
    })

    test('writes every kind of value as a single create does', async () => {
      const db = await driver.db()
      const name = await driver.table(
        'id serial primary key, f float8, n numeric(30,5), b bytea, t timestamp, z timestamptz, v varchar(8), j jsonb, a integer[], m text[][], ok bool, x text',
      )
      const table = pgTable(name, {
        id: serial().primaryKey(),
        f: doublePrecision(),
        n: numeric(),
        b: bytea(),
        t: timestamp(),
        z: timestamp({ withTimezone: true }),
        v: varchar({ length: 8 }),
        j: jsonb(),
        a: integer().array(),
        m: text().array(),
        ok: boolean(),
        x: text(),
      })
      class Thing extends Model(db, table) {}
      const dates = { t: new Date('0099-03-04T05:06:07.089Z'), z: new Date('2024-02-29T23:59:59.999Z') }
      const rows = [
        {
          f: Number.NaN,
          n: '12345678901234567890.12345',
          b: Buffer.from([0, 255, 92, 39]),
          ...dates,
          v: '12345678',
          j: { a: ['"', '\\', '\u2028'] },
          a: [1, -2],
          m: ['a,b', '"{}\\', 'NULL', ''],
          ok: true,
          x: `'"\\ \n\t ü 💧 $1 {}`,
        },
        { f: -Infinity, n: '0', b: Buffer.alloc(0), ...dates, v: '', j: 'a "string"', a: [], m: [], ok: false, x: '' },
        {
          f: 1e-300,
          n: '-1',
          b: Buffer.from('x'),
          ...dates,
          v: 'x',
          j: [null, 1.5, true],
          a: [2 ** 31 - 1],
          m: ['x'],
          ok: false,
          x: 'null',
        },
        { f: 0.1, n: '1', b: Buffer.from('x'), ...dates, v: 'null', j: 0, a: [0], m: ['null'], ok: true, x: 'true' },
      ]

      const many = await Thing.createMany(rows)
      const single = []
      for (const row of rows) single.push(await Thing.create(row))

      const without = (thing: InstanceType<typeof Thing>): object =>
        Object.assign(Object.create(null) as object, thing, { id: 0 })
      expect(many.map(without)).toEqual(single.map(without))
      expect(many[0]).toMatchObject(rows[0] ?? {})
      const tooLong = Thing.createMany([{ v: '123456789' }, { v: '' }])
      expect(await caught(tooLong)).toBeInstanceOf(QueryError)
    })

    test('works on a table in a schema, with names that need quotes', async () => {
      const db = await driver.db()
      const schema = `S "${process.pid}`
      const quoted = `"${schema.replaceAll('"', '""')}"`
      await db.status(`drop schema if exists ${quoted} cascade; create schema ${quoted};
        create table ${quoted}."T $1" ("the id" serial primary key, "a""b" text unique, "\\" integer)`)
      const table = pgSchema(schema).table('T $1', {
        id: serial('the id').primaryKey(),
        quote: text('a"b').unique(),
        slash: integer('\\'),
      })
      class Thing extends Model(db, table) {}

      await Thing.createMany([
        { quote: 'x', slash: 1 },
        { quote: 'y', slash: 2 },
      ])
      await Thing.create({ quote: 'z' })
      await Thing.upsert({ quote: 'z', slash: 3 }, { target: ['quote'] })
      const y = await Thing.getOr404(2)
      await y.update({ slash: 9 })
      await Thing.update({ slash: sql`${Thing.c.slash} + 1` }).where({ quote: 'x' })
      await Thing.delete().where(gt(Thing.c.slash, 8))

      expect((await Thing.query().orderBy(Thing.c.id)).map(({ quote, slash }) => [quote, slash])).toEqual([
        ['x', 2],
        ['z', 3],
      ])
      await db.status(`drop schema ${quoted} cascade`)
    })

    test('refuses what is no list, and keys that there are not', async () => {
      const { Person } = await people(driver)

      await expect(Person.createMany({ name: 'a' } as never)).rejects.toThrow('takes a list of objects, not an object')
      await expect(Person.createMany([{ name: 'a' }, { nope: 1 } as never])).rejects.toThrow(UnknownColumnError)
    })
  })

  describe('a static update', () => {
    test('changes the rows it is told, and gives their number', async () => {
      const { Person } = await people(driver)
      await Person.createMany([{ name: 'a' }, { name: 'b' }, { name: 'c' }])

      expect(await Person.update({ visits: 1 }).where({ name: ['a', 'b'] })).toBe(2)
      expect(
        await Person.update({ visits: sql`${Person.c.visits} + 10` })
          .where(gt(Person.c.id, 1))
          .where({ name: 'b' }),
      ).toBe(1)
      expect(await Person.update({ active: false }).set({ email: null }).everyRow()).toBe(3)

      const all = await Person.query().orderBy(Person.c.id)
      expect(all.map(({ visits, active }) => [visits, active])).toEqual([
        [1, false],
        [11, false],
        [0, false],
      ])
    })

    test('gives instances with returning()', async () => {
      const { Person } = await people(driver)
      await Person.createMany([{ name: 'a' }, { name: 'b' }])

      const changed = await Person.update({ nickname: 'x' }).where({ name: 'b' }).returning()

      expect(changed).toHaveLength(1)
      expect(changed[0]).toBeInstanceOf(Person)
      expect(changed[0]?.greet()).toBe('hi b')
      expect(changed[0]?.nickname).toBe('x')
    })

    test.each(['nothing', 'undefined', 'an empty object'])(
      'with %s for a condition is refused when it would run',
      async (what) => {
        const { Person } = await people(driver)
        await Person.create({ name: 'a' })
        const condition = what === 'undefined' ? undefined : {}
        const update = Person.update({ visits: 1 })
        const remove = Person.delete()

        for (const change of what === 'nothing'
          ? [update, remove]
          : [update.where(condition), remove.where(condition)]) {
          const error = await caught(change)
          expect(error).toBeInstanceOf(UsageError)
          expect(String(error)).toMatch(/needs to know its rows: add \.where\(…\), or \.everyRow\(\)/)
        }

        expect(await Person.query().count()).toBe(1)
      },
    )

    test('of nothing sends nothing', async () => {
      const { Person, listen } = await people(driver)
      const heard = listen()

      expect(await Person.update({}).everyRow()).toBe(0)
      expect(await Person.update({ name: undefined }).everyRow().returning()).toEqual([])

      expect(heard).toEqual([])
    })

    test('refuses keys that there are not, and members that are undefined', async () => {
      const { Person } = await people(driver)

      expect(() => Person.update({ nope: 1 } as never)).toThrow(UnknownColumnError)
      expect(() => Person.update({ visits: 1 }).where({ nope: 1 } as never)).toThrow(UnknownColumnError)
      expect(() => Person.delete().where({ name: undefined } as never)).toThrow('which would match every row')
    })

    test('made in a transaction that has ended does not run', async () => {
      const { Person, db } = await people(driver)
      await Person.create({ name: 'a' })
      const made = await db.transaction(() => ({ change: Person.delete().everyRow() }))

      expect(await caught(made.change)).toBeInstanceOf(TransactionEndedError)
      expect(await Person.query().count()).toBe(1)
    })
  })

  describe('a static delete', () => {
    test('deletes the rows it is told, and gives their number or instances', async () => {
      const { Person } = await people(driver)
      await Person.createMany([{ name: 'a' }, { name: 'b' }, { name: 'c' }])

      expect(await Person.delete().where({ name: 'a' })).toBe(1)
      expect((await Person.delete().where({ name: 'b' }).returning()).map((person) => person.greet())).toEqual(['hi b'])
      expect(await Person.delete().everyRow()).toBe(1)
      expect(await Person.delete().everyRow().apply()).toBe(0)
    })
  })

  describe('upsert', () => {
    test('inserts, and changes what was given in a row that is there', async () => {
      const { Person } = await people(driver)

      const first = await Person.upsert({ email: 'a', name: 'Ada', visits: 1 }, { target: ['email'] })
      const second = await Person.upsert({ email: 'a', name: 'Eve' }, { target: ['email'] })

      expect(first).toBeInstanceOf(Person)
      expect(second).toMatchObject({ id: first.id, name: 'Eve', visits: 1 })
      expect(await Person.query().count()).toBe(1)
    })

    test('decides by the primary key unless it is told otherwise', async () => {
      const { Person } = await people(driver)
      await Person.create({ name: 'Ada' })

      expect(await Person.upsert({ id: 1, name: 'Eve' })).toMatchObject({ id: 1, name: 'Eve' })
      await expect(Person.upsert({ name: 'Eve' })).rejects.toThrow('decides by id, and has no value for id')
    })

    test('changes only what update names, and with nothing gives the row as it is', async () => {
      const { Person } = await people(driver)
      await Person.create({ name: 'Ada', email: 'a', visits: 5 })

      const some = await Person.upsert(
        { name: 'Eve', email: 'a', visits: 6 },
        { target: ['email'], update: ['visits'] },
      )
      expect(some).toMatchObject({ name: 'Ada', visits: 6 })
      const none = await Person.upsert({ name: 'Eve', email: 'a', visits: 7 }, { target: ['email'], update: [] })
      expect(none).toMatchObject({ name: 'Ada', visits: 6 })
    })

    test('takes SQL, which can see the row that is there', async () => {
      const { Person } = await people(driver)
      const once = () => Person.upsert({ name: 'Ada', email: 'a', visits: sql`1` }, { target: ['email'], update: [] })
      await once()

      const more = await Person.upsert({ name: sql`upper('b')`, email: 'a' }, { target: ['email'] })

      expect(more).toMatchObject({ name: 'B', visits: 1 })
    })

    test('merges JSON properties into those that are there', async () => {
      const { Person, db, name } = await people(driver)
      await Person.create({ name: 'Ada', email: 'a', nickname: 'x' })
      await db.status(`update ${name} set profile = profile || '{"other": 1}'`)

      const merged = await Person.upsert({ name: 'Ada', email: 'a', age: 7 }, { target: ['email'] })

      expect(merged.profile).toEqual({ nickname: 'x', age: 7, other: 1 })
    })

    test.each([
      ['a target that there is not', { target: ['nope'] }, 'has no "nope"'],
      ['an update that there is not', { target: ['email'], update: ['nope'] }, 'has no "nope"'],
      [
        'an update without a value',
        { target: ['email'], update: ['visits'] },
        'is to update visits, which was given no value',
      ],
    ])('refuses %s', async (_, options, message) => {
      const { Person } = await people(driver)

      await expect(Person.upsert({ name: 'a', email: 'a' }, options as never)).rejects.toThrow(message)
    })
  })

  test('default values of JSON properties are stored by createMany too', async () => {
    const db = await driver.db()
    const table = pgTable(await driver.table('id serial primary key, profile jsonb'), {
      id: serial().primaryKey(),
      profile: jsonb(),
    })
    class Thing extends Model(db, table, {
      json: { profile: { level: json.integer({ default: 3 }), note: json.string() } },
    }) {}

    const made = await Thing.createMany([{ note: 'a' }, { level: 4 }])

    expect(made.map(({ profile }) => profile)).toEqual([{ level: 3, note: 'a' }, { level: 4 }])
  })
})
