// What `where` takes, as one SQL condition: Drizzle's SQL as it is, an object as equality of its members.
import { and, type Column, eq, inArray, is, isNull, SQL, sql } from 'drizzle-orm'
import { UnknownColumnError, UsageError } from '../../errors/index.ts'
import type { ModelMeta } from '../meta/model-meta.ts'

type Columns = Readonly<Record<string, Column | SQL>>

/**
 * `columns` are those of the model, or of an alias; undefined asks for nothing, and gives no condition.
 * @throws {UnknownColumnError} for a key the model has not.
 * @throws {UsageError} for a member that is undefined, which would silently match every row.
 */
export function conditionOf(meta: ModelMeta, columns: Columns, filter: unknown): SQL | undefined {
  if (filter === undefined) return undefined
  if (is(filter, SQL)) return filter
  if (typeof filter !== 'object' || filter === null || Array.isArray(filter))
    throw new UsageError(
      "where() takes a condition, such as eq(User.c.name, 'Ada'), or an object, such as { name: 'Ada' }.",
    )
  const members = Object.entries(filter)
  const unknown = members.map(([key]) => key).filter((key) => !Object.hasOwn(columns, key))
  if (unknown.length > 0) throw unknownKeys(meta, unknown, Object.keys(columns))
  return and(...members.map(([key, value]) => equality(key, columns[key] as Column | SQL, value, meta)))
}

/** @throws {UnknownColumnError} always: names what was given and what there is. */
export function unknownKeys(meta: ModelMeta, given: readonly string[], known: readonly string[]): UnknownColumnError {
  return new UnknownColumnError(
    `${meta.sqlName} has no ${given.map((key) => JSON.stringify(key)).join(', ')}. It has ${known.join(', ')}.`,
  )
}

function equality(key: string, column: Column | SQL, value: unknown, meta: ModelMeta): SQL {
  if (value === undefined)
    throw new UsageError(
      `where({ ${key} }) was given undefined, which would match every row. Leave the member out, or pass null for NULL.`,
    )
  if (value === null) return isNull(column)
  if (!Array.isArray(value) || isArray(meta, key)) return eq(column as Column, value)
  if (value.length === 0) return sql`false`
  const given = value.filter((item) => item !== null)
  const listed = given.length === 0 ? undefined : inArray(column as Column, given)
  if (given.length === value.length) return listed as SQL
  return listed === undefined ? isNull(column) : sql`(${listed} or ${isNull(column)})`
}

/** Lists are one value to a column that holds lists, and to one of JSON. */
function isArray(meta: ModelMeta, key: string): boolean {
  const column = meta.byKey.get(key)
  if (column === undefined) return false
  const { dimensions, columnType } = column.column as Column & { readonly dimensions?: number }
  return column.isJson || columnType === 'PgArray' || (dimensions ?? 0) > 0
}
