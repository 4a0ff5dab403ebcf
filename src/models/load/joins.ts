// How two sources belong together: the condition that is given, else the one foreign key between their tables.
import { and, type Column, eq, type SQL } from 'drizzle-orm'
import { tableConfigOf } from '../../builder/drizzle/core/table-config.ts'
import { UsageError } from '../../errors/index.ts'
import { modelName } from '../meta/model-meta.ts'
import { isView, uniqueKeys } from '../meta/table.ts'
import type { Source } from './source.ts'

export interface Join {
  readonly kind: 'left' | 'inner'
  readonly source: Source
  readonly on: SQL
}

/** Columns that are equal, pair by pair. */
export interface Relation {
  readonly parent: readonly Column[]
  readonly child: readonly Column[]
}

/**
 * The relation by foreign key: that of the parent, or else that of the child.
 * @throws {UsageError} when there is none, or more than one: `on()` decides then.
 */
export function relationOf(parent: Source, child: Source): Relation {
  return firstOf(parent, child, keysOf(parent, child), keysTo(parent, child))
}

/** As `relationOf`, for a list: by the foreign key of the child, or else that of the parent. */
export function relationOfList(parent: Source, child: Source): Relation {
  return firstOf(parent, child, keysTo(parent, child), keysOf(parent, child))
}

/** The foreign keys of the child that lead to the parent. */
function keysTo(parent: Source, child: Source): Relation[] {
  return keysOf(child, parent).map(({ parent: from, child: to }) => ({ parent: to, child: from }))
}

function firstOf(parent: Source, child: Source, first: readonly Relation[], second: readonly Relation[]): Relation {
  const found = first.length > 0 ? first : second
  if (found.length === 1) return found[0] as Relation
  const reason = found.length === 0 ? 'no foreign key' : 'more than one foreign key'
  throw new UsageError(
    `There is ${reason} between ${parent.id} and ${child.id}: say how they belong together with .on(condition).`,
  )
}

/**
 * As `relationOf` for one object that is loaded into another.
 * @throws {UsageError} when the other side may have many: each object would come once for each of them.
 */
export function relationOfOne(parent: Source, child: Source, key: string): Relation {
  const relation = relationOf(parent, child)
  // A subquery may have one for each; its table does not say.
  if (child.isQuery || keysOf(parent, child).length > 0 || isUnique(child, relation.child)) return relation
  throw severalAsOne(parent, child, key)
}

export function severalAsOne(parent: Source, child: Source, key: string): UsageError {
  const [one, other] = [titleOf(parent), titleOf(child)]
  return new UsageError(
    `load({ ${key} }): one ${one} has many of ${other}, whose foreign key is not unique, so each ${one} would come once for each of them. Use many(${other}) for the list, or say which one it is with .on(condition).`,
  )
}

/** Its name in messages. */
export function titleOf({ model, id }: Source): string {
  return model === null ? id : modelName(model)
}

/** Whether one row at most has these values of the columns. */
export function isUnique({ table }: Source, columns: readonly Column[]): boolean {
  const names = new Set(columns.map(({ name }) => name))
  return uniqueKeys(table).some((key) => key.length > 0 && key.every((name) => names.has(name)))
}

export function conditionOfRelation({ parent, child }: Relation): SQL {
  return and(...parent.map((column, index) => eq(column, child[index] as Column))) as SQL
}

/** The foreign keys of `from` that lead to `to`. Views have none. */
export function keysOf(from: Source, to: Source): Relation[] {
  if (isView(from.table)) return []
  return tableConfigOf(from.table)
    .foreignKeys.map((key) => key.reference())
    .filter(({ foreignTable }) => foreignTable === to.table)
    .map(({ columns, foreignColumns }) => ({
      parent: columns.map(({ name }) => from.columnNamed(name)),
      child: foreignColumns.map(({ name }) => to.columnNamed(name)),
    }))
}
