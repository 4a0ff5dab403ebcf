/** Insert or update, insert or ignore: one row and many, by every kind of unique key. */

import { randomUUID } from 'node:crypto'
import { eq, isNull, sql } from 'drizzle-orm'
import { boolean, integer, jsonb, pgTable, primaryKey, serial, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { QueryError, sql as fragment, UniqueViolationError, UnknownColumnError, UsageError } from 'genever'
import { json, Model } from 'genever/models'
import { caught } from '../support/caught.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'
import { people } from './support/people.ts'

const filling = {
  '~standard': {
    version: 1 as const,
    vendor: 'test',
    validate: (value: unknown) => ({ value: { role: 'reader', ...(value as object) } }),
  },
}

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function members(driver: TestedDriver) {
  const db = await driver.db()
  const name = await driver.table(`id uuid primary key, email text not null unique, name text, role text not null,
    touched integer, profile jsonb not null default '{}'`)
  const table = pgTable(name, {
    id: uuid().primaryKey(),
    email: text().notNull().unique(),
    name: text(),
    role: text().notNull(),
    touched: integer().$onUpdate(() => 7),
    profile: jsonb().notNull().default({}),
  })
  class Member extends Model(db, table, {
    validate: filling,
    beforeCreate: (values) => {
      values['id'] ??= randomUUID()
    },
    json: { profile: { level: json.integer({ default: 1 }), tags: json.array<string>() } },
  }) {}
  const upsert = (values: object) => Member.upsert(values as never, { target: ['email'] })
  return { db, name, Member, upsert }
}

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function accounts(driver: TestedDriver) {
  const db = await driver.db()
  const name = await driver.table(
    'id serial primary key, email text not null, name text, deleted boolean default false',
  )
  await db.status(`create unique index on ${name} (email) where not deleted`)
  await db.status(`create unique index on ${name} (lower(name))`)
  const columns = {
    id: serial().primaryKey(),
    email: text().notNull(),
    name: text(),
    deleted: boolean().default(false),
  }
  const declared = pgTable(name, columns, (t) => [
    uniqueIndex()
      .on(t.email)
      .where(sql`not ${t.deleted}`),
  ])
  const bare = pgTable(name, columns)
  class Account extends Model(db, declared) {}
  class Bare extends Model(db, bare) {}
  return { db, name, Account, Bare }
}

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function counters(driver: TestedDriver) {
  const db = await driver.db()
  const name = await driver.table('name text, day integer, value integer not null, primary key (name, day)')
  const table = pgTable(name, { name: text(), day: integer(), value: integer().notNull() }, (t) => [
    primaryKey({ columns: [t.name, t.day] }),
  ])
  class Counter extends Model(db, table, { pk: ['name', 'day'] }) {}
  return { db, name, Counter }
}

forEachDriver((driver) => {
  describe('what changes in a row that is there', () => {
    test('is what the caller gave, not what validation and hooks fill in for new rows', async () => {
      const { db, name, upsert } = await members(driver)
      const first = await upsert({ email: 'a', name: 'A', role: 'admin', level: 9 })

      const second = await upsert({ email: 'a', name: 'B' })

      expect(second).toMatchObject({ id: first.id, name: 'B', role: 'admin', level: 9 })
      expect(await db.all(`select name, role, touched, profile from ${name}`)).toEqual([
        { name: 'B', role: 'admin', touched: 7, profile: { level: 9 } },
      ])
    })

    test('is the key too, when the caller gave it', async () => {
      const { upsert } = await members(driver)
      const id = randomUUID()
      await upsert({ email: 'a' })

      expect((await upsert({ email: 'a', id })).id).toBe(id)
    })

    test('keeps members of JSON that were not given', async () => {
      const { upsert } = await members(driver)
      await upsert({ email: 'a', level: 3, tags: ['x'] })

      expect(await upsert({ email: 'a', tags: ['y'] })).toMatchObject({ level: 3, tags: ['y'] })
      expect(await upsert({ email: 'a', profile: { level: 4 } })).toMatchObject({ profile: { level: 4 } })
    })

    test('can be other values than those of a new row, which may name the columns of the row that is there', async () => {
      const { Counter } = await counters(driver)
      const visit = () =>
        Counter.upsert({ name: 'visits', day: 1, value: 1 }, { update: { value: sql`${Counter.c.value} + 1` } })

      const values = [await visit(), await visit(), await visit()].map(({ value }) => value)

      expect(values).toEqual([1, 2, 3])
      const fragments = await Counter.upsert(
        { name: 'visits', day: 1, value: 1 },
        { update: { value: fragment`excluded.value * ${10}` as never } },
      )
      expect(fragments.value).toBe(10)
    })

    test('is nothing with an empty update: the row comes as it is', async () => {
      const { Person } = await people(driver)
      const made = await Person.create({ name: 'A', email: 'a' })

      expect(await Person.upsert({ name: 'B', email: 'a' }, { target: ['email'], update: [] })).toMatchObject({
        id: made.id,
        name: 'A',
      })
      expect(await Person.upsert({ name: 'B', email: 'a' }, { target: ['email'], update: {} })).toMatchObject({
        name: 'A',
      })
    })

    test('leaves a key that is equal but not the same as it was stored', async () => {
      const { Account } = await accounts(driver)
      const options = { target: [sql`lower(${Account.c.name})`], update: [] }
      await Account.upsert({ email: 'a', name: 'Ada' }, options)

      expect(await Account.upsert({ email: 'b', name: 'ADA' }, options)).toMatchObject({ email: 'a', name: 'Ada' })
    })

    test('is refused when it names what the table has not, or what has no value', async () => {
      const { Person } = await people(driver)

      const unknown = Person.upsert({ name: 'A', email: 'a' }, { target: ['email'], update: { nmae: 'x' } as never })
      expect(await caught(unknown)).toBeInstanceOf(UnknownColumnError)
      const missing = Person.upsert({ name: 'A', email: 'a' }, { target: ['email'], update: ['visits'] })
      expect(await caught(missing)).toBeInstanceOf(UsageError)
    })
  })

  describe('the key that decides', () => {
    test('may be unique for some rows only: the condition is the one that the table declares', async () => {
      const { Account } = await accounts(driver)
      const gone = await Account.create({ email: 'a', name: 'gone', deleted: true })
      const first = await Account.upsert({ email: 'a', name: '1' }, { target: ['email'] })

      const second = await Account.upsert({ email: 'a', name: '2' }, { target: ['email'] })

      expect(second).toMatchObject({ id: first.id, name: '2' })
      expect(first.id).not.toBe(gone.id)
    })

    test('takes the condition of an index that the table does not declare, again and again', async () => {
      const { Bare } = await accounts(driver)
      const options = { target: [Bare.c.email], targetWhere: sql`not ${Bare.c.deleted}` }
      const ids = new Set<number>()
      for (let round = 0; round < 8; round++) ids.add((await Bare.upsert({ email: 'a' }, options)).id)

      expect(ids.size).toBe(1)
      expect(await caught(Bare.upsert({ email: 'a' }, { target: ['email'] }))).toBeInstanceOf(QueryError)
    })

    test('has its values in the text, because PostgreSQL compares conditions before it knows values', async () => {
      const { db, name, Bare } = await accounts(driver)
      await db.status(`create unique index on ${name} (name) where email = 'it''s'`)
      const options = { target: ['name'] as const, targetWhere: eq(Bare.c.email, "it's") }
      const ids = new Set<number>()
      for (let round = 0; round < 8; round++)
        ids.add((await Bare.upsert({ email: "it's", name: 'x', deleted: true }, options)).id)

      expect(ids.size).toBe(1)
    })

    test('may be of several columns, with the primary key as the default', async () => {
      const { Counter } = await counters(driver)
      await Counter.upsert({ name: 'a', day: 1, value: 1 })
      await Counter.upsert({ name: 'a', day: 2, value: 2 })

      expect(await Counter.upsert({ name: 'a', day: 2, value: 3 })).toMatchObject({ day: 2, value: 3 })
      expect(await Counter.query().count()).toBe(2)
    })

    test.for<[string, object, typeof UsageError]>([
      ['no list', { target: 'email' }, UsageError],
      ['an unknown column', { target: ['mail'] }, UnknownColumnError],
      ['a number', { target: [1] }, UsageError],
      ['a condition without a key', { targetWhere: sql`true` }, UsageError],
      ['a condition that is none', { target: ['email'], targetWhere: { deleted: false } }, UsageError],
    ])('is refused as %s', async ([, options, kind]) => {
      const { Account } = await accounts(driver)

      expect(await caught(Account.upsert({ email: 'a', id: 1 }, options as never))).toBeInstanceOf(kind)
    })

    test('is named by its condition where a table declares several', async () => {
      const db = await driver.db()
      const name = await driver.table('email text, a boolean, b boolean')
      const table = pgTable(name, { email: text(), a: boolean(), b: boolean() }, (t) => [
        uniqueIndex('x').on(t.email).where(isNull(t.a)),
        uniqueIndex('y').on(t.email).where(isNull(t.b)),
      ])
      class Row extends Model(db, table) {}

      const error = await caught(Row.upsert({ email: 'a' }, { target: ['email'] }))

      expect(error).toBeInstanceOf(UsageError)
      expect(String(error)).toContain('targetWhere')
    })
  })

  describe('many', () => {
    test('are inserted or changed, in the order of the values', async () => {
      const { Counter } = await counters(driver)
      await Counter.create({ name: 'b', day: 1, value: 10 })

      const made = await Counter.upsertMany([
        { name: 'a', day: 1, value: 1 },
        { name: 'b', day: 1, value: 2 },
        { name: 'c', day: 1, value: 3 },
      ])

      expect(made.map(({ name, value }) => [name, value])).toEqual([
        ['a', 1],
        ['b', 2],
        ['c', 3],
      ])
      expect(await Counter.query().count()).toBe(3)
    })

    test('change each by what was given for it', async () => {
      const { Member } = await members(driver)
      const upsert = (rows: object[]) => Member.upsertMany(rows as never, { target: ['email'] })
      const before = await upsert([
        { email: 'a', name: 'A', role: 'admin', level: 5 },
        { email: 'b', name: 'B', role: 'admin', level: 6 },
        { email: 'c', name: 'C', role: 'admin', level: 7 },
      ])

      const after = await upsert([
        { email: 'c', name: 'C2' },
        { email: 'a', role: 'reader' },
        { email: 'b', level: 8 },
        { email: 'd', name: 'D' },
      ])

      expect(after.map(({ email, name, role, level }) => [email, name, role, level])).toEqual([
        ['c', 'C2', 'admin', 7],
        ['a', 'A', 'reader', 5],
        ['b', 'B', 'admin', 8],
        ['d', 'D', 'reader', 1],
      ])
      expect(after[1]?.id).toBe(before[0]?.id)
    })

    test('take other values for rows that are there', async () => {
      const { Counter } = await counters(driver)
      const visit = (names: string[]) =>
        Counter.upsertMany(
          names.map((name) => ({ name, day: 1, value: 1 })),
          { update: { value: sql`${Counter.c.value} + excluded.value` } },
        )
      await visit(['a', 'b'])

      expect((await visit(['b', 'c'])).map(({ name, value }) => `${name}${value}`)).toEqual(['b2', 'c1'])
    })

    test('are as many as one likes, and none', async () => {
      const { Counter } = await counters(driver)
      const rows = Array.from({ length: 12_000 }, (_, day) => ({ name: 'n', day, value: day }))

      expect(await Counter.upsertMany([])).toEqual([])
      expect(await Counter.upsertMany(rows)).toHaveLength(12_000)
      expect((await Counter.upsertMany(rows.map((row) => ({ ...row, value: 1 })))).at(-1)).toMatchObject({
        day: 11_999,
        value: 1,
      })
    })

    test('are all or nothing', async () => {
      const { Member } = await members(driver)
      const rows = [{ email: 'a' }, { email: 'b', level: 2 }, { email: 'c', role: null }]

      expect(await caught(Member.upsertMany(rows as never, { target: ['email'] }))).toBeInstanceOf(Error)
      expect(await Member.query().count()).toBe(0)
    })
  })

  describe('or ignore', () => {
    test('gives the new row, and undefined for one that is there', async () => {
      const { Person } = await people(driver)

      const first = await Person.createOrIgnore({ name: 'A', email: 'a' })
      const second = await Person.createOrIgnore({ name: 'B', email: 'a' })

      expect(first).toBeInstanceOf(Person)
      expect(second).toBeUndefined()
      expect(await Person.query().all()).toMatchObject([{ name: 'A' }])
    })

    test('ignores only the key that is named', async () => {
      const { Person } = await people(driver)
      await Person.create({ id: 1, name: 'A', email: 'a' })

      const other = Person.createOrIgnore({ id: 2, name: 'B', email: 'a' }, { target: ['id'] })
      expect(await caught(other)).toBeInstanceOf(UniqueViolationError)
      expect(await Person.createOrIgnore({ id: 1, name: 'B', email: 'b' }, { target: ['id'] })).toBeUndefined()
    })

    test('decides by a partial unique index', async () => {
      const { Account } = await accounts(driver)
      await Account.create({ email: 'a', deleted: true })

      expect(await Account.createOrIgnore({ email: 'a' }, { target: ['email'] })).toBeDefined()
      expect(await Account.createOrIgnore({ email: 'a' }, { target: ['email'] })).toBeUndefined()
    })

    test('gives the rows of many that were not there, in their order', async () => {
      const { Counter } = await counters(driver)
      await Counter.create({ name: 'b', day: 1, value: 0 })

      const made = await Counter.createManyOrIgnore([
        { name: 'a', day: 1, value: 1 },
        { name: 'b', day: 1, value: 2 },
        { name: 'c', day: 1, value: 3 },
        { name: 'a', day: 1, value: 4 },
      ])

      expect(made.map(({ name, value }) => `${name}${value}`)).toEqual(['a1', 'c3'])
      expect(await Counter.createManyOrIgnore([{ name: 'a', day: 1, value: sql`1 + 1` }])).toEqual([])
      expect(await Counter.createManyOrIgnore([])).toEqual([])
    })
  })
})
