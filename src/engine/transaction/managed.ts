// A transaction around a callback: commits when it returns, rolls back when it throws, ends early on demand,
// and runs again after a serialization failure when asked. It never waits for code of the user other than `work`.
import { AbortedError, QueryError, TransactionAbortedError, TransactionTimeoutError } from '../../errors/index.ts'
import { push, runIn } from '../context/chain.ts'
import { Frame } from '../context/frame.ts'
import { thrownError } from '../query/failure.ts'
import type { EngineOp } from '../query/op.ts'
import type { OpenTransaction, TransactionPlace } from '../slot/slot.ts'
import { begin, begun, makeRecord } from './begin.ts'
import {
  answered,
  commit,
  commitAtOnce,
  committed,
  finish,
  hooksFailed,
  interruptEnding,
  notCommitted,
  rollback,
} from './ending.ts'
import { type Transaction, TransactionExit } from './transaction.ts'
import type { TransactionOptions } from './options.ts'
import type { TransactionRetry } from './terms.ts'
import type { Exit } from './state.ts'
import { clock, sleep } from '../../util/clock.ts'
import type { ListNode } from '../../util/linked-list.ts'
import { type Abortable, unwatchSignal, watchSignal } from '../../util/signal.ts'
import type { Expiring } from '../../util/ticker.ts'
import type { RunningEngine } from '../runtime.ts'

/** Before the jitter; a longer `intervalMs` stays as it is. */
const longestPauseMs = 1_000

type Work<T> = (tx: Transaction) => Promise<T> | T

/** The result of one attempt; `error` only when `failed`. `goesOn`: its caller learns it now, and it ends later. */
interface Attempt<T> {
  readonly result: T
  readonly failed: boolean
  readonly error: unknown
  readonly endsLater?: boolean
}

/** The promise of the call itself: nothing stands between it and `work`. */
export function runManaged<T>(
  engine: RunningEngine,
  where: TransactionPlace,
  work: Work<T>,
  options: TransactionOptions,
): Promise<T> {
  const place = engine.beginPlace(clock.now(), runManaged)
  const { retry } = options
  if (retry === undefined) return run(makeRecord(engine, where, options, place, 'managed'), work)
  return runAgain(() => makeRecord(engine, where, options, place, 'managed'), work, retryOf(retry), options.signal)
}

async function runAgain<T>(
  open: () => OpenTransaction,
  work: Work<T>,
  retry: Retry,
  signal: AbortSignal | undefined,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const record = open()
    try {
      return await run(record, work)
    } catch (error) {
      if (record.parent !== null || attempt >= retry.limit || !isWorthAnother(error)) throw error
    }
    await pause(Math.min(retry.intervalMs * 2 ** attempt, Math.max(retry.intervalMs, longestPauseMs)), signal)
  }
}

/** It failed in a way that another attempt may not, and is known to be rolled back. */
function isWorthAnother(error: unknown): boolean {
  if (!(error instanceof QueryError || error instanceof TransactionAbortedError)) return false
  return error.retryable && error.outcome === 'rolled_back'
}

/** One attempt. Without a limit of time and without hooks it awaits three times: `work`, COMMIT, and what was in flight. */
async function run<T>(record: OpenTransaction, work: Work<T>): Promise<T> {
  const interruption = Interruption.of(record.options, record)
  try {
    const waiting = begin(record, interruption?.deadline ?? Infinity)
    if (waiting !== null) await waiting
    const opening = begun(record)
    if (opening !== null) await opening
  } catch (thrown) {
    interruption?.stop()
    if (record.own) void record.slot.close()
    throw thrownError(thrown, record.engine)
  }
  const frame = new Frame('transaction', record.engine, record.where.db, record.slot, record, record.settings)
  frame.defaults = record.defaults
  let attempt: Attempt<T>
  try {
    const running = runIn(push(frame, record.chain), () => work(record.handle as Transaction))
    attempt = returned(await (interruption === null ? running : interruption.race(promised(running))))
  } catch (error) {
    attempt = { result: undefined as T, failed: true, error }
  }
  frame.end()
  if (interruption !== null) attempt = await endInTime(record, interruption, attempt)
  else {
    const commits = atOnce(record, attempt)
    if (commits !== null) {
      try {
        await commits.wait()
        committed(record, commits)
      } catch (thrown) {
        attempt = await settled(record, notCommitted(record, thrown), attempt)
      }
    } else if (!record.committed) attempt = await settle(record, attempt)
  }
  if (attempt.endsLater !== true) {
    const finishing = finish(record)
    const errors = finishing === null ? [] : await finishing
    if (errors.length > 0 && record.committed) throw hooksFailed(record, errors, attempt.result)
  }
  if (attempt.failed) throw attempt.error
  return attempt.result
}

/** Ends a transaction whose time may run out, or whose signal may abort, before it has ended. */
async function endInTime<T>(
  record: OpenTransaction,
  interruption: Interruption,
  attempt: Attempt<T>,
): Promise<Attempt<T>> {
  if (interruption.error !== null) {
    interruption.stop()
    record.tellFate('rollback')
    void rollback(record, true).then(() => finish(record, false))
    return { ...attempt, error: interruption.error, failed: true, endsLater: true }
  }
  const commits = atOnce(record, attempt)
  if (record.committed) {
    interruption.stop()
    return attempt
  }
  const ending = commits === null ? settle(record, attempt) : settled(record, answered(record, commits), attempt)
  try {
    return await interruption.race(ending)
  } catch (error) {
    if (record.at === 'releasing') {
      record.slot.cancel(record.last as EngineOp)
      const ended = await ending
      return record.committed ? ended : { ...ended, failed: true, error }
    }
    const { committing } = record
    const told = interruptEnding(record, error as Error)
    if (committing && record.xid !== undefined) return await ending
    void ending.then(() => finish(record, false))
    record.tellFate(committing ? 'unknown' : 'rollback')
    const left = rollsBack(record, attempt) ? rolledBack(record, attempt) : { ...attempt, failed: true, error: told }
    return { ...left, endsLater: true }
  } finally {
    interruption.stop()
  }
}

