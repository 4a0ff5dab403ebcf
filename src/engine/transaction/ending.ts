// How a transaction begins, commits and rolls back on the wire. The server's status byte is the truth after every
// unit; a COMMIT is never sent twice, and a failing ROLLBACK closes the connection and hides no earlier error.
import type { Failure } from '../../driver/driver.ts'
import {
  AbortedError,
  AfterCommitError,
  CommitOutcomeUnknownError,
  ConnectionLostError,
  TransactionAbortedError,
  TransactionStateError,
  TransactionTimeoutError,
} from '../../errors/index.ts'
import { hookFailed } from '../../observe/notice.ts'
import { runIn } from '../context/chain.ts'
import { failureError, isFailure, thrownError, wasIdle } from '../query/failure.ts'
import type { EngineOp } from '../query/op.ts'
import { reportBegin } from '../report.ts'
import { answeredBy, isLent, sendControl, sendOwed } from '../slot/control.ts'
import { quiet, Turn } from '../slot/turn.ts'
import { fateOf, noteNumber } from './outcome/resolution.ts'
import type { TransactionRecord } from './record.ts'
import { clock } from '../../util/clock.ts'

/** Borrows (unless lazy), waits to be admitted and takes the place on the stack. Rejects with a `Failure` or an error. */
export async function enter(record: TransactionRecord, until: number): Promise<void> {
  const { slot, engine, chain } = record
  const turn = new Turn(engine, chain, record.enteredBy, {
    quiet: false,
    borrows: record.options.lazy !== true,
    act: () => record.enter(),
    until,
    signal: record.options.signal,
  })
  slot.send(turn)
  await turn.wait()
  if (!slot.stack.includes(record)) return
  reportBegin(record)
  if (isLent(slot)) await openNow(record)
}

/** What users do on the driver's own object belongs inside too: it cannot wait for the first statement of the engine. */
async function openNow(record: TransactionRecord): Promise<void> {
  try {
    await sendOwed(record.slot, record.handle).wait()
  } catch (thrown) {
    await rollback(record)
    throw thrown
  }
}

/**
 * Commits after everything issued before has been answered. Rejects when it was not committed; then it has been
 * rolled back, or its outcome is not known.
 */
export async function commit(record: TransactionRecord): Promise<void> {
  const { slot } = record
  if (!record.overtaken) {
    record.state = 'closing'
    await issued(record)
    if (record.resolveCommitMs > 0 && record.wire === 'open' && commits(record)) await noteNumber(record)
  }
  if (record.overtaken) {
    record.state = 'rolled_back'
    throw record.ended()
  }
  const open = openInside(record)
  if (open !== null) {
    await rollback(record)
    throw new TransactionStateError(
      `The transaction begun at ${record.place} returned while ${open} was still open, so it was rolled back. Await or ` +
        'close what was opened inside before returning.',
      { outcome: 'rolled_back' },
    )
  }
  if (record.mustRollBack || slot.lease?.raw.status === 'failed') {
    const error = abortedError(record)
    await rollback(record)
    throw error
  }
  record.state = 'ending'
  if (record.wire === 'none') {
    close(record, 'committed')
    return
  }
  if (record.parent !== null) return release(record)
  record.wire = 'ending'
  const op = sendControl(slot, record.engine.dialect.commit)
  try {
    await last(record, op)
  } catch (thrown) {
    if (isFailure(thrown) && thrown.kind === 'refused') {
      record.wire = 'open'
      await rollback(record)
      throw thrownError(thrown, null)
    }
    const unanswered = isFailure(thrown) && thrown.kind !== 'server' && !wasIdle(thrown)
    if (unanswered && record.xid !== undefined) return resolve(record, thrown)
    throw commitFailed(record, thrown)
  }
  if (op.tag === 'ROLLBACK') {
    close(record, 'rolled_back')
    throw abortedError(record)
  }
  close(record, 'committed')
}

/** Waits for what was issued inside: statements, and transactions whose callbacks have returned. */
async function issued(record: TransactionRecord): Promise<void> {
  const { slot } = record
  for (;;) {
    await quiet(slot, record, false, Infinity)
    if (record.overtaken) return
    const inside = slot.stack[slot.stack.indexOf(record) + 1]
    if (inside?.leaving === true) await inside.whenLeft()
    // One that has just left may have let go what waited for it.
    else if (inside !== undefined || slot.flight.size === 0) return
  }
}

/** It is the outermost and no cursor's own, and nothing so far keeps it from being committed. */
function commits(record: TransactionRecord): boolean {
  if (record.parent !== null || record.cursor !== null || record.overtaken || record.mustRollBack) return false
  return record.slot.lease?.raw.status === 'tx' && openInside(record) === null
}

