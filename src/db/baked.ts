// A statement that is baked: written once, run with other values each time. Made by `Db.bake`; every run is an ordinary call
// of an executor, to which the recipe brings what was compiled. It is immutable and knows no connection.
import { UsageError } from '../errors/index.ts'
import { callOptions, type Handle, place, placeOf } from '../engine/handle.ts'
import { type Cursor, cursorChecks, type CursorOptions } from '../engine/query/cursor.ts'
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
import type { Executor } from '../engine/query/executor.ts'
import { optionsOf, queryChecks, type QueryOptions } from '../engine/query/query-options.ts'
import { boundQuery, type SqlQuery } from '../engine/query/sql-query.ts'
import type { Status } from '../engine/query/status.ts'
import { type Recipe, type RowLoader, toRecipe } from '../sql/baked/recipe.ts'
import { asQuery, type DrizzleCommand, type Params, type Query, type Statement, toStatement } from '../sql/statement.ts'
import { Printable } from '../util/printable.ts'
import { duration } from '../util/checks.ts'
import { type Checks, readAgain } from '../util/options.ts'

export type { RowLoader } from '../sql/baked/recipe.ts'

/** What can be baked besides text: a query that was built, one without rows too. */
export type Bakeable<R> = Query<R> | DrizzleCommand

/** Of one run. Without `on` it runs on the `db` it was baked on, as that is here and now. */
export type BakedOptions = QueryOptions

/** What holds for every run; options of a run win. */
export interface BakeOptions {
  /** As in `QueryOptions`. */
  readonly timeoutMs?: number | undefined
  /** As in `QueryOptions`. */
  readonly on?: Executor | undefined
}

/** With what rows become. */
export interface LoadingOptions<Raw, T> extends BakeOptions {
  /** A function of a row; `{ decode(rows) }`, a function of a page of rows; or a specification for the driver. */
  readonly loader: RowLoader<Raw, T>
}

/** What a run is given: parameters, which may be left out where none is needed, and options. */
export type BakedArguments<P, Options = BakedOptions | Handle> =
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
  iterate(...given: BakedArguments<P, CursorOptions | Handle>): Cursor<R>
  /** Runs it with each set of parameters, all or nothing; the rows are not loaded. No set is no statement. */
  executeMany(sets: readonly P[], options?: BakedOptions | Handle): Promise<Status<never>>
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
  with(options: BakeOptions | Handle): Baked<R, P, Raw>
  /** The SQL and how many placeholders it has. */
  toString(): string
  /** Without parameters it is a query itself. */
  readonly [toStatement]: Partial<P> extends P ? () => Statement<R> : unknown
}

export type Loading = BakeOptions & { readonly loader?: RowLoader<never, unknown> | undefined }

const loadingChecks: Checks<Loading> = {
  timeoutMs: duration,
  on: place,
  // What it may be is said where rows are loaded.
  loader: () => undefined,
}

/** @throws {UsageError} for an option that there is not. */
export function bakedOn<R, P extends object, Raw>(
  recipe: Recipe,
  on: Executor,
  options?: Loading | Handle,
): Baked<R, P, Raw> {
  const read = callOptions<Loading>(options, loadingChecks, 'bake()')
  return new BakedStatement(recipe, on, read) as unknown as Baked<R, P, Raw>
}

/** Implements `Baked` at run time; what fits which parameters is a matter of types. */
class BakedStatement extends Printable {
  readonly #recipe: Recipe
  readonly #on: Executor
  /** What a run without options gets. */
  readonly #options: QueryOptions | undefined

  /** @throws {UsageError} for a loader that is none, and a handle of another database. */
  constructor(recipe: Recipe, on: Executor, { loader, timeoutMs, on: there }: Loading) {
    super()
    this.#recipe = loader === undefined ? recipe : recipe.loading(loader)
    this.#on = placeOf(there, on, 'bake()')
    this.#options = timeoutMs === undefined ? undefined : readAgain<QueryOptions>({ timeoutMs })
  }

  all(params?: Params, options?: BakedOptions | Handle): Promise<unknown[]> {
    return this.#run(everyRow, params, options)
  }

  first(params?: Params, options?: BakedOptions | Handle): Promise<unknown> {
    return this.#run(firstRow, params, options)
  }

  one(params?: Params, options?: BakedOptions | Handle): Promise<unknown> {
    return this.#run(onlyRow, params, options)
  }

  oneOrNone(params?: Params, options?: BakedOptions | Handle): Promise<unknown> {
    return this.#run(onlyRowOrNone, params, options)
  }

  scalar(params?: Params, options?: BakedOptions | Handle): Promise<unknown> {
    return this.#run(firstValue, params, options)
  }

  status(params?: Params, options?: BakedOptions | Handle): Promise<Status> {
    return this.#run(answer, params, options)
  }

  iterate(params?: Params, options?: CursorOptions | Handle): Cursor<unknown> {
    const read = optionsOf<CursorOptions>(this.#recipe, params, options, cursorChecks, 'iterate()')
    const statement = this[toStatement](params)
    return this.#on.iterate(asQuery(statement), this.#merged(read))
  }

  executeMany(sets: readonly Params[], options?: BakedOptions | Handle): Promise<Status<never>> {
    return this.#attempt(() => {
      const read = options === undefined ? null : callOptions<QueryOptions>(options, queryChecks, 'executeMany()')
      return executeMany(this.#on, this.#recipe, sets, this.#merged(read))
    })
  }

  bind(params?: Params, more?: unknown): SqlQuery<unknown> {
    if (more !== undefined)
      throw new UsageError('bind() takes the parameters alone. Options go to the method that runs the query.')
    optionsOf(this.#recipe, params, undefined, queryChecks, 'bind()')
    const statement = this[toStatement](params)
    return boundQuery(this.#on, asQuery(statement))
  }

  with(options: Loading | Handle): BakedStatement {
    const read = callOptions<Loading>(options, loadingChecks, 'with()')
    return new BakedStatement(this.#recipe, this.#on, readAgain<Loading>({ ...this.#options }, read))
  }

  /** What `executeMany` of an executor runs. */
  [toRecipe](): Recipe {
    return this.#recipe
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
  #run<T>(
    cardinality: Cardinality,
    params: Params | undefined,
    options: BakedOptions | Handle | undefined,
  ): Promise<T> {
    if (options === undefined) return execute(this.#on, cardinality, this.#recipe, params, this.#options)
    return this.#attempt(() => {
      const read = callOptions<QueryOptions>(options, queryChecks, cardinality.method)
      return execute(this.#on, cardinality, this.#recipe, params, this.#merged(read))
    })
  }

  /** Options of a run win. */
  #merged<O extends QueryOptions>(read: O | null): O | undefined {
    const options = this.#options as O | undefined
    if (read === null || options === undefined) return read ?? options
    return readAgain<O>(options, read)
  }

  #attempt<T>(work: () => Promise<T>): Promise<T> {
    try {
      return work()
    } catch (error) {
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- what was thrown goes on
      return Promise.reject(error)
    }
  }
}
