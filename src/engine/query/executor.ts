// The one query surface, implemented once for Engine, Db, Connection and Transaction: each only says which engine it
// belongs to and how a statement is sent. The methods here are the only async layer between the user and the wire,
// and the only place where a failure becomes an error.
import { MultipleResultsError, NoResultError, UsageError } from '../../errors/index.ts'
import type { Compiled } from '../../sql/compiled.ts'
import { adapt, type Params, type Query } from '../../sql/statement.ts'
import { Printable } from '../../util/printable.ts'
import { currentChain, type Link } from '../context/chain.ts'
import { Cursor, type CursorOptions } from './cursor.ts'
import type { Engine } from '../engine.ts'
import { thrownError } from './failure.ts'
import type { Handle } from '../handle.ts'
import { EngineOp } from './op.ts'
import type { QueryDefaults, QueryOptions } from './query-options.ts'
import type { Slot } from '../slot/slot.ts'
import { bindSql, type SqlQuery } from './sql-query.ts'
import { Status } from './status.ts'
import type { TransactionOptions } from '../transaction-options.ts'
import type { Transaction } from '../transaction/transaction.ts'
import { scalarSpec } from './specs.ts'

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
  /** @internal */
  abstract handleHere(): Handle | null
  /** @internal Defaults for statements sent here, above those of the engine. */
  abstract defaultsHere(): QueryDefaults | null

  /**
   * Runs `work` in a transaction: committed when it returns, rolled back when it throws. Ambient inside; nested calls
   * are savepoints on the same connection.
   */
  abstract transaction<T>(work: (tx: Transaction) => Promise<T> | T, options?: TransactionOptions): Promise<T>

  /** Every row. (GINO: `all`.) @throws {QueryError} when the server refuses the statement. */
  all<R>(query: Query<R>, options?: QueryOptions): Promise<R[]>
  all<R = Row>(text: string, params?: Params, options?: QueryOptions): Promise<R[]>
  async all<R>(query: Query<R> | string, second?: Params | QueryOptions, third?: QueryOptions): Promise<R[]> {
    const here = this.engineHere()
    const op = prepare<R>(this, here instanceof Promise ? await here : here, query, second, third, 0)
    this.send(op)
    try {
      await op.wait()
    } catch (thrown) {
      throw thrownError(thrown, op)
    }
    return decoded(op)
  }

  /** The first row, or undefined; the others are not loaded. (GINO: `first`.) */
  first<R>(query: Query<R>, options?: QueryOptions): Promise<R | undefined>
  first<R = Row>(text: string, params?: Params, options?: QueryOptions): Promise<R | undefined>
  async first<R>(
    query: Query<R> | string,
    second?: Params | QueryOptions,
    third?: QueryOptions,
  ): Promise<R | undefined> {
    const here = this.engineHere()
    const op = prepare<R>(this, here instanceof Promise ? await here : here, query, second, third, 1)
    this.send(op)
    try {
      await op.wait()
    } catch (thrown) {
      throw thrownError(thrown, op)
    }
    return decoded(op)[0]
  }

  /**
   * The only row. (GINO: `one`.)
   * @throws {NoResultError} when there is none.
   * @throws {MultipleResultsError} when there is more than one.
   */
  one<R>(query: Query<R>, options?: QueryOptions): Promise<R>
  one<R = Row>(text: string, params?: Params, options?: QueryOptions): Promise<R>
  async one<R>(query: Query<R> | string, second?: Params | QueryOptions, third?: QueryOptions): Promise<R> {
    const here = this.engineHere()
    const op = prepare<R>(this, here instanceof Promise ? await here : here, query, second, third, 2)
    this.send(op)
    try {
      await op.wait()
    } catch (thrown) {
      throw thrownError(thrown, op)
    }
    const rows = decoded(op)
    if (rows.length === 0)
      throw new NoResultError('one() found no row. Use first() or oneOrNone() where there may be none.', about(op))
    if (rows.length > 1) throw tooMany('one', op)
    return rows[0] as R
  }

  /** The only row, or undefined. (GINO: `one_or_none`.) @throws {MultipleResultsError} when there is more than one. */
  oneOrNone<R>(query: Query<R>, options?: QueryOptions): Promise<R | undefined>
  oneOrNone<R = Row>(text: string, params?: Params, options?: QueryOptions): Promise<R | undefined>
  async oneOrNone<R>(
    query: Query<R> | string,
    second?: Params | QueryOptions,
    third?: QueryOptions,
  ): Promise<R | undefined> {
    const here = this.engineHere()
    const op = prepare<R>(this, here instanceof Promise ? await here : here, query, second, third, 2)
    this.send(op)
    try {
      await op.wait()
    } catch (thrown) {
      throw thrownError(thrown, op)
    }
    const rows = decoded(op)
    if (rows.length > 1) throw tooMany('oneOrNone', op)
    return rows[0]
  }

  /** The first column of the first row: undefined when there is no row, null when it is NULL. (GINO: `scalar`.) */
  scalar<V = unknown>(query: Query<unknown>, options?: QueryOptions): Promise<V | undefined>
  scalar<V = unknown>(text: string, params?: Params, options?: QueryOptions): Promise<V | undefined>
  async scalar<V>(
    query: Query<unknown> | string,
    second?: Params | QueryOptions,
    third?: QueryOptions,
  ): Promise<V | undefined> {
    const here = this.engineHere()
    const op = prepare<V>(this, here instanceof Promise ? await here : here, query as Query<V>, second, third, 1, true)
    this.send(op)
    try {
      await op.wait()
    } catch (thrown) {
      throw thrownError(thrown, op)
    }
    return op.rows[0]
  }

  /**
   * What the server says of the statement, with its rows. The only method that takes several statements in one text,
   * and then without parameters; rows and counts are those of the last. (GINO: `status`.)
   */
  status<R = Row>(query: Query<R>, options?: QueryOptions): Promise<Status<R>>
  status<R = Row>(text: string, params?: Params, options?: QueryOptions): Promise<Status<R>>
  async status<R>(query: Query<R> | string, second?: Params | QueryOptions, third?: QueryOptions): Promise<Status<R>> {
    const here = this.engineHere()
    const op = prepare<R>(this, here instanceof Promise ? await here : here, query, second, third, 0, false, true)
    this.send(op)
    try {
      await op.wait()
    } catch (thrown) {
      throw thrownError(thrown, op)
    }
    return new Status(op.tag, op.count < 0 ? null : op.count, decoded(op))
  }

  /**
   * Runs one statement with each set of parameters, all or nothing; the rows are not loaded. No set is no statement.
   * (GINO: multiparams.)
   * @throws {UsageError} when `sets` is not a list.
   */
  async executeMany(text: string, sets: readonly Params[], options?: QueryOptions): Promise<Status<never>> {
    if (!Array.isArray(sets)) throw new UsageError('executeMany() takes a list of parameter sets.')
    if (sets.length === 0) return new Status('', 0, [])
    const here = this.engineHere()
    const { compiled } = (here instanceof Promise ? await here : here).statements.compile(text)
    if (compiled.cls === 'multi') throw severalStatements(compiled)
    return this.transaction(
      async (tx) => {
        const statuses = await Promise.all(sets.map((params: Params) => tx.status(text, params, options)))
        const count = statuses.reduce((sum, status) => sum + (status.rowCount ?? 0), 0)
        return new Status<never>(statuses[0]?.command ?? '', count, [])
      },
      { timeoutMs: options?.timeoutMs, signal: options?.signal },
    )
  }

  /**
   * Rows as they come, `batchSize` at a time, by a cursor on the server: nothing is sent before the first is asked
   * for. In a transaction the loop may run other statements; outside, the cursor opens a transaction of its own, and
   * the connection runs nothing else until the cursor is closed: by its end, `break`, disposal or the end of the
   * scope. (GINO: `iterate`; PostgreSQL: DECLARE.)
   */
  iterate<R>(query: Query<R>, options?: CursorOptions): Cursor<R>
  iterate<R = Row>(text: string, params?: Params, options?: CursorOptions): Cursor<R>
  iterate<R>(query: Query<R> | string, second?: Params | CursorOptions, third?: CursorOptions): Cursor<R> {
    const built = typeof query !== 'string'
    return new Cursor<R>(
      this,
      currentChain(),
      query,
      built ? undefined : (second as Params),
      (built ? second : third) as CursorOptions,
    )
  }

  /**
   * A statement written as a template: values become parameters, `sql.identifier`, `sql.join` and other fragments are
   * merged. Runs when awaited or by its methods.
   */
  sql<R = Row>(strings: TemplateStringsArray, ...values: readonly unknown[]): SqlQuery<R> {
    return bindSql<R>(this, strings, values)
  }
}

