// One statement on its way through the engine, and the promise of its caller. It settles exactly once for the caller. If the caller
// gave up earlier, the answer that is still due is thrown away here.
import type { Failure, Op, OpState, Portal, RawConnection, RowPort, StatementResult } from '../../driver/driver.ts'
import type { Copying, Lease } from '../../pool/lease.ts'
import type { PlacedOp, PoolWaiter, Wait } from '../../pool/contract.ts'
import { TransactionAbortedError } from '../../errors/index.ts'
import { type Compiled, type RowSpec, type Shape, shortText, standsAlone } from '../../sql/compiled.ts'
import type { Decode } from '../../sql/statement.ts'
import { around, type Link } from '../context/chain.ts'
import type { EngineCore, From, HostSet } from '../core.ts'
import { type Handle, keepsOthersWaiting } from '../context/frame.ts'
import { failureError } from './failure.ts'
import { reportStatement, type StatementTrace, traceStatement } from '../report.ts'
import { tellOfCursors, Waiting } from '../slot/waiting.ts'
import type { StatementTransaction } from '../transaction/statement-transaction.ts'
import { clock } from '../../util/clock.ts'

/** The states by their names, as types: the module that has them is loaded with the first driver. */
const queued: (typeof OpState)['queued'] = 0
const sent: (typeof OpState)['sent'] = 1
const abandoned: (typeof OpState)['abandoned'] = 2
const settled: (typeof OpState)['settled'] = 3

const nothing = (): void => {}
let resolves: (value?: unknown) => void = nothing
let rejects: (failure: Failure) => void = nothing

/**
 * The executor of all promises: a function for each would cost about as much as the promise. The caller has to take both functions at
 * once. A function that stays here would keep the promise alive, and with it the context of the code that waits.
 */
const settleBy = (resolve: (value: never) => void, reject: (failure: Failure) => void): void => {
  resolves = resolve as typeof resolves
  rejects = reject
}

export class EngineOp<R = unknown> extends Waiting implements PlacedOp, PoolWaiter {
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly spec: RowSpec<R> | null
  readonly decode: Decode<R> | null
  readonly maxRows: number
  readonly rows: R[]
  held = 0
  tag = ''
  count = -1
  insertId: bigint | number = 0
  shape: Shape | null = null
  /** The results of a text with several statements; null for any other text. */
  results: StatementResult<R>[] | null = null
  state: OpState = queued
  queueing: Wait | null = null
  /** The transaction it runs in, fixed when it is admitted. */
  transaction: StatementTransaction | null = null
  /** Why an operation sent before it in the same unit failed. */
  prefixFailure: Failure | null = null
  /** The operations that were issued together with it, to travel in one unit. */
  beside: readonly EngineOp[] | null = null
  failure: Failure | null = null
  /** Where it was sent. */
  #raw: RawConnection | null = null
  /** The COPY whose rows come from here or go here. */
  copy: (Copying & { readonly begun: Link | undefined; stop(): void }) | null = null
  /** The receiver of a stream of rows. */
  port: (RowPort & { stop(): void }) | null = null
  /** The portal of a statement whose rows are read in parts. */
  portal: Portal | null = null
  /** Only while somebody listens. */
  readonly trace: StatementTrace | null
  /** The server that its caller asks for. */
  from: From | null = null
  /** `Dirty` bits beyond those of its text, of a statement without a slot. */
  extraDirty = 0
  #resolve: (value?: unknown) => void = nothing
  #reject: (failure: Failure) => void = nothing
  /** Makes the value that its caller gets. Null: the caller waits for the end alone. */
  #give: ((op: EngineOp) => unknown) | null = null

  constructor(
    engine: EngineCore,
    chain: Link | undefined,
    handle: Handle | null,
    stmt: Compiled,
    params: readonly unknown[],
    spec: RowSpec<R> | null,
    decode: Decode<R> | null,
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
    this.rows = maxRows === 1 ? roomForOne() : []
    this.trace = traceStatement(this)
  }

  get holder(): null {
    return null
  }

  get recalledAt(): number {
    return 0
  }

  get op(): this {
    return this
  }

