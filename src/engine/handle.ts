// Executors and handles, without their classes: how they are recognised, and the errors for one that stands in place of options.
import { UsageError } from '../errors/index.ts'
import { type Check, describeType, type Checks, readOptions, boolean } from '../util/options.ts'
import type { Handle } from './context/frame.ts'
import type { EngineCore } from './core.ts'

/** An executor whose class is not known here. */
interface Recognised {
  handleHere(): Handle | null
}

/** An executor that can stand for another one of the type `E`. */
interface Placed<E> extends Recognised {
  at(on: E): E
  engineQuietly(): EngineCore | null
  runsOn(engine: EngineCore): boolean
}

let recognises: (value: object) => boolean = () => false

/** Called once, by the class of executors: only it sees its private field. */
export function recogniseExecutors(test: (value: object) => boolean): void {
  recognises = test
}

/** A connection, transaction, engine or db; null for anything else, a proxy of one too. */
export function asExecutor(value: unknown): Recognised | null {
  return typeof value === 'object' && value !== null && recognises(value) ? (value as Recognised) : null
}

/** An executor whose class is that of another copy of the package: its private fields are closed to this one. */
function isForeign(value: unknown): boolean {
  try {
    return (
      typeof (value as Partial<Recognised> | null | undefined)?.handleHere === 'function' && asExecutor(value) === null
    )
  } catch {
    return false
  }
}

/** Its type, for messages, and what to do about another copy. */
function described(value: unknown): string {
  if (!isForeign(value)) return describeType(value)
  return `${describeType(value)} of another copy of genever. Load one copy: where a bundler makes another, mark "genever" as external`
}

/** @throws {UsageError} for what runs no statements. */
export function needsExecutor<E>(value: E, method: string): E {
  if (asExecutor(value) === null)
    throw new UsageError(
      `${method} takes a db, an engine, a connection or a transaction first, not ${described(value)}.`,
    )
  return value
}

/** The check of the option `on`. */
export const place: Check = (value) =>
  asExecutor(value) === null
    ? `must be a connection, a transaction, an engine or a db; it is ${described(value)}`
    : undefined

/**
 * The options of a call, checked; a handle in place of them is `{ on: handle }` where there is such an option.
 * @throws {InvalidOptionError} naming every option that does not exist or does not fit.
 * @throws {UsageError} when a handle stands where it says nothing, or a db or an engine in place of options.
 */
export function callOptions<T extends object>(given: unknown, checks: Checks<T>, method: string): T {
  return readOptions<T>(given, checks, method, (value) => inPlace(value, Object.hasOwn(checks, 'on'), method))
}

function inPlace(given: unknown, hasPlace: boolean, method: string): unknown {
  const executor = asExecutor(given)
  if (executor === null && !isForeign(given)) return given
  if (executor === null) throw new UsageError(`The options of ${method} cannot be ${described(given)}.`)
  const kind = kindOf(executor)
  if (!hasPlace)
    throw new UsageError(
      `A ${kind} was given in place of the options of ${method}, which runs nothing there. Call a method of the ${kind} instead.`,
    )
  if (executor.handleHere() === null)
    throw new UsageError(
      `A ${kind} was given in place of the options of ${method}. Call the method of that ${kind}, or pass { on }.`,
    )
  return { on: given }
}

/**
 * Where a call of `executor` runs: at its option `on`, if it has one.
 * @throws {UsageError} when that is a handle of another database.
 */
export function placeOf<E extends Placed<E>>(on: E | undefined, executor: E, method: string): E {
  if (on === undefined || on === executor) return executor
  if (on.handleHere() === null) return executor.at(on)
  const engine = on.engineQuietly()
  if (engine === null || executor.runsOn(engine)) return executor.at(on)
  throw new UsageError(
    `The ${kindOf(on)} that ${method} was given belongs to another database (${engine.name}). Pass one of the same database, or call ` +
      'a method of the handle itself.',
  )
}

/** `Connection`, `Transaction`, `Db`, `Engine`: its class, for messages. */
export function kindOf(executor: object): string {
  return describeType(executor).replace(/^an object of class /, '')
}

/** Options of `release()` of a connection. */
export interface ReleaseOptions {
  /**
   * False: hands the raw connection back and keeps the handle, which borrows again when it is next used. Default true.
   * (GINO: `release(permanent=False)`.)
   */
  readonly permanent?: boolean | undefined
  /** With `permanent: false`: gives up session state the connection is pinned for (SET, LISTEN, temporary tables, …). */
  readonly discardSession?: boolean | undefined
}

export const releaseChecks: Checks<ReleaseOptions> = { permanent: boolean, discardSession: boolean }
