// One connection of a pool and what it is doing. All its mutable state is here and changed only by `Member` and
// `Pool`: `state`, `lease`, `op`. The driver's hooks arrive here and nowhere else.
import { type ConnectionHooks, type Failure, type Op, OpState, type RawConnection } from '../driver/driver.ts'
import { Dirty } from '../sql/compiled.ts'
import { clock } from '../util/clock.ts'
import { inRoot } from '../util/context.ts'
import { type Copying, Lease, type LeaseHolder, type Lent, type Blockers } from './lease.ts'

/** An implicit statement that a member serves. */
type Served = Op & { readonly copy?: Copying | null }

/** The times for the checks of idle connections, in milliseconds. Tests of the pool change them. */
export interface IdleChecks {
  /** A connection that answered within this time is taken without a ping. */
  freshMs: number
  /**
   * How long an idle connection may take to say that it is alive, and another to be opened in its place if it does not. The
   * waiter is served within 550 ms, also when that opening takes far longer than those before it.
   */
  pingMs: number
  /** … and one that is asked because another has just died. */
  suspectMs: number
  /** Two sessions ended because the server shuts down this close together mean the server and not one session. */
  windowMs: number
}

export const idleChecks: IdleChecks = { freshMs: 1_000, pingMs: 400, suspectMs: 250, windowMs: 5_000 }

/** How much of `pingMs` is kept at most for opening another connection. */
const mostConnectMs = 100

export type MemberState = 'opening' | 'idle' | 'checking' | 'serving' | 'leased' | 'resetting' | 'closing' | 'gone'

/** The pool, as a member needs it. */
export interface MemberPool {
  /** The member is free, and clean but for settings of frames: hand it to the next waiter or keep it. */
  free(member: Member): void
  /** Hands the member to the next waiter while its last unit is in flight. False: nobody waits. */
  handOver(member: Member): boolean
  /** The member is gone; its place may be filled. */
  gone(member: Member, failure: Failure): void
  /** How long a connect takes, in milliseconds. */
  readonly connectMs: number
  readonly limits: {
    readonly pooled?: boolean | undefined
    readonly resetAlways: boolean
    readonly resetTimeoutMs: number
  }
  /** A lease has ended. */
  returned(member: Member, lease: Lease): void
  /** Hears of transactions that were left open, which are rolled back, and of sessions that were cleaned. */
  readonly source: {
    leftOpen(raw: RawConnection): void
    /** `since`: when the reset began, monotonic milliseconds. */
    cleaned?(raw: RawConnection, since: number): void
  }
  /** Somebody waits for a connection. */
  readonly wanted: boolean
  /** A lease may have become quiet while somebody waits. */
  noteQuiet(): void
  /** A lease has stopped being recallable while somebody waits. */
  noteHeld(): void
}

export class Member implements ConnectionHooks, Lent {
  state: MemberState = 'opening'
  lease: Lease | null = null
  /** It is pinged because another connection died, so it may be dead too. */
  suspect = false
  /** Monotonic milliseconds; of use while it is idle. */
  idleSince = 0
  /** When it is to be replaced, monotonic milliseconds. */
  expiresAt: number = Infinity
  /** When its opening began, monotonic milliseconds. */
  readonly openingSince: number = clock.now()
  /** It is too old, or of no more use: closed as soon as its user is done. */
  outgoing = false
  /** Gets notices of the server; set by the source that opens the connection. */
  onNotice: ((fields: Readonly<Record<string, string>>) => void) | null = null
  /** Gets notifications of channels; set by the source. */
  onNotification: ((channel: string, payload: string, processId: number) => void) | null = null
  /** Called when a pooler turns out to keep no prepared statements; set by the source. */
  unprepared: () => void = () => {}
  /** Called when the option `types` names a type that does not exist; set by the source. */
  untyped: (message: string) => void = () => {}
  /** It is being closed in order. */
  ending = false
  /** It is being ended together with what runs on it. */
  stopped = false
  /** The implicit statement being served, if it is alone. */
  op: Served | null = null
  /** The end of a transaction of somebody else, behind which it was lent, and which may still be in flight. */
  #ahead: Op | null = null
  #raw: RawConnection | null = null
  readonly #pool: MemberPool

  constructor(pool: MemberPool) {
    this.#pool = pool
  }

  get raw(): RawConnection {
    return this.#raw as RawConnection
  }

