// A slot: the lazy, shareable holder of at most one lease (GINO's `_DBAPIConnection`). It keeps the stack of open
// transactions and the statements that wait, and decides synchronously who goes next. All its mutable state is named
// at the top of the class.
import { type Failure, OpState } from '../../driver/driver.ts'
import { cancelOrDestroy } from '../../pool/member.ts'
import type { Lease } from '../../pool/lease.ts'
import type { PoolWaiter, Wait } from '../../pool/contract.ts'
import { Pin } from '../../sql/compiled.ts'
import type { Settings } from '../context/frame.ts'
import { EngineOp, roomForOne } from '../query/op.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import type { Where } from '../transaction/terms.ts'
import { admit, misplaced, released } from './admission.ts'
import { isDue, noteStatus, openerOf, prefixOf, settingsLeft, settingsUndone } from './control.ts'
import { route } from '../hosts/route.ts'
import { Holding, type Item } from './holding.ts'
import { remove } from './flight.ts'
import { block, Blocked, joins, judgeAll, judgeLeft, purgeLost, resume, requeueBehind, takeReady } from './queues.ts'
import { ask, noteReach } from './reach.ts'
import { isPlain, joinsOpening, divert, noteDuration, sendSpare, type Spare, submit } from './spares.ts'
import { tellOfCursors, type Waiting, Turn } from './waiting.ts'
import { clock, deferred } from '../../util/clock.ts'

/** A transaction as those know it who begin and end it, and where it begins. */
export type OpenTransaction = TransactionRecord<Slot>
export type TransactionPlace = Where<Slot>

export class Slot extends Holding implements PoolWaiter {
  readonly ready: Item[] = roomForOne()
  readonly blocked: Blocked = new Blocked()
  #borrowing = false
  #pinLost: Failure | null = null
  #closing: { readonly promise: Promise<void>; readonly resolve: () => void } | null = null
  readonly op: null = null
  queueing: Wait | null = null
  /** Reads that run on other connections; null: none. */
  spares: Map<EngineOp, Spare> | null = null

  get busy(): boolean {
    return this.flight.size > 0 || this.ready.length > 0 || this.blocked.size > 0 || this.spares !== null
  }

  /** Sends a statement, or takes a turn, now or when its time comes. Synchronous; failures reach `item.refuse`. */
  send(item: Item): void {
    item.slot = this
    this.activity++
    if (this.engine.overlaid && !item.fixSettings(this)) return
    if (this.engine.watch !== null && item instanceof EngineOp) this.#watched(item)
    if (item.signal?.aborted === true) item.abort(item.signal.reason)
    else {
      item.begin()
      this.#submit(item)
    }
  }

