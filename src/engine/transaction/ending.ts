// How a transaction commits and rolls back on the wire. The server's status byte is the truth after every
// unit; a COMMIT is never sent twice, and a failing ROLLBACK closes the connection and hides no earlier error.
import { type Failure, isFailure } from '../../driver/driver.ts'
import {
  AbortedError,
  AfterCommitError,
  CommitOutcomeUnknownError,
  ConnectionLostError,
  TransactionStateError,
  TransactionTimeoutError,
} from '../../errors/index.ts'
import { hookFailed, notice } from '../../observe/channels.ts'
import { runIn } from '../context/chain.ts'
import { failureError, thrownError, tookTooLong, uncommittedBy } from '../query/failure.ts'
import type { EngineOp } from '../query/op.ts'
import { isLent } from '../slot/control.ts'
import {
  deferRelease,
  sendCommit as sendCommitWith,
  sendControl,
  sendUndoing,
  sendDeferredRollback,
} from '../slot/sending.ts'
import { childOf, purge } from '../slot/queues.ts'
import { untilQuiet } from '../slot/waiting.ts'
import { fateOf, noteNumber } from './outcome.ts'
import type { OpenTransaction } from '../slot/slot.ts'
import { type Ended, isSpoiled, spoilerOf } from './state.ts'
import { clock } from '../../util/clock.ts'

/**
 * COMMIT, sent now, of a transaction for which nothing has to be waited for. Null where more has to be done, which `commit`
 * does; or nothing, if nothing was sent in it or it is a nested one.
 */
export function commitAtOnce(record: OpenTransaction): EngineOp | null {
  const { slot, parent } = record
  if (slot.busy || slot.top !== record || slot.lease?.raw.quarantined === true) return null
  if (parent !== null && (isOvertaken(record) || isLent(slot))) return null
  record.advance('returned')
  if (record.begun && record.resolveCommitMs > 0 && parent === null) return null
  if (isSpoiled(record.past) || openInside(record) !== null) return null
  return sendCommit(record)
}

/**
 * Commits after everything issued before has been answered. Rejects when it was not committed; then it has been
 * rolled back, or its outcome is not known.
 */
export async function commit(record: OpenTransaction): Promise<void> {
  let open: string | null = null
  if (!isOvertaken(record)) {
    record.advance('returned')
    // Judged now: later acts of its code, while this one waits for statements, do not count.
    const child = childOf(record)
    if (child !== null) open = `the ${child.describe()}`
    open ??= endStream(record)
    await whenAnswered(record)
    if (record.resolveCommitMs > 0 && record.begun) {
      await sendDeferredRollback(record.slot)
      if (commits(record)) await noteNumber(record)
    }
  }
  if (isOvertaken(record)) {
    record.advance('rolled_back')
    throw record.ended()
  }
  open ??= openInside(record)
  if (open !== null) {
    await rollback(record)
    throw new TransactionStateError(
      `The transaction begun at ${record.place} returned while ${open} was still open, so it was rolled back. Await or ` +
        'close what was opened inside before returning.',
      { outcome: 'rolled_back' },
    )
  }
  const op = sendCommit(record)
  if (record.at === 'releasing') return release(record)
  if (op !== null) await answered(record, op)
  else if (!record.committed) {
    const error = abortedError(record)
    await rollback(record)
    throw error
  }
}

/**
 * Null: nothing has to be sent now, because nothing was, or because it cannot be committed, or because it is a nested one. All of a
 * nested one was answered. So only its connection can be lost, and the transaction around it is lost with that: its RELEASE needs no
 * trip. It goes in front of the next statement. COMMIT, RELEASE and ROLLBACK of the transaction around it have the same effect.
 */
function sendCommit(record: OpenTransaction): EngineOp | null {
  const { slot, engine, handle } = record
  const failed = slot.lease?.raw.status === 'failed' && slot.flight.undone === null
  const at = record.advance(failed ? 'rollback' : 'commit')
  if (at === 'committed') leave(record)
  if (at === 'releasing' && !isLent(slot)) {
    slot.flight.deferRelease(record)
    end(record, 'committed')
  }
  if (at !== 'committing') return null
  const alone = !slot.busy && slot.flight.undone === null
  const op = (record.last = sendCommitWith(slot, record.settings, engine.until(null, handle.defaultsHere())))
  // A COMMIT that changes something may take long: it is waited for.
  if (alone && (record.own || slot.answers) && slot.writes === record.writesBefore) slot.handOver(op)
  return op
}

