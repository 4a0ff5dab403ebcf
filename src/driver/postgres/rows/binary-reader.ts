// Reads fields of lists from bytes: the binary form of common types, and text where a cast writes it in another form than the type
// itself. Each value equals that of a column that comes as text.
import { ProtocolError } from '../../../errors/index.ts'
import type { Field } from '../../../sql/compiled.ts'
import {
  isTrue,
  localTimestamp,
  type Mode,
  Oid,
  type Reader,
  readerFor,
  type Reading,
  safeInteger,
  timestamp,
} from '../../../postgres/type-table.ts'
import { atLocal, readBytea } from '../../../postgres/text-forms.ts'
import { unreadableTime } from '../../../postgres/types/pieces.ts'
import { fieldReaderOf, int32 } from './field-reader.ts'
import type { Bytes, FieldReader } from './row-decoder.ts'

const char = 1042
const inet = 869
const numeric = 1700
const uuid = 2950
/** Their binary form is their text: text, varchar, char(n), name, json, xml, "char", unknown. */
const texts: ReadonlySet<number> = new Set([25, 1043, char, 19, Oid.json, 142, 18, 705])

/** @throws {ProtocolError} for a type that is not read in binary. */
export function binaryReader({ type, name }: Field, mode: Mode, as: Reading): FieldReader {
  const reader = readerFor(type, mode, as)
  if (texts.has(type)) return fieldReaderOf(reader)
  switch (type) {
    case Oid.int2:
      return whole(reader, (bytes, start) => bytes.readInt16BE(start))
    case Oid.int4:
      return whole(reader, int32)
    case Oid.oid:
      return whole(reader, (bytes, start) => int32(bytes, start) >>> 0)
    case Oid.int8:
      return eightBytes(reader)
    case Oid.float8:
      return whole(reader, (bytes, start) => bytes.readDoubleBE(start))
    case Oid.bool:
      if (reader === isTrue) return (bytes, start) => bytes[start] === 1
      return through(reader, boolText)
    case Oid.bytea:
      if (reader === readBytea) return byteaCopy
      return through(reader, byteaText)
    case Oid.timestamp:
    case Oid.timestamptz:
      if (reader === timestamp) return microseconds
      if (reader === localTimestamp) return localMicroseconds
      break
    case Oid.date:
      if (reader === timestamp) return days
      break
    case numeric:
      return through(reader, numericText)
  }
  throw new ProtocolError(
    `The column '${name}' of a list has another type in the database (number ${type} in pg_type) than its table declares. Correct the declaration.`,
  )
}

/** Of `column::text`, which for two types leaves something away or adds it. */
export function castReader({ type, typmod }: Field, mode: Mode, as: Reading): FieldReader {
  const reader = readerFor(type, mode, as)
  if (type === char && typmod > 4) return through(reader, (...at) => padded(textAt(...at), typmod - 4))
  if (type === inet) return through(reader, (...at) => withoutMask(textAt(...at)))
  return fieldReaderOf(reader)
}

export type Bytewise<T> = (bytes: Bytes, start: number, end: number) => T

/** The function that makes the text of a value from its binary form. Null: there is none. */
export function textForm(type: number): Bytewise<string> | null {
  return texts.has(type) ? textAt : (textForms.get(type) ?? null)
}

const textAt: Bytewise<string> = (bytes, start, end) => bytes.utf8Slice(start, end)

/** To that many characters, which may be two units each. */
function padded(text: string, count: number): string {
  return text.padEnd(count + text.length - Array.from(text).length)
}

/** The mask of a single host is written by the cast only. */
function withoutMask(text: string): string {
  const mask = text.includes(':') ? '/128' : '/32'
  return text.endsWith(mask) ? text.slice(0, -mask.length) : text
}

export function through(reader: Reader | null, text: Bytewise<string>): FieldReader {
  return reader === null ? text : (bytes, start, end) => reader(text(bytes, start, end))
}

function whole(reader: Reader | null, read: Bytewise<number>): FieldReader {
  return reader === Number ? read : through(reader, (...at) => String(read(...at)))
}

