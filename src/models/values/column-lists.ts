// New rows as one list for each column, for `unnest`: drivers write lists of common types in binary, and the server reads them for
// less than anything else.
import type { ModelColumn } from '../meta/model-column.ts'
import type { Cell } from './insert.ts'

/** Values of a type whose text tells its instant as a list of dates does. */
const instants = '"pg_catalog"."timestamptz"[]'

/**
 * Of rows with the same columns. Null: a value is no element of a list.
 * @param types Of the lists.
 */
export function columnLists(rows: readonly (readonly Cell[])[], types: readonly string[]): unknown[][] | null {
  const lists: unknown[][] = []
  for (let at = 0; at < types.length; at++) {
    const { column } = (rows[0] as readonly Cell[])[at] as Cell
    const dates = types[at] === instants && isDate(column)
    const list: unknown[] = []
    for (const cells of rows) {
      const { value } = cells[at] as Cell
      const element = dates && value instanceof Date ? value : column.encode(value)
      if (!isElement(element)) return null
      list.push(element)
    }
    lists.push(list)
  }
  return lists
}

/** Drizzle's own way with dates, not that of a custom type. */
function isDate({ column }: ModelColumn): boolean {
  return (column as { readonly columnType?: string }).columnType === 'PgTimestamp'
}

function isElement(value: unknown): boolean {
  if (typeof value !== 'object') return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol'
  return value === null || value instanceof Uint8Array || (value instanceof Date && !Number.isNaN(value.getTime()))
}
