// What a run did to the pools, measured from outside: checkouts as the engine publishes them on `diagnostics_channel` and
// node-postgres as events, and samples of what is out taken every few milliseconds for as long as some request waits for the other service.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Pool, PoolClient } from 'pg'
import { db } from '../db.ts'
import { waiting } from '../shop/exchange-rates.ts'
import { plainPool } from '../shop/plain-pool.ts'

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

  readonly #pool: Pool = plainPool()
  readonly #since = new Map<PoolClient, number>()

  constructor() {
    subscribe('genever:lease', this.#onLease)
    this.#pool.on('acquire', this.#onAcquire)
    this.#pool.on('release', this.#onRelease)
    this.#timer = setInterval(() => this.#sample(), sampleEveryMs)
  }

  /** Connections that were out while at least one request was waiting: the mean of all samples. */
  get lentWhileWaiting(): number {
    return this.#samples === 0 ? 0 : this.#lent / this.#samples
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    unsubscribe('genever:lease', this.#onLease)
    this.#pool.off('acquire', this.#onAcquire)
    this.#pool.off('release', this.#onRelease)
  }

  #sample(): void {
    if (waiting.requests === 0) return
    this.#samples++
    this.#lent += db.stats().reserved + this.#pool.totalCount - this.#pool.idleCount
    this.mostWaiting = Math.max(this.mostWaiting, waiting.requests)
  }

  readonly #onLease = (message: unknown): void => {
    const { event, useMs } = message as LeaseEvent
    if (event === 'acquire') this.checkouts++
    else this.lentMs += useMs
  }

  readonly #onAcquire = (client: PoolClient): void => {
    this.checkouts++
    this.#since.set(client, performance.now())
  }

  readonly #onRelease = (_: Error | undefined, client: PoolClient): void => {
    const since = this.#since.get(client)
    if (since !== undefined) this.lentMs += performance.now() - since
    this.#since.delete(client)
  }
}
