// A query that is bound to the executor it was made on: written as a template, or baked and given its values. It runs when it is awaited,
// in the frame of the code that awaits it. If it was made in a transaction that has ended, it is refused.
import type { Dialect } from '../../sql/dialect.ts'
import type { Into, IntoRow } from '../../sql/into.ts'
import type { ToValue } from '../../sql/first-column.ts'
import { type MadeWith, type Statement, toStatement, type ToStatement } from '../../sql/statement.ts'
import { asFragment } from '../../sql/tag.ts'
import type { Enclosing, Handle } from '../context/frame.ts'
import type { Cursor } from './cursor.ts'
import type { Status } from './execute.ts'
import type { Executor } from './executor.ts'
import { checkMadeIn } from './made-with.ts'
import type { CursorOptions, IntoOptions, QueryOptions } from './query-options.ts'
import { whenAwaited } from '../../util/thrown.ts'

/** A statement made on an executor. Await it for all rows, or call a method such as `first()` or `one()`. */
export interface SqlQuery<R, V = unknown> extends ToStatement<R>, ToValue<V>, PromiseLike<R[]> {
  /** Every row. @throws {QueryError} when the server refuses the statement. */
  all<const I extends Into>(options: IntoOptions<I>): Promise<IntoRow<I>[]>
  all(options?: QueryOptions | Handle): Promise<R[]>
  /** The first row, or undefined. The other rows are not loaded. */
  first<const I extends Into>(options: IntoOptions<I>): Promise<IntoRow<I> | undefined>
  first(options?: QueryOptions | Handle): Promise<R | undefined>
  /** @throws {NotFoundError} when there is none. */
  firstOr404<const I extends Into>(options: IntoOptions<I>): Promise<IntoRow<I>>
  firstOr404(options?: QueryOptions | Handle): Promise<R>
  /** The only row. @throws {NoResultError | MultipleResultsError} unless there is exactly one. */
  one<const I extends Into>(options: IntoOptions<I>): Promise<IntoRow<I>>
  one(options?: QueryOptions | Handle): Promise<R>
  /** The only row, or undefined. @throws {MultipleResultsError} when there is more than one. */
  oneOrNone<const I extends Into>(options: IntoOptions<I>): Promise<IntoRow<I> | undefined>
  oneOrNone(options?: QueryOptions | Handle): Promise<R | undefined>
  /** The first column of the first row. Undefined when there is no row, null when it is NULL. */
  scalar<T = V>(options?: QueryOptions | Handle): Promise<T | undefined>
  /** The command, the count of rows, and the rows. */
  status<const I extends Into>(options: IntoOptions<I>): Promise<Status<IntoRow<I>>>
  status(options?: QueryOptions | Handle): Promise<Status<R>>
  /** A cursor on the server: its rows come in parts. */
  iterate<const I extends Into>(options: CursorOptions & IntoOptions<I>): Cursor<IntoRow<I>>
  iterate(options?: CursorOptions | Handle): Cursor<R>
}

/** A query that is ready to run, and runs on that executor when nobody else is given it. */
export function boundQuery<R>(executor: Executor, query: ToStatement<R>): SqlQuery<R> {
  return new BoundQuery<R>(executor, query)
}

class BoundQuery<R> implements SqlQuery<R> {
  readonly #executor: Executor
  readonly #query: ToStatement<R>
  /** The transaction in whose frame it was made: once that has ended it must not run outside of it in silence. */
  readonly #madeIn: Enclosing | null
  readonly #madeWith: MadeWith | null
  /** The database that was meant where it was made, if that is another one than the executor's. */
  readonly #madeOn: Executor | undefined

  constructor(executor: Executor, query: ToStatement<R>) {
    this.#executor = executor.madeHere()
    this.#query = query
    this.#madeIn = executor.transactionHere()
    this.#madeWith = executor.madeWith()
    this.#madeOn = this.#executor === executor ? undefined : this.#executor
  }

  [toStatement](most?: number, dialect?: Dialect, atOnce?: boolean): Statement<R> {
    const statement = this[asFragment]()[toStatement](most, dialect, atOnce)
    if (this.#madeWith === null && this.#madeOn === undefined) return statement
    return { ...statement, madeWith: this.#madeWith ?? undefined, madeOn: this.#madeOn }
  }

  [asFragment](): ToStatement<R> {
    checkMadeIn(this.#madeIn)
    return this.#query
  }

  /** Runs it, as `all()`. @throws {TransactionEndedError} when it was made in a transaction that has ended. */
  then<A = R[], B = never>(
    onFulfilled?: ((rows: R[]) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return whenAwaited(this.all()).then(onFulfilled, onRejected)
  }

  all(options?: QueryOptions | Handle): Promise<R[]> {
    return this.#executor.all<R>(this, options)
  }

  first(options?: QueryOptions | Handle): Promise<R | undefined> {
    return this.#executor.first<R>(this, options)
  }

  firstOr404(options?: QueryOptions | Handle): Promise<R> {
    return this.#executor.firstOr404<R>(this, options)
  }

  one(options?: QueryOptions | Handle): Promise<R> {
    return this.#executor.one<R>(this, options)
  }

  oneOrNone(options?: QueryOptions | Handle): Promise<R | undefined> {
    return this.#executor.oneOrNone<R>(this, options)
  }

  scalar<V = unknown>(options?: QueryOptions | Handle): Promise<V | undefined> {
    return this.#executor.scalar<V>(this, options)
  }

  status(options?: QueryOptions | Handle): Promise<Status<R>> {
    return this.#executor.status<R>(this, options)
  }

  iterate(options?: CursorOptions | Handle): Cursor<R> {
    return this.#executor.iterate<R>(this, options)
  }
}
