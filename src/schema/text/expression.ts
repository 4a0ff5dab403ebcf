// Drizzle's SQL objects as text without parameters. Drizzle can write values into the text itself, but not every kind of
// value, and not rightly on both versions: so placeholders are rendered and replaced here.
import { is, SQL } from 'drizzle-orm'
import { render, type RenderOptions, type SqlLike } from '../../builder/drizzle/core/render.ts'
import { cut } from '../../sql/parts.ts'
import { literal } from './literal.ts'

/** With `indexes` columns stand without their table, as in an index, a check or a generated column. */
export function expression(value: SqlLike, source?: RenderOptions['source']): string {
  const statement = render(withParameters(value), { source })
  const { texts, uses, params } = cut(statement)
  return texts.map((text, index) => (index === 0 ? text : literal(params[uses[index - 1] ?? 0]) + text)).join('')
}

/** A view's query is marked to have its values inlined by Drizzle; a copy is not. */
function withParameters(value: SqlLike): SqlLike {
  if (!is(value, SQL)) return value
  // Its own class, which need not be the one imported here.
  const Copy = value.constructor as typeof SQL
  return new Copy([...value.queryChunks])
}
