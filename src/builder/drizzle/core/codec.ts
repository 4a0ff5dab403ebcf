// The codec of one column: how the driver reads its values, and how a value becomes a parameter. Models and DDL use it. Drizzle's own
// decoding differs between its versions, so columns are told apart by the names of their kinds, which are the same in both.
import { ParameterError, ProtocolError, UnsafeIntegerError, UsageError } from '../../../errors/index.ts'
import type { ColumnSpec } from '../../../sql/compiled.ts'
import { DecimalParameter, jsonText } from '../../../sql/parameters.ts'
import {
  arrayText,
  plainText,
  readArray,
  readBytea,
  readTimestamp,
  timestampText,
} from '../../../postgres/text-forms.ts'
import { readTime } from '../../../mysql/time-text.ts'
import { timestamp } from '../../../postgres/type-table.ts'
import { exactText, isKey, ofText } from './exact-time.ts'
import { isJsonType } from './render.ts'
import { isPlain } from '../../../util/options.ts'
import { arrayDimensions, type DimensionsLike } from './dimensions.ts'

/** Structural: a PostgreSQL column of either version. */
export interface ColumnLike extends DimensionsLike {
  readonly name: string
  /** 0.45: the element of an array. */
  readonly baseColumn?: ColumnLike
  getSQLType(): string
  mapFromDriverValue(value: unknown): unknown
  mapToDriverValue(value: unknown): unknown
}

export type Decode = Pick<ColumnSpec, 'mode' | 'map' | 'typed'>
type Mode = ColumnSpec['mode']

const modes: Readonly<Record<string, Mode>> = {
  PgBigInt53: 'number',
  PgBigSerial53: 'number',
  PgBigInt64: 'bigint',
  PgBigSerial64: 'bigint',
  PgBigIntString: 'string',
  PgBoolean: 'default',
  PgBytea: 'buffer',
  PgDoublePrecision: 'number',
  PgInteger: 'number',
  PgJson: 'json',
  PgJsonb: 'json',
  PgNumericBigInt: 'bigint',
  PgNumericNumber: 'number',
  PgReal: 'number',
  PgSerial: 'number',
  PgSmallInt: 'number',
  PgSmallSerial: 'number',
  PgTimestamp: 'date',
  MySqlBigInt53: 'number',
  MySqlBigInt64: 'bigint',
  MySqlDateTime: 'date',
  MySqlDecimalBigInt: 'bigint',
  MySqlDecimalNumber: 'number',
  MySqlDouble: 'number',
  MySqlFloat: 'number',
  MySqlInt: 'number',
  MySqlJson: 'json',
  MySqlMediumInt: 'number',
  MySqlReal: 'number',
  MySqlSerial: 'number',
  MySqlSmallInt: 'number',
  MySqlTimestamp: 'date',
  MySqlTinyInt: 'number',
  MySqlYear: 'number',
}

const maps: Readonly<Record<string, (text: string) => unknown>> = {
  PgDate: (text) => readTimestamp(text) ?? new Date(Number.NaN),
  PgGeometry: (text) => readPoint(text),
  PgGeometryObject: (text) => named(readPoint(text)),
  PgHalfVector: (text) => JSON.parse(text) as unknown,
  PgLine: (text) => readLine(text),
  PgLineABC: (text) => abc(readLine(text)),
  PgPointObject: (text) => named(readPair(text)),
  PgPointTuple: (text) => readPair(text),
  PgVector: (text) => JSON.parse(text) as unknown,
  MySqlBoolean: (text) => text !== '0',
  // `0000-00-00` and the 30th of February are no days: they stay text, as times do.
  MySqlDate: (text) => (isDay(text) ? new Date(text) : text),
}

function isDay(text: string): boolean {
  const date = new Date(text)
  return !Number.isNaN(date.getTime()) && date.toISOString().slice(0, 10) === text
}

const named = ([x, y]: readonly number[]): unknown => ({ x, y })
const abc = ([a, b, c]: readonly number[]): unknown => ({ a, b, c })

