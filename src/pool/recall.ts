// Recall: takes leases back from slots that do not use them. While somebody waits, and only then, it looks at all slots in the check phase
// of the event loop. A slot that is quiet in two check phases in a row, with nothing begun in between, gives its connection back and
// becomes lazy again. Code that goes on by promises, `nextTick` or one `setImmediate` keeps its connection.
import { inRoot } from '../util/context.ts'
import { coming } from './counts.ts'
import type { LeaseHolder } from './lease.ts'
import type { Member } from './member.ts'
import type { Share } from './share.ts'
import type { Growth } from './growth.ts'
import type { WaitQueue } from './wait-queue.ts'
import { clock } from '../util/clock.ts'
import { LinkedSet } from '../util/linked-list.ts'

/** The time after which the pool asks again whether a connection will be open very soon. */
const soonMs = 2

/** The pool, as recall needs it. */
export interface Recalling {
  readonly members: ReadonlySet<Member>
  /** Its part of connections that several pools have together: others may wait for one. */
  readonly share: Share | null
  /** A scope that lost its connection has another, or needs none any more. */
  check(): void
}

export class Recall {
  /** How many leases were taken back. */
  count = 0
  /** Scopes whose connection was taken back, until they have another or have ended. */
  readonly #away = new LinkedSet<LeaseHolder>()
  readonly #pool: Recalling
  readonly #queue: WaitQueue
  readonly #growth: Growth
  #phase = 0
  #armed = false
  #again: NodeJS.Timeout | null = null
  readonly #judge = (): void => this.#judgeLeases()

  constructor(pool: Recalling, queue: WaitQueue, growth: Growth) {
    this.#pool = pool
    this.#queue = queue
    this.#growth = growth
  }

  /** Looks at the leases in the next check phase: somebody waits, or a slot may have become quiet. */
  schedule(): void {
    if (this.#armed) return
    this.#armed = true
    clock.setImmediate(this.#judge)
  }

  /** Somebody has been waiting for long: notices name the holders that keep a connection without using it. */
  tellHolders(): void {
    for (const { lease } of this.#pool.members) lease?.holder.keepsOthersWaiting?.()
  }

  get away(): number {
    return this.#away.size
  }

  noteAway(holder: LeaseHolder): void {
    this.#away.add(holder)
  }

  noteBack(holder: LeaseHolder): void {
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

  /** How many waiters would get no connection sooner than by a recall. */
  get #unmet(): number {
    return this.#queue.size + this.#elsewhere - coming(this.#pool.members, this.#growth.connectMs)
  }

  #judgeLeases(): void {
    this.#armed = false
    if (!this.#wanted) return
    const phase = ++this.#phase
    const ripe: Member[] = []
    let unripe = false
    for (const member of this.#pool.members) {
      const { lease } = member
      if (lease === null || member.state !== 'leased' || !isQuiet(lease.holder)) continue
      const activity = lease.holder.activity ?? 0
      if (lease.quietPhase === phase - 1 && lease.quietActivity === activity) ripe.push(member)
      else unripe = true
      lease.quietPhase = phase
      lease.quietActivity = activity
    }
    // Nothing of the caller's context may be kept.
    const taken = ripe.length === 0 ? 0 : inRoot(() => this.#takeBack(ripe))
    if (this.#wanted && (unripe || taken < ripe.length)) this.#next(unripe && this.#unmet > 0)
  }

  /** Takes back as many as are wanted, or asks for them, those first that have been quiet longest. Gives how many were taken. */
  #takeBack(ripe: Member[]): number {
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
    // There were too few connections.
    if (taken > 0) this.#growth.openAnother()
    return taken
  }

  /** Looks again in the next check phase, or a little later, when connections that seemed to come sooner should be there. */
  #next(now: boolean): void {
    if (now) inRoot(() => this.schedule())
    else
      this.#again ??= inRoot(() =>
        clock.setTimeout(() => {
          this.#again = null
          if (this.#wanted) this.schedule()
        }, soonMs),
      )
  }
}

/** Whether it can be taken, or asked whether it can. */
const isQuiet = ({ recallable, askable }: LeaseHolder): boolean => recallable === true || askable === true

function quietSince({ lease }: Member): number {
  return lease?.holder.quietSince ?? 0
}
