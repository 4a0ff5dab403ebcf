// A connection: a handle on a slot. The owner made the slot and ends it; a reusing connection shares it, gives nothing
// back and dies with it. Handles are fenced: after release they throw instead of touching somebody else's connection.
import { ReleasedConnectionError, TransactionStateError } from '../errors/index.ts'
import { notice } from '../observe/notice.ts'
import { ambientFrame, currentChain, handleDefaults, isInside, type Link, runInFrame } from './context/chain.ts'
import { Frame } from './context/frame.ts'
import type { Engine } from './engine.ts'
import { Executor } from './query/executor.ts'
import { thrownError } from './query/failure.ts'
import { callOptions, type Handle, type IsHandle, placeOf } from './handle.ts'
import type { EngineOp } from './query/op.ts'
import { defaultsChecks, type QueryDefaults } from './query/query-options.ts'
import { lend } from './slot/control.ts'
import type { Slot } from './slot/slot.ts'
import { Turn } from './slot/turn.ts'
import type { ManualTransaction } from './transaction/manual.ts'
import { type TransactionOptions, transactionOptions } from './transaction-options.ts'
import { boolean, needsFunction } from '../util/checks.ts'
import { type Checks, readAgain } from '../util/options.ts'
import type { Transaction } from './transaction/transaction.ts'
import { clock } from '../util/clock.ts'

export interface ReleaseOptions {
  /**
   * False: hands the raw connection back and keeps the handle, which borrows again when it is next used. Default true.
   * (GINO: `release(permanent=False)`.)
   */
  readonly permanent?: boolean | undefined
  /** With `permanent: false`: gives up session state the connection is pinned for (SET, LISTEN, temporary tables, …). */
  readonly discardSession?: boolean | undefined
}

// A handle in the types only: the key of an interface, which a class cannot have without its value.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface Connection extends IsHandle {}

const releaseChecks: Checks<ReleaseOptions> = { permanent: boolean, discardSession: boolean }

/**
 * A handle on at most one raw connection, borrowed when it is first needed. Statements issued together take turns.
 * (GINO: `GinoConnection`.)
 */
export class Connection extends Executor implements AsyncDisposable {
  /** @internal */
  readonly chain: Link | undefined
  /** Whether it owns its slot, rather than reusing another's. */
  readonly owner: boolean
  readonly #engine: Engine
  readonly #slot: Slot
  readonly #defaults: QueryDefaults | null
  #released = false
  /** It holds a connection that is not its own. */
  #holds = false

  /** @internal */
  constructor(
    engine: Engine,
    slot: Slot,
    chain: Link | undefined,
    owner: boolean,
    defaults: QueryDefaults | null = null,
  ) {
    super()
    this.#engine = engine
    this.#slot = slot
    this.chain = chain
    this.owner = owner
    this.#defaults = defaults
  }

  /** @internal */
  override engineHere(): Engine {
    return this.#engine
  }

  /** @internal */
  override engineQuietly(): Engine {
    return this.#engine
  }

  /** @internal */
  override slotHere(): Slot {
    return this.#slot
  }

  /** @internal */
  override handleHere(): Handle {
    return this
  }

