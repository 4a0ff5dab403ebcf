// Finds deadlocks of the pool: every connection is held by code that itself waits for a connection, so no wait can end but by timeout. It
// looks at the frames, slots and transactions around the waiters, never at the leases these hold at the moment: leases come and go.
// It is asked whenever a waiter joins the queue and whenever a lease stops being recallable.
import { clock } from '../util/clock.ts'
import { inRoot } from '../util/context.ts'
import type { PoolLimits, PoolWaiter } from './contract.ts'
import type { Member } from './member.ts'
import type { WaitQueue } from './wait-queue.ts'

/** A likely deadlock is believed after this part of the time that waiters have, … */
const patienceShare = 1 / 10
/** … and not before. */
const leastPatienceMs = 1_000

/** The pool, as the judgement needs it. */
export interface Deadlocking {
  readonly members: Iterable<Member>
  readonly size: number
  readonly opening: number
  /** Refuses this waiter: no code is left that could give a connection back. */
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

  /** If no connection can come back, refuses the youngest waiter that keeps one. If that is not certain yet, looks again later. */
  judge(review = false): void {
    const pool = this.#pool
    if (review) this.#queue.review()
    while (this.#queue.size > 0 && pool.size >= this.#max && pool.opening === 0) {
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

  /** How long until a deadlock is assumed, in milliseconds; 0: it is one, null: some connection may come back. */
  #patienceLeft(involved: object[]): number | null {
    const waits = (key: object): boolean => this.#queue.runsInside(key)
    let left = 0
    for (const member of this.#pool.members) {
      const blockers = member.blockers()
      if (blockers === null) return null
      const certain = blockers.certain.filter(waits)
      const likely = blockers.likely.filter(waits)
      if (certain.length === 0) {
        if (likely.length === 0) return null
        const now = clock.now()
        left = Math.max(left, (blockers.idleSince ?? now) + this.#patienceMs - now)
      }
      involved.push(...certain, ...likely)
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
