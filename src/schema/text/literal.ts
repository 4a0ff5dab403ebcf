// Values as SQL literals, because DDL takes no parameters. Text is always quoted; what a value is for decides the server
// by where it stands, as with a parameter.
import { quoteText, render, type RenderOptions, type SqlLike } from '../../builder/drizzle/core/render.ts'
import { UsageError } from '../../errors/index.ts'
import { jsonText as textOf } from '../../sql/parameters.ts'
import { is, SQL } from 'drizzle-orm'
import { literal as literalOfMysql } from '../../mysql/dialect.ts'
import { postgres } from '../../postgres/dialect.ts'
import type { Dialect } from '../../sql/dialect.ts'
import { cut } from '../../sql/parts.ts'

/** @throws {UsageError} for a value that has no literal; the message names its type only. */
export function literal(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (typeof value === 'boolean' || typeof value === 'bigint') return signed(String(value))
  if (typeof value === 'number' && Number.isFinite(value)) return signed(plainText(value))
  return quoteText(plainText(value))
}

/** A minus behind an operator would make another operator, two of them a comment. */
const signed = (digits: string): string => (digits.startsWith('-') ? `(${digits})` : digits)

/** The text form the server reads. Arrays are PostgreSQL's, objects JSON. */
export function plainText(value: unknown): string {
  if (value instanceof Date) return dateText(value)
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`
  if (Array.isArray(value)) return arrayText(value, plainText)
  if (typeof value === 'string') return value
  // `Infinity` and `NaN` are understood by the server as JavaScript writes them.
  if (typeof value === 'number') return Object.is(value, -0) ? '0' : String(value)
  return typeof value === 'bigint' || typeof value === 'boolean' ? String(value) : jsonText(value)
}

/** @throws {UsageError} for what JSON cannot say. */
export function jsonText(value: unknown): string {
  return textOf(value, (what) => {
    throw new UsageError(`A value in the schema ${what}.`)
  })
}

/** `{…}` with every element quoted but NULL; `text` gives an element that is no array. (PostgreSQL manual 8.15.6.) */
export function arrayText(values: readonly unknown[], text: (value: unknown) => string): string {
  const elements = values.map((value) => {
    if (value === null || value === undefined) return 'NULL'
    if (Array.isArray(value)) return arrayText(value, text)
    return `"${text(value).replaceAll(/["\\]/g, String.raw`\$&`)}"`
  })
  return `{${elements.join(',')}}`
}

/** @throws {UsageError} for an invalid date. */
export function dateText(value: Date): string {
  if (Number.isNaN(value.getTime()))
    throw new UsageError('A date in the schema, such as a default, is invalid. Give a valid Date, or SQL.')
  return value.toISOString()
}

// Drizzle's SQL objects as text without parameters. Drizzle can write values into the text itself, but not every kind of
// value, and not rightly on both versions: so placeholders are rendered and replaced here.

/** With `indexes` columns stand without their table, as in an index, a check or a generated column. */
export function expression(value: SqlLike, source?: RenderOptions['source'], dialect: Dialect = postgres): string {
  const statement = render(withParameters(value), { source, dialect })
  const { texts, uses, params } = cut(dialect, statement)
  const written = dialect === postgres ? literal : mysqlLiteral
  return texts.map((text, index) => (index === 0 ? text : written(params[uses[index - 1] ?? 0]) + text)).join('')
}

export function mysqlDateText(value: Date): string {
  return dateText(value).slice(0, -1).replace('T', ' ')
}

/** Like `literal`, in a form that no `sql_mode` reads otherwise. */
export function mysqlLiteral(value: unknown): string {
  if (value instanceof Date) return `'${mysqlDateText(value)}'`
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString('hex')}'`
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new UsageError(
      'A number in the schema, such as a default, is not finite, for which MySQL has no form. Give a finite one, or SQL.',
    )
  if (typeof value !== 'string' && !(typeof value === 'object' && value !== null)) return literal(value)
  const text = typeof value === 'string' ? value : jsonText(value)
  return literalOfMysql(text)
}

/** A view's query is marked to have its values inlined by Drizzle; a copy is not. */
function withParameters(value: SqlLike): SqlLike {
  if (!is(value, SQL)) return value
  // Its own class, which need not be the one imported here.
  const Copy = value.constructor as typeof SQL
  return new Copy([...value.queryChunks])
}
