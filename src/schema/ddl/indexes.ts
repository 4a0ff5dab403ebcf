// CREATE INDEX. `concurrently` is for tables that are in use, and cannot run in a transaction: those made here are
// empty, so it is left off.
import { isSqlLike, quoteName, type SqlLike } from '../../builder/drizzle/core/render.ts'
import { UsageError } from '../../errors/index.ts'
import type { IndexedColumnParts, IndexParts, TableParts } from '../source/parts.ts'
import { expression } from '../text/expression.ts'
import { clip, qualified } from '../text/names.ts'
import { storageSql } from './storage.ts'

export function indexSql(table: TableParts, { config }: IndexParts): string {
  const { columns, method, where } = config
  const parts = [
    `create ${config.unique ? 'unique ' : ''}index ${quoteName(nameOf(table, config))} on ${qualified(table.schema, table.name)}`,
    ...(method === undefined || method === 'btree' ? [] : [`using ${quoteName(method)}`]),
    `(${columns.map((column) => (isSqlLike(column) ? expression(column, 'indexes') : columnSql(column))).join(', ')})`,
    ...storageSql('with', config.with),
    ...(where === undefined ? [] : [`where ${expression(where, 'indexes')}`]),
  ]
  return parts.join(' ')
}

function nameOf(table: TableParts, { name, columns }: IndexParts['config']): string {
  if (name !== undefined) return name
  if (columns.some((column: IndexedColumnParts | SqlLike) => isSqlLike(column)))
    throw new UsageError(`An index on an expression of the table "${table.name}" has no name: give it one.`)
  return clip(`${table.name}_${columns.map((column) => (column as IndexedColumnParts).name).join('_')}_index`)
}

/** Drizzle says `nulls last` by default also when it descends. An operator class is SQL, as it may have parameters. */
function columnSql({ name, indexConfig: { order, nulls, opClass } = {} }: IndexedColumnParts): string {
  const descends = order === 'desc'
  const parts = [quoteName(name)]
  if (opClass !== undefined) parts.push(opClass)
  if (descends) parts.push('desc')
  if (descends && nulls === 'last') parts.push('nulls last')
  if (!descends && nulls === 'first') parts.push('nulls first')
  return parts.join(' ')
}
