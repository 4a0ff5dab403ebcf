// JSON in results. `JSON.parse` rounds integers that a number cannot hold; here they are what `int8` says of 8-byte integers. Used by
// the type table. Texts without a long run of digits, which is nearly all, go to `JSON.parse` as they are.
import { randomUUID } from 'node:crypto'
import { UnsafeIntegerError } from '../../../errors/index.ts'
import type { Int8, Reader } from './type-table.ts'

/** Shorter ones are exact. */
const manyDigits = /\d{16}/
const numbers = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

type Convert = (digits: string) => unknown

/** Nobody who writes JSON can know it. */
const mark = `${randomUUID()}:`

const unsafe =
  'An integer inside of JSON in the answer is larger than a number can hold exactly. Set the option int8 to ' +
  "'bigint' or 'string', or read the member as text (->>)."

const readers: Readonly<Record<Int8, Reader>> = {
  number: reader(() => {
    throw new UnsafeIntegerError(unsafe)
  }, isKept),
  bigint: reader(BigInt, (digits) => Number.isSafeInteger(Number(digits))),
  string: reader(String, (digits) => Number.isSafeInteger(Number(digits))),
}

export function jsonReader(int8: Int8): Reader {
  return readers[int8]
}

function reader(convert: Convert, isExact: (digits: string) => boolean): Reader {
  return (text) => (manyDigits.test(text) ? read(text, convert, isExact) : (JSON.parse(text) as unknown))
}

/** Puts texts with a mark of their own in place of large integers, and lets `JSON.parse` give back what they stand for. */
function read(text: string, convert: Convert, isExact: (digits: string) => boolean): unknown {
  let found = false
  const mend = (piece: string): string =>
    piece.replace(numbers, (number) => {
      if (!/^-?\d{16,}$/.test(number) || isExact(number)) return number
      found = true
      return `"${mark}${number}"`
    })
  let out = ''
  let at = 0
  for (let open = text.indexOf('"'); open >= 0; open = text.indexOf('"', at)) {
    const close = closing(text, open + 1)
    out += mend(text.slice(at, open)) + text.slice(open, close)
    at = close
  }
  out += mend(text.slice(at))
  if (!found) return JSON.parse(text) as unknown
  return JSON.parse(out, (_, value: unknown) =>
    typeof value === 'string' && value.startsWith(mark) ? convert(value.slice(mark.length)) : value,
  ) as unknown
}

/** Behind the quote that ends a text. */
function closing(text: string, from: number): number {
  for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0
    while (text.charCodeAt(at - 1 - slashes) === 92) slashes++
    if (slashes % 2 === 0) return at + 1
  }
  return text.length
}

/** A number shows the same digits: nothing is lost, as of what was once a number. */
function isKept(digits: string): boolean {
  const [mantissa = '', exponent] = String(Number(digits)).split('e+')
  if (exponent === undefined) return mantissa === digits
  const sign = mantissa.startsWith('-') ? '-' : ''
  return sign + mantissa.replace(/[-.]/g, '').padEnd(Number(exponent) + 1, '0') === digits
}
