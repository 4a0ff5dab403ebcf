// The queue of those who wait for a connection. Waiters that had one recalled go before newcomers, in the order of the recalls;
// after three of them in a row one newcomer is served. Newcomers are served in the order they came. The queue also counts the
// frames, slots and transactions around the waiters, from which the pool sees that some of them wait for each other.
import type { ConnectionSource, PoolWaiter, PoolLimits } from './contract.ts'
import { clock } from '../util/clock.ts'
import type { Failure, Refusal } from '../driver/driver.ts'
import { inRoot } from '../util/context.ts'
import type { Member } from './member.ts'

/** The number of waiters with a recalled connection that are served in a row while a newcomer waits. */
const mostInARow = 3

interface Place {
  /** Monotonic milliseconds. */
  readonly since: number
  /** An event said that it has begun, so another one says that it has ended. */
  readonly told: boolean
  readonly around: readonly object[]
}

export class WaitQueue {
  /** All, in the order they came. */
  readonly #places = new Map<PoolWaiter, Place>()
  readonly #newcomers = new Set<PoolWaiter>()
  /** Those who had a connection recalled, in the order of the recalls. */
  readonly #returning: PoolWaiter[] = []
  #inARow = 0
  /** Those who can do with a place on a shared connection. */
  readonly #sharers = new Set<PoolWaiter>()
  /** How many waiters run inside of a frame, a slot or a transaction. */
  readonly #inside = new Map<object, number>()
  readonly #source: ConnectionSource

  constructor(source: ConnectionSource) {
    this.#source = source
  }

  get size(): number {
    return this.#places.size
  }

  /** How many can do with a place on a shared connection. */
  get sharing(): number {
    return this.#sharers.size
  }

  /** The sharers, in order; the current one may be deleted. */
  sharers(): Iterable<PoolWaiter> {
    return this.#sharers
  }

  shares(waiter: PoolWaiter): boolean {
    return this.#sharers.has(waiter)
  }

  /** `since` in monotonic milliseconds. */
  add(waiter: PoolWaiter, since: number, shares: boolean): void {
    const told = this.#source.observed
    const around = waiter.around()
    if (shares) this.#sharers.add(waiter)
    this.#places.set(waiter, { since, told, around })
    if (waiter.recalledAt === 0) this.#newcomers.add(waiter)
    else this.#insert(waiter)
    this.#count(around, 1)
    if (told) this.#source.queued?.('begin', this.#places.size, 0)
  }

  #count(around: readonly object[], by: 1 | -1): void {
    for (const key of around) {
      const count = (this.#inside.get(key) ?? 0) + by
      if (count === 0) this.#inside.delete(key)
      else this.#inside.set(key, count)
    }
  }

  /** Some of them run inside of more than when they came: code around them waits for them now. */
  review(): void {
    for (const [waiter, place] of this.#places) {
      this.#count(place.around, -1)
      const around = waiter.around()
      this.#places.set(waiter, { ...place, around })
      this.#count(around, 1)
    }
  }

