// The queue of those who wait for a connection. Waiters that had one recalled go before newcomers, in the order of the recalls;
// after three of them in a row one newcomer is served. Newcomers are served in the order they came. The queue also counts the
// frames, slots and transactions around the waiters, from which the pool sees that some of them wait for each other.
import type { ConnectionSource, PoolWaiter, Wait } from './contract.ts'
import { clock } from '../util/clock.ts'
import { LinkedList } from '../util/linked-list.ts'

/** The number of waiters with a recalled connection that are served in a row while a newcomer waits. */
const mostInARow = 3

const none: readonly object[] = []

export class WaitQueue {
  readonly #newcomers = new LinkedList<Wait>()
  /** Those who had a connection recalled, in the order of the recalls. */
  readonly #returning: Wait[] = []
  #inARow = 0
  #came = 0
  /** Those who can do with a place on a shared connection. */
  readonly #sharers = new LinkedList<PoolWaiter>()
  /** How many waiters run inside of a frame, a slot or a transaction. Null: nobody has asked since the queue was empty. */
  #inside: Map<object, number> | null = null
  readonly #source: ConnectionSource

  constructor(source: ConnectionSource) {
    this.#source = source
  }

  get size(): number {
    return this.#newcomers.size + this.#returning.length
  }

  /** How many can do with a place on a shared connection. */
  get sharing(): number {
    return this.#sharers.size
  }

  /** The sharers, in order; the current one may be deleted. */
  sharers(): Iterable<PoolWaiter> {
    return this.#sharers
  }

  shares({ queueing: wait }: PoolWaiter): boolean {
    return wait !== null && wait.queue === this && wait.sharer !== null
  }

  /** `since` in monotonic milliseconds. */
  add(waiter: PoolWaiter, since: number, shares: boolean): void {
    const told = this.#source.observed
    const wait: Wait = {
      waiter,
      queue: this,
      nth: this.#came++,
      since,
      told,
      around: none,
      newcomer: null,
      sharer: null,
    }
    waiter.queueing = wait
    if (shares) wait.sharer = this.#sharers.add(waiter)
    if (waiter.recalledAt === 0) wait.newcomer = this.#newcomers.add(wait)
    else this.#insert(wait)
    if (this.#inside !== null) this.#enter(wait, this.#inside)
    if (told) this.#source.queued?.('begin', this.size, 0)
  }

  #enter(wait: Wait, inside: Map<object, number>): void {
    wait.around = wait.waiter.around()
    for (const key of wait.around) inside.set(key, (inside.get(key) ?? 0) + 1)
  }

  #leave({ around }: Wait): void {
    const inside = this.#inside as Map<object, number>
    for (const key of around) {
      const others = (inside.get(key) ?? 0) - 1
      if (others > 0) inside.set(key, others)
      else inside.delete(key)
    }
    if (this.size === 0) this.#inside = null
  }

  #counted(): Map<object, number> {
    if (this.#inside === null) {
      this.#inside = new Map()
      for (const wait of this.#all()) this.#enter(wait, this.#inside)
    }
    return this.#inside
  }

  /** Some of them run inside of more than when they were counted: code around them waits for them now. */
  review(): void {
    this.#inside = null
  }

  #insert(wait: Wait): void {
    const list = this.#returning
    let at = list.length
    while (at > 0 && (list[at - 1] as Wait).waiter.recalledAt > wait.waiter.recalledAt) at--
    list.splice(at, 0, wait)
  }

  /** In the order they came. */
  #all(): Wait[] {
    if (this.#returning.length === 0) return [...this.#newcomers]
    return [...this.#newcomers, ...this.#returning].toSorted((one, other) => one.nth - other.nth)
  }

  /** Since when it had waited, or null when it was not here. */
  delete(waiter: PoolWaiter): number | null {
    const wait = waiter.queueing
    if (wait === null || wait.queue !== this) return null
    waiter.queueing = null
    if (!this.#newcomers.remove(wait.newcomer)) this.#returning.splice(this.#returning.indexOf(wait), 1)
    this.#sharers.remove(wait.sharer)
    if (this.#inside !== null) this.#leave(wait)
    if (wait.told) this.#left(wait.since)
    return wait.since
  }

  /** As `delete`, of the first, which is served now. */
  take(waiter: PoolWaiter): number | null {
    this.#inARow = waiter.recalledAt === 0 ? 0 : this.#inARow + 1
    return this.delete(waiter)
  }

  /** Since when the nth waiter, counted from 0 as they came, has waited; undefined: there are not so many. */
  since(nth: number): number | undefined {
    return (this.#returning.length === 0 ? this.#newcomers.at(nth) : this.#all()[nth])?.since
  }

  /** The waiter that is served next. */
  first(): PoolWaiter | undefined {
    const [returning] = this.#returning
    const served = returning !== undefined && (this.#inARow < mostInARow || this.#newcomers.size === 0)
    return (served ? returning : this.#newcomers.first)?.waiter
  }

  /** Whether anybody here runs inside of that frame, slot or transaction. */
  runsInside(key: object): boolean {
    return this.#counted().has(key)
  }

  /** The one who came last of those who run inside of one of `keys`. */
  youngestInside(keys: ReadonlySet<object>): PoolWaiter | undefined {
    this.#counted()
    const runs = ({ around }: Wait): boolean => around.some((key) => keys.has(key))
    return (this.#returning.length === 0 ? this.#newcomers.findLast(runs) : this.#all().findLast(runs))?.waiter
  }

  /** Takes everybody out. */
  clear(): PoolWaiter[] {
    return this.#clear(this.#all())
  }

  /** Takes out newcomers: all but so many as are left of the first `but` when those who come back are served. */
  clearNewcomers(but: number): PoolWaiter[] {
    return this.#clear([...this.#newcomers].slice(Math.max(0, but - this.#returning.length)))
  }

  #clear(waits: readonly Wait[]): PoolWaiter[] {
    const waiters = waits.map(({ waiter }) => waiter)
    for (const waiter of waiters) this.delete(waiter)
    return waiters
  }

  #left(since: number): void {
    this.#source.queued?.('end', this.size, clock.now() - since)
  }
}
