// One column within CREATE TABLE. Keys, uniques and references are constraints of the table.
import { is, SQL } from 'drizzle-orm'
import { isSqlLike, quoteName } from '../../builder/drizzle/core/render.ts'
import { UsageError } from '../../errors/index.ts'
import type { ColumnParts, TableParts } from '../source/parts.ts'
import { expression, literal } from '../text/literal.ts'
import { clip, qualified } from '../text/names.ts'
import { defaultOf, typeOf } from './default.ts'
import { sequenceOptions } from '../ddl/sequence.ts'

export function columnSql(table: TableParts, column: ColumnParts): string {
  const parts = [quoteName(column.name), typeOf(column)]
  const value = defaultOf(column)
  if (value !== undefined) parts.push(`default ${value}`)
  if (column.generated !== undefined)
    parts.push(`generated always as (${generatedSql(column, column.generated.as)}) stored`)
  if (column.notNull && column.generatedIdentity === undefined) parts.push('not null')
  if (column.generatedIdentity !== undefined) parts.push(identitySql(table, column, column.generatedIdentity))
  return parts.join(' ')
}

function generatedSql(column: ColumnParts, as: unknown): string {
  const value: unknown = typeof as === 'function' && !is(as, SQL) ? as() : as
  if (isSqlLike(value)) return expression(value, 'indexes')
  if (value === undefined) throw new UsageError(`The generated column "${column.name}" has no expression.`)
  return literal(value)
}

/**
 * The sequence is named as the server names it by default. When that would be too long the server has a way of its own to
 * shorten it, and drizzle-kit cuts: so then it is cut.
 */
function identitySql(
  table: TableParts,
  column: ColumnParts,
  { type, sequenceName, sequenceOptions: options }: NonNullable<ColumnParts['generatedIdentity']>,
): string {
  const implicit = `${table.name}_${column.name}_seq`
  const clipped = clip(implicit)
  const name = sequenceName ?? (clipped === implicit ? undefined : clipped)
  const inner = [
    ...(name === undefined ? [] : [`sequence name ${qualified(table.schema, name)}`]),
    ...sequenceOptions(options),
  ]
  return `generated ${type === 'always' ? 'always' : 'by default'} as identity${inner.length === 0 ? '' : ` (${inner.join(' ')})`}`
}
