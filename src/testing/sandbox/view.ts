// A view: the engine takes it for a connection of its pool, but all views are one connection in one transaction.
// It keeps what the engine believes of it (its transaction, its settings) and hands every unit to the shared connection.
import type { ConnectionHooks, Failure, Op, RawConnection, Unit } from '../../driver/driver.ts'
import { Dirty } from '../../sql/compiled.ts'
import { InForce } from '../../sql/settings.ts'
import type { Lease } from '../../pool/member.ts'
import type { Job } from './job.ts'
import { before, clock } from '../../util/clock.ts'
import type { SharedConnection } from './shared.ts'
import type { Setting } from './contract.ts'

/** The transaction the engine believes to be open on a view. */
export interface ViewTransaction {
  /** The savepoint that stands for BEGIN; empty for the transaction of a cursor, which has none. */
  readonly savepoint: string
  /** A statement in it failed: only its end, or the end of a savepoint in it, is accepted. */
  failed: boolean
  /** The sandbox itself refuses to write in it. */
  readOnly: boolean
  /** The cursor of a transaction without a savepoint, to be closed at its end; empty: there is none. */
  cursor: string
}

export function newTransaction(savepoint: string): ViewTransaction {
  return { savepoint, failed: false, readOnly: false, cursor: '' }
}

const closed: Failure = { kind: 'closed', outcome: 'unknown' }

export class View implements RawConnection {
  readonly id: number
  readonly born: number = clock.now()
  readonly maxInFlight: number = 1
  epoch = 0
  dirty = 0
  readonly inForce: InForce = new InForce()
  alive = true
  quarantined = false
  lent = false
  transaction: ViewTransaction | null = null
  /** The settings it has made, in order. */
  settings: Setting[] = []
  /** `Dirty` bits of what it holds in the session beside settings. */
  holds = 0
  readonly #shared: SharedConnection
  readonly #hooks: ConnectionHooks & { readonly lease: Lease | null }
  #job: Job | null = null

  constructor(shared: SharedConnection, hooks: ConnectionHooks & { readonly lease: Lease | null }) {
    this.#shared = shared
    this.#hooks = hooks
    this.id = shared.raw.id
    // They are put in force again with each turn.
    this.inForce.mayStay = false
    this.inForce.base = shared.raw.inForce.base
    shared.views.add(this)
  }

  get returning(): boolean | undefined {
    return this.#shared.raw.returning
  }

  get native(): unknown {
    return this.#shared.raw.native
  }

  get inFlight(): number {
    return this.#job === null ? 0 : 1
  }

  get status(): 'idle' | 'tx' | 'failed' | 'unknown' {
    if (this.#job !== null || !this.alive) return 'unknown'
    if (this.transaction === null) return 'idle'
    return this.transaction.failed ? 'failed' : 'tx'
  }

  /** Its holder, for messages. */
  describe(): string {
    return this.#hooks.lease?.holder.describe() ?? 'transaction of a connection that was closed'
  }

  submit(op: Op): void {
    this.submitUnit({ ops: [op] })
  }

  submitUnit({ ops }: Unit): void {
    if (this.alive && this.#job === null && !this.quarantined) this.#job = this.#shared.enqueue(this, ops)
    else
      clock.queueMicrotask(() => {
        for (const op of ops) op.fail({ kind: 'closed', outcome: 'not_started' })
      })
  }

  /** For the shared connection: a job of this view is over, and its operations have their results. */
  answered(job: Job): void {
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
    if (!this.lent) this.#shared.lenders++
    this.lent = true
    return this.#shared.raw.lend(waitMs)
  }

  async reclaim(deadline: number): Promise<boolean> {
    if (!this.lent) return this.alive
    this.lent = false
    return --this.#shared.lenders > 0 || (await this.#shared.raw.reclaim(deadline))
  }

  setBaseline(): void {}

  /** Settings come back with the next unit, the rest as soon as nobody is in the way. */
  async reset(dirty: number, deadline: number): Promise<boolean> {
    if (!this.alive || this.#job !== null) return false
    if (this.transaction !== null && !(await before(deadline, this.#shared.rollBack(this)))) return false
    this.dirty = 0
    this.#shared.session.forget(this, dirty === 0 ? Dirty.unknown : dirty)
    return this.alive
  }

  ping(): Promise<boolean> {
    return Promise.resolve(this.alive)
  }

  close(): Promise<void> {
    this.#end(closed)
    return Promise.resolve()
  }

  destroy(cause: Failure): void {
    this.#end(cause)
  }

  #end(cause: Failure): void {
    if (!this.alive) return
    this.alive = false
    void this.reclaim(clock.now() + this.#shared.engine.options.resetTimeoutMs)
    const job = this.#job
    this.#job = null
    this.#shared.leave(this, job)
    clock.queueMicrotask(() => {
      job?.fail({ ...cause, outcome: this.transaction === null ? cause.outcome : 'rolled_back' })
      this.#hooks.lost(this, cause)
    })
  }

  #tellFree(): void {
    if (this.alive && this.#job === null) this.#hooks.room(this)
    if (this.alive && this.#job === null) this.#hooks.idle(this)
  }
}
