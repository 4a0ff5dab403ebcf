// One statement on its way through the engine: the leaf promise between the user and the wire. It settles exactly
// once for the caller; when the caller gave up earlier, the answer that is still due is thrown away here.
import type { Failure, OpState, RawConnection } from '../../driver/driver.ts'
import type { Lease } from '../../pool/lease.ts'
import type { PlacedOp, PoolWaiter } from '../../pool/contract.ts'
import type { Compiled, RowSpec } from '../../sql/compiled.ts'
import type { Within } from '../../sql/statement.ts'
import type { Link } from '../context/chain.ts'
import type { Engine } from '../engine.ts'
import type { Handle } from '../handle.ts'
import { reportStatement, type StatementTrace, traceStatement } from '../report.ts'
import { tellOfCursors } from '../slot/cursor-wait.ts'
import { Waiting } from '../slot/waiting.ts'
import { isReadOnly, noteReadOnly } from '../standby.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import { clock } from '../../util/clock.ts'

/** PostgreSQL: query_canceled. */
const cancelled = '57014'

export class EngineOp<R = unknown> extends Waiting implements PlacedOp, PoolWaiter {
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly spec: RowSpec<R> | null
  readonly decode: ((rows: readonly unknown[], within: Within | null) => readonly R[]) | null
  readonly maxRows: number
  readonly rows: R[] = []
  tag = ''
  count = -1
  state: OpState = 0
  /** The transaction it runs in, fixed when it is admitted. */
  transaction: TransactionRecord | null = null
  /** Why an operation sent before it in the same unit failed. */
  prefixFailure: Failure | null = null
  failure: Failure | null = null
  /** Where it was sent. */
  #raw: RawConnection | null = null
  /** Only while somebody listens. */
  readonly trace: StatementTrace | null
  readonly holder: null = null
  readonly recalledAt: number = 0
  #resolve: (() => void) | null = null
  #reject: ((failure: Failure) => void) | null = null

  constructor(
    engine: Engine,
    chain: Link | undefined,
    handle: Handle | null,
    stmt: Compiled,
    params: readonly unknown[],
    spec: RowSpec<R> | null,
    decode: ((rows: readonly unknown[], within: Within | null) => readonly R[]) | null,
    maxRows: number,
    until: number,
    signal: AbortSignal | null,
  ) {
    super(engine, chain, handle, until, signal)
    this.stmt = stmt
    this.params = params
    this.spec = spec
    this.decode = decode
    this.maxRows = maxRows
    this.trace = traceStatement(this)
  }

  get op(): this {
    return this
  }

  /** Rejects with a `Failure`, which becomes an error only after the caller's await: its stack shows the caller. */
  wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      if (this.state < 2) return
      if (this.failure === null) resolve()
      else this.#reject(this.failure)
    })
  }

  /** Called just before it is submitted: the wait is over, the statement's own deadline goes on. */
  starting(raw: RawConnection): void {
    this.state = 1
    this.#raw = raw
    if (this.until !== Infinity) this.leave()
    if (this.trace !== null) {
      this.trace.sentAt = clock.now()
      this.trace.connection = raw.id
    }
  }

  queued(now: number): void {
    tellOfCursors(this.engine, () => this.describe())
    this.arm('connection', '', now)
  }

  again(): void {
    this.state = 0
    this.rows.length = 0
    this.waitAnew()
  }

  get mayShare(): boolean {
    return this.chain === undefined || this.heldLeases().size === 0
  }

  granted(_lease: Lease): void {}

  done(): void {
    const { state } = this
    if (state === 3) return
    this.state = 3
    this.slot?.answered(this)
    if (state === 2) return
    this.#finish()
    this.#resolve?.()
  }

  fail(failure: Failure): void {
    const { state } = this
    if (state === 3) return
    this.state = 3
    let reason = failure.kind === 'skipped' && this.prefixFailure !== null ? this.prefixFailure : failure
    // It was stopped for the end of the engine, and what became of it is known.
    if (this.engine.pool.stopping && reason.fields?.['code'] === cancelled) reason = { ...reason, kind: 'closed' }
    if (this.transaction === null) this.slot?.flight.failed(reason, this)
    else if (state !== 2) this.transaction.noteFailure(reason, this)
    this.slot?.answered(this)
    if (isReadOnly(reason) && this.#raw !== null) noteReadOnly(this, this.#raw, reason)
    if (state === 2) return
    this.#settle(reason)
  }

  /** Fails it before it was sent. */
  refuse(failure: Failure): void {
    if (this.state === 3) return
    if (this.state === 2) return
    this.state = 3
    this.#settle(failure)
  }

  override expire(now: number): void {
    if (this.state === 0) super.expire(now)
    else if (this.state === 1) this.#abandon({ kind: 'timeout', outcome: 'unknown' })
  }

  override abort(reason: unknown): void {
    if (this.state === 0) super.abort(reason)
    else if (this.state === 1) this.#abandon({ kind: 'aborted', outcome: 'unknown', cause: reason })
  }

  /** Tells the caller now and asks the server to stop; the connection is not used before the server answered. */
  abandon(failure: Failure): void {
    if (this.state === 0) {
      this.slot?.withdraw(this)
      this.refuse(failure)
    } else if (this.state === 1) this.#abandon(failure)
  }

  #abandon(failure: Failure): void {
    this.state = 2
    const told: Failure = { ...failure, outcome: this.transaction === null ? 'unknown' : 'rolled_back' }
    this.transaction?.noteFailure(told, this)
    this.#settle(told)
    if (this.slot !== null) this.slot.cancel(this)
    else this.engine.pool.abandon(this)
  }

  #settle(failure: Failure): void {
    this.failure = failure
    this.#finish()
    this.#reject?.(failure)
  }

  #finish(): void {
    if (this.deadline !== Infinity) this.disarm()
    if (this.signal !== null || this.scopeSignal !== null) this.forget()
    if (this.trace !== null) reportStatement(this, this.trace)
  }

  describe(): string {
    return this.stmt.text.length > 80 ? `${this.stmt.text.slice(0, 77)}…` : this.stmt.text
  }
}
