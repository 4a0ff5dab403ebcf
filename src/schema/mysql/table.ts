// A table of MySQL as one statement: columns, keys, checks, indexes and foreign keys. DDL of MySQL cannot be taken back, so a table is made
// whole or not at all. What has no name is called as drizzle-kit calls it.
import { is, SQL } from 'drizzle-orm'
import { literal, mysql, quotedText } from '../../mysql/dialect.ts'
import { UsageError } from '../../errors/index.ts'
import { isSqlLike } from '../../builder/drizzle/core/render.ts'
import type { ColumnParts, ForeignKeyParts, IndexParts, TableParts } from '../source/parts.ts'
import { tableParts } from '../source/drizzle.ts'
import { primaryKeyOf, uniqueColumnsOf } from '../ddl/constraints.ts'
import { expression, jsonText, mysqlDateText, mysqlLiteral } from '../text/literal.ts'

/** A column of MySQL, with members that no other has. */
interface MysqlColumn extends ColumnParts {
  readonly autoIncrement?: boolean
  readonly hasOnUpdateNow?: boolean
  /** 1.0 only. */
  readonly onUpdateNowFsp?: number | undefined
  readonly fsp?: number | undefined
  readonly enumValues?: readonly string[] | undefined
  readonly generated?: { readonly as: unknown; readonly mode?: 'virtual' | 'stored' } | undefined
}

const mostCharacters = 64

export function qualified(schema: string | undefined, name: string): string {
  return schema === undefined ? mysql.quote(name) : `${mysql.quote(schema)}.${mysql.quote(name)}`
}

const list = (columns: readonly { readonly name: string }[]): string =>
  columns.map(({ name }) => mysql.quote(name)).join(', ')

/** CREATE TABLE, with the foreign keys that are given. */
export function createTable(table: TableParts, foreignKeys: readonly ForeignKeyParts[]): string {
  const lines = [
    ...table.columns.map((column) => columnSql(column as MysqlColumn)),
    ...primaryKey(table),
    ...uniques(table),
    ...table.checks.map(
      ({ name, value }) => `constraint ${mysql.quote(name)} check (${expression(value, 'indexes', mysql)})`,
    ),
    ...table.indexes.map((index) => indexSql(table, index)),
    ...foreignKeys.map((key) => foreignKeySql(table, key)),
  ]
  return `create table ${qualified(table.schema, table.name)} (${lines.map((line) => `\n  ${line}`).join(',')}\n)`
}

export function addForeignKey(table: TableParts, key: ForeignKeyParts): string {
  return `alter table ${qualified(table.schema, table.name)} add ${foreignKeySql(table, key)}`
}

export function dropForeignKey(table: TableParts, key: ForeignKeyParts): string {
  return `alter table ${qualified(table.schema, table.name)} drop foreign key ${mysql.quote(nameOf(key))}`
}

function columnSql(column: MysqlColumn): string {
  const parts = [mysql.quote(column.name), typeOf(column)]
  const { generated } = column
  if (generated !== undefined)
    parts.push(`generated always as (${generatedSql(column, generated.as)}) ${generated.mode ?? 'virtual'}`)
  const isNumbered = column.autoIncrement === true || column.columnType === 'MySqlSerial'
  if (column.notNull || isNumbered) parts.push('not null')
  // A timestamp that nothing is said of gets a default on older servers.
  else if (generated === undefined) parts.push('null')
  if (isNumbered) parts.push('auto_increment')
  else if (column.default !== undefined) parts.push(`default ${defaultOf(column, column.default)}`)
  if (column.hasOnUpdateNow === true) {
    const fsp = column.onUpdateNowFsp ?? column.fsp
    parts.push(`on update current_timestamp${fsp === undefined ? '' : `(${fsp})`}`)
  }
  return parts.join(' ')
}

function typeOf(column: MysqlColumn): string {
  const { columnType, enumValues } = column
  // Drizzle leaves quotes in the values as they are.
  if (columnType.startsWith('MySqlEnum') && enumValues !== undefined)
    return `enum(${enumValues.map(quotedText).join(', ')})`
  // A SERIAL that is the primary key would have a second index.
  return columnType === 'MySqlSerial' ? `bigint unsigned${column.primary ? '' : ' unique'}` : column.getSQLType()
}

function defaultOf(column: MysqlColumn, value: unknown): string {
  if (value === null) return 'null'
  if (is(value, SQL)) {
    const text = expression(value, undefined, mysql)
    return /^\(?(?:now|current_timestamp)(?:\(\d?\))?\)?$/i.test(text) ? current(column) : `(${text})`
  }
  const written = literalOf(column, value)
  // A constant of these types is an expression, too.
  return /^(?:tiny|medium|long)?(?:text|blob)|^json|^geometry/i.test(column.getSQLType()) ? `(${written})` : written
}

