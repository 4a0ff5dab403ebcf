// Growth of a pool: decides when to open a further connection, and opens it. It does so up to `min`, and for a waiter that has waited so
// long that a new connection seems quicker than one that comes back. The pool asks after each change. There is one timer, armed
// only while somebody waits.
import type { Failure, RawConnection } from '../driver/driver.ts'
import { inRoot } from '../util/context.ts'
import type { ConnectionSource, PoolLimits } from './contract.ts'
import type { Member } from './member.ts'
import type { Share } from './share.ts'
import { Backoff, clock } from '../util/clock.ts'

/** One more connection than the server has granted is tried this often. */
const probeMs = 10_000

/** The pause between failed attempts to open a connection. There is one per pool, so during an outage one attempt runs at a time. */
export class OpenBackoff extends Backoff {
  /** Why the last attempt failed; null after a success. */
  lastFailure: Failure | null = null
  #full = Infinity
  #fullSince = 0
  #timer: NodeJS.Timeout | null = null

  /** True when an attempt may start now; otherwise `again` is called once the pause is over. */
  ready(again: () => void): boolean {
    const left = this.leftMs
    if (left === 0) return true
    this.#timer ??= inRoot(() =>
      clock.setTimeout(() => {
        this.#timer = null
        again()
      }, left),
    ).unref()
    return false
  }

  override succeeded(): void {
    super.succeeded()
    this.lastFailure = null
  }

  /** The attempt failed for this reason. */
  refused(failure: Failure | null, waiting: boolean): void {
    this.lastFailure = failure
    this.failed(waiting)
  }

  /** How many connections the server can be asked for. */
  get ceiling(): number {
    if (this.#full === Infinity) return Infinity
    return this.#full + Math.floor((clock.now() - this.#fullSince) / probeMs)
  }

  /** The server has no room for more than the `open` it granted: one more is tried every ten seconds. */
  full(open: number): void {
    this.#full = open
    this.#fullSince = clock.now()
  }

  stop(): void {
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    this.#timer = null
  }
}

/** The most connections being opened at once: a spike is served by what comes back, not by a storm of connects. */
const maxOpening = 2
/** Nobody waits longer than this for what comes back, however long a connect takes. */
const mostPatienceMs = 5
/** How many connects the mean remembers. */
const remembered = 16

/** The pool, as growth needs it. */
export interface Growing {
  readonly closed: boolean
  /** It is closed, and nobody is to be served any more. */
  readonly done: boolean
  /** Connections there are, those being opened included. */
  readonly size: number
  /** Connections that will come back to the queue some time. */
  readonly returning: number
  /** Since when the nth waiter waits, not counting those for whom an idle connection is being checked; undefined: there are not so many. */
  waitingSince(nth: number): number | undefined
  /** Its share of an allowance; null: its connections are its own. */
  readonly share: Share | null
  /** Whether the lanes have so much to do that another connection is wanted at once. */
  readonly saturated: boolean
  /** Counts a connection that is being opened. */
  admit(): Member
  /** It is open and free. */
  opened(member: Member): void
  /** It could not be opened, and counts no more. */
  notOpened(member: Member): void
  /** No connection can be opened, now or later: all waiters are refused. */
  refuseAll(failure: Failure): void
}

export class Growth {
  readonly backoff: OpenBackoff = new OpenBackoff()
  /** How many connections are being opened. */
  opening = 0
  readonly #pool: Growing
  readonly #source: ConnectionSource
  readonly #limits: PoolLimits
  #connects = 0
  /** The mean of the pool's own connects, in milliseconds. */
  connectMs = 0
  #timer: NodeJS.Timeout | null = null

  constructor(pool: Growing, source: ConnectionSource, limits: PoolLimits) {
    this.#pool = pool
    this.#source = source
    this.#limits = limits
  }

  /** Opens the connections that are due, and arms the timer for those that will be. */
  grow(): void {
    const pool = this.#pool
    while (!pool.done && this.opening < this.#most && pool.size < Math.min(this.#limits.max, this.backoff.ceiling)) {
      if (pool.closed || pool.size >= this.#limits.min) {
        const since = pool.waitingSince(this.opening)
        if (since === undefined) return
        const left = since + this.#patienceMs - clock.now()
        if (left > 0) {
          this.#timer ??= inRoot(() => clock.setTimeout(() => this.#again(), Math.ceil(left)))
          return
        }
      }
      if (!this.backoff.ready(() => this.grow())) return
      if (pool.share?.admits(pool.waitingSince(this.opening) !== undefined) === false) return
      this.#add()
    }
  }

  #add(): void {
    const member = this.#admit()
    void this.#open(member).then(
      () => this.#opened(member),
      (failure: unknown) => this.#failed(member, failure as Failure),
    )
  }

  /** Opens one connection although nobody waits long enough for it. */
  openAnother(): void {
    const pool = this.#pool
    if (pool.closed || this.opening > 0 || pool.size >= Math.min(this.#limits.max, this.backoff.ceiling)) return
    if (this.backoff.ready(() => this.grow()) && pool.share?.admits(false) !== false) this.#add()
  }

  /** Opens one connection: proves that the database answers. Rejects with the Failure. */
  async first(): Promise<void> {
    await this.#pool.share?.awaitAdmission(this.#limits.acquireTimeoutMs)
    const member = this.#admit()
    try {
      await this.#open(member)
    } catch (failure) {
      this.#dismiss(member)
      throw failure
    }
    this.#opened(member)
  }

  stop(): void {
    this.backoff.stop()
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  /** How many may be opened at once. After a failure one attempt at a time finds out whether the database can be reached again. */
  get #most(): number {
    return this.backoff.lastFailure === null ? maxOpening : 1
  }

  /** How long a waiter waits for a connection that comes back before one is opened for it. */
  get #patienceMs(): number {
    if (this.#connects === 0 || this.#pool.saturated || this.#pool.returning === 0) return 0
    return Math.min(mostPatienceMs, this.connectMs)
  }

  #again(): void {
    this.#timer = null
    this.grow()
  }

  #admit(): Member {
    this.opening++
    return this.#pool.admit()
  }

  async #open(member: Member): Promise<void> {
    const start = clock.now()
    const raw: RawConnection = await inRoot(() => this.#source.open(member, start + this.#limits.connectTimeoutMs))
    this.connectMs += (clock.now() - start - this.connectMs) / Math.min(++this.#connects, remembered)
    member.attach(raw)
  }

  #opened(member: Member): void {
    this.opening--
    this.backoff.succeeded()
    this.#pool.opened(member)
    this.grow()
  }

  #dismiss(member: Member): void {
    this.opening--
    member.state = 'gone'
    this.#pool.notOpened(member)
  }

  #failed(member: Member, failure: Failure): void {
    const pool = this.#pool
    this.#dismiss(member)
    if (pool.closed) {
      // Nothing is tried again after the end: those who waited for this one have nobody else.
      if (pool.returning === 0 && this.opening === 0) pool.refuseAll(failure)
      return
    }
    const verdict = this.#source.classify(failure)
    if (verdict === 'full' && pool.size > 0) this.backoff.full(pool.size)
    else this.backoff.refused(failure, pool.waitingSince(0) !== undefined)
    if (verdict === 'config') pool.refuseAll(failure)
    this.grow()
  }
}
