/** Types of extensions: their text as it is, the ready-made objects, and how often a database is asked what they are. */

import { createDb, type Db, type EngineOptions } from 'genever'
import { hstore, ltree, sparsevec, vector } from 'genever/types'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { startProxy } from '../support/proxy.ts'
import { typeLike } from '../support/type-like.ts'

let database: FreshDatabase
const there = new Set<string>(['vector', 'halfvec', 'sparsevec'])
beforeAll(async () => {
  database = await freshDatabase()
  const found = await database.query(
    "select name::text from pg_available_extensions where name in ('hstore', 'ltree', 'citext', 'vector')",
  )
  if (!found.some(({ name }) => name === 'vector')) {
    // Their text is that of `text`, as pgvector's is to a client.
    await database.query([...there].map((name) => typeLike(name, 'text')).join('\n'))
  }
  for (const { name } of found) {
    await database.query(`create extension ${String(name)}`)
    there.add(String(name))
  }
})
afterAll(() => database.drop())

describe.each(['pg', 'socket'] as const)('on the driver %s', (driver) => {
  function open(options: EngineOptions = {}, url: string = database.url): Db {
    const db = createDb(url, { driver, ...options })
    onTestFinished(async () => void (await db.close()))
    return db
  }

  test.for([
    ['hstore', String.raw`"b"=>NULL, "c"=>"", "a \"x"=>"1, =>\\ "`],
    ['ltree', 'Top.Science'],
    ['citext', 'Ada, "née" \\ Byron'],
    ['vector', '[1,2.5,-3]'],
    ['sparsevec', '{1:1.5,3:-2}/5'],
  ] as const)('%s is its text, also in arrays and as a parameter', async ([type, value], { skip }) => {
    skip(!there.has(type), `the server has no ${type}`)
    const db = open()

    for (let run = 0; run < 3; run++) {
      const row = await db.one<{ one: string; list: string; same: boolean; none: unknown }>(
        `select $1::${type} as one, array[$1::${type}, null] as list, $1::${type}::text = $2::text as same, null::${type} as none`,
        [value, value],
      )
      expect(row).toMatchObject({ one: value, same: true, none: null })
      expect(await db.scalar(`select $1::${type}[]::text = array[$2::${type}, null]::text`, [row.list, value])).toBe(
        true,
      )
    }
  })

  test.for([
    ['hstore', { b: null, c: '', 'a "x': '1, =>\\ ' }, {}],
    ['ltree', ['Top', 'Science'], []],
    ['vector', [1, 2.5, -3], [0]],
    ['halfvec', [1, 2.5], [0]],
    ['sparsevec', { dimensions: 5, values: { 1: 1.5, 3: -2 } }, { dimensions: 5, values: {} }],
  ] as const)(
    '%s is an object by the ready-made conversion, and is written as such',
    async ([type, value, empty], { skip }) => {
      skip(!there.has(type), `the server has no ${type}`)
      const db = open({ types: { hstore, ltree, vector, halfvec: vector, sparsevec } })

      for (let run = 0; run < 3; run++)
        expect(
          await db.one(
            `select $1::${type} as one, $2::${type} as empty, $3::${type}[] as list, null::${type} as none`,
            [value, empty, [value, null]],
          ),
        ).toEqual({ one: value, empty, list: [value, null], none: null })
    },
  )

  test('what is said of a type by its name holds for one statement too', async () => {
    const db = open()

    expect(await db.scalar("select '[1,2]'::vector", [], { types: { vector } })).toEqual([1, 2])
    expect(await db.scalar("select '[1,2]'::vector")).toBe('[1,2]')
  })

  test('types that no connection has met are looked up once for all of them', async () => {
    await using proxy = await startProxy(database.url)
    let lookUps = 0
    const count = (): void =>
      void proxy.on({ to: 'server', type: 'P', text: 'with recursive known', when: 'after' }, () => {
        lookUps++
        count()
      })
    count()
    const db = open({ types: { vector } }, proxy.url)
    const values = { one: [1], list: [[2], null] }
    const read = (on: Pick<Db, 'one'>): Promise<unknown> =>
      on.one('select $1::vector as one, $2::vector[] as list', [values.one, values.list])

    await using first = await db.acquire()
    expect(await read(first)).toEqual(values)
    const asked = lookUps
    await using second = await db.acquire()
    await using third = await db.acquire()
    for (const on of [second, third, first]) expect(await read(on)).toEqual(values)

    expect(asked).toBeGreaterThan(0)
    expect(asked).toBeLessThanOrEqual(2)
    expect(lookUps).toBe(asked)
    expect(proxy.links.filter(({ cancels }) => !cancels)).toHaveLength(3)
  })
})
