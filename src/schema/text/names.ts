// Names as SQL, and the names that Drizzle's own kit gives to what has none: so a schema made here is the one that a
// migration would have made. Used by everything that writes DDL.
import { quoteName } from '../../builder/drizzle/core/render.ts'
import { UsageError } from '../../errors/index.ts'

/** The server keeps this many bytes of a name. */
const mostBytes = 63

/** `"schema"."name"`. @throws {UsageError} for names that are empty or longer than the server keeps. */
export function qualified(schema: string | undefined, name: string): string {
  return schema === undefined ? quoteName(name) : `${quoteName(schema)}.${quoteName(name)}`
}

export function quoteNames(names: readonly string[]): string {
  return names.map((name) => quoteName(name)).join(', ')
}

/** Cuts a name that is too long as the server does, at a whole character. For names nobody wrote; others are refused. */
export function clip(name: string): string {
  let bytes = 0
  let clipped = ''
  for (const character of name) {
    bytes += Buffer.byteLength(character)
    if (bytes > mostBytes) return clipped
    clipped += character
  }
  return name
}

/** The name drizzle-kit 1.0 gives to a foreign key without one. */
export function foreignKeyName(
  table: string,
  columns: readonly string[],
  foreignTable: string,
  foreignColumns: readonly string[],
): string {
  const whole = `${table}_${columns.join('_')}_${foreignTable}_${foreignColumns.join('_')}_fkey`
  if (whole.length <= mostBytes) return clip(whole)
  return clip(table.length < 45 ? `${table}_${hash(whole)}_fkey` : `${hash(whole)}_fkey`)
}

/** A word of SQL that was given as a text. `what` it is stands in the message. @throws {UsageError} for another word. */
export function keyword(words: readonly string[], given: string, what: string): string {
  const word = given.toLowerCase()
  if (words.includes(word)) return word
  throw new UsageError(`${what} is one of ${words.join(', ')}, not ${JSON.stringify(given.slice(0, 30))}.`)
}

const digits = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
const length = 12

/** drizzle-kit's polynomial hash, in twelve digits to the base of 62. */
function hash(text: string): string {
  const base = BigInt(digits.length)
  const range = base ** BigInt(length)
  let power = 1n
  let sum = 0n
  for (const character of text) {
    sum = (sum + BigInt(character.codePointAt(0) ?? 0) * power) % range
    power = (power * 53n) % range
  }
  let made = ''
  for (let rest = sum; made.length < length; rest /= base) made = (digits[Number(rest % base)] ?? '') + made
  return made
}