/** Columns of MySQL whose values only Drizzle knows how to read. */
const asDrizzleReads = /^MySql(?:CustomColumn|Blob.*)$/
/** Bytes that Drizzle declares as text. */
const bytesAsText = /^MySql(?:Binary|VarBinary)$/

/** How the driver reads the column, so that it is what the column's TypeScript type promises. */
export function decodeOf(column: ColumnLike): Decode {
  const element = elementOf(column)
  // The driver reads it, and its integers as the engine has them.
  if (element !== null && isJson(element)) return { mode: 'default' }
  if (element !== null) {
    const read = textReader(element)
    return { mode: 'raw-text', map: (text) => readArray(text as string, read, ',') ?? unreadable(column) }
  }
  const { columnType } = column
  const map = maps[columnType]
  if (map !== undefined) return { mode: 'raw-text', map: map as (wire: unknown) => unknown }
  if (columnType === 'PgCustomColumn')
    return { mode: modeOfType(column.getSQLType()), map: (wire) => column.mapFromDriverValue(wire) }
  if (asDrizzleReads.test(columnType)) return { mode: 'default', map: (wire) => column.mapFromDriverValue(wire) }
  if (bytesAsText.test(columnType)) return { mode: 'default', map: (wire) => textOfBytes(column, wire) }
  const mode = modes[columnType] ?? 'raw-text'
  if (mode !== 'date' || !isKey(column)) return { mode }
  const read = columnType === 'PgTimestamp' ? timestamp : readTime
  return { mode: 'raw-text', map: (wire) => ofText(read(wire as string), wire as string) }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @throws {UsageError} for bytes that are no text: others would stand in their place. */
function textOfBytes({ name, columnType }: ColumnLike, wire: unknown): unknown {
  if (!(wire instanceof Uint8Array)) return wire
  try {
    return utf8.decode(wire)
  } catch {
    throw new UsageError(
      `Column '${name}' has bytes that are no text in UTF-8, and ${columnType === 'MySqlBinary' ? 'binary' : 'varbinary'}() of Drizzle is declared as text. Declare the column by customType<{ data: Buffer }>().`,
    )
  }
}

/** Whether its values are times that a Date holds. */
export function isTime({ columnType }: ColumnLike): boolean {
  return modes[columnType] === 'date'
}

/** The parameter of a value; SQL expressions are not given here. @throws {ParameterError} for what JSON cannot say. */
export function encode(column: ColumnLike, value: unknown, name: string = column.name): unknown {
  if (value === null || value === undefined) return value
  if (typeof value === 'object' && texts.test(column.columnType) && !isArrayColumn(column)) checkText(value, name)
  return encodeValue(column, value, name)
}

/** An element of an array may be an array: PostgreSQL has as many dimensions as it is given. */
function encodeValue(column: ColumnLike, value: unknown, name: string): unknown {
  if (value === null || value === undefined) return value
  const { columnType } = column
  if (columnType === 'PgTimestamp' || columnType === 'PgDate') return dateParameter(column, value)
  if (columnType.startsWith('MySql')) return encodeMysql(column, value, name)
  if (isJson(column)) return arrayDimensions(column) === 0 ? json(name, value) : encodeArray(column, value, name)
  return isArrayColumn(column) ? encodeArray(column, value, name) : column.mapToDriverValue(value)
}

const texts =
  /^(?:Pg(?:Text|Varchar|Char)|MySql(?:Char|VarChar|(?:Tiny|Medium|Long)?Text|EnumColumn|EnumObjectColumn|\w*String))$/

/** A list would become the text of an array in one statement, and JSON in another; an object would become JSON. */
function checkText(value: object, name: string): void {
  if (Array.isArray(value) || isPlain(value))
    throw new ParameterError(
      `The value of column '${name}' is ${Array.isArray(value) ? 'a list' : 'an object'}, not text.`,
      { clientError: true },
    )
}

const mysqlWhole = /^MySql(?:(?:Tiny|Small|Medium)?Int|BigInt\w*|Serial|Year)$/
const mysqlReal = /^MySql(?:Double|Float|Real)$/
const mysqlDecimal = /^MySqlDecimal/

/**
 * MySQL compares values of unlike types by what they have in common: the text 'abc' equals the number 0. So a value has to be of the
 * kind of its column. Dates are sent in UTC by the driver, which refuses invalid ones; a day is text, so that it equals a day.
 */
function encodeMysql(column: ColumnLike, value: unknown, name: string): unknown {
  const { columnType } = column
  if (isJson(column)) return json(name, value)
  // MySQL takes no zone; that of its sessions is UTC.
  if (value instanceof Date && isTime(column)) return exactText(value)?.replace(/[TZ]/g, ' ').trim() ?? value
  if (value instanceof Date && columnType === 'MySqlDate')
    return Number.isNaN(value.getTime()) ? value : value.toISOString().slice(0, 10)
  if (mysqlWhole.test(columnType) && typeof value === 'string') {
    if (/^\s*[+-]?\d{1,30}\s*$/.test(value)) return BigInt(value.trim().replace(/^\+/, ''))
    throw new ParameterError(`The value of column '${name}' is text, not a whole number.`, { clientError: true })
  }
  if (mysqlDecimal.test(columnType)) return decimal(value, name)
  if (mysqlReal.test(columnType) && typeof value === 'string') {
    if (numberText.test(value)) return Number(value)
    throw new ParameterError(`The value of column '${name}' is text, not a number.`, { clientError: true })
  }
  if (texts.test(columnType) && /^(?:number|bigint|boolean)$/.test(typeof value))
    throw new ParameterError(`The value of column '${name}' is a ${typeof value}, not text.`, { clientError: true })
  return column.mapToDriverValue(value)
}

const numberText = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i

/** Numbers beyond the digits of a double stay exact. */
function decimal(value: unknown, name: string): unknown {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'bigint')
    throw new ParameterError(`The value of column '${name}' is a ${typeof value}, not a decimal number.`, {
      clientError: true,
    })
  const text = String(value)
  if (numberText.test(text)) return new DecimalParameter(text.trim())
  throw new ParameterError(`The value of column '${name}' is not a decimal number.`, { clientError: true })
}