/** COMMIT, sent now, if nothing keeps it from that. */
function atOnce(record: OpenTransaction, attempt: Attempt<unknown>): EngineOp | null {
  return attempt.failed || record.past.exit !== null ? null : commitAtOnce(record)
}

function returned<T>(result: T): Attempt<T> {
  return { result, failed: false, error: undefined }
}

async function promised<T>(result: Promise<T> | T): Promise<T> {
  return result
}

/** Commits or rolls back as the callback and the signals decided; never rejects. */
async function settle<T>(record: OpenTransaction, attempt: Attempt<T>): Promise<Attempt<T>> {
  if (rollsBack(record, attempt)) {
    await rollback(record)
    return rolledBack(record, attempt)
  }
  return settled(record, commit(record), attempt)
}

/** The result of a commit; never rejects. */
async function settled<T>(
  record: OpenTransaction,
  committing: Promise<void>,
  attempt: Attempt<T>,
): Promise<Attempt<T>> {
  try {
    await committing
  } catch (error) {
    return { ...attempt, failed: true, error: thrownError(error, record.engine) }
  }
  const { exit } = record.past
  return exit === null ? attempt : exitOutcome(record, attempt, exit)
}

function rollsBack({ past: { exit } }: OpenTransaction, attempt: Attempt<unknown>): boolean {
  return exit === null ? attempt.failed : !exit.commit || isForeign(attempt)
}

/** The result of a transaction that was rolled back because it was left like this. */
function rolledBack<T>(record: OpenTransaction, attempt: Attempt<T>): Attempt<T> {
  const { exit } = record.past
  return exit === null || isForeign(attempt) ? attempt : exitOutcome(record, attempt, exit)
}

/** The callback threw something else than the signal of an exit. */
function isForeign({ failed, error }: Attempt<unknown>): boolean {
  return failed && !(error instanceof TransactionExit)
}

function exitOutcome<T>(record: OpenTransaction, attempt: Attempt<T>, exit: Exit): Attempt<T> {
  if (attempt.error instanceof TransactionExit && !attempt.error.isFor(record)) return attempt
  return exit.isFor(record) ? returned(exit.value as T) : { result: undefined as T, failed: true, error: exit }
}

interface Retry {
  readonly limit: number
  readonly intervalMs: number
}

function retryOf(retry: number | TransactionRetry): Retry {
  if (typeof retry === 'number') return { limit: retry, intervalMs: 20 }
  return { limit: retry.limit, intervalMs: retry.intervalMs ?? 20 }
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms * (0.5 + Math.random()), signal)
  } catch {
    throw new AbortedError('The transaction was aborted between two attempts.', {
      cause: signal?.reason,
      outcome: 'rolled_back',
    })
  }
}

// The end of a transaction's time: its `timeoutMs` or its `signal`. Code that waits for the
// callback, or for COMMIT behind it, gets the error at once; the callback itself goes on and finds its transaction ended.
class Interruption implements Expiring, Abortable {
  deadline: number
  ticking: ListNode<Expiring> | null = null
  /** Why the transaction was interrupted; null while it was not. */
  error: Error | null = null
  readonly #record: OpenTransaction
  readonly #signal: AbortSignal | null
  #reject: ((error: Error) => void) | null = null

  /** Null when the transaction has neither a timeout nor a signal. */
  static of(options: TransactionOptions, record: OpenTransaction): Interruption | null {
    if (options.timeoutMs === undefined && options.signal === undefined) return null
    return new Interruption(options, record)
  }

  private constructor(options: TransactionOptions, record: OpenTransaction) {
    this.#record = record
    this.deadline = options.timeoutMs === undefined ? Infinity : clock.now() + options.timeoutMs
    this.#signal = options.signal ?? null
    if (this.deadline !== Infinity) record.engine.ticker.add(this)
    if (this.#signal !== null && !this.#signal.aborted) watchSignal(this.#signal, this)
  }

  /** The result of `running`, or its own error as soon as it interrupts. */
  race<T>(running: Promise<T>): Promise<T> {
    if (this.#signal?.aborted === true) this.abort(this.#signal.reason)
    running.catch(() => {})
    return new Promise<T>((resolve, reject) => {
      if (this.error !== null) {
        reject(this.error)
        return
      }
      this.#reject = reject
      running.then(resolve, reject)
    })
  }

  stop(): void {
    if (this.deadline !== Infinity) this.#record.engine.ticker.remove(this)
    if (this.#signal !== null) unwatchSignal(this.#signal, this)
  }

  expire(): void {
    const { place, committing } = this.#record
    const late = `The transaction begun at ${place} took longer than its timeoutMs`
    this.#interrupt(
      committing
        ? new TransactionTimeoutError(`${late}; it was being committed.`, { outcome: 'unknown' })
        : new TransactionTimeoutError(`${late} and was rolled back. Make it shorter, or give it more time.`, {
            outcome: 'rolled_back',
          }),
    )
  }

  abort(reason: unknown): void {
    const { place, committing } = this.#record
    this.#interrupt(
      new AbortedError(
        `The transaction begun at ${place} was aborted by its signal ${committing ? 'while it was being committed' : 'and rolled back'}.`,
        { cause: reason, outcome: committing ? 'unknown' : 'rolled_back' },
      ),
    )
  }

  #interrupt(error: Error): void {
    if (this.error !== null) return
    this.error = error
    this.#record.interrupt(error)
    this.#reject?.(error)
  }
}
