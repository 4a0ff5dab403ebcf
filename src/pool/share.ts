// The share of one pool in an allowance: what other pools may take of it, and what it waits for because of them.
import type { Refusal } from '../driver/driver.ts'
import { clock } from '../util/clock.ts'
import type { Allowance, Sharer } from './allowance.ts'
import type { Member } from './member.ts'
import { closedFailure, refused } from './refusal.ts'

/** A pool, as its part of an allowance sees it. */
export interface Sharing {
  readonly done: boolean
  readonly size: number
  readonly max: number
  readonly opening: number
  /** The longest idle first. */
  readonly idle: readonly Member[]
  readonly members: Iterable<Member>
  readonly recall: { schedule(): void }
  waitingSince(nth: number): number | undefined
  retire(member: Member): void
  fill(): void
  holders(): string[]
}

/** The part of one pool. */
export class Share implements Sharer {
  readonly allowance: Allowance
  readonly #pool: Sharing
  readonly #left = new AbortController()

  constructor(pool: Sharing, allowance: Allowance) {
    this.#pool = pool
    this.allowance = allowance
    allowance.join(this)
  }

  /** The pool is closed. */
  leave(): void {
    this.allowance.leave(this)
    this.#left.abort()
  }

  get size(): number {
    return this.#pool.size
  }

  get wantedSince(): number | undefined {
    const { done, size, max, opening } = this.#pool
    return done || size >= max ? undefined : this.#pool.waitingSince(opening)
  }

  get idleSince(): number | undefined {
    return this.#pool.idle[0]?.idleSince
  }

  get yielding(): number {
    let count = 0
    for (const { outgoing } of this.#pool.members) if (outgoing) count++
    return count
  }

  yieldIdle(): void {
    const [longest] = this.#pool.idle
    if (longest !== undefined) this.#pool.retire(longest)
  }

  yieldNext(): boolean {
    let next: Member | undefined
    for (const member of this.#pool.members) {
      const { state, outgoing } = member
      if (outgoing || (state !== 'serving' && state !== 'leased')) continue
      if (next === undefined || (state === 'serving' && next.state !== 'serving')) next = member
    }
    if (next !== undefined) next.outgoing = true
    return next !== undefined
  }

  recallForOthers(): void {
    if (this.size > 0) this.#pool.recall.schedule()
  }

  grow(): void {
    this.#pool.fill()
  }

  holders(): string[] {
    return this.#pool.holders()
  }

  /** Whether one more may be opened, for somebody who waits (`urgent`) or not. */
  admits(urgent: boolean): boolean {
    return this.allowance.take(this, urgent)
  }

  /** As `admits`, waiting for it. Rejects with the Failure. */
  async awaitAdmission(timeoutMs: number): Promise<void> {
    const since = clock.now()
    if (await this.allowance.claim(since + timeoutMs, this.#left.signal)) return
    if (this.#pool.done) throw closedFailure as unknown
    throw refused(shortage(this.allowance, Math.round(clock.now() - since))) as unknown
  }

  /** The reason why a waiter was not served: the others, if they have all connections. */
  refusal(own: Refusal): Refusal {
    return this.allowance.full && this.size < this.#pool.max ? shortage(this.allowance, own.waitedMs ?? 0) : own
  }

  /** A connection is being closed in order. It counts until the returned function is called, when the server has ended it. */
  leaving(member: Member): () => void {
    if (member.ending) return () => {}
    member.ending = true
    return () => this.allowance.give()
  }

  /** A connection is gone. */
  ended(member: Member): void {
    this.leaving(member)()
  }
}

function shortage(allowance: Allowance, waitedMs: number): Refusal {
  const stats = { maxConnections: allowance.most }
  return { reason: 'acquire-timeout', phase: 'tenant', waitedMs, holders: allowance.holders(), stats }
}