/** Drizzle writes years before 1 and beyond 9999 as PostgreSQL does not read them; an invalid date it refuses. */
function dateParameter(column: ColumnLike, value: unknown): unknown {
  if (isArrayColumn(column)) return encodeArray(column, value)
  if (value === Infinity || value === -Infinity) return value === Infinity ? 'infinity' : '-infinity'
  if (!(value instanceof Date)) return column.mapToDriverValue(value)
  return (isTime(column) ? exactText(value) : undefined) ?? timestampText(value) ?? column.mapToDriverValue(value)
}

/** The literal of an array, whose elements are written like values of their type. */
function encodeArray(column: ColumnLike, value: unknown, name: string = column.name): unknown {
  const element = elementOf(column)
  if (element === null || !Array.isArray(value)) return column.mapToDriverValue(value)
  const write = (item: unknown, depth: number): unknown => {
    if (item === undefined)
      throw new ParameterError(`A list for column '${name}' has an element that is undefined: pass null for NULL.`)
    return depth > 0 && Array.isArray(item)
      ? item.map((inner: unknown) => write(inner, depth - 1))
      : encodeValue(element, item, name)
  }
  return arrayText(write(value, dimensionsOf(column)) as unknown[], plainText)
}

export function isArrayColumn(column: ColumnLike): boolean {
  return column.baseColumn !== undefined || arrayDimensions(column) > 0
}

/** As declared. */
function dimensionsOf(column: ColumnLike): number {
  return column.baseColumn === undefined ? arrayDimensions(column) : 1 + dimensionsOf(column.baseColumn)
}

