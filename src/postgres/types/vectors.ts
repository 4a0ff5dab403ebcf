// The binary form of the types of pgvector: numbers of four bytes, or of two, behind how many there are.
import { float4Of, shortest } from '../float4.ts'
import type { BinaryForm } from './of-extension.ts'
import { unreadable } from './pieces.ts'

const numberOf = new Float32Array(1)
const bitsOf = new Uint32Array(numberOf.buffer)

function int32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  )
}

function int16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

function putInt32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

function putInt16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8
  bytes[at + 1] = value
}

function float4At(bytes: Uint8Array, at: number): number {
  bitsOf[0] = int32(bytes, at)
  return shortest(numberOf[0] as number)
}

/** False: it is written as text, where the server says what is wrong with it. */
function putFloat4(bytes: Uint8Array, at: number, value: unknown): boolean {
  const float = typeof value === 'number' ? float4Of(value) : null
  if (float === null || !Number.isFinite(float)) return false
  numberOf[0] = float
  putInt32(bytes, at, bitsOf[0] as number)
  return true
}

/** The server writes a number of two bytes as it writes one of four. */
function float2At(bytes: Uint8Array, at: number): number {
  const bits = int16(bytes, at)
  const exponent = (bits >> 10) & 31
  const fraction = bits & 0x3_ff
  if (exponent === 31) return fraction === 0 ? (bits > 0x7f_ff ? -Infinity : Infinity) : NaN
  const size = exponent === 0 ? fraction * 2 ** -24 : (0x4_00 + fraction) * 2 ** (exponent - 25)
  return shortest(bits > 0x7f_ff ? -size : size)
}

function putFloat2(bytes: Uint8Array, at: number, value: unknown): boolean {
  const float = typeof value === 'number' ? float4Of(value) : null
  if (float === null || !Number.isFinite(float)) return false
  numberOf[0] = float
  const all = bitsOf[0] as number
  const exponent = ((all >>> 23) & 255) - 127
  // What is left out of 24 bits; small numbers have fewer.
  const cut = exponent < -14 ? Math.min(-exponent - 1, 31) : 13
  const fraction = (all & 0x7f_ff_ff) | 0x80_00_00
  const kept = cut > 24 ? 0 : fraction >>> cut
  const rest = cut > 24 ? 0 : fraction - kept * 2 ** cut
  const middle = 2 ** (cut - 1)
  const up = rest > middle || (rest === middle && kept % 2 === 1) ? 1 : 0
  const bits = (exponent < -14 ? kept : kept + ((exponent + 14) << 10)) + up
  if (bits >= 0x7c_00) return false
  putInt16(bytes, at, bits | ((all >>> 16) & 0x80_00))
  return true
}

const mostDimensions = 0x7f_ff

function listOf(
  name: string,
  size: number,
  read: (bytes: Uint8Array, at: number) => number,
  put: (bytes: Uint8Array, at: number, value: unknown) => boolean,
): BinaryForm {
  return {
    read(bytes, start, end) {
      const count = end - start < 4 ? -1 : int16(bytes, start)
      if (end - start !== 4 + count * size || int16(bytes, start + 2) !== 0) return unreadable(name)
      const numbers: number[] = []
      for (let at = start + 4; at < end; at += size) numbers.push(read(bytes, at))
      return numbers
    },
    write(value) {
      if (!(Array.isArray(value) || value instanceof Float32Array)) return null
      const { length } = value
      if (length === 0 || length > mostDimensions) return null
      const bytes = new Uint8Array(4 + length * size)
      putInt16(bytes, 0, length)
      for (let i = 0, at = 4; i < length; i++, at += size) if (!put(bytes, at, value[i])) return null
      return bytes
    },
  }
}

export const vectorForm: BinaryForm = listOf('vector', 4, float4At, putFloat4)
export const halfvecForm: BinaryForm = listOf('halfvec', 2, float2At, putFloat2)

/** Dimensions, how many are not 0, nothing; then all indexes, from 0, and all numbers. */
export const sparsevecForm: BinaryForm = {
  read(bytes, start, end) {
    const count = end - start < 12 ? -1 : int32(bytes, start + 4)
    if (count < 0 || end - start !== 12 + count * 8 || int32(bytes, start + 8) !== 0) return unreadable('sparsevec')
    const values: Record<number, number> = {}
    const numbers = start + 12 + count * 4
    for (let i = 0; i < count; i++) values[int32(bytes, start + 12 + i * 4) + 1] = float4At(bytes, numbers + i * 4)
    return { dimensions: int32(bytes, start), values }
  },
  write(value) {
    const { dimensions, values } = value as { dimensions?: unknown; values?: unknown }
    if (typeof dimensions !== 'number' || !Number.isInteger(dimensions) || dimensions < 1 || dimensions > 0x7f_ff_ff_ff)
      return null
    if (typeof values !== 'object' || values === null) return null
    // In the order of the indexes, as an object has such keys.
    const entries = Object.entries(values).filter(([, each]) => each !== 0)
    const bytes = new Uint8Array(12 + entries.length * 8)
    putInt32(bytes, 0, dimensions)
    putInt32(bytes, 4, entries.length)
    const numbers = 12 + entries.length * 4
    for (const [i, [key, each]] of entries.entries()) {
      const index = Number(key)
      if (String(index) !== key || !Number.isInteger(index) || index < 1 || index > dimensions) return null
      putInt32(bytes, 12 + i * 4, index - 1)
      if (!putFloat4(bytes, numbers + i * 4, each)) return null
    }
    return bytes
  },
}
