// The pool: one for all drivers. It decides synchronously who gets which connection and keeps no clock for its
// waiters: a waiter that runs out of time withdraws itself. One FIFO queue for implicit statements and leases; idle
// connections are taken LIFO. All mutable state is named at the top of the class and only changed by its methods.
import type { Failure, Op, Refusal } from '../driver/driver.ts'
import type { Lease, LeaseHolder } from './lease.ts'
import { Member, type MemberPool } from './member.ts'
import type { CloseReport, ConnectionSource, PlacedOp, PoolLimits, PoolStats, PoolWaiter } from './contract.ts'
import { cancelOrDestroy } from './cancel.ts'
import { type Closable, Closing } from './closing.ts'
import { closedFailure, notConnected, refused } from './failures.ts'
import { Idle } from './idle.ts'
import { type LanePool, Lanes } from './lanes/lanes.ts'
import { Seat } from './lanes/seat.ts'
import { type Growing, Growth } from './supply/growth.ts'
import { Upkeep, type Upkept } from './supply/upkeep.ts'
import { WaitQueue } from './wait-queue.ts'
import { clock } from '../util/clock.ts'

export class Pool implements MemberPool, Growing, Upkept, LanePool, Closable {
  readonly resetAlways: boolean
  readonly pooled: boolean
  readonly resetTimeoutMs: number
  readonly #source: ConnectionSource
  readonly #limits: PoolLimits
  readonly #growth: Growth
  readonly #upkeep: Upkeep
  readonly #members = new Set<Member>()
  readonly #idle = new Idle()
  readonly #queue: WaitQueue
  /** Null: every connection serves one at a time. */
  #lanes: Lanes | null = null
  readonly #sharing: boolean
  #closing: Closing | null = null

  constructor(source: ConnectionSource, limits: PoolLimits) {
    this.#source = source
    this.#limits = limits
    this.#queue = new WaitQueue(source)
    this.#growth = new Growth(this, source, limits)
    this.#upkeep = new Upkeep(this, limits)
    // A single connection is nobody's lane, and one that is reset after each use cannot be shared.
    this.pooled = limits.pooled === true
    this.#sharing = (limits.shared ?? 0) > 0 && limits.max > 1 && !limits.resetAlways && !this.pooled
    this.resetAlways = limits.resetAlways
    this.resetTimeoutMs = limits.resetTimeoutMs
  }

  get closed(): boolean {
    return this.#closing !== null
  }

  get done(): boolean {
    return this.#closing !== null && this.#queue.size === 0
  }

  /** It is being closed, and its time is over: what runs is being stopped. */
  get stopping(): boolean {
    return this.#closing !== null && this.#closing.stopping
  }

  get max(): number {
    return this.#limits.max
  }

  /** Whether the next one would have to wait. */
  get exhausted(): boolean {
    return this.#idle.size === 0 && this.#members.size >= this.#limits.max
  }

  get idle(): readonly Member[] {
    return this.#idle.members
  }

  get members(): Iterable<Member> {
    return this.#members
  }

  get size(): number {
    return this.#members.size
  }

