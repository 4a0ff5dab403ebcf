// Values as SQL literals, because DDL takes no parameters. Text is always quoted; what a value is for decides the server
// by where it stands, as with a parameter.
import { quoteText } from '../../builder/drizzle/core/render.ts'
import { UsageError } from '../../errors/index.ts'
import { describeType } from '../../sql/foreign.ts'

/** @throws {UsageError} for a value that has no literal; the message names its type only. */
export function literal(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? signed(String(value)) : quoteText(numberText(value))
    case 'bigint':
      return signed(String(value))
    case 'boolean':
      return String(value)
    default:
      return quoteText(plainText(value))
  }
}

/** A minus behind an operator would make another operator, two of them a comment. */
const signed = (digits: string): string => (digits.startsWith('-') ? `(${digits})` : digits)

/** The text form the server reads. Arrays are PostgreSQL's, objects JSON. */
export function plainText(value: unknown): string {
  if (value instanceof Date) return dateText(value)
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`
  if (Array.isArray(value)) return arrayText(value, plainText)
  switch (typeof value) {
    case 'string':
      return value
    case 'number':
      return numberText(value)
    case 'bigint':
    case 'boolean':
      return String(value)
    default:
      return jsonText(value)
  }
}

export function jsonText(value: unknown): string {
  const text = typeof value === 'function' ? undefined : (JSON.stringify(value) as string | undefined)
  if (text === undefined) throw new UsageError(`A value in the schema is ${describeType(value)}, which SQL cannot say.`)
  return text
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

/** `Infinity` and `NaN` are understood by the server as JavaScript writes them. */
const numberText = (value: number): string => (Object.is(value, -0) ? '0' : String(value))

/** @throws {UsageError} for an invalid date. */
export function dateText(value: Date): string {
  if (Number.isNaN(value.getTime())) throw new UsageError('A date in the schema is invalid.')
  return value.toISOString()
}
