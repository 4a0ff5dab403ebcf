/** The option `types`: how objects are written as parameters of types. */

import { type Db, InvalidOptionError, ParameterError } from 'genever'
import { composite, interval, multirange, point, range, structured } from 'genever/types'
import { beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'
import { dbWithTypes } from '../support/own-types.ts'

forEachDriver((driver) => {
  let name: string
  beforeEach(async () => (name = await driver.table('id int, s text')))

  const withTypes = (sql = ''): Promise<Db> => dbWithTypes(driver, name, sql)

  describe('parameters', () => {
    test('that are objects are written by the conversion, all others as they are', async () => {
      const db = await driver.db({
        types: {
          point: { write: ({ x, y }: { x?: number; y?: number }) => `(${x},${y})` },
          jsonb: { write: () => '"mine"' },
        },
      })

      expect(await db.scalar('select $1::point', [{ x: 1, y: 2 }])).toBe('(1,2)')
      expect(await db.scalar('select $1::point', ['(3,4)'])).toBe('(3,4)')
      expect(await db.scalar('select $1::jsonb', [{ a: 1 }])).toBe('mine')
      expect(await db.scalar('select $1::jsonb', ['{"a":1}'])).toEqual({ a: 1 })
      expect(await db.scalar('select $1::json', [{ a: 1 }])).toEqual({ a: 1 })
      const status = await db.executeMany('select $1::point', [[{ x: 1, y: 2 }], [{ x: 3, y: 4 }]])
      expect(status.rowCount).toBe(2)
    })

    test('of a statement alone are written by its own conversion', async () => {
      const db = await driver.db()

      expect(await db.scalar('select $1::point', [{ x: 1, y: 2 }], { types: { point } })).toEqual({ x: 1, y: 2 })
      expect(await db.scalar('select $1::point[]', [[{ x: 1, y: 2 }, null]], { types: { point } })).toEqual([
        { x: 1, y: 2 },
        null,
      ])
    })

    test('that a conversion refuses, or makes no text of, are refused by their position', async () => {
      const db = await driver.db({ types: { interval, uuid: { write: () => 7 as never } } })

      for (const [type, value] of [
        ['interval', { fortnights: 1 }],
        ['uuid', { a: 1 }],
      ] as const) {
        const error = await caught(db.scalar(`select $1::${type}`, [value]))
        expect(error).toBeInstanceOf(ParameterError)
        expect(error.outcome).toBe('not_started')
      }
    })

    test('inside of others are written as they are alone', async () => {
      const db = await withTypes(`create domain ${name}_nine as int[]; create domain ${name}_json as jsonb`)
      const nine = [1, 2, 3, 4, 5, 6, 7, 8, 9]
      const alone: readonly (readonly [type: string, value: unknown])[] = [
        ['jsonb', [1, [2]]],
        ['jsonb', new Date(0)],
        ['jsonb[]', [[1], { a: [2] }, null]],
        [`${name}_json[]`, [[1], { b: 2 }]],
        ['bytea', new Uint8Array([1, 255]).buffer],
        ['bytea[]', [Buffer.from('a'), null]],
        ['box[]', ['(3,4),(1,2)', '(1,1),(0,0)']],
        [`${name}_nine[]`, [nine, [3]]],
        ['int[]', [nine, nine]],
        ['text[]', ['a,b', 'NULL', '', 'q"\\', null]],
        ['timestamptz', new Date(1e12)],
        ['numeric', { toJSON: () => '1.50' }],
        ['numeric[]', [{ toJSON: () => '1.50' }]],
        ['float8', -0],
        ['float8[]', [-0, NaN, Infinity]],
        ['text', Object('abc')],
        [`${name}_mood[]`, ['so so', null]],
        ['int4range', { lower: 1, upper: 5 }],
        ['int4multirange[]', [[{ lower: 1, upper: 5 }], []]],
        [`${name}_pair`, { id: 1, moods: ['ok'], at: new Date(0) }],
        [`${name}_pair[]`, [{ id: 1, moods: ['ok'], at: null }, null]],
      ]
      const types = structured

      for (const [at, [type, value]] of alone.entries()) {
        await db.status(`create type ${name}_of_${at} as (m ${type})`)
        const text = (sql: string, param: unknown): Promise<unknown> =>
          db.scalar(`select (${sql})::text`, [param], { types })
        const expected = [type, await text(`$1::${type}`, value)]
        expect([type, await text(`($1::${name}_of_${at}).m`, { m: value })]).toEqual(expected)
        expect([type, await text(`($1::${name}_of_${at}[])[1].m`, [{ m: value }])]).toEqual(expected)
      }
      for (const bad of [Symbol('x'), () => 1, new Date(NaN), 'a\0b', '\ud800', Buffer.from('1')])
        expect(await caught(db.scalar(`select $1::${name}_pair`, [{ id: bad }], { types }))).toBeInstanceOf(
          ParameterError,
        )
    })

    test('have as many dimensions as they are read with', async () => {
      const db = await withTypes(
        `create domain ${name}_gap as int4range; create type ${name}_boxed as (pair ${name}_pair)`,
      )
      const types = { ...structured, anyrange: range, anymultirange: multirange, record: composite }
      const literals: readonly (readonly [type: string, literal: string])[] = [
        [`${name}_pair`, '(1,"{ok}",)'],
        [`${name}_boxed`, '("(1,,)")'],
        [`${name}_gap`, '[1,5)'],
        ['int4range', '[1,5)'],
        ['int4multirange', '{[1,5)}'],
        ['int4multirange', '{}'],
        ['interval', '1 day'],
        ['inet', '10.0.0.0/8'],
        ['point', '(1,2)'],
        ['line', '{1,2,3}'],
        ['circle', '<(1,2),3>'],
        ['lseg', '[(1,2),(3,4)]'],
        ['box', '(3,4),(1,2)'],
        ['path', '((1,2),(3,4))'],
        ['polygon', '((1,2),(3,4))'],
        ['tsvector', `'a':1`],
        ['numeric', '1.50'],
      ]

      for (const [type, literal] of literals) {
        const one = `$$${literal}$$::${type}`
        for (const list of [
          `array[${one}, null]`,
          `array[[${one}, null],[${one}, ${one}]]`,
          `array[[[${one}]],[[${one}]]]`,
        ]) {
          const { value, text } = await db.one<{ value: unknown; text: string }>(
            `select ${list} as value, (${list})::text as text`,
            [],
            { types },
          )
          expect([type, await db.scalar(`select ($1::${type}[])::text`, [value], { types })]).toEqual([type, text])
        }
      }
    })

    test('among them lists that a conversion of one’s own writes are values, unless it says that they are dimensions', async () => {
      const written = { write: (value: object) => `(${(value as number[]).join()})` }
      const param = [[[1, 2]], [[3, 4]]]
      const as = (list?: boolean): object => ({ types: { point: list === undefined ? written : { ...written, list } } })
      const db = await driver.db()

      expect(await db.scalar('select $1::point[]::text', [[[1, 2], null]], as())).toBe('{"(1,2)",NULL}')
      expect(await db.scalar('select $1::point[]::text', [param], as(true))).toBe('{{"(1,2)"},{"(3,4)"}}')
      expect(await caught(db.scalar('select $1::point[]::text', [param], as(false)))).toMatchObject({
        sqlState: '22P02',
      })
      expect(await caught(db.scalar('select 1', [], { types: { point: { list: true } } }))).toBeInstanceOf(
        InvalidOptionError,
      )
    })

    test('that have members which are none of their type are refused: nothing of them is lost', async () => {
      const db = await withTypes()
      const types = { ...structured, anyrange: range }

      for (const [type, values] of [
        ['int4range', [{}, { from: 1 }, [1], { lower: 1, uper: 2 }, new Date(0), Buffer.from('x'), { bounds: '[]' }]],
        [`${name}_pair`, [{ id: 1, ids: 2 }, [1], [1, null, null, null], new Date(0), new Map([['id', 1]])]],
      ] as const)
        for (const value of values) {
          const error = await caught(db.scalar(`select $1::${type}`, [value], { types }))
          expect([type, value, error]).toEqual([type, value, expect.any(ParameterError)])
        }
      const pair = (value: unknown): Promise<unknown> =>
        db.scalar(`select ($1::${name}_pair)::text`, [value], { types })
      expect(await pair({ id: 1, at: undefined })).toBe('(1,,)')
      expect(await pair({})).toBe('(,,)')
      expect(await pair([1, ['ok'], null])).toBe('(1,{ok},)')
      expect(await db.scalar('select ($1::int4range)::text', [{ lower: null }], { types })).toBe('(,)')
    })

    test('arrays of boxes have semicolons', async () => {
      const db = await driver.db()
      const boxes = ['(2,2),(1,1)', '(4,4),(3,3)']

      expect(await db.scalar('select $1::box[]', [boxes])).toEqual(boxes)
    })
  })
})
