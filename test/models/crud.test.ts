/** Rows of models, one at a time: made, found, deleted. (GINO: CRUD.) */

import { sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import {
  AbortedError,
  NoSuchRowError,
  NotFoundError,
  NotNullViolationError,
  ParameterError,
  QueryTimeoutError,
  sql as fragment,
  UnknownColumnError,
  UsageError,
} from 'genever'
import { Model } from 'genever/models'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'
import { memberships } from './support/memberships.ts'
import { people } from './support/people.ts'

forEachDriver((driver) => {
  describe('create', () => {
    test('gives an instance with what the database filled in', async () => {
      const { Person } = await people(driver)

      const ada = await Person.create({ name: 'Ada', nickname: 'Countess', big: 2n ** 60n, tags: ['a', 'b "c"'] })

      expect(ada).toBeInstanceOf(Person)
      expect(ada.greet()).toBe('hi Ada')
      expect(ada).toMatchObject({ id: 1, email: null, visits: 0, active: true, shout: 'ADA', big: 2n ** 60n })
      expect(ada.tags).toEqual(['a', 'b "c"'])
      expect(ada.createdAt).toBeInstanceOf(Date)
      expect(ada.nickname).toBe('Countess')
    })

    test('takes null as NULL, and undefined as not given', async () => {
      const { Person } = await people(driver)

      const ada = await Person.create({ name: 'Ada', email: null, visits: undefined })

      expect(ada.visits).toBe(0)
      // @ts-expect-error no NULL in this column
      const error = await caught(Person.create({ name: null }))
      expect(error).toBeInstanceOf(NotNullViolationError)
    })

    test('honours SQL as values: expressions, columns of queries, and fragments of our own tag', async () => {
      const { Person, db, name } = await people(driver)
      await db.status(`insert into ${name} (name, visits) values ('Zoe', 41)`)

      const ada = await Person.create({
        name: sql`lower(${'ADA'})`,
        visits: sql`select max(visits) + ${1} from ${sql.identifier(name)}`,
        email: fragment`${'a'} || '@b'` as never,
        active: sql`default`,
      })

      expect(ada).toMatchObject({ name: 'ada', visits: 42, email: 'a@b', active: true })
    })

    test('inserts a row of defaults when nothing is given', async () => {
      const db = await driver.db()
      const table = pgTable(await driver.table('id serial primary key, n integer default 7'), {
        id: integer().primaryKey().generatedByDefaultAsIdentity(),
        n: integer(),
      })
      class Thing extends Model(db, table) {}

      expect(await Thing.create({})).toMatchObject({ id: 1, n: 7 })
    })

    test('stores an instance that was filled in memory, and completes it', async () => {
      const { Person } = await people(driver)
      const ada = new Person({ name: 'Ade', nickname: 'Countess' })
      ada.name = 'Ada'

      const created = await Person.create(ada)

      expect(created).toBe(ada)
      expect(ada).toMatchObject({ id: 1, name: 'Ada', visits: 0 })
      expect(await Person.get(1)).toEqual(ada)
    })

    test('refuses keys that there are not, by name and without values', async () => {
      const { Person } = await people(driver)
      const body = JSON.parse('{ "name": "x", "nope": "secret", "__proto__": { "isAdmin": true } }') as { name: string }

      const error = await caught(Person.create(body))

      expect(error).toBeInstanceOf(UnknownColumnError)
      expect(String(error)).toMatch(/has no "nope", "__proto__"\. It has id, name, .*nickname/)
      expect(String(error)).not.toContain('secret')
    })

    test('refuses a generated column', async () => {
      const { Person } = await people(driver)

      // @ts-expect-error it is generated
      const error = await caught(Person.create({ name: 'x', shout: 'X' }))

      expect(error).toBeInstanceOf(UsageError)
      expect(String(error)).toContain("column 'shout' is generated")
    })

    test.each([
      ['a promise', Promise.resolve({}), /'profile' is .*a promise: await it first/],
      ['a Map', new Map([['a', 1]]), /'profile' is an object of class Map, which JSON would make empty/],
    ])('refuses %s as JSON, which would silently be empty', async (_, value, message) => {
      const { Person } = await people(driver)

      const error = await caught(Person.create({ name: 'x', profile: value }))

      expect(error).toBeInstanceOf(ParameterError)
      expect(String(error)).toMatch(message)
    })

    test('refuses a value that cannot be written, by column and type', async () => {
      const { Person } = await people(driver)

      // @ts-expect-error no date
      const error = await caught(Person.create({ name: 'x', createdAt: { secret: 1 } }))

      expect(error).toBeInstanceOf(ParameterError)
      expect(String(error)).toMatch(/'createdAt' cannot be written as timestamp: it is an object/)
    })

    test('writes one text per set of columns, in the order of the table', async () => {
      const { Person, name, listen } = await people(driver)
      const heard = listen()

      await Person.create({ name: 'a', email: 'a' })
      await Person.create({ email: 'b', name: 'b' })

      const texts = heard.map(({ sql: text }) => text)
      expect(new Set(texts).size).toBe(1)
      expect(texts[0]).toMatch(`insert into "${name}" ("name", "email", "profile") values ($1, $2, $3) returning "id"`)
    })
  })

  describe('get', () => {
    test('gives another instance with equal values', async () => {
      const { Person } = await people(driver)
      const ada = await Person.create({ name: 'Ada' })

      const again = await Person.get(ada.id)

      expect(again).not.toBe(ada)
      expect(again).toEqual(ada)
    })

    test('gives undefined when there is no such row, and for null and undefined without asking', async () => {
      const { Person, listen } = await people(driver)
      const heard = listen()

      expect(await Person.get(99)).toBe(undefined)
      expect(await Person.get(null as never)).toBe(undefined)
      expect(await Person.get(undefined as never)).toBe(undefined)

      expect(heard).toHaveLength(1)
    })

    test('getOr404 throws a NotFoundError with status 404 that names the model and not the key', async () => {
      const { Person } = await people(driver)

      const error = await caught(Person.getOr404(4711))

      expect(error).toBeInstanceOf(NotFoundError)
      expect(error).toMatchObject({ status: 404, message: 'Person is not found.' })
      expect((await Person.create({ name: 'a' })).id).toBe((await Person.getOr404(1)).id)
    })

    test('takes a composite key as an object, or as a list in the order of pk', async () => {
      const { Membership } = await memberships(driver)
      const made = await Membership.create({ userId: 1, teamId: 2, role: 'boss' })

      expect(await Membership.get({ userId: 1, teamId: 2 })).toEqual(made)
      expect(await Membership.get([2, 1])).toEqual(made)
      expect(await Membership.get([1, 2])).toBe(undefined)
    })

    test.each([
      ['too few values', [1], 'has 2 values (teamId, userId), not 1'],
      ['too many values', [1, 2, 3], 'has 2 values (teamId, userId), not 3'],
      ['a missing member', { userId: 1 }, 'needs a value for teamId'],
      ['a scalar', 1, 'is an object or a list of teamId, userId'],
      ['a member that there is not', { userId: 1, teamId: 1, nope: 1 }, 'has no "nope". It has teamId, userId'],
    ])('of a composite key refuses %s', async (_, id, message) => {
      const { Membership } = await memberships(driver)

      const error = await caught(Membership.get(id as never))

      expect(error).toBeInstanceOf(UsageError)
      expect(String(error)).toContain(message)
    })

    test('of one column refuses objects and lists, which a request body could hold', async () => {
      const { Person } = await people(driver)

      await expect(Person.get({ id: 1 } as never)).rejects.toThrow('is one value (id), not an object')
      await expect(Person.get([1] as never)).rejects.toThrow('is one value (id), not an array')
    })

    test('works with a key of text', async () => {
      const db = await driver.db()
      const table = pgTable(await driver.table('"the code" text primary key, n integer'), {
        code: text('the code').primaryKey(),
        n: integer(),
      })
      class Code extends Model(db, table, { pk: 'code' }) {}
      await Code.create({ code: `it's "x"`, n: 1 })

      expect(await Code.get(`it's "x"`)).toMatchObject({ code: `it's "x"`, n: 1 })
    })
  })

  describe('delete and reload', () => {
    test('delete the row and leave the instance; a second time there is none', async () => {
      const { Person } = await people(driver)
      const ada = await Person.create({ name: 'Ada' })

      expect(await ada.delete()).toBe(undefined)

      expect(ada.name).toBe('Ada')
      expect(await Person.get(ada.id)).toBe(undefined)
      expect(await caught(ada.delete())).toBeInstanceOf(NoSuchRowError)
      expect(await caught(ada.reload())).toBeInstanceOf(NoSuchRowError)
    })

    test('reload reads every column into the same instance', async () => {
      const { Person, db, name } = await people(driver)
      const ada = await Person.create({ name: 'Ada' })
      await db.status(`update ${name} set name = 'Eve', profile = '{"age": 5}'`)
      ada.email = 'memory'

      expect(await ada.reload()).toBe(ada)

      expect(ada).toMatchObject({ name: 'Eve', email: null, age: 5 })
    })

    test('a composite key finds just its row', async () => {
      const { Membership, db, name } = await memberships(driver)
      const one = await Membership.create({ userId: 1, teamId: 2 })
      await Membership.create({ userId: 2, teamId: 2 })

      await one.delete()

      expect(await db.all(`select user_id from ${name}`)).toEqual([{ user_id: 2 }])
    })
  })

  describe('where a call runs', () => {
    test('in the transaction around it', async () => {
      const { Person, db } = await people(driver)

      await db.transaction(async (tx) => {
        const ada = await Person.create({ name: 'Ada' })
        await ada.update({ name: 'Eve' })
        expect(await Person.get(ada.id)).toMatchObject({ name: 'Eve' })
        tx.raiseRollback()
      })

      expect(await Person.query().count()).toBe(0)
    })

    test('where on says, with the limits of the call', async () => {
      const { Person, db } = await people(driver)

      await db.transaction(async (tx) => {
        const ada = await Person.create({ name: 'Ada' }, { on: tx })
        await ada.update({ visits: 1 }).apply({ on: tx, timeoutMs: 20_000 })
        await ada.reload({ on: tx })
        await Person.update({ visits: 2 }).where({ id: ada.id }).apply({ on: tx })
        expect(await Person.getOr404(ada.id, { on: tx })).toMatchObject({ visits: 2 })
        await ada.delete({ on: tx })
      })

      const aborted = Person.create({ name: 'x' }, { signal: AbortSignal.abort() })
      expect(await caught(aborted)).toBeInstanceOf(AbortedError)
      if (driver.name === 'pglite') return // it sleeps on our own thread
      const slow = Person.create({ name: sql`(select 'x' from pg_sleep(20))` }, { timeoutMs: 200 })
      expect(await caught(slow)).toBeInstanceOf(QueryTimeoutError)
    })
  })
})
