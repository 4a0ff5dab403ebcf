// Those who wait for a connection, first come first served, and whether they wait for each other: the pool is told at
// once when every lease is held by somebody whose own descendant waits here.
import type { ConnectionSource, PoolWaiter } from './contract.ts'
import type { Lease } from './lease.ts'
import { clock } from '../util/clock.ts'

interface Place {
  /** Monotonic milliseconds. */
  readonly since: number
  /** Somebody heard of its beginning, and is told of its end. */
  readonly told: boolean
  readonly held: ReadonlySet<Lease>
}

export class WaitQueue {
  readonly #places = new Map<PoolWaiter, Place>()
  /** Those who can do with a place on a shared connection. */
  readonly #sharers = new Set<PoolWaiter>()
  /** How many waiters run inside of the holder of a lease. */
  readonly #inside = new Map<Lease, number>()
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

  /** Those, in order; the one at hand may be deleted. */
  sharers(): Iterable<PoolWaiter> {
    return this.#sharers
  }

  shares(waiter: PoolWaiter): boolean {
    return this.#sharers.has(waiter)
  }

  /** `since` in monotonic milliseconds. */
  add(waiter: PoolWaiter, held: ReadonlySet<Lease>, since: number, shares: boolean): void {
    const told = this.#source.observed
    if (shares) this.#sharers.add(waiter)
    this.#places.set(waiter, { since, told, held })
    for (const lease of held) this.#inside.set(lease, (this.#inside.get(lease) ?? 0) + 1)
    if (told) this.#source.queued?.('begin', this.#places.size, 0)
  }

  /** Since when it had waited, or null when it was not here. */
  delete(waiter: PoolWaiter): number | null {
    const place = this.#places.get(waiter)
    if (place === undefined) return null
    this.#places.delete(waiter)
    if (this.#sharers.size > 0) this.#sharers.delete(waiter)
    for (const lease of place.held) {
      const count = (this.#inside.get(lease) ?? 1) - 1
      if (count === 0) this.#inside.delete(lease)
      else this.#inside.set(lease, count)
    }
    if (place.told) this.#left(place.since)
    return place.since
  }

  /** Since when the nth waiter, counted from 0, has waited; undefined: there are not so many. */
  since(nth: number): number | undefined {
    for (const { since } of this.#places.values()) if (nth-- === 0) return since
    return undefined
  }

  first(): PoolWaiter | undefined {
    for (const waiter of this.#places.keys()) return waiter
    return undefined
  }

  /** Whether somebody in `held`'s descent waits for the lease of each member, the asker's own included. */
  deadlocked(members: Iterable<{ readonly lease: Lease | null }>, held: ReadonlySet<Lease>): boolean {
    if (held.size === 0) return false
    for (const { lease } of members) if (lease === null || !(held.has(lease) || this.#inside.has(lease))) return false
    return true
  }

  /** Takes out all but the first `but`. */
  clear(but = 0): PoolWaiter[] {
    const waiters = [...this.#places.keys()].slice(but)
    for (const waiter of waiters) this.delete(waiter)
    return waiters
  }

  #left(since: number): void {
    this.#source.queued?.('end', this.#places.size, clock.now() - since)
  }
}
