// A slot: the lazy, shareable holder of at most one lease (GINO's `_DBAPIConnection`). It keeps the stack of open
// transactions and the statements that wait, and decides synchronously who goes next. All its mutable state is named
// at the top of the class. Two queues: `#ready` is admitted and waits for the wire, `#blocked` waits for somebody
// else's transaction. A statement never joins a transaction it does not belong to, and never takes a second connection.
import type { Failure } from '../../driver/driver.ts'
import { cancelOrDestroy } from '../../pool/cancel.ts'
import type { PoolWaiter } from '../../pool/contract.ts'
import type { Lease } from '../../pool/lease.ts'
import { Pin } from '../../sql/compiled.ts'
import { EngineOp } from '../query/op.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import { admit, misplaced, released } from './admission.ts'
import { openerOf, isLent, noteStatus, prefixOf, sendOwed, standsAlone } from './control.ts'
import { Holding } from './holding.ts'
import { remove } from './remove.ts'
import { noteTime, sendSpare, type Spare } from './spares.ts'
import { tellOfCursors } from './cursor-wait.ts'
import { Turn } from './turn.ts'
import type { Waiting } from './waiting.ts'
import { clock } from '../../util/clock.ts'

export type Item = EngineOp | Turn

export class Slot extends Holding implements PoolWaiter {
  readonly #ready: Item[] = []
  readonly #blocked: Item[] = []
  #borrowing = false
  /** The settings have to be sent in front of the next statement. */
  #unset = false
  #pinLost: Failure | null = null
  #closing: { readonly promise: Promise<void>; readonly resolve: () => void } | null = null
  readonly op: null = null
  /** Reads that run on other connections; null: none. */
  spares: Map<EngineOp, Spare> | null = null
  /** Whether a statement was waiting for its turn at the last answer: the time to the next is all its own. */
  #chained = false

  get busy(): boolean {
    return this.flight.size > 0 || this.#ready.length > 0 || this.#blocked.length > 0 || this.spares !== null
  }

  /** Sends a statement, or takes a turn, now or when its time comes. Synchronous; failures reach `item.refuse`. */
  send(item: Item): void {
    item.slot = this
    this.stirs++
    if (item.signal?.aborted === true) item.abort(item.signal.reason)
    else {
      item.begin()
      this.#submit(item)
    }
  }

  /** Queues a turn behind what was admitted, or before it (`first`), without asking whether it is admitted. */
  enterUnasked(turn: Turn, first: boolean): void {
    turn.slot = this
    turn.unasked = true
    this.stirs++
    if (first) this.#ready.unshift(turn)
    else this.#ready.push(turn)
    this.#pump()
  }

  #submit(item: Item): void {
    if (!this.#admits(item)) return
    const free = this.#ready.length === 0 && (this.spares === null || isPlain(item))
    if (free && item instanceof EngineOp && this.#hasRoom()) this.#transmit(item)
    else {
      item.issued = true
      this.#ready.push(item)
      this.#pump()
    }
  }

  /** Whether it may go on; if not, it waits for somebody's transaction, or was refused. */
  #admits(item: Item): boolean {
    const admitted = admit(this, item)
    if (admitted === false) {
      item.issued = true
      this.#blocked.push(item)
      item.arm('transaction', this.top?.describe())
    }
    return admitted === true
  }

  /** Why a session that was lost cannot go on: told once, or for as long as a transaction begun by text is not ended. */
  takeLostSession(item: Item): Failure | null {
    const failure = this.flight.typedLoss(item) ?? this.#pinLost
    this.#pinLost = null
    return failure
  }

