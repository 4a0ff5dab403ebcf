// The sandbox: everything an engine does within a callback, from whatever code, is one transaction that is rolled back at
// the end. For tests: `aroundEach(sandbox(db))` in vitest, `sandboxed(db, work)` everywhere else.
import { type IsolationLevel, parseIsolation } from '../sql/dialect.ts'
import type { Db } from '../db/db.ts'
import { currentChain, quietAmbientFrame } from '../engine/context/chain.ts'
import type { Engine } from '../engine/engine.ts'
import { asExecutor } from '../engine/handle.ts'
import { isolationLevel } from '../engine/transaction/options.ts'
import { TransactionStateError, UsageError } from '../errors/index.ts'
import { describeType, duration, needsFunction, type Checks, readOptions } from '../util/options.ts'
import { capturePlace, type Place } from '../observe/place.ts'
import type { WordsClass } from './sandbox/contract.ts'
import { Sandbox, type ResolvedOptions } from './sandbox/sandbox.ts'
import { MysqlWords } from './sandbox/mysql/words.ts'
import { PostgresWords } from './sandbox/postgres.ts'

/** Options of `sandbox()` and `sandboxed()`. */
export interface SandboxOptions {
  /**
   * The isolation level of the sandbox. Transactions inside may ask for it or for a weaker one. Default: that of the
   * engine, else of the server.
   */
  readonly isolation?: IsolationLevel | undefined
  /**
   * How long connections lent inside may take to come back after the callback has ended, in milliseconds. After that they
   * are closed, and a notice says so. Default 1_000.
   */
  readonly settleMs?: number | undefined
}

/** The database of a sandbox. A function is called when the sandbox begins. */
export type SandboxTarget = Db | Engine | (() => Db | Engine)

/** The function that a test runner gives for running a test: vitest's `runTest`. */
export type RunTest = () => Promise<unknown>

const defaultSettleMs = 1_000
const families: Readonly<Record<string, WordsClass>> = { postgres: PostgresWords, mysql: MysqlWords }

/**
 * Runs `work` in a sandbox: every connection of the engine is a view of one connection, in one transaction. That holds for
 * all code that uses the engine, such as the handlers of a server under test. At the end everything is rolled back. It
 * returns what `work` returned, or throws what it threw.
 *
 * @throws {TransactionStateError} when the engine is in a sandbox already, or inside of a scope or transaction of it.
 * @throws {AcquireTimeoutError} when no connection becomes free in time.
 * @throws {ConnectionLostError} when the connection was lost meanwhile.
 */
export async function sandboxed<T>(
  db: SandboxTarget,
  work: () => Promise<T> | T,
  options?: SandboxOptions,
): Promise<T> {
  const place = capturePlace(sandboxed)
  needsFunction(work, 'sandboxed()')
  const resolved = resolve(db, options, 'sandboxed()')
  const engine = await engineOf(db)
  return open(engine, place, resolved).run(work)
}

/**
 * A function for vitest's `aroundEach` (4.1 or later). With `aroundEach(sandbox(db))` each test runs in its own sandbox,
 * with its `beforeEach` and `afterEach`. Tests that run at the same time take turns.
 */
export function sandbox(db: SandboxTarget, options?: SandboxOptions): (runTest: RunTest) => Promise<void> {
  const place = capturePlace(sandbox)
  const resolved = resolve(db, options, 'sandbox()')
  return async (runTest: RunTest): Promise<void> => {
    const engine = await engineOf(db)
    for (let earlier = Sandbox.of(engine); earlier !== undefined; earlier = Sandbox.of(engine)) {
      if (earlier.contains(currentChain())) throw nested(earlier, place)
      await earlier.over.promise
    }
    await open(engine, place, resolved).run(runTest)
  }
}

/** @throws {UsageError} for what is no database. */
function databaseOf(given: unknown, method: string): Db | Engine {
  const executor = asExecutor(given)
  if (executor !== null && executor.handleHere() === null) return given as Db | Engine
  throw new UsageError(`${method} takes a db, an engine, or a function that gives one, not ${describeType(given)}.`)
}

function engineOf(target: SandboxTarget): Engine | Promise<Engine> {
  return databaseOf(typeof target === 'function' ? target() : target, 'The function of a sandbox').engineHere()
}

function open(engine: Engine, place: Place, options: ResolvedOptions): Sandbox {
  const { family, title } = engine.dialect
  const words = families[family]
  if (words === undefined)
    throw new UsageError(
      `A sandbox needs PostgreSQL or MySQL, and this database is ${title}. Give each test a transaction that it rolls back by ` +
        'raiseRollback(), or an empty database.',
    )
  const earlier = Sandbox.of(engine)
  if (earlier !== undefined) throw nested(earlier, place)
  if (quietAmbientFrame(engine, currentChain()) !== null)
    throw new TransactionStateError(
      `The sandbox at ${place} would begin inside of a scope or transaction of the same engine, whose statements would not ` +
        'be in it. Open the sandbox first, and the scope or transaction inside.',
    )
  return new Sandbox(engine, String(place), words, options)
}

function nested(earlier: Sandbox, place: Place): TransactionStateError {
  return new TransactionStateError(
    `The sandbox at ${place} cannot begin while the one opened at ${earlier.connection.place} is open: an engine has one at a time. ` +
      'End that first; inside of it, transaction(work) can be rolled back. Tests that run at the same time take turns with ' +
      'aroundEach(sandbox(db)).',
  )
}

const checks: Checks<SandboxOptions> = { isolation: isolationLevel, settleMs: duration }

function resolve(db: SandboxTarget, given: SandboxOptions | undefined, method: string): ResolvedOptions {
  if (typeof db !== 'function') databaseOf(db, method)
  const { isolation, settleMs = defaultSettleMs } = readOptions<SandboxOptions>(given, checks, method)
  return { isolation: isolation === undefined ? undefined : parseIsolation(isolation), settleMs }
}
