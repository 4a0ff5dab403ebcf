// One lease of the engine's pool for somebody who is no slot: waits for it as long as everybody may.
import type { Failure } from '../../driver/driver.ts'
import { currentChain } from '../../engine/context/chain.ts'
import type { Engine } from '../../engine/engine.ts'
import { failureError } from '../../engine/query/failure.ts'
import { Waiting } from '../../engine/slot/waiting.ts'
import type { PoolWaiter } from '../../pool/contract.ts'
import type { Lease, LeaseHolder } from '../../pool/member.ts'
import { clock, deferred } from '../../util/clock.ts'

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

class Borrower extends Waiting implements PoolWaiter {
  readonly op: null = null
  readonly holder: LeaseHolder
  readonly recalledAt: number = 0
  readonly #answer = deferred<Lease>()

  constructor(engine: Engine, holder: LeaseHolder) {
    super(engine, currentChain(), null, Infinity, null)
    this.holder = holder
  }

  lease(): Promise<Lease> {
    const lease = this.pool.leaseIdle(this.holder)
    if (lease === null) this.pool.request(this)
    else this.granted(lease)
    return this.#answer.promise
  }

  queued(now: number): void {
    this.arm('connection', '', now)
  }

  granted(lease: Lease): void {
    this.disarm()
    this.#answer.resolve(lease)
  }

  refuse(failure: Failure): void {
    this.disarm()
    this.#answer.reject(failure)
  }

  describe(): string {
    return this.holder.describe()
  }
}
