// The pool: one for all drivers. It decides synchronously who gets which connection and keeps no clock for its
// waiters: a waiter that runs out of time withdraws itself. One FIFO queue for implicit statements and leases; idle
// connections are taken LIFO. All mutable state is named at the top of the class and only changed by its methods.
import type { Failure, Op, RawConnection, Refusal } from '../driver/driver.ts'
import { inRoot } from '../util/context.ts'
import type { Lease, LeaseHolder } from './lease.ts'
import { Member, type MemberPool } from './member.ts'
import type { CloseReport, ConnectionSource, PlacedOp, PoolLimits, PoolStats, PoolWaiter } from './contract.ts'
import { Health } from './health.ts'
import { type Growing, Growth } from './supply/growth.ts'
import { Upkeep, type Upkept } from './supply/upkeep.ts'
import { WaitQueue } from './wait-queue.ts'

export class Pool implements MemberPool, Growing, Upkept {
  readonly resetAlways: boolean
  readonly resetTimeoutMs: number
  readonly #source: ConnectionSource
  readonly #limits: PoolLimits
  readonly #growth: Growth
  readonly #upkeep: Upkeep
  readonly #members = new Set<Member>()
  readonly #idle: Member[] = []
  readonly #queue: WaitQueue
  readonly #health = new Health()
  #closed = false
  #drained: (() => void) | null = null
  #closing: Promise<CloseReport> | null = null

  constructor(source: ConnectionSource, limits: PoolLimits) {
    this.#source = source
    this.#limits = limits
    this.#queue = new WaitQueue(source)
    this.#growth = new Growth(this, source, limits)
    this.#upkeep = new Upkeep(this, limits)
    this.resetAlways = limits.resetAlways
    this.resetTimeoutMs = limits.resetTimeoutMs
  }

  get closed(): boolean {
    return this.#closed
  }

  get max(): number {
    return this.#limits.max
  }

  /** Whether the next one would have to wait. */
  get exhausted(): boolean {
    return this.#idle.length === 0 && this.#members.size >= this.#limits.max
  }

  get idle(): readonly Member[] {
    return this.#idle
  }

  get members(): Iterable<Member> {
    return this.#members
  }

  get size(): number {
    return this.#members.size
  }

  /** Runs an implicit statement on any free connection, or queues it. Synchronous; failures reach `op.refuse`. */
  place(op: PlacedOp & PoolWaiter): void {
    const member = this.#takeIdle()
    if (member === undefined) this.#enqueue(op)
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
    const member = this.#takeIdle()
    return member === undefined ? null : this.#lend(member, holder, null)
  }

  /** The idle connection used last, if it needs no question whether it still answers. */
  #takeIdle(): Member | undefined {
    const member = this.#idle[this.#idle.length - 1]
    if (member === undefined || !this.#health.fresh(member.idleSince, performance.now())) return undefined
    return this.#idle.pop()
  }

  /** `since`: when the holder began to wait; 0 or null if it did not, or nobody asked. */
  #lend(member: Member, holder: LeaseHolder, since: number | null): Lease {
    if (this.#source.observed) this.#source.lent(member.raw, 'acquire', since ? performance.now() - since : 0, 0)
    return member.lend(holder)
  }

