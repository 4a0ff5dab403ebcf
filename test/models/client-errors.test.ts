/** What a stranger sends is told apart from what the program does wrong: `clientError`, `suggestedStatus`, and what is not found. */

import {
  customType,
  date,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  serial,
  smallint,
  text,
  uuid,
} from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { type GeneverError, NotFoundError } from 'genever'
import { json, Model } from 'genever/models'
import { caught, thrownBy } from '../support/caught.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

const codes = customType<{ data: string }>({ dataType: () => 'macaddr' })
const id = '6f9619ff-8b86-d011-b42d-00c04fc964ff'

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function keyed(driver: TestedDriver) {
  const db = await driver.db()
  const make = async <T>(type: string, column: T) => {
    const name = await driver.table(`id ${type} primary key`)
    class Row extends Model(db, pgTable(name, { id: column as ReturnType<typeof text> }), { pk: 'id' }) {}
    return Row
  }
  return { db, make }
}

const impossible: readonly (readonly [string, () => unknown, readonly unknown[], readonly unknown[]])[] = [
  [
    'integer',
    () => integer().primaryKey(),
    ['abc', '99999999999', '1.5', '', '1 or 1=1', '\0', 1.5, Number.NaN, Infinity, 2 ** 31, true, '9'.repeat(5000)],
    [1, '1', ' 1 ', '+1', '-2147483648', 2n],
  ],
  ['smallint', () => smallint().primaryKey(), ['40000', 40_000, 'x'], ['-32768', 7]],
  [
    'uuid',
    () => uuid().primaryKey(),
    ['abc', '', `${id}0`, '\0', 5],
    [id, id.toUpperCase(), `{${id}}`, id.replaceAll('-', '')],
  ],
  ['text', () => text().primaryKey(), ['a\0b', '\ud800'], ['', 'x', "'; --"]],
  ['date', () => date().primaryKey(), ['2024-13-40', 'abc', '99999999-01-01'], ['2024-01-01', 'today']],
  ['date', () => date({ mode: 'date' }).primaryKey(), ['2024-13-40', 5], [new Date(0)]],
  ['macaddr', () => codes().primaryKey(), ['abc', '\0'], ['08:00:2b:01:02:03']],
]