const boolText: Bytewise<string> = (bytes, start) => (bytes[start] === 1 ? 't' : 'f')

const byteaText: Bytewise<string> = (bytes, start, end) => `\\x${bytes.toString('hex', start, end)}`

const uuidText: Bytewise<string> = (bytes, start, end) =>
  bytes.toString('hex', start, end).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')

/** The bytes on the wire are written over. */
export const byteaCopy: FieldReader = (bytes, start, end) => Buffer.from(bytes.subarray(start, end))

export function eightBytes(reader: Reader | null): FieldReader {
  if (reader === BigInt) return (bytes, start) => bytes.readBigInt64BE(start)
  const text = through(reader, (bytes, start) => String(bytes.readBigInt64BE(start)))
  if (reader !== Number && reader !== safeInteger) return text
  return (bytes, start, end) => {
    const value = int32(bytes, start) * 0x1_0000_0000 + (int32(bytes, start + 4) >>> 0)
    return Number.isSafeInteger(value) ? value : text(bytes, start, end)
  }
}

/** Of 2000-01-01, in milliseconds. */
export const epoch = 946_684_800_000

export const microseconds: FieldReader = (bytes, start) => {
  const high = int32(bytes, start)
  const low = int32(bytes, start + 4) >>> 0
  if (high === 0x7f_ff_ff_ff && low === 0xff_ff_ff_ff) return Infinity
  if (high === -0x80_00_00_00 && low === 0) return -Infinity
  // 2^32 is not a multiple of 1000: what is left over of the high part is added to the low one, so that nothing is rounded.
  const over = high * 296 + low
  return dateOf(high * 4_294_967 + epoch + Math.floor(over / 1000))
}

export const localMicroseconds: FieldReader = (bytes, start, end) =>
  atLocal(microseconds(bytes, start, end) as Date | number) ?? unreadableTime('timestamp')

export const days: FieldReader = (bytes, start) => {
  const value = int32(bytes, start)
  if (value === 0x7f_ff_ff_ff) return Infinity
  return value === -0x80_00_00_00 ? -Infinity : dateOf(value * 86_400_000 + epoch)
}

/** What JavaScript has: 100 million days before and after 1970. */
const longestMs = 8.64e15

function dateOf(ms: number): Date {
  if (ms < -longestMs || ms > longestMs) unreadableTime('timestamp')
  return new Date(ms)
}

/** Groups of four digits, and how many places are shown. */
function numericText(bytes: Bytes, start: number): string {
  const groups = bytes.readInt16BE(start)
  const weight = bytes.readInt16BE(start + 2)
  const sign = bytes.readUInt16BE(start + 4)
  const places = bytes.readInt16BE(start + 6)
  if (sign === 0xc000) return 'NaN'
  if (sign === 0xd000) return 'Infinity'
  if (sign === 0xf000) return '-Infinity'
  const group = (at: number): string =>
    String(at >= 0 && at < groups ? bytes.readInt16BE(start + 8 + at * 2) : 0).padStart(4, '0')
  let digits = ''
  for (let at = 0; at <= weight; at++) digits += group(at)
  let fraction = ''
  for (let at = weight + 1; fraction.length < places; at++) fraction += group(at)
  const amount = digits.replace(/^0+(?=\d)/, '') || '0'
  return `${sign === 0x4000 ? '-' : ''}${amount}${places > 0 ? `.${fraction.slice(0, places)}` : ''}`
}

const textForms: ReadonlyMap<number, Bytewise<string>> = new Map<number, Bytewise<string>>([
  [Oid.bool, boolText],
  [Oid.bytea, byteaText],
  [Oid.int2, (bytes, start) => String(bytes.readInt16BE(start))],
  [Oid.int4, (bytes, start) => String(int32(bytes, start))],
  [Oid.oid, (bytes, start) => String(int32(bytes, start) >>> 0)],
  [Oid.int8, (bytes, start) => String(bytes.readBigInt64BE(start))],
  // Behind the number of its version.
  [Oid.jsonb, (bytes, start, end) => bytes.utf8Slice(start + 1, end)],
  [numeric, numericText],
  [uuid, uuidText],
])
