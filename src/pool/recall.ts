// Taking leases back for those who wait. While somebody waits, and only then, a slot is judged in the check phase of the
// event loop: one that two check phases running have found quiet, with nothing done on it in between, gives its
// connection back and becomes lazy again. Whoever goes on by promises, `nextTick` or one `setImmediate` is never found so.
import { inRoot } from '../util/context.ts'
import { coming } from './counts.ts'
import type { LeaseHolder } from './lease.ts'
import type { Member } from './member.ts'
import type { Growth } from './supply/growth.ts'
import type { WaitQueue } from './wait-queue.ts'
import { clock } from '../util/clock.ts'

/** Whether a connection will be open very soon is asked again after so long. */
const soonMs = 2

/** What recall asks of its pool. */
export interface Recalling {
  readonly members: ReadonlySet<Member>
  /** A scope that might have come again has not to any more. */
  check(): void
}

export class Recall {
  /** How many leases were taken back. */
  count = 0
  /** Scopes whose connection was taken back, until they have another or have ended. */
  readonly #away = new Set<LeaseHolder>()
  readonly #pool: Recalling
  readonly #queue: WaitQueue
  readonly #growth: Growth
  #phase = 0
  #armed = false
  #again: NodeJS.Timeout | null = null

  constructor(pool: Recalling, queue: WaitQueue, growth: Growth) {
    this.#pool = pool
    this.#queue = queue
    this.#growth = growth
  }

  /** Somebody waits, or a slot may have become quiet while somebody does. */
  look(): void {
    if (this.#armed) return
    this.#armed = true
    inRoot(() => clock.setImmediate(() => this.#judge()))
  }

  /** Somebody has been waiting for long: those who keep a connection for nothing are told of. */
  tellKeepers(): void {
    for (const { lease } of this.#pool.members) lease?.holder.keepsOthersWaiting?.()
  }

  get away(): number {
    return this.#away.size
  }

  leaves(holder: LeaseHolder): void {
    this.#away.add(holder)
  }

  arrives(holder: LeaseHolder): void {
    if (this.#away.delete(holder)) this.#pool.check()
  }

  stop(): void {
    if (this.#again !== null) clock.clearTimeout(this.#again)
    this.#again = null
  }

  get #wanted(): boolean {
    return this.#queue.size > 0
  }

  /** How many wait for whom nothing comes sooner than what could be taken. */
  get #unmet(): number {
    return this.#queue.size - coming(this.#pool.members, this.#growth.connectMs)
  }

  #judge(): void {
    this.#armed = false
    if (!this.#wanted) return
    const phase = ++this.#phase
    const ripe: Member[] = []
    let unripe = false
    for (const member of this.#pool.members) {
      const { lease } = member
      if (lease === null || member.state !== 'leased' || lease.holder.recallable !== true) continue
      const stirs = lease.holder.stirs ?? 0
      if (lease.quietIn === phase - 1 && lease.quietAt === stirs) ripe.push(member)
      else unripe = true
      lease.quietIn = phase
      lease.quietAt = stirs
    }
    ripe.sort((a, b) => quietSince(a) - quietSince(b))
    let taken = 0
    for (const member of ripe) {
      if (this.#unmet <= 0) break
      const { lease } = member
      if (lease?.holder.recallable !== true) continue
      taken++
      lease.recalled = true
      lease.holder.recall?.()
    }
    this.count += taken
    // Too many want too few.
    if (taken > 0) this.#growth.press()
    if (this.#wanted && (unripe || taken < ripe.length)) this.#next(unripe && this.#unmet > 0)
  }

  /** Looks again in the next check phase, or when what seems to come sooner should be there. */
  #next(now: boolean): void {
    if (now) this.look()
    else
      this.#again ??= inRoot(() =>
        clock.setTimeout(() => {
          this.#again = null
          if (this.#wanted) this.look()
        }, soonMs),
      )
  }
}

function quietSince({ lease }: Member): number {
  return lease?.holder.quietSince ?? 0
}