forEachDriver((driver) => {
  describe('a key that no row can have', () => {
    test.for(impossible)('of type %s is not found', async ([type, column, wrong, right]) => {
      const { make } = await keyed(driver)
      const Row = await make(type, column())
      for (const key of wrong) {
        expect(await Row.get(key as never), String(key).slice(0, 50)).toBeUndefined()
        expect(await caught(Row.getOr404(key as never)), String(key).slice(0, 50)).toBeInstanceOf(NotFoundError)
      }
      for (const key of right) expect(await Row.get(key as never)).toBeUndefined()
    })

    test('sends nothing where the column says enough, so a transaction goes on', async () => {
      const { db, make } = await keyed(driver)
      const Row = await make('integer', integer().primaryKey())

      await db.transaction(async () => {
        expect(await Row.get('abc')).toBeUndefined()
        await Row.create({ id: 1 as never })
      })
      expect(await Row.get('1')).toMatchObject({ id: 1 })
    })

    test('is an error of the client inside of a transaction, where only the server can tell', async () => {
      const { db, make } = await keyed(driver)
      const Row = await make('date', date().primaryKey())

      const error = await caught(db.transaction(() => Row.get('abc')))
      expect(error).toMatchObject({ name: 'QueryError', clientError: true, suggestedStatus: 400 })
    })

    test('may be a part of a composite one; another shape is an error of the client', async () => {
      const { db } = await keyed(driver)
      const name = await driver.table('a integer, b uuid, primary key (a, b)')
      const table = pgTable(name, { a: integer(), b: uuid() }, (t) => [primaryKey({ columns: [t.a, t.b] })])
      class Pair extends Model(db, table, { pk: ['a', 'b'] }) {}

      expect(await Pair.get({ a: 'x', b: id } as never)).toBeUndefined()
      expect(await caught(Pair.getOr404([1, 'x'] as never))).toBeInstanceOf(NotFoundError)
      expect(await caught(Pair.get({ a: { $gt: 0 }, b: id } as never))).toMatchObject({ clientError: true })
    })
  })

  test('a value of another type, a cursor, a column and a validation are errors of the client, and have no status', async () => {
    const db = await driver.db()
    const name = await driver.table('id serial primary key, n smallint, name varchar(3), at date, kept jsonb')
    const table = pgTable(name, { id: serial().primaryKey(), n: smallint(), name: text(), at: date({ mode: 'date' }) })
    const validate = {
      '~standard': {
        version: 1 as const,
        vendor: 'test',
        validate: () => ({ issues: [{ message: 'no', path: ['n'] }] }),
      },
    }
    class Row extends Model(db, table) {}
    class Kept extends Model(db, pgTable(name, { id: serial().primaryKey(), kept: jsonb() }), {
      json: { kept: { nick: json.string(), born: json.dateTime() } },
    }) {}
    class Checked extends Model(db, table, { validate }) {}
    const forged = Buffer.from(JSON.stringify((JSON.parse(await cursorOf(Row)) as unknown[]).with(2, 'abc'))).toString(
      'base64url',
    )

    const errors = [
      await caught(Row.where({ id: 'abc' as never }).all()),
      await caught(Row.where({ n: 70_000 }).all()),
      await caught(Row.create({ name: 'four' })),
      await caught(Row.create({ name: 'a\0' })),
      await caught(Row.createMany([{ name: 'a\0' }])),
      await caught(Row.create({ at: 'abc' as never })),
      await caught(Checked.create({})),
      await caught(Kept.create({ nick: 5 as never })),
      await caught(Kept.createMany([{ born: '2020-01-01' as never }])),
      thrownBy(() => new Kept().update({ nick: {} as never })),
      thrownBy(() => Row.where({ nope: 1 } as never)),
      thrownBy(() => Row.query().limit(1).after('x')),
      thrownBy(() =>
        Row.query()
          .limit(1)
          .after(5 as never),
      ),
      await caught(Row.query().limit(1).after(forged).page()),
    ]

    for (const error of errors) {
      expect(error).toMatchObject({ clientError: true, suggestedStatus: error.name === 'ValidationError' ? 422 : 400 })
      expect('status' in error || 'statusCode' in error || 'expose' in error).toBe(false)
    }
  })

  test('constraints suggest a status, also by what a foreign key refused', async () => {
    const db = await driver.db()
    const parents = await driver.table('id integer primary key, n integer not null check (n > 0)')
    const children = await driver.table(`id integer references ${parents}`)
    await db.status(`insert into ${parents} values (1, 1); insert into ${children} values (1)`)
    const statusOf = async (sql: string) => {
      const error = (await caught(db.status(sql))) as GeneverError
      expect(error.clientError).toBeUndefined()
      expect('status' in error).toBe(false)
      return error.suggestedStatus
    }

    expect(await statusOf(`insert into ${parents} values (1, 1)`)).toBe(409)
    expect(await statusOf(`insert into ${parents} values (2, null)`)).toBe(422)
    expect(await statusOf(`insert into ${parents} values (2, 0)`)).toBe(422)
    expect(await statusOf(`insert into ${children} values (5)`)).toBe(422)
    expect(await statusOf(`delete from ${parents}`)).toBe(409)
    expect(await statusOf(`update ${parents} set id = 7`)).toBe(409)
    expect(await statusOf('selec 1')).toBeUndefined()
  })

  test('firstOr404 gives the first row of any query, or is not found', async () => {
    const db = await driver.db()

    expect(await db.firstOr404('select 1 as n')).toEqual({ n: 1 })
    expect(await db.sql`select ${2}::int as n`.firstOr404()).toEqual({ n: 2 })
    const error = await caught(db.firstOr404('select 1 where $1', [false]))
    expect(error).toBeInstanceOf(NotFoundError)
    expect(error).toMatchObject({ status: 404, statusCode: 404, expose: true, suggestedStatus: 404 })
    expect(await caught(db.sql`select 1 where false`.firstOr404())).toBeInstanceOf(NotFoundError)
    await db.transaction(async (tx) => {
      expect(await caught(tx.firstOr404('select 1 where false'))).toBeInstanceOf(NotFoundError)
      expect(await tx.scalar('select 1')).toBe(1)
    })
  })
})

/** The text in a cursor of a model with a row more than a page. */
async function cursorOf(model: { create(values: object): Promise<object>; query(): unknown }): Promise<string> {
  await model.create({})
  await model.create({})
  const query = model.query() as { limit(n: number): { page(): Promise<{ cursor: string | null }> } }
  const { cursor } = await query.limit(1).page()
  return Buffer.from(String(cursor), 'base64url').toString()
}