/**
 * The answer of COMMIT did not come, but its number is known. Without a change it is told as rolled back, which nobody can
 * tell from committed, and running it again does nothing twice; what it has read may not count (serializable).
 */
async function resolve(record: TransactionRecord, failure: Failure): Promise<void> {
  record.answer = 'sought'
  const state = record.xid === null ? 'rolled_back' : await fateOf(record)
  record.answer = 'missed'
  close(record, state)
  if (state === 'committed') return
  throw state === 'unknown' ? outcomeUnknown(record, failure) : undone(record, failure)
}

/** What is told of a transaction whose COMMIT was not answered, and which is known to be rolled back. */
function undone(record: TransactionRecord, failure: Failure): Error {
  const { cause } = failure
  const late = `The transaction begun at ${record.place} was rolled back: while it was being committed`
  const details = { outcome: 'rolled_back', cause } as const
  if (cause instanceof TransactionTimeoutError)
    return new TransactionTimeoutError(`${late} its time ran out. Make it shorter, or give it more time.`, details)
  if (cause instanceof AbortedError)
    return new AbortedError(`${late} its signal aborted.`, { ...details, cause: cause.cause })
  return failureError({ ...failure, outcome: 'rolled_back' }, null, record)
}

function commitFailed(record: TransactionRecord, thrown: unknown): unknown {
  if (!isFailure(thrown)) return thrown
  if (thrown.kind === 'server' || wasIdle(thrown)) {
    close(record, 'rolled_back')
    return failureError({ ...thrown, outcome: 'rolled_back' }, null, record)
  }
  close(record, 'unknown')
  return outcomeUnknown(record, thrown)
}

function outcomeUnknown(record: TransactionRecord, failure: Failure): CommitOutcomeUnknownError {
  const cause = failureError(failure, null)
  const late = failure.kind === 'timeout' || failure.kind === 'aborted'
  const why = !late ? 'The connection was lost' : cause instanceof AbortedError ? 'A signal aborted' : 'Time ran out'
  return new CommitOutcomeUnknownError(
    `${why} while the transaction begun at ${record.place} was being committed: it may or may not have been. Look for its ` +
      'effects before doing it again.',
    { cause, outcome: 'unknown', xid: record.xid ?? undefined },
  )
}

/**
 * The transaction's own time is over, or its signal aborted, after its callback has returned: what is on the wire is
 * stopped, and nothing is committed that was not yet being committed. Gives the error that its caller is told now.
 */
export function hurry(record: TransactionRecord, error: Error): Error {
  const { slot, last: sent, committing } = record
  const failure: Failure = { kind: 'aborted', outcome: committing ? 'unknown' : 'rolled_back', cause: error }
  if (!committing) {
    record.broken ??= failure
    slot.purge(record, failure)
    slot.cancelFlight(record, failure)
  }
  sent?.abandon(failure)
  return committing ? outcomeUnknown(record, failure) : error
}

/** A RELEASE is never given up: the savepoint is there, or its work belongs to the transaction around, and only the answer tells. */
async function release(record: TransactionRecord): Promise<void> {
  const { engine, slot, handle } = record
  const op = sendControl(slot, engine.dialect.release(record.savepoint))
  let late = false
  record.last = op
  try {
    await answeredBy(engine, op, engine.until(null, handle.defaultsHere()), () => {
      late = true
      slot.cancel(op)
    })
  } catch (thrown) {
    await rollback(record)
    if (!isFailure(thrown)) throw thrown
    throw failureError({ ...thrown, ...(late ? { kind: 'timeout' } : {}), outcome: 'rolled_back' }, null)
  } finally {
    record.last = null
  }
  close(record, 'committed')
}

/**
 * Rejects what was not sent, waits for what was (up to the cancel timeout, then cancels it) and rolls back. Never
 * rejects: a connection that cannot be rolled back is closed, which rolls back too.
 */