  /** @internal */
  override defaultsHere(): QueryDefaults | null {
    return handleDefaults(this.#slot, this, this.#defaults)
  }

  /** @internal */
  override send(op: EngineOp): void {
    if (this.#released) op.refuseWith(this.#releasedError('This statement'))
    else if (op.stmt.hasControl && (!this.#slot.explicit || this.#slot.top !== undefined))
      op.refuseWith(this.#engine.controlRefused(op.stmt))
    else this.#slot.send(op)
  }

  /** True after a permanent release of this handle or of the owner it reuses. */
  get released(): boolean {
    return this.#released || this.#slot.closed
  }

  /** Whether a raw connection is borrowed now. May become false between two statements, when others wait: see `hold`. */
  get borrowed(): boolean {
    return this.#slot.lease !== null
  }

  /** The driver's object while one is borrowed, else undefined; never borrows. (GINO: `raw_connection`.) */
  get raw(): unknown {
    return this.#released ? undefined : this.#slot.lease?.raw.native
  }

  /**
   * Borrows if need be and lends the driver's own object. Settings of the scope and the transaction around it are sent first,
   * so what is done with it belongs to them. From then on neither side sends while the other has anything in flight: a
   * statement of the connection waits for a query or cursor of the object, for `pool.acquireTimeoutMs` at most. The
   * connection is kept until it is released; then the object is of no more use, its last answer is awaited, and the session
   * is reset whatever was done with it. Meanwhile the process is kept alive. (GINO: `get_raw_connection`.)
   * @throws {ReleasedConnectionError} after release.
   * @throws {AcquireTimeoutError} when none becomes free in time.
   */
  async rawConnection(options?: QueryDefaults): Promise<unknown> {
    await this.borrow(callOptions(options, defaultsChecks, 'rawConnection()').timeoutMs)
    const slot = this.#slot
    if (slot.owes) await this.scalar('select 1')
    let lent: Promise<unknown> = Promise.resolve()
    const act = (): void => {
      lent = lend(slot)
    }
    const turn = new Turn(this.#engine, currentChain(), this, { quiet: true, borrows: true, act })
    slot.send(turn)
    try {
      await turn.wait()
      return await lent
    } catch (thrown) {
      throw thrownError(thrown, null)
    }
  }

  /** @internal The connection is held until this handle is released. */
  hold(): void {
    this.#holds = !this.owner
    this.#slot.hold()
  }

  /** @internal Borrows now. */
  async borrow(timeoutMs?: number): Promise<void> {
    if (this.#released) throw this.#releasedError('rawConnection()')
    if (this.#slot.lease !== null) return
    const until = timeoutMs === undefined ? Infinity : clock.now() + timeoutMs
    const turn = new Turn(this.#engine, currentChain(), this, { quiet: false, borrows: true, act: () => {}, until })
    this.#slot.send(turn)
    try {
      await turn.wait()
    } catch (thrown) {
      throw thrownError(thrown, null)
    }
  }

  override async transaction<T>(
    work: (tx: Transaction) => Promise<T> | T,
    given?: TransactionOptions | Handle,
  ): Promise<T> {
    needsFunction(work, 'transaction()', 'or begin() opens one by hand')
    const options = transactionOptions(given, 'transaction()')
    const there = placeOf(options.on, this, 'transaction()')
    if (there !== this) return there.transaction(work, readAgain(options, { on: undefined }))
    this.#checkUsable('transaction()')
    const slot = options.reuse === false ? null : this.#slot
    return this.#engine.transact({ db: null, chain: currentChain(), handle: this, slot }, work, options)
  }

  /**
   * Opens a transaction that ends by `commit()`, `rollback()` or disposal. Statements of this handle run inside.
   * @throws {TransactionStateError} on an ambient connection, where others would wait for it unknowingly.
   */
  async begin(given?: TransactionOptions | Handle): Promise<ManualTransaction> {
    const options = transactionOptions(given, 'begin()')
    const there = placeOf(options.on, this, 'begin()')
    if (there !== this) return there.begin(readAgain(options, { on: undefined }))
    this.#checkUsable('begin()')
    const chain = currentChain()
    if (ambientFrame(this.#engine, chain)?.slot === this.#slot)
      throw new TransactionStateError(
        'begin() on the ambient connection would make every statement around it wait. Use transaction(work), or begin() on ' +
          'a connection of its own from acquire().',
      )
    return this.#engine.beginOn({ db: null, chain, handle: this, slot: this.#slot }, options)
  }

  /** Makes this connection, or the owner it reuses, ambient for `work`; releases nothing. */
  async run<T>(work: (connection: this) => Promise<T> | T): Promise<T> {
    needsFunction(work, 'run()')
    this.#checkUsable('run()')
    const slot = this.#slot
    const top = slot.top
    const frame = new Frame('owner', this.#engine, null, slot, null, slot.settings)
    frame.connection = this
    frame.defaults = this.#defaults
    try {
      if (top !== undefined && top.admitsFrom(this.chain, this) && !top.manual)
        return await runInFrame(frame, () => (top.handle as Transaction).run(() => work(this)))
      return await runInFrame(frame, () => work(this))
    } finally {
      frame.end()
    }
  }

  /**
   * Runs `work`, which waits for something other than the database; meanwhile the raw connection goes back whenever
   * nothing needs it. Statements issued meanwhile borrow again. In a transaction, or with session state the user
   * relies on, the connection is kept, and that is told as `held-while-idle`.
   */
  async idle<T>(work: () => Promise<T> | T): Promise<T> {
    needsFunction(work, 'idle()')
    return idleOn(this.#slot, work)
  }

  /**
   * Ends the handle, or with `permanent: false` only hands the raw connection back; idempotent. What was issued before
   * still runs, an open managed transaction finishes first, a
   * manual one is rolled back with a warning, a cursor is closed. A reusing connection gives nothing back.
   * @throws {TransactionStateError} inside of a transaction on this connection; with `permanent: false` also while one
   * is open or session state is pinned.
   */
  async release(given?: ReleaseOptions): Promise<void> {
    const { permanent, discardSession } = callOptions(given, releaseChecks, 'release()')
    const slot = this.#slot
    if (permanent === false) return this.#releaseForNow(discardSession === true)
    if (this.#released) return
    if (!this.owner) {
      this.#released = true
      if (this.#holds) this.#slot.unhold()
      return
    }
    const chain = currentChain()
    for (const record of slot.stack) {
      if (isInside(record, chain))
        throw new TransactionStateError(
          `release() was called inside of the transaction begun at ${record.place} on the same connection. Release after it.`,
        )
    }
    this.#released = true
    const closing = this.#engine.closeSlot(slot)
    if (closing !== null) await closing
  }

  async #releaseForNow(discardSession: boolean): Promise<void> {
    const slot = this.#slot
    if (!this.owner || this.#released || slot.closed || slot.lease === null) return
    if (slot.top !== undefined)
      throw new TransactionStateError(
        `release({ permanent: false }) cannot hand the connection back while the ${slot.top.describe()} is open on it.`,
      )
    if (!slot.busy && slot.lease.raw.status !== 'idle')
      throw new TransactionStateError(
        'release({ permanent: false }) cannot hand the connection back while a transaction begun by text is open on it.',
      )
    if (slot.pins !== 0 && !discardSession)
      throw new TransactionStateError(
        'release({ permanent: false }) would lose session state this connection was used to set (SET, LISTEN, temporary ' +
          'tables, advisory locks, PREPARE or rawConnection()). Keep it, or pass { discardSession: true }.',
      )
    let back: void | Promise<void> = undefined
    const act = (): void => {
      back = slot.handBack()
    }
    const turn = new Turn(this.#engine, currentChain(), this, { quiet: true, borrows: false, act })
    slot.send(turn)
    try {
      await turn.wait()
    } catch (thrown) {
      // Released for good meanwhile: there is nothing left to hand back.
      if (!slot.closed) throw thrownError(thrown, null)
    }
    await (back as Promise<void> | undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }

  #checkUsable(method: string): void {
    if (this.released) throw this.#releasedError(method)
  }

  #releasedError(what: string): ReleasedConnectionError {
    return new ReleasedConnectionError(
      `${what} came after this connection had been released. Acquire another one, or release with { permanent: false } to keep the handle.`,
    )
  }

  override toString(): string {
    const slot = this.#slot
    const kind = this.owner ? 'owner' : 'reusing'
    if (this.released) return `Connection { ${kind}, released }`
    const raw = slot.lease === null ? 'no raw connection' : `raw ${slot.lease.raw.id}`
    return `Connection { ${kind}, ${raw}${slot.top === undefined ? '' : `, ${slot.stack.length} open transaction(s)`} }`
  }
}

/** Runs `work` while the slot may hand its connection back; see `Connection.idle`. */
export async function idleOn<T>(slot: Slot, work: () => Promise<T> | T): Promise<T> {
  if (slot.lease !== null && (slot.top !== undefined || slot.pins !== 0))
    notice(
      'held-while-idle',
      'A connection is kept while code waits in idle(), because it is in a transaction or pinned.',
      {
        engine: slot.engine.name,
        places: [slot.describe()],
        warn: false,
      },
    )
  slot.addIdler()
  try {
    return await work()
  } finally {
    slot.removeIdler()
  }
}
