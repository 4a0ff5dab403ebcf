// Deadlines without a timer each: one timer per engine, armed to the earliest deadline, scans what is registered.
// Every entry stands for a promise somebody waits for, so the timer keeps the process alive while there are entries.
import { inRoot } from './context.ts'
import { longestTimerMs } from './timers.ts'
import { clock } from './clock.ts'

export interface Expiring {
  /** Monotonic milliseconds (`performance.now()`); Infinity never expires. */
  deadline: number
  /** Called once the deadline has passed, after the entry was removed; may register itself again. */
  expire(now: number): void
}

/** Milliseconds between two scans at the least: deadlines closer together than this share one. */
const resolutionMs = 2
/** A timer this late means that the event loop stood still: answers that already arrived are read before anything expires. */
const stallMs = 100

export class Ticker {
  readonly #entries = new Set<Expiring>()
  #timer: NodeJS.Timeout | null = null
  #armedFor = Infinity

  get size(): number {
    return this.#entries.size
  }

  add(entry: Expiring): void {
    this.#entries.add(entry)
    if (entry.deadline < this.#armedFor) this.#arm(entry.deadline)
  }

  remove(entry: Expiring): void {
    if (this.#entries.delete(entry) && this.#entries.size === 0) this.#disarm()
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
    for (const entry of due) this.#entries.delete(entry)
    if (earliest !== Infinity) this.#arm(earliest)
    for (const entry of due) entry.expire(now)
  }
}
