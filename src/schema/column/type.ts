// The SQL type of a column: Drizzle names the same types on both versions, but says what is an array in two ways, and
// leaves the schema off enums.
import { arrayDimensions } from '../../builder/drizzle/core/dimensions.ts'
import { qualified } from '../text/names.ts'
import type { ColumnParts } from '../source/parts.ts'

/** `"shop"."mood"[]`. */
export function typeOf(column: ColumnParts): string {
  if (column.baseColumn !== undefined) {
    const suffix = /\[\d*\]$/.exec(column.getSQLType())?.[0] ?? '[]'
    return `${typeOf(column.baseColumn)}${suffix}`
  }
  return `${scalarType(column)}${'[]'.repeat(dimensionsOf(column))}`
}

/** Without dimensions. */
export function baseType(column: ColumnParts): string {
  return scalarType(elementOf(column))
}

export function dimensionsOf(column: ColumnParts): number {
  if (column.baseColumn !== undefined) return 1 + dimensionsOf(column.baseColumn)
  return arrayDimensions(column)
}

/** What an array is of; a column that is none itself. */
export function elementOf(column: ColumnParts): ColumnParts {
  return column.baseColumn === undefined ? column : elementOf(column.baseColumn)
}

function scalarType(column: ColumnParts): string {
  return column.enum === undefined
    ? column.getSQLType()
    : qualified(column.enum.schema ?? undefined, column.enum.enumName)
}
