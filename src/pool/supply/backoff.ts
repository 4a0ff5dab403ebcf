// The pause between attempts to open a connection while the server cannot be reached. One per pool, so an outage
// costs one attempt at a time and not one per waiter.
import type { Failure } from '../../driver/driver.ts'
import { inRoot } from '../../util/context.ts'
import { clock } from '../../util/clock.ts'

const firstMs = 50
const mostMs = 5_000
/** While somebody waits: one small attempt this often is cheap, and who waits is served soon after the server is back. */
const mostWaitingMs = 75
const probeMs = 10_000

export class OpenBackoff {
  /** Why the last attempt failed; null after a success. */
  lastFailure: Failure | null = null
  #pauseMs = 0
  #until = 0
  #full = Infinity
  #fullSince = 0
  #timer: NodeJS.Timeout | null = null

  /** What is left of the pause, in milliseconds. */
  get leftMs(): number {
    return Math.max(0, this.#until - clock.now())
  }

  /** True when an attempt may start now; otherwise `again` is called once the pause is over. */
  ready(again: () => void): boolean {
    const left = this.leftMs
    if (left === 0) return true
    this.#timer ??= inRoot(() =>
      clock.setTimeout(() => {
        this.#timer = null
        again()
      }, left),
    ).unref()
    return false
  }

  succeeded(): void {
    this.lastFailure = null
    this.#pauseMs = 0
    this.#until = 0
  }

  /** Doubles the pause with decorrelated jitter: the clients of one server must not come back together. */
  failed(failure: Failure | null, waiting: boolean): void {
    this.lastFailure = failure
    const span = Math.max(firstMs, this.#pauseMs * 3)
    this.#pauseMs = Math.min(waiting ? mostWaitingMs : mostMs, firstMs + Math.random() * (span - firstMs))
    this.#until = clock.now() + this.#pauseMs
  }

  /** How many connections the server can be asked for. */
  get ceiling(): number {
    if (this.#full === Infinity) return Infinity
    return this.#full + Math.floor((clock.now() - this.#fullSince) / probeMs)
  }

  /** The server has no room for more than the `open` it granted: one more is tried every ten seconds. */
  full(open: number): void {
    this.#full = open
    this.#fullSince = clock.now()
  }

  stop(): void {
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    this.#timer = null
  }
}