  /** Runs an implicit statement on any free connection, or queues it. Synchronous; failures reach `op.refuse`. */
  place(op: PlacedOp & PoolWaiter): void {
    if (this.#lanes !== null && this.#lanes.place(op)) return
    const member = this.takeIdle()
    if (member === undefined) this.#enqueue(op)
    else this.#run(member, op)
  }

  #run(member: Member, op: PlacedOp): void {
    if (this.#lanes !== null) this.#lanes.serve(member, op)
    else {
      op.starting(member.raw)
      member.serve(op)
    }
  }

  /** Queues a slot that found no idle connection; `granted` or `refuse` is called, maybe before this returns. */
  request(waiter: PoolWaiter): void {
    this.#enqueue(waiter)
  }

  /** A lease of an idle connection, or null: nothing is queued. */
  leaseIdle(holder: LeaseHolder): Lease | null {
    const member = this.takeIdle()
    return member === undefined ? null : this.#lend(member, holder, null)
  }

  takeIdle(): Member | undefined {
    return this.#idle.take()
  }

  /** `since`: when the holder began to wait; 0 or null if it did not, or nobody asked. */
  #lend(member: Member, holder: LeaseHolder, since: number | null): Lease {
    if (this.#source.observed) this.#source.lent(member.raw, 'acquire', since ? clock.now() - since : 0, 0)
    return member.lend(holder)
  }

  returned(member: Member, lease: Lease): void {
    if (this.#source.observed) this.#source.lent(member.raw, 'release', 0, clock.now() - lease.since)
  }

  /** Takes a waiter out of the queue; nothing is granted to it afterwards. */
  withdraw(waiter: PoolWaiter): void {
    this.#queue.delete(waiter)
    this.#lanes?.withdrawn(waiter)
    this.#closing?.check()
  }

  /** The caller of a placed statement was told already: it is stopped on the server, or its connection is closed. */
  abandon(op: Op): void {
    if (this.#lanes?.abandon(op) === true) return
    for (const member of this.#members) {
      const { op: sent, raw } = member
      if (sent === null || (sent instanceof Seat ? sent.op : sent) !== op) continue
      sent.state = 2
      member.outgoing ||= this.pooled
      void cancelOrDestroy(raw, sent, this.#limits.cancelTimeoutMs)
    }
  }

  /** What a waiter that gave up says: how long, for what, and who holds it. */
  refusal(waitedMs: number): Refusal {
    const cause = this.#members.size === 0 ? this.lastOpenFailure : null
    const cursors = this.size > 0 && [...this.#members].every(({ lease }) => lease?.holder.forCursor === true)
    return {
      reason: 'acquire-timeout',
      phase: this.#growth.opening > 0 || cause !== null ? 'connect' : cursors ? 'cursor' : 'connection',
      waitedMs,
      holders: this.holders(),
      stats: { ...this.stats() },
    }
  }

  /** The failure that keeps connections from being opened, if that is what waiters are waiting for. */
  get lastOpenFailure(): Failure | null {
    return this.#growth.backoff.lastFailure
  }

  holders(): string[] {
    const lines: string[] = []
    for (const member of this.#members) if (member.lease !== null) lines.push(member.lease.holder.describe())
    return lines
  }

  stats(): PoolStats {
    let reserved = 0
    let serving = 0
    let draining = 0
    for (const { state } of this.#members) {
      if (state === 'leased') reserved++
      else if (state === 'serving') serving++
      else if (state === 'checking' || state === 'resetting' || state === 'closing') draining++
    }
    return {
      open: this.#members.size - this.#growth.opening,
      max: this.#limits.max,
      idle: this.#idle.size,
      reserved,
      serving,
      draining,
      opening: this.#growth.opening,
      waiting: this.waiting,
    }
  }

  get opening(): number {
    return this.#growth.opening
  }

  /** Opens one connection and keeps it idle: proves that the database answers. Rejects with the Failure. */
  async warm(): Promise<void> {
    if (this.#members.size === 0) await this.#growth.first()
  }

  /** What a failure to open says of later attempts. */
  classify(failure: Failure): ReturnType<ConnectionSource['classify']> {
    return this.#source.classify(failure)
  }

  free(member: Member): void {
    const lanes = this.#lanes
    if (lanes !== null) lanes.ended(member)
    if (this.done || member.outgoing) {
      this.retire(member)
      return
    }
    const waiter = lanes === null ? this.#queue.first() : lanes.next()
    if (waiter !== undefined) {
      this.#serve(member, waiter)
      if (lanes !== null) lanes.changed()
      return
    }
    this.#idle.keep(member)
    this.#upkeep.watch()
  }

  #serve(member: Member, waiter: PoolWaiter): void {
    const since = this.#queue.delete(waiter)
    if (waiter.holder !== null) waiter.granted(this.#lend(member, waiter.holder, since))
    else if (waiter.op !== null) this.#run(member, waiter.op)
  }

  gone(member: Member, failure: Failure): void {
    this.#members.delete(member)
    this.#idle.drop(member)
    const verdict = this.closed ? 'well' : this.#idle.judge(failure)
    if (verdict === 'replace') this.#replaceAll()
    else if (verdict === 'suspect' && this.#queue.size > 0) this.#idle.suspectAll()
    this.#source.closed(member.raw, failure)
    this.#lanes?.ended(member)
    if (!this.closed) {
      this.#lanes?.rescue()
      this.#check()
    }
    this.#growth.grow()
    this.#closing?.check()
  }

  left(member: Member): void {
    this.#source.leftOpen(member.raw)
  }

  cleaned(member: Member, since: number): void {
    this.#source.cleaned?.(member.raw, since)
  }

  /**
   * Refuses new work and whoever waits, but those whose connection is being opened, asked or reset; closes idle connections,
   * waits for lent ones until the deadline, then stops what runs on the server and breaks them. Idempotent: a later call can
   * only make it shorter. With `all` everybody who waits is served. Always settles by the deadline, or a tenth of a second later if that is less away; never rejects.
   */
  close(deadline: number, all = false): Promise<CloseReport> {
    if (this.#closing === null) {
      const closing = (this.#closing = new Closing(this, deadline))
      this.#upkeep.stop()
      this.#refuseAll(closedFailure, all ? Infinity : closing.coming)
      if (this.#queue.size === 0) this.#growth.stop()
      for (const member of [...this.idle]) this.retire(member)
      closing.check()
    } else this.#closing.hasten(deadline)
    return this.#closing.report
  }

  shared(member: Member): readonly Seat[] {
    return this.#lanes?.on(member) ?? []
  }

  giveUp(): void {
    this.#growth.stop()
    this.#refuseAll(closedFailure)
  }

  tellWaiting(cursors: boolean): void {
    this.#source.waitsToClose?.(this.holders(), cursors)
  }

  /** Idle connections are closed now, those in use when they come back. */
  #replaceAll(): void {
    for (const member of [...this.#members]) if (member.state !== 'opening') this.replace(member)
  }

  replace(member: Member): void {
    if (member.state === 'idle') this.retire(member)
    else member.outgoing = true
  }

  /** Closes a connection that nobody uses. */
  retire(member: Member, deadline: number = clock.now() + this.#limits.closeTimeoutMs): void {
    this.#idle.drop(member)
    member.state = 'closing'
    void member.raw.close(deadline).then(() => {
      if (this.#members.delete(member)) this.#source.closed(member.raw, null)
      this.#closing?.check()
    })
  }

  #enqueue(waiter: PoolWaiter): void {
    if (this.closed) {
      waiter.refuse(closedFailure)
      return
    }
    if (this.waiting >= this.#limits.maxWaiting) {
      waiter.refuse(refused({ reason: 'too-many-waiters', stats: { ...this.stats() } }))
      return
    }
    const held = waiter.heldLeases()
    if (this.#selfDeadlock(held)) {
      waiter.refuse(refused({ reason: 'self-deadlock', holders: this.holders(), stats: { ...this.stats() } }))
      return
    }
    const now = clock.now()
    this.#queue.add(waiter, held, now, this.#lanes !== null && this.#lanes.canShare(waiter))
    waiter.queued(now)
    this.#check()
    this.#growth.grow()
    this.#lanes?.changed()
  }

  /**
   * Every connection there can be is held by the asker's own chain, or by somebody whose descendant waits here too:
   * nobody is left who could give one back, and the asker came last.
   */
  #selfDeadlock(held: ReadonlySet<Lease>): boolean {
    if (held.size === 0 || this.#members.size < this.#limits.max || this.#growth.opening > 0) return false
    return this.#queue.deadlocked(this.#members, held)
  }

  /** How many idle connections are being asked whether they answer, and may well do. */
  get #checking(): number {
    let checking = 0
    for (const { state, suspect } of this.#members) if (state === 'checking' && !suspect) checking++
    return checking
  }

  /** Asks idle connections that were silent for long, one for each waiter. */
  #check(): void {
    for (let checking = this.#checking; checking < this.#queue.size; checking++) if (!this.#idle.ask()) return
  }

  fill(): void {
    this.#growth.grow()
  }

  get returning(): number {
    let returning = 0
    for (const { state } of this.#members) if (state !== 'opening' && state !== 'closing') returning++
    return returning
  }

  waitingSince(nth: number): number | undefined {
    return this.#queue.since(this.#checking + nth)
  }

  get unserved(): number {
    return this.#queue.size - this.#checking
  }

  get connectMs(): number {
    return this.#growth.connectMs
  }

  get pressed(): boolean {
    return this.#lanes !== null && this.#lanes.pressed
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
      this.#lanes = new Lanes(this, this.#queue, this.#limits)
    member.expiresAt = this.#upkeep.expiry()
    if (this.#closing === null) this.#upkeep.watch()
    else this.#closing.joined()
    this.free(member)
  }

  dismissed(member: Member): void {
    this.#members.delete(member)
    this.#closing?.check()
  }

  hopeless(failure: Failure): void {
    this.#refuseAll(notConnected(failure))
    this.#closing?.check()
  }

  /** All who wait, but the first so many of the queue. */
  #refuseAll(failure: Failure, but = 0): void {
    for (const waiter of [...this.#queue.clear(but), ...(this.#lanes?.clear() ?? [])]) waiter.refuse(failure)
  }
}
