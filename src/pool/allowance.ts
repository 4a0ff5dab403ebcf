// An allowance: a number of connections that several pools have together. A pool asks before it opens one. While all of them are open,
// the connection that has been idle longest, in whichever pool, is closed for the pool that has waited longest. Where none is idle,
// pools take back connections that are lent and not used. A pool without any connection gets the next one that becomes free.
import { clock, msUntil } from '../util/clock.ts'
import type { ConnectionHooks, Failure, RawConnection } from '../driver/driver.ts'
import { inRoot } from '../util/context.ts'

type Open = (hooks: ConnectionHooks, deadline: number) => Promise<RawConnection>

/**
 * For a pool that has a connection, no other pool closes one that was used within this time. A pool that has none waits this long before
 * a busy connection is closed for it.
 */
const fairMs = 100

/** A pool, or a single connection, that counts in an allowance. */
export interface Sharer {
  /** How many it has. */
  readonly size: number
  /** Since when somebody waits for whom it would open one, monotonic milliseconds; undefined: nobody does. */
  readonly wantedSince: number | undefined
  /** Since when its longest idle one is idle; undefined: none is. */
  readonly idleSince: number | undefined
  /** Closes its longest idle one. */
  yieldIdle(): void
  /** How many of those in use it closes as soon as their user is done. */
  readonly yielding: number
  /** Closes one more of those in use as soon as its user is done. False: there is no further one. */
  yieldNext(): boolean
  /** Another pool waits, and no connection is idle: this one takes back connections that are lent and not used. */
  recallForOthers(): void
  /** There may be room: it opens what is due. */
  grow(): void
  /** A line for each connection that is held, with its holder. */
  holders(): string[]
}

export class Allowance {
  readonly most: number
  #used = 0
  /** How many are being closed for those who wait. */
  #leaving = 0
  readonly #sharers = new Set<Sharer>()
  /** In the order they asked. */
  readonly #waiting = new Set<Sharer>()
  #timer: NodeJS.Timeout | null = null

  constructor(most: number) {
    this.most = most
  }

  join(sharer: Sharer): void {
    this.#sharers.add(sharer)
  }

  leave(sharer: Sharer): void {
    this.#sharers.delete(sharer)
    this.#waiting.delete(sharer)
  }

  /** From now on the connection, which belongs to no pool, may be closed while it is idle. Returns a function that ends this. */
  mayClose(apart: CloseableWhenIdle): () => void {
    const sharer = new SingleSharer(apart)
    this.join(sharer)
    return () => this.leave(sharer)
  }

  get full(): boolean {
    return this.#used >= this.most
  }

