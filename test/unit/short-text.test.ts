/** Texts of columns from their bytes: short ones of ASCII are put together apart from all others. */

import { fc } from '../support/fast-check.ts'
import { expect, test } from 'vitest'
import { text } from '../../src/driver/postgres/rows/field-reader.ts'
import type { Bytes } from '../../src/driver/postgres/rows/row-decoder.ts'

test('a text is what its bytes are in UTF-8, whatever its length and what stands around it', () => {
  const character = fc.oneof(
    { arbitrary: fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 1 }), weight: 30 },
    fc.constantFrom('é', '日', '😀'),
  )
  const any = fc.array(character, { maxLength: 20 }).map((all) => all.join(''))
  fc.assert(
    fc.property(any, any, any, (before, value, after) => {
      const bytes = Buffer.from(before + value + after) as Bytes
      const start = Buffer.byteLength(before)
      expect(text(bytes, start, start + Buffer.byteLength(value))).toBe(value)
    }),
    { numRuns: 2_000 },
  )
})

test('each length of a short text has all its characters', () => {
  const letters = 'abcdefghijklmnopqrstuvwxyz'
  const bytes = Buffer.from(letters) as Bytes
  for (let length = 0; length <= letters.length; length++) expect(text(bytes, 0, length)).toBe(letters.slice(0, length))
})
