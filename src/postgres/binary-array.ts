// Arrays of parameters in PostgreSQL's binary format: for long ones of common types, which cost a multiple as text. An array that
// holds anything else than such values is written as text, which says what is wrong with it.
import { textRefusal } from '../sql/parameters.ts'
import { float4Of } from './float4.ts'
import { Oid } from './type-table.ts'

/** A short one is written as text in no time. */
const shortest = 8
const uuidType = 2950
/** Those whose binary form is their text: text, varchar, char(n), json; and jsonb, which has a number in front of it. */
const texts: ReadonlySet<number> = new Set([25, 1043, 1042, Oid.json, Oid.jsonb])
const jsonbVersion = 1
/** 2000-01-01, in milliseconds. */
const epoch = 946_684_800_000
/** Years from 1 to 9999. */
const firstMs = Date.UTC(2000, 0, 1) - 1999 * 366 * 86_400_000
const lastMs = Date.UTC(9999, 0, 1)
const high = 4_294_967_296

/** Writes an element behind its length and gives where it ends; -1: it is not of the type. */
type Write = (bytes: Buffer, at: number, value: unknown) => number

function integer(size: 2 | 4, least: number, most: number): Write {
  return (bytes, at, value) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) return -1
    return size === 2 ? bytes.writeInt16BE(value, at) : bytes.writeInt32BE(value | 0, at)
  }
}

/** A whole number that a double holds exactly. */
function eightBytes(bytes: Buffer, at: number, value: number): number {
  const upper = Math.floor(value / high)
  bytes.writeInt32BE(upper, at)
  return bytes.writeUInt32BE(value - upper * high, at + 4)
}

const int8: Write = (bytes, at, value) => {
  if (typeof value === 'bigint') return BigInt.asIntN(64, value) === value ? bytes.writeBigInt64BE(value, at) : -1
  return typeof value === 'number' && Number.isSafeInteger(value) ? eightBytes(bytes, at, value) : -1
}

const float8: Write = (bytes, at, value) => (typeof value === 'number' ? bytes.writeDoubleBE(value, at) : -1)

const bool: Write = (bytes, at, value) => (typeof value === 'boolean' ? bytes.writeUInt8(value ? 1 : 0, at) : -1)

const timestamp: Write = (bytes, at, value) => {
  if (!(value instanceof Date)) return -1
  const ms = value.getTime()
  if (!(ms > firstMs && ms < lastMs)) return -1
  const micros = (ms - epoch) * 1000
  return Number.isSafeInteger(micros)
    ? eightBytes(bytes, at, micros)
    : bytes.writeBigInt64BE(BigInt(ms - epoch) * 1000n, at)
}

const oid: Write = (bytes, at, value) =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < high
    ? bytes.writeUInt32BE(value, at)
    : -1

/** What is not the same by its digits is left to the server. */
const float4: Write = (bytes, at, value) => {
  const float = typeof value === 'number' ? float4Of(value) : null
  return float === null ? -1 : bytes.writeFloatBE(float, at)
}

/** The day in UTC. */
const date: Write = (bytes, at, value) => {
  if (!(value instanceof Date)) return -1
  const ms = value.getTime()
  return ms > firstMs && ms < lastMs ? bytes.writeInt32BE(Math.floor((ms - epoch) / 86_400_000), at) : -1
}

const uuidText = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i

const uuid: Write = (bytes, at, value) => {
  if (typeof value !== 'string' || !uuidText.test(value)) return -1
  return at + bytes.write(value.replaceAll('-', ''), at, 16, 'hex')
}

const fixed: ReadonlyMap<number, readonly [size: number, write: Write]> = new Map([
  [Oid.int2, [2, integer(2, -0x80_00, 0x7f_ff)]],
  [Oid.int4, [4, integer(4, -0x80_00_00_00, 0x7f_ff_ff_ff)]],
  [Oid.int8, [8, int8]],
  [Oid.oid, [4, oid]],
  [Oid.float4, [4, float4]],
  [Oid.float8, [8, float8]],
  [Oid.bool, [1, bool]],
  [Oid.date, [4, date]],
  [uuidType, [16, uuid]],
  [Oid.timestamp, [8, timestamp]],
  [Oid.timestamptz, [8, timestamp]],
])

/** Null: it has to be written as text. */
export function binaryArray(values: readonly unknown[], element: number): Uint8Array | null {
  if (values.length < shortest) return null
  if (texts.has(element)) return ofTexts(values, element)
  if (element === Oid.bytea) return ofBytes(values)
  const known = fixed.get(element)
  if (known === undefined) return null
  const [size, write] = known
  const bytes = Buffer.allocUnsafe(20 + values.length * (4 + size))
  let at = begin(bytes, values, element)
  for (const value of values) {
    if (value === null) at = bytes.writeInt32BE(-1, at)
    else {
      bytes.writeInt32BE(size, at)
      at = write(bytes, at + 4, value)
      if (at < 0) return null
    }
  }
  return bytes.subarray(0, at)
}

function ofTexts(values: readonly unknown[], element: number): Uint8Array | null {
  const before = element === Oid.jsonb ? 1 : 0
  let size = 20
  for (const value of values) {
    if (typeof value === 'string' && textRefusal(value) === undefined) size += 4 + before + Buffer.byteLength(value)
    else if (value === null) size += 4
    else return null
  }
  const bytes = Buffer.allocUnsafe(size)
  let at = begin(bytes, values, element)
  for (const value of values as readonly (string | null)[]) {
    if (value === null) at = bytes.writeInt32BE(-1, at)
    else {
      if (before > 0) bytes[at + 4] = jsonbVersion
      const length = before + bytes.write(value, at + 4 + before)
      at = bytes.writeInt32BE(length, at) + length
    }
  }
  return bytes
}

function ofBytes(values: readonly unknown[], element: number = Oid.bytea): Uint8Array | null {
  let size = 20
  for (const value of values) {
    if (value instanceof Uint8Array) size += 4 + value.length
    else if (value === null) size += 4
    else return null
  }
  const bytes = Buffer.allocUnsafe(size)
  let at = begin(bytes, values, element)
  for (const value of values as readonly (Uint8Array | null)[]) {
    at = bytes.writeInt32BE(value === null ? -1 : value.length, at)
    if (value === null) continue
    bytes.set(value, at)
    at += value.length
  }
  return bytes
}

/** Of elements that somebody else writes. Null: one of them has to be written as text. */
export function binaryArrayOf(
  values: readonly unknown[],
  element: number,
  write: (value: object) => Uint8Array | null,
): Uint8Array | null {
  const written: (Uint8Array | null)[] = []
  for (const value of values) {
    const each = typeof value === 'object' && value !== null ? write(value) : null
    if (each === null && value !== null) return null
    written.push(each)
  }
  return written.length === 0 ? null : ofBytes(written, element)
}

/** One dimension, whether there are NULLs, the type, how many, the first index. */
function begin(bytes: Buffer, values: readonly unknown[], element: number): number {
  bytes.writeInt32BE(1, 0)
  bytes.writeInt32BE(values.includes(null) ? 1 : 0, 4)
  bytes.writeInt32BE(element, 8)
  bytes.writeInt32BE(values.length, 12)
  return bytes.writeInt32BE(1, 16)
}
