// The pool: one for all drivers. It decides synchronously who gets which connection and keeps no clock for its waiters: one that
// runs out of time withdraws itself. One FIFO queue for implicit statements and leases; idle connections are taken LIFO.
import type { Failure, Op, Refusal } from '../driver/driver.ts'
import type { Lease, LeaseHolder } from './lease.ts'
import { Member, type MemberPool } from './member.ts'
import type { CloseReport, ConnectionSource, PlacedOp, PoolLimits, PoolStats, PoolWaiter } from './contract.ts'
import { type Closable, Closing } from './closing.ts'
import { checking, returning, statsOf } from './counts.ts'
import { Idle } from './idle.ts'
import { Deadlock, type Deadlocking } from './deadlock.ts'
import { closedFailure, holdersOf, notConnected, refusalOf, refused } from './refusal.ts'
import { WaitQueue } from './wait-queue.ts'
import { Errands } from './errands.ts'
import { Recall, type Recalling } from './recall.ts'
import { type LanePool, Lanes } from './lanes.ts'
import { type Seat, userOf } from './lane.ts'
import { type Growing, Growth } from './growth.ts'
import { Upkeep, type Upkept } from './upkeep.ts'
import { Share, type Sharing } from './share.ts'
import { clock } from '../util/clock.ts'
import type { Allowance } from './allowance.ts'

export class Pool implements MemberPool, Growing, Upkept, LanePool, Closable, Recalling, Deadlocking, Sharing {
  /** Where its connections come from. */
  readonly source: ConnectionSource
  readonly limits: PoolLimits
  readonly #growth: Growth
  readonly #upkeep: Upkeep
  readonly #members = new Set<Member>()
  readonly #idle: Idle
  readonly #queue: WaitQueue
  readonly recall: Recall
  readonly #deadlock: Deadlock
  readonly errands: Errands = new Errands((errand) => this.leaseIdle(errand, true))
  /** Null: every connection serves one at a time. */
  #lanes: Lanes | null = null
  readonly #sharing: boolean
  readonly share: Share | null
  #closing: Closing | null = null
  /** The failure of waiters that are not served any more. */
  protected whenClosed: Failure = closedFailure

