// The conditions and orders that a query takes: Drizzle's SQL and columns, and fragments of Genever's `sql` tag, which become Drizzle's.
// Anything else is refused, never ignored.
import { Column, is, SQL } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import { writable } from '../meta/selected.ts'
import { drizzleOf } from '../values/expression.ts'
import { isFragment } from '../../sql/tag.ts'
import { describeType, isPlain } from '../../util/options.ts'

/** Undefined for what is no SQL. */
export function sqlGiven(given: unknown): SQL | undefined {
  if (typeof given !== 'object' || given === null || isPlain(given)) return undefined
  if (isFragment(given)) return drizzleOf(given)
  return isOne(given, SQL) ? (given as SQL) : undefined
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

/** False for an object that throws when it is looked at, as a proxy may. */
function isOne(given: object, kind: Parameters<typeof is>[1]): boolean {
  try {
    return is(given, kind)
  } catch {
    return false
  }
}

function columnOf(given: unknown): Column | SQL | undefined {
  if (typeof given !== 'object' || given === null || isPlain(given)) return undefined
  if (isOne(given, Column)) return given as Column
  return isOne(given, SQL.Aliased) ? (writable(given as SQL.Aliased) as unknown as SQL) : undefined
}
