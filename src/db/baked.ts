// A statement that is baked: written once, run with other values each time. Made by `Db.bake`; every run is an ordinary call
// of an executor, to which the recipe brings what was compiled. It is immutable and knows no connection.
import { drivers } from '../driver/registry.ts'
import { UsageError } from '../errors/index.ts'
import type { Handle } from '../engine/context/frame.ts'
import { callOptions, place, placeOf } from '../engine/handle.ts'
import type { Cursor } from '../engine/query/cursor.ts'
import {
  answer,
  type Cardinality,
  everyRow,
  execute,
  firstRow,
  firstValue,
  onlyRow,
  onlyRowOrNone,
  type Status,
} from '../engine/query/execute.ts'
import { executeMany } from '../engine/query/execute-many.ts'
import type { Executor } from '../engine/query/executor.ts'
import type { CursorOptions, QueryOptions } from '../engine/query/query-options.ts'
import { cursorChecks, optionsOf, queryChecks } from '../engine/query/query-terms.ts'
import { boundQuery, type SqlQuery } from '../engine/query/sql-query.ts'
import { placeholders, Recipe, type RowLoader, toRecipe } from '../sql/baked.ts'
import type { Dialect } from '../sql/dialect.ts'
import type { OnlyColumn, ToValue } from '../sql/first-column.ts'
import type { Into, IntoRow } from '../sql/into.ts'
import {
  adaptBaked,
  type DrizzleCommand,
  type Loading as LoadingInto,
  loadingOf,
  type Params,
  type Query,
  queryOf,
  type Statement,
  toStatement,
  type ToStatement,
} from '../sql/statement.ts'
import { attempt, Printable } from '../util/thrown.ts'
import { type Check, duration, type Checks, readAgain } from '../util/options.ts'

export type { RowLoader } from '../sql/baked.ts'

/** A query that can be baked, instead of text: one that was built, with or without rows. */
export type Bakeable<R> = Query<R> | DrizzleCommand

/**
 * The argument of `bake()`: a text, a query, or a function that makes a query with placeholders. `R` is a row, `P` the parameters,
 * `V` the first column.
 */
export type Bakes<R, P, V> = (Bakeable<R> & ToValue<V>) | ((params: P) => Bakeable<R> & ToValue<V>) | string

/** Options of a single run. Without `on` it runs on the `db` it was baked on, where that `db` is at the time of the run. */
export type BakedOptions = QueryOptions

/** Options for every run. Options of a single run override them. */
export interface BakeOptions {
  /** As in `QueryOptions`. */
  readonly timeoutMs?: number | undefined
  /** As in `QueryOptions`. */
  readonly on?: Executor | undefined
}

/** Options with a loader, which turns rows into something else. */
export interface LoadingOptions<Raw, T> extends BakeOptions {
  /** A function of a row, `{ decode(rows) }` for a function of a page of rows, or a specification for the driver. */
  readonly loader: RowLoader<Raw, T>
}

/** The arguments of a run: parameters and options. Parameters may be left out if none is required. */
export type BakedArguments<P, Options = BakedOptions | Handle> =
  Partial<P> extends P ? [params?: P, options?: Options] : [params: P, options?: Options]

/**
 * A statement that was compiled once. `R` are its rows, `P` its parameters, `Raw` its rows before a loader, `V` the first column. Each
 * method does the same as that of an executor. It rejects with `ParameterError` for parameters that do not fit, and with
 * `NotBoundError` while its db has no database. (GINO: `BakedQuery`.)
 */
