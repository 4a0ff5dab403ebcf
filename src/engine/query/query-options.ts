// Options of one statement, and the defaults that connections and transactions give to theirs.
import { ParameterError, UsageError } from '../../errors/index.ts'
import { Recipe } from '../../sql/baked/recipe.ts'
import { abortSignal, describeType, duration, isPlain } from '../../util/checks.ts'
import type { Checks } from '../../util/options.ts'
import { asExecutor, callOptions, kindOf, place } from '../handle.ts'
import type { Executor } from './executor.ts'

/** Options of one statement. A connection or a transaction in place of them is `{ on: handle }`. */
export interface QueryOptions {
  /**
   * The time from the call to the answer, waiting for a connection included, in milliseconds; default: that of the
   * transaction, else of the connection or scope, else of the engine, else none. The caller is told at this deadline; the
   * statement is cancelled on the server.
   */
  readonly timeoutMs?: number | undefined
  /** Rejects with `AbortedError` when it aborts; a running statement is cancelled on the server. */
  readonly signal?: AbortSignal | undefined
  /** Runs it there: on a connection or transaction of the same database, or on another db or engine. */
  readonly on?: Executor | undefined
}

/** Defaults for the statements of a connection or transaction. */
export interface QueryDefaults {
  readonly timeoutMs?: number | undefined
}

export const queryChecks: Checks<QueryOptions> = { timeoutMs: duration, signal: abortSignal, on: place }

export const defaultsChecks: Checks<QueryDefaults> = { timeoutMs: duration }

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
      `A ${kindOf(executor)} stands where ${method} takes parameters. It goes behind them: ${method.slice(0, -1)}${typeof query === 'string' ? 'text, [], handle' : 'params, handle'}).`,
    )
  throw new ParameterError(
    `Parameters are an array for $1 …, or a plain object for :name …, not ${describeType(given)}.`,
  )
}
