// Columns that are asked for in the binary format. Numbers, booleans, times, bytes and arrays are cheaper to read from it. Texts are
// the same bytes in either format, but the server may need half of the time to send long ones in binary, because it copies and counts
// each text. JSON, uuid and numeric are cheaper to read from text. A value is the same in either format.
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
import { elementOf } from '../../../postgres/types/built-in.ts'
import type { ColumnSpec } from '../../../sql/compiled.ts'
import { readBytea } from '../../../postgres/text-forms.ts'
import { byteaCopy, days, eightBytes, localMicroseconds, microseconds, textForm, through } from './binary-reader.ts'
import { int32, misfit, repeatedText, text } from './field-reader.ts'
import type { Bytes, FieldReader } from './row-decoder.ts'

const varchar = 1043
const textType = 25
/** The server makes no more. */
const mostDimensions = 6

/** What `fieldReader` gives, of a column in binary; null: the column is asked for as text. */
export function binaryField(type: number, column: ColumnSpec | undefined, as: Reading): FieldReader | null {
  const read = byMode(type, column?.mode ?? 'default', as)
  const map = column?.map
  if (read === text && map === undefined && column?.repeats === true) return repeatedText()
  return read === null || map === undefined ? read : (bytes, start, end) => map(read(bytes, start, end))
}

/**
 * Reads a column that came in binary because it was taken for another one. Null: its type is not read in binary.
 * @param said The reader of text that users have given for its type.
 */
export function askedField(
  type: number,
  column: ColumnSpec | undefined,
  said: Reader | null,
  as: Reading,
): FieldReader | null {
  const usual = said === null ? binaryField(type, column, as) : null
  const form = usual === null ? textForm(type) : null
  if (form === null) return usual
  const read = through(said ?? readerFor(type, column?.mode ?? 'default', as), form)
  const map = column?.map
  return map === undefined ? read : (bytes, start, end) => map(read(bytes, start, end))
}

function byMode(type: number, mode: Mode, as: Reading): FieldReader | null {
  if (mode === 'raw-text' || mode === 'json') return null
  const element = elementOf(type)
  if (element === 0) return scalar(type, mode, as)
  if (mode === 'buffer') return null
  const read = scalar(element, mode, as)
  return read === null ? null : binaryArrayOf(element, read)
}

function scalar(type: number, mode: Mode, as: Reading): FieldReader | null {
  const reader = readerFor(type, mode, as)
  switch (type) {
    case textType:
    case varchar:
      return reader === null ? text : null
    case Oid.int2:
      return reader === Number ? int2 : null
    case Oid.int4:
      return reader === Number ? int4 : null
    case Oid.oid:
      return reader === Number ? oid : null
    case Oid.float8:
      return reader === Number ? float8 : null
    case Oid.int8:
      return reader === safeInteger ? safe : reader === BigInt ? big : null
    case Oid.bool:
      return reader === isTrue ? bool : null
    case Oid.timestamp:
    case Oid.timestamptz:
      return reader === timestamp ? moment : reader === localTimestamp ? localMoment : null
    case Oid.date:
      return reader === timestamp ? day : null
    case Oid.bytea:
      return reader === readBytea ? byteaCopy : null
    default:
      return null
  }
}

const int2 = sized(2, (bytes, start) => bytes.readInt16BE(start))
const int4 = sized(4, int32)
const oid = sized(4, (bytes, start) => int32(bytes, start) >>> 0)
const float8 = sized(8, (bytes, start) => bytes.readDoubleBE(start))
const safe = sized(8, eightBytes(safeInteger))
const big = sized(8, eightBytes(BigInt))
const bool = sized(1, (bytes, start) => bytes[start] === 1)
const moment = sized(8, microseconds)
const localMoment = sized(8, localMicroseconds)
const day = sized(4, days)

const kinds: ReadonlyMap<FieldReader, 'int4' | 'bool' | 'safe' | 'moment'> = new Map([
  [int4, 'int4'],
  [bool, 'bool'],
  [safe, 'safe'],
  [moment, 'moment'],
])

/** For code that reads a column without calling its reader. */
export function binaryKind(reader: FieldReader): 'int4' | 'bool' | 'safe' | 'moment' | null {
  return kinds.get(reader) ?? null
}

/** A value of another size is not one of the type that was described. */
function sized(size: number, read: FieldReader): FieldReader {
  return (bytes, start, end) => {
    if (end - start !== size) throw misfit()
    return read(bytes, start, end)
  }
}

/** Arrays of that type, whose elements are read so. */
export function binaryArrayOf(type: number, read: FieldReader): FieldReader {
  return (bytes, start, end) => array(type, read, bytes, start, end)
}

function array(type: number, read: FieldReader, bytes: Bytes, start: number, end: number): unknown[] {
  if (end - start < 12) throw misfit()
  const dimensions = int32(bytes, start)
  const first = start + 12 + dimensions * 8
  if (dimensions < 0 || dimensions > mostDimensions || first > end || int32(bytes, start + 8) !== type) throw misfit()
  const place = { at: first }
  const whole = dimensions === 0 ? [] : items(dimensions - 1, read, bytes, start + 12, place, end)
  if (place.at !== end) throw misfit()
  return whole
}

/** @param dims Where the counts of this dimension and of those inside of it stand. */
function items(
  inner: number,
  read: FieldReader,
  bytes: Bytes,
  dims: number,
  place: { at: number },
  end: number,
): unknown[] {
  const count = int32(bytes, dims)
  // Each element has a length of four bytes.
  if (count < 0 || count * 4 > end - place.at) throw misfit()
  const all: unknown[] = []
  for (let n = 0; n < count; n++) {
    if (inner > 0) {
      all.push(items(inner - 1, read, bytes, dims + 8, place, end))
      continue
    }
    const from = place.at + 4
    if (from > end) throw misfit()
    const length = int32(bytes, place.at)
    place.at = length < 0 ? from : from + length
    if (place.at > end) throw misfit()
    all.push(length < 0 ? null : read(bytes, from, place.at))
  }
  return all
}
