// A transaction around a callback: commits when it returns, rolls back when it throws, ends early when it is told to,
// and runs again after a serialization failure when asked. It never waits for code of the user other than `work`.
import { AbortedError, AfterCommitError, SerializationError, StalePlanError } from '../../errors/index.ts'
import { hookFailed } from '../../observe/notice.ts'
import { capturePlace, type Place } from '../../observe/place.ts'
import { push, runIn } from '../context/chain.ts'
import { Frame } from '../context/frame.ts'
import type { Engine } from '../engine.ts'
import { thrownError } from '../query/failure.ts'
import { commit, enter, handedBack, hurry, rollback } from './ending.ts'
import { TransactionExit } from './exit.ts'
import { Interruption } from './interruption.ts'
import type { TransactionOptions, TransactionPlace } from '../transaction-options.ts'
import { TransactionRecord } from './record.ts'
import { Transaction } from './transaction.ts'
import { sleep } from '../../util/clock.ts'

/** Before the jitter; a longer `intervalMs` stays as it is. */
const longestPauseMs = 1_000

type Work<T> = (tx: Transaction) => Promise<T> | T

/** What one attempt came to; `error` only when `failed`. */
interface Attempt<T> {
  readonly result: T
  readonly failed: boolean
  readonly error: unknown
}

export async function runManaged<T>(
  engine: Engine,
  where: TransactionPlace,
  work: Work<T>,
  options: TransactionOptions,
): Promise<T> {
  const place = capturePlace(runManaged)
  const retry = retryOf(options)
  for (let attempt = 0; ; attempt++) {
    const slot = where.slot ?? engine.openSlot(where.chain, false, () => `transaction begun at ${place}`)
    const record = makeRecord(engine, where, slot, options, place)
    const { result, failed, error } = await attemptOnce(record, where, work)
    if (!failed) return result
    if (
      record.parent === null &&
      attempt < retry.limit &&
      (error instanceof SerializationError || error instanceof StalePlanError) &&
      error.outcome === 'rolled_back'
    ) {
      await pause(Math.min(retry.intervalMs * 2 ** attempt, Math.max(retry.intervalMs, longestPauseMs)), options.signal)
      continue
    }
    throw error
  }
}

function makeRecord(
  engine: Engine,
  where: TransactionPlace,
  slot: TransactionRecord['slot'],
  options: TransactionOptions,
  place: Place,
): TransactionRecord {
  const record = new TransactionRecord(
    engine,
    slot,
    where.chain,
    options,
    place,
    false,
    (self) => new Transaction(self),
  )
  record.enteredBy = where.handle
  return record
}

async function attemptOnce<T>(record: TransactionRecord, where: TransactionPlace, work: Work<T>): Promise<Attempt<T>> {
  const { slot, options, engine } = record
  const own = where.slot === null
  const interruption = Interruption.of(options, record)
  try {
    await enter(record, interruption?.deadline ?? Infinity)
  } catch (thrown) {
    interruption?.stop()
    if (own) void slot.close()
    return { result: undefined as T, failed: true, error: thrownError(thrown, null) }
  }
  const outermost = record.parent === null
  const frame = new Frame('transaction', engine, where.db, slot, record, slot.settings)
  frame.defaults = record.defaults
  let outcome: Attempt<T>
  try {
    const running = runIn(push(frame, where.chain), () => (record.handle as Transaction).invoke(work))
    const result = await (interruption === null ? running : interruption.race(running))
    outcome = { result, failed: false, error: undefined }
  } catch (error) {
    outcome = { result: undefined as T, failed: true, error }
  }
  frame.end()
  if (interruption !== null && interruption.error !== null) {
    interruption.stop()
    record.forsake('rollback')
    record.unwinding = rollback(record, true).then(() => finish(record, own, false))
    return { ...outcome, error: interruption.error, failed: true }
  }
  const ending = settle(record, outcome)
  try {
    outcome = await (interruption === null ? ending : interruption.race(ending))
  } catch (error) {
    const resolves = record.committing && record.xid !== undefined
    if (!resolves) record.unwinding = ending.then(() => finish(record, own, false))
    const told = hurry(record, error as Error)
    if (!resolves) record.forsake(record.committing ? 'unknown' : 'rollback')
    if (resolves) outcome = await ending
    else return rollsBack(record, outcome) ? rolledBack(record, outcome) : { ...outcome, failed: true, error: told }
  } finally {
    interruption?.stop()
  }
  const hookErrors = await finish(record, own)
  if (outermost && hookErrors.length > 0 && record.state === 'committed') {
    const message = `The transaction begun at ${record.place} was committed, but ${hookErrors.length} of its afterCommit hooks failed.`
    return {
      ...outcome,
      failed: true,
      error: new AfterCommitError(message, { result: outcome.result, errors: hookErrors, cause: hookErrors[0] }),
    }
  }
  return outcome
}

/** Commits or rolls back as the callback and the signals decided; never rejects. */
async function settle<T>(record: TransactionRecord, outcome: Attempt<T>): Promise<Attempt<T>> {
  if (rollsBack(record, outcome)) {
    await rollback(record)
    return rolledBack(record, outcome)
  }
  const { decision } = record
  try {
    await commit(record)
  } catch (error) {
    return { ...outcome, failed: true, error: thrownError(error, null) }
  }
  return decision === null ? outcome : exitOutcome(record, outcome, decision)
}

function rollsBack({ decision }: TransactionRecord, outcome: Attempt<unknown>): boolean {
  return decision === null ? outcome.failed : !decision.commit || isForeign(outcome)
}

/** What is told of a transaction that was rolled back because it was left like this. */
function rolledBack<T>(record: TransactionRecord, outcome: Attempt<T>): Attempt<T> {
  const { decision } = record
  return decision === null || isForeign(outcome) ? outcome : exitOutcome(record, outcome, decision)
}

/** The callback threw something else than the signal of an exit. */
function isForeign({ failed, error }: Attempt<unknown>): boolean {
  return failed && !(error instanceof TransactionExit)
}

function exitOutcome<T>(record: TransactionRecord, outcome: Attempt<T>, decision: TransactionExit): Attempt<T> {
  if (outcome.error instanceof TransactionExit && !outcome.error.isFor(record)) return outcome
  if (decision.isFor(record)) return { result: decision.value as T, failed: false, error: undefined }
  return { result: undefined as T, failed: true, error: decision }
}

/**
 * Gives the connection back if it is the transaction's own and runs the hooks of the outermost; never rejects. What they threw
 * is a notice where nobody `waits` for it, or it is no error of the transaction.
 */
async function finish(record: TransactionRecord, own: boolean, waits = true): Promise<unknown[]> {
  const committed = record.state === 'committed'
  if (record.parent !== null) {
    record.parent.hooks.adopt(record.hooks, committed)
    return []
  }
  if (own) await handedBack(record)
  if (record.hooks.empty) return []
  const errors = await runIn(record.chain, () => record.hooks.run(record.fate))
  if (errors.length > 0 && !(committed && waits))
    hookFailed(`${errors.length} ${committed ? 'afterCommit' : 'afterRollback'} hooks failed.`, errors[0], {
      engine: record.engine.name,
      places: [record.place],
    })
  return errors
}

function retryOf(options: TransactionOptions): { readonly limit: number; readonly intervalMs: number } {
  const { retry } = options
  if (retry === undefined) return { limit: 0, intervalMs: 0 }
  return typeof retry === 'number'
    ? { limit: retry, intervalMs: 20 }
    : { limit: retry.limit, intervalMs: retry.intervalMs ?? 20 }
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
