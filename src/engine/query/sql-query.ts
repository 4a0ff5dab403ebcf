// A statement written as a template, or baked and given its values, bound to the executor it was made on. It runs when it is awaited, in the frame of
// the code that awaits it; made in a transaction that has ended, it is refused.
import { TransactionEndedError } from '../../errors/index.ts'
import { asFragment, compose } from '../../sql/tag.ts'
import { type Statement, toStatement, type ToStatement } from '../../sql/statement.ts'
import type { Cursor, CursorOptions } from './cursor.ts'
import type { Executor } from './executor.ts'
import type { Handle } from '../handle.ts'
import type { QueryOptions } from './query-options.ts'
import type { Status } from './status.ts'
import type { TransactionRecord } from '../transaction/record.ts'

/** A statement on its way to an executor: await it for all rows, or call the method that says what is expected. */
export interface SqlQuery<R> extends ToStatement<R>, PromiseLike<R[]> {
  all(options?: QueryOptions | Handle): Promise<R[]>
  first(options?: QueryOptions | Handle): Promise<R | undefined>
  /** @throws {NotFoundError} when there is none. */
  firstOr404(options?: QueryOptions | Handle): Promise<R>
  one(options?: QueryOptions | Handle): Promise<R>
  oneOrNone(options?: QueryOptions | Handle): Promise<R | undefined>
  scalar<V = unknown>(options?: QueryOptions | Handle): Promise<V | undefined>
  status(options?: QueryOptions | Handle): Promise<Status<R>>
  iterate(options?: CursorOptions | Handle): Cursor<R>
}

/** Makes the query of `` executor.sql`…` ``. Throws as the `sql` tag does. */
export function bindSql<R>(executor: Executor, strings: TemplateStringsArray, values: readonly unknown[]): SqlQuery<R> {
  return boundQuery<R>(executor, compose<R>(strings, values))
}

/** A query that is ready to run, and runs on that executor when nobody else is given it. */
export function boundQuery<R>(executor: Executor, query: ToStatement<R>): SqlQuery<R> {
  return new BoundQuery<R>(executor, query)
}

class BoundQuery<R> implements SqlQuery<R> {
  readonly #executor: Executor
  readonly #query: ToStatement<R>
  /** The transaction in whose frame it was made: once that has ended it must not run outside of it in silence. */
  readonly #madeIn: TransactionRecord | null

  constructor(executor: Executor, query: ToStatement<R>) {
    this.#executor = executor
    this.#query = query
    this.#madeIn = madeInTransaction(executor)
  }

  [toStatement](): Statement<R> {
    return this[asFragment]()[toStatement]()
  }

  [asFragment](): ToStatement<R> {
    if (this.#madeIn !== null && this.#madeIn.state !== 'open')
      throw new TransactionEndedError(this.#madeIn.endedMessage())
    return this.#query
  }

  /** Runs it, as `all()`. @throws {TransactionEndedError} when it was made in a transaction that has ended. */
  then<A = R[], B = never>(
    onFulfilled?: ((rows: R[]) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.all().then(onFulfilled, onRejected)
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

/** The transaction that a query belongs to which the caller makes; null for none. */
export function madeInTransaction(executor: Executor): TransactionRecord | null {
  return executor.transactionHere()
}
