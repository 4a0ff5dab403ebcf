// A new row: what is inserted into which column, and the statement of one row. Used by `create`, `createMany` and `upsert`.
import { UsageError } from '../../errors/index.ts'
import type { JsonProperty } from '../json/property.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import type { ModelMeta } from '../meta/model-meta.ts'
import { held } from '../meta/row.ts'
import { asExpression } from './expression.ts'
import { checkKeys, type Values } from './given.ts'
import { isPlainObject } from './merge.ts'

/** A column of a new row with the value as it was given, or SQL. */
export interface Cell {
  readonly column: ModelColumn
  readonly value: unknown
  readonly isSql: boolean
}

/**
 * In the order of the columns; those without a value are left to the database.
 * @throws {UnknownColumnError} for keys that the model has not.
 */
export function cellsOf(meta: ModelMeta, values: Values): Cell[] {
  checkKeys(meta, values)
  return cellsIn(meta, values, false)
}

/** The same of an instance, which may have other fields, and columns that are accessors. */
export function cellsOfInstance(meta: ModelMeta, instance: Values): Cell[] {
  return cellsIn(meta, instance, true)
}

function cellsIn(meta: ModelMeta, values: Values, hasAccessors: boolean): Cell[] {
  const cells: Cell[] = []
  for (const column of meta.columns) {
    if (column.readOnly) continue
    const given = hasAccessors || Object.hasOwn(values, column.key) ? values[column.key] : undefined
    const properties = meta.propertiesOf.get(column.key)
    const value = properties === undefined ? given : withProperties(column, properties, given, values)
    if (value !== undefined) cells.push(cell(column, value))
    else {
      const make = defaultMaker(column)
      if (make !== undefined) cells.push(cell(column, make()))
    }
  }
  return cells
}

/** As in Drizzle, the function for updates also serves for new rows of a column without a default. */
function defaultMaker({
  column: { defaultFn, onUpdateFn, default: ofDatabase },
}: ModelColumn): (() => unknown) | undefined {
  return defaultFn ?? (ofDatabase === undefined || ofDatabase === null ? onUpdateFn : undefined)
}

/** The value that a new row has in the column where none is given, as far as Drizzle knows it: a copy, to be changed. */
export function defaultOf(column: ModelColumn): unknown {
  return held(defaultMaker(column)?.() ?? column.column.default)
}

function cell(column: ModelColumn, value: unknown): Cell {
  // Custom types may write SQL themselves.
  const expression = asExpression(value) ?? (column.isCustom ? asExpression(column.encode(value)) : undefined)
  return expression === undefined ? { column, value, isSql: false } : { column, value: expression, isSql: true }
}

/** The value of a JSON column with its properties and their defaults; undefined when there is nothing to store. */
function withProperties(
  column: ModelColumn,
  properties: readonly JsonProperty[],
  given: unknown,
  values: Values,
): unknown {
  if (given !== undefined && !isPlainObject(given)) return onlyColumn(properties, given, values)
  const stored: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  let any = given !== undefined
  const made = given === undefined ? defaultMaker(column)?.() : undefined
  const base = given ?? made ?? column.column.default
  if (isPlainObject(base)) Object.assign(stored, base)
  for (const property of properties) {
    const value = Object.hasOwn(values, property.name) ? values[property.name] : undefined
    if (value !== undefined) {
      if (asExpression(value) !== undefined)
        throw new UsageError(
          `The JSON property '${property.name}' of a new row takes a value, not SQL: give the column '${property.column}' an expression instead.`,
        )
      stored[property.key] = property.write(value)
    } else if (property.storesDefault && !Object.hasOwn(stored, property.key)) {
      const fallback = property.fallback(isPlainObject(given) ? given : values)
      if (fallback === undefined || fallback === null) continue
      stored[property.key] = property.write(fallback)
    } else continue
    any = true
  }
  return any ? stored : made
}

/** A column that is given as SQL, NULL, a list or a scalar has no room for properties. */
function onlyColumn(properties: readonly JsonProperty[], given: unknown, values: Values): unknown {
  const both = properties.filter(({ name }) => Object.hasOwn(values, name) && values[name] !== undefined)
  if (both.length > 0)
    throw new UsageError(
      `'${both[0]?.column}' was given together with its property '${both[0]?.name}', and is not an object that could hold it.`,
    )
  return given
}