  #insert(waiter: PoolWaiter): void {
    const list = this.#returning
    let at = list.length
    while (at > 0 && (list[at - 1] as PoolWaiter).recalledAt > waiter.recalledAt) at--
    list.splice(at, 0, waiter)
  }

  /** Since when it had waited, or null when it was not here. */
  delete(waiter: PoolWaiter): number | null {
    const place = this.#places.get(waiter)
    if (place === undefined) return null
    this.#places.delete(waiter)
    if (!this.#newcomers.delete(waiter)) this.#returning.splice(this.#returning.indexOf(waiter), 1)
    if (this.#sharers.size > 0) this.#sharers.delete(waiter)
    this.#count(place.around, -1)
    if (place.told) this.#left(place.since)
    return place.since
  }

  /** As `delete`, of the first, which is served now. */
  take(waiter: PoolWaiter): number | null {
    this.#inARow = waiter.recalledAt === 0 ? 0 : this.#inARow + 1
    return this.delete(waiter)
  }

  /** Since when the nth waiter, counted from 0 as they came, has waited; undefined: there are not so many. */
  since(nth: number): number | undefined {
    for (const { since } of this.#places.values()) if (nth-- === 0) return since
    return undefined
  }

  /** The waiter that is served next. */
  first(): PoolWaiter | undefined {
    const returning = this.#returning[0]
    if (returning !== undefined && (this.#inARow < mostInARow || this.#newcomers.size === 0)) return returning
    for (const waiter of this.#newcomers) return waiter
    return undefined
  }

  /** Whether anybody here runs inside of that frame, slot or transaction. */
  runsInside(key: object): boolean {
    return this.#inside.has(key)
  }

  /** Whether anybody here runs inside of anything. */
  get nested(): boolean {
    return this.#inside.size > 0
  }

  /** The one who came last of those who run inside of one of `keys`. */
  youngestInside(keys: ReadonlySet<object>): PoolWaiter | undefined {
    let youngest: PoolWaiter | undefined
    for (const [waiter, { around }] of this.#places) if (around.some((key) => keys.has(key))) youngest = waiter
    return youngest
  }

  /** Takes everybody out. */
  clear(): PoolWaiter[] {
    return this.#clear([...this.#places.keys()])
  }

  /** Takes out newcomers: all but so many as are left of the first `but` when those who come back are served. */
  clearNewcomers(but: number): PoolWaiter[] {
    return this.#clear([...this.#newcomers].slice(Math.max(0, but - this.#returning.length)))
  }

  #clear(waiters: PoolWaiter[]): PoolWaiter[] {
    for (const waiter of waiters) this.delete(waiter)
    return waiters
  }

  #left(since: number): void {
    this.#source.queued?.('end', this.#places.size, clock.now() - since)
  }
}

export const closedFailure: Failure = refused({ reason: 'pool-closed' })

export function refused(refusal: Refusal): Failure {
  return { kind: 'refused', outcome: 'not_started', refusal }
}

/** The failure of a waiter whose connection could not be opened. */
export function notConnected(failure: Failure): Failure {
  return { ...failure, ...refused({ reason: 'connect' }) }
}

// Waits that can only end by timeout, because those who could give a connection back wait for one themselves. The judgement looks
// at the frames, slots and transactions around the waiters, never at the leases these hold at the moment: leases come and
// go. It is made whenever somebody joins the queue and whenever a lease stops being recallable.

/** A likely deadlock is believed after this part of the time that waiters have, … */
const patienceShare = 1 / 10
/** … and not before. */
const leastPatienceMs = 1_000

/** The pool, as the judgement needs it. */
export interface Deadlocking {
  readonly members: Iterable<Member>
  readonly size: number
  readonly opening: number
  /** Nobody is left who could give a connection back: the wait of this one ends. */
  deadlocked(waiter: PoolWaiter): void
}

export class Deadlock {
  readonly #pool: Deadlocking
  readonly #queue: WaitQueue
  readonly #max: number
  readonly #patienceMs: number
  #timer: NodeJS.Timeout | null = null

  constructor(pool: Deadlocking, queue: WaitQueue, { max, acquireTimeoutMs }: PoolLimits) {
    this.#pool = pool
    this.#queue = queue
    this.#max = max
    this.#patienceMs = Math.max(leastPatienceMs, acquireTimeoutMs * patienceShare)
  }

  /** Ends the youngest wait that keeps a connection from coming back, if none can come back; asks again when that may be so. */
  judge(review = false): void {
    const pool = this.#pool
    if (review) this.#queue.review()
    while (this.#queue.nested && pool.size >= this.#max && pool.opening === 0) {
      const involved: object[] = []
      const left = this.#patienceLeft(involved)
      if (left === null) return
      if (left > 0) {
        this.#later(left)
        return
      }
      const youngest = this.#queue.youngestInside(new Set(involved))
      if (youngest === undefined) return
      pool.deadlocked(youngest)
    }
  }

  stop(): void {
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  /** How long it is until nothing but a deadlock is believed; 0: it is certain, null: some connection may come back. */
  #patienceLeft(involved: object[]): number | null {
    const waits = (key: object): boolean => this.#queue.runsInside(key)
    let left = 0
    for (const member of this.#pool.members) {
      const ties = member.ties()
      if (ties === null) return null
      const surely = ties.surely.filter(waits)
      const likely = ties.likely.filter(waits)
      if (surely.length === 0) {
        if (likely.length === 0) return null
        const now = clock.now()
        left = Math.max(left, (ties.idleSince ?? now) + this.#patienceMs - now)
      }
      involved.push(...surely, ...likely)
    }
    return left
  }

  #later(ms: number): void {
    if (this.#timer !== null || ms === Infinity) return
    this.#timer = inRoot(() =>
      clock.setTimeout(() => {
        this.#timer = null
        this.judge()
      }, Math.ceil(ms)),
    ).unref()
  }
}
