// The one query surface, implemented once for Engine, Db, Connection and Transaction: each only says which engine it
// belongs to and how a statement is sent. What each method does with the rows is in `execute.ts`.
import type { DrizzleCommand, Params, Query } from '../../sql/statement.ts'
import { Printable } from '../../util/printable.ts'
import { currentChain, type Link } from '../context/chain.ts'
import { Cursor, cursorChecks, type CursorOptions } from './cursor.ts'
import type { Engine } from '../engine.ts'
import {
  answer,
  everyRow,
  execute,
  executeMany,
  firstRow,
  firstRowOrNotFound,
  firstValue,
  onlyRow,
  onlyRowOrNone,
} from './execute.ts'
import { type Handle, placeOf, recogniseExecutors } from '../handle.ts'
import type { EngineOp } from './op.ts'
import { optionsOf, type QueryDefaults, type QueryOptions } from './query-options.ts'
import type { Slot } from '../slot/slot.ts'
import { bindSql, type SqlQuery } from './sql-query.ts'
import type { Status } from './status.ts'
import type { ManualTransaction } from '../transaction/manual.ts'
import type { TransactionOptions, TransactionPlace } from '../transaction-options.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import type { Transaction } from '../transaction/transaction.ts'

/** A row of a text query: what the server names its columns. */
export type Row = Record<string, unknown>

export abstract class Executor extends Printable {
  /** @internal The engine statements go to here; a promise while it opens. */
  abstract engineHere(): Engine | Promise<Engine>
  /** @internal As `engineHere`, but null while there is none yet. */
  abstract engineQuietly(): Engine | null
  /** @internal Sends a prepared operation; failures reach the operation. */
  abstract send(op: EngineOp): void
  /** @internal The slot statements issued with `chain` go to; null when they stand alone. */
  abstract slotHere(engine: Engine, chain: Link | undefined): Slot | null
  /** @internal Where a transaction begun here is opened; `reuse`: on the connection that is there. */
  abstract placeHere(reuse: boolean, engine: Engine): TransactionPlace
  /** @internal The transaction that a query made here belongs to, ended or not; null for none. */
  abstract transactionHere(): TransactionRecord | null
  /** @internal */
  abstract handleHere(): Handle | null
  /** @internal Defaults for statements sent here, above those of the engine. */
  abstract defaultsHere(): QueryDefaults | null

  readonly #isExecutor = true

