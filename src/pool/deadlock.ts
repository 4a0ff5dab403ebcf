// Waits that can only end by timeout, because those who could give a connection back wait for one themselves. The judgement looks
// at the frames, slots and transactions around the waiters, never at the leases these hold at the moment: leases come and
// go. It is made whenever somebody joins the queue and whenever a lease stops being recallable.
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
