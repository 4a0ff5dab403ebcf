// One lease of the engine's pool for somebody who is no slot: waits for it as long as everybody may.
import type { Failure } from '../../driver/driver.ts'
import { around, currentChain, type Link } from '../../engine/context/chain.ts'
import type { Engine } from '../../engine/engine.ts'
import { failureError } from '../../engine/query/failure.ts'
import type { PoolWaiter } from '../../pool/contract.ts'
import type { Lease, LeaseHolder } from '../../pool/lease.ts'
import type { Expiring } from '../../util/ticker.ts'
import { clock } from '../../util/clock.ts'

/**
 * @throws {AcquireTimeoutError} when none becomes free in time.
 * @throws {SelfDeadlockError} @throws {PoolClosedError} as every lease.
 */
export async function borrow(engine: Engine, holder: LeaseHolder): Promise<Lease> {
  const borrower = new Borrower(engine, holder)
  try {
    return await borrower.lease()
  } catch (failure) {
    throw failureError(failure as Failure, null)
  }
}

class Borrower implements PoolWaiter, Expiring {
  deadline: number = Infinity
  readonly op: null = null
  readonly holder: LeaseHolder
  readonly recalledAt: number = 0
  readonly #engine: Engine
  readonly #chain: Link | undefined = currentChain()
  readonly #since: number = clock.now()
  #resolve: (lease: Lease) => void = () => {}
  #reject: (failure: Failure) => void = () => {}

  constructor(engine: Engine, holder: LeaseHolder) {
    this.#engine = engine
    this.holder = holder
  }

  lease(): Promise<Lease> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      const { pool } = this.#engine
      const lease = pool.leaseIdle(this.holder)
      if (lease === null) pool.request(this)
      else resolve(lease)
    })
  }

  queued(): void {
    this.deadline = this.#since + this.#engine.options.pool.acquireTimeoutMs
    if (this.deadline !== Infinity) this.#engine.ticker.add(this)
  }

  granted(lease: Lease): void {
    this.#engine.ticker.remove(this)
    this.#resolve(lease)
  }

  refuse(failure: Failure): void {
    this.#engine.ticker.remove(this)
    this.#reject(failure)
  }

  expire(now: number): void {
    const { pool } = this.#engine
    pool.withdraw(this)
    this.#reject({ kind: 'refused', outcome: 'not_started', refusal: pool.refusal(Math.round(now - this.#since)) })
  }

  around(): readonly object[] {
    return around(this.#engine, this.#chain)
  }
}