  returned(member: Member, lease: Lease): void {
    if (this.#source.observed) this.#source.lent(member.raw, 'release', 0, performance.now() - lease.since)
  }

  /** Takes a waiter out of the queue; nothing is granted to it afterwards. */
  withdraw(waiter: PoolWaiter): void {
    this.#queue.delete(waiter)
  }

  /** The caller of a placed statement was told already: it is stopped on the server, or its connection is closed. */
  abandon(op: Op): void {
    for (const member of this.#members)
      if (member.op === op) cancelOrDestroy(member.raw, op, this.#limits.cancelTimeoutMs)
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
      idle: this.#idle.length,
      reserved,
      serving,
      draining,
      opening: this.#growth.opening,
      waiting: this.#queue.size,
    }
  }

  /** Opens one connection and keeps it idle: proves that the database answers. Rejects with the Failure. */
  async warm(): Promise<void> {
    if (this.#members.size === 0) await this.#growth.first()
  }

  /** Whether opening may succeed later although it failed like this. */
  retriable(failure: Failure): boolean {
    return this.#source.classify(failure) !== 'config'
  }

  free(member: Member): void {
    if (this.#closed || member.outgoing) {
      this.retire(member)
      return
    }
    const waiter = this.#queue.first()
    if (waiter !== undefined) {
      this.#serve(member, waiter)
      return
    }
    member.state = 'idle'
    member.idleSince = performance.now()
    this.#idle.push(member)
    this.#upkeep.watch()
  }

  #serve(member: Member, waiter: PoolWaiter): void {
    const since = this.#queue.delete(waiter)
    if (waiter.holder !== null) waiter.granted(this.#lend(member, waiter.holder, since))
    else if (waiter.op !== null) {
      waiter.op.starting(member.raw)
      member.serve(waiter.op)
    }
  }

  gone(member: Member, failure: Failure): void {
    this.#members.delete(member)
    const verdict = this.#closed ? 'well' : this.#health.judge(failure)
    const at = this.#idle.indexOf(member)
    if (at >= 0) this.#idle.splice(at, 1)
    if (verdict === 'replace') for (const idle of [...this.#idle]) this.retire(idle)
    else if (verdict === 'suspect' && this.#queue.size > 0)
      for (const idle of this.#idle.splice(0)) void idle.check(true)
    this.#source.closed(member.raw, failure)
    if (this.#closed) this.#checkDrained()
    else {
      this.#check()
      this.#growth.grow()
    }
  }

  left(member: Member): void {
    this.#source.leftOpen(member.raw)
  }

  cleaned(member: Member, since: number): void {
    this.#source.cleaned?.(member.raw, since)
  }

  /**
   * Refuses new work and rejects waiters at once, closes idle connections, waits for lent ones until the deadline and
   * then breaks them. Idempotent; always settles within the deadline and never rejects.
   */
  close(deadline: number): Promise<CloseReport> {
    return (this.#closing ??= this.#close(deadline))
  }

  async #close(deadline: number): Promise<CloseReport> {
    this.#closed = true
    this.#growth.stop()
    this.#upkeep.stop()
    for (const waiter of this.#queue.clear()) waiter.refuse(closedFailure)
    const open = this.#members.size - this.#growth.opening
    for (const member of [...this.#idle]) this.retire(member, deadline)
    if (this.#members.size > 0) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#drained = resolve
        timer = inRoot(() => setTimeout(resolve, Math.max(0, deadline - performance.now())))
      })
      clearTimeout(timer)
    }
    const broken = this.holders()
    const stuck = [...this.#members].filter((member) => member.state !== 'opening')
    for (const member of stuck) member.raw.destroy({ kind: 'closed', outcome: 'unknown' })
    return { drained: open - stuck.length, broken }
  }

  #checkDrained(): void {
    if (this.#members.size === 0) this.#drained?.()
  }

  replace(member: Member): void {
    if (this.#idle.includes(member)) this.retire(member)
    else member.outgoing = true
  }

  /** Closes a connection that nobody uses. */
  retire(member: Member, deadline: number = performance.now() + this.#limits.closeTimeoutMs): void {
    const at = this.#idle.indexOf(member)
    if (at >= 0) this.#idle.splice(at, 1)
    member.state = 'closing'
    void member.raw.close(deadline).then(() => {
      if (this.#members.delete(member)) this.#source.closed(member.raw, null)
      this.#checkDrained()
    })
  }

  #enqueue(waiter: PoolWaiter): void {
    if (this.#closed) {
      waiter.refuse(closedFailure)
      return
    }
    if (this.#queue.size >= this.#limits.maxWaiting) {
      waiter.refuse(refused({ reason: 'too-many-waiters', stats: { ...this.stats() } }))
      return
    }
    const held = waiter.heldLeases()
    if (this.#selfDeadlock(held)) {
      waiter.refuse(refused({ reason: 'self-deadlock', holders: this.holders(), stats: { ...this.stats() } }))
      return
    }
    const now = performance.now()
    this.#queue.add(waiter, held, now)
    waiter.queued(now)
    this.#check()
    this.#growth.grow()
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
    for (let checking = this.#checking; checking < this.#queue.size; checking++) {
      const member = this.#idle.pop()
      if (member === undefined) return
      void member.check(false)
    }
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

  get pressed(): boolean {
    return false
  }

  admit(): Member {
    const member = new Member(this)
    this.#members.add(member)
    return member
  }

  opened(member: Member): void {
    member.expiresAt = this.#upkeep.expiry()
    if (!this.#closed) this.#upkeep.watch()
    this.free(member)
  }

  dismissed(member: Member): void {
    this.#members.delete(member)
    if (this.#closed) this.#checkDrained()
  }

  hopeless(failure: Failure): void {
    for (const waiter of this.#queue.clear()) waiter.refuse({ ...failure, ...notConnected })
  }
}

/** Asks the server to stop `op`; a connection whose state is not known afterwards is closed. */
export function cancelOrDestroy(raw: RawConnection, op: Op, timeoutMs: number): void {
  void raw.cancel(op, performance.now() + timeoutMs).then((end) => {
    if (end === 'broken') raw.destroy({ kind: 'lost', outcome: 'unknown' })
  })
}

/** What a waiter is told of the failure to open the connection it waited for. */
const notConnected = { kind: 'refused', outcome: 'not_started', refusal: { reason: 'connect' } } as const

const closedFailure: Failure = { kind: 'refused', outcome: 'not_started', refusal: { reason: 'pool-closed' } }

function refused(refusal: Refusal): Failure {
  return { kind: 'refused', outcome: 'not_started', refusal }
}
