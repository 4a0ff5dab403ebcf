// Parameters on their way to a prepared statement. Whole numbers stay whole numbers and fractions exact: MySQL would calculate with a
// double otherwise. A failure names the place and the kind of a value, never the value.
import { isBoxedPrimitive } from 'node:util/types'
import { GeneverError, ParameterError } from '../../errors/index.ts'
import { DecimalParameter, jsonText } from '../../sql/parameters.ts'
import { isWellFormed } from '../../util/options.ts'
import type { WrittenPacket } from './client.ts'
import { Code, packetOf } from './packets.ts'
import { Type } from './types.ts'

export interface Encoded {
  readonly type: number
  readonly unsigned: boolean
  /** Null for NULL. */
  readonly bytes: Buffer | null
  /** Its length goes in front. */
  readonly counted: boolean
}

const nothing: Encoded = { type: Type.null, unsigned: false, bytes: null, counted: false }
const no: Encoded = { type: Type.tiny, unsigned: false, bytes: Buffer.from([0]), counted: false }
const yes: Encoded = { type: Type.tiny, unsigned: false, bytes: Buffer.from([1]), counted: false }

const none: readonly Encoded[] = []

/** @throws {ParameterError} for a value that cannot be sent */
export function encodeAll(params: readonly unknown[]): readonly Encoded[] {
  return params.length === 0 ? none : params.map(encode)
}

/** Of the packet that runs a statement with these parameters, with its header. */
export function executeSize(encoded: readonly Encoded[]): number {
  const count = encoded.length
  let size = 14
  if (count === 0) return size
  size += ((count + 7) >> 3) + 1 + count * 2
  for (const { bytes, counted } of encoded)
    if (bytes !== null) size += bytes.length + (counted ? countSize(bytes.length) : 0)
  return size
}

export function executePacket(id: number, encoded: readonly Encoded[]): WrittenPacket {
  const count = encoded.length
  const buffer = Buffer.allocUnsafe(executeSize(encoded))
  buffer[4] = Code.execute
  buffer.writeUInt32LE(id, 5)
  buffer[9] = 0
  buffer.writeUInt32LE(1, 10)
  if (count === 0) return packetOf(buffer)
  let at = 14
  buffer.fill(0, at, at + ((count + 7) >> 3))
  for (let i = 0; i < count; i++)
    if (encoded[i]?.bytes === null) buffer[at + (i >> 3)] = (buffer[at + (i >> 3)] as number) | (1 << (i & 7))
  at += (count + 7) >> 3
  buffer[at++] = 1
  for (const { type, unsigned } of encoded) {
    buffer[at++] = type
    buffer[at++] = unsigned ? 0x80 : 0
  }
  for (const { bytes, counted } of encoded) {
    if (bytes === null) continue
    if (counted) at = writeCount(buffer, bytes.length, at)
    at += bytes.copy(buffer, at)
  }
  return packetOf(buffer)
}

const countSize = (count: number): number => (count < 0xfb ? 1 : count < 0x1_0000 ? 3 : count < 0x100_0000 ? 4 : 9)

function writeCount(buffer: Buffer, count: number, at: number): number {
  if (count < 0xfb) {
    buffer[at] = count
    return at + 1
  }
  if (count < 0x1_0000) {
    buffer[at] = 0xfc
    return buffer.writeUInt16LE(count, at + 1)
  }
  if (count < 0x100_0000) {
    buffer[at] = 0xfd
    return buffer.writeUIntLE(count, at + 1, 3)
  }
  buffer[at] = 0xfe
  return buffer.writeBigUInt64LE(BigInt(count), at + 1)
}

function encode(value: unknown, position: number): Encoded {
  switch (typeof value) {
    case 'string':
      return text(checked(value, position))
    case 'number':
      return number(value, position)
    case 'bigint':
      return whole(value)
    case 'boolean':
      return value ? yes : no
    case 'object':
      return value === null ? nothing : object(value, position)
    case 'undefined':
    case 'function':
    case 'symbol':
    default:
      return refuse(position, `is a value of type ${typeof value}`)
  }
}

const text = (written: string): Encoded => bytesOf(Type.varString, Buffer.from(written))
const bytesOf = (type: number, bytes: Buffer): Encoded => ({ type, unsigned: false, bytes, counted: true })

function checked(value: string, position: number): string {
  if (isWellFormed(value)) return value
  return refuse(position, 'is text with half of a surrogate pair', true)
}

function number(value: number, position: number): Encoded {
  if (Number.isSafeInteger(value)) return whole(BigInt(value))
  if (!Number.isFinite(value)) return refuse(position, 'is no finite number, for which MySQL has no form')
  const written = String(value)
  if (!written.includes('e')) return bytesOf(Type.newDecimal, Buffer.from(written, 'latin1'))
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeDoubleLE(value)
  return { type: Type.double, unsigned: false, bytes, counted: false }
}

const least = -(2n ** 63n)
const most = 2n ** 64n - 1n

function whole(value: bigint): Encoded {
  if (value < least || value > most) return bytesOf(Type.newDecimal, Buffer.from(String(value), 'latin1'))
  const bytes = Buffer.allocUnsafe(8)
  const unsigned = value >= 2n ** 63n
  if (unsigned) bytes.writeBigUInt64LE(value)
  else bytes.writeBigInt64LE(value)
  return { type: Type.longLong, unsigned, bytes, counted: false }
}

function object(value: object, position: number): Encoded {
  if (ArrayBuffer.isView(value))
    return bytesOf(Type.blob, Buffer.from(value.buffer, value.byteOffset, value.byteLength))
  if (value instanceof ArrayBuffer) return bytesOf(Type.blob, Buffer.from(value))
  if (value instanceof Date) return date(value, position)
  if (value instanceof DecimalParameter) return bytesOf(Type.newDecimal, Buffer.from(value.text, 'latin1'))
  if (isBoxedPrimitive(value)) return encode(value.valueOf(), position)
  try {
    if (!Array.isArray(value) && 'toJSON' in value && typeof value.toJSON === 'function') {
      const written: unknown = value.toJSON()
      if (typeof written === 'string') return text(checked(written, position))
    }
    return text(jsonText(value, (what) => refuse(position, what)))
  } catch (error) {
    if (error instanceof GeneverError) throw error
    return refuse(position, error instanceof RangeError ? 'is nested too deeply' : 'is an object that threw')
  }
}

/** In UTC, which is the time zone of every session. */
function date(value: Date, position: number): Encoded {
  const year = value.getUTCFullYear()
  if (!(year >= 0 && year <= 9999))
    return refuse(position, 'is a date that is invalid or outside of the years 0 to 9999')
  const bytes = Buffer.alloc(12)
  bytes[0] = 11
  bytes.writeUInt16LE(year, 1)
  bytes[3] = value.getUTCMonth() + 1
  bytes[4] = value.getUTCDate()
  bytes[5] = value.getUTCHours()
  bytes[6] = value.getUTCMinutes()
  bytes[7] = value.getUTCSeconds()
  bytes.writeUInt32LE(value.getUTCMilliseconds() * 1000, 8)
  return { type: Type.dateTime, unsigned: false, bytes, counted: false }
}

/** `what` is the rest of a sentence. */
function refuse(position: number, what: string, clientError = false): never {
  throw new ParameterError(`Parameter number ${position + 1} ${what}.`, { clientError })
}
