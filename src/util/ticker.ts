// Deadlines that share one timer per engine. It is armed to the earliest deadline and then looks through all entries. Every entry stands
// for a promise that somebody waits for, so the timer keeps the process alive while there are entries.
import { clock, longestTimerMs, stallMs } from './clock.ts'
import { inRoot } from './context.ts'
import { LinkedList, type ListNode } from './linked-list.ts'

export interface Expiring {
  /** Monotonic milliseconds; Infinity never expires. */
  deadline: number
  /** Called once the deadline has passed, after the entry was removed; may register itself again. */
  expire(now: number): void
  /** Where the ticker has it. */
  ticking: ListNode<Expiring> | null
}

/** Milliseconds between two scans at the least: deadlines closer together than this share one. */
const resolutionMs = 2

export class Ticker {
  readonly #entries = new LinkedList<Expiring>()
  #timer: NodeJS.Timeout | null = null
  #armedFor = Infinity

  get size(): number {
    return this.#entries.size
  }

  /** One without a deadline is not kept. */
  add(entry: Expiring): void {
    if (entry.deadline === Infinity) return this.remove(entry)
    entry.ticking ??= this.#entries.add(entry)
    if (entry.deadline < this.#armedFor) this.#arm(entry.deadline)
  }

  remove(entry: Expiring): void {
    if (entry.ticking === null) return
    this.#drop(entry)
    if (this.#entries.size === 0) this.#disarm()
  }

  #drop(entry: Expiring): void {
    this.#entries.remove(entry.ticking)
    entry.ticking = null
  }

  /** Waits for `work`; `expire` is called once when that takes too long, and has to end it. */
  async within<T>(deadline: number, work: Promise<T>, expire: () => void): Promise<T> {
    const limit: Expiring = { deadline, expire, ticking: null }
    this.add(limit)
    try {
      return await work
    } finally {
      this.remove(limit)
    }
  }

  #arm(deadline: number): void {
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    this.#armedFor = deadline
    const delay = Math.min(Math.max(Math.ceil(deadline - clock.now()), resolutionMs), longestTimerMs)
    this.#timer = inRoot(() => clock.setTimeout(() => this.#fired(), delay))
  }

  #disarm(): void {
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    this.#timer = null
    this.#armedFor = Infinity
  }

  #fired(): void {
    if (clock.now() - this.#armedFor > stallMs) clock.setImmediate(() => this.#scan())
    else this.#scan()
  }

  #scan(): void {
    this.#disarm()
    const now = clock.now()
    let earliest = Infinity
    const due: Expiring[] = []
    for (const entry of this.#entries) {
      if (entry.deadline <= now) due.push(entry)
      else if (entry.deadline < earliest) earliest = entry.deadline
    }
    for (const entry of due) this.#drop(entry)
    if (earliest !== Infinity) this.#arm(earliest)
    for (const entry of due) entry.expire(now)
  }
}
