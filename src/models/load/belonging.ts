// Which rows of a list belong to an object: by columns that are equal, by the condition that was given, or by both. Each column
// of that condition belongs to one side. All other conditions of a list, and its order, name tables of the list alone.
import { and, type Column, eq, type SQL, sql } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import type { Condition } from '../query/compile/condition.ts'
import { columnsIn, withColumns } from './columns.ts'
import type { Level, List } from './level.ts'
import type { ListNode } from './node.ts'
import { qualifierOf } from './source.ts'

/** The condition of a list, in which the columns of the rows that have it are those of a subquery of them. */
export function outside(rows: Level, list: List): SQL {
  return belonging(list, rows, (column) => sql.raw(rows.outer(rows.find(column) ?? rows.add(column))))
}

/** The same where these rows are no subquery. */
export function beside(rows: Level, list: List): SQL {
  return belonging(list, rows, () => undefined)
}

/**
 * Selects the columns that conditions of lists compare with.
 * @throws {UsageError} when a list names a table that it cannot see.
 */
export function settle(rows: Level): void {
  for (const list of rows.lists) {
    const { key, level } = list
    outside(rows, list)
    checkOwn(key, list, (id) => level.has(id))
    checkOwn(key, { where: level.joins.conditions, orderBy: [] }, (id) => level.has(id))
    checkOwn(key, { where: [], orderBy: level.items }, (id) => level.has(id))
    settle(level)
  }
}

/**
 * The condition in terms of both. `taken` gives what stands for a column of the rows that have the list.
 * @throws {UsageError} for a column that both sides have, or neither.
 */
function belonging(list: List, rows: Level, taken: (column: Column) => SQL | undefined): SQL {
  const { pairs, on } = list
  const keys =
    pairs?.parent.map((column, at) => eq((taken(column) ?? column) as Column, pairs.child[at] as Column)) ?? []
  const own =
    on === null
      ? undefined
      : withColumns(on, (column, within) => (has(list, rows, column, within) ? taken(column) : undefined))
  return and(...keys, own) as SQL
}

/** Whether a column is of what has the list. The object, what is listed and the table in between are named by their own names. */
function has({ key, level, parent, child }: List, rows: Level, column: Column, within: boolean): boolean {
  const id = qualifierOf(column)
  const listed = id === level.source.id || id === child.id
  if (id === parent.id && !listed) return true
  if (listed && id !== parent.id) return false
  const [ofList, ofRows] = [level.has(id), rows.has(id)]
  if (ofList && ofRows)
    throw new UsageError(
      `The condition of load({ ${key} }) is on ${id}, which is in the list and in what has it: use alias('name') for one of them.`,
    )
  if (ofList || ofRows) return ofRows
  if (within) return false
  throw new UsageError(
    `The condition of load({ ${key} }) is on ${id}, which is neither in the list nor in what has it: load it there, or use a subquery.`,
  )
}

/** @throws {UsageError} when a condition, an order or a value of a list names a table that is not in it. */
export function checkOwn(
  key: string,
  { where, orderBy }: Pick<ListNode, 'where'> & { readonly orderBy: readonly unknown[] },
  isIn: (id: string) => boolean,
  advice: string = 'Compare with what has it by many(…).on(condition).',
): void {
  const own: unknown[] = [...where.filter(isSql), ...orderBy]
  for (const column of columnsIn(own)) {
    const id = qualifierOf(column)
    if (!isIn(id))
      throw new UsageError(
        `The list load({ ${key} }) has a condition, an order or a value on ${id}, which is not in the list. ${advice}`,
      )
  }
}

/** The members of an object are columns and properties of the list's own rows. */
function isSql(condition: Condition): condition is SQL {
  return !('members' in condition)
}
