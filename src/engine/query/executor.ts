// The one query surface, implemented once for Engine, Db, Connection and Transaction: each only says which engine it
// belongs to and how a statement is sent. `execute.ts` says what each method makes of the rows.
import type { EngineCore, QueryDefaults } from '../core.ts'
import { postgres } from '../../postgres/dialect.ts'
import type { Dialect } from '../../sql/dialect.ts'
import type { Into, IntoRow } from '../../sql/into.ts'
import type { OnlyColumn, OnlyMember, ToValue } from '../../sql/first-column.ts'
import type { Built, DrizzleCommand, Params, Query, ToStatement } from '../../sql/statement.ts'
import { needsFunction, readAgain } from '../../util/options.ts'
import { Printable, rejected } from '../../util/thrown.ts'
import { currentChain, type Link } from '../context/chain.ts'
import { Cursor } from './cursor.ts'
import type { Enclosing, Settings, Handle } from '../context/frame.ts'
import {
  answer,
  everyRow,
  execute,
  firstRow,
  firstRowOrNotFound,
  firstValue,
  onlyRow,
  onlyRowOrNone,
  type ArrayStatus,
  type Status,
} from './execute.ts'
import { executeMany } from './execute-many.ts'
import { placeOf, recogniseExecutors } from '../handle.ts'
import type { RunningEngine } from '../runtime.ts'
import type { EngineOp } from './op.ts'
import type { CursorOptions, IntoOptions, QueryOptions, StatusOptions } from './query-options.ts'
import { cursorRowChecks, type CursorTerms, optionsOf, type RowTerms } from './query-terms.ts'
import type { Runner } from './runner.ts'
import type { Slot, TransactionPlace } from '../slot/slot.ts'
import { afterOpening } from '../open/opening.ts'
import type { ManualTransaction, Transaction } from '../transaction/transaction.ts'
import { type TransactionOptions, transactionOptions } from '../transaction/options.ts'
import { boundQuery, type SqlQuery } from './sql-query.ts'
import { compose } from '../../sql/tag.ts'

/** A row of a text query. Its keys are the column names that the server sends. */
export type Row = Record<string, unknown>

type Bound = Params | undefined

// A `Runner`, and not declared as one: the published declarations leave internal members out.
/**
 * The methods that run queries and transactions, the same on a `Db`, an `Engine`, a `Connection` and a `Transaction`. As a type it is for
 * functions that take any of them; it is no class to extend.
 */
export abstract class Executor extends Printable {
  /**
   * @internal The engine statements go to here; a promise while it opens.
   * @param whole False: for a statement that stands alone, which needs no works of scopes.
   */
  abstract engineHere(whole?: boolean): RunningEngine | Promise<RunningEngine>
  /** @internal As `engineHere`, but null while there is none yet. */
  abstract engineQuietly(): RunningEngine | null
  /** @internal Sends a prepared operation; failures reach the operation. */
  abstract send(op: EngineOp): void
  /** @internal The slot statements issued with `chain` go to; null when they stand alone. */
  abstract slotHere(engine: EngineCore, chain: Link | undefined): Slot | null
  /** @internal Where a transaction begun here is opened; `reuse`: on the connection that is there. */
  abstract placeHere(reuse: boolean, engine: EngineCore): TransactionPlace
  /** @internal The transaction that a query made here belongs to, ended or not; null for none. */
  abstract transactionHere(): Enclosing | null
  /**
   * @internal The settings that statements sent here run with; null for none.
   * @throws {TransactionStateError} when they would be those of a frame that has ended.
   */
  abstract settingsHere(): Settings | null
  /** @internal Where calls of this run that say `on`: at the place of this one, if it has any. */
  at(on: Executor): Executor {
    return on
  }
  /** @internal The executor to which what is made here belongs: another one where code around says that it means another database. */
  madeHere(): Executor {
    return this
  }
  /** @internal The settings that what is made here runs with, whenever that is; null for none. */
  madeWith(): Settings | null {
    return this.settingsHere()
  }
  /** @internal The chain of the code that sends a statement here. */
  chainHere(): Link | undefined {
    return currentChain()
  }
  /** @internal */
  abstract handleHere(): Handle | null
  /** @internal Defaults for statements sent here, above those of the engine, where that and the chain here are known. */
  abstract defaultsHere(engine?: EngineCore, chain?: Link): QueryDefaults | null

