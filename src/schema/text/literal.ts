// Values as SQL literals, because DDL takes no parameters. Text is always quoted; what a value is for decides the server
// by where it stands, as with a parameter.
import { quoteText } from '../../builder/drizzle/core/render.ts'
import { UsageError } from '../../errors/index.ts'
import { jsonText as textOf } from '../../sql/json.ts'

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
  if (Number.isNaN(value.getTime())) throw new UsageError('A date in the schema is invalid.')
  return value.toISOString()
}