  #hasRoom(): boolean {
    if (this.lease === null || this.flight.fenced) return false
    const { raw } = this.lease
    return raw.alive && raw.inFlight < raw.maxInFlight && !raw.quarantined
  }

  #pump(): void {
    while (this.#ready.length > 0) {
      const item = this.#ready[0] as Item
      // Reads that were issued before are answered before.
      if (this.spares !== null && !isPlain(item)) return
      if (item instanceof Turn) {
        if (item.quiet && (this.flight.size > 0 || this.lease?.raw.quarantined === true)) return
        if (item.borrows && this.lease === null && !this.#borrow()) return
        this.#ready.shift()
        // A transaction may have begun while it waited for a connection.
        if (item.unasked || this.#admits(item)) item.take()
      } else {
        if (this.lease === null && !this.#borrow()) return
        const room = this.#hasRoom()
        if (!room && !sendSpare(this, item)) return
        this.#ready.shift()
        if (!room) continue
        if (item.transaction?.doomed === true) item.refuseWith(item.transaction.refusal(true))
        else this.#transmit(item)
      }
    }
    this.#park()
  }

  #transmit(op: EngineOp): void {
    if (op.stmt.cls === 'multi' || (this.settings !== null && standsAlone(op.stmt))) {
      const first = openerOf(this, op, this.#unset, () => remove(this.#ready, op))
      if (first instanceof Error) return op.refuseWith(first)
      if (first !== null) {
        this.#ready.unshift(op)
        return this.#transmit(first)
      }
    }
    const { raw } = this.lease as Lease
    if (op.stmt.pins !== 0 && !this.#pin(op)) return
    if (op.stmt.leaves === true) this.leave(op.stmt)
    if (op.stmt.cls !== 'read') this.noteWrite(op.stmt)
    op.starting(raw)
    const prefix = prefixOf(this, op, this.#unset)
    if (prefix instanceof Error) return op.refuseWith(prefix)
    raw.dirty |= op.stmt.dirties
    this.#unset = false
    this.flight.add(op, prefix !== null || op.stmt.hasControl)
    if (prefix === null) raw.submit(op)
    else raw.submitUnit({ ops: [...prefix, op] })
  }

  /** Keeps the connection for what the statement does to its session; false: it was refused. */
  #pin(op: EngineOp): boolean {
    const refusal = misplaced(this, op)
    if (refusal !== null) op.refuseWith(refusal)
    else if ((op.stmt.pins & ~Pin.transaction) !== 0) this.pin(op.stmt.pins & ~Pin.transaction, op.stmt.verb)
    return refusal === null
  }

  /** What has to be sent before anything else: settings, BEGIN or SAVEPOINT. */
  get owes(): boolean {
    return this.#unset || this.top?.wire === 'none'
  }

  /** Takes an idle connection if there is one, without waiting. */
  borrowAtOnce(): boolean {
    return this.lease !== null || (!this.#borrowing && !this.closed && this.#takeIdle())
  }

  #takeIdle(): boolean {
    const lease = this.engine.pool.leaseIdle(this)
    if (lease === null) return false
    this.#notePlace()
    this.attach(lease)
    return true
  }

  #borrow(): boolean {
    if (this.#borrowing) {
      this.#armReady()
      return false
    }
    if (this.#takeIdle()) return true
    this.#notePlace()
    this.engine.pool.request(this)
    return this.lease !== null
  }

  /** Remembers who borrows where others have to wait, or will have to: a capture is too dear for every borrow. */
  #notePlace(): void {
    this.place = this.engine.borrowPlace() ?? this.place
  }

  #armReady(): void {
    for (const item of this.#ready) if (item.phase === null) item.arm('connection')
  }

  attach(lease: Lease): void {
    this.lease = lease
    this.arrives()
    this.#unset = this.settings !== null
    this.flight.lastAnswer = lease.since
    this.engine.leaks?.lent(this)
    for (const item of this.#ready) if (item.phase !== null) item.unarm()
  }

  queued(now: number): void {
    tellOfCursors(this.engine, () => this.describeOwner())
    this.#borrowing = true
    this.waitBegins(now)
    this.#armReady()
  }

  granted(lease: Lease): void {
    this.#borrowed()
    this.attach(lease)
    this.#pump()
  }

  /** The wait for a connection is over. */
  #borrowed(): void {
    if (this.#borrowing) this.waitEnds()
    this.#borrowing = false
  }

  refuse(failure: Failure): void {
    this.#borrowed()
    for (const item of this.#ready.splice(0)) item.refuse(failure)
    this.#park()
  }

  around(): readonly object[] {
    return (this.#ready[0] as Item).around()
  }

  /** An item gave up. When nobody is left to want a connection, the borrow is called off. */
  withdraw(item: Waiting): void {
    for (const queue of [this.#ready, this.#blocked]) remove(queue, item)
    if (this.#borrowing && this.#ready.length === 0) {
      this.#borrowed()
      this.engine.pool.withdraw(this)
    }
    this.#pump()
  }

  /** A read came back unanswered from another connection. */
  resend(op: EngineOp): void {
    this.#ready.unshift(op)
    this.#pump()
  }

  spareEnded(op: EngineOp): void {
    this.spares?.delete(op)
    if (this.spares?.size === 0) this.spares = null
    this.#pump()
  }

  answered(op: EngineOp): void {
    if (this.#ready.length > 0 || this.#chained) {
      if (this.#chained) noteTime(this, op.stmt, this.#ready.length > 0)
      this.#chained = this.#ready.length > 0
    }
    this.flight.answered(op, this.lease)
    // The rollback of a transaction that was begun by text may have taken them away.
    if (op.stmt.hasControl && this.stack.length === 0 && this.lease?.raw.status === 'idle') this.settingsUndone()
    const { head } = this.flight
    if (head !== undefined && head.state === 2) clock.queueMicrotask(() => this.cancel(head))
  }

  /** The settings were taken away again by a rollback: they belong in front of whatever comes next. */
  settingsUndone(): void {
    this.#unset = this.settings !== null
    // Whoever has the driver's own object relies on them now.
    if (this.#unset && isLent(this) && this.stack.length === 0) sendOwed(this, null)
  }

  room(): void {
    if (this.flight.size > 0) this.#pump()
  }

  quiet(): void {
    if (this.lease === null) return
    noteStatus(this, this.lease.raw)
    this.#pump()
  }

  /** Asks the server to stop a statement whose caller was told already. Only for the one at the head of the wire. */
  cancel(op: EngineOp): void {
    const { lease, engine } = this
    this.spares?.get(op)?.cancel()
    if (lease === null || this.flight.head !== op || lease.raw.quarantined) return
    if (engine.options.pooler !== undefined) lease.spoil()
    void cancelOrDestroy(lease.raw, op, engine.options.cancelTimeoutMs)
  }

  /** Stops what is on the wire and belongs to `transaction`. */
  cancelFlight(transaction: TransactionRecord, failure: Failure): void {
    for (const op of [...this.flight.ops])
      if (op.transaction !== null && op.transaction.isWithin(transaction)) op.abandon(failure)
  }

  /** Fails what has been issued inside of `transaction` and not sent. */
  purge(transaction: TransactionRecord, failure: Failure): void {
    for (const queue of [this.#ready, this.#blocked]) {
      for (const item of [...queue]) {
        const inside = item instanceof EngineOp && item.transaction !== null && item.transaction.isWithin(transaction)
        if (!inside && !(queue === this.#blocked && transaction.admits(item))) continue
        remove(queue, item)
        item.refuse(failure)
      }
    }
  }

  /** Takes `transaction` and everything inside it off the stack and lets those who waited for it move. */
  pop(transaction: TransactionRecord): void {
    const at = this.stack.indexOf(transaction)
    if (at < 0) return
    for (const ended of this.stack.splice(at).toReversed()) ended.popped()
    if (at === 0 && transaction.state !== 'committed') this.settingsUndone()
    this.reconsider()
  }

  /** Asks again of those who wait for a transaction whether they may go on. */
  reconsider(): void {
    for (const item of this.#blocked.splice(0)) {
      item.unarm()
      this.#submit(item)
    }
    this.#pump()
  }

  lost(failure: Failure): void {
    this.engine.leaks?.returned(this, true)
    this.lease = null
    const [typed, pinned] = [this.flight.lost(failure), this.pins !== 0 && this.stack.length === 0]
    if (pinned) this.#pinLost = failure
    this.pins = 0
    this.left = null
    for (const transaction of this.stack.toReversed()) transaction.lose(failure)
    for (const item of [...this.#ready]) {
      const isOp = item instanceof EngineOp
      const inside = isOp ? typed || item.transaction !== null : !item.unasked && this.top?.admits(item) === true
      if (!inside && !(isOp && pinned)) continue
      remove(this.#ready, item)
      item.refuse({ ...failure, kind: 'lost', outcome: inside ? 'rolled_back' : 'not_started' })
    }
    this.#pump()
  }

  /** Makes `work`'s wait a time in which the connection goes back whenever nothing needs it. */
  addIdler(): void {
    this.idlers++
    this.#park()
  }

  removeIdler(): void {
    if (--this.idlers === 0) this.flight.lastAnswer = clock.now()
    this.lease?.eased()
  }

  handBack(): void | Promise<void> {
    const lease = this.lease
    this.engine.leaks?.returned(this)
    this.lease = null
    this.pins = 0
    this.left = null
    return lease?.release()
  }

  /** Closes to new work; settles when the raw connection is back. Idempotent, never rejects. */
  close(): Promise<void> | null {
    if (this.#closing !== null) return this.#closing.promise
    if (this.closed) return null
    this.closed = true
    if (this.#borrowing) {
      this.#borrowing = false
      this.engine.pool.withdraw(this)
      for (const item of this.#ready.splice(0)) item.refuseWith(released())
    }
    this.arrives()
    if (this.stack.length === 0 && !this.busy && this.lease?.raw.quarantined !== true) return this.handBack() ?? null
    let resolve = (): void => {}
    const promise = new Promise<void>((settle) => (resolve = settle))
    this.#closing = { promise, resolve }
    return promise
  }

  /** Gives the connection back if nothing needs it any more, or nothing needs it while code is idle. */
  #park(): void {
    if (this.lease === null) {
      if (this.#closing !== null && this.stack.length === 0 && !this.busy) this.#closing.resolve()
      return
    }
    if (this.stack.length > 0 || this.busy || this.lease.raw.quarantined) return
    if (this.#closing !== null) {
      const { resolve } = this.#closing
      const back = this.handBack()
      if (back === undefined) resolve()
      else void back.then(resolve)
    } else if (this.idlers > 0 && this.pins === 0 && this.lease.raw.status === 'idle') void this.handBack()
    else this.lease.eased()
  }
}

function isPlain(item: Item): boolean {
  return item instanceof EngineOp && item.stmt.plain === true
}
