// The end of a pool. Waiters whose connection is on its way are still served, and lent connections may be used until they are released.
// Near the deadline the server is asked to stop the statements that still run, so that nothing takes effect after `close()` has
// returned. Then the connections that are left are broken.
import type { Op } from '../driver/driver.ts'
import { inRoot } from '../util/context.ts'
import type { CloseReport, PlacedOp } from './contract.ts'
import { type Seat, userOf } from './lane.ts'
import type { Member } from './member.ts'
import { clock, msUntil, deferred } from '../util/clock.ts'

/** The last part of the time is for stopping what runs: this share of it … */
const stopShare = 0.25
/** … and no more than this. */
const mostStopMs = 500
/** The least time that the server has to stop a statement, however short the rest is. */
const leastStopMs = 100
/** After this time a notice names the connections that are still lent. */
const tellAfterMs = 1_000

/** The pool, as its end needs it. */
export interface Closable {
  readonly members: Iterable<Member>
  readonly size: number
  /** How many connections are being opened. */
  readonly opening: number
  /** How many still wait for a connection. */
  readonly waiting: number
  /** How many scopes lost their connection to a recall and may ask for another. */
  readonly away: number
  /** The holders of the lent connections, a line each. */
  holders(): string[]
  /** The reads that share a connection, the one at the head first. */
  shared(member: Member): readonly Seat[]
  /** Refuses those who still wait, and opens nothing more. */
  giveUp(): void
  /** Publishes a notice that it waits for lent connections; `cursors`: one of them is held for a cursor that nobody reads. */
  tellWaiting(cursors: boolean): void
}

export class Closing {
  readonly report: Promise<CloseReport>
  /** The statements that still run on the server are being stopped. */
  stopping = false
  readonly #pool: Closable
  readonly #resolve: (report: CloseReport) => void
  /** Connections that are, or were, open since it began. */
  #seen: number
  /** Those that did not end in order. */
  #stuck = 0
  #broken: string[] = []
  #deadline = Infinity
  #timer: NodeJS.Timeout | undefined
  readonly #teller: NodeJS.Timeout
  #over = false

  constructor(pool: Closable, deadline: number) {
    const { promise, resolve } = deferred<CloseReport>()
    this.report = promise
    this.#resolve = resolve
    this.#pool = pool
    this.#seen = pool.size - pool.opening
    this.#teller = inRoot(() => clock.setTimeout(() => this.#tell(), tellAfterMs)).unref()
    for (const { lease } of pool.members)
      if (lease?.holder.forCursor === true && lease.raw.inFlight === 0) pool.tellWaiting(true)
    this.hasten(deadline)
  }

  /** How many connections are about to be free for those who waited for them when it began. */
  get coming(): number {
    let coming = 0
    for (const { state, lease } of this.#pool.members)
      if (state === 'checking' || state === 'resetting' || state === 'opening' || lease?.holder.ofEngine === true)
        coming++
    return coming
  }

  /** Another call closes it too: the earlier deadline counts. */
  hasten(deadline: number): void {
    if (this.stopping || this.#over || deadline >= this.#deadline) return
    this.#deadline = deadline
    const stopMs = Math.min(mostStopMs, msUntil(deadline) * stopShare)
    this.#arm(deadline - stopMs, () => this.#stop())
  }

  /** A connection that was being opened when it began is open. */
  joined(): void {
    this.#seen++
  }

  /** A connection or a waiter is gone: maybe it was the last. */
  check(): void {
    const { size, waiting, away } = this.#pool
    if (size === 0 && waiting === 0 && (away === 0 || this.stopping)) this.#finish()
  }

  #arm(at: number, act: () => void): void {
    clock.clearTimeout(this.#timer)
    this.#timer = inRoot(() => clock.setTimeout(act, msUntil(at)))
  }

  #tell(): void {
    if (this.#pool.holders().length > 0) this.#pool.tellWaiting(false)
  }

  #stop(): void {
    this.stopping = true
    this.#pool.giveUp()
    const end = Math.max(this.#deadline, clock.now() + leastStopMs)
    for (const member of [...this.#pool.members]) {
      const sent = member.op === null ? this.#pool.shared(member) : [member.op]
      this.#broken.push(...describe(member, sent))
      const { state, lease } = member
      if (lease === null && state !== 'serving') continue
      if (state !== 'opening') this.#stuck++
      void member.stop(lease?.holder.flight?.head ?? sent[0] ?? null, end)
    }
    this.#arm(end, () => this.#breakAll())
    this.check()
  }

  #breakAll(): void {
    for (const member of [...this.#pool.members]) {
      if (member.state === 'opening' && !member.stopped) continue
      if (!member.stopped) this.#stuck++
      member.raw.destroy({ kind: 'closed', outcome: 'unknown' })
    }
    this.#finish()
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    clock.clearTimeout(this.#timer)
    clock.clearTimeout(this.#teller)
    this.#pool.giveUp()
    this.#resolve({ drained: this.#seen - this.#stuck, broken: this.#broken })
  }
}

/** The holder of a connection, or the statements that run on it. */
function describe({ lease }: Member, sent: readonly Op[]): string[] {
  if (lease !== null) return [lease.holder.describe()]
  return sent.map((op) => `statement: ${(userOf(op) as PlacedOp).describe()}`)
}
