// Options of one statement, and the defaults that connections and transactions give to theirs.
import { ParameterError, UsageError } from '../../errors/index.ts'
import { Recipe } from '../../sql/baked.ts'
import { Tags } from '../../sql/tags.ts'
import type { RowSpec } from '../../sql/compiled.ts'
import type { Into } from '../../sql/into.ts'
import { type Loading, loadingOf } from '../../sql/statement.ts'
import { Conversions, type TypeConversions } from '../../sql/conversions.ts'
import { abortSignal, anyOf, describeType, duration, integer, isPlain, type Checks } from '../../util/options.ts'
import { asExecutor, callOptions, kindOf, place } from '../handle.ts'
import type { EngineCore, From, QueryDefaults } from '../core.ts'
import type { Executor } from './executor.ts'

/** Options of one statement. A connection or transaction in place of them means `{ on: handle }`. */
export interface QueryOptions {
  /**
   * The time from the call to the answer, in milliseconds. It includes the wait for a connection. Default: the value of the
   * transaction, else of the connection or scope, else of the engine, else none. The call rejects at this deadline, and the
   * statement is cancelled on the server.
   */
  readonly timeoutMs?: number | undefined
  /** When it aborts, the call rejects with `AbortedError`. A running statement is cancelled on the server. */
  readonly signal?: AbortSignal | undefined
  /** Where to run it: a connection or transaction of the same database, or another db or engine. */
  readonly on?: Executor | undefined
  /**
   * With replicas: `primary` runs a read on the primary. `replica` allows a replica to run it, even if `reads: 'primary'` is
   * set, or if it calls functions that might change something. The primary runs it when no replica can, and when there are
   * none. Default: the option `replicas.reads`.
   */
  readonly from?: From | undefined
  /**
   * What values of types become in this statement, and how its parameters of them are written; all else is as the option `types`
   * of the engine says. Rows of models and of Drizzle's builders stay as their tables declare.
   */
  readonly types?: TypeConversions | undefined
}

export const queryChecks: Checks<QueryOptions> = {
  timeoutMs: duration,
  signal: abortSignal,
  on: place,
  from: anyOf('primary', 'replica'),
  types: { read: (given) => Conversions.of(given) },
}

/** Options of a method that gives rows, with what rows become. */
export interface IntoOptions<I extends Into> extends QueryOptions {
  /**
   * What each row becomes: an instance of a model, the objects of a loader, what a function gives or a class makes of the row. For
   * SQL text, `db.sql` and queries of other builders. A field belongs to the column whose name it has, and that of a member to
   * `member.column`. (GINO: `model`, `loader`.)
   * @throws {UsageError} when the rows lack a column.
   */
  readonly into: I
}

/** What was read of them. */
export interface RowOptions extends QueryOptions {
  readonly into?: Loading | undefined
}

export const rowChecks: Checks<RowOptions> = { ...queryChecks, into: { read: loadingOf } }

/** Of a method whose answer has no rows. */
export function withoutRows(gives: string): Checks<RowOptions> {
  return { ...queryChecks, into: () => `says what rows become, and this method gives ${gives}` }
}

/** Options of `status()`. */
export interface StatusOptions extends QueryOptions {
  /** `array`: each row is a list of its values, and the result has `fields`. Default `object`. One statement only. */
  readonly rows?: 'object' | 'array' | undefined
}

export const statusChecks: Checks<StatusOptions & RowOptions> = { ...rowChecks, rows: anyOf('object', 'array') }

export interface CursorOptions extends QueryOptions {
  /** The number of rows fetched at a time. Default 100. */
  readonly batchSize?: number | undefined
}

/** What FETCH can count. */
const mostRows = 2_147_483_647

const batchSize = integer(1, mostRows)

export const cursorChecks: Checks<CursorOptions> = { ...queryChecks, batchSize }

export const cursorRowChecks: Checks<CursorOptions & RowOptions> = { ...rowChecks, batchSize }

/** @throws {UsageError} unless it is a number of rows. */
export function checkCount(count: number, method: string): void {
  if (!Number.isInteger(count) || count < 0 || count > mostRows)
    throw new UsageError(`${method} takes a whole number of rows from 0 to ${mostRows}, not ${describeType(count)}.`)
}

export const defaultsChecks: Checks<QueryDefaults> = { timeoutMs: duration, tags: { read: (given) => Tags.of(given) } }

/** With what users have said of types. @throws {UsageError} where the rows are read as their table declares. */
export function specOf(spec: RowSpec | null, engine: EngineCore, options: QueryOptions | null): RowSpec | null {
  const conversions = engine.conversions(options?.types)
  if (options?.types !== undefined && spec !== null && !isUndeclared(spec))
    throw new UsageError(
      'The option types is for SQL text: the rows of this query are read as its table declares. Leave the option out.',
    )
  return conversions === null ? spec : conversions.on(spec)
}

function isUndeclared({ columns, read, byNames }: RowSpec): boolean {
  return columns === null && read === undefined && byNames === undefined
}

/**
 * The options among what follows a query: third behind a text or a recipe with its parameters, second behind a built query,
 * which has its own. Null for none.
 * @throws {UsageError} when something else stands there.
 */
export function optionsOf<O extends object>(
  query: unknown,
  second: unknown,
  third: unknown,
  checks: Checks<O>,
  method: string,
): O | null {
  if (typeof query === 'string' || query instanceof Recipe) {
    if (second !== undefined && !Array.isArray(second)) checkNamed(query, second, method)
    return third === undefined ? null : callOptions(third, checks, method)
  }
  if (third !== undefined)
    throw new UsageError(
      `${method} takes a built query and then options: its values are in the query. It was given ${describeType(third)} as a third argument.`,
    )
  return second === undefined ? null : callOptions(second, checks, method)
}

/** @throws {UsageError} for what cannot be named parameters; a handle among them. */
function checkNamed(query: string | Recipe, given: unknown, method: string): void {
  // What is no object is told by whoever binds it.
  if (typeof given !== 'object' || given === null || isPlain(given)) return
  const executor = asExecutor(given)
  if (executor !== null)
    throw new UsageError(
      `A ${kindOf(executor)} stands where ${method} takes parameters. Pass it after them: ${method.slice(0, -1)}${typeof query === 'string' ? 'text, [], handle' : 'params, handle'}).`,
    )
  throw new ParameterError(
    `Parameters are an array for positional placeholders, or a plain object for :name …, not ${describeType(given)}.`,
  )
}
