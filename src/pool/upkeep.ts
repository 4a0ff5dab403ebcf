// Upkeep of a pool: closes connections that were idle for too long or are too old, and keeps `min` open. It has one timer, only while
// there is something to watch; the timer keeps no process alive.
import { clock } from '../util/clock.ts'
import { inRoot } from '../util/context.ts'
import type { PoolLimits } from './contract.ts'
import type { Member } from './member.ts'

/** No look more often than this, however short the idle time. */
const shortestPauseMs = 50
const longestPauseMs = 30_000
/** Connections opened together do not end together: each lives up to this share shorter. */
const jitter = 0.1
/** … and of those that are too old, one is replaced in this time: a pool never goes cold at once. */
const replacePauseMs = 1_000

export interface Upkept {
  /** The longest idle first. */
  readonly idle: readonly Member[]
  readonly members: Iterable<Member>
  readonly size: number
  retire(member: Member): void
  /** Closes it now if it is idle, else as soon as its user is done. */
  replace(member: Member): void
  /** Opens connections up to `min`. */
  fill(): void
}

export class Upkeep {
  readonly #pool: Upkept
  readonly #limits: PoolLimits
  #timer: NodeJS.Timeout | null = null
  #lastReplaced = -Infinity
  /** Some are too old, but not due to be replaced. */
  #late = false

  constructor(pool: Upkept, limits: PoolLimits) {
    this.#pool = pool
    this.#limits = limits
  }

  /** The end of a connection born now, monotonic milliseconds. */
  expiry(): number {
    return clock.now() + this.#limits.maxLifetimeMs * (1 - jitter * Math.random())
  }

  /** Starts to watch, if it does not already. */
  watch(): void {
    if (this.#timer !== null) return
    const { idleTimeoutMs, maxLifetimeMs } = this.#limits
    const soonest = Math.min(idleTimeoutMs, maxLifetimeMs) / 4
    if (soonest === Infinity) return
    const pause = Math.min(Math.max(soonest, shortestPauseMs), this.#late ? replacePauseMs : longestPauseMs)
    this.#timer = inRoot(() => clock.setTimeout(() => this.#look(), pause)).unref()
  }

  stop(): void {
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  #look(): void {
    this.#timer = null
    const pool = this.#pool
    const now = clock.now()
    for (const member of [...pool.idle])
      if (now - member.idleSince >= this.#limits.idleTimeoutMs && pool.size > this.#limits.min) pool.retire(member)
    this.#replaceOne(now)
    pool.fill()
    if (pool.size > 0) this.watch()
  }

  /** The oldest goes first. */
  #replaceOne(now: number): void {
    let oldest: Member | null = null
    this.#late = false
    for (const member of this.#pool.members) {
      if (member.expiresAt > now || member.outgoing) continue
      if (oldest !== null) this.#late = true
      if (oldest === null || member.expiresAt < oldest.expiresAt) oldest = member
    }
    if (oldest === null) return
    if (now - this.#lastReplaced < replacePauseMs) this.#late = true
    else {
      this.#lastReplaced = now
      this.#pool.replace(oldest)
    }
  }
}
