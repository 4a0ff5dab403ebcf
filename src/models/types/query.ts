// The queries of a model as users see them; `query/model-query.ts` is what does it.
import type { Column, SQL } from 'drizzle-orm'
import type { Fragment } from '../../sql/tag.ts'
import type { Handle } from '../../engine/handle.ts'
import type { CursorOptions } from '../../engine/query/cursor.ts'
import type { Status } from '../../engine/query/status.ts'
import type { ToStatement } from '../../sql/statement.ts'
import type { ModelCursor } from '../query/iterate.ts'
import type { Page } from '../query/page.ts'
import type { LoadOptions, LockOptions } from '../query/state.ts'
import type { Loaded, LoaderLike } from './loader.ts'
import type { Aliased, AnyModel, CallOptions, Filter } from './model.ts'

export type Joinable = AnyModel | Aliased<AnyModel> | object

/** The members of a row that a condition can be on. */
export type Comparable<R> = { [K in keyof R as R[K] extends (...args: never) => unknown ? never : K]: R[K] }

/**
 * Immutable: each method gives another query. It runs when awaited, or by the method that says what is expected. `R` is what a
 * row becomes, `F` the row that conditions are on.
 */
export interface ModelQuery<R, F = R> extends ToStatement<R>, PromiseLike<R[]>, AsyncIterable<R> {
  /**
   * Only rows of which this holds too: a Drizzle condition, or an object of equal members (`null` is NULL, a list is any
   * of its values). Undefined asks for nothing.
   * @throws {UnknownColumnError} for a member the model has not.
   * @throws {UsageError} for a member that is undefined.
   */
  where(condition: SQL | Fragment | Filter<Comparable<F>> | undefined): ModelQuery<R, F>
  orderBy(...by: readonly (Column | SQL | Fragment)[]): ModelQuery<R, F>
  /** The most objects; with lists loaded, objects and not rows. @throws {UsageError} unless it is a whole number from 0. */
  limit(count: number): ModelQuery<R, F>
  offset(count: number): ModelQuery<R, F>
  /** INNER JOIN, by the foreign key or by the condition. */
  join(target: Joinable, on?: SQL | Fragment): ModelQuery<R, F>
  /** LEFT JOIN, by the foreign key or by the condition. Loaders join by themselves what is not joined here. */
  leftJoin(target: Joinable, on?: SQL | Fragment): ModelQuery<R, F>
  groupBy(...by: readonly (Column | SQL | Fragment)[]): ModelQuery<R, F>
  having(condition: SQL | Fragment): ModelQuery<R, F>
  /** Locks the rows of the model until the transaction ends. (PostgreSQL: FOR UPDATE OF.) */
  forUpdate(options?: LockOptions): ModelQuery<R, F>
  /**
   * What rows become, and what is joined for it.
   * @throws {UsageError} for what is no loader.
   */
  load<L extends LoaderLike>(loader: L, options?: LoadOptions): ModelQuery<Loaded<L>, F>
  /** Where it runs, and its time. What a call says is more. */
  options(options: CallOptions | Handle): ModelQuery<R, F>
  /**
   * The rows after a cursor of `page()`, in the same order, which the primary key makes total.
   * @throws {UsageError} for a text that is no cursor of this order.
   */
  after(cursor: string | null | undefined): ModelQuery<R, F>
  /** The rows up to the limit, with the cursor of what comes after them. @throws {UsageError} without a limit. */
  page(options?: CallOptions | Handle): Promise<Page<R>>
  all(options?: CallOptions | Handle): Promise<R[]>
  /** The first object, or undefined; no more is loaded than it needs. */
  first(options?: CallOptions | Handle): Promise<R | undefined>
  /** @throws {NotFoundError} when there is none: web plug-ins answer 404. (GINO: `first_or_404`.) */
  firstOr404(options?: CallOptions | Handle): Promise<R>
  /** @throws {NoResultError | MultipleResultsError} unless there is exactly one object. */
  one(options?: CallOptions | Handle): Promise<R>
  /** @throws {MultipleResultsError} when there is more than one object. */
  oneOrNone(options?: CallOptions | Handle): Promise<R | undefined>
  /** The first column of the first row. */
  scalar<V = unknown>(options?: CallOptions | Handle): Promise<V | undefined>
  status(options?: CallOptions | Handle): Promise<Status<R>>
  /** How many objects there are; a limit counts. */
  count(options?: CallOptions | Handle): Promise<number>
  exists(options?: CallOptions | Handle): Promise<boolean>
  /**
   * Objects as they come, by a cursor on the server. With lists the rows are ordered by the primary key at last, so that
   * the rows of one object come together.
   */
  iterate(options?: CursorOptions | Handle): ModelCursor<R>

  /** Its SQL, without any value. */
  toString(): string
}
