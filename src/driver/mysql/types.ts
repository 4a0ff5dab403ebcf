// The table of conversions from MySQL's values to JavaScript, of both protocols: one reader for each column, picked once per shape.
// mysql2's conversions are never used.
import { UnsafeIntegerError } from '../../errors/index.ts'
import { readTime } from '../../mysql/time-text.ts'
import type { ColumnSpec, TypedText } from '../../sql/compiled.ts'
import { jsonReader } from '../../postgres/type-table.ts'
import type { Column, Cursor } from './packets.ts'

export type Int8 = 'number' | 'bigint' | 'string'

export interface Conversions {
  readonly int8: Int8
  /** What TINYINT(1) becomes. */
  readonly tinyint1: 'number' | 'boolean'
}

export const Type = {
  decimal: 0,
  tiny: 1,
  short: 2,
  long: 3,
  float: 4,
  double: 5,
  null: 6,
  timestamp: 7,
  longLong: 8,
  int24: 9,
  date: 10,
  time: 11,
  dateTime: 12,
  year: 13,
  bit: 16,
  /** Of MySQL 9. */
  vector: 242,
  json: 245,
  newDecimal: 246,
  varString: 253,
  blob: 252,
  geometry: 255,
} as const

const unsignedFlag = 0x20
const enumFlag = 0x100
const setFlag = 0x800
const bytesCharset = 63

/** Reads one value that is not NULL from the cursor. */
export type Read = (cursor: Cursor) => unknown

/** The reader of a column in binary rows, or in rows of text. */
export function readerOf(column: Column, spec: ColumnSpec | undefined, as: Conversions, binary: boolean): Read {
  if (spec?.typed === true) return typedReader(column, binary)
  const read = byMode(column, spec?.mode ?? 'default', as, binary)
  const map = spec?.map
  return map === undefined ? read : (cursor) => map(read(cursor))
}

function byMode(column: Column, mode: ColumnSpec['mode'], as: Conversions, binary: boolean): Read {
  if (mode === 'default') return plainReader(column, as, binary)
  const text = textReader(column, binary)
  switch (mode) {
    case 'string':
    case 'raw-text':
      return text
    case 'number':
      return (cursor) => (column.type === Type.longLong ? safe(text(cursor)) : Number(text(cursor)))
    case 'bigint':
      return (cursor) => BigInt(text(cursor))
    case 'date':
      return timeReader(column, binary)
    case 'json': {
      const parse = jsonReader(as.int8)
      return (cursor) => parse(text(cursor))
    }
    case 'buffer':
      return isBytes(column) ? bytes : (cursor) => Buffer.from(text(cursor))
  }
}

/** A value that goes back to the server in JSON, to be read as the type. */
function typedReader(column: Column, binary: boolean): (cursor: Cursor) => TypedText {
  const type = sqlType(column)
  if (column.type === Type.bit)
    return (cursor) => ({ type, text: BigInt(`0x${cursor.bytes().toString('hex')}`).toString() })
  if (isBytes(column)) return (cursor) => ({ type, text: cursor.bytes().toString('hex') })
  const text = textReader(column, binary)
  const { flags } = column
  const sortsAs =
    column.type === Type.json ? 'json' : (flags & enumFlag) !== 0 ? 'enum' : (flags & setFlag) !== 0 ? 'set' : undefined
  if (sortsAs !== undefined) return (cursor) => ({ type, text: text(cursor), sortsAs })
  return (cursor) => ({ type, text: text(cursor) })
}

/** A type that holds each value of the column, and compares as it does. */
function sqlType(column: Column): string {
  const { type, flags, length, decimals } = column
  switch (type) {
    case Type.tiny:
    case Type.short:
    case Type.long:
    case Type.int24:
    case Type.longLong:
      return (flags & unsignedFlag) === 0 ? 'bigint' : 'bigint unsigned'
    case Type.bit:
      return 'bigint unsigned'
    case Type.decimal:
    case Type.newDecimal:
      return `decimal(65,${decimals})`
    case Type.float:
      return 'float'
    case Type.double:
      return 'double'
    case Type.year:
      return 'year'
    case Type.date:
      return 'date'
    case Type.time:
    case Type.timestamp:
    case Type.dateTime: {
      const name = type === Type.time ? 'time' : type === Type.timestamp ? 'timestamp' : 'datetime'
      return `${name}(${Math.min(decimals, 6)})`
    }
    default:
      // The length is of bytes: those of a text in UTF-8, which has three or four for each character.
      return isBytes(column) ? `varbinary(${Math.max(length, 1)})` : `varchar(${Math.ceil(Math.max(length, 1) / 3)})`
  }
}