  /** @internal What SQL written here is read by: until the database is known, by what PostgreSQL reads. */
  dialectHere(): Dialect {
    return this.engineQuietly()?.dialect ?? postgres
  }

  readonly #isExecutor = true

  static {
    recogniseExecutors((value) => #isExecutor in value && value.#isExecutor)
  }

  /** @internal Whether a handle of that engine can do what is asked of this. */
  runsOn(engine: EngineCore): boolean {
    return this.engineQuietly() === engine
  }

  /**
   * Runs `work` in a transaction: committed when it returns, rolled back when it throws. It is ambient inside. Nested calls
   * are savepoints on the same connection. Called on a transaction, it is a savepoint of that one, not of the ambient one.
   */
  // Not async: that would be a promise around the one of the transaction.
  transaction<T>(work: (tx: Transaction) => Promise<T> | T, given?: TransactionOptions | Handle): Promise<T> {
    try {
      needsFunction(work, 'transaction()', 'or begin() opens one by hand')
      const options = transactionOptions(given, 'transaction()')
      const there = placeOf(options.on, this, 'transaction()')
      if (there !== this) return there.transaction(work, readAgain(options, { on: undefined }))
      const engine = this.engineHere()
      if (engine instanceof Promise) return afterOpening(engine, options).then((left) => this.transaction(work, left))
      return engine.transact(this.placeHere(options.reuse !== false, engine), work, options)
    } catch (error) {
      return rejected(error)
    }
  }

  /** @internal Opens a transaction by hand. */
  abstract begin(options?: TransactionOptions | Handle): Promise<ManualTransaction>

  /** Every row. (GINO: `all`.) @throws {QueryError} when the server refuses the statement. */
  all<const I extends Into>(query: Query<unknown>, options: IntoOptions<I>): Promise<IntoRow<I>[]>
  all<const I extends Into>(text: string, params: Bound, options: IntoOptions<I>): Promise<IntoRow<I>[]>
  all<R>(query: Query<R>, options?: QueryOptions | Handle): Promise<R[]>
  all<R = Row>(text: string, params?: Params, options?: QueryOptions | Handle): Promise<R[]>
  all<R>(
    query: Query<R> | string,
    second?: Params | QueryOptions | Handle,
    third?: QueryOptions | Handle,
  ): Promise<R[]> {
    return execute<R, R[]>(this, everyRow, query, second, third)
  }

  /** The first row, or undefined. The other rows are not loaded. (GINO: `first`.) */
  first<const I extends Into>(query: Query<unknown>, options: IntoOptions<I>): Promise<IntoRow<I> | undefined>
  first<const I extends Into>(text: string, params: Bound, options: IntoOptions<I>): Promise<IntoRow<I> | undefined>
  first<R>(query: Query<R>, options?: QueryOptions | Handle): Promise<R | undefined>
  first<R = Row>(text: string, params?: Params, options?: QueryOptions | Handle): Promise<R | undefined>
  first<R>(
    query: Query<R> | string,
    second?: Params | QueryOptions | Handle,
    third?: QueryOptions | Handle,
  ): Promise<R | undefined> {
    return execute<R, R | undefined>(this, firstRow, query, second, third)
  }

  /** The first row. @throws {NotFoundError} when there is none; web plug-ins answer 404. (GINO: `first_or_404`.) */
  firstOr404<const I extends Into>(query: Query<unknown>, options: IntoOptions<I>): Promise<IntoRow<I>>
  firstOr404<const I extends Into>(text: string, params: Bound, options: IntoOptions<I>): Promise<IntoRow<I>>
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
  one<const I extends Into>(query: Query<unknown>, options: IntoOptions<I>): Promise<IntoRow<I>>
  one<const I extends Into>(text: string, params: Bound, options: IntoOptions<I>): Promise<IntoRow<I>>
  one<R>(query: Query<R>, options?: QueryOptions | Handle): Promise<R>
  one<R = Row>(text: string, params?: Params, options?: QueryOptions | Handle): Promise<R>
  one<R>(query: Query<R> | string, second?: Params | QueryOptions | Handle, third?: QueryOptions | Handle): Promise<R> {
    return execute<R, R>(this, onlyRow, query, second, third)
  }

  /** The only row, or undefined. (GINO: `one_or_none`.) @throws {MultipleResultsError} when there is more than one. */
  oneOrNone<const I extends Into>(query: Query<unknown>, options: IntoOptions<I>): Promise<IntoRow<I> | undefined>
  oneOrNone<const I extends Into>(text: string, params: Bound, options: IntoOptions<I>): Promise<IntoRow<I> | undefined>
  oneOrNone<R>(query: Query<R>, options?: QueryOptions | Handle): Promise<R | undefined>
  oneOrNone<R = Row>(text: string, params?: Params, options?: QueryOptions | Handle): Promise<R | undefined>
  oneOrNone<R>(
    query: Query<R> | string,
    second?: Params | QueryOptions | Handle,
    third?: QueryOptions | Handle,
  ): Promise<R | undefined> {
    return execute<R, R | undefined>(this, onlyRowOrNone, query, second, third)
  }

  /** The first column of the first row. Undefined when there is no row, null when it is NULL. (GINO: `scalar`.) */
  scalar<V>(query: ToStatement & ToValue<V>, options?: QueryOptions | Handle): Promise<V | undefined>
  scalar<R extends object>(query: Built<R>, options?: QueryOptions | Handle): Promise<OnlyColumn<R> | undefined>
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
   * The rows, row count and command tag of the statement. Only this method takes several statements in one text, and then
   * without parameters: `results` has one result for each, and the other members are those of the last. With `rows: 'array'`
   * each row is a list of its values, and the result has `fields`. (GINO: `status`.)
   */
  status(
    query: Query<unknown> | DrizzleCommand,
    options: StatusOptions & { readonly rows: 'array' },
  ): Promise<ArrayStatus>
  status(
    text: string,
    params: Params | undefined,
    options: StatusOptions & { readonly rows: 'array' },
  ): Promise<ArrayStatus>
  status<const I extends Into>(
    query: Query<unknown> | DrizzleCommand,
    options: IntoOptions<I>,
  ): Promise<Status<IntoRow<I>>>
  status<const I extends Into>(text: string, params: Bound, options: IntoOptions<I>): Promise<Status<IntoRow<I>>>
  status<R = Row>(query: Query<R> | DrizzleCommand, options?: StatusOptions | Handle): Promise<Status<R>>
  status<R = Row>(text: string, params?: Params, options?: StatusOptions | Handle): Promise<Status<R>>
  status<R>(
    query: Query<R> | DrizzleCommand | string,
    second?: Params | StatusOptions | Handle,
    third?: StatusOptions | Handle,
  ): Promise<Status<R>> {
    return execute<R, Status<R>>(this, answer, query as Query<R>, second, third)
  }

  /**
   * Runs one statement with each set of parameters, all or nothing. Rows are not loaded. With an empty list it sends nothing.
   * A built query takes values for its placeholders, like a baked one. (GINO: multiparams.)
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
   * Reads rows by a cursor on the server, `batchSize` at a time. It sends nothing before the first row is asked for. In a
   * transaction the loop may run other statements. Outside, the cursor opens its own transaction, and the connection runs
   * nothing else until the cursor is closed. It closes at its end, by `break`, by disposal or at the end of the scope.
   * (GINO: `iterate`; PostgreSQL: DECLARE.)
   */
  iterate<const I extends Into>(query: Query<unknown>, options: CursorOptions & IntoOptions<I>): Cursor<IntoRow<I>>
  iterate<const I extends Into>(
    text: string,
    params: Bound,
    options: CursorOptions & IntoOptions<I>,
  ): Cursor<IntoRow<I>>
  iterate<R>(query: Query<R>, options?: CursorOptions | Handle): Cursor<R>
  iterate<R = Row>(text: string, params?: Params, options?: CursorOptions | Handle): Cursor<R>
  iterate<R>(
    query: Query<R> | string,
    second?: Params | CursorOptions | Handle,
    third?: CursorOptions | Handle,
  ): Cursor<R> {
    const options = optionsOf<CursorTerms & RowTerms>(query, second, third, cursorRowChecks, 'iterate()')
    const params = typeof query === 'string' ? (second as Params | undefined) : undefined
    const executor = placeOf<Runner>(options?.on, this, 'iterate()')
    return new Cursor<R>(executor, executor.chainHere(), query, params, options)
  }

  /**
   * A statement written as a template. Values become parameters; `sql.identifier`, `sql.join` and other fragments are
   * merged into the text. It runs when awaited, or by one of its methods.
   */
  sql<R = Row>(strings: TemplateStringsArray, ...values: readonly unknown[]): SqlQuery<R, OnlyMember<R>> {
    return boundQuery<R>(this, compose<R>(this.dialectHere(), strings, values))
  }
}
