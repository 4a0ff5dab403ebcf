// The values of a subquery that is selected from: Drizzle has an expression in it as that expression with a mark, which says that it
// is written by its name.
import { type Column, is, SQL, sql } from 'drizzle-orm'

/** Whether it is such a value. */
export function isSelected(expression: SQL.Aliased): boolean {
  return (expression as { readonly isSelectionField?: boolean }).isSelectionField === true
}

/** The expression in a form that can be written alone: Drizzle would write the inside of such a value. */
export function writable(expression: Column | SQL | SQL.Aliased): Column | SQL | SQL.Aliased {
  if (!is(expression, SQL.Aliased) || !isSelected(expression)) return expression
  const { decoder } = expression.sql as unknown as { readonly decoder: Parameters<SQL['mapWith']>[0] }
  return sql`${expression}`.mapWith(decoder).as(expression.fieldAlias)
}
