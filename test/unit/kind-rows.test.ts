/** Rows of several kinds in one result: each is an array of the columns of its kind, with or without code made for them. */

import { describe, expect, test, vi } from 'vitest'
import { decoderFor, shapeKey } from '../../src/driver/postgres/rows/decoder.ts'
import type { Bytes } from '../../src/driver/postgres/rows/field-reader.ts'
import { shapeOf } from '../../src/driver/row-tree.ts'
import { TypeBook } from '../../src/postgres/types/book.ts'
import type { Field, RowSpec, Shape } from '../../src/sql/compiled.ts'

const types = [20, 23, 25, 25, 16, 1184]
const fields: Field[] = types.map((type, at) => ({ name: `c${at}`, type, table: 0, column: 0, typmod: -1 }))
const shape: Shape = { params: [], fields, rows: true, key: shapeKey(fields), path: 0, at: 0 }
/** More than enough for code to be made. */
const many = 520

/** A number, then two kinds of two columns, and one of one. */
function spec(): RowSpec {
  const columns = types.map((_, at) => ({ path: [], mode: at === 0 ? ('number' as const) : ('default' as const) }))
  return { into: 'array', make: null, columns, kinds: [2, 2, 1] }
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

test('rows of values, as a driver of tests has them, become the same', () => {
  const made = shapeOf([], spec())
  expect(made([3, 1, 'a', null, null, null], [])).toEqual([1, 'a', 3])
  expect(made([7, null, null, 'b', true, null], [])).toEqual(['b', true, 7])
  expect(made([2, null, null, null, null, 'c'], [])).toEqual(['c', 2])
})

describe.each([true, false])('with code for rows: %s', (allowed) => {
  test('a row has the columns of its kind and its number; one that has others is a misfit', async () => {
    if (!allowed) {
      vi.resetModules()
      vi.stubGlobal('Function', () => {
        throw new EvalError('not allowed')
      })
    }
    const { decoderFor: make } = allowed ? { decoderFor } : await import('../../src/driver/postgres/rows/decoder.ts')
    const decoder = make(shape, spec(), new TypeBook(), false)
    for (let n = 0; n < many; n++)
      for (const [values, expected] of given) {
        const rows: unknown[] = []
        const bytes = rowOf(values)
        decoder.push(bytes, 0, bytes.length, rows)
        expect(rows).toEqual([expected])
      }
    for (const values of wrong) {
      const bytes = rowOf(values)
      expect(() => decoder.push(bytes, 0, bytes.length, []), JSON.stringify(values)).toThrow(/does not fit/)
    }
    vi.unstubAllGlobals()
  })
})