  /** Rejects with a `Failure`, which becomes an error only after the caller's await: its stack shows the caller. */
  wait(): Promise<void> {
    const promise = new Promise<void>(settleBy)
    this.#taken()
    if (this.state < abandoned) return promise
    if (this.failure === null) this.#resolve()
    else this.#reject(this.failure)
    return promise
  }

  /**
   * The promise of the caller itself, with no other between it and the wire. It gets the result of `give`, which runs no code of
   * users, or the error.
   */
  answer<T>(give: (op: EngineOp) => unknown): Promise<T> {
    this.#give = give
    const promise = new Promise<T>(settleBy)
    this.#taken()
    if (this.state < abandoned) return promise
    if (this.failure === null) this.#succeed()
    else this.#resolve(failing<T>(this, this.failure))
    return promise
  }

  #taken(): void {
    this.#resolve = resolves
    this.#reject = rejects
    resolves = rejects = nothing
  }

  #succeed(): void {
    if (this.#give === null) {
      this.#resolve()
      return
    }
    let value: unknown
    try {
      value = this.#give(this)
    } catch {
      // It is made again where the caller is in its stack.
      value = failing(this as EngineOp, null, this.#give)
    }
    this.#resolve(value)
  }

  /** Called just before it is submitted: the wait is over, the statement's own deadline goes on. */
  starting(raw: RawConnection): void {
    this.state = sent
    this.#raw = raw
    if (this.extraDirty !== 0) raw.dirty |= this.extraDirty
    this.engine.hosts?.sent()
    if (this.until !== Infinity) this.leave()
    if (this.trace !== null) {
      this.trace.sentAt = clock.now()
      this.trace.connection = raw.id
      if (this.engine.hosts !== null) this.trace.server = this.engine.hosts.serverOf(raw)
    }
  }

  /** A COPY is made in one place and begun in another, maybe by the source of one that is open. */
  override around(): readonly object[] {
    const made = super.around()
    return this.copy === null ? made : [...new Set([...made, ...around(this.engine, this.copy.begun)])]
  }

  queued(now: number): void {
    tellOfCursors(this.engine, () => this.describe())
    this.engine.hosts?.awaited()
    this.arm('connection', '', now)
  }

  again(): void {
    this.state = queued
    this.rows.length = 0
    if (this.results !== null) this.results.length = 0
    this.waitAnew()
  }

  rejoin(): void {
    this.away = null
    this.engine.pool.place(this)
  }

  /** Whether what it did outside of a transaction stands, now that it is over. */
  get kept(): boolean {
    return this.stmt.cls !== 'read' && this.slot?.flight.isOfTyped(this) !== true
  }

  get mayShare(): boolean {
    return this.extraDirty === 0 && !keepsOthersWaiting(this.engine, this.chain)
  }

  get mayRepeat(): boolean {
    return this.engine.functions.mayRepeat(this.stmt)
  }

  get standsAlone(): boolean {
    return standsAlone(this.stmt)
  }

  unframe(raw: RawConnection): readonly Op[] | null {
    return this.engine.runtime.switchOps(this.engine, raw, null, this, false)
  }

  granted(_lease: Lease): void {}

  done(): void {
    const { state } = this
    if (state === settled) return
    this.state = settled
    if (this.engine.hosts !== null) this.#noteWrite(this.engine.hosts)
    if (this.slot !== null) this.slot.answered(this)
    else if (this.stmt.names !== 0) this.engine.functions.noteChange(this.stmt)
    if (state === abandoned) return
    this.#finish()
    this.#succeed()
  }

  fail(failure: Failure): void {
    const { state } = this
    if (state === settled) return
    this.state = settled
    if (this.engine.hosts !== null) {
      if (state === sent && this.transaction === null && this.engine.hosts.retriesOnPrimary(this, failure))
        return this.#retryOnPrimary()
      this.#noteWrite(this.engine.hosts)
    }
    let reason = failure.kind === 'skipped' && this.prefixFailure !== null ? this.prefixFailure : failure
    // It was stopped for the end of the engine, and its outcome is known.
    if (this.pool.stopping && isStop(this.engine, reason)) reason = { ...reason, kind: 'closed' }
    if (this.transaction === null) this.slot?.flight.failed(reason, this, this.#raw?.status === 'idle')
    else if (state !== abandoned) this.transaction.noteFailure(reason, this)
    this.slot?.answered(this)
    if (this.#raw !== null) this.engine.runtime.noteReadOnly(this, this.#raw, reason)
    if (state === abandoned) return
    this.#settle(reason)
  }

  /** A replica has not done it: the primary does. */
  #retryOnPrimary(): void {
    const { slot } = this
    slot?.answered(this)
    this.again()
    this.from = 'primary'
    if (slot === null) this.rejoin()
    else slot.sendAgain(this)
  }

  #noteWrite(hosts: HostSet): void {
    const { stmt, engine } = this
    if (this.away !== null || (this.slot?.reads?.pool ?? null) !== null) return
    if (stmt.cls === 'control') {
      if (stmt.control === 'commit' && this.slot?.forCursor !== true) hosts.noteWrite()
    } else if (stmt.cls !== 'read' || (stmt.leaves === true && !engine.functions.isPlain(stmt))) hosts.noteWrite()
  }

  /** Fails it before it was sent. */
  refuse(failure: Failure): void {
    if (this.state >= abandoned) return
    this.state = settled
    this.#settle(failure)
  }

  override expire(now: number): void {
    if (this.state === queued) super.expire(now)
    else if (this.state === sent) this.#abandon({ kind: 'timeout', outcome: 'unknown' })
  }

  override abort(reason: unknown): void {
    if (this.state === queued) super.abort(reason)
    else if (this.state === sent) this.#abandon({ kind: 'aborted', outcome: 'unknown', cause: reason })
  }

  /** Tells the caller now and asks the server to stop; the connection is not used before the server answered. */
  abandon(failure: Failure): void {
    if (this.state === queued) {
      this.slot?.withdraw(this)
      this.refuse(failure)
    } else if (this.state === sent) this.#abandon(failure)
  }

  #abandon(failure: Failure): void {
    this.state = abandoned
    const told: Failure = { ...failure, outcome: this.transaction === null ? 'unknown' : 'rolled_back' }
    this.transaction?.noteFailure(told, this)
    this.#settle(told)
    this.#stop()
  }

  #stop(): void {
    this.copy?.stop()
    this.port?.stop()
    if (this.slot !== null) this.slot.cancel(this)
    else this.pool.abandon(this)
  }

  /** The rest of its rows is not wanted, or cannot be read: the server is asked to stop, and its transaction goes on. */
  drop(failure: Failure | null = null): void {
    if (this.state === queued) this.abandon({ kind: 'aborted', outcome: 'not_started' })
    if (this.state !== sent) return
    this.state = abandoned
    this.failure = failure
    this.#finish()
    this.#succeed()
    this.#stop()
  }

  #settle(failure: Failure): void {
    this.failure = failure
    this.#finish()
    if (this.#give === null) this.#reject(failure)
    else this.#resolve(failing(this as EngineOp, failure))
  }

  #finish(): void {
    if (this.deadline !== Infinity) this.disarm()
    if (this.signal !== null || this.scopeSignal !== null) this.forget()
    if (this.trace !== null) reportStatement(this, this.trace)
  }

  describe(): string {
    return shortText(this.stmt)
  }
}

/** The server has stopped it, or it was not sent any more. */
function isStop({ dialect }: EngineCore, { kind, fields = {} }: Failure): boolean {
  return kind === 'aborted' || dialect.explain(fields).kind === 'cancelled'
}

const turn = Promise.resolve()

/** An error is made two turns later, when the caller waits for this promise through its own: so its line is in the stack. */
async function failing<T>(op: EngineOp, failure: Failure | null, give?: (op: EngineOp) => unknown): Promise<T> {
  await turn
  await turn
  if (failure === null) return give?.(op) as T
  const error = failureError(failure, op)
  // The failure that caused it is reported first, so that `Promise.all` rejects with that one.
  if (error instanceof TransactionAbortedError) await new Promise<void>((resolve) => clock.setImmediate(resolve))
  throw error
}

const taken: unknown = null

/** A list, mostly of one: with its first member an empty one takes room for seventeen. */
export function roomForOne<T>(): T[] {
  const list = [taken]
  list.pop()
  return list as T[]
}
