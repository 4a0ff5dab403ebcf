// Columns inside of a condition: which there are, and the same condition with other ones in their places.
import { Column, is, SQL, StringChunk } from 'drizzle-orm'

/** Gives what stands in the place of a column, or undefined to leave it. */
export type Replace = (column: Column) => SQL | undefined

/** The condition with other columns. Subqueries that Drizzle's builders made stay as they are. */
export function withColumns(condition: SQL, replace: Replace): SQL {
  return replaced(condition, replace) as SQL
}

function replaced(chunk: unknown, replace: Replace): unknown {
  if (Array.isArray(chunk)) return chunk.map((each) => replaced(each, replace))
  if (typeof chunk !== 'object' || chunk === null) return chunk
  if (is(chunk, Column)) return replace(chunk) ?? chunk
  if (is(chunk, SQL.Aliased)) return replaced(chunk.sql, replace)
  if (!is(chunk, SQL)) return chunk
  const made = new SQL(chunk.queryChunks.map((each) => replaced(each, replace) as SQL))
  return (chunk as unknown as { readonly shouldInlineParams: boolean }).shouldInlineParams ? made.inlineParams() : made
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
