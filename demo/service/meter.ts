// What a run did to the pool, measured from outside: checkouts as the engine publishes them on `diagnostics_channel`, and
// samples of `db.stats()` taken every few milliseconds for as long as some request waits for the other service.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { db } from '../db.ts'
import { waiting } from '../shop/exchange-rates.ts'

/** The part of a lease event that is used here. */
interface LeaseEvent {
  readonly event: 'acquire' | 'release'
  readonly useMs: number
}

const sampleEveryMs = 4

export class Meter implements Disposable {
  /** How often a connection was taken out of the pool. */
  checkouts = 0
  /** How long connections were out, added up. */
  lentMs = 0
  mostWaiting = 0
  #samples = 0
  #lent = 0
  readonly #timer: NodeJS.Timeout

  constructor() {
    subscribe('genever:lease', this.#onLease)
    this.#timer = setInterval(() => this.#sample(), sampleEveryMs)
  }

  /** Connections that were out while at least one request was waiting: the mean of all samples. */
  get lentWhileWaiting(): number {
    return this.#samples === 0 ? 0 : this.#lent / this.#samples
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    unsubscribe('genever:lease', this.#onLease)
  }

  #sample(): void {
    if (waiting.requests === 0) return
    this.#samples++
    this.#lent += db.stats().reserved
    this.mostWaiting = Math.max(this.mostWaiting, waiting.requests)
  }

  readonly #onLease = (message: unknown): void => {
    const { event, useMs } = message as LeaseEvent
    if (event === 'acquire') this.checkouts++
    else this.lentMs += useMs
  }
}
