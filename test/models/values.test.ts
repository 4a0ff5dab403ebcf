/** Values that travel in forms of their own: dates of any year, bytes in lists, lists in conditions. Through every door. */

import { arrayContains, between, eq, inArray, notInArray, or, sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  customType,
  date,
  doublePrecision,
  integer,
  jsonb,
  numeric,
  pgTable,
  QueryBuilder,
  serial,
  text,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { json, Model } from 'genever/models'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

const bytes = customType<{ data: Buffer }>({ dataType: () => 'bytea' })
const flags = customType<{ data: boolean }>({ dataType: () => 'boolean' })
const ranges = customType<{ data: string }>({ dataType: () => 'int4range' })
const documents = customType<{ data: { a: number } }>({
  dataType: () => 'jsonb',
  toDriver: (value) => JSON.stringify(value),
})

const years: readonly (readonly [string, Date])[] = [
  ['44', new Date('0044-03-15T10:00:00.123Z')],
  ['1 before Christ', new Date('0000-05-01T00:00:00Z')],
  ['44 before Christ', new Date(Date.UTC(-43, 2, 15))],
  ['4000 before Christ', new Date('-003999-06-01T00:00:00Z')],
  ['9999', new Date('9999-12-31T00:00:00Z')],
  ['12345', new Date('+012345-01-01T00:00:00Z')],
  ['200000', new Date('+200000-01-01T00:00:00Z')],
]

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function days(driver: TestedDriver) {
  const db = await driver.db()
  const name = await driver.table(
    'id serial primary key, tz timestamptz, ts timestamp, d date, tzs timestamptz[], ds date[]',
  )
  const table = pgTable(name, {
    id: serial().primaryKey(),
    tz: timestamp({ withTimezone: true }),
    ts: timestamp(),
    d: date({ mode: 'date' }),
    tzs: timestamp({ withTimezone: true }).array(),
    ds: date({ mode: 'date' }).array(),
  })
  class Day extends Model(db, table) {}
  return { db, name, Day }
}

forEachDriver((driver) => {
  test('a zero keeps its sign, in a list and beside one too', async () => {
    const db = await driver.db()
    const name = await driver.table('id serial primary key, f float8, fs float8[], rows float8[]')
    const lists = doublePrecision().array()
    class Measure extends Model(
      db,
      pgTable(name, {
        id: serial().primaryKey(),
        f: doublePrecision(),
        fs: lists,
        rows: doublePrecision().array().array(),
      }),
    ) {}
    const given = { f: -0, fs: [-0, 0], rows: [[-0], [0]] }

    const made = [
      await Measure.create(given),
      ...(await Measure.createMany([given, given])),
      ...(await Measure.upsertMany([
        { id: 4, ...given },
        { id: 5, ...given },
      ])),
    ]
    const [first] = made
    await first?.update({ f: 1 })
    await first?.update(given)

    expect(made).toMatchObject([given, given, given, given, given])
    expect(await Measure.query()).toMatchObject([given, given, given, given, given])
    expect(await Measure.where({ fs: given.fs }).count()).toBe(5)
  })

  describe('a date in the year', () => {
    test.for(years)('%s comes back as it went, and is found', async ([, at]) => {
      const { db, name, Day } = await days(driver)
      const day = new Date(Math.floor(at.getTime() / 86_400_000) * 86_400_000)
      const values = { tz: at, ts: at, d: day, tzs: [at, null as never], ds: [day] }

      const made = await Day.create(values)
      const [many] = await Day.createMany([values])
      const changed = await Day.create({})
      await changed.update(values)
      const read = await Day.query().orderBy(Day.c.id)

      for (const each of [made, many, changed, ...read]) expect(each).toMatchObject(values)
      expect(await Day.where({ tz: at, ts: at, d: day }).count()).toBe(3)
      for (const condition of [
        eq(Day.c.tz, at),
        eq(Day.c.d, day),
        between(Day.c.ts, at, at),
        inArray(Day.c.d, [day]),
        arrayContains(Day.c.tzs, [at]),
        sql`${eq(Day.c.d, day)} and exists ${new QueryBuilder().select({ id: Day.c.id }).from(Day.table)}`,
      ])
        expect(await Day.where(condition).count()).toBe(3)
      expect(await Day.update({ ts: at }).where({ d: day })).toBe(3)
      const text = await db.one(`select $1::timestamptz as tz, $2::timestamptz[] as list from ${name} limit 1`, [
        at,
        [at],
      ])
      expect(text).toEqual({ tz: at, list: [at] })
    })

    test('infinity is a number that can be written back, in columns and lists', async () => {
      const { db, name, Day } = await days(driver)
      await db.status(`insert into ${name} (tz, ts, d, tzs, ds) values
        ('infinity', '-infinity', 'infinity', '{infinity}', '{-infinity}')`)
      const [row] = await Day.query()

      expect(row).toMatchObject({ tz: Infinity, ts: -Infinity, d: Infinity, tzs: [Infinity], ds: [-Infinity] })
      const { tz, ts, d, tzs, ds } = row as NonNullable<typeof row>
      await row?.update({ tz: ts, ts: tz, d, tzs, ds })
      const [again] = await Day.createMany([{ tz, ts, d, tzs, ds }])
      expect(again).toMatchObject({ tz: Infinity, ts: -Infinity, d: Infinity, tzs: [Infinity], ds: [-Infinity] })
      expect(await Day.where({ d: Infinity as never }).count()).toBe(2)
      expect(JSON.parse(JSON.stringify(again))).toMatchObject({ tz: 'Infinity', ts: '-Infinity', tzs: ['Infinity'] })
    })
  })

  test('lists of custom types come back as their elements, whatever the type', async () => {
    const db = await driver.db()
    const name = await driver.table(
      'id serial primary key, many bytea[], grid bytea[][], flags boolean[], ranges int4range[], docs jsonb[], sums numeric[], amounts numeric[], plain jsonb[]',
    )
    const table = pgTable(name, {
      id: serial().primaryKey(),
      many: bytes().array(),
      grid: bytes().array().array(),
      flags: flags().array(),
      ranges: ranges().array(),
      docs: documents().array(),
      sums: numeric().array(),
      amounts: numeric({ mode: 'number' }).array(),
      plain: jsonb().array(),
    })
    class Row extends Model(db, table) {}
    const odd = Buffer.from([255, 92, 65, 34, 0])
    const values = {
      many: [odd, Buffer.alloc(0), null as never],
      grid: [[odd], [Buffer.from('a')]],
      flags: [true, false],
      ranges: ['[1,5)', 'empty'],
      docs: [{ a: 1 }],
      sums: ['1.50', 'NaN'],
      amounts: [2 ** 53, 1.5, Number.NaN],
      plain: [[1, 2], { b: '"' }, 'x'],
    }

    const rows = [await Row.create(values), ...(await Row.createMany([values])), ...(await Row.query())]

    expect(rows).toHaveLength(4)
    for (const row of rows) expect(row).toMatchObject(values)
    expect(await Row.where(eq(Row.c.many, values.many)).count()).toBe(2)
    expect(await Row.where({ grid: values.grid }).count()).toBe(2)
    expect(await db.all(`select encode(many[1], 'hex') as hex, jsonb_typeof(plain[1]) as type from ${name}`)).toEqual([
      { hex: 'ff5c412200', type: 'array' },
      { hex: 'ff5c412200', type: 'array' },
    ])
  })

  describe('a list in a condition', () => {
    // oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
    const filled = async () => {
      const db = await driver.db()
      const name = await driver.table(`id serial primary key, n integer, name text, key uuid, sum numeric, flag boolean,
        at timestamptz, data bytea, tags text[], doc jsonb not null default '{}'`)
      const table = pgTable(name, {
        id: serial().primaryKey(),
        n: integer(),
        name: text(),
        key: uuid(),
        sum: numeric(),
        flag: boolean(),
        at: timestamp({ withTimezone: true }),
        data: bytes(),
        tags: text().array(),
        doc: jsonb().notNull().default({}),
      })
      class Row extends Model(db, table, { json: { doc: { rank: json.integer(), word: json.string() } } }) {}
      const at = new Date('2024-01-01T00:00:00Z')
      const key = '6f9619ff-8b86-d011-b42d-00c04fc964ff'
      const data = Buffer.from([255, 0])
      await Row.createMany([
        { n: 1, name: 'a,"b"', key, sum: '1.5', flag: true, at, data, tags: ['x'], rank: 1, word: 'w' },
        { n: 2, name: 'null', sum: '2.5', flag: false, tags: ['y'], rank: 2 },
        {},
      ])
      return { db, Row, at, key, data }
    }

    test('finds values of every type', async () => {
      const { Row, at, key, data } = await filled()
      for (const filter of [
        { n: [1, 9] },
        { name: ['a,"b"', 'c'] },
        { key: [key] },
        { sum: ['1.50'] },
        { flag: [true] },
        { at: [at, new Date(0)] },
        { data: [data] },
        { rank: [1, 7] },
        { word: ['w'] },
      ])
        expect(await Row.where(filter).count(), Object.keys(filter)[0]).toBe(1)
      expect(await Row.where({ name: ['null'] }).count()).toBe(1)
      expect(await Row.where(notInArray(Row.c.n, [1])).count()).toBe(1)
      expect(await Row.where({ n: [1, null] }).count()).toBe(2)
      expect(await Row.where(inArray(Row.c.tags, [['x'], ['z']])).count()).toBe(1)
      expect(await Row.where(sql`(${Row.c.n}, ${Row.c.flag}) in ((1, true), (2, true))`).count()).toBe(1)
      expect(await Row.where({ n: [] }).count()).toBe(0)
      expect(await Row.where(inArray(Row.c.n, [])).count()).toBe(0)
      expect(await Row.where(notInArray(Row.c.n, [])).count()).toBe(3)
    })

    test('is as long as one likes, and one prepared statement whatever its length', async () => {
      const { db, Row } = await filled()
      const ids = Array.from({ length: 70_000 }, (_, id) => id + 1)

      expect(await Row.where({ id: ids }).count()).toBe(3)
      expect(await Row.where(inArray(Row.c.id, ids)).count()).toBe(3)
      expect(await Row.where(or(inArray(Row.c.id, ids), eq(Row.c.doc, {}))).count()).toBe(3)
      expect(await Row.where(notInArray(Row.c.id, ids)).count()).toBe(0)
      expect(await Row.update({ n: 5 }).where({ id: ids })).toBe(3)
      await db.scope(async () => {
        const prepared = () =>
          db.scalar<number>("select count(*) from pg_prepared_statements where statement like '%any(%'")
        const before = await prepared()
        for (let length = 1; length < 20; length++) await Row.where({ id: ids.slice(0, length) })
        expect(await prepared()).toBe(Number(before) + 1)
      })
      expect(await Row.delete().where({ id: ids })).toBe(3)
    })
  })

  test('columns are what their table declares, whatever the engine makes of their types in SQL text', async () => {
    const before = process.env['TZ']
    process.env['TZ'] = 'America/New_York'
    try {
      const never = (): never => expect.fail('Columns of tables have no conversions.')
      const names = ['timestamp', 'timestamptz', 'numeric', 'int4', 'int8', 'text', 'bool', 'name', 'json', 'record']
      const types = Object.fromEntries(names.map((name) => [name, never]))
      for (const options of [{ timestamp: 'local' }, { int8: 'bigint' }, { int8: 'string', types }] as const) {
        const db = await driver.db(options)
        const name = await driver.table(
          'id serial primary key, at timestamp, z timestamptz, ats timestamp[], n numeric, big bigint, t text, b boolean',
        )
        const table = pgTable(name, {
          id: serial().primaryKey(),
          at: timestamp(),
          z: timestamp({ withTimezone: true }),
          ats: timestamp().array(),
          n: numeric(),
          big: bigint({ mode: 'number' }),
          t: text(),
          b: boolean(),
        })
        class Row extends Model(db, table) {}
        const at = new Date('2024-07-01T12:30:15.123Z')
        const values = { at, z: at, ats: [at, null] as Date[], n: '1.50', big: 2 ** 53 - 1, t: 'a', b: true }
        const row = await Row.create(values)
        const own = options.int8 === 'string' ? { types: { text: String } } : {}
        const stored = await db.scalar(`select at || ' ' || ats::text from ${name}`, [], own)

        expect(stored).toBe('2024-07-01 12:30:15.123 {"2024-07-01 12:30:15.123",NULL}')
        for (let run = 0; run < 3; run++) {
          const [many] = await Row.createMany([values])
          const read = [
            row,
            many,
            await Row.get(row.id),
            await Row.where({ at }).orderBy(Row.c.id).first(),
            await row.reload(),
          ]
          for (const each of read) expect(each).toMatchObject(values)
          expect(await Row.select('at').limit(1).scalar()).toEqual(at)
          expect([await Row.query().count(), await Row.query().limit(1).count()]).toEqual([run + 2, 1])
          expect([await Row.query().exists(), await Row.where({ t: 'b' }).exists()]).toEqual([true, false])
          expect(await db.first(`select * from ${name}`, [], { into: Row })).toMatchObject(values)
          expect(
            await Row.query()
              .load(sql`max(${Row.c.at})`.mapWith(Row.c.at))
              .one(),
          ).toEqual(at)
        }
      }
    } finally {
      if (before === undefined) delete process.env['TZ']
      else process.env['TZ'] = before
    }
  })

  test('whichever columns are given, each has its own value, in tables of few columns and of many', async () => {
    const db = await driver.db()
    for (const width of [4, 40]) {
      const names = Array.from({ length: width }, (_, n) => `c${n}`)
      const name = await driver.table(`c0 int, id serial primary key, ${names.slice(1).join(' int, ')} int`)
      const others = Object.fromEntries(names.slice(1).map((each) => [each, integer()]))
      const table = pgTable(name, { c0: integer().$onUpdateFn(() => -1), id: serial().primaryKey(), ...others })
      class Wide extends Model(db, table) {}
      const last = names.at(-1) as string
      const sets = [['c1'], ['c0', 'c1'], ['c1', 'c0', last], [last], ['c2', last], names, ['c0']]

      for (const keys of [...sets, ...sets.slice(0, 2)]) {
        const values = Object.fromEntries(keys.map((key, n) => [key, n + 10]))
        const expected = { c0: -1, ...values }
        const rest = Object.fromEntries(names.filter((key) => !(key in expected)).map((key) => [key, null]))
        const wide = await Wide.create(values)
        expect(await Wide.get(wide.id)).toMatchObject({ ...rest, ...expected })

        const row = await Wide.create({ c0: 5 })
        await row.update(values)
        expect(row).toMatchObject({ ...rest, ...expected })
        expect(await Wide.get(row.id)).toMatchObject({ ...rest, ...expected })
      }
    }
  })
})