/** Waits for the answer to COMMIT. */
export async function answered(record: OpenTransaction, op: EngineOp): Promise<void> {
  try {
    await op.wait()
  } catch (thrown) {
    return notCommitted(record, thrown)
  }
  committed(record, op)
}

/** COMMIT was answered. @throws {TransactionAbortedError} when the server has rolled back instead. */
export function committed(record: OpenTransaction, { tag }: EngineOp): void {
  end(record, tag === 'ROLLBACK' ? 'rolled_back' : 'committed')
  if (tag === 'ROLLBACK') throw abortedError(record)
}

/** COMMIT failed, or its answer did not come. Rejects, unless the server says that it was committed. */
export async function notCommitted(record: OpenTransaction, thrown: unknown): Promise<void> {
  if (!isFailure(thrown)) throw thrown
  if (thrown.kind === 'refused') {
    record.advance('refused')
    await rollback(record)
    throw thrownError(thrown, record.engine)
  }
  if (thrown.kind === 'server' || thrown.outcome === 'rolled_back' || tookTooLong(record.engine.dialect, thrown)) {
    end(record, 'rolled_back')
    throw failureError({ ...thrown, outcome: 'rolled_back' }, record.engine, record)
  }
  if (record.advance({ type: 'unanswered', failure: thrown, askable: isAskable(record, thrown) }) === 'unknown') {
    end(record, 'unknown')
    throw outcomeUnknown(record, thrown)
  }
  // Without a change it is told as rolled back, which nobody can tell from committed, and running it again does nothing
  // twice; what it has read may not count (serializable).
  const outcome = record.xid === null ? 'rolled_back' : await fateOf(record)
  end(record, outcome)
  if (outcome === 'committed') return
  throw outcome === 'unknown' ? outcomeUnknown(record, thrown) : rolledBackError(record, thrown)
}

/** Whether the server can say whether it was committed: not where it has said that this depends on its replicas. */
function isAskable({ xid, engine }: OpenTransaction, { fields }: Failure): boolean {
  return xid !== undefined && engine.dialect.replication?.unconfirmed(fields ?? {}) !== true
}

/** Waits for what was issued inside: statements, and transactions whose callbacks have returned. */
async function whenAnswered(record: OpenTransaction): Promise<void> {
  const { slot } = record
  for (;;) {
    await untilQuiet(slot, record, 'back', Infinity)
    if (isOvertaken(record)) return
    const { inner } = record
    if (inner?.leaving === true) await inner.whenLeft()
    // One that has just left may have let go what waited for it.
    else if (inner !== null || slot.flight.size === 0) return
  }
}

/** It is the outermost and no cursor's own, and nothing so far keeps it from being committed. */
function commits(record: OpenTransaction): boolean {
  if (record.parent !== null || record.cursor !== null || isOvertaken(record) || isSpoiled(record.past)) return false
  return record.slot.lease?.raw.status === 'tx' && openInside(record) === null
}

/** The error of a transaction whose COMMIT was not answered, and which is known to be rolled back. */
function rolledBackError(record: OpenTransaction, failure: Failure): Error {
  const { cause } = failure
  const late = `The transaction begun at ${record.place} was rolled back: while it was being committed`
  const details = { outcome: 'rolled_back', cause } as const
  if (cause instanceof TransactionTimeoutError)
    return new TransactionTimeoutError(`${late} its time ran out. Make it shorter, or give it more time.`, details)
  if (cause instanceof AbortedError)
    return new AbortedError(`${late} its signal aborted.`, { ...details, cause: cause.cause })
  return failureError({ ...failure, outcome: 'rolled_back' }, record.engine, record)
}

