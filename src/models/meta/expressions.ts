// `Model.c`: the columns of a model by key, and an SQL expression for each JSON property; the same for an alias.
import { aliasedTableColumn, type Column, type SQL } from 'drizzle-orm'
import type { ModelMeta } from './model-meta.ts'
import { columnsOf } from './table.ts'

export type Expression = Column | SQL | SQL.Aliased

/** The columns of the model's own table, or of an alias of it. */
export function expressionsOf(meta: ModelMeta, alias?: string): Readonly<Record<string, Column | SQL>> {
  const columns = columnsOf(meta.table)
  if (alias === undefined) return withProperties(meta, columns)
  // One by one: in 0.45 the alias of a view has the columns of the view itself.
  const aliased = Object.entries(columns).map(([key, column]) => [key, aliasedTableColumn(column, alias)] as const)
  return withProperties(meta, Object.fromEntries(aliased))
}

/** Adds the JSON properties to columns, which may be those of a subquery. */
export function withProperties(
  meta: ModelMeta,
  columns: Readonly<Record<string, Column>>,
): Readonly<Record<string, Column | SQL>> {
  const expressions: Record<string, Column | SQL> = { ...columns }
  for (const [name, property] of meta.properties) {
    const column = columns[property.column]
    if (column !== undefined) expressions[name] = property.expression(column)
  }
  return expressions
}