export interface Baked<R, P extends object = Params, Raw = R, V = OnlyColumn<Raw>> extends ToValue<V> {
  /** Every row. */
  all(...given: BakedArguments<P>): Promise<R[]>
  /** The first row, or undefined. The other rows are not loaded. */
  first(...given: BakedArguments<P>): Promise<R | undefined>
  /** The only row. @throws {NoResultError | MultipleResultsError} unless there is exactly one. */
  one(...given: BakedArguments<P>): Promise<R>
  /** The only row, or undefined. @throws {MultipleResultsError} when there is more than one. */
  oneOrNone(...given: BakedArguments<P>): Promise<R | undefined>
  /** The first column of the first row, whatever the loader. */
  scalar<T = V>(...given: BakedArguments<P>): Promise<T | undefined>
  /** The command, the count of rows, and the rows. */
  status(...given: BakedArguments<P>): Promise<Status<R>>
  /** A cursor on the server. @throws {ParameterError} at once, when the parameters do not fit. */
  iterate(...given: BakedArguments<P, CursorOptions | Handle>): Cursor<R>
  /** Runs it with each set of parameters, all or nothing. The rows are not loaded. Without any set, no statement is sent. */
  executeMany(sets: readonly P[], options?: BakedOptions | Handle): Promise<Status<never>>
  /**
   * The query with these values: await it, or give it to any executor, as in `tx.first(byName.bind({ name }))`.
   * @throws {ParameterError} when they do not fit.
   */
  bind(...given: BakedArguments<P, never>): SqlQuery<R, V>
  /**
   * A copy with other options. The original stays as it is. Both share the compiled and prepared statement. A new loader
   * replaces the old one. (GINO: `execution_options`, `load`.)
   * @throws {UsageError} for an unknown option.
   */
  with<T>(options: LoadingOptions<Raw, T>): Baked<T, P, Raw, V>
  with<const I extends Into>(options: BakeOptions & { readonly into: I }): Baked<IntoRow<I>, P, Raw, V>
  with(options: BakeOptions | Handle): Baked<R, P, Raw, V>
  /** The SQL and the number of placeholders. */
  toString(): string
  /** Without parameters, the baked statement is a query itself. */
  readonly [toStatement]: Partial<P> extends P ? () => Statement<R> : unknown
}

export type GivenBakeOptions = BakeOptions & {
  readonly loader?: RowLoader<never, unknown> | undefined
  /** The class or loader of each row, as in `IntoOptions`. */
  readonly into?: unknown
}

type Loading = GivenBakeOptions & { readonly into?: LoadingInto | undefined }

const loadingChecks: Checks<Loading> = {
  timeoutMs: duration,
  on: place,
  // `loadingOf` checks it, where rows are loaded.
  loader: () => undefined,
  into: { read: loadingOf },
}

const intoOfRun: Check = () => 'belongs to bake() or with(): a run has the rows that its statement was baked for'
const runChecks: Checks<QueryOptions & { readonly into?: undefined }> = { ...queryChecks, into: intoOfRun }
const cursorRunChecks: Checks<CursorOptions & { readonly into?: undefined }> = { ...cursorChecks, into: intoOfRun }

/** While the database of `on` is not open, a query that says what it is written for is believed. It is checked again where it runs. */
export function recipeOn(on: Executor, query: unknown): Recipe {
  const dialect = on.dialectHere()
  const isBaked = Object(query) instanceof BakedStatement
  if (typeof query === 'string' || isBaked || on.engineQuietly() !== null) return Recipe.of(dialect, query)
  const built = queryOf(query, placeholders)
  const family = adaptBaked(built).dialect
  const written =
    family === dialect.family ? dialect : drivers.all.find((each) => each.dialect?.family === family)?.dialect
  return Recipe.of(written ?? dialect, query, built)
}

/** @throws {UsageError} for an unknown option */
export function bakedOn<R, P extends object, Raw, V>(
  recipe: Recipe,
  on: Executor,
  options?: GivenBakeOptions | Handle,
): Baked<R, P, Raw, V> {
  const read = callOptions<Loading>(options, loadingChecks, 'bake()')
  return new BakedStatement(recipe, on, read) as unknown as Baked<R, P, Raw, V>
}

/** Implements `Baked` at run time. The types check the parameters. */
class BakedStatement extends Printable {
  readonly #recipe: Recipe
  readonly #on: Executor
  /** The options of a run that is given none. */
  readonly #options: QueryOptions | undefined

