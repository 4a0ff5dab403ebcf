// Waits that can only end by timeout, because those who could give a connection back wait for one themselves. Judged over
// what waiters run inside of (frames, slots, transactions), never over the leases these hold at the moment: leases come and
// go. Asked whenever somebody joins the queue and whenever a lease stops being recallable.
import { inRoot } from '../util/context.ts'
import type { PoolLimits, PoolWaiter } from './contract.ts'
import type { Member } from './member.ts'
import type { WaitQueue } from './wait-queue.ts'
import { clock } from '../util/clock.ts'

/**
 * What keeps a lease from coming back. `surely`: whoever runs inside of one of these and waits keeps it there. `likely`: so
 * does whoever runs inside of one of these, unless other code gives it back.
 */
export interface Ties {
  readonly surely: readonly object[]
  readonly likely: readonly object[]
  /** Since when code has held it for nothing, monotonic milliseconds; null while a statement runs or waits on it. */
  readonly idleSince: number | null
}

/** What is likely is believed after this part of the time that waiters have, … */
const patienceShare = 1 / 10
/** … and not before. */
const leastPatienceMs = 1_000

/** What the judgement asks of its pool. */
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
      const involved = new Set<object>()
      const left = this.#patienceLeft(involved)
      if (left === null) return
      if (left > 0) {
        this.#later(left)
        return
      }
      const youngest = this.#queue.youngestInside(involved)
      if (youngest === undefined) return
      pool.deadlocked(youngest)
    }
  }

  stop(): void {
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  /** How long it is until nothing but a deadlock is believed; 0: it is certain, null: some connection may come back. */
  #patienceLeft(involved: Set<object>): number | null {
    const now = clock.now()
    const waits = (key: object): boolean => this.#queue.runsInside(key)
    let left = 0
    for (const { lease, state } of this.#pool.members) {
      const ties = state === 'leased' ? (lease?.holder.ties?.() ?? null) : null
      if (ties === null) return null
      const surely = ties.surely.filter(waits)
      const likely = ties.likely.filter(waits)
      if (surely.length === 0) {
        if (likely.length === 0) return null
        left = Math.max(left, (ties.idleSince ?? now) + this.#patienceMs - now)
      }
      for (const key of [...surely, ...likely]) involved.add(key)
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
