// Conditions on what belongs to an object: `some`, `every`, `none`. Each is an EXISTS, so that the query has each object once,
// and its lists whole.
import { and, type SQL, sql } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import type { Fragment } from '../../sql/tag.ts'
import { conditionGiven } from '../query/given.ts'
import type { LoaderLike } from '../types/loader.ts'
import type { Aliased, AnyModel } from '../types/model.ts'
import { conditionOfRelation, relationOfList } from './joins.ts'
import { nodeOf } from './node.ts'
import { sourceOf } from './source.ts'

type Parent = AnyModel | Aliased<AnyModel>

/**
 * Holds for objects to which at least one of the others belongs, of which the condition holds:
 * `Team.where(some(Team, User, gt(User.c.age, 30)))`. By the foreign key, or by that of `User.on(condition)`.
 * @throws {UsageError} for what is no model, and where no single foreign key says how they belong together.
 */
export function some(parent: Parent, child: LoaderLike, condition?: SQL | Fragment): SQL<boolean> {
  return sql<boolean>`exists (${rowsOf(parent, child, condition, 'some()')})`
}

/** Holds for objects to which none of the others belongs of which the condition holds. Throws as `some`. */
export function none(parent: Parent, child: LoaderLike, condition?: SQL | Fragment): SQL<boolean> {
  return sql<boolean>`not exists (${rowsOf(parent, child, condition, 'none()')})`
}

/** Holds for objects of which all others that belong to them meet the condition; if none does, it holds. Throws as `some`. */
export function every(parent: Parent, child: LoaderLike, condition: SQL | Fragment): SQL<boolean> {
  const unmet = sql`(${conditionGiven(condition, 'every()')}) is not true`
  return sql<boolean>`not exists (${rowsOf(parent, child, unmet, 'every()')})`
}

function rowsOf(given: Parent, loader: LoaderLike, condition: SQL | Fragment | undefined, method: string): SQL {
  const parent = sourceOf(given)
  const node = nodeOf(loader)
  if (node.kind !== 'model' || node.children.length > 0 || node.by !== null)
    throw new UsageError(`${method} takes a model, an alias, or one with .on(condition).`)
  const { source, on } = node
  if (source.id === parent.id)
    throw new UsageError(`${method} compares ${source.id} with itself: use alias('name') for one of them.`)
  const related = on ?? conditionOfRelation(relationOfList(parent, source))
  const own = condition === undefined ? undefined : conditionGiven(condition, method)
  return sql`select ${sql.raw(parent.dialect.models.nothing)}from ${source.from} where ${and(related, own)}`
}
