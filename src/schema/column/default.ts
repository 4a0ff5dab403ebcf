// The default of a column as SQL: in the forms drizzle-kit writes, so that the server keeps the same expression.
// Functions (`$defaultFn`) are Drizzle's at run time, and no DDL.
import { is, SQL } from 'drizzle-orm'
import { quoteText } from '../../builder/drizzle/core/render.ts'
import type { ColumnParts } from '../source/parts.ts'
import { expression, arrayText, dateText, jsonText, plainText } from '../text/literal.ts'
import { arrayDimensions } from '../../builder/drizzle/core/dimensions.ts'
import { qualified } from '../text/names.ts'

/** Undefined when the column has none. @throws {UsageError} for a value that SQL cannot say. */
export function defaultOf(column: ColumnParts): string | undefined {
  const value = column.default
  if (value === undefined) return undefined
  const isArray = dimensionsOf(column) > 0
  if (is(value, SQL)) return isArray ? `(${expression(value)})::${baseType(column)}[]` : expression(value)
  if (value === null) return 'null'
  if (isArray) return `${quoteText(arrayOf(column, value))}::${baseType(column)}[]`
  return isBare(column, value) ? plainText(value) : quoteText(textOf(column, value))
}

/** Numbers and booleans of the server's own types; `numeric` is quoted, so that no digit is lost on the way. */
function isBare(column: ColumnParts, value: unknown): boolean {
  const type = column.getSQLType()
  if (typeof value === 'boolean') return /^bool/i.test(type)
  if (!/^(smallint|int|integer|bigint|real|double|float)/i.test(type) || /^interval|^int\w*range/i.test(type))
    return false
  if (typeof value === 'number') return Number.isFinite(value)
  return typeof value === 'bigint' || (typeof value === 'string' && /^-?\d+$/.test(value))
}

/** Drizzle 1.0 maps arrays of custom types as a whole, 0.45 element by element. */
function arrayOf(column: ColumnParts, value: unknown): string {
  if (typeof value === 'string') return value
  const whole = column.columnType === 'PgCustomColumn' ? column.mapToDriverValue(value) : value
  const element = elementOf(column)
  const text =
    column.columnType === 'PgCustomColumn' ? plainText : (each: unknown): string => elementText(element, each)
  return nested(whole as readonly unknown[], dimensionsOf(column), text)
}

/** A point is an array too: how deep the array goes the column says, not the value. */
function nested(values: readonly unknown[], depth: number, text: (value: unknown) => string): string {
  if (depth <= 1)
    return arrayText(
      values.map((value) => (value === null ? null : text(value))),
      (each) => each as string,
    )
  const inner = values.map((value) => nested(value as readonly unknown[], depth - 1, text))
  return `{${inner.join(',')}}`
}

const elementText = (column: ColumnParts, value: unknown): string =>
  typeof value === 'boolean' ? (value ? 't' : 'f') : textOf(column, value)

/** One value as the server reads it. */
function textOf(column: ColumnParts, value: unknown): string {
  const { columnType } = column
  switch (columnType) {
    case 'PgJson':
    case 'PgJsonb':
      return jsonText(value)
    case 'PgCustomColumn':
      return plainText(column.mapToDriverValue(value))
    case 'PgVector':
    case 'PgHalfVector':
      return Array.isArray(value) ? jsonText(value) : plainText(value)
    case 'PgPointTuple':
      return `(${numbers(value).join(',')})`
    case 'PgPointObject':
      return `(${members(value, 'x', 'y').join(',')})`
    case 'PgLine':
      return `{${numbers(value).join(',')}}`
    case 'PgLineABC':
      return `{${members(value, 'a', 'b', 'c').join(',')}}`
    case 'PgGeometry':
      return pointText(column, numbers(value))
    case 'PgGeometryObject':
      return pointText(column, members(value, 'x', 'y'))
    default:
      return timeText(column.getSQLType(), value)
  }
}

const numbers = (value: unknown): readonly unknown[] => value as readonly unknown[]
const members = (value: unknown, ...names: readonly string[]): readonly unknown[] =>
  names.map((name) => (value as Record<string, unknown>)[name])

function pointText({ srid }: ColumnParts, [x, y]: readonly unknown[]): string {
  return `${srid === undefined ? '' : `SRID=${srid};`}POINT(${String(x)} ${String(y)})`
}

/** Times with a zone are told with one, so that none of the session's is put in. */
function timeText(type: string, value: unknown): string {
  if (value instanceof Date) {
    const text = dateText(value)
    if (/^date/i.test(type)) return text.slice(0, text.indexOf('T'))
    return /with time zone|tz/i.test(type) ? text : text.replace('Z', '')
  }
  const text = plainText(value)
  const zoned = /^time.*(with time zone|tz)/i.test(type)
  return zoned && /\d:\d\d(:\d\d(\.\d+)?)?$/.test(text) && !/[+-]\d\d(:?\d\d)*$/.test(text) ? `${text}+00` : text
}

// The SQL type of a column: Drizzle names the same types on both versions, but says what is an array in two ways, and
// leaves the schema off enums.

/** `"shop"."mood"[]`. */
export function typeOf(column: ColumnParts): string {
  if (column.baseColumn !== undefined) {
    const suffix = /\[\d*\]$/.exec(column.getSQLType())?.[0] ?? '[]'
    return `${typeOf(column.baseColumn)}${suffix}`
  }
  return `${scalarType(column)}${'[]'.repeat(dimensionsOf(column))}`
}

/** Without dimensions. */
function baseType(column: ColumnParts): string {
  return scalarType(elementOf(column))
}

function dimensionsOf(column: ColumnParts): number {
  if (column.baseColumn !== undefined) return 1 + dimensionsOf(column.baseColumn)
  return arrayDimensions(column)
}

/** The element of an array; a column that is no array itself. */
function elementOf(column: ColumnParts): ColumnParts {
  return column.baseColumn === undefined ? column : elementOf(column.baseColumn)
}

function scalarType(column: ColumnParts): string {
  return column.enum === undefined
    ? column.getSQLType()
    : qualified(column.enum.schema ?? undefined, column.enum.enumName)
}
