// Taking leases back for those who wait. While somebody waits, and only then, a slot is judged in the check phase of the
// event loop: one that two check phases running have found quiet, with nothing done on it in between, gives its
// connection back and becomes lazy again. Code that goes on by promises, `nextTick` or one `setImmediate` is never found so.
import { inRoot } from '../util/context.ts'
import { coming } from './counts.ts'
import type { LeaseHolder } from './lease.ts'
import type { Member } from './member.ts'
import type { Share } from './share.ts'
import type { Growth } from './growth.ts'
import type { WaitQueue } from './wait-queue.ts'
import { clock } from '../util/clock.ts'
import { Roll } from '../util/line.ts'

/** The time after which the pool asks again whether a connection will be open very soon. */
const soonMs = 2

/** The pool, as recall needs it. */
export interface Recalling {
  readonly members: ReadonlySet<Member>
  /** Its part of connections that several pools have together: others may wait for one. */
  readonly share: Share | null
  /** A scope that might have come again has not to any more. */
  check(): void
}

export class Recall {
  /** How many leases were taken back. */
  count = 0
  /** Scopes whose connection was taken back, until they have another or have ended. */
  readonly #away = new Roll<LeaseHolder>()
  readonly #pool: Recalling
  readonly #queue: WaitQueue
  readonly #growth: Growth
  #phase = 0
  #armed = false
  #again: NodeJS.Timeout | null = null
  readonly #judge = (): void => this.#look()

  constructor(pool: Recalling, queue: WaitQueue, growth: Growth) {
    this.#pool = pool
    this.#queue = queue
    this.#growth = growth
  }

  /** Somebody waits, or a slot may have become quiet while somebody does. */
  look(): void {
    if (this.#armed) return
    this.#armed = true
    clock.setImmediate(this.#judge)
  }

  /** Somebody has been waiting for long: notices name those who keep a connection without using it. */
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
    return this.#queue.size > 0 || this.#elsewhere > 0
  }

  get #elsewhere(): number {
    return this.#pool.share === null ? 0 : this.#pool.share.allowance.wanted
  }

  /** How many wait for whom nothing comes sooner than what could be taken. */
  get #unmet(): number {
    return this.#queue.size + this.#elsewhere - coming(this.#pool.members, this.#growth.connectMs)
  }

  #look(): void {
    this.#armed = false
    if (!this.#wanted) return
    const phase = ++this.#phase
    const ripe: Member[] = []
    let unripe = false
    for (const member of this.#pool.members) {
      const { lease } = member
      if (lease === null || member.state !== 'leased' || !isQuiet(lease.holder)) continue
      const stirs = lease.holder.stirs ?? 0
      if (lease.quietIn === phase - 1 && lease.quietAt === stirs) ripe.push(member)
      else unripe = true
      lease.quietIn = phase
      lease.quietAt = stirs
    }
    // What it does is not done for the code that made it look.
    const taken = ripe.length === 0 ? 0 : inRoot(() => this.#take(ripe))
    if (this.#wanted && (unripe || taken < ripe.length)) this.#next(unripe && this.#unmet > 0)
  }

  /** Takes, or asks for, as many as are wanted, those first that have been quiet for longest; gives how many were taken. */
  #take(ripe: Member[]): number {
    ripe.sort((a, b) => quietSince(a) - quietSince(b))
    let taken = 0
    let asked = 0
    for (const { lease } of ripe) {
      if (this.#unmet <= asked) break
      if (lease?.holder.recallable !== true) {
        if (lease?.holder.askable === true) {
          asked++
          lease.holder.ask?.()
        }
        continue
      }
      taken++
      lease.recalled = true
      lease.holder.recall?.()
    }
    this.count += taken
    // Too many want too few.
    if (taken > 0) this.#growth.press()
    return taken
  }

  /** Looks again in the next check phase, or when what seems to come sooner should be there. */
  #next(now: boolean): void {
    if (now) inRoot(() => this.look())
    else
      this.#again ??= inRoot(() =>
        clock.setTimeout(() => {
          this.#again = null
          if (this.#wanted) this.look()
        }, soonMs),
      )
  }
}

/** Whether it can be taken, or asked whether it can. */
const isQuiet = ({ recallable, askable }: LeaseHolder): boolean => recallable === true || askable === true

function quietSince({ lease }: Member): number {
  return lease?.holder.quietSince ?? 0
}
