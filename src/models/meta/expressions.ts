// `Model.c`: the columns of a model by key, and an SQL expression for each JSON property; the same for an alias.
import type { Column, SQL, Table } from 'drizzle-orm'
import type { ModelMeta } from './model-meta.ts'
import { columnsOf } from './table.ts'

export type Expression = Column | SQL | SQL.Aliased

/** `table` is the model's own, or one that has its columns under another name. */
export function expressionsOf(meta: ModelMeta, table: Table = meta.table): Readonly<Record<string, Column | SQL>> {
  const columns = columnsOf(table)
  return withProperties(meta, columns)
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
