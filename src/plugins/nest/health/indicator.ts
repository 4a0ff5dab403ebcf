// An indicator for `@nestjs/terminus`, which it does not need: what terminus 12 awaits is a thenable of one entry.
import type { InjectionToken } from '@nestjs/common'
import type { Db } from '../../../db/db.ts'
import type { PoolStats } from '../../../pool/contract.ts'
import { UsageError } from '../../../errors/index.ts'
import { longestTimerMs, clock } from '../../../util/clock.ts'
import { checkHealth, type HealthOptions } from '../../health.ts'

/** The result of a check, as `HealthIndicatorResult` of terminus. */
export type PingResult<Key extends string = string> = Record<
  Key,
  {
    readonly status: 'up' | 'down'
    /** The code of the error, if the database did not answer. */
    readonly message?: string
    /** Milliseconds. */
    readonly responseTime: number
    /** Counts of the pool, once there is one. */
    readonly pool?: PoolStats
  }
>

/** A check that asks the database each time it is awaited. */
export class PingAttempt<Key extends string = string> implements PromiseLike<PingResult<Key>> {
  readonly #db: Db
  readonly #key: Key
  #timeoutMs: number

  constructor(db: Db, key: Key, timeoutMs: number) {
    this.#db = db
    this.#key = key
    this.#timeoutMs = checkedTimeout(timeoutMs)
  }

  /**
   * How long the database may take in milliseconds, including the wait for a connection.
   * @throws {UsageError} when it is not a number.
   */
  withTimeout(timeoutMs: number): this {
    this.#timeoutMs = checkedTimeout(timeoutMs)
    return this
  }

  // oxlint-disable-next-line unicorn/no-thenable -- as terminus' own attempts: it starts when it is awaited
  then<A = PingResult<Key>, B = never>(
    done?: ((result: PingResult<Key>) => A | PromiseLike<A>) | null,
    failed?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    // oxlint-disable-next-line promise/no-callback-in-promise -- they are those of the promise
    return this.#ask().then(done, failed)
  }

  async #ask(): Promise<PingResult<Key>> {
    const began = clock.now()
    const { status, body } = await checkHealth(this.#db, { timeoutMs: this.#timeoutMs })
    const { reason, pool } = body
    const result = {
      ...(pool === undefined ? {} : { pool }),
      ...(reason === undefined ? {} : { message: reason }),
      responseTime: Math.round(clock.now() - began),
      status: status === 200 ? 'up' : 'down',
    }
    return { [this.#key]: result } as PingResult<Key>
  }
}

/**
 * An indicator of `@nestjs/terminus` 12 that checks whether the database answers: `health.check([() =>
 * indicator.pingCheck('database').withTimeout(1_500)])`. It takes no connection from the request that asks.
 */
export class GeneverHealthIndicator {
  readonly #db: Db

  constructor(db: Db) {
    this.#db = db
  }

  /** Never rejects when it is awaited. Default deadline: 1_000 ms. */
  pingCheck<const Key extends string>(key: Key, options: HealthOptions = {}): PingAttempt<Key> {
    return new PingAttempt(this.#db, key, options.timeoutMs ?? 1_000)
  }
}

/** The token of the indicator of a database: the class itself for the one without a name. */
export function getHealthToken(name?: string): InjectionToken<GeneverHealthIndicator> {
  return name === undefined ? GeneverHealthIndicator : `genever:${name}:health`
}

function checkedTimeout(timeoutMs: number): number {
  if (timeoutMs >= 0 && timeoutMs <= longestTimerMs) return timeoutMs
  throw new UsageError(`A deadline must be a number of milliseconds from 0 to ${longestTimerMs}.`)
}