  /** @throws {UsageError} when the value is not a loader, and for a handle of another database */
  constructor(recipe: Recipe, on: Executor, { loader, into, timeoutMs, on: there }: Loading) {
    super()
    if (loader !== undefined && into !== undefined)
      throw new UsageError(
        'The options loader and into were both given, and each says what the rows become. Leave one out.',
      )
    this.#recipe = into === undefined ? (loader === undefined ? recipe : recipe.loading(loader)) : recipe.into(into)
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
    const read = optionsOf<CursorOptions>(this.#recipe, params, options, cursorRunChecks, 'iterate()')
    return this.#on.iterate(this.#query(params), this.#merged(read))
  }

  executeMany(sets: readonly Params[], options?: BakedOptions | Handle): Promise<Status<never>> {
    return attempt(() => {
      const read = options === undefined ? null : callOptions<QueryOptions>(options, runChecks, 'executeMany()')
      return executeMany(this.#on, this.#recipe, sets, this.#merged(read))
    })
  }

  bind(params?: Params, more?: unknown): SqlQuery<unknown> {
    if (more !== undefined)
      throw new UsageError('bind() takes the parameters alone. Options go to the method that runs the query.')
    optionsOf(this.#recipe, params, undefined, queryChecks, 'bind()')
    return boundQuery(this.#on, this.#query(params))
  }

  with(options: GivenBakeOptions | Handle): BakedStatement {
    const read = callOptions<Loading>(options, loadingChecks, 'with()')
    return new BakedStatement(this.#recipe, this.#on, readAgain<Loading>({ ...this.#options }, read))
  }

  /** The form in which `executeMany` of an executor runs it. */
  [toRecipe](): Recipe {
    return this.#recipe
  }

  /** Executors call it with how many rows they can use, which is no parameter. */
  [toStatement](params?: Params | number, dialect?: Dialect, atOnce = false): Statement {
    if (typeof params === 'number') return this.#statement(undefined, params, dialect, atOnce)
    return this.#statement(params, 0, dialect, atOnce)
  }

  #statement(params: Params | undefined, most: number, dialect: Dialect | undefined, atOnce: boolean): Statement {
    const recipe = this.#recipe.form(most, atOnce)
    const plan = dialect === undefined ? recipe.plan : recipe.plan.for(dialect)
    return recipe.statement(plan, plan.values(params))
  }

  /** With these values, which are checked at once. */
  #query(params: Params | undefined): ToStatement {
    const statement = this[toStatement](params)
    if (!this.#recipe.hasForms)
      return {
        [toStatement]: (_, dialect) =>
          dialect === undefined || statement.plan?.dialect === dialect ? statement : this[toStatement](params, dialect),
      }
    const given: Params = Object.assign({}, params)
    return { [toStatement]: (most = 0, dialect, atOnce = false) => this.#statement(given, most, dialect, atOnce) }
  }

  override toString(): string {
    const { text, names, parameters } = this.#recipe.plan
    const count = names === null ? parameters : names.length
    return `Baked { ${text} } with ${count === 1 ? '1 placeholder' : `${count} placeholders`}`
  }

  /** A plain call: the promise is that of the operation. */
  #run<T>(
    cardinality: Cardinality,
    params: Params | undefined,
    options: BakedOptions | Handle | undefined,
  ): Promise<T> {
    if (options === undefined) return execute(this.#on, cardinality, this.#recipe, params, this.#options)
    return attempt(() => {
      const read = callOptions<QueryOptions>(options, runChecks, cardinality.method)
      return execute(this.#on, cardinality, this.#recipe, params, this.#merged(read))
    })
  }

  /** Options of a run win. */
  #merged<O extends QueryOptions>(read: O | null): O | undefined {
    const options = this.#options as O | undefined
    if (read === null || options === undefined) return read ?? options
    return readAgain<O>(options, read)
  }
}
