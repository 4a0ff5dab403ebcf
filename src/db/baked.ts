// A statement that is baked: written once, run with other values each time. Made by `Db.bake`; every run is an ordinary call
// of an executor, to which the recipe brings what was compiled. It is immutable and knows no connection.
import { UsageError } from '../errors/index.ts'
import type { Cursor, CursorOptions } from '../engine/query/cursor.ts'
import {
  answer,
  type Cardinality,
  everyRow,
  execute,
  executeMany,
  firstRow,
  firstValue,
  onlyRow,
  onlyRowOrNone,
} from '../engine/query/execute.ts'
import { Executor } from '../engine/query/executor.ts'
import type { QueryOptions } from '../engine/query/query-options.ts'
import { boundQuery, type SqlQuery } from '../engine/query/sql-query.ts'
import type { Status } from '../engine/query/status.ts'
import type { Recipe, RowLoader } from '../sql/baked/recipe.ts'
import { asQuery, type DrizzleCommand, type Params, type Query, type Statement, toStatement } from '../sql/statement.ts'
import { Printable } from '../util/printable.ts'
import { describeType } from '../util/checks.ts'

export type { RowLoader } from '../sql/baked/recipe.ts'

/** What can be baked besides text: a query that was built, one without rows too. */
export type Bakeable<R> = Query<R> | DrizzleCommand

/** Of one run. */
export interface BakedOptions extends QueryOptions {
  /** Where it runs: a connection, transaction or engine. Default: the `db` it was baked on, as it is here and now. */
  readonly on?: Executor | undefined
}

/** What holds for every run; options of a run win. */
export interface BakeOptions {
  /** As in `QueryOptions`. */
  readonly timeoutMs?: number | undefined
  /** As in `BakedOptions`. */
  readonly on?: Executor | undefined
}

/** With what rows become. */
export interface LoadingOptions<Raw, T> extends BakeOptions {
  /** A function of a row; `{ decode(rows) }`, a function of a page of rows; or a specification for the driver. */
  readonly loader: RowLoader<Raw, T>
}

/** What a run is given: parameters, which may be left out where none is needed, and options. */
export type BakedArguments<P, Options = BakedOptions> =
  Partial<P> extends P ? [params?: P, options?: Options] : [params: P, options?: Options]

/**
 * A statement that was compiled once, of rows `R` and parameters `P`; `Raw` are its rows before a loader. Each method does
 * what that of an executor does, and rejects with `ParameterError` for parameters that do not fit, with `NotBoundError`
 * while its db has no database. (GINO: `BakedQuery`.)
 */
export interface Baked<R, P extends object = Params, Raw = R> {
  all(...given: BakedArguments<P>): Promise<R[]>
  first(...given: BakedArguments<P>): Promise<R | undefined>
  one(...given: BakedArguments<P>): Promise<R>
  oneOrNone(...given: BakedArguments<P>): Promise<R | undefined>
  /** The first column of the first row, whatever the loader. */
  scalar<V = unknown>(...given: BakedArguments<P>): Promise<V | undefined>
  status(...given: BakedArguments<P>): Promise<Status<R>>
  /** @throws {ParameterError} at once, when the parameters do not fit. */
  iterate(...given: BakedArguments<P, CursorOptions & BakedOptions>): Cursor<R>
  /** Runs it with each set of parameters, all or nothing; the rows are not loaded. No set is no statement. */
  executeMany(sets: readonly P[], options?: BakedOptions): Promise<Status<never>>
  /**
   * The query with these values: await it, or give it to any executor, as in `tx.first(byName.bind({ name }))`.
   * @throws {ParameterError} when they do not fit.
   */
  bind(...given: BakedArguments<P, never>): SqlQuery<R>
  /**
   * A copy with other options; this one stays as it is. They share what was compiled and prepared. A loader replaces the
   * one there was. (GINO: `execution_options`, `load`.)
   * @throws {UsageError} for an option that there is not.
   */
  with<T>(options: LoadingOptions<Raw, T>): Baked<T, P, Raw>
  with(options: BakeOptions): Baked<R, P, Raw>
  /** The SQL and how many placeholders it has. */
  toString(): string
  /** Without parameters it is a query itself. */
  readonly [toStatement]: Partial<P> extends P ? () => Statement<R> : unknown
}

export type Loading = BakeOptions & { readonly loader?: RowLoader<never, unknown> | undefined }

/** @throws {UsageError} for an option that there is not. */
export function bakedOn<R, P extends object, Raw>(recipe: Recipe, on: Executor, options?: Loading): Baked<R, P, Raw> {
  return new BakedStatement(recipe, on, options) as unknown as Baked<R, P, Raw>
}

