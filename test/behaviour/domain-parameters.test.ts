/** Parameters of domains, arrays of domains and domains over arrays: written as what they are over. */

import { type Db, sql } from 'genever'
import { Model } from 'genever/models'
import { integer, jsonb, pgTable } from 'drizzle-orm/pg-core'
import { expect, test } from 'vitest'
import { TypeBook } from '../../src/postgres/types/book.ts'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'

interface Place {
  readonly db: Db
  /** In front of the names of its types. */
  readonly name: string
}

forEachDriver((driver) => {
  const place = async (options = {}): Promise<Place> => {
    const name = await driver.table('id int primary key')
    const db = await driver.single(options)
    await db.status(`
      create domain ${name}_json as json;
      create domain ${name}_jsonb as jsonb check (jsonb_typeof(value) <> 'null');
      create domain ${name}_deep as ${name}_jsonb not null;
      create domain ${name}_ints as int[];
      create domain ${name}_docs as jsonb[];
      create domain ${name}_at as timestamptz;
      create domain ${name}_bytes as bytea;
      create type ${name}_mood as enum ('ok', 'sad');
      create type ${name}_pair as (a int, b ${name}_jsonb)`)
    return { db, name }
  }
  const at = new Date('2024-01-02T03:04:05.678Z')
  const cases: readonly (readonly [type: string, value: unknown, wanted?: unknown])[] = [
    ['json', []],
    ['json', [1, 'x', null]],
    ['json', { a: [1] }],
    ['jsonb', []],
    ['jsonb', [[1], [2]]],
    ['jsonb', at, at.toISOString()],
    ['deep', [{ a: 1 }]],
    ['deep', []],
    ['jsonb[]', [{ a: 1 }, [2], []]],
    ['deep[]', [[1], { b: [] }]],
    ['ints', [1, 2]],
    ['ints', []],
    ['ints[]', [[1, 2], [3]]],
    // Long enough to travel in binary, as an array that is an element does not.
    ['ints', Array.from({ length: 20 }, (_, i) => i)],
    ['ints[]', [Array.from({ length: 20 }, (_, i) => i), [3]]],
    ['docs', [{ a: 1 }, [2]]],
    ['docs[]', [[{ a: 1 }, [2]], []]],
    ['at', at],
    ['at[]', [at, null]],
    ['bytes', Buffer.from([0, 255])],
    ['mood[]', ['ok', 'sad']],
    ['mood[]', []],
  ]

  test.each(cases.map(([type, value, wanted = value]) => [type, value, wanted] as const))(
    'a value for %s is written as what that is over: %o',
    async (type, value, wanted) => {
      for (const prepare of [true, false]) {
        const { db, name } = await place({ prepare })
        const read = `select to_jsonb($1::${name}_${type}) as v`
        const same = (seen: unknown): void => {
          if (type.startsWith('at')) expect(JSON.stringify(seen)).toContain('2024-01-02T')
          else if (type === 'bytes') expect(seen).toBe('\\x00ff')
          else expect(seen).toEqual(wanted)
        }
        same(await db.scalar(read, [value]))
        same(await db.scalar(read, [value]))
        same(await db.transaction(() => db.scalar(read, [value])))
        same(await db.bake(read).scalar([value]))
        const typed = sql.raw(`${name}_${type}`)
        same(await db.sql`select to_jsonb(${value}::${typed})`.scalar())
        await db.close()
      }
    },
  )

  test('columns, functions, several rows and models take them', async () => {
    const { db, name } = await place()
    await db.status(`alter table ${name} add d ${name}_deep default '[]', add l ${name}_jsonb[]`)
    await db.status(`insert into ${name} values (1, $1, $2)`, [[1], [[2], { a: 3 }]])
    await db.executeMany(`insert into ${name} values ($1, $2)`, [
      [2, []],
      [3, ['x']],
    ])
    await db.status(`create function ${name}_f(x ${name}_jsonb) returns text language sql as 'select x::text'`)
    expect(await db.scalar(`select ${name}_f($1)`, [[1]])).toBe('[1]')
    expect(await db.all(`select id, d, to_jsonb(l) as l from ${name} order by id`)).toEqual([
      { id: 1, d: [1], l: [[2], { a: 3 }] },
      { id: 2, d: [], l: null },
      { id: 3, d: ['x'], l: null },
    ])
    class Row extends Model(db, pgTable(name, { id: integer().primaryKey(), d: jsonb() })) {}
    await Row.create({ id: 4, d: [4] })
    await Row.createMany([{ id: 5, d: [] }])
    await (await Row.get(4))?.update({ d: [] })
    expect(await Row.where({ id: 4 }).all()).toMatchObject([{ d: [] }])
    const cursor = db.iterate(`select id from ${name} where d = $1::${name}_jsonb order by id`, [[]])
    expect(await cursor.read(9)).toEqual([{ id: 2 }, { id: 4 }, { id: 5 }])
    await cursor.close()
  })

  test('a text that was described with other values is looked up when it needs to be', async () => {
    const { db, name } = await place()
    const read = `select to_jsonb($1::${name}_jsonb)`
    expect(await db.scalar(read, ['{"a":1}'])).toEqual({ a: 1 })
    expect(await db.scalar(read, [[1]])).toEqual([1])
  })

  test('in a transaction that has failed, and with a value that cannot be written, nothing is lost', async () => {
    const { db, name } = await place()
    const read = `select to_jsonb($1::${name}_jsonb)`
    await db.scope(async () => {
      expect(await caught(db.scalar(read, [[NaN]]))).toMatchObject({ code: 'GENEVER_PARAMETER' })
      expect(await db.scalar(read, [[1]])).toEqual([1])
    })
    await db.transaction(async () => {
      await caught(db.transaction(() => db.scalar('select 1 / 0')))
      expect(await db.scalar(`select to_jsonb($1::${name}_json)`, [[1]])).toEqual([1])
    })
  })
})

test('a domain over a domain over an array knows its elements', () => {
  const book = new TypeBook()
  expect(book.unknown([25, 20_000, 20_003])).toEqual([20_000, 20_003])
  const row = { schema: 'public', name: 'd', extension: '', kind: 'd', delimiter: ',', range: 0, fields: [], types: [] }
  const rows = [
    { ...row, oid: 20_000, base: 20_001, element: 0 },
    { ...row, oid: 20_001, base: 20_002, element: 0 },
    { ...row, oid: 20_002, base: 0, element: 20_003 },
    { ...row, oid: 20_003, base: 3802, element: 0 },
  ]
  book.learn(rows, [20_000])
  expect(book.unknown([20_000])).toEqual([])
  expect([book.base(20_000), book.element(20_000), book.base(book.element(20_000))]).toEqual([20_002, 20_003, 3802])
  expect([book.base(25), book.element(1009), book.element(25)]).toEqual([25, 25, 0])
})
