// Columns inside of a condition: which there are, and the same condition with other ones in their places.
import { Column, is, SQL, sql, StringChunk } from 'drizzle-orm'
import { render } from '../../builder/drizzle/core/render.ts'
import { qualifierOf } from './source.ts'

/** Gives what stands in the place of a column, or undefined to leave it. `within` a subquery of the condition. */
export type Replace = (column: Column, within: boolean) => SQL | undefined

/** The condition with other columns, in its subqueries too. Those of tables that a subquery selects from stay as they are. */
export function withColumns(condition: SQL, replace: Replace): SQL {
  return replaced(condition, replace, false) as SQL
}

function replaced(chunk: unknown, replace: Replace, within: boolean): unknown {
  if (Array.isArray(chunk)) return replacedAll(chunk, replace, within)
  if (typeof chunk !== 'object' || chunk === null) return chunk
  if (is(chunk, Column)) return replace(chunk, within) ?? chunk
  if (is(chunk, SQL.Aliased)) return replaced(chunk.sql, replace, within)
  if (isBuilder(chunk)) {
    const query = chunk.getSQL()
    const made = replaced(query, replace, true)
    return made === query ? chunk : sql`(${made as SQL})`
  }
  if (!is(chunk, SQL)) return chunk
  const chunks: readonly unknown[] = chunk.queryChunks
  const selecting = chunks.some(selects)
  const made = replacedAll(chunks, selecting ? outsideOf(chunk, replace) : replace, within || selecting)
  if (made === chunks) return chunk
  const other = new SQL(made as SQL[])
  return (chunk as unknown as { readonly shouldInlineParams: boolean }).shouldInlineParams
    ? other.inlineParams()
    : other
}

/** The same list where nothing in it was replaced. */
function replacedAll(chunks: readonly unknown[], replace: Replace, within: boolean): readonly unknown[] {
  const made = chunks.map((each) => replaced(each, replace, within))
  return made.every((each, at) => each === chunks[at]) ? chunks : made
}

/** Leaves the columns of tables that a subquery selects from. */
function outsideOf(subquery: SQL, replace: Replace): Replace {
  let text: string | undefined
  return (column, within) => {
    text ??= render(subquery).sql
    return isNamed(qualifierOf(column), text) ? undefined : replace(column, within)
  }
}

/** Whether a text has a name as that of a table: neither before a column, nor before another name that the table gets there. */
function isNamed(name: string, text: string): boolean {
  const escaped = name.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&')
  return new RegExp(`(?<!\\.)${escaped}(?!\\s*\\.|\\s+(?:as\\s+)?["\`])`, 'i').test(text)
}

function isBuilder(chunk: object): chunk is { getSQL(): SQL; toSQL(): unknown } {
  const { getSQL, toSQL } = chunk as { readonly getSQL?: unknown; readonly toSQL?: unknown }
  return typeof getSQL === 'function' && typeof toSQL === 'function'
}

/** The columns of an expression, but not those of subqueries inside of it. */
export function columnsIn(chunk: unknown): Column[] {
  if (Array.isArray(chunk)) return chunk.flatMap(columnsIn)
  if (typeof chunk !== 'object' || chunk === null) return []
  if (is(chunk, Column)) return [chunk]
  if (is(chunk, SQL.Aliased)) return columnsIn(chunk.sql)
  if (!is(chunk, SQL) || chunk.queryChunks.some(selects)) return []
  return chunk.queryChunks.flatMap(columnsIn)
}

function selects(chunk: unknown): boolean {
  return is(chunk, StringChunk) && /\bselect\b/i.test(String(chunk.value))
}
