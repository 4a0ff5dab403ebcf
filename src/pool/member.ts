// One connection of a pool and what it is doing. All its mutable state is here and changed only by `Member` and
// `Pool`: `state`, `lease`, `op`. The driver's hooks arrive here and nowhere else.
import type { ConnectionHooks, Failure, Op, RawConnection } from '../driver/driver.ts'
import { Dirty } from '../sql/compiled.ts'
import { cancelOrDestroy } from './cancel.ts'
import { Lease, type LeaseHolder } from './lease.ts'
import { clock } from '../util/clock.ts'

/**
 * How long an idle connection may take to say that it is alive, and another to be opened in its place if it does not. Who asked
 * is served within 550 ms, also when that opening takes far longer than those before it.
 */
const pingTimeoutMs = 400
/** What of that is left for the opening at most, which is given twice its usual time. */
const mostConnectMs = 100
/** … and one that is asked because another has just died. */
const suspectTimeoutMs = 250

export type MemberState = 'opening' | 'idle' | 'checking' | 'serving' | 'leased' | 'resetting' | 'closing' | 'gone'

/** What a member asks of its pool. */
export interface MemberPool {
  /** The member is clean and free: hand it to the next waiter or keep it. */
  free(member: Member): void
  /** The member is gone; its place may be filled. */
  gone(member: Member, failure: Failure): void
  /** How long a connect takes, in milliseconds. */
  readonly connectMs: number
  readonly resetAlways: boolean
  /** There is no session to clean. */
  readonly pooled: boolean
  readonly resetTimeoutMs: number
  /** A lease has ended. */
  returned(member: Member, lease: Lease): void
  /** The connection came back with an open transaction: it is rolled back, and told. */
  left(member: Member): void
  /** The session was cleaned; it began at `since`, monotonic milliseconds. */
  cleaned(member: Member, since: number): void
  /** Somebody waits for a connection. */
  readonly wanted: boolean
  /** A lease may have become quiet while somebody waits. */
  eased(): void
  /** A lease has stopped being recallable while somebody waits. */
  tied(): void
}

export class Member implements ConnectionHooks {
  state: MemberState = 'opening'
  lease: Lease | null = null
  /** It is asked because another connection died: nobody counts on its answer. */
  suspect = false
  /** Monotonic milliseconds; of use while it is idle. */
  idleSince = 0
  /** When it is to be replaced, monotonic milliseconds. */
  expiresAt: number = Infinity
  /** When its opening began, monotonic milliseconds. */
  readonly openingSince: number = clock.now()
  /** It is too old, or of no more use: closed as soon as its user is done. */
  outgoing = false
  /** It is being ended together with what runs on it. */
  stopped = false
  /** The implicit statement being served, if it is alone. */
  op: Op | null = null
  #raw: RawConnection | null = null
  readonly #pool: MemberPool

  constructor(pool: MemberPool) {
    this.#pool = pool
  }

  get raw(): RawConnection {
    return this.#raw as RawConnection
  }

  attach(raw: RawConnection): void {
    this.#raw = raw
  }

  /** Serves one implicit statement. */
  serve(op: Op): void {
    const raw = this.raw
    this.state = 'serving'
    this.op = op
    raw.dirty |= op.stmt.dirties
    raw.submit(op)
  }

  /** Serves implicit reads until nothing is in flight any more; they are submitted by its lane. */
  share(): void {
    this.state = 'serving'
  }

  lend(holder: LeaseHolder): Lease {
    this.state = 'leased'
    return (this.lease = new Lease(this, this.raw, holder))
  }

  /** Lends a connection that is still being set up; `endSetup` takes it back without a reset. */
  lendForSetup(raw: RawConnection, holder: LeaseHolder): Lease {
    this.#raw = raw
    return (this.lease = new Lease(this, raw, holder))
  }

  endSetup(): void {
    this.raw.epoch++
    this.raw.dirty = 0
    this.lease = null
  }

  /** The caller of the statement it serves was told already. */
  abandon(op: Op, cancelTimeoutMs: number): void {
    op.state = 2
    this.outgoing ||= this.#pool.pooled
    void cancelOrDestroy(this.raw, op, cancelTimeoutMs)
  }

