/** JSON properties: on the instance, in SQL, and merged on the server. (GINO: JSON support.) */

import { asc, desc, eq, gt, lt, sql } from 'drizzle-orm'
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

  describe('in SQL', () => {
    async function filled() {
      const world = await people(driver)
      const { Person } = world
      await Person.createMany([
        { name: 'a', nickname: 'x', age: 9, height: 1.5, admin: true, born: new Date(1000), cities: ['Rome'] },
        { name: 'b', nickname: 'y', age: 10, height: 10, admin: false, born: new Date(2000) },
        { name: 'c', age: 100 },
      ])
      return world
    }

    const names = (rows: readonly { readonly name: string }[]): string => rows.map(({ name }) => name).join('')

    test('they compare and sort by their types', async () => {
      const { Person } = await filled()
      const { c } = Person

      expect(names(await Person.where(gt(c.age, 9)).orderBy(c.id))).toBe('bc')
      expect(names(await Person.where(lt(c.height, 9.9)))).toBe('a')
      expect(names(await Person.where(eq(c.admin, true)))).toBe('a')
      expect(names(await Person.where(gt(c.born, new Date(1500))))).toBe('b')
      expect(names(await Person.query().orderBy(desc(c.age)))).toBe('cba')
      expect(names(await Person.query().orderBy(asc(c.nickname)))).toBe('abc')
    })

    test('objects of conditions take them', async () => {
      const { Person } = await filled()

      expect(names(await Person.where({ nickname: 'y', admin: false }))).toBe('b')
      expect(names(await Person.where({ nickname: null }))).toBe('c')
      expect(names(await Person.where({ age: [9, 100] }).orderBy(Person.c.id))).toBe('ac')
    })

    test('they are selected with their types', async () => {
      const { Person } = await filled()

      const rows = await Person.select('name', 'age', 'admin', 'born').where({ name: 'a' })

      expect(rows).toEqual([{ name: 'a', age: 9, admin: true, born: new Date(1000) }])
    })

    test('an index can be made of one', async () => {
      const { Person, db, name } = await filled()

      await db.status(`create index on ${name} (((profile ->> 'age')::bigint))`)

      expect(names(await Person.where(gt(Person.c.age, 50)))).toBe('c')
      expect(String(Person.where(gt(Person.c.age, 50)))).toContain(`->> 'age')::bigint`)
    })
  })

  describe('updates', () => {
    test('merge on the server: what others wrote meanwhile stays', async () => {
      const { Person, db, name, stored } = await people(driver)
      const ada = await Person.create({ name: 'Ada', nickname: 'x', settings: { theme: 'dark', font: { size: 1 } } })
      await db.status(
        `update ${name} set profile = jsonb_set(profile || '{"age": 7}', '{settings,font,face}', '"serif"')`,
      )

      await ada.update({ nickname: 'y', settings: { font: { size: 2 } } })

      const profile = { nickname: 'y', age: 7, settings: { theme: 'dark', font: { size: 2, face: 'serif' } } }
      expect(await stored(ada.id)).toMatchObject({ profile })
      expect(ada.profile).toEqual(profile)
    })

    test('merge in memory at once', async () => {
      const { Person } = await people(driver)
      const ada = await Person.create({ name: 'Ada', settings: { theme: 'dark', font: { size: 1 } } })

      const update = ada.update({ settings: { font: { face: 'x' } } })

      expect(ada.settings).toEqual({ theme: 'dark', font: { size: 1, face: 'x' } })
      await update
    })

    test('replace lists, and objects that are given as SQL', async () => {
      const { Person } = await people(driver)
      const ada = await Person.create({ name: 'Ada', cities: ['a', 'b'], settings: { theme: 'dark' } })

      await ada.update({ cities: ['c'] })
      await ada.update({ settings: sql`${JSON.stringify({ font: {} })}::jsonb` })

      expect(ada.cities).toEqual(['c'])
      expect(ada.settings).toEqual({ font: {} })
    })

    test('start anew where the column or the property holds no object', async () => {
      const { Person, db, name } = await people(driver)
      const ada = await Person.create({ name: 'Ada' })

      for (const value of ['[1]', '"text"', 'null', '{"settings": 5}']) {
        await db.status(`update ${name} set profile = '${value}'`)
        await ada.update({ age: 1, settings: { font: { size: 1 } } })
        expect(ada.profile).toEqual({ age: 1, settings: { font: { size: 1 } } })
      }
    })

    test('take expressions of every kind', async () => {
      const { Person } = await people(driver)
      const ada = await Person.create({ name: 'Ada', age: 1 })

      await ada.update({
        age: sql`${Person.c.age} + ${41}`,
        nickname: sql`upper(${Person.c.name})`,
        height: sql`${'1.5'}`,
        admin: sql`1 = 1`,
        born: sql`timestamptz '2001-02-03 04:05:06.789+01'`,
        cities: sql`jsonb_build_array(${'x'}::text)`,
      })

      expect([ada.age, ada.nickname, ada.height, ada.admin, ada.cities]).toEqual([42, 'ADA', 1.5, true, ['x']])
      expect(ada.born).toEqual(new Date('2001-02-03T03:05:06.789Z'))
      await Person.update({ age: sql`${Person.c.age} * 2`, settings: { theme: 'x' } }).where({ id: ada.id })
      expect((await ada.reload()).profile).toMatchObject({ age: 84, settings: { theme: 'x' } })
    })

    test('set plain columns, properties and expressions together', async () => {
      const { Person, stored } = await people(driver)
      const ada = await Person.create({ name: 'Ada', nickname: 'x', age: 1 })

      await ada.update({ name: 'Eve', nickname: 'y', age: sql`${Person.c.age} + 1`, visits: sql`visits + 1` })

      expect(await stored(ada.id)).toMatchObject({ name: 'Eve', visits: 1, profile: { nickname: 'y', age: 2 } })
    })

    test('set the column as a whole, and properties within it', async () => {
      const { Person, stored } = await people(driver)
      const ada = await Person.create({ name: 'Ada', nickname: 'x', age: 5 })

      await ada.update({ profile: { height: 2 }, nickname: 'y' })
      expect(ada.profile).toEqual({ height: 2, nickname: 'y' })
      await ada.update({ nickname: 'first', profile: { height: 3 }, age: 8 })
      expect(await stored(ada.id)).toMatchObject({ profile: { height: 3, nickname: 'first', age: 8 } })
      expect(ada.profile).toEqual({ height: 3, nickname: 'first', age: 8 })
      await Person.update({ age: 6 })
        .set({ nickname: 'set', profile: { height: 4 } })
        .where({ id: ada.id })
      expect(await stored(ada.id)).toMatchObject({ profile: { height: 4, nickname: 'set' } })
      await ada.update({ nickname: 'z' }).set({ profile: {} })
      expect(ada.profile).toEqual({})
      await ada.update({ profile: sql`jsonb_build_object('age', 1)`, nickname: 'q' })
      expect(ada.profile).toEqual({ age: 1, nickname: 'q' })
      await ada.update({ profile: sql`null::jsonb || '{}'`, age: 3 })
      expect(ada.profile).toEqual({ age: 3 })
    })

    test('of two columns at once', async () => {
      const db = await driver.db()
      const table = pgTable(await driver.table('id serial primary key, a jsonb, b jsonb'), {
        id: serial().primaryKey(),
        a: jsonb(),
        b: jsonb(),
      })
      class Thing extends Model(db, table, {
        json: { a: { one: json.integer() }, b: { two: json.integer(), three: json.integer() } },
      }) {}
      const thing = await Thing.create({ one: 1, two: 2 })

      await thing.update({ one: 10, three: 3 })

      expect(thing).toMatchObject({ a: { one: 10 }, b: { two: 2, three: 3 } })
    })

    test('of a property of a json column are refused, in memory they are made; the whole column works', async () => {
      const { Person } = await people(driver)
      const ada = await Person.create({ name: 'Ada', note: 'a' })

      const update = ada.update({ note: 'b' })

      expect(ada.note).toBe('b')
      await expect(update).rejects.toThrow("'extra' is a json column, which PostgreSQL cannot merge")
      await ada.update({ extra: { note: 'c' } })
      expect((await ada.reload()).note).toBe('c')
    })

    test('of the same shape share one text', async () => {
      const { Person, listen } = await people(driver)
      const ada = await Person.create({ name: 'Ada' })
      const heard = listen()

      await ada.update({ nickname: 'a', age: 1 })
      await ada.update({ height: 1 })

      expect(new Set(heard.map(({ sql: statement }) => statement)).size).toBe(1)
    })

    test('keep keys that could reach a prototype as data', async () => {
      const { Person, stored } = await people(driver)
      const ada = await Person.create({ name: 'Ada' })
      const hostile = JSON.parse('{ "__proto__": { "polluted": 1 }, "constructor": { "x": 1 } }') as object

      await ada.update({ settings: hostile })
      await ada.update({ settings: hostile })

      expect(({} as { polluted?: number }).polluted).toBe(undefined)
      expect(JSON.stringify(((await stored(ada.id))['profile'] as { settings: object }).settings)).toBe(
        '{"__proto__":{"polluted":1},"constructor":{"x":1}}',
      )
    })
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

  test('an expression is not known in memory before the database has answered', async () => {
    const { Person } = await people(driver)
    const ada = await Person.create({ name: 'Ada', age: 1 })

    const update = ada.update({ age: sql`${Person.c.age} + 1`, nickname: 'x' })

    expect([ada.age, ada.nickname]).toEqual([1, 'x'])
    await update
    expect([ada.age, ada.nickname]).toEqual([2, 'x'])
  })
})