/** Implements `Baked` at run time; what fits which parameters is a matter of types. */
class BakedStatement extends Printable {
  readonly #recipe: Recipe
  readonly #on: Executor
  readonly #timeoutMs: number | undefined
  /** What a run without options of its own gets. */
  readonly #options: QueryOptions | undefined

  /** @throws {UsageError} for an option that there is not. */
  constructor(recipe: Recipe, on: Executor, options: Loading = {}) {
    super()
    check(options)
    this.#recipe = options.loader === undefined ? recipe : recipe.loading(options.loader)
    this.#on = options.on ?? on
    this.#timeoutMs = options.timeoutMs
    this.#options = options.timeoutMs === undefined ? undefined : { timeoutMs: options.timeoutMs }
  }

  all(params?: Params, options?: BakedOptions): Promise<unknown[]> {
    return this.#run(everyRow, params, options)
  }

  first(params?: Params, options?: BakedOptions): Promise<unknown> {
    return this.#run(firstRow, params, options)
  }

  one(params?: Params, options?: BakedOptions): Promise<unknown> {
    return this.#run(onlyRow, params, options)
  }

  oneOrNone(params?: Params, options?: BakedOptions): Promise<unknown> {
    return this.#run(onlyRowOrNone, params, options)
  }

  scalar(params?: Params, options?: BakedOptions): Promise<unknown> {
    return this.#run(firstValue, params, options)
  }

  status(params?: Params, options?: BakedOptions): Promise<Status> {
    return this.#run(answer, params, options)
  }

  iterate(params?: Params, options?: CursorOptions & BakedOptions): Cursor<unknown> {
    const on = options?.on ?? this.#on
    if (!(on instanceof Executor)) throw noExecutor(on)
    const statement = this[toStatement](params)
    return on.iterate(asQuery(statement), options === undefined ? this.#options : this.#merged(options))
  }

  executeMany(sets: readonly Params[], options?: BakedOptions): Promise<Status<never>> {
    const on = options?.on ?? this.#on
    if (!(on instanceof Executor)) return Promise.reject(noExecutor(on))
    return executeMany(on, this.#recipe, sets, options === undefined ? this.#options : this.#merged(options))
  }

  bind(params?: Params): SqlQuery<unknown> {
    const statement = this[toStatement](params)
    return boundQuery(this.#on, asQuery(statement))
  }

  with(options: Loading): BakedStatement {
    return new BakedStatement(this.#recipe, this.#on, { timeoutMs: this.#timeoutMs, ...options })
  }

  /** Executors call it with how many rows they can use, which is no parameter. */
  [toStatement](params?: Params | number): Statement {
    const { plan } = this.#recipe
    return this.#recipe.statement(plan.values(typeof params === 'number' ? undefined : params))
  }

  override toString(): string {
    const { text, names, parameters } = this.#recipe.plan
    const count = names === null ? parameters : names.length
    return `Baked { ${text} } with ${count === 1 ? '1 placeholder' : `${count} placeholders`}`
  }

  /** A plain call: the one async function is `execute`. */
  #run<T>(cardinality: Cardinality, params: Params | undefined, options: BakedOptions | undefined): Promise<T> {
    if (options === undefined) return execute(this.#on, cardinality, this.#recipe, params, this.#options)
    const on = options.on ?? this.#on
    if (!(on instanceof Executor)) return Promise.reject(noExecutor(on))
    return execute(on, cardinality, this.#recipe, params, this.#merged(options))
  }

  #merged(options: BakedOptions): BakedOptions {
    return this.#timeoutMs === undefined || options.timeoutMs !== undefined
      ? options
      : { ...options, timeoutMs: this.#timeoutMs }
  }
}

const known: ReadonlySet<string> = new Set(['timeoutMs', 'on', 'loader'])

function check(options: Loading): void {
  const unknown = Object.keys(options).filter((name) => !known.has(name))
  if (unknown.length > 0)
    throw new UsageError(`A baked statement has no option ${unknown.join(', ')}: there are timeoutMs, on and loader.`)
  if (options.on !== undefined && !(options.on instanceof Executor)) throw noExecutor(options.on)
  const { timeoutMs } = options
  if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs >= 0))
    throw new UsageError('timeoutMs must be a number of milliseconds, 0 or more.')
}

function noExecutor(given: unknown): UsageError {
  return new UsageError(`The option on is a db, an engine, a connection or a transaction, not ${describeType(given)}.`)
}
