// What waits in a slot, in the order of issue: `ready` is admitted and waits for the wire, `blocked` waits for somebody else's
// transaction. A transaction that begins, ends or is lost moves items from one to the other, or out.
import type { Failure } from '../../driver/driver.ts'
import { TransactionStateError } from '../../errors/index.ts'
import { LinkedSet } from '../../util/linked-list.ts'
import { EngineOp } from '../query/op.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import { remove } from './flight.ts'
import type { Holding, Item } from './holding.ts'
import { Turn } from './waiting.ts'

/**
 * Those who wait for somebody else's transaction, in a line for each transaction in which they go on. So the end of one asks only those
 * who go on behind it, and not all who wait.
 */
export class Blocked {
  size = 0
  /** It begins a transaction and may stand in `ready`: those who wait for that transaction stay where they are. */
  gate: Turn | null = null
  /** They go on outside of all transactions. */
  #outside: LinkedSet<Item> | null = null

  #line(home: TransactionRecord | null): LinkedSet<Item> | null {
    return home === null ? this.#outside : (home.behind as LinkedSet<Item> | null)
  }

  add(item: Item, home: TransactionRecord | null): void {
    let line = this.#line(home)
    if (line === null) {
      line = new LinkedSet<Item>()
      if (home === null) this.#outside = line
      else home.behind = line
    }
    line.add(item)
    this.size++
  }

  /** How many go on there. */
  count(home: TransactionRecord | null): number {
    return this.#line(home)?.size ?? 0
  }

  of(home: TransactionRecord | null): Iterable<Item> {
    return this.#line(home) ?? []
  }

  /** Takes off the first that goes on there; undefined: there is none. */
  take(home: TransactionRecord | null): Item | undefined {
    const item = this.#line(home)?.first
    if (item !== undefined) this.#remove(item, home)
    return item
  }

  /** False: it goes on somewhere else. */
  #remove(item: Item, home: TransactionRecord | null): boolean {
    if (this.#line(home)?.delete(item) !== true) return false
    this.size--
    return true
  }

  /** Takes it off, whichever of these it goes on in, or outside of all. */
  remove(item: Item, top: TransactionRecord | null): void {
    if (this.size === 0) return
    for (let home = top; home !== null; home = home.parent) if (this.#remove(item, home)) return
    this.#remove(item, null)
  }
}

export interface Queueing extends Holding {
  readonly ready: Item[]
  readonly blocked: Blocked
  /** Whether it may go on; if not, it waits in `blocked`, or was refused. */
  admits(item: Item): boolean
}

/** It waits for a transaction, and goes on in `home`. */
export function block(slot: Queueing, item: Item, home: TransactionRecord | null, behind: string | undefined): void {
  item.issued = true
  slot.blocked.add(item, home)
  item.arm('transaction', behind)
}

/** Whether others were issued before that go on here too, behind a transaction that has not had its turn: then it waits with them. */
export function joins(slot: Queueing, item: Item): boolean {
  const { blocked, top } = slot
  if (blocked.count(top) === 0) return false
  if (item instanceof EngineOp) item.transaction = null
  block(slot, item, top, blocked.gate?.begins?.describe())
  return true
}

/**
 * A transaction has begun whose turn came later than that of statements behind it was judged: those wait for it, as they would had they
 * been issued now. The engine's own turns keep their place.
 */
export function requeueBehind(slot: Queueing, { manual, parent }: TransactionRecord): void {
  const { ready } = slot
  for (const item of ready.length > 0 ? ready.splice(0) : []) {
    if (item instanceof EngineOp) item.transaction = null
    if (isUnchecked(item) || slot.admits(item)) ready.push(item)
  }
  // Statements issued before may belong inside of one that is begun by hand, or cannot wait for it.
  if (manual) judge(slot, parent)
}

/** Those go on who waited for a transaction that has ended, up to the next that begins one. False: there is nobody. */
export function resume(slot: Queueing): boolean {
  const { ready, blocked, top } = slot
  let any = false
  while (blocked.gate === null || ready.lastIndexOf(blocked.gate) < 0) {
    blocked.gate = null
    const item = blocked.take(top)
    if (item === undefined) break
    any = true
    goOn(slot, item)
    if (item instanceof Turn && item.begins !== null) blocked.gate = item
  }
  return any
}

function goOn(slot: Queueing, item: Item): void {
  item.unarm()
  if (slot.admits(item)) slot.ready.push(item)
}

/** Asks those again who go on in `home`, and wait for one that is open there, whether they may wait. */
function judge(slot: Queueing, home: TransactionRecord | null): void {
  const { blocked } = slot
  for (let left = blocked.count(home); left > 0; left--) goOn(slot, blocked.take(home) as Item)
}

/** Asks all who wait for a transaction again whether they may. */
export function judgeAll(slot: Queueing): void {
  for (let inner: TransactionRecord | null = slot.top; inner !== null; inner = inner.parent) judge(slot, inner.parent)
}

/** Asks those who went on in `left`, or one inside of it up to `top`, which have left the stack. */
export function judgeLeft(slot: Queueing, left: TransactionRecord, top: TransactionRecord | null): void {
  if (slot.blocked.size === 0) return
  for (let each = top; each !== null && each !== left.parent; each = each.parent) judge(slot, each)
}

/** Takes all off that could go on here. */
export function takeReady({ ready, blocked, top }: Queueing): Item[] {
  const items = ready.splice(0)
  for (let left = blocked.count(top); left > 0; left--) items.push(blocked.take(top) as Item)
  return items
}

const isUnchecked = (item: Item): boolean => item instanceof Turn && item.unchecked

/** One that waits for its turn to begin, inside of `outer` if that is given, and is no batch; null: there is none. */
function waitsToBegin({ ready, blocked, stack }: Queueing, outer: TransactionRecord | null): Turn['begins'] {
  const among = (items: Iterable<Item>): Turn['begins'] => {
    for (const item of items) {
      const begins = item instanceof Turn ? item.begins : null
      if (begins?.batch === false && (outer === null || outer.admits(item))) return begins
    }
    return null
  }
  let found = among(ready)
  if (blocked.size === 0) return found
  if (outer === null) found ??= among(blocked.of(null))
  for (let home = outer ?? stack.outermost; home !== null; home = home.inner) found ??= among(blocked.of(home))
  return found
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
export function purge({ ready, blocked, top }: Queueing, transaction: TransactionRecord, failure: Failure): void {
  for (const item of [...ready]) {
    if (!(item instanceof EngineOp) || item.transaction?.isWithin(transaction) !== true) continue
    remove(ready, item)
    item.refuse(failure)
  }
  if (blocked.size === 0) return
  for (let home: TransactionRecord | null = transaction; home !== null; home = home.inner)
    for (const item of blocked.of(home)) {
      if (!transaction.admits(item)) continue
      blocked.remove(item, top)
      item.refuse(failure)
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
