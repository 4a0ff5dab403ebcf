// The sandbox: everything an engine does within a callback, from whatever code, is one transaction that is rolled back at
// the end. For tests: `aroundEach(sandbox(db))` in vitest, `sandboxed(db, work)` everywhere else.
import { type IsolationLevel, parseIsolation } from '../sql/dialect.ts'
import type { Db } from '../db/db.ts'
import { currentChain, quietAmbientFrame } from '../engine/context/chain.ts'
import type { Engine } from '../engine/engine.ts'
import { InvalidOptionError, type OptionProblem, TransactionStateError } from '../errors/index.ts'
import { capturePlace, type Place } from '../observe/place.ts'
import { LiveSandbox, type LiveOptions } from './sandbox/live.ts'

export interface SandboxOptions {
  /**
   * The isolation level of the sandbox. Transactions inside may ask for it or for a weaker one. Default: that of the
   * engine, else of the server.
   */
  readonly isolation?: IsolationLevel | undefined
  /**
   * How long connections lent inside may take to come back after the callback has ended, in milliseconds; then they are
   * closed, and that is told. Default 1_000.
   */
  readonly settleMs?: number | undefined
}

/** The database of a sandbox; a function is asked when the sandbox begins. */
export type SandboxTarget = Db | Engine | (() => Db | Engine)

/** What a test runner gives to run a test within: vitest's `runTest`. */
export type RunTest = () => Promise<unknown>

const defaultSettleMs = 1_000
const known = ['isolation', 'settleMs']

/**
 * Runs `work` while every connection of the engine is a view of one, in one transaction, whoever asks: also the handlers
 * of a server under test. Rolls everything back and gives what `work` returned, or throws what it threw.
 *
 * @throws {TransactionStateError} when the engine is in a sandbox already, or inside of a scope or transaction of it.
 * @throws {AcquireTimeoutError} when no connection becomes free in time.
 * @throws {ConnectionLostError} when the connection was lost meanwhile.
 */
export async function sandboxed<T>(
  db: SandboxTarget,
  work: () => Promise<T> | T,
  options: SandboxOptions = {},
): Promise<T> {
  const place = capturePlace(sandboxed)
  const resolved = resolve(options)
  const engine = await engineOf(db)
  return open(engine, place, resolved).run(work)
}

/**
 * A function for vitest's `aroundEach` (4.1 or later): `aroundEach(sandbox(db))` runs every test, its `beforeEach` and its
 * `afterEach` in a sandbox of its own. Tests that run at the same time take turns.
 */
export function sandbox(db: SandboxTarget, options: SandboxOptions = {}): (runTest: RunTest) => Promise<void> {
  const place = capturePlace(sandbox)
  const resolved = resolve(options)
  return async (runTest: RunTest): Promise<void> => {
    const engine = await engineOf(db)
    for (let earlier = LiveSandbox.of(engine); earlier !== undefined; earlier = LiveSandbox.of(engine)) {
      if (earlier.contains(currentChain())) throw nested(earlier, place)
      await earlier.over
    }
    await open(engine, place, resolved).run(runTest)
  }
}

function engineOf(db: SandboxTarget): Engine | Promise<Engine> {
  return (typeof db === 'function' ? db() : db).engineHere()
}

function open(engine: Engine, place: Place, options: LiveOptions): LiveSandbox {
  const earlier = LiveSandbox.of(engine)
  if (earlier !== undefined) throw nested(earlier, place)
  if (quietAmbientFrame(engine, currentChain()) !== null)
    throw new TransactionStateError(
      `The sandbox at ${place} would begin inside of a scope or transaction of the same engine, whose statements would not ` +
        'be in it. Open the sandbox first, and the scope or transaction inside.',
    )
  return new LiveSandbox(engine, String(place), options)
}

function nested(earlier: LiveSandbox, place: Place): TransactionStateError {
  return new TransactionStateError(
    `The sandbox at ${place} cannot begin while the one opened at ${earlier.place} is open: an engine has one at a time. ` +
      'End that first; inside of it, transaction(work) can be rolled back. Tests that run at the same time take turns with ' +
      'aroundEach(sandbox(db)).',
  )
}

function resolve(options: SandboxOptions): LiveOptions {
  const { isolation, settleMs = defaultSettleMs } = options
  const problems: OptionProblem[] = Object.keys(options)
    .filter((name) => !known.includes(name))
    .map((name) => ({ name, problem: 'is not an option of a sandbox' }))
  if (typeof settleMs !== 'number' || !(settleMs >= 0))
    problems.push({ name: 'settleMs', problem: 'must be a number of milliseconds, 0 or more' })
  if (problems.length > 0) {
    const list = problems.map(({ name, problem }) => `"${name}" ${problem}`)
    throw new InvalidOptionError(`Wrong options of the sandbox: ${list.join('; ')}.`, { options: problems })
  }
  return { isolation: isolation === undefined ? undefined : parseIsolation(isolation), settleMs }
}