const bytes: Read = (cursor) => cursor.bytes()
const utf8: Read = (cursor) => cursor.text()

function isBytes({ type, charset }: Column): boolean {
  if (type === Type.bit || type === Type.geometry || type === Type.vector) return true
  return charset === bytesCharset && type >= 249 && type <= 254
}

function plainReader(column: Column, as: Conversions, binary: boolean): Read {
  const { type, flags, length } = column
  const unsigned = (flags & unsignedFlag) !== 0
  if (column.json || type === Type.json) {
    const parse = jsonReader(as.int8)
    return (cursor) => parse(cursor.text())
  }
  switch (type) {
    case Type.tiny: {
      const number = binary ? tiny(unsigned) : textNumber
      return length === 1 && as.tinyint1 === 'boolean' ? (cursor) => number(cursor) !== 0 : number
    }
    case Type.short:
    case Type.year:
      return binary ? short(unsigned || type === Type.year) : textNumber
    case Type.long:
    case Type.int24:
      return binary ? long(unsigned) : textNumber
    case Type.longLong:
      return binary ? eight(unsigned, as.int8) : (cursor) => int8Of(cursor.latin1(), as.int8)
    case Type.float:
      return binary ? float : textNumber
    case Type.double:
      return binary ? double : textNumber
    case Type.timestamp:
    case Type.dateTime:
      return timeReader(column, binary)
    case Type.bit:
    case Type.geometry:
      return bytes
    case Type.decimal:
    case Type.newDecimal:
      return (cursor) => cursor.latin1()
    case Type.date:
    case Type.time:
      return textReader(column, binary)
    default:
      return isBytes(column) ? bytes : utf8
  }
}

/** As the server writes it. */
function textReader(column: Column, binary: boolean): (cursor: Cursor) => string {
  if (!binary) return (cursor) => cursor.text()
  const { type, flags, decimals } = column
  const unsigned = (flags & unsignedFlag) !== 0
  switch (type) {
    case Type.tiny:
      return textOf(tiny(unsigned))
    case Type.short:
    case Type.year:
      return textOf(short(unsigned || type === Type.year))
    case Type.long:
    case Type.int24:
      return textOf(long(unsigned))
    case Type.longLong:
      return textOf(eight(unsigned, 'string'))
    case Type.float:
      return textOf(float)
    case Type.double:
      return textOf(double)
    case Type.date:
      return (cursor) => dateText(cursor, false, 0)
    case Type.timestamp:
    case Type.dateTime:
      return (cursor) => dateText(cursor, true, decimals)
    case Type.time:
      return (cursor) => timeText(cursor, decimals)
    default:
      return (cursor) => cursor.text()
  }
}

const textOf =
  (read: Read) =>
  (cursor: Cursor): string =>
    String(read(cursor))

const textNumber = (cursor: Cursor): number => Number(cursor.latin1())

const tiny =
  (unsigned: boolean) =>
  (cursor: Cursor): number => {
    const byte = cursor.byte()
    return unsigned || byte < 128 ? byte : byte - 256
  }

const short =
  (unsigned: boolean) =>
  (cursor: Cursor): number => {
    const value = unsigned ? cursor.buffer.readUInt16LE(cursor.at) : cursor.buffer.readInt16LE(cursor.at)
    cursor.at += 2
    return value
  }

const long =
  (unsigned: boolean) =>
  (cursor: Cursor): number => {
    const value = unsigned ? cursor.buffer.readUInt32LE(cursor.at) : cursor.buffer.readInt32LE(cursor.at)
    cursor.at += 4
    return value
  }

const eight =
  (unsigned: boolean, int8: Int8): Read =>
  (cursor) => {
    const { buffer, at } = cursor
    cursor.at += 8
    const low = buffer.readUInt32LE(at)
    const high = unsigned ? buffer.readUInt32LE(at + 4) : buffer.readInt32LE(at + 4)
    // What a number holds exactly needs no bigint in between.
    if (high >= -0x20_0000 && high < 0x20_0000 && int8 !== 'bigint') {
      const value = high * 0x1_0000_0000 + low
      if (Number.isSafeInteger(value)) return int8 === 'number' ? value : String(value)
    }
    const exact = unsigned ? buffer.readBigUInt64LE(at) : buffer.readBigInt64LE(at)
    return int8 === 'bigint' ? exact : int8 === 'string' ? String(exact) : safe(String(exact))
  }

