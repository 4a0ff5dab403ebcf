/** Rows of several kinds in one result: each is an array of the columns of its kind, with or without code made for them. */

import { describe, expect, test, vi } from 'vitest'
import { decoderFor, shapeKey } from '../../src/driver/postgres/rows/decoder.ts'
import type { Bytes } from '../../src/driver/postgres/rows/row-decoder.ts'
import { shapeOf } from '../../src/driver/row-tree.ts'
import { TypeBook } from '../../src/postgres/types/book.ts'
import type { Field, RowSpec, Shape } from '../../src/sql/compiled.ts'

const types = [20, 23, 25, 25, 16, 1184]
const fields: Field[] = types.map((type, at) => ({ name: `c${at}`, type, table: 0, column: 0, typmod: -1 }))
const shapeOfFields = (of: Field[]): Shape => ({
  params: [],
  fields: of,
  rows: true,
  key: shapeKey(of),
  path: 0,
  at: 0,
})
/** More than enough for code to be made. */
const many = 520

/** A number, then two kinds of two columns, and one of one. */
function spec(): RowSpec {
  const columns = types.map((_, at) => ({ path: [], mode: at === 0 ? ('number' as const) : ('default' as const) }))
  return { into: 'array', make: null, columns, kinds: { counts: [2, 2, 1], numbered: true } }
}

/** The same without the number. */
function bare(): RowSpec {
  const columns = types.slice(1).map(() => ({ path: [], mode: 'default' as const }))
  return { into: 'array', make: null, columns, kinds: { counts: [2, 2, 1], numbered: false } }
}

function rowOf(values: readonly (string | null)[]): Bytes {
  const parts = values.flatMap((value) => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(value === null ? -1 : Buffer.byteLength(value))
    return value === null ? [length] : [length, Buffer.from(value)]
  })
  return Buffer.concat(parts) as Bytes
}

const given: readonly (readonly [row: readonly (string | null)[], read: unknown])[] = [
  [
    ['3', '-7', 'Grün', null, null, null],
    [-7, 'Grün', 3],
  ],
  [
    ['6', null, null, null, null, null],
    [null, null, 6],
  ],
  [
    ['4', null, null, 'a text that is not short', 't', null],
    ['a text that is not short', true, 4],
  ],
  [
    ['5', null, null, null, null, '2025-01-01 00:00:00+00'],
    [new Date('2025-01-01Z'), 5],
  ],
]
const wrong: readonly (readonly (string | null)[])[] = [
  ['3', '1', 'a', 'b', null, null],
  ['4', '1', null, 'b', 't', null],
  ['5', null, null, null, 't', null],
  [null, '1', 'a', null, null, null],
  ['3', '1', 'a', null, null],
  ['3', '1', 'a', null, null, null, null],
]

const givenBare: readonly (readonly [row: readonly (string | null)[], read: unknown])[] = [
  [
    ['-7', 'Grün', null, null, null],
    [-7, 'Grün', 0],
  ],
  [
    [null, 'Grün', null, null, null],
    [null, 'Grün', 0],
  ],
  [
    [null, null, null, null, null],
    [null, null, 0],
  ],
  [
    [null, null, null, 't', null],
    [null, true, 1],
  ],
  [
    [null, null, 'a text that is not short', null, null],
    ['a text that is not short', null, 1],
  ],
  [
    [null, null, null, null, '2025-01-01 00:00:00+00'],
    [new Date('2025-01-01Z'), 2],
  ],
]
const wrongBare: readonly (readonly (string | null)[])[] = [
  ['1', null, 'b', null, null],
  ['1', null, null, null, '2025-01-01 00:00:00+00'],
  [null, null, null, 't', '2025-01-01 00:00:00+00'],
  ['1', null, null, null],
  [null, null, null, null],
  [null, null, null, null, null, null],
  [null, null, null, 't', null, null],
]

test('rows of values, as a driver of tests has them, become the same', () => {
  const made = shapeOf([], spec())
  expect(made([3, 1, 'a', null, null, null], [])).toEqual([1, 'a', 3])
  expect(made([7, null, null, 'b', true, null], [])).toEqual(['b', true, 7])
  expect(made([2, null, null, null, null, 'c'], [])).toEqual(['c', 2])
  const unnumbered = shapeOf([], bare())
  const read = (...values: (string | null)[]): unknown =>
    unnumbered(
      values,
      values.map((value) => value === null),
    )
  expect(read(null, 'a', null, null, null)).toEqual([null, 'a', 0])
  expect(read(null, null, null, 'b', null)).toEqual([null, 'b', 1])
  expect(read(null, null, null, null, 'c')).toEqual(['c', 2])
  expect(read(null, null, null, null, null)).toEqual([null, null, 0])
})

describe.each([true, false])('with code for rows: %s', (allowed) => {
  test.each([
    ['its number', spec(), fields, given, wrong],
    ['its kind', bare(), fields.slice(1), givenBare, wrongBare],
  ] as const)(
    'a row has the columns of its kind and %s; one that has others is a misfit',
    async (_, of, own, right, bad) => {
      if (!allowed) {
        vi.resetModules()
        vi.stubGlobal('Function', () => {
          throw new EvalError('not allowed')
        })
      }
      const { decoderFor: make } = allowed ? { decoderFor } : await import('../../src/driver/postgres/rows/decoder.ts')
      const decoder = make(shapeOfFields([...own]), of, new TypeBook(), false)
      for (let n = 0; n < many; n++)
        for (const [values, expected] of right) {
          const rows: unknown[] = []
          const bytes = rowOf(values)
          decoder.push(bytes, 0, bytes.length, rows)
          expect(rows).toEqual([expected])
        }
      for (const values of bad) {
        const bytes = rowOf(values)
        expect(() => decoder.push(bytes, 0, bytes.length, []), JSON.stringify(values)).toThrow(/does not fit/)
      }
      vi.unstubAllGlobals()
    },
  )
})
