/** JSON properties on the instance: defaults, hooks, names, printed forms, and their definition. (GINO: JSON support.) */

import { eq, sql } from 'drizzle-orm'
import { integer, json as jsonColumn, jsonb, pgTable, serial, text } from 'drizzle-orm/pg-core'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { UnknownColumnError, UnknownJsonPropertyError, UsageError } from 'genever'
import { json, Model, plain } from 'genever/models'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'
import { people } from './support/people.ts'

forEachDriver((driver) => {
  describe('in memory', () => {
    test('a property reads and writes its column, with its default where there is nothing', async () => {
      const { Person } = await people(driver)
      const ada = new Person()

      expect([ada.nickname, ada.age, ada.settings]).toEqual([null, 0, null])
      ada.nickname = 'Countess'
      ada.age = 36

      expect(ada.profile).toEqual({ nickname: 'Countess', age: 36 })
      expect(ada.nickname).toBe('Countess')
      expectTypeOf(new Person().nickname).toEqualTypeOf<string | null>()
      expectTypeOf(ada.age).toEqualTypeOf<number>()
      expectTypeOf(ada.born).toEqualTypeOf<Date | null>()
    })

    test('every kind is what its name says', async () => {
      const { Person } = await people(driver)
      const born = new Date('1815-12-10T01:02:03.456Z')

      const made = await Person.create({
        name: 'Ada',
        nickname: `it's "x" \\ $1`,
        age: 36,
        height: 1.65,
        admin: true,
        born,
        settings: { theme: 'dark', font: { size: 2 } },
        cities: ['London', 'Rome'],
        note: 'n',
      })

      const ada = await Person.getOr404(made.id)
      expect(ada.nickname).toBe(`it's "x" \\ $1`)
      expect([ada.age, ada.height, ada.admin, ada.born, ada.settings, ada.cities, ada.note]).toEqual([
        36,
        1.65,
        true,
        born,
        { theme: 'dark', font: { size: 2 } },
        ['London', 'Rome'],
        'n',
      ])
      expect(ada.profile).toMatchObject({ born: '1815-12-10T01:02:03.456Z', age: 36 })
      expect(ada.extra).toEqual({ note: 'n' })
    })

    test.each([
      ['string', { nickname: 5 }, "'nickname' takes a string or null"],
      ['integer', { age: 1.5 }, "'age' takes an integer or null"],
      ['number', { height: Number.NaN }, "'height' takes a finite number or null"],
      ['boolean', { admin: 'yes' }, "'admin' takes a boolean or null"],
      ['date', { born: '2000-01-01' }, "'born' takes a valid Date or null"],
      ['object', { settings: [] }, "'settings' takes an object or null"],
      ['array', { cities: {} }, "'cities' takes an array or null"],
    ])('what is no %s is refused', async (_, values, message) => {
      const { Person } = await people(driver)
      const given = { name: 'x', ...values }

      const error = await caught(Person.create(given as never))

      expect(error).toBeInstanceOf(UsageError)
      expect(String(error)).toContain(message)
    })

    test('a field that is declared again does not hide a property', async () => {
      const { db, table } = await people(driver)
      class Person extends Model(db, table, { json: { profile: { nickname: json.string() } } }) {
        override nickname: string | null = 'field'
        override name!: string
      }

      const ada = await Person.create({ name: 'Ada', nickname: 'x' })

      expect([ada.name, ada.nickname]).toEqual(['Ada', 'x'])
      ada.nickname = 'y'
      expect(ada.profile).toEqual({ nickname: 'y' })
    })
  })

  describe('defaults', () => {
    test('are stored in new rows, unless they are null or what is read is not what is stored', async () => {
      const db = await driver.db()
      let made = 0
      const table = pgTable(await driver.table('id serial primary key, profile jsonb, other jsonb'), {
        id: serial().primaryKey(),
        profile: jsonb(),
        other: jsonb().default({ kept: true }),
      })
      class Thing extends Model(db, table, {
        json: {
          profile: {
            level: json.integer({ default: 3 }),
            list: json.array<number>({ default: () => [++made] }),
            none: json.string(),
            loud: json.string({ default: 'a', afterGet: (value) => (value === null ? null : value.toUpperCase()) }),
          },
          other: { flag: json.boolean({ default: false }) },
        },
      }) {}

      const thing = await Thing.create({})

      expect(thing.profile).toEqual({ level: 3, list: [1] })
      expect(thing.other).toEqual({ kept: true, flag: false })
      expect([thing.level, thing.list, thing.none, thing.loud, thing.flag]).toEqual([3, [1], null, 'A', false])
      const other = await Thing.create({ level: 4, list: [9] })
      expect(other.profile).toEqual({ level: 4, list: [9] })
      expect(made).toBe(1)
      expectTypeOf(thing.level).toEqualTypeOf<number>()
      expectTypeOf(thing.list).toEqualTypeOf<number[]>()
    })

    test('a column without properties or defaults to store is left to the database', async () => {
      const db = await driver.db()
      const table = pgTable(await driver.table(`id serial primary key, profile jsonb default '{"from": "database"}'`), {
        id: serial().primaryKey(),
        profile: jsonb(),
      })
      class Thing extends Model(db, table, { json: { profile: { from: json.string() } } }) {}

      expect((await Thing.create({})).from).toBe('database')
    })

    test('null is stored, and a default stands for it', async () => {
      const { Person, stored } = await people(driver)
      const ada = await Person.create({ name: 'Ada', nickname: 'x' })

      await ada.update({ nickname: null, age: null as never })

      expect(await stored(ada.id)).toMatchObject({ profile: { nickname: null, age: null } })
      expect([ada.nickname, ada.age]).toEqual([null, 0])
    })
  })

  describe('hooks and names', () => {
    test('beforeSet changes what is stored, afterGet what is read, expression what SQL sees', async () => {
      const db = await driver.db()
      const table = pgTable(await driver.table('id serial primary key, profile jsonb'), {
        id: serial().primaryKey(),
        profile: jsonb(),
      })
      class Thing extends Model(db, table, {
        json: {
          profile: {
            code: json.string({
              prop: 'the code',
              beforeSet: (value) => value?.toLowerCase() ?? null,
              afterGet: (value) => value?.toUpperCase() ?? null,
              expression: (member) => sql`upper(${member})`,
            }),
          },
        },
      }) {}

      const thing = await Thing.create({ code: 'aBc' })

      expect(thing.profile).toEqual({ 'the code': 'abc' })
      expect(thing.code).toBe('ABC')
      expect(await Thing.where(eq(Thing.c.code, 'ABC')).count()).toBe(1)
      await thing.update({ code: 'XyZ' })
      expect(thing.profile).toEqual({ 'the code': 'xyz' })
    })

    test.each([`it's`, 'a"b', 'back\\slash', '$1', ':name', '--', 'ü💧', '__proto__', 'a,b', '{x}', ' '])(
      'the key %j is data',
      async (prop) => {
        const db = await driver.db()
        const name = await driver.table('id serial primary key, profile jsonb')
        const table = pgTable(name, { id: serial().primaryKey(), profile: jsonb() })
        class Thing extends Model(db, table, {
          json: {
            profile: { value: json.string({ prop }), count: json.integer(), tree: json.object({ prop: `${prop}2` }) },
          },
        }) {}
        const thing = await Thing.create({ value: 'a', count: 1 })

        await thing.update({ value: 'b' })
        await thing.update({ value: sql`${'c'} || ${'d'}`, count: sql`${Thing.c.count} + 1` })
        await thing.update({ tree: { [prop]: { [prop]: 1 } } })
        await thing.update({ tree: { [prop]: { other: 2 } } })
        await Thing.upsert({ id: thing.id, value: 'e' })

        const found = await Thing.where(eq(Thing.c.value, 'e')).orderBy(Thing.c.value).one()
        expect([found.value, found.count]).toEqual(['e', 2])
        expect(await db.scalar(`select profile ->> $1 from ${name}`, [prop])).toBe('e')
        expect(
          await db.one(`select profile -> $1 -> $2 ->> $2 as a, profile -> $1 -> $2 ->> 'other' as b from ${name}`, [
            `${prop}2`,
            prop,
          ]),
        ).toEqual({ a: '1', b: '2' })
      },
    )
  })

  describe('toJSON', () => {
    test('has the properties in place of their column', async () => {
      const { Person } = await people(driver)
      const ada = await Person.create({ name: 'Ada', nickname: 'x' })

      const plainAda = ada.toJSON()

      expect(plainAda).toMatchObject({ name: 'Ada', nickname: 'x', age: 0, cities: null, note: null })
      expect('profile' in plainAda).toBe(false)
      expectTypeOf(plainAda.age).toEqualTypeOf<number>()
      expectTypeOf(plainAda).not.toHaveProperty('profile')
      expect(plain([ada])).toEqual([plainAda])
    })

    test('refuses keys that are no property, naming key and column', async () => {
      const { Person, db, name } = await people(driver)
      await db.status(`insert into ${name} (name, profile) values ('a', '{"stray": "secret"}')`)
      const ada = await Person.getOr404(1)

      expect(() => ada.toJSON()).toThrow(UnknownJsonPropertyError)
      expect(() => ada.toJSON()).toThrow(`'profile' holds "stray"`)
      class Quiet extends Model(db, Person.table, {
        json: { profile: { nickname: json.string() } },
        hidden: ['profile'],
      }) {}
      expect('nickname' in (await Quiet.getOr404(1)).toJSON()).toBe(false)
    })
  })

  describe('definitions', () => {
    test('a property needs a json or jsonb column, and a name of its own', async () => {
      const db = await driver.db()
      const table = pgTable('t', { id: integer().primaryKey(), name: text(), a: jsonb(), b: jsonColumn() })
      const make = (map: object) => () => Model(db, table, { json: map as never })

      expect(make({ nope: { x: json.string() } })).toThrow("has no json or jsonb column 'nope'")
      expect(make({ name: { x: json.string() } })).toThrow("has no json or jsonb column 'name'")
      expect(make({ constructor: { x: json.string() } })).toThrow("has no json or jsonb column 'constructor'")
      expect(make({ a: { name: json.string() } })).toThrow("the property 'name' has the name of a column or method")
      expect(make({ a: { update: json.string() } })).toThrow("the property 'update' has the name of a column or method")
      expect(make({ a: { x: json.string() }, b: { x: json.string() } })).toThrow("the property 'x' is declared twice")
      expect(make({ a: { x: {} } })).toThrow('a.x is made by json.string()')
      expect(() => json.string({ nope: 1 } as never)).toThrow('Unknown option "nope" of json.string()')
      expect(() => json.string({ prop: '' }) && make({ a: { x: json.string({ prop: '' }) } })()).toThrow('empty name')
    })

    test('a property that there is not is refused like a column', async () => {
      const { Person } = await people(driver)

      expect(() => new Person({ nope: 1 } as never)).toThrow(UnknownColumnError)
    })
  })
})