function int8Of(text: string, int8: Int8): unknown {
  return int8 === 'string' ? text : int8 === 'bigint' ? BigInt(text) : safe(text)
}

function safe(text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value)) return value
  throw new UnsafeIntegerError(
    'An 8-byte integer in the answer is larger than a number can hold exactly. Set the option int8 to ' +
      "'bigint' or 'string'.",
  )
}

const double = (cursor: Cursor): number => {
  const value = cursor.buffer.readDoubleLE(cursor.at)
  cursor.at += 8
  return value
}

/** The shortest number that is the same in four bytes: 0.1, not 0.10000000149011612. */
const float = (cursor: Cursor): number => {
  const value = cursor.buffer.readFloatLE(cursor.at)
  cursor.at += 4
  for (let digits = 6; digits < 9; digits++) {
    const shorter = Number(value.toPrecision(digits))
    if (Math.fround(shorter) === value) return shorter
  }
  return value
}

const two = (value: number): string => (value < 10 ? `0${value}` : String(value))

function fraction(micros: number, decimals: number): string {
  return decimals === 0 || decimals > 6 ? '' : `.${String(micros).padStart(6, '0').slice(0, decimals)}`
}

function dateText(cursor: Cursor, time: boolean, decimals: number): string {
  const length = cursor.byte()
  const { buffer, at } = cursor
  cursor.at += length
  const day =
    length === 0
      ? '0000-00-00'
      : `${String(buffer.readUInt16LE(at)).padStart(4, '0')}-${two(buffer[at + 2] as number)}-${two(buffer[at + 3] as number)}`
  if (!time) return day
  const clock =
    length < 7
      ? '00:00:00'
      : `${two(buffer[at + 4] as number)}:${two(buffer[at + 5] as number)}:${two(buffer[at + 6] as number)}`
  return `${day} ${clock}${fraction(length < 11 ? 0 : buffer.readUInt32LE(at + 7), decimals)}`
}

function timeText(cursor: Cursor, decimals: number): string {
  const length = cursor.byte()
  const { buffer, at } = cursor
  cursor.at += length
  if (length === 0) return `00:00:00${fraction(0, decimals)}`
  const hours = buffer.readUInt32LE(at + 1) * 24 + (buffer[at + 5] as number)
  const clock = `${two(hours)}:${two(buffer[at + 6] as number)}:${two(buffer[at + 7] as number)}`
  return `${buffer[at] === 1 ? '-' : ''}${clock}${fraction(length < 12 ? 0 : buffer.readUInt32LE(at + 8), decimals)}`
}

/** A time in UTC, from its fields where they come as such. */
function timeReader(column: Column, binary: boolean): Read {
  const text = textReader(column, binary)
  const { type, decimals } = column
  if (!binary || (type !== Type.timestamp && type !== Type.dateTime)) return (cursor) => readTime(text(cursor))
  return (cursor) => {
    const { buffer, at } = cursor
    const length = buffer[at] as number
    const year = length < 4 ? 0 : (buffer[at + 1] as number) | ((buffer[at + 2] as number) << 8)
    // Date.UTC takes years before 100 for others, and there is no month or day 0.
    if (year < 100 || buffer[at + 3] === 0 || buffer[at + 4] === 0) return readTime(dateText(cursor, true, decimals))
    const day = Date.UTC(year, (buffer[at + 3] as number) - 1, buffer[at + 4])
    let ms = 0
    if (length >= 7)
      ms = ((buffer[at + 5] as number) * 60 + (buffer[at + 6] as number)) * 60_000 + (buffer[at + 7] as number) * 1000
    if (length >= 11) ms += Math.trunc(buffer.readUInt32LE(at + 8) / 1000)
    cursor.at = at + 1 + length
    const date = new Date(day + ms)
    // The 30th of February is a day for the server where its sql_mode lets it be.
    if ((buffer[at + 4] as number) < 29 || date.getUTCDate() === buffer[at + 4]) return date
    cursor.at = at
    return readTime(dateText(cursor, true, decimals))
  }
}
