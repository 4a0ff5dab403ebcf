// Decides whether a statement or transaction may run on a slot now. It is admitted at once iff the transaction on top of the stack is
// in the chain of the code that issued it, or its handle belongs to it; otherwise it waits until that one has ended. One that
// could only wait for itself is refused.
import { ReleasedConnectionError, TransactionStateError, type UsageError } from '../../errors/index.ts'
import { noPlace } from '../../observe/place.ts'
import { currentChain, isInside, type Link } from '../context/chain.ts'
import { type Compiled, Pin } from '../../sql/compiled.ts'
import type { Dialect } from '../../sql/dialect.ts'
import type { Enclosing } from '../context/frame.ts'
import { EngineOp } from '../query/op.ts'
import type { Streaming } from '../query/row-stream.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import type { Copying } from '../../pool/lease.ts'
import { nothingDrawn, readingRefused, sessionMoved, withoutSession, withoutTransaction } from './frameless.ts'
import type { Holding, Item } from './holding.ts'

/** True: now; false: it waits for the transaction on top; null: it was refused, and its caller has the error. */
export function admit(slot: Holding, item: Item): boolean | null {
  const { top } = slot
  const { chain, handle, issued } = item
  // Statements that were issued before a COPY go before it.
  const copy = slot.copies === null || issued ? undefined : slot.copies.find((each) => waitsForCopy(slot, each, item))
  if (copy !== undefined) return refuse(item, besideCopy(copy))
  // Code that runs in a transaction on this slot, or whose handle belongs to one, which is over or has to end, runs nothing here,
  // whichever handle it uses: it would run outside of it.
  let inner: Enclosing | null = null
  let inTop = false
  for (let link = chain; link !== undefined; link = link.next) {
    const { transaction, kind, engine } = link.frame
    if (kind === 'detached' && engine === slot.engine) break
    // One around a transaction that was asked already has been asked with it.
    if (transaction === null || transaction.slot !== slot || isCovered(inner, transaction)) continue
    inner = transaction
    inTop ||= transaction === top
    const refusal = transaction.refusal(issued)
    if (refusal !== null) return refuse(item, refusal)
  }
  const home = handle === null ? null : handle.home
  if (home !== null && home !== inner) {
    const refusal = home.refusal(issued)
    if (refusal !== null) return refuse(item, refusal)
  }
  if (top === null) {
    if (slot.closed && !issued) return refuse(item, released())
    const lost = slot.takeLostSession(item)
    if (lost === null) return true
    const outcome = lost.outcome === 'rolled_back' ? 'rolled_back' : 'not_started'
    item.refuse(lost.kind === 'refused' ? lost : { ...lost, kind: 'lost', outcome })
    return null
  }
  inTop &&= top.cursor === null
  if (inTop || top.admits(item)) {
    const refusal = inTop ? null : top.refusal(issued)
    if (refusal !== null) return refuse(item, refusal)
    if (slot.stream !== null && !issued && slot.stream.blocks(item))
      return refuse(item, blockedByStream(slot.stream, slot.engine.dialect))
    if (item instanceof EngineOp) {
      if (item.stmt.cls === 'commits') return refuse(item, endsTransaction(item.stmt, top))
      item.transaction = top
      if (top.place === noPlace) top.notePlace()
    }
    return true
  }
  if (slot.stream !== null && !issued && slot.stream.op.transaction === null && !isAhead(slot, item, slot.stream.op))
    return refuse(item, blockedByStream(slot.stream, slot.engine.dialect))
  if (slot.closed && !issued) return refuse(item, released())
  const hopeless = waitsForItself(slot, top, item)
  return hopeless === null ? false : refuse(item, hopeless)
}

const isCovered = (inner: Enclosing | null, outer: Enclosing): boolean => inner !== null && inner.isWithin(outer)

export function released(): ReleasedConnectionError {
  return new ReleasedConnectionError(
    'This connection has been released, so it runs no more statements. Acquire another one, or release with ' +
      '{ permanent: false } to keep the handle.',
  )
}

