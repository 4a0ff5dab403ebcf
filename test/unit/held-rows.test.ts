/** Rows that are kept as bytes until somebody reads them. */

import { expect, test } from 'vitest'
import { misfit } from '../../src/driver/postgres/rows/field-reader.ts'
import { KeptBytes } from '../../src/driver/postgres/rows/held-rows.ts'
import type { RowDecoder } from '../../src/driver/postgres/rows/row-decoder.ts'

/** DataRows of one field each, one behind the other. */
function rows(...texts: readonly string[]): Buffer {
  return Buffer.concat(
    texts.map((text) => {
      const row = Buffer.alloc(11 + Buffer.byteLength(text))
      row.write('D')
      row.writeInt32BE(row.length - 1, 1)
      row.writeInt16BE(1, 5)
      row.writeInt32BE(row.length - 11, 7)
      row.write(text, 11)
      return row
    }),
  )
}

/** Throws for the texts `bad` and `misfit`. */
const decoder: RowDecoder = {
  formats: undefined,
  width: 1,
  push(bytes, at, end, into) {
    const text = bytes.toString('utf8', at + 4, end)
    if (text === 'misfit') throw misfit()
    if (text === 'bad') throw new TypeError('mine')
    into.push(text)
  },
}

function kept(...parts: readonly (readonly string[])[]): { held: KeptBytes; told: unknown[] } {
  const told: unknown[] = []
  const held = new KeptBytes(decoder, (cause) => told.push(cause))
  for (const part of parts) {
    const bytes = Buffer.concat([Buffer.from('front'), rows(...part)])
    held.keep(bytes, 5, bytes.length, part.length)
    // What they came in is written over.
    bytes.fill(0)
  }
  return { held, told }
}

function read(held: KeptBytes, most = Infinity, bytes = Infinity): unknown[] {
  const into: unknown[] = []
  expect(held.read(into, most, bytes)).toBe(null)
  return into
}

test('they are given in their order, as many as are asked for, across all that was kept', () => {
  const texts = Array.from({ length: 5_000 }, (_, at) => `${at} `.repeat((at * 7) % 97))
  const parts = [texts.slice(0, 10), texts.slice(10, 3_000), [], texts.slice(3_000)]
  const { held } = kept(...parts)
  expect(held.length).toBe(5_000)
  const seen: unknown[] = []
  for (let size = 1; held.length > 0; size = (size * 3) % 1_001) seen.push(...read(held, size))
  expect(seen).toEqual(texts)
  expect(read(held)).toEqual([])
})

test('one that is larger than the memory for many is kept too, between others', () => {
  const large = 'x'.repeat(1 << 18)
  const { held } = kept(['a', large, 'b'], [large], ['c'])
  expect(read(held)).toEqual(['a', large, 'b', large, 'c'])
})

test('none is read behind so many bytes, and one at least', () => {
  const { held } = kept(['one', 'two', 'three'])
  expect(read(held, Infinity, 15)).toEqual(['one', 'two'])
  expect(read(held, Infinity, 1)).toEqual(['three'])
})

test('reading and keeping take turns', () => {
  const { held } = kept(['a'])
  const seen: unknown[] = []
  const bytes = rows('b', 'c')
  for (let n = 0; n < 5_000; n++) {
    held.keep(bytes, 0, bytes.length, 2)
    seen.push(...read(held, n % 2 === 0 ? 1 : 3))
  }
  expect(held.length).toBe(1)
  expect(seen.join('')).toBe(`a${'bc'.repeat(5_000)}`.slice(0, -1))
})

test('one that cannot be read is a failure behind those before it; one that does not fit is that of its connection', () => {
  for (const [text, kind, told] of [
    ['bad', 'decode', 0],
    ['misfit', 'protocol', 1],
  ] as const) {
    const { held, told: causes } = kept(['a', text, 'b'])
    const into: unknown[] = []
    expect(held.read(into, 3, Infinity)).toMatchObject({ kind, outcome: 'rolled_back' })
    expect([into, causes.length]).toEqual([['a'], told])
  }
})

test('nothing is there once it is cleared, and nothing comes once it has ended', () => {
  const { held } = kept(['a', 'b'])
  held.clear()
  expect([held.length, read(held)]).toEqual([0, []])
  const bytes = rows('c')
  held.keep(bytes, 0, bytes.length, 1)
  expect(read(held)).toEqual(['c'])
  held.keep(bytes, 0, bytes.length, 1)
  held.end()
  held.keep(bytes, 0, bytes.length, 1)
  expect([held.length, read(held)]).toEqual([0, []])
})

test('thousands that have one row each take little memory', () => {
  const before = process.memoryUsage().arrayBuffers
  const all = Array.from({ length: 2_000 }, () => kept(['one row']).held)

  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000)
  expect(all.flatMap((held) => read(held))).toEqual(all.map(() => 'one row'))
})
