/** `createMany` stores what `create` stores, whatever the type of a column, and refuses what it refuses. */

import { getTableName, sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  char,
  customType,
  date,
  doublePrecision,
  inet,
  integer,
  interval,
  json as jsonColumn,
  jsonb,
  numeric,
  pgTable,
  serial,
  text,
  time,
  timestamp,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { NotNullViolationError, ParameterError } from 'genever'
import { Model } from 'genever/models'
import { caught } from '../support/caught.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

const bytes = customType<{ data: Buffer }>({ dataType: () => 'bytea' })
const packed = customType<{ data: unknown; driverData: string }>({
  dataType: () => 'jsonb',
  toDriver: (value) => JSON.stringify(value),
})
const other = (type: string) => customType<{ data: string }>({ dataType: () => type })

let types = 0

/** A table with a column `value` of that type, and both ways to fill it, as the server wrote what came of them. */
// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function column(driver: TestedDriver, type: string, value: unknown) {
  const db = await driver.db()
  const name = await driver.table(`id serial primary key, value ${type}`)
  class Row extends Model(db, pgTable(name, { id: serial().primaryKey(), value: value as ReturnType<typeof text> })) {}
  const stored = () => db.all<{ value: string | null }>(`select value::text from ${name} order by id`)
  return { Row, stored, db }
}

const kinds: readonly (readonly [string, () => unknown, unknown])[] = [
  ['integer', () => integer(), -5],
  ['bigint', () => bigint({ mode: 'bigint' }), 2n ** 62n],
  ['numeric', () => numeric(), '12345678901234567890.123456789'],
  ['double precision', () => doublePrecision(), 1 / 3],
  ['double precision', () => doublePrecision(), Number.NaN],
  ['double precision', () => doublePrecision(), -Infinity],
  ['boolean', () => boolean(), false],
  ['text', () => text(), 'a "b" \\ \n ü \u{1f600} \u0001'],
  ['text', () => text(), String.raw`\u0000`],
  ['text', () => text(), ''],
  ['varchar(3)', () => varchar({ length: 3 }), 'abc'],
  ['char(5)', () => char({ length: 5 }), 'ab'],
  ['uuid', () => uuid(), '6f9619ff-8b86-d011-b42d-00c04fc964ff'],
  ['date', () => date({ mode: 'date' }), new Date('2024-02-29T23:00:00Z')],
  ['timestamp', () => timestamp(), new Date('1969-12-31T23:59:59.999Z')],
  ['timestamptz', () => timestamp({ withTimezone: true, mode: 'string' }), '2024-03-10 02:30:00.123456+05:30'],
  ['time', () => time(), '12:34:56.789'],
  ['interval', () => interval(), '1 mon -3 days'],
  ['inet', () => inet(), '10.0.0.1/8'],
  ['bytea', () => bytes(), Buffer.from([0, 255, 92])],
  ['jsonb', () => jsonb(), { a: [1, null, 'x "y"'] }],
  ['jsonb', () => jsonb(), 'text'],
  ['jsonb', () => jsonb(), [1, 2]],
  ['jsonb', () => jsonb(), sql`'null'::jsonb`],
  ['json', () => jsonColumn(), { b: 1, a: '\u0000' }],
  ['jsonb', () => jsonb(), null],
  ['text', () => text(), null],
  ['integer[]', () => integer().array(), [1, 2, 3]],
  ['text[]', () => text().array(), ['a,b', '{"c"}', 'null', '', '\\']],
  [
    'text[][]',
    () => text().array().array(),
    [
      ['a', 'b'],
      ['c', 'd'],
    ],
  ],
  ['boolean[]', () => boolean().array(), [true, false]],
  ['jsonb', () => packed(), { a: 1 }],
  ['jsonb', () => packed(), 'text'],
  ['jsonb', () => text(), '{"a": 1}'],
  ['int4range', () => other('int4range')(), '[1,5)'],
  ['point', () => other('point')(), '(1,2)'],
  ['bit(3)', () => other('bit')(), '101'],
]