function isJson({ columnType }: ColumnLike): boolean {
  return isJsonType(columnType)
}

function json(name: string, value: unknown): string {
  return jsonText(value, (what) => {
    throw new ParameterError(`The value of column '${name}' ${what}.`)
  })
}

/** The element of an array column, null for all others. */
function elementOf(column: ColumnLike): ColumnLike | null {
  if (column.baseColumn !== undefined) return elementOf(column.baseColumn) ?? column.baseColumn
  if (arrayDimensions(column) === 0) return null
  const { name, columnType } = column
  return {
    name,
    columnType,
    getSQLType: () => column.getSQLType(),
    mapFromDriverValue: (value) => column.mapFromDriverValue(value),
    mapToDriverValue: (value) => column.mapToDriverValue(value),
  }
}

/** Custom types get what node-postgres gives to Drizzle: parsed numbers, booleans and JSON, the rest as text. */
function modeOfType(type: string): Mode {
  return /^(smallint|int|integer|serial|real|double|bool|json|bytea)/i.test(type) ? 'default' : 'raw-text'
}

/** Elements come as text whatever their type. */
function textReader(element: ColumnLike): (text: string) => unknown {
  const { mode, map } = decodeOf(element)
  const read =
    mode === 'default' ? readerOfType(element.getSQLType()) : isDecimalNumber(element) ? Number : readers[mode]
  return map === undefined ? read : (text) => map(read(text))
}

/** Not an integer of eight bytes: a number is what is declared, however many digits it has. */
function isDecimalNumber({ columnType }: ColumnLike): boolean {
  return columnType === 'PgNumericNumber'
}

/** What the driver makes of a value by the type that came with it. */
function readerOfType(type: string): (text: string) => unknown {
  if (/^bool/i.test(type)) return (text) => text === 't'
  if (/^bytea/i.test(type)) return readBytea
  if (/^json/i.test(type)) return readers.json
  return /^(smallint|int[248]?|integer|(small)?serial\d?|real|double precision|float[48]?)\b/i.test(type)
    ? Number
    : readers.string
}

const readers: Readonly<Record<Mode, (text: string) => unknown>> = {
  default: (text) => text,
  string: (text) => text,
  'raw-text': (text) => text,
  number: safeNumber,
  bigint: BigInt,
  date: (text) => readTimestamp(text) ?? text,
  json: (text) => JSON.parse(text) as unknown,
  buffer: readBytea,
}

function safeNumber(text: string): number {
  const value = Number(text)
  if (/^-?\d+$/.test(text) && !Number.isSafeInteger(value))
    throw new UnsafeIntegerError(
      "An integer in an array is larger than a number can hold exactly. Declare the column with mode: 'bigint'.",
    )
  return value
}

function unreadable({ name }: ColumnLike): never {
  throw new ProtocolError(`Column ${name} did not come as an array.`)
}

/** `(1,2)`. */
function readPair(text: string): readonly number[] {
  return text.slice(1, -1).split(',').map(Number)
}

/** `{1,2,3}`: a line as a, b, c of ax + by + c = 0. */
function readLine(text: string): readonly number[] {
  return readPair(text)
}

const hasSrid = 0x20000000
const point = 1

/** A point as PostGIS sends it: EWKB in hexadecimal. */
function readPoint(text: string): readonly number[] {
  const bytes = Buffer.from(text, 'hex')
  const little = bytes[0] === 1
  const type = bytes.length < 21 ? 0 : little ? bytes.readUInt32LE(1) : bytes.readUInt32BE(1)
  if ((type & 0xff) !== point)
    throw new ProtocolError(
      'A value of a geometry column is no point, and geometry() of Drizzle reads points alone. Select others as SQL text.',
    )
  const at = (type & hasSrid) === 0 ? 5 : 9
  const read = (offset: number): number => (little ? bytes.readDoubleLE(offset) : bytes.readDoubleBE(offset))
  return [read(at), read(at + 8)]
}
