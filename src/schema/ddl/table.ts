// A table: what is made with it, and what can only be made when others are there.
import type { Table } from '../source/collect.ts'
import { columnSql } from '../column/column.ts'
import { qualified, clip } from '../text/names.ts'
import { constraintsSql, foreignKeySql } from './constraints.ts'
import { policySql } from './policy.ts'
import { UsageError } from '../../errors/index.ts'
import { literal, expression } from '../text/literal.ts'
import { isSqlLike, quoteName, type SqlLike } from '../../builder/drizzle/core/render.ts'
import type { IndexedColumnParts, IndexParts, TableParts } from '../source/parts.ts'

/** CREATE TABLE, its indexes, and row level security if it has policies. */
export function tableSql({ parts, policies }: Table): string[] {
  const lines = [...parts.columns.map((column) => columnSql(parts, column)), ...constraintsSql(parts)]
  const name = qualified(parts.schema, parts.name)
  const statements = [`create table ${name} (${lines.map((line) => `\n  ${line}`).join(',')}\n)`]
  for (const index of parts.indexes) statements.push(indexSql(parts, index))
  if (parts.enableRLS || policies.length > 0) statements.push(`alter table ${name} enable row level security`)
  return statements
}

export function foreignKeysSql({ parts }: Table): string[] {
  return parts.foreignKeys.map((key) => foreignKeySql(parts, key))
}

export function policiesSql({ parts, policies }: Table): string[] {
  return policies.map((policy) => policySql(parts, policy))
}

/** Names as Drizzle writes them, `securityBarrier`, or as the server does. @throws {UsageError} for others. */
export function storageSql(keyword: string, options: Readonly<Record<string, unknown>> = {}): string[] {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined && value !== null)
  if (entries.length === 0) return []
  return [`${keyword} (${entries.map(([name, value]) => `${nameOf(name)} = ${literal(value)}`).join(', ')})`]
}

function nameOf(name: string): string {
  const snake = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  if (!/^[a-z_][a-z0-9_.]*$/.test(snake))
    throw new UsageError(
      `The storage parameter ${JSON.stringify(name)} has other signs in its name than letters, digits, "_" and ".".`,
    )
  return snake
}

// CREATE INDEX. `concurrently` is for tables that are in use, and cannot run in a transaction: those made here are
// empty, so it is left off.
function indexSql(table: TableParts, { config }: IndexParts): string {
  const { columns, method, where } = config
  const parts = [
    `create ${config.unique ? 'unique ' : ''}index ${quoteName(indexName(table, config))} on ${qualified(table.schema, table.name)}`,
    ...(method === undefined || method === 'btree' ? [] : [`using ${quoteName(method)}`]),
    `(${columns.map((column) => (isSqlLike(column) ? expression(column, 'indexes') : keySql(column))).join(', ')})`,
    ...storageSql('with', config.with),
    ...(where === undefined ? [] : [`where ${expression(where, 'indexes')}`]),
  ]
  return parts.join(' ')
}

function indexName(table: TableParts, { name, columns }: IndexParts['config']): string {
  if (name !== undefined) return name
  if (columns.some((column: IndexedColumnParts | SqlLike) => isSqlLike(column)))
    throw new UsageError(`An index on an expression of the table "${table.name}" has no name: give it one.`)
  return clip(`${table.name}_${columns.map((column) => (column as IndexedColumnParts).name).join('_')}_index`)
}

/** Drizzle says `nulls last` by default also when it descends. An operator class is SQL, as it may have parameters. */
function keySql({ name, indexConfig: { order, nulls, opClass } = {} }: IndexedColumnParts): string {
  const descends = order === 'desc'
  const parts = [quoteName(name)]
  if (opClass !== undefined) parts.push(opClass)
  if (descends) parts.push('desc')
  if (descends && nulls === 'last') parts.push('nulls last')
  if (!descends && nulls === 'first') parts.push('nulls first')
  return parts.join(' ')
}
