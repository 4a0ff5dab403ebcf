// The geometric text forms of PostgreSQL and PostGIS that Drizzle's columns give as numbers.
import { ProtocolError } from '../../../errors/index.ts'

/** `(1,2)`. */
export function readPair(text: string): readonly number[] {
  return text.slice(1, -1).split(',').map(Number)
}

/** `{1,2,3}`: a line as a, b, c of ax + by + c = 0. */
export function readLine(text: string): readonly number[] {
  return readPair(text)
}

const hasSrid = 0x20000000
const point = 1

/** A point as PostGIS sends it: EWKB in hexadecimal. */
export function readPoint(text: string): readonly number[] {
  const bytes = Buffer.from(text, 'hex')
  const little = bytes[0] === 1
  const type = bytes.length < 21 ? 0 : little ? bytes.readUInt32LE(1) : bytes.readUInt32BE(1)
  if ((type & 0xff) !== point) throw new ProtocolError('A geometry column did not hold a point.')
  const at = (type & hasSrid) === 0 ? 5 : 9
  const read = (offset: number): number => (little ? bytes.readDoubleLE(offset) : bytes.readDoubleBE(offset))
  return [read(at), read(at + 8)]
}