  static {
    recogniseExecutors((value) => #isExecutor in value && value.#isExecutor)
  }

  /** @internal Whether a handle of that engine can do what is asked of this. */
  runsOn(engine: Engine): boolean {
    return this.engineQuietly() === engine
  }

  /**
   * Runs `work` in a transaction: committed when it returns, rolled back when it throws. Ambient inside; nested calls
   * are savepoints on the same connection.
   */
  abstract transaction<T>(work: (tx: Transaction) => Promise<T> | T, options?: TransactionOptions | Handle): Promise<T>

  /** @internal Opens a transaction by hand. */
  abstract begin(options?: TransactionOptions | Handle): Promise<ManualTransaction>

  /** Every row. (GINO: `all`.) @throws {QueryError} when the server refuses the statement. */
  all<R>(query: Query<R>, options?: QueryOptions | Handle): Promise<R[]>
  all<R = Row>(text: string, params?: Params, options?: QueryOptions | Handle): Promise<R[]>
  all<R>(
    query: Query<R> | string,
    second?: Params | QueryOptions | Handle,
    third?: QueryOptions | Handle,
  ): Promise<R[]> {
    return execute<R, R[]>(this, everyRow, query, second, third)
  }

  /** The first row, or undefined; the others are not loaded. (GINO: `first`.) */
  first<R>(query: Query<R>, options?: QueryOptions | Handle): Promise<R | undefined>
  first<R = Row>(text: string, params?: Params, options?: QueryOptions | Handle): Promise<R | undefined>
  first<R>(
    query: Query<R> | string,
    second?: Params | QueryOptions | Handle,
    third?: QueryOptions | Handle,
  ): Promise<R | undefined> {
    return execute<R, R | undefined>(this, firstRow, query, second, third)
  }

  /** As `first`. @throws {NotFoundError} when there is none: web plug-ins answer 404. (GINO: `first_or_404`.) */
  firstOr404<R>(query: Query<R>, options?: QueryOptions | Handle): Promise<R>
  firstOr404<R = Row>(text: string, params?: Params, options?: QueryOptions | Handle): Promise<R>
  firstOr404<R>(
    query: Query<R> | string,
    second?: Params | QueryOptions | Handle,
    third?: QueryOptions | Handle,
  ): Promise<R> {
    return execute<R, R>(this, firstRowOrNotFound, query, second, third)
  }

  /**
   * The only row. (GINO: `one`.)
   * @throws {NoResultError} when there is none.
   * @throws {MultipleResultsError} when there is more than one.
   */
  one<R>(query: Query<R>, options?: QueryOptions | Handle): Promise<R>
  one<R = Row>(text: string, params?: Params, options?: QueryOptions | Handle): Promise<R>
  one<R>(query: Query<R> | string, second?: Params | QueryOptions | Handle, third?: QueryOptions | Handle): Promise<R> {
    return execute<R, R>(this, onlyRow, query, second, third)
  }

  /** The only row, or undefined. (GINO: `one_or_none`.) @throws {MultipleResultsError} when there is more than one. */
  oneOrNone<R>(query: Query<R>, options?: QueryOptions | Handle): Promise<R | undefined>
  oneOrNone<R = Row>(text: string, params?: Params, options?: QueryOptions | Handle): Promise<R | undefined>
  oneOrNone<R>(
    query: Query<R> | string,
    second?: Params | QueryOptions | Handle,
    third?: QueryOptions | Handle,
  ): Promise<R | undefined> {
    return execute<R, R | undefined>(this, onlyRowOrNone, query, second, third)
  }

  /** The first column of the first row: undefined when there is no row, null when it is NULL. (GINO: `scalar`.) */
  scalar<V = unknown>(query: Query<unknown>, options?: QueryOptions | Handle): Promise<V | undefined>
  scalar<V = unknown>(text: string, params?: Params, options?: QueryOptions | Handle): Promise<V | undefined>
  scalar<V>(
    query: Query<unknown> | string,
    second?: Params | QueryOptions | Handle,
    third?: QueryOptions | Handle,
  ): Promise<V | undefined> {
    return execute<V, V | undefined>(this, firstValue, query as Query<V>, second, third)
  }

  /**
   * What the server says of the statement, with its rows. The only method that takes several statements in one text,
   * and then without parameters; rows and counts are those of the last. (GINO: `status`.)
   */
  status<R = Row>(query: Query<R> | DrizzleCommand, options?: QueryOptions | Handle): Promise<Status<R>>
  status<R = Row>(text: string, params?: Params, options?: QueryOptions | Handle): Promise<Status<R>>
  status<R>(
    query: Query<R> | DrizzleCommand | string,
    second?: Params | QueryOptions | Handle,
    third?: QueryOptions | Handle,
  ): Promise<Status<R>> {
    return execute<R, Status<R>>(this, answer, query as Query<R>, second, third)
  }

  /**
   * Runs one statement with each set of parameters, all or nothing; the rows are not loaded. No set is no statement. A query
   * that was built takes values for its placeholders, as a baked one. (GINO: multiparams.)
   * @throws {UsageError} when `sets` is not a list.
   */
  executeMany(
    query: Query<unknown> | DrizzleCommand | string,
    sets: readonly Params[],
    options?: QueryOptions | Handle,
  ): Promise<Status<never>> {
    return executeMany(this, query, sets, options)
  }

  /**
   * Rows as they come, `batchSize` at a time, by a cursor on the server: nothing is sent before the first is asked
   * for. In a transaction the loop may run other statements; outside, the cursor opens a transaction of its own, and
   * the connection runs nothing else until the cursor is closed: by its end, `break`, disposal or the end of the
   * scope. (GINO: `iterate`; PostgreSQL: DECLARE.)
   */
  iterate<R>(query: Query<R>, options?: CursorOptions | Handle): Cursor<R>
  iterate<R = Row>(text: string, params?: Params, options?: CursorOptions | Handle): Cursor<R>
  iterate<R>(
    query: Query<R> | string,
    second?: Params | CursorOptions | Handle,
    third?: CursorOptions | Handle,
  ): Cursor<R> {
    const options = optionsOf<CursorOptions>(query, second, third, cursorChecks, 'iterate()')
    const params = typeof query === 'string' ? (second as Params | undefined) : undefined
    const executor = placeOf(options?.on, this, 'iterate()')
    return new Cursor<R>(executor, currentChain(), query, params, options)
  }

  /**
   * A statement written as a template: values become parameters, `sql.identifier`, `sql.join` and other fragments are
   * merged. Runs when awaited or by its methods.
   */
  sql<R = Row>(strings: TemplateStringsArray, ...values: readonly unknown[]): SqlQuery<R> {
    return bindSql<R>(this, strings, values)
  }
}
