// The table of conversions from PostgreSQL's text format to JavaScript: one reader for each type and mode. The row
// decoder picks readers once per shape; node-postgres' own parsers are never used. Types that are not listed stay text.
import { UnsafeIntegerError } from '../errors/index.ts'
import type { ColumnSpec } from '../sql/compiled.ts'
import { atLocal, type ElementReader, readArray, readBytea, readTimestamp } from './text-forms.ts'
import { elementOf } from './types/built-in.ts'
import { unreadable, unreadableTime } from './types/pieces.ts'

/** What an 8-byte integer becomes; `number` refuses what a number cannot hold. */
export type Int8 = 'number' | 'bigint' | 'string'

/** How types are read that have a choice. */
export interface Reading {
  readonly int8: Int8
  /** A `timestamp` of SQL text has the time of this machine's zone; else that of UTC. */
  readonly local: boolean
}

export type Mode = ColumnSpec['mode']
export type Reader = ElementReader

/** Types that a parameter or a reader has to tell apart. */
export const Oid = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int2: 21,
  int4: 23,
  oid: 26,
  json: 114,
  float4: 700,
  float8: 701,
  date: 1082,
  timestamp: 1114,
  timestamptz: 1184,
  jsonb: 3802,
} as const

const box = 603

export function isJson(type: number): boolean {
  return type === Oid.json || type === Oid.jsonb
}

/** The reader for a column, or null when its text is the value. */
export function readerFor(type: number, mode: Mode, as: Reading): Reader | null {
  if (mode === 'raw-text') return null
  const element = elementOf(type)
  if (element === 0 || mode === 'json' || mode === 'buffer') return scalarReader(type, mode, as)
  const read = scalarReader(element, mode, as) ?? asText
  const delimiter = element === box ? ';' : ','
  return (text) => readArray(text, read, delimiter) ?? unreadable('array')
}

function scalarReader(type: number, mode: Mode, as: Reading): Reader | null {
  switch (mode) {
    case 'number':
      return type === Oid.int8 ? safeInteger : Number
    case 'bigint':
      return BigInt
    // Builders write their dates in UTC, whatever the engine makes of those of SQL text.
    case 'date':
      return timestamp
    case 'json':
      return jsonReader(as.int8)
    case 'buffer':
      return type === Oid.bytea ? readBytea : (text) => Buffer.from(text)
    case 'default':
      return defaultReader(type, as)
    case 'string':
    case 'raw-text':
      break
  }
  return null
}

function defaultReader(type: number, { int8, local }: Reading): Reader | null {
  switch (type) {
    case Oid.int2:
    case Oid.int4:
    case Oid.oid:
    case Oid.float4:
    case Oid.float8:
      return Number
    case Oid.int8:
      return int8 === 'number' ? safeInteger : int8 === 'bigint' ? BigInt : null
    case Oid.bool:
      return isTrue
    case Oid.bytea:
      return readBytea
    case Oid.json:
    case Oid.jsonb:
      return jsonReader(int8)
    case Oid.timestamp:
      return local ? localTimestamp : timestamp
    case Oid.timestamptz:
      return timestamp
    default:
      return null
  }
}

const asText: Reader = (text) => text

export const isTrue: Reader = (text) => text === 't'

const unsafe =
  "An 8-byte integer in the answer is larger than a number can hold exactly. Set the option int8 to 'bigint' or 'string'."

export function safeInteger(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new UnsafeIntegerError(unsafe)
  return value
}

export const timestamp: Reader = (text) => readTimestamp(text) ?? unreadableTime('timestamp')

/** A `timestamp` in the zone of this machine. */
export const localTimestamp: Reader = (text) => atLocal(timestamp(text) as Date | number) ?? unreadableTime('timestamp')

// JSON in results. `JSON.parse` rounds integers that a number cannot hold; here they are what `int8` says of 8-byte integers. Used by
// the type table. Texts without a long run of digits, which is nearly all, go to `JSON.parse` as they are.

/** Shorter ones are exact. */
const manyDigits = /\d{16}/
const numbers = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

type Convert = (digits: string) => unknown

/** Nobody who writes JSON can know it. Made when it is needed, which is seldom: `node:crypto` takes long to load. */
let mark = ''

const unsafeMember =
  'An integer inside of JSON in the answer is larger than a number can hold exactly. Set the option int8 to ' +
  "'bigint' or 'string', or read the member as text (->>)."

const readers: Readonly<Record<Int8, Reader>> = {
  number: reader(() => {
    throw new UnsafeIntegerError(unsafeMember)
  }, isKept),
  bigint: reader(BigInt, (digits) => Number.isSafeInteger(Number(digits))),
  string: reader(String, (digits) => Number.isSafeInteger(Number(digits))),
}

export function jsonReader(int8: Int8): Reader {
  return readers[int8]
}

function reader(convert: Convert, isExact: (digits: string) => boolean): Reader {
  return (text) => (manyDigits.test(text) ? readJson(text, convert, isExact) : (JSON.parse(text) as unknown))
}

/** Puts texts with a mark of their own in place of large integers, and lets `JSON.parse` give back what they stand for. */
function readJson(text: string, convert: Convert, isExact: (digits: string) => boolean): unknown {
  let found = false
  if (mark === '') mark = `${process.getBuiltinModule('node:crypto').randomUUID()}:`
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
