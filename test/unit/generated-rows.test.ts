/** Code that is made for the columns of many rows: the same rows as without, and the same refusals. */

import { fc } from '../support/fast-check.ts'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { decoderFor, shapeKey } from '../../src/driver/postgres/rows/decoder.ts'
import { generateRows } from '../../src/driver/postgres/rows/generated.ts'
import { text } from '../../src/driver/postgres/rows/field-reader.ts'
import type { Bytes } from '../../src/driver/postgres/rows/row-decoder.ts'
import { TypeBook } from '../../src/postgres/types/book.ts'
import type { Field, RowSpec, Shape } from '../../src/sql/compiled.ts'

const book = new TypeBook()
/** More than enough for code to be made. */
const many = 520
const types = { int4: 23, bool: 16, text: 25, int8: 20, float8: 701, timestamptz: 1184, intArray: 1007, bytea: 17 }

function shapeOf(columns: readonly (readonly [name: string, type: number])[], path: number): Shape {
  const fields: Field[] = columns.map(([name, type]) => ({ name, type, table: 0, column: 0, typmod: -1 }))
  return { params: [], fields, rows: true, key: `${path} ${shapeKey(fields)}`, path, at: 0 }
}

function rowOf(values: readonly (Buffer | null)[]): Bytes {
  const parts = values.flatMap((value) => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(value === null ? -1 : value.length)
    return value === null ? [length] : [length, value]
  })
  return Buffer.concat(parts) as Bytes
}

/** What reading it gives, or what it throws. */
function read(decoder: ReturnType<typeof decoderFor>, row: Bytes, end: number): unknown {
  const rows: unknown[] = []
  try {
    decoder.push(row, 0, end, rows)
    return rows
  } catch (error) {
    return [String(error), rows.length]
  }
}

const name = fc.oneof(
  fc.constantFrom('id', 'a"b', 'c\\', '\u2028', '1', 'id', '__proto__', 'constructor', '${x}', '`', '\n'),
  fc.string({ maxLength: 5 }),
)
/** The largest exact number and the first beyond, the last moment of a Date and what is beyond, without end, and a little. */
const eights = [
  2n ** 53n - 1n,
  2n ** 53n,
  1n - 2n ** 53n,
  -(2n ** 53n),
  8_589_934_592_000_000_000n,
  8_639_053_315_200_000_000n,
  -8_640_946_684_800_000_001n,
  2n ** 63n - 1n,
  -(2n ** 63n),
  -1n,
].map((value) => {
  const eight = Buffer.alloc(8)
  eight.writeBigInt64BE(value)
  return eight
})
const bytes = fc.option(
  fc.oneof(
    fc.uint8Array({ maxLength: 24 }),
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 8, maxLength: 8 }),
    fc.constantFrom(...eights),
    fc.constantFrom(Buffer.from([1]), Buffer.from('Grün'), Buffer.from('short'), Buffer.alloc(12)),
  ),
  { freq: 5 },
)
let shapes = 0

class Made {
  #given: unknown = null

  get 'a"b'(): unknown {
    return this.#given
  }

  set 'a"b'(value: unknown) {
    this.#given = `set to ${String(value)}`
  }

  whole(): unknown {
    return Object.assign({}, this, { given: this.#given })
  }
}

const make = (): object => new Made()

/** What rows are read as, of columns with those names. */
const specs: Readonly<Record<string, (names: readonly string[]) => RowSpec | null>> = {
  plain: () => null,
  arrays: () => ({ into: 'array', make: null, columns: null }),
  made: (names) => ({ into: 'object', make, columns: names.map((each) => ({ path: [each], mode: 'default' })) }),
  folded: (names) => ({
    into: 'object',
    make,
    columns: names.map((each) => ({ path: [each], mode: 'default' })),
    fold: (rows, row) => rows.push((row as Made).whole(), 'folded'),
  }),
}

describe('generated code', () => {
  afterEach(() => void vi.unstubAllGlobals())

  test('gives what the interpreted decoder gives, and throws where that throws', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, fc.constantFrom(...Object.values(types)), bytes), { minLength: 1, maxLength: 8 }),
        fc.nat({ max: 60 }),
        fc.constantFrom(...Object.values(specs)),
        (columns, cut, specOf) => {
          const shape = shapeOf(
            columns.map(([column, type]) => [column, type] as const),
            ++shapes,
          )
          const spec = specOf(columns.map(([column]) => column))
          const row = rowOf(columns.map(([, , value]) => (value === null ? null : Buffer.from(value))))
          const zero = rowOf(columns.map(() => null))
          const decoder = decoderFor(shape, spec, book, true)
          const ends = [row.length, Math.max(0, row.length - cut)]

          const before = ends.map((end) => read(decoder, row, end))
          for (let n = 0; n < many; n++) read(decoder, zero, zero.length)

          expect(ends.map((end) => read(decoder, row, end))).toEqual(before)
        },
      ),
      { numRuns: 150 },
    )
  })

  test('is made, unless a policy of the process forbids code from text', async () => {
    expect(generateRows(['a'], [text])).toBeTypeOf('function')

    vi.resetModules()
    vi.stubGlobal('Function', () => {
      throw new EvalError('Code generation from strings disallowed for this context')
    })
    const fresh = await import('../../src/driver/postgres/rows/generated.ts')

    expect(fresh.generateRows(['a'], [text])).toBeNull()
  })
})
