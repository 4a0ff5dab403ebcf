// Who may run on a slot now. A statement or transaction is admitted at once iff the transaction on top of the stack is
// in the chain of the code that issued it, or its handle belongs to it; otherwise it waits until that one has ended. What
// could only ever wait for itself is refused.
import { ReleasedConnectionError, SessionMovedError, TransactionStateError, UsageError } from '../../errors/index.ts'
import { isInside, type Link } from '../context/chain.ts'
import { type Compiled, Pin } from '../../sql/compiled.ts'
import type { Frame } from '../context/frame.ts'
import { EngineOp } from '../query/op.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import type { Item, Slot } from './slot.ts'

/** True: now; false: it waits for the transaction on top; null: it was refused, and told. */
export function admit(slot: Slot, item: Item): boolean | null {
  const { top } = slot
  // Code of a transaction that is over, or has to end, runs nothing here: it would run outside of it.
  const over = overFor(slot, item)
  if (over !== null) return refuse(item, over)
  if (top === undefined) {
    if (slot.closed && !item.issued) return refuse(item, released())
    const lost = slot.takeLostSession(item)
    if (lost === null) return true
    const outcome = lost.outcome === 'rolled_back' ? 'rolled_back' : 'not_started'
    item.refuse(lost.kind === 'refused' ? lost : { ...lost, kind: 'lost', outcome })
    return null
  }
  if (top.admits(item)) {
    const refusal = top.refusal(item.issued)
    if (refusal !== null) return refuse(item, refusal)
    if (item instanceof EngineOp) item.transaction = top
    return true
  }
  if (slot.closed && !item.issued) return refuse(item, released())
  const hopeless = waitsForItself(top, item)
  return hopeless === null ? false : refuse(item, hopeless)
}

/**
 * A transaction on this slot in which the code runs, or to which its handle belongs, has ended or has to: what comes from
 * there runs nothing here, whichever handle it uses.
 */
function overFor(slot: Slot, { chain, handle, issued }: Item): Error | null {
  let inner: TransactionRecord | null = null
  for (let link = chain; link !== undefined; link = link.next) {
    const { transaction, kind, engine } = link.frame
    if (kind === 'detached' && engine === slot.engine) break
    // One around a transaction that was asked already has been asked with it.
    if (transaction === null || transaction.slot !== slot || isCovered(inner, transaction)) continue
    inner = transaction
    const refusal = transaction.refusal(issued)
    if (refusal !== null) return refusal
  }
  const home = handle === null ? null : handle.home
  return home === null || home === inner ? null : home.refusal(issued)
}

const isCovered = (inner: TransactionRecord | null, outer: TransactionRecord): boolean =>
  inner !== null && inner.isWithin(outer)

export function released(): ReleasedConnectionError {
  return new ReleasedConnectionError(
    'This connection has been released, so it runs no more statements. Acquire another one, or release with ' +
      '{ permanent: false } to keep the handle.',
  )
}

/** Why a statement that is about the session or its transaction cannot run here; null: it can. Its turn has come. */
export function misplaced({ engine, lease, moved }: Slot, { stmt, transaction }: EngineOp): UsageError | null {
  if ((stmt.pins & (Pin.encoding | Pin.strings)) !== 0) return readingRefused(stmt)
  const outside = transaction === null && lease?.raw.status === 'idle'
  if (outside && (stmt.pins & Pin.transaction) !== 0) return withoutTransaction(stmt)
  if (moved && (stmt.pins & Pin.sequences) !== 0)
    return new SessionMovedError(
      'currval() and lastval() would give the number of somebody else: since this scope wrote, it waited for something else, and its ' +
        'connection served others meanwhile. Use INSERT … RETURNING, ask before you wait, or give the scope the option hold: true.',
      { statement: { sql: stmt.text } },
    )
  if (engine.options.pooler === undefined) return null
  // A transaction has one session for all its length, and so the numbers it has drawn.
  const session = stmt.pins & ~(outside ? Pin.transaction : Pin.transaction | Pin.sequences)
  return session === 0 ? null : withoutSession(stmt)
}

/** A pooler would leave what it does to whoever comes next on the same session of the server. */
export function withoutSession(stmt: Compiled): UsageError {
  return new UsageError(
    'This statement changes the state of a session, but behind a pooler (option pooler) the next transaction runs in another ' +
      'one. Inside of a transaction use SET LOCAL, pg_advisory_xact_lock() and temporary tables with ON COMMIT DROP, around it ' +
      'the settings of scope(); for LISTEN and the like connect to the server itself.',
    { statement: { sql: stmt.text } },
  )
}

/** It would change how texts have to be written and read. */
export function readingRefused(stmt: Compiled): UsageError {
  if ((stmt.pins & Pin.strings) !== 0)
    return new UsageError(
      'SQL is read as with standard_conforming_strings = on, which therefore cannot be turned off: quotes would end elsewhere. ' +
        "Write E'…' where a backslash is to escape.",
      { statement: { sql: stmt.text } },
    )
  return new UsageError(
    'Text is sent and read as UTF8 only, so client_encoding cannot be set to another encoding. Convert in SQL instead, with ' +
      'convert_to() and convert_from().',
    { statement: { sql: stmt.text } },
  )
}

/** PostgreSQL would only warn (25P01). */
export function withoutTransaction(stmt: Compiled): TransactionStateError {
  return new TransactionStateError(
    'SET LOCAL, LOCK TABLE, pg_advisory_xact_lock() and the like hold until the end of the transaction they run in; here there ' +
      'is none, so they would be over with this statement. Run it inside transaction(work) with the statements it is meant ' +
      'for, or give settings to scope(work, { settings }).',
    { statement: { sql: stmt.text } },
  )
}

function refuse(item: Item, error: unknown): null {
  item.refuseWith(error)
  return null
}

function waitsForItself(top: TransactionRecord, item: Item): TransactionStateError | null {
  if (top.cursor !== null)
    return new TransactionStateError(
      `The cursor opened at ${top.cursor.place} holds this connection until it is closed. Read it to its end or close it ` +
        'first, or iterate inside a transaction, where other statements may run.',
    )
  if (isAwaitedIn(top, item.chain))
    return new TransactionStateError(
      `Detached work that the transaction begun at ${top.place} awaits has to wait for that transaction to end, so it would wait ` +
        'for itself. Do not await it there, or let it use another connection.',
    )
  if (!top.manual || item.handle !== null || !isWithin(top.bornIn, item.chain)) return null
  return new TransactionStateError(
    `A statement without a handle was issued where the manual transaction begun at ${top.place} is open on the same ` +
      'connection; it would wait for itself. Run it through the transaction, or use transaction(work).',
  )
}

/** Whether code of `top` awaits the detached work in which code with this chain runs. */
function isAwaitedIn(top: TransactionRecord, chain: Link | undefined): boolean {
  for (let link = chain; link !== undefined; link = link.next)
    if (link.frame.awaited !== undefined && isInside(top, link.frame.awaited)) return true
  return false
}

/** Whether code with this chain runs inside of `frame`, null being outside of all. */
function isWithin(frame: Frame | null, chain: Link | undefined): boolean {
  if (frame === null) return true
  for (let link = chain; link !== undefined; link = link.next) if (link.frame === frame) return true
  return false
}