export async function rollback(record: TransactionRecord, cancelNow = false): Promise<void> {
  const { slot, engine } = record
  if (record.overtaken) {
    record.state = 'rolled_back'
    return
  }
  record.state = 'ending'
  const ended: Failure = {
    kind: 'refused',
    outcome: 'rolled_back',
    refusal: { reason: 'usage' },
    cause: record.ended(),
  }
  slot.purge(record, ended)
  const cancelled: Failure = { kind: 'aborted', outcome: 'rolled_back', cause: record.ended('rolled_back') }
  if (cancelNow) slot.cancelFlight(record, cancelled)
  else {
    try {
      await quiet(slot, record, true, clock.now() + engine.options.cancelTimeoutMs)
    } catch {
      slot.cancelFlight(record, cancelled)
    }
  }
  await quiet(slot, record, true, Infinity)
  if (record.overtaken) {
    record.state = 'rolled_back'
    return
  }
  const stray = record.parent === null && slot.lease?.raw.status === 'failed'
  if (slot.lease !== null && (record.wire !== 'none' || stray)) {
    const { dialect } = engine
    const op =
      record.parent === null
        ? sendControl(slot, dialect.rollback)
        : sendControl(slot, dialect.rollbackTo(record.savepoint), dialect.release(record.savepoint))
    try {
      const { raw } = slot.lease
      await answeredBy(engine, op, clock.now() + engine.options.cancelTimeoutMs, () =>
        raw.destroy({ kind: 'lost', outcome: 'unknown' }),
      )
    } catch {
      slot.lease?.raw.destroy({ kind: 'lost', outcome: 'rolled_back' })
    }
  }
  close(record, 'rolled_back')
}

/**
 * After its end: gives the connection back, if it is the transaction's own, and runs the hooks of the outermost; those of a
 * nested one went to the one around it. Gives what the hooks of a commit threw, which is a notice where nobody `waits` for it;
 * never rejects.
 */
export async function finish(record: TransactionRecord, own: boolean, waits = true): Promise<unknown[]> {
  const { slot, state, answer, hooks, engine } = record
  if (record.parent !== null) return []
  if (own) {
    const closing = slot.close()
    // Whose COMMIT stays unanswered is told now, not when its connection is known to be well.
    if (state !== 'unknown' && answer === 'due') await closing
  }
  if (hooks.empty) return []
  const place = { engine: engine.name, places: [record.place] }
  const { commits: failed, rollbacks } = await runIn(record.chain, () => hooks.run(record.fate))
  if (rollbacks.length > 0) hookFailed(`${rollbacks.length} afterRollback hooks failed.`, rollbacks[0], place)
  if (failed.length === 0 || waits) return failed
  hookFailed(`${failed.length} afterCommit hooks failed.`, failed[0], place)
  return []
}

/** What is told when hooks of a commit have failed. */
export function hooksFailed({ place }: TransactionRecord, errors: readonly unknown[], result?: unknown): Error {
  const message = `The transaction begun at ${place} was committed, but ${errors.length} of its afterCommit hooks failed.`
  return new AfterCommitError(message, { result, errors, cause: errors[0] })
}

/** Waits for COMMIT, which is stopped like any statement when it takes longer than statements may. */
async function last(record: TransactionRecord, op: EngineOp): Promise<void> {
  const { engine, handle } = record
  record.last = op
  try {
    await answeredBy(engine, op, engine.until(null, handle.defaultsHere()), () =>
      op.abandon({ kind: 'timeout', outcome: 'unknown' }),
    )
  } finally {
    record.last = null
  }
}

/** Leaves the stack. */
function close(record: TransactionRecord, state: 'committed' | 'rolled_back' | 'unknown'): void {
  const { slot, stale } = record
  record.state = state
  // Before anything that waits is sent there.
  if (stale !== null) slot.lease?.raw.destroy(stale)
  slot.pop(record)
}

function openInside(record: TransactionRecord): string | null {
  const { stack } = record.slot
  const inner = stack[stack.indexOf(record) + 1]
  if (inner !== undefined) return `the ${inner.describe()}`
  for (const cursor of record.cursors) if (cursor.isLeftOpenBy(record)) return `the cursor opened at ${cursor.place}`
  return null
}

function abortedError(record: TransactionRecord): Error {
  const { broken, lateFailure, firstFailure, spoiler } = record
  if (broken !== null && wasIdle(broken)) return failureError(broken, null, record)
  if (broken?.kind === 'lost')
    return new ConnectionLostError(
      `The connection was lost inside the transaction begun at ${record.place}; the server rolled it back. Run it again.`,
      { cause: broken.cause, outcome: 'rolled_back' },
    )
  if (lateFailure !== null && (lateFailure === firstFailure || firstFailure?.outcome === 'not_started'))
    return failureError({ ...lateFailure, outcome: 'rolled_back' }, null)
  const first = broken ?? spoiler?.failure ?? firstFailure
  return new TransactionAbortedError(
    `The transaction begun at ${record.place} could not be committed and was rolled back, because a statement inside had ` +
      'failed and its error was swallowed. Let the error through, or run such a statement in a nested transaction.',
    { cause: first === null ? undefined : failureError(first, null), outcome: 'rolled_back' },
  )
}
