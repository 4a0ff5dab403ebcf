// The pool of an engine while it is in a sandbox: an ordinary pool whose connections are views, with the limits of the
// real one, so that what runs out of connections there does so here. What it is asked about belongs to either: a
// statement may have been queued before the sandbox began.
import type { Failure, Op, RawConnection } from '../../driver/driver.ts'
import type { ErrorFields, Meaning } from '../../sql/dialect.ts'
import { leaseChannel, type LeaseEvent, notice } from '../../observe/channels.ts'
import { limitsOf } from '../../engine/open/make-engine.ts'
import { reportLease } from '../../engine/report.ts'
import type { CloseReport, ConnectionSource, PlacedOp, PoolWaiter } from '../../pool/contract.ts'
import type { Lease, LeaseHolder, Member } from '../../pool/member.ts'
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
    super(new ViewSource(shared), {
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
    const failure = this.#failure
    if (failure === null) super.place(op)
    else op.refuse(failure)
  }

  override request(waiter: PoolWaiter): void {
    const failure = this.#failure
    if (failure === null) super.request(waiter)
    else waiter.refuse(failure)
  }

  /** Nothing runs side by side on one connection. */
  override leaseIdle(holder: LeaseHolder, spare = false): Lease | null {
    return this.#failure === null && !spare ? super.leaseIdle(holder) : null
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

  get #failure(): Failure | null {
    return this.#shared.failure ?? this.refusing
  }
}

class ViewSource implements ConnectionSource {
  readonly #shared: SharedConnection

  constructor(shared: SharedConnection) {
    this.#shared = shared
  }

  open(member: Member): Promise<RawConnection> {
    const { failure } = this.#shared
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- failures are data
    return failure === null ? Promise.resolve(new View(this.#shared, member)) : Promise.reject(failure)
  }

  classify(): 'config' {
    return 'config'
  }

  explain(error: ErrorFields): Meaning {
    return this.#shared.engine.dialect.explain(error)
  }

  closed(): void {}

  get observed(): boolean {
    return leaseChannel.hasSubscribers
  }

  lent(raw: RawConnection, event: LeaseEvent['event'], waitMs: number, useMs: number, recalled: boolean): void {
    reportLease(this.#shared.engine, { connection: raw.id, event, waitMs, useMs }, recalled)
  }

  leftOpen(): void {
    const { engine, place } = this.#shared
    notice('connection-closed-dirty', 'A connection came back with an open transaction; it was rolled back.', {
      engine: engine.name,
      places: [`sandbox opened at ${place}`],
    })
  }
}