function outcomeUnknown(record: OpenTransaction, failure: Failure): CommitOutcomeUnknownError {
  const cause = failureError(failure, record.engine)
  const late = failure.kind === 'timeout' || failure.kind === 'aborted'
  const why = !late ? 'The connection was lost' : cause instanceof AbortedError ? 'A signal aborted' : 'Time ran out'
  return new CommitOutcomeUnknownError(
    `${why} while the transaction begun at ${record.place} was being committed: it may have been committed. Look for its ` +
      'effects before doing it again.',
    { cause, outcome: 'unknown', xid: record.xid ?? undefined },
  )
}

/**
 * The transaction's own time is over, or its signal aborted, after its callback has returned: what is on the wire is
 * stopped, and nothing is committed that was not yet being committed. Gives the error that its caller gets now.
 */
export function interruptEnding(record: OpenTransaction, error: Error): Error {
  const { slot, last: sent, committing } = record
  const failure: Failure = { kind: 'aborted', outcome: committing ? 'unknown' : 'rolled_back', cause: error }
  if (!committing) {
    record.advance({ type: 'late', failure })
    purge(slot, record, failure)
    slot.flight.stop(record, failure)
  }
  sent?.abandon(failure)
  return committing ? outcomeUnknown(record, failure) : error
}

/**
 * Sends RELEASE at once: queries of users on the driver's own object come next. It is never given up: the savepoint is there, or its
 * work belongs to the transaction around, and only the answer says which.
 */
async function release(record: OpenTransaction): Promise<void> {
  const { engine, slot, handle } = record
  const op = sendControl(slot, Infinity, engine.dialect.savepoint.release(record.savepoint))
  let late = false
  record.last = op
  try {
    await engine.ticker.within(engine.until(null, handle.defaultsHere()), op.wait(), () => {
      late = true
      slot.cancel(op)
    })
  } catch (thrown) {
    await rollback(record)
    if (!isFailure(thrown)) throw thrown
    throw failureError({ ...thrown, ...(late ? { kind: 'timeout' } : {}), outcome: 'rolled_back' }, record.engine)
  } finally {
    record.last = null
  }
  slot.flight.unreleased = null
  end(record, 'committed')
}

/**
 * Rejects what was not sent, waits for what was (up to the cancel timeout, then cancels it) and rolls back. Never
 * rejects: a connection that cannot be rolled back is closed, which rolls back too.
 */
export async function rollback(record: OpenTransaction, cancelNow = false): Promise<void> {
  const { slot, engine } = record
  if (isOvertaken(record)) {
    record.advance('rolled_back')
    return
  }
  record.advance('rollback')
  endStream(record)
  const ended: Failure = {
    kind: 'refused',
    outcome: 'rolled_back',
    refusal: { reason: 'usage' },
    cause: record.ended(),
  }
  purge(slot, record, ended)
  const cancelled: Failure = { kind: 'aborted', outcome: 'rolled_back', cause: record.ended('rolled_back') }
  if (cancelNow) slot.flight.stop(record, cancelled)
  else {
    try {
      await untilQuiet(slot, record, 'front', clock.now() + engine.options.cancelTimeoutMs)
    } catch {
      slot.flight.stop(record, cancelled)
    }
  }
  await untilQuiet(slot, record, 'front', Infinity)
  if (isOvertaken(record)) {
    record.advance('rolled_back')
    return
  }
  const stray = record.parent === null && slot.lease?.raw.status === 'failed'
  if (slot.lease !== null && (!record.unsent || stray)) {
    const { savepoint, parent } = record
    if (parent === null) {
      slot.flight.unreleased = null
      if (stray) slot.lease.raw.inForce.lose()
      await sendUndoing(slot, engine.dialect.rollback)
    } else {
      deferRelease(slot, { savepoint, parent, undone: savepoint })
      if (isLent(slot) || slot.lease.raw.shared === true) await sendDeferredRollback(slot)
    }
  }
  end(record, 'rolled_back')
}

/**
 * After its end: gives the connection back, if it is the transaction's own, and runs the hooks of the outermost; those of a
 * nested one went to the one around it. Gives what the hooks of a commit threw, which is a notice where nobody `waits` for it;
 * null when there is nothing to wait for. Never rejects.
 */
export function finish(record: OpenTransaction, waits = true): Promise<readonly unknown[]> | null {
  if (record.parent !== null) return null
  const closing = record.own ? record.slot.close() : null
  // The caller of a COMMIT that stays unanswered learns it now, not when its connection is known to be well.
  const back = record.at === 'unknown' || record.past.unanswered !== null ? null : closing
  return back === null && !record.hasHooks ? null : finishLater(record, back, waits)
}