  /** A handle has no end that bounds what it is used for, and a batch is one call. */
  #watched(op: EngineOp): void {
    if (!this.explicit && this.top?.batch !== true) this.engine.watch?.sent(this, op)
  }

  /** Queues a turn in front of what was admitted, or behind it, without asking whether it is admitted. */
  enterUnchecked(turn: Turn, place: 'front' | 'back'): void {
    turn.slot = this
    turn.unchecked = true
    this.activity++
    if (place === 'front') this.ready.unshift(turn)
    else this.ready.push(turn)
    this.#pump()
  }

  #submit(item: Item): void {
    if (!this.admits(item) || (this.blocked.size > 0 && joins(this, item))) return
    const free = this.ready.length === 0 && this.reads === null && (this.spares === null || isPlain(item))
    if (free && item instanceof EngineOp && this.#hasRoom(item)) {
      if (!divert(this, item)) this.#transmit(item)
    } else {
      item.issued = true
      if (item instanceof EngineOp) this.flight.issuing?.push(item)
      this.ready.push(item)
      this.#pump()
    }
  }

  /** Whether it may go on; if not, it waits for somebody's transaction, or was refused. */
  admits(item: Item): boolean {
    const admitted = admit(this, item)
    if (admitted === false) block(this, item, this.stack.innermost(item.chain, item.handle), this.top?.describe())
    return admitted === true
  }

  /** Why a session that was lost cannot go on: given once, or for as long as a transaction begun by text is not ended. */
  takeLostSession(item: Item): Failure | null {
    const failure = this.flight.typedLoss(item) ?? this.#pinLost
    this.#pinLost = null
    return failure
  }

  #hasRoom(item: EngineOp): boolean {
    if (this.lease === null || this.flight.fenced) return false
    const { raw } = this.lease
    const most = this.flight.mustWait(item, this.engine.options, raw) ? 1 : raw.maxInFlight
    return raw.alive && raw.inFlight < most && !raw.quarantined
  }

  #pump(): void {
    do this.#drain()
    while (this.blocked.size > 0 && resume(this))
    this.#park()
  }

  #drain(): void {
    while (this.ready.length > 0) {
      const item = this.ready[0] as Item
      // Reads that were issued before are answered before.
      if (this.spares !== null && !isPlain(item)) return
      if (this.reads !== null && !route(this, item)) return
      if (item instanceof Turn) {
        if (item.quiet && (this.flight.size > 0 || this.lease?.raw.quarantined === true)) return
        if (item.borrows && this.lease === null && !this.#borrow()) return
        this.ready.shift()
        // A transaction may have begun while it waited for a connection.
        if (item.unchecked || this.admits(item)) item.take()
      } else {
        if (this.lease === null && !this.#borrow()) return
        const room = this.#hasRoom(item)
        const left = room ? divert(this, item) : sendSpare(this, item) || joinsOpening(this, item)
        if (!room && !left) return
        this.ready.shift()
        if (left) continue
        if (item.transaction?.doomed === true) item.refuseWith(item.transaction.refusal(true))
        else this.#transmit(item)
      }
    }
  }

  #transmit(op: EngineOp): void {
    const due = isDue(this, op)
    if ((due || op.stmt.cls === 'multi') && this.#hasOpener(op, due)) return
    const { raw } = this.lease as Lease
    if (op.stmt.pins !== 0 && !this.#pin(op)) return
    const refusal = noteReach(this, op.stmt, raw)
    if (refusal !== null) return op.refuseWith(refusal)
    op.starting(raw)
    const prefix = prefixOf(this, op, due)
    if (prefix instanceof Error) return op.refuseWith(prefix)
    raw.dirty |= op.stmt.dirties
    this.flight.add(op, prefix !== null || op.stmt.hasControl)
    if (prefix === null) submit(this, op, this.ready)
    else raw.submitUnit({ ops: [...prefix, op] })
  }

  /** Whether something else was sent that has to go first, or it was refused. */
  #hasOpener(op: EngineOp, due: boolean): boolean {
    const first = openerOf(this, op, due, () => remove(this.ready, op))
    if (first instanceof Error) op.refuseWith(first)
    if (!(first instanceof EngineOp)) return first !== null
    this.ready.unshift(op)
    this.#transmit(first)
    return true
  }

  /** Keeps the connection for what the statement does to its session; false: it was refused. */
  #pin(op: EngineOp): boolean {
    const refusal = misplaced(this, op)
    if (refusal !== null) op.refuseWith(refusal)
    else if ((op.stmt.pins & ~Pin.transaction) !== 0) this.pin(op.stmt.pins & ~Pin.transaction, op.stmt.verb)
    return refusal === null
  }

  /** Whether something has to be sent before anything else for one with these settings: those, BEGIN, the end of a cursor, … */
  needsPrefix(settings: Settings | null): boolean {
    if (this.top?.unsent === true || this.flight.unreleased !== null) return true
    if (this.lease === null) return false
    return (this.lease.raw.dropped?.length ?? 0) > 0 || this.lease.raw.inForce.now !== settings
  }

  /** Takes an idle connection if there is one, without waiting. */
  borrowAtOnce(): boolean {
    return this.lease !== null || (!this.#borrowing && !this.closed && this.#takeIdle())
  }

  #takeIdle(): boolean {
    const lease = this.pool.leaseIdle(this)
    if (lease === null) return false
    this.#notePlace(false)
    this.attach(lease)
    return true
  }

  #borrow(): boolean {
    if (this.#borrowing) {
      this.#armReady()
      return false
    }
    if (this.#takeIdle()) return true
    this.pool.request(this)
    this.#notePlace(true)
    return this.lease !== null
  }

  /** Remembers who borrows where others have to wait, or will have to: a capture is too dear for every borrow. */
  #notePlace(waits: boolean): void {
    if (!this.placed) this.place = this.engine.borrowPlace(waits) ?? this.place
  }

  #armReady(): void {
    for (const item of this.ready) if (item.phase === null) item.arm('connection')
  }

  attach(lease: Lease): void {
    this.lease = lease
    this.noteBack()
    this.flight.lastAnswer = lease.since
    this.engine.leaks?.lent(this)
    for (const item of this.ready) if (item.phase !== null) item.unarm()
  }

  queued(now: number): void {
    tellOfCursors(this.engine, () => this.describeOwner())
    this.engine.hosts?.awaited()
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
    for (const item of takeReady(this)) item.refuse(failure)
    this.#park()
  }

  around(): readonly object[] {
    return (this.ready[0] as Item).around()
  }

  /** An item gave up. When nobody is left to want a connection, the borrow is called off. */
  withdraw(item: Waiting): void {
    remove(this.ready, item)
    this.blocked.remove(item as Item, this.top)
    if (this.#borrowing && this.ready.length === 0) {
      this.#borrowed()
      this.pool.withdraw(this)
    }
    this.#pump()
  }

  /** A read came back unanswered from another connection. */
  sendAgain(op: EngineOp): void {
    this.ready.unshift(op)
  }

  /** The connection it waits for will not come; another server has one. */
  rejoin(): void {
    this.#borrowed()
    this.stayAtPrimary()
    this.#pump()
  }

  spareEnded(op: EngineOp): void {
    this.spares?.delete(op)
    if (this.spares?.size === 0) this.spares = null
    this.#pump()
  }

  answered(op: EngineOp): void {
    noteDuration(this, op, this.ready.length > 0)
    this.flight.answered(op, this.lease)
    // The rollback of a transaction that was begun by text may have taken settings back.
    const { hasControl, control } = op.stmt
    if (hasControl && this.top === null && (control === 'rollback to' || this.lease?.raw.status === 'idle'))
      settingsUndone(this)
    const head = this.flight.size === 0 ? undefined : this.flight.head
    if (head !== undefined && head.state === OpState.abandoned) clock.queueMicrotask(() => this.cancel(head))
  }

  /** Asks those again who wait for a transaction whether they may. */
  reconsider(): void {
    judgeAll(this)
    this.#pump()
  }

  /** What was issued together may be sent. */
  wake(): void {
    this.#pump()
  }

  room(): void {
    if (this.flight.size > 0) this.#pump()
  }

  ask(): void {
    ask(this)
  }

  quiet(): void {
    if (this.lease === null) return
    noteStatus(this, this.lease.raw)
    this.settleChanges()
    this.#pump()
  }

  /** Asks the server to stop a statement whose caller has its error already. Only for the one at the head of the wire. */
  cancel(op: EngineOp): void {
    const { lease, engine } = this
    this.spares?.get(op)?.cancel()
    if (lease === null || this.flight.head !== op || lease.raw.quarantined) return
    if (engine.options.pooler !== undefined) lease.spoil()
    void cancelOrDestroy(lease.raw, op, engine.options.cancelTimeoutMs)
  }

  override enter(record: TransactionRecord<this>): void {
    super.enter(record)
    if (this.busy) requeueBehind(this, record)
  }

  /** Takes `transaction` and everything inside it off the stack and lets those who waited for it move. */
  pop(transaction: TransactionRecord<this>): void {
    const { top } = this
    if (!this.stack.pop(transaction)) return
    if (transaction.parent === null) this.flight.unreleased = null
    settingsLeft(this, transaction)
    this.settleChanges()
    judgeLeft(this, transaction, top)
    this.#pump()
  }

  lost(failure: Failure): void {
    this.engine.leaks?.returned(this, true)
    this.lease = null
    const [typed, pinned] = [this.flight.lost(failure), this.pins !== 0 && this.top === null]
    if (pinned) this.#pinLost = failure
    this.forgetSession()
    this.stack.lose(failure)
    purgeLost(this, failure, typed, pinned)
    this.#pump()
  }

  addIdler(): void {
    this.idlers++
    this.#park()
  }

  handBack(): void | Promise<void> {
    const { lease } = this
    this.dropLease()
    return lease?.release()
  }

  /** Closes to new work; settles when the raw connection is back. Idempotent, never rejects. */
  close(): Promise<void> | null {
    if (this.closed) return this.#closing === null ? null : this.#closing.promise
    this.closed = true
    if (this.#borrowing && !this.patient) {
      this.#borrowing = false
      this.pool.withdraw(this)
      for (const item of takeReady(this)) item.refuseWith(released())
    }
    this.noteBack()
    if (this.top === null && !this.busy && this.lease?.raw.quarantined !== true) return this.handBack() ?? null
    this.#closing = deferred()
    return this.#closing.promise
  }

  /** Gives the connection back if nothing needs it any more, or nothing needs it while code is idle. */
  #park(): void {
    if (this.lease === null) {
      if (this.#closing !== null && this.top === null && !this.busy) this.#closing.resolve()
      return
    }
    if (this.top !== null || this.busy || this.lease.raw.quarantined) return
    if (this.#closing !== null) {
      const { resolve } = this.#closing
      const back = this.handBack()
      if (back === undefined) resolve()
      else void back.then(resolve)
    } else if (this.idlers > 0 && !this.keepsSession && this.lease.raw.status === 'idle') void this.handBack()
    else this.lease.noteQuiet()
  }
}
