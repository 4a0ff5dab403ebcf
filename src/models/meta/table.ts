// A Drizzle table or view as models see it: its columns, whether it is a view, which keys it declares. The two differ in
// where they keep their columns, and versions in what their types say of that.
import { type Column, getTableColumns, getTableName, is, type SQL, type Table, View } from 'drizzle-orm'
import { tableName, type ViewConfig, viewConfigOf, viewName } from '../../builder/drizzle/core/render.ts'
import { tableConfigOf } from '../../builder/drizzle/core/table-config.ts'
import { UsageError } from '../../errors/index.ts'

export function isView(table: unknown): table is View {
  return is(table, View)
}

/** Its columns by their TypeScript keys. No function of Drizzle is used for views: older versions lack it, and loading would fail. */
export function columnsOf(table: Table | View): Readonly<Record<string, Column>> {
  return isView(table) ? (configOf(table).selectedFields as Record<string, Column>) : getTableColumns(table)
}

/** `"schema"."name"`. */
export function sqlNameOf(table: Table | View): string {
  return (isView(table) ? viewName(table) : tableName(table)) as string
}

/** The name alone. */
export function nameOf(table: Table | View): string {
  return isView(table) ? configOf(table).name : getTableName(table)
}

function configOf(view: View): ViewConfig {
  return viewConfigOf(view) as ViewConfig
}

/**
 * The columns of the primary key by database names; none without one. Throws what the table's own declarations throw: they
 * may name a table of a module that has not been loaded so far.
 */
export function primaryKeyOf(table: Table): readonly string[] {
  const single = Object.values<Column>(getTableColumns(table)).filter(({ primary }) => primary)
  if (single.length > 0) return names(single)
  const [declared] = tableConfigOf(table).primaryKeys
  return declared === undefined ? [] : names(declared.columns)
}

const names = (of: readonly { readonly name?: string }[]): string[] => of.map(({ name }) => name ?? '')

/** The sets of columns a table declares as its primary key or as unique, by database names. Throws as `primaryKeyOf`. */
export function uniqueKeys(table: Table): readonly (readonly string[])[] {
  const { columns, uniqueConstraints, indexes } = tableConfigOf(table)
  const primary = primaryKeyOf(table)
  return [
    ...(primary.length > 0 ? [primary] : []),
    ...columns.filter(({ isUnique }) => isUnique).map(({ name }) => [name]),
    ...uniqueConstraints.map((key) => names(key.columns)),
    ...indexes
      .filter(({ config }) => config.unique && config.where === undefined)
      .map(({ config }) => names(config.columns as readonly { readonly name?: string }[])),
  ]
}

/**
 * The condition of the unique index that has exactly these columns; undefined when a whole key has them, or none that is declared.
 * @throws {UsageError} when several have them.
 */
export function partialKey(
  table: Table,
  columns: readonly { readonly name: string }[],
  method: string,
): SQL | undefined {
  const wanted = new Set(columns.map(({ name }) => name))
  const same = (key: readonly string[]): boolean => key.length === wanted.size && key.every((name) => wanted.has(name))
  if (uniqueKeys(table).some(same)) return undefined
  const found = tableConfigOf(table).indexes.filter(
    ({ config }) =>
      config.unique &&
      config.where !== undefined &&
      same(config.columns.map((column) => (column as { readonly name?: string }).name ?? '')),
  )
  if (found.length > 1)
    throw new UsageError(
      `${method} decides by ${[...wanted].join(', ')}, for which there are ${found.length} partial unique indexes: name one by its condition, as targetWhere.`,
    )
  return found[0]?.config.where
}
