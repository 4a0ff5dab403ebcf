// The table of conversions from PostgreSQL's text format to JavaScript: one reader for each type and mode. The row
// decoder picks readers once per shape; node-postgres' own parsers are never used. Types that are not listed stay text.
import { ProtocolError, UnsafeIntegerError } from '../../../errors/index.ts'
import type { ColumnSpec } from '../../../sql/compiled.ts'
import { jsonReader } from './json-reader.ts'
import { type ElementReader, readArray, readBytea, readTimestamp } from '../text-forms.ts'

/** What an 8-byte integer becomes; `number` refuses what a number cannot hold. */
export type Int8 = 'number' | 'bigint' | 'string'
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

// Array type → type of its elements, for the types that come with the server.
const elements: ReadonlyMap<number, number> = new Map([
  ...pairs('1000:16 1001:17 1002:18 1003:19 1016:20 1005:21 1006:22 1007:23 1008:24 1009:25 1028:26 1010:27 1011:28'),
  ...pairs('1012:29 1013:30 199:114 143:142 1017:600 1018:601 1019:602 1020:603 1027:604 651:650 1021:700 1022:701'),
  ...pairs('719:718 1040:829 791:790 1041:869 629:628 775:774 1014:1042 1015:1043 1182:1082 1183:1083 1115:1114'),
  ...pairs('1185:1184 1187:1186 1270:1266 1561:1560 1563:1562 1231:1700 2951:2950 3221:3220 3643:3614 3645:3615'),
  ...pairs('3807:3802 3905:3904 3907:3906 3909:3908 3911:3910 3913:3912 3927:3926 2210:2205 2211:2206 4073:4072'),
  ...pairs('2201:1790 2207:2202 2208:2203 2209:2204 4090:4089 4097:4096 3735:3734 3770:3769 271:5069 2949:2970'),
  ...pairs('6150:4451 6151:4532 6152:4533 6153:4534 6155:4535 6157:4536'),
])
const box = 603

function pairs(list: string): [number, number][] {
  return list.split(' ').map((pair) => pair.split(':').map(Number) as [number, number])
}

/** The element type of an array type, 0 for all others. */
export function elementOf(type: number): number {
  return elements.get(type) ?? 0
}

export function isJson(type: number): boolean {
  return type === Oid.json || type === Oid.jsonb
}

/** The reader for a column, or null when its text is the value. */
export function readerFor(type: number, mode: Mode, int8: Int8): Reader | null {
  if (mode === 'raw-text') return null
  const element = elements.get(type)
  if (element === undefined || mode === 'json' || mode === 'buffer') return scalarReader(type, mode, int8)
  const read = scalarReader(element, mode, int8) ?? asText
  const delimiter = element === box ? ';' : ','
  return (text) => readArray(text, read, delimiter) ?? unreadable('array')
}

function scalarReader(type: number, mode: Mode, int8: Int8): Reader | null {
  switch (mode) {
    case 'number':
      return type === Oid.int8 ? safeInteger : Number
    case 'bigint':
      return BigInt
    case 'date':
      return timestamp
    case 'json':
      return jsonReader(int8)
    case 'buffer':
      return type === Oid.bytea ? readBytea : (text) => Buffer.from(text)
    case 'default':
      return defaultReader(type, int8)
    case 'string':
    case 'raw-text':
      break
  }
  return null
}

function defaultReader(type: number, int8: Int8): Reader | null {
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

export const timestamp: Reader = (text) => readTimestamp(text) ?? unreadable('timestamp')

function unreadable(what: string): never {
  throw new ProtocolError(`The server sent a value that is no ${what}`)
}