  constructor(source: ConnectionSource, limits: PoolLimits, allowance: Allowance | null = null) {
    this.share = allowance === null ? null : new Share(this, allowance)
    this.source = source
    this.#idle = new Idle(source)
    this.limits = limits
    this.#queue = new WaitQueue(source)
    this.#deadlock = new Deadlock(this, this.#queue, limits)
    this.#growth = new Growth(this, source, limits)
    this.recall = new Recall(this, this.#queue, this.#growth)
    this.#upkeep = new Upkeep(this, limits)
    // One that is reset after each use cannot be shared.
    this.#sharing = (limits.shared ?? 0) > 0 && !limits.resetAlways && limits.pooled !== true
  }

  get closed(): boolean {
    return this.#closing !== null
  }

  get done(): boolean {
    return this.#closing !== null && this.#queue.size === 0
  }

  /** It is being closed, and its time is over: the statements that run are being stopped. */
  get stopping(): boolean {
    return this.#closing !== null && this.#closing.stopping
  }

  get max(): number {
    return this.limits.max
  }

  /** Whether the next one would have to wait. */
  get exhausted(): boolean {
    return this.#idle.size === 0 && this.#members.size >= this.limits.max
  }

  get idle(): readonly Member[] {
    return this.#idle.members
  }

  get members(): ReadonlySet<Member> {
    return this.#members
  }

  get size(): number {
    return this.#members.size
  }

  /** Runs an implicit statement on any free connection, or queues it. Synchronous; failures reach `op.refuse`. */
  place(op: PlacedOp & PoolWaiter): void {
    if (this.#lanes !== null && this.#lanes.place(op)) return
    const member = this.takeIdle()
    const unfit = member?.framed === true && op.standsAlone
    if (unfit) member.clean()
    if (member === undefined || unfit) this.request(op)
    else this.#run(member, op)
  }

  #run(member: Member, op: PlacedOp): void {
    const { framed, raw } = member
    if (this.#lanes !== null && !framed) return this.#lanes.serve(member, op)
    op.starting(raw)
    member.serve(op, framed ? op.unframe(raw) : null)
  }

  /** A lease of an idle connection, or null: nothing is queued. `spare`: however long it was idle, if nobody waits. */
  leaseIdle(holder: LeaseHolder, spare = false): Lease | null {
    const member = !spare ? this.takeIdle() : this.wanted || this.closed ? undefined : this.#idle.takeAny()
    return member === undefined ? null : this.#lend(member, holder, null)
  }

  /** `clean`: without settings of frames. */
  takeIdle(clean = false, now: number = clock.now()): Member | undefined {
    return this.#idle.take(clean, now)
  }

  /** `since`: when the holder began to wait; 0 or null if it did not, or nobody asked. */
  #lend(member: Member, holder: LeaseHolder, since: number | null): Lease {
    if (this.source.observed) this.source.lent(member.raw, 'acquire', since ? clock.now() - since : 0, 0, false)
    return member.lend(holder)
  }

  returned(member: Member, lease: Lease): void {
    if (!this.source.observed) return
    this.source.lent(member.raw, 'release', 0, clock.now() - lease.since, lease.recalled)
  }

  /** Takes a waiter out of the queue; nothing is granted to it afterwards. */
  withdraw(waiter: PoolWaiter): void {
    this.#queue.delete(waiter)
    this.#lanes?.withdrawn(waiter)
    this.#closing?.check()
  }

  /** The caller of a placed statement has its error already: the statement is stopped on the server, or its connection is closed. */
  abandon(op: Op): void {
    if (this.#lanes?.abandon(op) === true) return
    for (const member of this.#members) {
      const { op: sent } = member
      if (sent !== null && userOf(sent) === op) member.abandon(sent, this.limits.cancelTimeoutMs)
      else member.forsake(op, this.limits.cancelTimeoutMs)
    }
  }

  /** The refusal of a waiter that gave up: how long it waited, for what, and who holds the connections. */
  refusal(waitedMs: number): Refusal {
    const connect = this.#growth.opening > 0 || (this.size === 0 && this.lastOpenFailure !== null)
    const own = refusalOf(this.#members, connect, waitedMs, this.stats())
    return connect || this.share === null ? own : this.share.refusal(own)
  }

  /** The failure that keeps connections from being opened, if that is what waiters are waiting for. */
  get lastOpenFailure(): Failure | null {
    return this.#growth.backoff.lastFailure
  }

  holders(): string[] {
    return holdersOf(this.#members)
  }

  stats(): PoolStats {
    const { max, opening, waiting } = this
    return statsOf(this.#members, { max, idle: this.#idle.size, opening, waiting, recalls: this.recall.count })
  }

  get opening(): number {
    return this.#growth.opening
  }

  get away(): number {
    return this.recall.away
  }

  /** Opens one connection and keeps it idle: proves that the database answers. Rejects with the Failure. */
  async warm(): Promise<void> {
    if (this.#members.size === 0) await this.#growth.first()
  }

  free(member: Member): void {
    const lanes = this.#lanes
    const answeredAt = lanes === null ? 0 : lanes.ended(member)
    if (this.done || member.outgoing) {
      this.retire(member)
      return
    }
    if (this.errands.waiting && this.errands.takes(this.wanted, (each) => this.#lend(member, each, null))) return
    if (this.#serveNext(member)) return
    this.#idle.keep(member, answeredAt === 0 ? clock.now() : answeredAt)
    this.#upkeep.watch()
    this.share?.allowance.noteQuiet()
  }

  handOver(member: Member): boolean {
    return !this.closed && !this.errands.waiting && this.#serveNext(member)
  }

  /** False: nobody waits for it. */
  #serveNext(member: Member): boolean {
    const lanes = this.#lanes
    const waiter = lanes === null ? this.#queue.first() : lanes.next()
    if (waiter === undefined) return false
    member.leave()
    this.#serve(member, waiter)
    if (lanes !== null) lanes.changed()
    return true
  }

  #serve(member: Member, waiter: PoolWaiter): void {
    if (waiter.op !== null && member.framed && waiter.op.standsAlone) return member.clean()
    const since = this.#queue.take(waiter)
    const { holder, op } = waiter
    if (holder !== null) waiter.granted(this.#lend(member, holder, since))
    else if (op !== null) this.#run(member, op)
    // It may be one who keeps it, or a COPY whose source waits already.
    if (this.wanted && (holder !== null || op?.copy)) this.#deadlock.judge()
  }

  gone(member: Member, failure: Failure): void {
    this.#idle.drop(member)
    if (this.#members.delete(member)) this.share?.ended(member)
    const verdict = this.closed ? 'well' : this.#idle.judge(failure)
    if (verdict === 'replace') for (const each of [...this.#members]) if (each.state !== 'opening') this.replace(each)
    if (verdict === 'suspect' && this.#queue.size > 0) this.#idle.suspectAll()
    this.source.closed(member.raw, failure)
    this.#lanes?.ended(member)
    if (!this.closed) {
      this.#lanes?.rescue()
      this.#askIdle()
      if (this.wanted) this.recall.schedule()
    }
    this.#growth.grow()
    this.#closing?.check()
  }

  /** Sessions may keep something of statements that were taken for harmless: each is reset before its next user gets it. */
  soil(): void {
    for (const member of this.#members) member.soil()
    for (const member of this.#idle.members.splice(0)) member.clean()
  }

  /**
   * Refuses new work and all waiters but those whose connection is being opened, asked or reset, or on which the engine reads
   * its catalogue; with `all` everybody who waits is served. It closes idle connections and waits for lent ones. Near the deadline
   * it stops the statements that run on the server, and breaks the connections. Idempotent: a later call can only make it shorter.
   * Always settles by the deadline, or a tenth of a second later if that is less away; never rejects.
   */
  close(deadline: number, all = false): Promise<CloseReport> {
    if (this.#closing === null) {
      const closing = (this.#closing = new Closing(this, deadline))
      for (const each of [this.#upkeep, this.errands]) each.stop()
      const left = this.#queue.clearNewcomers(all ? Infinity : closing.coming)
      for (const waiter of [...left, ...(this.#lanes?.clear() ?? [])]) waiter.refuse(this.whenClosed)
      if (this.#queue.size === 0) this.#growth.stop()
      for (const member of [...this.idle]) this.retire(member)
      closing.check()
    } else this.#closing.hasten(deadline)
    return this.#closing.report
  }

  shared(member: Member): readonly Seat[] {
    return this.#lanes?.readsOn(member) ?? []
  }

  giveUp(): void {
    this.#growth.stop()
    for (const judge of [this.recall, this.#deadlock]) judge.stop()
    for (const waiter of this.expel()) waiter.refuse(this.whenClosed)
  }

  tellWaiting(cursors: boolean): void {
    this.source.waitsToClose?.(this.holders(), cursors)
  }

  replace(member: Member): void {
    if (member.state === 'idle') this.retire(member)
    else member.outgoing = true
  }

  retire(member: Member, deadline: number = clock.now() + this.limits.closeTimeoutMs): void {
    this.#idle.drop(member)
    member.state = 'closing'
    const left = this.share?.leaving(member)
    void member.raw.close(deadline).then(() => {
      left?.()
      if (this.#members.delete(member)) this.source.closed(member.raw, null)
      this.#closing?.check()
    })
  }

  /** Queues somebody who found no idle connection; it is served, granted one or refused, maybe before this returns. */
  request(waiter: PoolWaiter): void {
    // A waiter that was served before goes on.
    if (this.closed && (waiter.recalledAt === 0 || this.#closing?.stopping === true))
      return waiter.refuse(this.whenClosed)
    if (waiter.recalledAt === 0 && this.waiting >= this.limits.maxWaiting)
      return waiter.refuse(refused({ reason: 'too-many-waiters', stats: { ...this.stats() } }))
    const now = clock.now()
    this.#queue.add(waiter, now, this.#lanes !== null && this.#lanes.canShare(waiter))
    waiter.queued(now)
    this.#askIdle()
    this.#growth.grow()
    this.#lanes?.changed()
    this.#deadlock.judge()
    if (this.wanted) this.recall.schedule()
  }

  deadlocked(waiter: PoolWaiter): void {
    this.#queue.delete(waiter)
    waiter.refuse(refused({ reason: 'self-deadlock', holders: this.holders(), stats: { ...this.stats() } }))
  }

  get wanted(): boolean {
    return this.#queue.size > 0 || (this.share !== null && this.share.allowance.wanted > 0)
  }

  noteQuiet(): void {
    this.recall.schedule()
  }

  check(): void {
    this.#closing?.check()
  }

  noteHeld(review = false): void {
    this.#deadlock.judge(review)
  }

  /** Asks idle connections that were silent for long, one for each waiter. */
  #askIdle(): void {
    for (let asked = checking(this.#members); asked < this.#queue.size; asked++) if (!this.#idle.ask()) return
  }

  fill(): void {
    this.#growth.grow()
  }

  /** Reads of one scope wait for each other. */
  openForReads(): void {
    if (!this.wanted) this.#growth.openAnother()
  }

  get returning(): number {
    return returning(this.#members)
  }

  waitingSince(nth: number): number | undefined {
    return this.#queue.since(checking(this.#members) + nth)
  }

  get unserved(): number {
    return this.#queue.size - checking(this.#members)
  }

  get connectMs(): number {
    return this.#growth.connectMs
  }

  get saturated(): boolean {
    return this.#lanes !== null && this.#lanes.saturated
  }

  get waiting(): number {
    return this.#queue.size + (this.#lanes === null ? 0 : this.#lanes.aside)
  }

  admit(): Member {
    const member = new Member(this)
    this.#members.add(member)
    return member
  }

  opened(member: Member): void {
    if (this.#sharing && this.#lanes === null && member.raw.maxInFlight > 1)
      this.#lanes = new Lanes(this, this.#queue, this.limits)
    member.expiresAt = this.#upkeep.expiry()
    if (this.#closing === null) this.#upkeep.watch()
    else this.#closing.joined()
    this.free(member)
  }

  notOpened(member: Member): void {
    if (this.#members.delete(member)) this.share?.ended(member)
    this.#closing?.check()
    if (this.wanted) this.recall.schedule()
  }

  refuseAll(failure: Failure): void {
    for (const waiter of this.expel()) waiter.refuse(notConnected(failure))
    this.#closing?.check()
  }

  /** Takes out everybody who waits. */
  expel(): PoolWaiter[] {
    return [...this.#queue.clear(), ...(this.#lanes?.clear() ?? [])]
  }
}