async function finishLater(
  record: OpenTransaction,
  back: Promise<void> | null,
  waits: boolean,
): Promise<readonly unknown[]> {
  if (back !== null) await back
  if (!record.hasHooks) return []
  const place = { engine: record.engine.name, places: [record.place] }
  const { commits: failed, rollbacks } = await runIn(record.chain, () => record.hooks.run(record.fate))
  if (rollbacks.length > 0) hookFailed(`${rollbacks.length} afterRollback hooks failed.`, rollbacks[0], place)
  if (failed.length === 0 || waits) return failed
  hookFailed(`${failed.length} afterCommit hooks failed.`, failed[0], place)
  return []
}

/**
 * Ends what was opened by hand on a slot that is closed, after the managed transactions inside of it. A managed one ends by
 * itself, with what is open inside.
 */
export async function windUp(outermost: OpenTransaction): Promise<void> {
  const { stack } = outermost.slot
  for (;;) {
    const managed = stack.all.find(({ manual }) => !manual)
    if (managed === outermost) return
    if (managed === undefined) break
    await managed.whenLeft()
  }
  if (!outermost.onStack) return
  if (outermost.cursor !== null) await outermost.cursor.close()
  else if (outermost.taking) {
    notice('manual-transaction-rolled-back', 'A connection was released while a manual transaction was open on it.', {
      engine: outermost.engine.name,
      places: [outermost.describe()],
    })
    outermost.endedAt = 'when its connection was released'
    await rollback(outermost)
    await finish(outermost)
  }
}

/** The error when hooks of a commit have failed. */
export function hooksFailed({ place }: OpenTransaction, errors: readonly unknown[], result?: unknown): Error {
  const message = `The transaction begun at ${place} was committed, but ${errors.length} of its afterCommit hooks failed.`
  return new AfterCommitError(message, { result, errors, cause: errors[0] })
}

function end(record: OpenTransaction, outcome: Ended): void {
  record.last = null
  record.advance(outcome)
  leave(record)
}

/** It has ended, and leaves the stack. */
function leave(record: OpenTransaction): void {
  const { slot, past } = record
  // Before anything that waits is sent there.
  if (past.stale !== null) slot.lease?.raw.destroy(past.stale)
  slot.pop(record)
}

/** Rows that nobody reads any more never end by themselves. Gives whose they are; null: there are none. */
function endStream(record: OpenTransaction): string | null {
  const { stream } = record.slot
  if (stream?.op.transaction?.isWithin(record) !== true) return null
  stream.end()
  return `the cursor opened at ${stream.place}`
}

/** It is off the stack, or a transaction around it is ending: that one takes it along, nothing is sent for it alone. */
function isOvertaken({ onStack, parent }: OpenTransaction): boolean {
  for (let outer = parent; outer !== null; outer = outer.parent) if (!outer.taking && !outer.returned) return true
  return !onStack
}

function openInside(record: OpenTransaction): string | null {
  const { inner } = record
  if (inner !== null) return `the ${inner.describe()}`
  if (record.hasCursors)
    for (const cursor of record.cursors) if (cursor.isLeftOpenBy(record)) return `the cursor opened at ${cursor.place}`
  return null
}

function abortedError(record: OpenTransaction): Error {
  const { broken, afterReturn, first: firstFailure } = record.past
  if (broken !== null && tookTooLong(record.engine.dialect, broken)) return failureError(broken, record.engine, record)
  if (broken?.kind === 'lost')
    return new ConnectionLostError(
      `The connection was lost inside the transaction begun at ${record.place}; the server rolled it back. Run it again.`,
      { cause: broken.cause, outcome: 'rolled_back' },
    )
  if (afterReturn !== null && (afterReturn === firstFailure || firstFailure?.outcome === 'not_started'))
    return failureError({ ...afterReturn, outcome: 'rolled_back' }, record.engine)
  const known = firstFailure === null ? null : { failure: firstFailure, stmt: null }
  return uncommittedBy(record.engine, record.place, spoilerOf(record.past) ?? known)
}
