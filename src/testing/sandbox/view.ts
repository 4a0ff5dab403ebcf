// A view: the engine takes it for a connection of its pool, but all views are one connection in one transaction.
// It keeps what the engine believes of it (its transaction, its settings) and hands every unit to the shared connection.
import type { ConnectionHooks, Failure, Op, RawConnection, Unit } from '../../driver/driver.ts'
import type { Lease } from '../../pool/lease.ts'
import { Dirty } from '../../sql/compiled.ts'
import { InForce } from '../../sql/settings.ts'
import { before, clock } from '../../util/clock.ts'
import type { SandboxView, Setting, ViewTransaction } from './contract.ts'
import { Job } from './job.ts'
import type { SharedConnection } from './shared.ts'
import { ViewUnit } from './unit.ts'

export class View implements RawConnection, SandboxView {
  readonly id: number
  readonly born: number = clock.now()
  readonly native: unknown
  readonly returning: boolean | undefined
  readonly maxInFlight: number = 1
  readonly shared: boolean = true
  epoch = 0
  dirty = 0
  readonly inForce: InForce = new InForce()
  alive = true
  quarantined = false
  lent = false
  transaction: ViewTransaction | null = null
  settings: Setting[] = []
  holds = 0
  readonly #shared: SharedConnection
  readonly #hooks: ConnectionHooks & { readonly lease: Lease | null }
  #job: Job | null = null

  constructor(shared: SharedConnection, hooks: ConnectionHooks & { readonly lease: Lease | null }) {
    this.#shared = shared
    this.#hooks = hooks
    this.id = shared.raw.id
    this.native = shared.raw.native
    this.returning = shared.raw.returning
    // They are put in force again with each turn.
    this.inForce.mayStay = false
    this.inForce.base = shared.raw.inForce.base
    shared.views.add(this)
  }

  get inFlight(): number {
    return this.#job === null ? 0 : 1
  }

  get status(): 'idle' | 'tx' | 'failed' | 'unknown' {
    if (this.#job !== null || !this.alive) return 'unknown'
    if (this.transaction === null) return 'idle'
    return this.transaction.failed === null ? 'tx' : 'failed'
  }

  describe(): string {
    return this.#hooks.lease?.holder.describe() ?? 'transaction of a connection that was closed'
  }

  submit(op: Op): void {
    this.submitUnit({ ops: [op] })
  }

  submitUnit({ ops }: Unit): void {
    const job = new Job(this.#shared, this, ops, (self) => new ViewUnit(this.#shared, this, self).run())
    if (this.alive && this.#job === null && !this.quarantined) this.#shared.enqueue((this.#job = job))
    else clock.queueMicrotask(() => job.conclude({ kind: 'closed', outcome: 'not_started' }))
  }

  answered(job: object): void {
    if (this.#job !== job) return
    this.#job = null
    if (!this.quarantined) this.#tellFree()
  }

  async cancel(op: Op, deadline: number): Promise<'cancelled' | 'completed' | 'broken'> {
    const job = this.#job
    if (!this.alive) return 'broken'
    if (job === null || !job.ops.includes(op)) return 'completed'
    this.quarantined = true
    const end = await this.#shared.cancel(job, op, deadline)
    this.quarantined = false
    if (end !== 'broken') this.#tellFree()
    return end
  }

  lend(waitMs: number): Promise<unknown> {
    this.lent = true
    return this.#shared.raw.lend(waitMs)
  }

  async reclaim(deadline: number): Promise<boolean> {
    if (!this.lent) return this.alive
    this.lent = false
    return this.#shared.reclaim(deadline)
  }

  setBaseline(): void {}

  /** Settings come back with the next unit, the rest as soon as nobody is in the way. */
  async reset(dirty: number, deadline: number): Promise<boolean> {
    if (!this.alive || this.#job !== null) return false
    if (this.transaction !== null && !(await before(deadline, this.#shared.rollBack(this)))) return false
    this.dirty = 0
    this.#shared.words.forget(this, dirty === 0 ? Dirty.unknown : dirty)
    return this.alive
  }

  ping(): Promise<boolean> {
    return Promise.resolve(this.alive)
  }

  close(): Promise<void> {
    this.destroy({ kind: 'closed', outcome: 'unknown' })
    return Promise.resolve()
  }

  destroy(cause: Failure): void {
    if (!this.alive) return
    this.alive = false
    void this.reclaim(clock.now() + this.#shared.engine.options.resetTimeoutMs)
    const job = this.#job
    this.#job = null
    this.#shared.dismiss(this, job)
    clock.queueMicrotask(() => {
      job?.conclude({ ...cause, outcome: this.transaction === null ? cause.outcome : 'rolled_back' })
      this.#hooks.lost(this, cause)
    })
  }

  #tellFree(): void {
    const free = (): boolean => this.alive && this.#job === null && this.#shared.failure === null
    if (free()) this.#hooks.room(this)
    if (free()) this.#hooks.idle(this)
  }
}