/** Why a statement that is about the session or its transaction cannot run here; null: it can. Its turn has come. */
export function misplaced(slot: Holding, { stmt, transaction }: EngineOp): UsageError | null {
  const { engine, lease, moved, drew } = slot
  if ((stmt.pins & Pin.reading) !== 0) return readingRefused(stmt, engine.dialect)
  const outside = transaction === null && lease?.raw.status === 'idle'
  if (outside && (stmt.pins & Pin.transaction) !== 0) return withoutTransaction(stmt, engine.dialect)
  if (engine.options.pooler === undefined && (stmt.pins & Pin.sequences) !== 0) {
    slot.noteNumbersAsked()
    if (moved) return sessionMoved(stmt, engine.dialect)
    if (!drew) return nothingDrawn(stmt, engine.dialect)
  }
  if (engine.options.pooler === undefined) return null
  // A transaction has one session for all its length, and so the numbers it has drawn.
  const session = stmt.pins & ~(outside ? Pin.transaction : Pin.transaction | Pin.sequences)
  return session === 0 ? null : withoutSession(stmt, engine.dialect)
}

/** It would commit what has been done so far, savepoints too, and what comes behind it would run outside of any transaction. */
function endsTransaction(stmt: Compiled, { engine, place }: TransactionRecord): TransactionStateError {
  return new TransactionStateError(
    `${stmt.verb} like this commits the transaction around it on ${engine.dialect.title}, or may do so: it was not sent inside of the one begun at ` +
      `${place}. Run it before or after the transaction.`,
    { statement: { sql: stmt.text } },
  )
}

/** It would wait until the last row was read, which its own loop may be waiting to do. */
function blockedByStream({ place }: Streaming, { title }: Dialect): TransactionStateError {
  return new TransactionStateError(
    `The cursor opened at ${place} reads its rows as they come, so its connection runs nothing else until it is closed: ${title} has ` +
      'no cursor that lets other statements of the transaction run in between. Read all rows first, close the cursor, or run this on ' +
      'another connection.',
  )
}

function refuse(item: Item, error: unknown): null {
  item.refuseWith(error)
  return null
}

/** Whether the COPY goes before `item` and could end only when that has: code that reads it, or gives it rows, asks for more. */
function waitsForCopy(slot: Holding, op: EngineOp, item: Item): boolean {
  const { open, frame } = op.copy as Copying
  if (!open || op.failure !== null || op === item || (item instanceof EngineOp && item.stmt.cls === 'control'))
    return false
  if (op.phase === 'transaction' && isAhead(slot, item, op)) return false
  // A COPY is made in one place and begun in another, maybe by the source of the one that is open.
  return frame === null || isWithin(frame, item.chain) || (isCopy(item) && isWithin(frame, currentChain()))
}

/** Whether it runs in a transaction for whose end `op` waits. */
function isAhead({ stack }: Holding, item: Item, op: Pick<EngineOp, 'chain' | 'handle'>): boolean {
  return stack.innermost(item.chain, item.handle)?.admitsFrom(op.chain, op.handle) === false
}

const isCopy = (item: Item): boolean => item instanceof EngineOp && item.copy !== null

function besideCopy({ copy }: EngineOp): TransactionStateError {
  return new TransactionStateError(
    `${(copy as Copying).place} uses this connection until its loop or stream has ended, so what its loop or source asks for would wait for ` +
      'itself. Read all rows before, or use another connection: acquire(), or the database outside of the scope or transaction.',
  )
}

function waitsForItself(slot: Holding, top: TransactionRecord, item: Item): TransactionStateError | null {
  if (top.cursor !== null)
    return new TransactionStateError(
      `The cursor opened at ${top.cursor.place} holds this connection until it is closed. Read it to its end or close it ` +
        `first, ${
          slot.stream === null
            ? 'or iterate inside a transaction, where other statements may run'
            : 'or run this on another connection'
        }.`,
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
function isWithin(frame: object | null, chain: Link | undefined): boolean {
  if (frame === null) return true
  for (let link = chain; link !== undefined; link = link.next) if (link.frame === frame) return true
  return false
}
