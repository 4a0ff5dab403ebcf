// SQL given as a value: Drizzle's SQL, columns and queries, and fragments of our own tag.
import { isSqlLike, type SqlLike } from '../../builder/drizzle/core/render.ts'
import { sql } from 'drizzle-orm'
import { cut } from '../../sql/parts.ts'
import { isFragment } from '../../sql/tag.ts'
import { toStatement } from '../../sql/statement.ts'

/** The value as SQL; undefined when it is data. */
export function asExpression(value: unknown): SqlLike | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (isSqlLike(value)) return value
  if (!isFragment(value)) return undefined
  const { texts, uses, params } = cut(value[toStatement]())
  const parts = texts.flatMap((text, index) => {
    const use = uses[index]
    return use === undefined ? [sql.raw(text)] : [sql.raw(text), sql`${sql.param(params[use])}`]
  })
  return sql.join(parts)
}
