// Options of one statement, and the defaults that connections and transactions give to theirs, read and checked.
import { GeneverError, ParameterError, UsageError } from '../../errors/index.ts'
import { Recipe } from '../../sql/baked.ts'
import { Tags } from '../../sql/tags.ts'
import type { Compiled, RowSpec } from '../../sql/compiled.ts'
import { isQuery, type Loading, loadingOf, type Params } from '../../sql/statement.ts'
import { Conversions, type TypeConversions } from '../../sql/conversions.ts'
import {
  abortSignal,
  anyOf,
  describeNumber,
  describeType,
  duration,
  integer,
  isPlain,
  type Checks,
} from '../../util/options.ts'
import { asExecutor, callOptions, kindOf, place } from '../handle.ts'
import type { EngineCore, From, QueryDefaults } from '../core.ts'
import type { EngineOp } from './op.ts'
import type { Runner } from './runner.ts'

/** Limits of one statement, and conversions of its values. */
export interface QueryTerms {
  /**
   * The time from the call to the answer, in milliseconds. It includes the wait for a connection. Default: the value of the
   * transaction, else of the connection or scope, else of the engine, else none. The call rejects at this deadline, and the
   * statement is cancelled on the server.
   */
  readonly timeoutMs?: number | undefined
  /** When it aborts, the call rejects with `AbortedError`. A running statement is cancelled on the server. */
  readonly signal?: AbortSignal | undefined
  /**
   * With replicas: `primary` runs a read on the primary. `replica` allows a replica to run it, even if `reads: 'primary'` is
   * set, or if it calls functions that might change something. The primary runs it when no replica can, and when there are
   * none. Default: the option `replicas.reads`.
   */
  readonly from?: From | undefined
  /**
   * How values of types are read in this statement, and how its parameters are written. All other types are as the option `types` of
   * the engine says. Rows of models and of Drizzle's builders stay as their tables declare. A name that is no type of the
   * database is a `UsageError`.
   */
  readonly types?: TypeConversions | undefined
}

/** Options of a statement as they were read. */
export interface ReadTerms extends QueryTerms {
  readonly on?: Runner | undefined
}

export const queryChecks: Checks<ReadTerms> = {
  timeoutMs: duration,
  signal: abortSignal,
  on: place,
  from: anyOf('primary', 'replica'),
  types: { read: (given) => Conversions.of(given) },
}

export interface RowTerms extends ReadTerms {
  readonly into?: Loading | undefined
}

export const rowChecks: Checks<RowTerms> = { ...queryChecks, into: { read: loadingOf } }

/** The checks of a method whose answer has no rows. */
export function withoutRows(gives: string): Checks<RowTerms> {
  return { ...queryChecks, into: () => `says what rows become, and this method gives ${gives}` }
}

export interface StatusTerms {
  /** `array`: each row is a list of its values, and the result has `fields`. Default `object`. */
  readonly rows?: 'object' | 'array' | undefined
}

export const statusChecks: Checks<StatusTerms & RowTerms> = { ...rowChecks, rows: anyOf('object', 'array') }

export interface CursorTerms {
  /** The number of rows fetched at a time. Default 100. */
  readonly batchSize?: number | undefined
}

/** FETCH counts no further. */
const mostRows = 2_147_483_647

const batchSize = integer(1, mostRows)

export const cursorChecks: Checks<CursorTerms & ReadTerms> = { ...queryChecks, batchSize }

export const cursorRowChecks: Checks<CursorTerms & RowTerms> = { ...rowChecks, batchSize }

/** @throws {UsageError} unless it is a number of rows. */
export function checkCount(count: number, method: string): void {
  if (!Number.isInteger(count) || count < 0 || count > mostRows)
    throw new UsageError(`${method} takes a whole number of rows from 0 to ${mostRows}, not ${describeNumber(count)}.`)
}

export const defaultsChecks: Checks<QueryDefaults> = { timeoutMs: duration, tags: { read: (given) => Tags.of(given) } }

/** The specification with the conversions of types that users want. @throws {UsageError} where the rows are read as their table declares. */
export function specOf(spec: RowSpec | null, engine: EngineCore, options: QueryTerms | null): RowSpec | null {
  const conversions = engine.conversions(options?.types)
  if (options?.types !== undefined && spec !== null && !isUndeclared(spec))
    throw new UsageError(
      'The option types is for SQL text: the rows of this query are read as its table declares. Leave the option out.',
    )
  // Rows whose columns are declared are read as declared.
  if (conversions === null || (spec !== null && (spec.columns !== null || spec.read !== undefined))) return spec
  let known = converted.get(conversions)
  if (known === undefined) converted.set(conversions, (known = new WeakMap()))
  const key = spec ?? plain
  let own = known.get(key)
  if (own === undefined) known.set(key, (own = { ...key, conversions }))
  return own
}

const plain: RowSpec = { into: 'object', make: null, columns: null }
/** Specifications with conversions, by these and by what they are without them. */
const converted = new WeakMap<Conversions, WeakMap<RowSpec, RowSpec>>()

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
  // A value that is no object is refused where it is bound.
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

/** @throws {UsageError} for what no replica can do. */
export function setFrom(op: EngineOp, from: From, runner: Runner): void {
  if (from === 'replica') {
    if (op.stmt.cls !== 'read' || op.stmt.pins !== 0) throw notForReplicas(op.stmt)
    if (runner.transactionHere()?.open === true) throw insideTransaction(op.stmt)
  }
  op.from = from
}

export function notForReplicas(stmt: Compiled): UsageError {
  return new UsageError(
    "from: 'replica' was asked for a statement that is no plain read: a replica takes no writes, and its locks lock nobody out. " +
      'Leave the option out.',
    { statement: { sql: stmt.text } },
  )
}

function insideTransaction(stmt: Compiled): UsageError {
  return new UsageError(
    "from: 'replica' was asked for inside of a transaction, all of which runs on its own connection. Read before or after it.",
    { statement: { sql: stmt.text } },
  )
}

export function severalStatements(stmt: Compiled): UsageError {
  return new UsageError(
    'This text holds several statements. Run them one by one, or all with status(text) and no parameters.',
    { statement: { sql: stmt.text } },
  )
}

/** A function gives a query only where it is baked. */
export function builtQuery(query: unknown): unknown {
  if (typeof query === 'object' && query !== null) return query
  if (typeof query === 'function' && isQuery(query)) return query
  throw new UsageError(
    `executeMany() takes SQL text, a baked statement or a query that was built, not ${describeType(query)}.`,
  )
}

/** Sets of parameters, as they were when they were given. */
export function copied(sets: readonly Params[]): readonly Params[] {
  try {
    return [...sets]
  } catch (error) {
    throw readable(error)
  }
}

/** The error for something that a getter or a proxy of the caller has thrown. */
export function readable(error: unknown): unknown {
  if (error instanceof GeneverError) return error
  return new ParameterError('The parameters cannot be read: reading them throws.', { cause: error })
}
