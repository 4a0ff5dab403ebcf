// The columns that find a row of a model: the primary key that its table declares, or other unique columns named by `pk`.
import type { Column, Table } from 'drizzle-orm'
import { GeneverError, UsageError } from '../../errors/index.ts'
import { describeType } from '../../util/options.ts'
import { isView, primaryKeyOf, uniqueKeys } from './table.ts'

type Columns = Readonly<Record<string, Column>>

/**
 * The keys of the columns, checked now, or when they are first asked for where the table's declarations name a table of a
 * module that has not been loaded so far.
 * @throws {UsageError} when `pk` names no column, one that may be NULL, or columns that are not unique.
 */
export function keyOf(name: string, table: Table, columns: Columns, pk: unknown): () => readonly string[] {
  const given = pk === undefined ? undefined : named(name, table, columns, pk)
  const find = (): readonly string[] =>
    given === undefined ? declared(table, columns) : checked(name, table, columns, given)
  try {
    const keys = find()
    return () => keys
  } catch (error) {
    if (error instanceof GeneverError) throw error
    return find
  }
}

function named(name: string, table: Table, columns: Columns, pk: unknown): readonly string[] {
  const keys: readonly unknown[] = Array.isArray(pk) ? pk : [pk]
  if (keys.length === 0 && !isView(table))
    throw new UsageError(`pk: [] of ${name} says that it has no key, which only a view can.`)
  if (!keys.every((key) => typeof key === 'string'))
    throw new UsageError(`pk is the key of a column of ${name}, or a list of them, not ${describeType(pk)}.`)
  const missing = keys.filter((key) => !Object.hasOwn(columns, key))
  if (missing.length > 0)
    throw new UsageError(`pk: ${name} has no column ${missing.join(', ')}. It has ${Object.keys(columns).join(', ')}.`)
  if (new Set(keys).size < keys.length)
    throw new UsageError(`pk: ${name} has each column once, not ${keys.join(', ')}.`)
  return keys
}

/** A view declares none: its column `id`. */
function declared(table: Table, columns: Columns): readonly string[] {
  if (isView(table)) return Object.hasOwn(columns, 'id') ? ['id'] : []
  const keys = Object.keys(columns)
  return primaryKeyOf(table).map((column) => keys.find((key) => columns[key]?.name === column) as string)
}

function checked(name: string, table: Table, columns: Columns, keys: readonly string[]): readonly string[] {
  if (isView(table)) return keys
  const given = new Set(keys.map((key) => (columns[key] as Column).name))
  const covers = (unique: readonly string[]): boolean =>
    unique.length > 0 && unique.every((column) => given.has(column))
  const primary = Object.values(columns).filter(({ primary: is }) => is)
  const unique =
    keys.some((key) => (columns[key] as Column).isUnique) || covers(primary.map(({ name: column }) => column))
  // The columns alone are looked at first: the rest may name tables of modules that have not been loaded so far.
  if (!unique && !uniqueKeys(table).some(covers))
    throw new UsageError(
      `pk: ${keys.join(', ')} of ${name} is neither its primary key nor unique, so it does not find one row. Declare it in the table, or name the key with { pk }.`,
    )
  const nullable = keys.filter((key) => !(columns[key] as Column).notNull)
  if (nullable.length === 0) return keys
  const declaredKey = primaryKeyOf(table)
  const missing = nullable.filter((key) => !declaredKey.includes((columns[key] as Column).name))
  if (missing.length === 0) return keys
  throw new UsageError(
    `pk: ${missing.join(', ')} of ${name} may be NULL, and nothing finds a row by NULL. Declare it notNull() in the table, or name another key with { pk }.`,
  )
}
