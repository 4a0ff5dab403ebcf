// By which settings the server reads literals. It does so while it parses a text, so a prepared statement keeps the values that
// they had then: `'2024-01-01'::timestamptz` is the midnight of the zone of that moment, and `'today'` that day for ever.
import type { Compiled } from '../sql/compiled.ts'

/** What a session has of those settings: those that were changed, in one spelling; `''` for what it began with. */
export type Read = string

/** Nobody knows what they are. */
export const unknownRead: Read = '?'

/** By name in lower case; null: as the session began; undefined: nobody knows. */
export type ReadChanges = Readonly<Record<string, string | null | undefined>>

const iso = /^iso\s*,\s*([a-z]+)$/

/** One spelling of a value; undefined where it means what another one was before. */
export function readValue(name: string, value: string): string | undefined {
  const spelt = value.trim().toLowerCase()
  if (name.toLowerCase() !== 'datestyle') return spelt
  const order = iso.exec(spelt)?.[1]
  return order === undefined ? undefined : `iso, ${order}`
}

export function withChanges(before: Read, changes: ReadChanges): Read {
  if (before === unknownRead) return before
  const values = new Map(before === '' ? [] : before.split('\n').map((line) => line.split('=', 2) as [string, string]))
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) return unknownRead
    if (value === null) values.delete(name)
    else values.set(name, value.replaceAll(/[\n=]/g, ' '))
  }
  return [...values]
    .map((entry) => entry.join('='))
    .toSorted()
    .join('\n')
}

const numbers = new Map<Read, number>()
const mostNumbers = 10_000
let last = 0

/** Equal for equal ones, whatever the session: 0 for what it began with, -1 for what nobody knows. */
export function numberOf(read: Read): number {
  if (read === '') return 0
  if (read === unknownRead) return -1
  let number = numbers.get(read)
  if (number === undefined) {
    if (numbers.size >= mostNumbers) numbers.clear()
    numbers.set(read, (number = ++last))
  }
  return number
}

/** Literals, and NULL, which `transform_null_equals` is about. */
const literals = /'|\$[^\d\s]|\bnull\b/i
const known = new WeakMap<Compiled, boolean>()

/** Whether what a statement means may depend on those settings. */
export function hasLiterals(stmt: Compiled): boolean {
  let found = known.get(stmt)
  if (found === undefined) known.set(stmt, (found = literals.test(stmt.text)))
  return found
}
