/** pgvector's types in binary, apart from a server. */

import { expect, test } from 'vitest'
import { shortest } from '../../src/postgres/float4.ts'
import { halfvecForm, sparsevecForm, vectorForm } from '../../src/postgres/types/vectors.ts'

test('a number of two bytes is the nearest one, the even one of two', () => {
  const given = [0.1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -25, 3 * 2 ** -25, 2 ** -24, 1 - 2 ** -12, 65_519, -1e-9]
  const become = [0.099975586, 1, 1 + 2 ** -9, 0, 2 ** -23, 2 ** -24, 1, 65_504, -0]
  const bytes = halfvecForm.write(given) ?? new Uint8Array()

  expect(halfvecForm.read(bytes, 0, bytes.length)).toEqual(become.map(shortest))
})

test('every number of two bytes is written as it is read', () => {
  const bytes = new Uint8Array(6).fill(0)
  bytes[1] = 1
  let differing = 0
  for (let bits = 0; bits < 0x1_00_00; bits++) {
    bytes[4] = bits >>> 8
    bytes[5] = bits
    const read = halfvecForm.read(bytes, 0, 6) as number[]
    const written = halfvecForm.write(read)
    // What is no number, or is not finite, is for the server to refuse.
    const isFinite = (bits & 0x7c_00) !== 0x7c_00
    if (isFinite ? Buffer.compare(written ?? new Uint8Array(), bytes) !== 0 : written !== null) differing++
  }
  expect(differing).toBe(0)
})

test.for([
  ['nothing', vectorForm, []],
  ['what is no number', vectorForm, [NaN]],
  ['too large a number', vectorForm, [1e39]],
  ['what becomes 0', vectorForm, [1e-50]],
  ['the middle of two', vectorForm, [1 + 2 ** -24]],
  ['another thing', vectorForm, [1, '2']],
  ['too many numbers', vectorForm, Array.from({ length: 40_000 }, () => 1)],
  ['no list', vectorForm, { length: 1, 0: 1 }],
  ['too large a number of two bytes', halfvecForm, [65_520]],
  ['an index beyond the dimensions', sparsevecForm, { dimensions: 3, values: { 4: 1 } }],
  ['an index that is none', sparsevecForm, { dimensions: 3, values: { 1.5: 1 } }],
  ['no dimensions', sparsevecForm, { dimensions: 0, values: {} }],
  ['no values', sparsevecForm, { dimensions: 3 }],
] as const)('%s is left to the text', ([, form, value]) => {
  expect(form.write(value)).toBeNull()
})

test('a zero of a sparse vector is not sent', () => {
  const bytes = sparsevecForm.write({ dimensions: 4, values: { 4: 1, 2: 0, 3: -0 } }) ?? new Uint8Array()

  expect(sparsevecForm.read(bytes, 0, bytes.length)).toEqual({ dimensions: 4, values: { 4: 1 } })
})

test.for([
  ['vector', vectorForm, [0, 1, 0, 0, 63, 0, 0]],
  ['vector', vectorForm, [0, 1]],
  ['vector', vectorForm, [0, 1, 0, 1, 63, 0, 0, 0]],
  ['halfvec', halfvecForm, [0, 2, 0, 0, 60, 0]],
  ['sparsevec', sparsevecForm, [0, 0, 0, 3, 255, 255, 255, 255, 0, 0, 0, 0]],
  ['sparsevec', sparsevecForm, [0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0]],
] as const)('bytes that are no %s are refused', ([name, form, bytes]) => {
  expect(() => form.read(Uint8Array.from(bytes), 0, bytes.length)).toThrow(`no ${name}`)
})