  /** Asks an idle connection whether it still answers; a dead one is closed. Never rejects. */
  async check(suspect: boolean): Promise<void> {
    const { raw } = this
    this.state = 'checking'
    this.suspect = suspect
    const timeoutMs = suspect ? suspectTimeoutMs : pingTimeoutMs - Math.min(2 * this.#pool.connectMs, mostConnectMs)
    const answers = await raw.ping(clock.now() + timeoutMs)
    if ((this.state as MemberState) !== 'checking') return
    if (answers) this.#pool.free(this)
    else raw.destroy({ kind: 'lost', outcome: 'unknown' })
  }

  eased(): void {
    if (this.#pool.wanted) this.#pool.eased()
  }

  tied(): void {
    if (this.#pool.wanted) this.#pool.tied()
  }

  giveBack(): void | Promise<void> {
    const raw = this.raw
    const lease = this.lease
    if (this.#pool.pooled) raw.dirty = 0
    raw.epoch++
    this.lease = null
    if (lease !== null) this.#pool.returned(this, lease)
    if (raw.inFlight > 0 || raw.quarantined) {
      raw.destroy({ kind: 'closed', outcome: 'unknown' })
      return
    }
    return raw.lent ? this.#reclaim(raw) : this.settle()
  }

  /** Waits for the last answer to whoever was lent the driver's own object, and cleans up after them. */
  async #reclaim(raw: RawConnection): Promise<void> {
    this.state = 'resetting'
    const back = await raw.reclaim(clock.now() + this.#pool.resetTimeoutMs)
    if ((this.state as MemberState) !== 'resetting') return
    if (back) await this.settle()
    else raw.destroy({ kind: 'closed', outcome: 'unknown' })
  }

  /** After the last answer: clean and free, or reset, or closed. */
  settle(): void | Promise<void> {
    const raw = this.raw
    this.op = null
    if (!raw.alive) return
    if (raw.status !== 'idle') this.#pool.left(this)
    else if (this.#pool.pooled || (raw.dirty === 0 && !this.#pool.resetAlways)) return this.#pool.free(this)
    return this.#reset(raw)
  }

  async #reset(raw: RawConnection): Promise<void> {
    this.state = 'resetting'
    const since = clock.now()
    const { pooled, resetAlways, resetTimeoutMs } = this.#pool
    const dirty = pooled ? 0 : resetAlways ? raw.dirty | Dirty.unknown : raw.dirty
    const clean = await raw.reset(dirty, since + resetTimeoutMs)
    if ((this.state as MemberState) !== 'resetting') return
    if (!clean) raw.destroy({ kind: 'closed', outcome: 'unknown' })
    else {
      raw.dirty = 0
      this.#pool.cleaned(this, since)
      this.#pool.free(this)
    }
  }

  /**
   * Asks the server to stop what runs, and ends the connection as soon as that has been answered: nothing is sent any more.
   * Never rejects.
   */
  async stop(head: Op | null, deadline: number): Promise<void> {
    const raw = this.raw
    this.stopped = true
    // Somebody has asked already: the connection ends when it would be free again.
    if (raw.quarantined) return
    if (head !== null && raw.inFlight > 0) await raw.cancel(head, deadline)
    raw.destroy({ kind: 'closed', outcome: 'unknown' })
  }

  idle(raw: RawConnection): void {
    if (this.stopped) raw.destroy({ kind: 'closed', outcome: 'unknown' })
    else if (this.state === 'serving') void this.settle()
    else if (this.lease !== null && raw === this.raw) this.lease.holder.quiet()
  }

  room(raw: RawConnection): void {
    if (this.stopped && !raw.quarantined) raw.destroy({ kind: 'closed', outcome: 'unknown' })
    else this.lease?.holder.room()
  }

  lost(raw: RawConnection, failure: Failure): void {
    if (this.state === 'gone') return
    const lease = this.lease
    if (lease !== null && this.state !== 'opening') this.#pool.returned(this, lease)
    this.state = 'gone'
    this.lease = null
    this.op = null
    raw.epoch++
    lease?.holder.lost(failure)
    this.#pool.gone(this, failure)
  }

  notice(): void {}
  notification(): void {}
  parameter(): void {}
}
