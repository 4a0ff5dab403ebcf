// A transaction around a callback: commits when it returns, rolls back when it throws, ends early when it is told to,
// and runs again after a serialization failure when asked. It never waits for code of the user other than `work`.
import { AbortedError, SerializationError, StalePlanError } from '../../errors/index.ts'
import { capturePlace, type Place } from '../../observe/place.ts'
import { push, runIn } from '../context/chain.ts'
import { Frame } from '../context/frame.ts'
import type { Engine } from '../engine.ts'
import { thrownError } from '../query/failure.ts'
import type { EngineOp } from '../query/op.ts'
import { commit, enter, finish, hooksFailed, hurry, rollback } from './ending.ts'
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
    if (record.parent === null && attempt < retry.limit && isWorthAnother(error)) {
      await pause(Math.min(retry.intervalMs * 2 ** attempt, Math.max(retry.intervalMs, longestPauseMs)), options.signal)
      continue
    }
    throw error
  }
}

/** It failed in a way that another attempt may not, and is known to be rolled back. */
function isWorthAnother(error: unknown): boolean {
  return (error instanceof SerializationError || error instanceof StalePlanError) && error.outcome === 'rolled_back'
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
  record.batch = where.batch === true
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
    void rollback(record, true).then(() => finish(record, own, false))
    return { ...outcome, error: interruption.error, failed: true }
  }
  const ending = settle(record, outcome)
  try {
    outcome = await (interruption === null ? ending : interruption.race(ending))
  } catch (error) {
    if (record.releasing) {
      slot.cancel(record.last as EngineOp)
      outcome = await ending
      if (record.state !== 'committed') outcome = { ...outcome, failed: true, error }
    } else {
      const resolves = record.committing && record.xid !== undefined
      const told = hurry(record, error as Error)
      if (!resolves) {
        void ending.then(() => finish(record, own, false))
        record.forsake(record.committing ? 'unknown' : 'rollback')
        return rollsBack(record, outcome) ? rolledBack(record, outcome) : { ...outcome, failed: true, error: told }
      }
      outcome = await ending
    }
  } finally {
    interruption?.stop()
  }
  const hookErrors = await finish(record, own)
  if (hookErrors.length === 0 || record.state !== 'committed') return outcome
  return { ...outcome, failed: true, error: hooksFailed(record, hookErrors, outcome.result) }
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