  /** There is no session to clean. */
  get #pooled(): boolean {
    return this.#pool.limits.pooled === true
  }

  attach(raw: RawConnection): void {
    this.#raw = raw
  }

  /** Settings of frames may be in force: the next user changes them first. */
  get framed(): boolean {
    return (this.raw.dirty & Dirty.framed) !== 0
  }

  /** Serves one implicit statement, behind what has to be sent before it. */
  serve(op: Served, first: readonly Op[] | null = null): void {
    const raw = this.raw
    this.state = 'serving'
    this.op = op
    raw.dirty |= op.stmt.dirties
    if (first === null) raw.submit(op)
    else raw.submitUnit({ ops: [...first, op] })
  }

  /** The reasons why the connection does not come back by itself; null: there are none, or only such as will be over. */
  blockers(): Blockers | null {
    if (this.state === 'leased') return this.lease?.holder.blockers?.() ?? null
    const copy = this.op?.copy ?? null
    return copy === null || !copy.open || copy.frame === null
      ? null
      : { certain: [copy.frame], likely: [], idleSince: null }
  }

  /** Its session may keep something: it is reset at the end of its use. */
  soil(): void {
    if (this.#raw !== null) this.raw.dirty |= Dirty.unknown
  }

  /** Undoes what its session keeps, settings of frames too, in a round trip, and becomes free again. */
  clean(): void {
    void this.#reset(this.raw)
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
    this.raw.inForce.clear()
    this.lease = null
  }

  /** The caller of the statement it serves has its error already. */
  abandon(op: Op, cancelTimeoutMs: number): void {
    op.state = OpState.abandoned
    this.outgoing ||= this.#pooled
    void cancelOrDestroy(this.raw, op, cancelTimeoutMs)
  }

  /** Asks an idle connection whether it still answers; a dead one is closed. Never rejects. */
  async check(suspect: boolean): Promise<void> {
    const { raw } = this
    this.state = 'checking'
    this.suspect = suspect
    const { suspectMs, pingMs } = idleChecks
    const timeoutMs = suspect ? suspectMs : pingMs - Math.min(2 * this.#pool.connectMs, mostConnectMs)
    const answers = await raw.ping(clock.now() + timeoutMs)
    if ((this.state as MemberState) !== 'checking') return
    if (answers) this.#pool.free(this)
    else raw.destroy({ kind: 'lost', outcome: 'unknown' })
  }

  noteQuiet(): void {
    if (this.#pool.wanted) this.#pool.noteQuiet()
  }

  noteHeld(): void {
    if (this.#pool.wanted) this.#pool.noteHeld()
  }

  giveBack(): void | Promise<void> {
    const raw = this.raw
    if (this.#pooled) {
      raw.dirty = 0
      raw.inForce.clear()
    }
    this.leave()
    if (this.#ahead !== null && raw.inFlight > 0 && !raw.quarantined) {
      this.state = 'serving'
      return
    }
    if (raw.inFlight > 0 || raw.quarantined) {
      raw.destroy({ kind: 'closed', outcome: 'unknown' })
      return
    }
    return raw.lent ? this.#reclaim(raw) : this.settle()
  }

  /** The lease is over. */
  leave(): void {
    const { lease } = this
    if (lease === null) return
    this.raw.epoch++
    this.lease = null
    this.#pool.returned(this, lease)
  }

  handOver(end: Op): boolean {
    const { raw } = this
    const { resetAlways } = this.#pool.limits
    if (raw.inFlight >= raw.maxInFlight || raw.quarantined || raw.lent || raw.shared === true) return false
    if (this.#pooled || resetAlways || this.outgoing || raw.dirty !== 0 || !raw.inForce.nothing) return false
    raw.inForce.unmark('', false)
    this.#ahead = end
    if (this.#pool.handOver(this)) return true
    this.#ahead = null
    return false
  }

  /**
   * Whoever sent the end of a transaction, behind which it was lent, has given that up. The server is not asked to stop it: the request
   * might stop what runs behind it. If it is not answered in that time either, the connection is dead.
   */
  forsake(end: Op, timeoutMs: number): void {
    if (this.#ahead !== end) return
    const judge = (): void => {
      if (end.state !== OpState.settled) this.raw.destroy({ kind: 'lost', outcome: 'unknown' })
    }
    inRoot(() => clock.setTimeout(judge, timeoutMs)).unref()
  }

  /** Waits for the last answer to whoever was lent the driver's own object, and cleans up after them. */
  async #reclaim(raw: RawConnection): Promise<void> {
    this.state = 'resetting'
    const back = await raw.reclaim(clock.now() + this.#pool.limits.resetTimeoutMs)
    if ((this.state as MemberState) !== 'resetting') return
    if (back) await this.settle()
    else raw.destroy({ kind: 'closed', outcome: 'unknown' })
  }

  /** After the last answer: clean and free, or reset, or closed. */
  settle(): void | Promise<void> {
    const raw = this.raw
    this.op = null
    if (!raw.alive) return
    if (raw.status !== 'idle') this.#pool.source.leftOpen(raw)
    else if (this.#pooled || ((raw.dirty & ~Dirty.framed) === 0 && !this.#pool.limits.resetAlways)) {
      if (raw.dirty !== 0 && raw.inForce.nothing) {
        raw.dirty = 0
        raw.inForce.clear()
      }
      return this.#pool.free(this)
    }
    return this.#reset(raw)
  }

  async #reset(raw: RawConnection): Promise<void> {
    this.state = 'resetting'
    const since = clock.now()
    const { resetAlways, resetTimeoutMs } = this.#pool.limits
    const dirty = this.#pooled ? 0 : resetAlways ? raw.dirty | Dirty.unknown : raw.dirty
    const clean = await raw.reset(dirty, since + resetTimeoutMs)
    if ((this.state as MemberState) !== 'resetting') return
    if (!clean) raw.destroy({ kind: 'closed', outcome: 'unknown' })
    else {
      raw.dirty = 0
      raw.inForce.clear()
      this.#pool.source.cleaned?.(raw, since)
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
    this.#ahead = null
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

  notice(fields: Readonly<Record<string, string>>): void {
    this.onNotice?.(fields)
  }

  notification(channel: string, payload: string, processId: number): void {
    this.onNotification?.(channel, payload, processId)
  }
}

/** Asks the server to stop `op`; a connection whose state is not known afterwards is closed. Never rejects. */
export async function cancelOrDestroy(raw: RawConnection, op: Op, timeoutMs: number): Promise<void> {
  const end = await raw.cancel(op, clock.now() + timeoutMs)
  if (end === 'broken') raw.destroy({ kind: 'lost', outcome: 'unknown' })
}