forEachDriver((driver) => {
  describe('a value of every type', () => {
    test.for(kinds.map((kind, index) => [index, ...kind] as const))('%i: %s', async ([, type, make, value]) => {
      const { Row, stored } = await column(driver, type, make())

      const one = await Row.create({ value: value as string })
      const few = await Row.createMany([{ value: value as string }, { value: value as string }])
      const many = await Row.createMany(Array.from({ length: 9 }, () => ({ value: value as string })))

      const [single, ...others] = await stored()
      expect(others).toEqual(Array.from({ length: 11 }, () => single))
      expect([...few, ...many].map((row) => row.value)).toEqual(Array.from({ length: 11 }, () => one.value))
    })

    test('of an enum, a composite type and a domain, and of a domain over JSON', async () => {
      const n = ++types
      const { db } = await column(driver, 'text', text())
      await db.status(`create type mood_${driver.name}${n} as enum ('sad', 'it''s')`)
      await db.status(`create type pair_${driver.name}${n} as (a int, b text)`)
      await db.status(`create domain short_${driver.name}${n} as text check (length(value) < 4)`)
      await db.status(`create domain doc_${driver.name}${n} as jsonb not null`)
      await db.status(`create domain docs_${driver.name}${n} as doc_${driver.name}${n}`)
      for (const [type, value] of [
        ['mood', "it's"],
        ['pair', '(1,"a b")'],
        ['short', 'abc'],
        ['doc', '{"a": 1}'],
        ['docs', '[1]'],
      ] as const) {
        const { Row, stored } = await column(driver, `${type}_${driver.name}${n}`, other(type)())
        await Row.create({ value })
        await Row.createMany([{ value }, { value }])
        await Row.createMany(Array.from({ length: 9 }, () => ({ value })))

        const [single, ...others] = await stored()
        expect(others).toEqual(Array.from({ length: 11 }, () => single))
      }
    })
  })

  test('columns of a domain that are left to their default do not stand in the way', async () => {
    const db = await driver.db()
    const n = ++types
    await db.status(`create domain code_${driver.name}${n} as text not null check (length(value) = 3)`)
    const name = await driver.table(`id serial primary key, name text, code code_${driver.name}${n} default 'abc',
      twice code_${driver.name}${n} generated always as (reverse(name)) stored`)
    const code = other('code')
    class Thing extends Model(
      db,
      pgTable(name, { id: serial().primaryKey(), name: text(), code: code().default('abc') }),
    ) {}

    expect(await Thing.createMany([{ name: 'xyz' }, { name: 'uvw' }])).toMatchObject([{ code: 'abc' }, { code: 'abc' }])
    expect(await Thing.createMany([{ name: 'xyz', code: 'def' }])).toMatchObject([{ code: 'def' }])
    expect(await caught(Thing.createMany([{ name: 'xyz', code: null }]))).toBeInstanceOf(NotNullViolationError)
  })

  test('what the types are is asked once, also inside of a transaction', async () => {
    const db = await driver.db()
    const name = await driver.table('id integer primary key')
    class Row extends Model(db, pgTable(name, { id: integer().primaryKey() })) {}

    await db.transaction(async (tx) => {
      await tx.status('set local search_path = public, pg_catalog')
      await Row.createMany([{ id: 1 }, { id: 2 }])
      await Row.createMany([{ id: 3 }], { on: tx })
    })

    expect(await Row.query().count()).toBe(3)
  })

  test.for([
    ['integer', () => bigint({ mode: 'number' }), 1, 'bigint', 2 ** 40],
    ['uuid', () => text(), '6f9619ff-8b86-d011-b42d-00c04fc964ff', 'text', 'no uuid'],
    ['text', () => text(), 'word', 'jsonb', '{"a": 1}'],
    ['numeric', () => text(), '1.5', 'interval', '1 day'],
  ] as const)(
    'a column that was altered from %s takes the values of its new type',
    async ([type, make, value, to, more]) => {
      const { Row, stored, db } = await column(driver, type, make())
      const name = getTableName(Row.table)
      const alter = (next: string) =>
        db.status(`truncate ${name}; alter table ${name} alter value type ${next} using null::${next}`)
      const rows = (one: unknown) => Array.from({ length: 9 }, () => ({ value: one as string }))
      const texts = async () => (await stored()).map((row) => row.value)

      await Row.createMany(rows(value))
      await alter(to)
      await Row.createMany(rows(more))
      expect(await texts()).toEqual(Array.from({ length: 9 }, () => String(more)))

      await alter(type)
      await Row.createMany(rows(value))
      await alter(to)
      await db
        .transaction(() => Row.createMany(rows(more)))
        .catch(() => db.transaction(() => Row.createMany(rows(more))))
      expect(await texts()).toEqual(Array.from({ length: 9 }, () => String(more)))
    },
  )

  test('the types of a table are those of the schema in which the code is', async () => {
    const db = await driver.db()
    const name = (await driver.table('id int')).replaceAll('"', '')
    await db.status(`drop table ${name}`)
    const places = ['a', 'b'].map((letter) => `${name}_${letter}`)
    for (const schema of places) {
      await db.status(`create schema ${schema}; create type ${schema}.mood as enum ('sad', 'happy')`)
      await db.status(`create table ${schema}.${name} (id serial primary key, mood ${schema}.mood)`)
    }
    await db.status(`create table ${name} (id serial primary key, mood text)`)
    const mood = customType<{ data: string }>({ dataType: () => 'mood' })
    class Person extends Model(db, pgTable(name, { id: serial().primaryKey(), mood: mood() })) {}
    const twoOf = async (): Promise<unknown> =>
      (await Person.createMany([{ mood: 'sad' }, { mood: 'happy' }])).map((person) => person.mood)
    const inSchema = (schema: string): Promise<unknown> =>
      db.scope(() => db.transaction(twoOf), { settings: { search_path: schema } })

    const seen: unknown[] = []
    for (const schema of [...places, ...places]) {
      seen.push(await inSchema(schema))
      seen.push(await db.transaction(twoOf))
    }
    await Promise.all([...places, ...places].map(async (schema) => seen.push(await inSchema(schema))))

    expect(seen).toEqual(Array.from({ length: 12 }, () => ['sad', 'happy']))
  })

  test('rows have the order of the list, whatever is in them', async () => {
    const { Row } = await column(driver, 'text', text())
    const values = Array.from({ length: 100 }, (_, n) => (n % 7 === 0 ? null : `value ${(n * 37) % 100}`))

    expect((await Row.createMany(values.map((value) => ({ value })))).map(({ value }) => value)).toEqual(values)
  })

  test.for([
    ['a NUL character', 'a\0b'],
    ['half of a surrogate pair', 'a\ud800'],
  ])('text with %s is refused before anything is sent', async ([, value]) => {
    const { Row, db } = await column(driver, 'text', text())

    await db.transaction(async () => {
      for (const attempt of [Row.create({ value }), Row.createMany([{ value: 'ok' }, { value }])])
        expect(await caught(attempt)).toBeInstanceOf(ParameterError)
      await Row.create({ value: 'the transaction goes on' })
    })
    const { Row: List } = await column(driver, 'text[]', text().array())
    for (const attempt of [List.create({ value: [value] as never }), List.createMany([{ value: [value] as never }])])
      expect(await caught(attempt)).toBeInstanceOf(ParameterError)
  })
})
