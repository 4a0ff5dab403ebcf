/** Fields are read from their bytes as their texts would be. */

import { fc } from '../support/fast-check.ts'
import { expect, test } from 'vitest'
import { fieldReader } from '../../src/driver/postgres/rows/field-reader.ts'
import type { Bytes } from '../../src/driver/postgres/rows/row-decoder.ts'
import { Oid, readerFor } from '../../src/postgres/type-table.ts'
import type { ColumnSpec } from '../../src/sql/compiled.ts'

const textType = 25
const utc = { int8: 'number', local: false } as const

/** The text, with other bytes on both sides. */
function field(text: string): [Bytes, number, number] {
  const bytes = Buffer.from(`4${text}7`) as Bytes
  return [bytes, 1, bytes.length - 1]
}

const numbers = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  fc.integer().map(String),
  fc.double().map(String),
  fc.constantFrom(
    '0',
    '-0',
    '007',
    'NaN',
    'Infinity',
    '-Infinity',
    '-',
    '',
    '1e3',
    '999999999999999',
    '9999999999999999',
  ),
)

test.each([
  ['int4', Oid.int4, 'default'],
  ['float8', Oid.float8, 'default'],
  ['int8', Oid.int8, 'default'],
  ['numeric as number', 1700, 'number'],
] as const)('a number of type %s', (_, type, mode) => {
  const column: ColumnSpec = { path: [], mode }
  const read = fieldReader(type, column, utc)
  const expected = readerFor(type, mode, utc)!
  const attempt = (work: () => unknown): unknown => {
    try {
      return work()
    } catch (error) {
      return (error as Error).message
    }
  }

  fc.assert(
    fc.property(numbers, (text) => {
      expect(attempt(() => read(...field(text)))).toBe(attempt(() => expected(text)))
    }),
    { numRuns: 1000 },
  )
})

test('texts that come again, and those that only have the same length or the same bytes to begin with', () => {
  const texts = fc.array(
    fc.oneof(
      fc.constantFrom(
        '',
        'a',
        'ab',
        'abc',
        'é',
        'Ã©',
        'ab\u00e9',
        'abcd',
        '€',
        'x'.repeat(64),
        'x'.repeat(65),
        `${'x'.repeat(63)}y`,
      ),
      fc.string({ unit: 'grapheme', maxLength: 4 }),
    ),
  )

  fc.assert(
    fc.property(texts, fc.boolean(), (list, repeats) => {
      const read = fieldReader(textType, { path: [], mode: 'default', repeats }, utc)

      expect(list.map((text) => read(...field(text)))).toEqual(list)
    }),
    { numRuns: 1000 },
  )
})

test('what a map makes of it', () => {
  const read = fieldReader(
    textType,
    { path: [], mode: 'default', repeats: true, map: (text) => `<${text as string}>` },
    utc,
  )

  expect([read(...field('a')), read(...field('a'))]).toEqual(['<a>', '<a>'])
})

test('bytes in hexadecimal digits, however many there are', () => {
  const read = fieldReader(Oid.bytea, undefined, utc)
  const longest = 1 << 21

  for (const length of [0, 1, 3, 1 << 19, (1 << 19) + 1, 3 << 20]) {
    const value = Buffer.from(Array.from({ length }, (_, at) => at % 251))
    const [bytes, start, end] = field(`\\x${value.toString('hex')}`)
    // As the engine of JavaScript, which makes no text of more than half a gigabyte.
    for (const name of ['utf8Slice', 'latin1Slice'] as const) {
      const slice = bytes[name].bind(bytes)
      bytes[name] = (from, to) => {
        if (to - from > longest) throw new Error('Cannot create a string')
        return slice(from, to)
      }
    }

    expect(value.equals(read(bytes, start, end) as Buffer)).toBe(true)
  }
  expect(read(...field(String.raw`a\000\\b`))).toEqual(Buffer.from('a\0\\b'))
})

test.each(['\\x0', '\\x0g', '\\xabc'])('bytes that are no hexadecimal digits are refused: %s', (text) => {
  expect(() => fieldReader(Oid.bytea, undefined, utc)(...field(text))).toThrow('no bytea')
})