/** The server wants the digits of the column. */
function current({ fsp }: MysqlColumn): string {
  return fsp === undefined || fsp === 0 ? 'current_timestamp' : `current_timestamp(${fsp})`
}

function literalOf(column: MysqlColumn, value: unknown): string {
  if (column.columnType === 'MySqlJson') return quotedAnyhow(jsonText(value))
  if (typeof value === 'boolean') return String(value)
  if (value instanceof Date)
    return quotedText(mysqlDateText(value).slice(0, column.columnType === 'MySqlDate' ? 10 : undefined))
  const written = column.mapToDriverValue(value)
  if (typeof written === 'number' && Number.isFinite(written)) return String(written)
  if (typeof written === 'bigint' || typeof written === 'boolean') return String(written)
  if (written instanceof Date || written instanceof Uint8Array) return mysqlLiteral(written)
  if (typeof written === 'string') return quotedAnyhow(written)
  throw new UsageError(`The default of the column "${column.name}" has no form in SQL: write it with sql\`…\`.`)
}

/** JSON and texts with a backslash, too. */
function quotedAnyhow(text: string): string {
  return text.includes('\\') ? `(${literal(text)})` : quotedText(text)
}

function generatedSql(column: ColumnParts, as: unknown): string {
  const value: unknown = typeof as === 'function' && !is(as, SQL) ? as() : as
  if (isSqlLike(value)) return expression(value, 'indexes', mysql)
  throw new UsageError(`The generated column "${column.name}" has no expression: write it with sql\`…\`.`)
}

function primaryKey(table: TableParts): string[] {
  const { columns } = primaryKeyOf(table)
  return columns.length === 0 ? [] : [`primary key (${list(columns)})`]
}

function uniques(table: TableParts): string[] {
  const ofColumns = uniqueColumnsOf(table).map((column) => ({ name: column.uniqueName, columns: [column] }))
  return [...ofColumns, ...table.uniqueConstraints].map(({ name, columns }) => {
    const implicit = `${table.name}_${columns.map((column) => column.name).join('_')}_unique`
    return `constraint ${mysql.quote(name ?? clip(implicit))} unique (${list(columns)})`
  })
}

function indexSql(table: TableParts, { config }: IndexParts): string {
  const { name, columns, unique } = config
  const using = (config as { readonly using?: string }).using
  if (name === undefined) throw new UsageError(`An index of the table "${table.name}" has no name: give it one.`)
  const keys = columns.map((each) =>
    is(each, SQL) ? keyOf(expression(each, 'indexes', mysql)) : mysql.quote((each as { name: string }).name),
  )
  return `${unique ? 'unique ' : ''}index ${mysql.quote(name)} (${keys.join(', ')})${using === undefined ? '' : ` using ${usingOf(using)}`}`
}

/** An expression stands in brackets, a column and a direction without. */
function keyOf(text: string): string {
  const [, key = '', way = ''] = /^(.*?)(\s+(?:asc|desc))?$/is.exec(text) ?? []
  return `${/^`(?:[^`]|``)+`$/.test(key) ? key : `(${key})`}${way}`
}

function usingOf(using: string): string {
  if (using === 'btree' || using === 'hash') return using
  throw new UsageError(`An index cannot be made using "${using.slice(0, 30)}": there are btree and hash.`)
}

function foreignKeySql(table: TableParts, key: ForeignKeyParts): string {
  const { columns, foreignColumns, foreignTable } = key.reference()
  const target = tableParts(foreignTable)
  const parts = [
    `constraint ${mysql.quote(nameOf(key))} foreign key (${list(columns)})`,
    `references ${qualified(target.schema ?? table.schema, target.name)} (${list(foreignColumns)})`,
    ...action('on delete', key.onDelete),
    ...action('on update', key.onUpdate),
  ]
  return parts.join(' ')
}

function nameOf(key: ForeignKeyParts): string {
  const { name } = key.reference()
  return name ?? clip(key.getName())
}

const actions = ['cascade', 'restrict', 'set null']

function action(clause: string, given: string | undefined): string[] {
  if (given === undefined || given === 'no action') return []
  if (!actions.includes(given)) throw new UsageError(`A foreign key of MySQL cannot "${given.slice(0, 30)}" ${clause}.`)
  return [`${clause} ${given}`]
}

/** For names that nobody wrote; others are refused. */
function clip(name: string): string {
  return name.slice(0, mostCharacters)
}
