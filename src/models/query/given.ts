// What a query may be given as a condition or an order: Drizzle's SQL and columns, and fragments of our own `sql` tag, which
// become Drizzle's. Anything else is refused, never ignored.
import { Column, is, SQL, sql } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import { cut } from '../../sql/parts.ts'
import { toStatement } from '../../sql/statement.ts'
import { type Fragment, isFragment } from '../../sql/tag.ts'
import { describeType, isPlain } from '../../util/checks.ts'

/** Undefined for what is no SQL. */
export function sqlGiven(given: unknown): SQL | undefined {
  if (typeof given !== 'object' || given === null || isPlain(given)) return undefined
  if (isFragment(given)) return drizzleOf(given)
  return is(given, SQL) ? given : undefined
}

/** @throws {UsageError} for what is no condition. */
export function conditionGiven(given: unknown, method: string): SQL {
  const condition = sqlGiven(given)
  if (condition !== undefined) return condition
  throw new UsageError(`${method} takes a condition, such as eq(a, b) or sql\`a = b\`, not ${describeType(given)}.`)
}

/** @throws {UsageError} for what is neither a column nor SQL. */
export function expressionsGiven(given: readonly unknown[], method: string): (Column | SQL)[] {
  return given.map((each) => {
    const expression = sqlGiven(each) ?? columnOf(each)
    if (expression !== undefined) return expression
    throw new UsageError(
      `${method} takes columns and SQL, such as User.c.name or desc(User.c.name), not ${describeType(each)}.`,
    )
  })
}

function columnOf(given: unknown): Column | undefined {
  if (typeof given !== 'object' || given === null || isPlain(given)) return undefined
  return is(given, Column) || is(given, SQL.Aliased) ? (given as Column) : undefined
}

function drizzleOf(fragment: Fragment): SQL {
  const { texts, uses, params } = cut(fragment[toStatement]())
  const pieces = texts.flatMap((text, index) => {
    const use = uses[index]
    return use === undefined ? [sql.raw(text)] : [sql.raw(text), sql.param(params[use])]
  })
  return sql.join(pieces)
}
