// The two queues of a slot, each in the order of issue: `ready` is admitted and waits for the wire, `blocked` waits for somebody else's
// transaction. A transaction that begins, ends or is lost moves items from one to the other, or out.
import type { Failure } from '../../driver/driver.ts'
import { TransactionStateError } from '../../errors/index.ts'
import { EngineOp } from '../query/op.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import { remove } from './flight.ts'
import type { Holding, Item } from './holding.ts'
import { Turn } from './waiting.ts'

export interface Queueing extends Holding {
  readonly ready: Item[]
  readonly blocked: Item[]
  /** Whether it may go on; if not, it waits in `blocked`, or was refused. */
  admits(item: Item): boolean
}

/**
 * A transaction has begun whose turn came later than that of statements behind it was judged: those wait for it, as they would had they
 * been issued now. The engine's own turns keep their place.
 */
export function requeueBehind(slot: Queueing): void {
  const { ready } = slot
  for (const item of ready.splice(0)) {
    if (item instanceof EngineOp) item.transaction = null
    if (isUnchecked(item) || slot.admits(item)) ready.push(item)
  }
}

const isUnchecked = (item: Item): boolean => item instanceof Turn && item.unchecked

/** One that waits for its turn to begin, inside of `outer` if that is given, and is no batch; null: there is none. */
function waitsToBegin({ ready, blocked }: Queueing, outer: TransactionRecord | null): Turn['begins'] {
  for (const queue of [ready, blocked])
    for (const item of queue) {
      const begins = item instanceof Turn ? item.begins : null
      if (begins?.batch === false && (outer === null || outer.admits(item))) return begins
    }
  return null
}

/** The transaction that is open inside of `record`, or waits to be, and does not end by itself; null: there is none. */
export function childOf(record: TransactionRecord<Queueing>): Turn['begins'] {
  const { inner, slot } = record
  return inner?.leaving === false ? inner : waitsToBegin(slot, record)
}

/**
 * Checks that the connection can be handed back and used again later. `atCall`: what was issued before has not run yet, and a batch is
 * waited for as a statement is.
 * @throws {TransactionStateError} when something is open on it.
 */
export function checkLendable(slot: Queueing, discardSession: boolean, atCall = false): void {
  const { busy, lease, keepsSession } = slot
  const top = atCall && (slot.top === null || slot.top.outermost.batch) ? waitsToBegin(slot, null) : slot.top
  const what = 'release({ permanent: false }) cannot hand the connection back while'
  if (top !== null) throw new TransactionStateError(`${what} the ${top.describe()} is open on it.`)
  if (!busy && lease !== null && lease.raw.status !== 'idle')
    throw new TransactionStateError(`${what} a transaction begun by text is open on it.`)
  if (keepsSession && !discardSession)
    throw new TransactionStateError(
      'release({ permanent: false }) would lose state of this session (SET, LISTEN, temporary ' +
        'tables, advisory locks, PREPARE or rawConnection()). Keep the connection, or pass { discardSession: true }.',
    )
}

/** Fails what has been issued inside of `transaction` and not sent. */
export function purge({ ready, blocked }: Queueing, transaction: TransactionRecord, failure: Failure): void {
  for (const queue of [ready, blocked]) {
    for (const item of [...queue]) {
      const inside = item instanceof EngineOp && item.transaction !== null && item.transaction.isWithin(transaction)
      if (!inside && !(queue === blocked && transaction.admits(item))) continue
      remove(queue, item)
      item.refuse(failure)
    }
  }
}

/** The connection is gone, and with it what was to run in its transaction, `typed` or not, or with the state of its session. */
export function purgeLost(slot: Queueing, failure: Failure, typed: boolean, pinned: boolean): void {
  const { ready, top } = slot
  for (const item of [...ready]) {
    const isOp = item instanceof EngineOp
    const inside = isOp ? typed || item.transaction !== null : !item.unchecked && top?.admits(item) === true
    if (!inside && !(isOp && pinned)) continue
    remove(ready, item)
    item.refuse({ ...failure, kind: 'lost', outcome: inside ? 'rolled_back' : 'not_started' })
  }
}
