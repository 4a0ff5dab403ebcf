// The order of a list by columns of whole numbers, as most keys are. The server takes long to sort many short lists, or whole
// rows; the rows of a list mostly come in this order already.
import { Column, is, type SQL } from 'drizzle-orm'
import { decodeExpression } from '../meta/decode.ts'
import type { Values } from '../load/instances.ts'
import type { Source } from '../load/source.ts'

const whole = /^(smallint|integer|bigint|smallserial|serial|bigserial)$/

/** Whether these are columns of the source that are numbers or bigints here, so that their order is the server's. */
export function isWholeKey(columns: readonly (Column | SQL)[], { meta, columns: own }: Source): boolean {
  const known = meta?.columns.map(({ key }) => own[key]) ?? []
  return (
    columns.length > 0 && columns.every((column) => known.includes(column) && is(column, Column) && isWhole(column))
  )
}

function isWhole(column: Column): boolean {
  return wholeMode(column) !== null
}

/** How a column of whole numbers is read, without loss. Null for other columns. */
export function wholeMode(column: Column): 'number' | 'bigint' | 'default' | null {
  const type = column.getSQLType()
  const { mode, map } = decodeExpression(column)
  if (map !== undefined || !whole.test(type)) return null
  if (mode === 'number' || mode === 'bigint') return mode
  return mode === 'default' && !type.startsWith('big') ? mode : null
}

/** The rows in the order of their values at these places, NULL last. */
export function sortedByKey(rows: readonly Values[], places: readonly number[]): readonly Values[] {
  for (let at = 1; at < rows.length; at++)
    if (compare(rows[at - 1] as Values, rows[at] as Values, places) > 0)
      return rows.toSorted((one, other) => compare(one, other, places))
  return rows
}

function compare(one: Values, other: Values, places: readonly number[]): number {
  for (let i = 0; i < places.length; i++) {
    const [a, b] = [one[places[i] as number], other[places[i] as number]] as [number | null, number | null]
    if (a === b) continue
    if (a === null) return 1
    if (b === null) return -1
    return a < b ? -1 : 1
  }
  return 0
}
