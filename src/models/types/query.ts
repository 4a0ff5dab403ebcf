// The queries of a model as users see them; `query/model-query.ts` is what does it.
import type { Column, SQL } from 'drizzle-orm'
import type { Fragment } from '../../sql/tag.ts'
import type { Handle } from '../../engine/context/frame.ts'
import type { CursorOptions } from '../../engine/query/query-options.ts'
import type { Status } from '../../engine/query/execute.ts'
import type { ToValue } from '../../sql/first-column.ts'
import type { ToStatement } from '../../sql/statement.ts'
import type { FirstLoaded, Loaded, LoaderLike } from './loader.ts'
import type { Aliased, AnyModel, CallOptions, Filter } from './model.ts'

/** A model, an alias or a table of Drizzle, to be joined. */
export type Joinable = AnyModel | Aliased<AnyModel> | object

/** The members of a row that a condition may use. */
export type Comparable<R> = { [K in keyof R as R[K] extends (...args: never) => unknown ? never : K]: R[K] }

/**
 * A query of a model. Immutable: each method returns a new query. It runs when awaited, or by a method such as `first()` or
 * `one()`. `R` is the type of a result, `F` the row for conditions, `V` the first
 * column.
 */
export interface ModelQuery<R, F = R, V = unknown>
  extends ToStatement<R>, ToValue<V>, PromiseLike<R[]>, AsyncIterable<R> {
  /**
   * Adds a condition: a Drizzle condition, or an object of equal members. In an object `null` means IS NULL, and a list
   * means any of its values. An undefined condition is ignored.
   * @throws {UnknownColumnError} for a member that the model does not have.
   * @throws {UsageError} for a member that is undefined.
   */
  where(condition: SQL | Fragment | Filter<Comparable<F>> | undefined): ModelQuery<R, F, V>
  /** Adds keys of the order, behind those of earlier calls. */
  orderBy(...by: readonly (Column | SQL | Fragment)[]): ModelQuery<R, F, V>
  /** The maximum number of objects, not rows, when lists are loaded. @throws {UsageError} unless it is a whole number from 0. */
  limit(count: number): ModelQuery<R, F, V>
  /** How many objects are left out in front. @throws {UsageError} unless it is a whole number from 0. */
  offset(count: number): ModelQuery<R, F, V>
  /** INNER JOIN, by the foreign key or by the condition. */
  join(target: Joinable, on?: SQL | Fragment): ModelQuery<R, F, V>
  /** LEFT JOIN, by the foreign key or by the condition. Loaders add the joins they need that are not made here. */
  leftJoin(target: Joinable, on?: SQL | Fragment): ModelQuery<R, F, V>
  /** Adds keys of GROUP BY. */
  groupBy(...by: readonly (Column | SQL | Fragment)[]): ModelQuery<R, F, V>
  /** Adds a condition on groups. */
  having(condition: SQL | Fragment): ModelQuery<R, F, V>
  /**
   * Locks the rows of the model until the transaction ends. `page()` locks one more than it gives, and an offset those it leaves out.
   * `count()`, `exists()`, groups and `distinct()` are refused with it: they have no rows to lock. (PostgreSQL: FOR UPDATE OF.)
   */
  forUpdate(options?: LockOptions): ModelQuery<R, F, V>
  /**
   * Sets the loader, which says what each row becomes and which tables are joined.
   * @throws {UsageError} for a value that is not a loader.
   */
  load<const L extends LoaderLike>(loader: L, options?: LoadOptions): ModelQuery<Loaded<L, F>, F, FirstLoaded<L, F>>
  /** Sets where it runs, and its time limit. Options of a call override them. */
  options(options: CallOptions | Handle): ModelQuery<R, F, V>
  /**
   * The rows after a cursor of `page()`, in the same order, which the primary key makes total.
   * @throws {UsageError} for a text that is not a cursor of this order.
   */
  after(cursor: string | null | undefined): ModelQuery<R, F, V>
  /** The rows up to the limit, and the cursor for the next page. @throws {UsageError} without a limit of at least 1. */
  page(options?: CallOptions | Handle): Promise<Page<R>>
  /** Every object. */
  all(options?: CallOptions | Handle): Promise<R[]>
  /** The first object, or undefined. It loads no more rows than that object needs. */
  first(options?: CallOptions | Handle): Promise<R | undefined>
  /** The first object. @throws {NotFoundError} when there is none; web plug-ins answer 404. (GINO: `first_or_404`.) */
  firstOr404(options?: CallOptions | Handle): Promise<R>
  /** The only object. @throws {NoResultError | MultipleResultsError} unless there is exactly one. */
  one(options?: CallOptions | Handle): Promise<R>
  /** The only object, or undefined. @throws {MultipleResultsError} when there is more than one. */
  oneOrNone(options?: CallOptions | Handle): Promise<R | undefined>
  /** The first column of the first row. */
  scalar<T = V>(options?: CallOptions | Handle): Promise<T | undefined>
  /** The command, the count of rows, and the objects. */
  status(options?: CallOptions | Handle): Promise<Status<R>>
  /** The number of objects. A limit is respected. */
  count(options?: CallOptions | Handle): Promise<number>
  /** Whether there is any. No row is loaded. */
  exists(options?: CallOptions | Handle): Promise<boolean>
  /**
   * Reads objects one after another, by a cursor on the server. With lists, the primary key is added as the last order, so
   * that the rows of one object come together.
   */
  iterate(options?: CursorOptions | Handle): ModelCursor<R>

  /** Its SQL, without values. */
  toString(): string
}

/** The result of `iterate()`. Read it one by one, in batches, or with `for await`. */
export interface ModelCursor<R> extends AsyncIterable<R>, AsyncDisposable {
  read(): Promise<R | undefined>
  read(count: number): Promise<R[]>
  /** Loops over lists of `batchSize` objects, 100 by default. The last may be shorter, none is empty. */
  batches(): AsyncGenerator<R[], void, undefined>
  skip(count: number): Promise<number>
  close(): Promise<void>
}

/** The result of `page()`. */
export interface Page<R> {
  /** At most as many as the limit. */
  readonly rows: R[]
  /** The cursor for `after()` to read the next page. Null on the last page. */
  readonly cursor: string | null
}

/** Options of `forUpdate()`: rows that others have locked. */
export interface LockOptions {
  /** Fails at once when a row is locked, instead of waiting. */
  readonly nowait?: boolean | undefined
  /** Skips locked rows, as a job queue needs. */
  readonly skipLocked?: boolean | undefined
}

/** Options of `load()`. */
export interface LoadOptions {
  /**
   * `joined`: one statement. It joins one-to-one relations and reads each list as one column. `select-in`: one more statement
   * for each relation, with the keys found so far, for lists of many megabytes. (SQLAlchemy: selectin loading; MikroORM:
   * `select-in`.) Default: `joined`, but `select-in` for lists under a lock that waits: joined ones would be older than their
   * objects.
   */
  readonly strategy?: 'joined' | 'select-in' | undefined
}
