/** JSON properties on the server: in SQL, and merged by updates. (GINO: JSON support.) */

import { asc, desc, eq, gt, lt, sql } from 'drizzle-orm'
import { jsonb, pgTable, serial } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { json, Model } from 'genever/models'
import { forEachDriver } from '../support/matrix.ts'
import { people } from './support/people.ts'

forEachDriver((driver) => {
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

  test('an expression is not known in memory before the database has answered', async () => {
    const { Person } = await people(driver)
    const ada = await Person.create({ name: 'Ada', age: 1 })

    const update = ada.update({ age: sql`${Person.c.age} + 1`, nickname: 'x' })

    expect([ada.age, ada.nickname]).toEqual([1, 'x'])
    await update
    expect([ada.age, ada.nickname]).toEqual([2, 'x'])
  })
})