  holders(): string[] {
    return [...this.#sharers].flatMap((each) => each.holders())
  }

  /** True: one connection more is counted, until `give`. If there is no room, an `urgent` sharer waits in line until `grow` is called. */
  take(sharer: Sharer, urgent: boolean): boolean {
    // Nobody waits while there is room: what becomes free is given away at once.
    if (this.#used < this.most) {
      this.#used++
      return true
    }
    if (urgent) {
      this.#waiting.add(sharer)
      this.#makeRoom()
    }
    return false
  }

  /** A connection has ended. */
  give(): void {
    this.#used--
    if (this.#leaving > 0) this.#leaving--
    while (this.#used < this.most) {
      const next = this.#next()
      if (next === undefined) return
      this.#waiting.delete(next)
      next.grow()
    }
  }

  /** A connection has become idle, or may have become quiet. */
  noteQuiet(): void {
    if (this.#waiting.size > 0) this.#makeRoom()
  }

  /** How many of those who wait have no connection being closed for them. */
  get wanted(): number {
    return this.#waiting.size === 0 ? 0 : Math.max(0, this.#missing)
  }

  /** Counts one connection that belongs to no pool. False: none was free before `deadline`, or `ended` has aborted. */
  async claim(deadline: number, ended: AbortSignal): Promise<boolean> {
    const claim = new Claim(this)
    this.join(claim)
    try {
      return await claim.settles(deadline, ended)
    } finally {
      this.leave(claim)
    }
  }

  /** As `open`, for connections outside of any pool: each is counted. When `ended` aborts, those that wait are refused. */
  countedOpen(ended: AbortSignal, open: Open): Open {
    return async (hooks, deadline) => {
      if (!(await this.claim(deadline, ended)))
        throw { kind: ended.aborted ? 'closed' : 'timeout', outcome: 'not_started' } satisfies Failure as unknown
      let counts = true
      let ending = false
      const end = (): void => {
        if (counts) this.give()
        counts = false
      }
      const lost: ConnectionHooks['lost'] = (raw, failure) => {
        if (!ending) end()
        hooks.lost(raw, failure)
      }
      try {
        const raw = await open({ ...hooks, lost }, deadline)
        const close = raw.close.bind(raw)
        // Closed in order it counts until the server has ended it.
        raw.close = (until) => {
          ending = true
          return close(until).then(end)
        }
        return raw
      } catch (thrown) {
        end()
        throw thrown
      }
    }
  }

  /** Those that have none go before those that have some. */
  #next(): Sharer | undefined {
    let first: Sharer | undefined
    for (const each of this.#waiting)
      if (each.wantedSince === undefined) this.#waiting.delete(each)
      else if (each.size === 0) return each
      else first ??= each
    return first
  }

  get #missing(): number {
    this.#next()
    let wanting = 0
    for (const { wantedSince } of this.#waiting) if (wantedSince !== undefined) wanting++
    return wanting - (this.most - this.#used) - this.#leaving
  }

  #makeRoom(): void {
    let missing = this.#missing
    if (missing <= 0) return
    const usedBefore = this.#next()?.size === 0 ? Infinity : clock.now() - fairMs
    for (; missing > 0; missing--) {
      const idle = this.#longestIdle(usedBefore)
      if (idle === null) break
      this.#leaving++
      idle.yieldIdle()
    }
    if (missing > 0) for (const each of this.#sharers) each.recallForOthers()
    this.#lookAgain()
  }

  #longestIdle(before: number): Sharer | null {
    let longest: Sharer | null = null
    let since = before
    for (const each of this.#sharers) {
      const { idleSince } = each
      if (idleSince === undefined || idleSince > since) continue
      longest = each
      since = idleSince
    }
    return longest
  }

  #lookAgain(): void {
    if (this.#timer !== null) return
    this.#timer = inRoot(() =>
      clock.setTimeout(() => {
        this.#timer = null
        // A connection that is still being closed may take long.
        this.#leaving = 0
        this.#next()
        if (this.#waiting.size === 0) return
        this.#starve(clock.now() - fairMs)
        this.#makeRoom()
        this.#lookAgain()
      }, fairMs),
    )
  }

  /** For each that has none and has waited for long, one of those in use. */
  #starve(before: number): void {
    let starving = 0
    for (const { size, wantedSince = Infinity } of this.#waiting) if (size === 0 && wantedSince <= before) starving++
    for (const { yielding } of this.#sharers) starving -= yielding
    if (this.#longestIdle(Infinity) !== null) return
    const most = [...this.#sharers].filter(({ size }) => size > 0).toSorted((a, b) => b.size - a.size)
    for (; starving > 0; starving--) if (!most.some((each) => each.yieldNext())) return
  }
}

/** A sharer without a pool: it has no connection that it could close for others. */
abstract class PoollessSharer implements Sharer {
  readonly size: number = 0
  readonly yielding: number = 0
  abstract readonly wantedSince: number | undefined
  abstract readonly idleSince: number | undefined

  yieldIdle(): void {}

  yieldNext(): boolean {
    return false
  }

  recallForOthers(): void {}

  grow(): void {}

  holders(): string[] {
    return []
  }
}

/** Waits for the right to open one connection outside of any pool. */
class Claim extends PoollessSharer {
  readonly idleSince: undefined = undefined
  wantedSince: number | undefined = clock.now()
  readonly #allowance: Allowance
  #settle: (granted: boolean) => void = () => {}

  constructor(allowance: Allowance) {
    super()
    this.#allowance = allowance
  }

  settles(deadline: number, ended: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const fail = (): void => this.#settle(false)
      const timer = inRoot(() => clock.setTimeout(fail, Math.ceil(msUntil(deadline))))
      ended.addEventListener('abort', fail)
      this.#settle = (granted) => {
        this.wantedSince = undefined
        clock.clearTimeout(timer)
        ended.removeEventListener('abort', fail)
        resolve(granted)
      }
      if (ended.aborted) fail()
      else this.grow()
    })
  }

  override grow(): void {
    if (this.#allowance.take(this, true)) this.#settle(true)
  }
}

/** One connection outside of any pool. */
export interface CloseableWhenIdle {
  /** Since when it is idle, monotonic milliseconds; undefined: it is not open, or in use. */
  readonly idleSince: number | undefined
  /** Closes it; it is opened again when it is needed. */
  closeIdle(): void
}

/** Closes the connection of a `CloseableWhenIdle` for others, and asks for none. */
class SingleSharer extends PoollessSharer {
  readonly wantedSince: undefined = undefined
  readonly #of: CloseableWhenIdle

  constructor(of: CloseableWhenIdle) {
    super()
    this.#of = of
  }

  get idleSince(): number | undefined {
    return this.#of.idleSince
  }

  override yieldIdle(): void {
    this.#of.closeIdle()
  }
}
