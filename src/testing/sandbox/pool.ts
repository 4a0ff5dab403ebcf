// The pool of an engine while it is in a sandbox: an ordinary pool whose connections are views, with the limits of the
// real one, so that what runs out of connections there does so here. What it is asked about belongs to either: a
// statement may have been queued before the sandbox began.
import type { Failure, Op } from '../../driver/driver.ts'
import { notice } from '../../observe/channels.ts'
import { limitsOf } from '../../engine/open/make-engine.ts'
import type { CloseReport, ConnectionSource, PlacedOp, PoolWaiter } from '../../pool/contract.ts'
import type { Lease, LeaseHolder } from '../../pool/member.ts'
import { Pool } from '../../pool/pool.ts'
import type { SharedConnection } from './shared.ts'
import { View } from './view.ts'

export class SandboxPool extends Pool {
  readonly #shared: SharedConnection
  readonly #real: Pool
  readonly #closeEngine: (deadline: number) => Promise<CloseReport>
  /** Why it lends nothing any more, although it is not closed. */
  refusing: Failure | null = null

  constructor(shared: SharedConnection, closeEngine: (deadline: number) => Promise<CloseReport>) {
    const { engine } = shared
    const { pool, options } = engine
    super(viewsOf(shared), {
      min: 0,
      max: pool.max,
      idleTimeoutMs: Infinity,
      maxLifetimeMs: Infinity,
      ...limitsOf(options),
    })
    this.#shared = shared
    this.#real = pool
    this.#closeEngine = closeEngine
  }

  override place(op: PlacedOp & PoolWaiter): void {
    if (!this.#refuses(op)) super.place(op)
  }

  override request(waiter: PoolWaiter): void {
    if (!this.#refuses(waiter)) super.request(waiter)
  }

  /** Nothing runs side by side on one connection. */
  override leaseIdle(holder: LeaseHolder, spare = false): Lease | null {
    return (this.#shared.failure ?? this.refusing) === null && !spare ? super.leaseIdle(holder) : null
  }

  override withdraw(waiter: PoolWaiter): void {
    super.withdraw(waiter)
    this.#real.withdraw(waiter)
  }

  override abandon(op: Op): void {
    super.abandon(op)
    this.#real.abandon(op)
  }

  /** Closing the engine ends the sandbox first. */
  override close(deadline: number): Promise<CloseReport> {
    return this.#closeEngine(deadline)
  }

  /** Waits for what is lent, then closes all views. */
  closeViews(deadline: number): Promise<CloseReport> {
    return super.close(deadline)
  }

  #refuses(waiter: PoolWaiter): boolean {
    const failure = this.#shared.failure ?? this.refusing
    if (failure !== null) waiter.refuse(failure)
    return failure !== null
  }
}

/** Views in the place of connections. All else is as the engine's own source says it. */
function viewsOf(shared: SharedConnection): ConnectionSource {
  const { engine, place } = shared
  const { source } = engine.pool
  return {
    async open(member) {
      if (shared.failure !== null) throw shared.failure as unknown
      return new View(shared, member)
    },
    classify: () => 'config',
    explain: (error) => source.explain(error),
    closed() {},
    get observed() {
      return source.observed
    },
    lent: (raw, event, waitMs, useMs, recalled) => source.lent(raw, event, waitMs, useMs, recalled),
    leftOpen: () =>
      notice('connection-closed-dirty', 'A connection came back with an open transaction; it was rolled back.', {
        engine: engine.name,
        places: [`sandbox opened at ${place}`],
      }),
  }
}
