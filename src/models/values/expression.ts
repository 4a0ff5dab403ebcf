// SQL given as a value: Drizzle's SQL, columns and queries, and fragments of our own tag.
import { isSqlLike, type SqlLike } from '../../builder/drizzle/core/render.ts'
import { type SQL, sql } from 'drizzle-orm'
import { Ref } from '../../sql/parts.ts'
import { type Fragment, isFragment, partsOfFragment } from '../../sql/tag.ts'

/** The value as SQL; undefined when it is data. */
export function asExpression(value: unknown): SqlLike | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (isSqlLike(value)) return value
  return isFragment(value) ? drizzleOf(value) : undefined
}

/** A fragment of our own tag as Drizzle's SQL. */
export function drizzleOf(fragment: Fragment): SQL {
  const { texts, uses, params } = partsOfFragment(fragment)
  const parts = texts.flatMap((text, index) => {
    const use = uses[index]
    const param = use === undefined ? undefined : params[use]
    if (param instanceof Ref) return [sql.raw(text), nameOf(param)]
    return use === undefined ? [sql.raw(text)] : [sql.raw(text), sql.param(param)]
  })
  return sql.join(parts)
}

/** A name that is quoted where it is written. */
function nameOf({ path }: Ref): SQL {
  return sql.join(
    path.map((name) => sql.identifier(name)),
    sql.raw('.'),
  )
}