/** @internal Makes the operation of a call: compiles the text or asks the builder, checks the parameters. */
export function prepare<R>(
  executor: Executor,
  engine: Engine,
  query: Query<R> | string,
  second: Params | QueryOptions | undefined,
  third: QueryOptions | undefined,
  maxRows: number,
  scalar = false,
  several = false,
): EngineOp<R> {
  const defaults = executor.defaultsHere()
  const chain = currentChain()
  if (typeof query === 'string') {
    const bound = engine.statements.compile(query).bind(second as Params | undefined)
    if (bound.compiled.cls === 'multi' && !(several && bound.params.length === 0))
      throw severalStatements(bound.compiled)
    const options = third ?? null
    return new EngineOp<R>(
      engine,
      chain,
      executor.handleHere(),
      bound.compiled,
      bound.params,
      scalar ? (scalarSpec as never) : null,
      null,
      maxRows,
      engine.until(options, defaults),
      engine.signal(options),
    )
  }
  const statement = adapt<R>(query)
  const options = (second as QueryOptions | undefined) ?? null
  const bound = engine.statements.compile(statement.sql).bind(statement.params)
  if (bound.compiled.cls === 'multi' && !(several && bound.params.length === 0)) throw severalStatements(bound.compiled)
  return new EngineOp<R>(
    engine,
    chain,
    executor.handleHere(),
    bound.compiled,
    bound.params,
    scalar ? (scalarSpec as never) : (statement.spec ?? null),
    scalar ? null : (statement.decode ?? null),
    maxRows,
    engine.until(options, defaults),
    engine.signal(options),
  )
}

function decoded<R>(op: EngineOp<R>): R[] {
  return op.decode === null ? op.rows : [...op.decode(op.rows)]
}

function about(op: EngineOp<never> | EngineOp): { statement: { sql: string } } {
  return { statement: { sql: op.stmt.text } }
}

function tooMany(method: string, op: EngineOp<never> | EngineOp): MultipleResultsError {
  return new MultipleResultsError(
    `${method}() found more than one row. Narrow the query, or use first() or all().`,
    about(op),
  )
}

function severalStatements(stmt: Compiled): UsageError {
  return new UsageError(
    'This text holds several statements. Run them one by one, or all with status(text) and no parameters.',
    {
      statement: { sql: stmt.text },
    },
  )
}
