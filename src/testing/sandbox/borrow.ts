// One lease of the engine's pool for somebody who is no slot: waits for it as long as everybody may.
import type { Failure } from '../../driver/driver.ts'
import { around, currentChain, type Link } from '../../engine/context/chain.ts'
import type { Engine } from '../../engine/engine.ts'
import { failureError } from '../../engine/query/failure.ts'
import type { PoolWaiter } from '../../pool/contract.ts'
import type { Lease, LeaseHolder } from '../../pool/member.ts'
import { type Expiring, clock, deferred } from '../../util/clock.ts'

/**
 * @throws {AcquireTimeoutError} when none becomes free in time.
 * @throws {SelfDeadlockError} @throws {PoolClosedError} as every lease.
 */
export async function borrow(engine: Engine, holder: LeaseHolder): Promise<Lease> {
  const borrower = new Borrower(engine, holder)
  try {
    const lease = await borrower.lease()
    await unframed(engine, lease)
    return lease
  } catch (failure) {
    throw failureError(failure as Failure, engine)
  }
}

/** Takes back what frames of an earlier user have set: its session is the sandbox's from now on. */
async function unframed({ options }: Engine, { raw }: Lease): Promise<void> {
  if (raw.dirty === 0) return
  if (await raw.reset(raw.dirty, clock.now() + options.resetTimeoutMs)) {
    raw.dirty = 0
    raw.inForce.clear()
    return
  }
  const failure: Failure = { kind: 'lost', outcome: 'not_started' }
  raw.destroy(failure)
  throw failure as unknown
}

class Borrower implements PoolWaiter, Expiring {
  deadline: number = Infinity
  readonly op: null = null
  readonly holder: LeaseHolder
  readonly recalledAt: number = 0
  readonly #engine: Engine
  readonly #chain: Link | undefined = currentChain()
  readonly #since: number = clock.now()
  readonly #answer = deferred<Lease>()

  constructor(engine: Engine, holder: LeaseHolder) {
    this.#engine = engine
    this.holder = holder
  }

  lease(): Promise<Lease> {
    const { pool } = this.#engine
    const lease = pool.leaseIdle(this.holder)
    if (lease === null) pool.request(this)
    else this.#answer.resolve(lease)
    return this.#answer.promise
  }

  queued(): void {
    this.deadline = this.#since + this.#engine.options.pool.acquireTimeoutMs
    if (this.deadline !== Infinity) this.#engine.ticker.add(this)
  }

  granted(lease: Lease): void {
    this.#engine.ticker.remove(this)
    this.#answer.resolve(lease)
  }

  refuse(failure: Failure): void {
    this.#engine.ticker.remove(this)
    this.#answer.reject(failure)
  }

  expire(now: number): void {
    const { pool } = this.#engine
    pool.withdraw(this)
    this.#answer.reject({
      kind: 'refused',
      outcome: 'not_started',
      refusal: pool.refusal(Math.round(now - this.#since)),
    })
  }

  around(): readonly object[] {
    return around(this.#engine, this.#chain)
  }
}
