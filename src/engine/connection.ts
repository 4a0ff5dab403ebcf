// A connection: a handle on a slot. The owner made the slot and ends it; a reusing connection shares it, gives nothing
// back and dies with it. Handles are fenced: after release they throw instead of touching somebody else's connection.
import { ReleasedConnectionError, TransactionStateError } from '../errors/index.ts'
import type { Refusal } from '../driver/driver.ts'
import { notice } from '../observe/notice.ts'
import type { Expiring } from '../util/ticker.ts'
import { currentChain, handleDefaults, isInside, type Link, runInFrame, transactionOn } from './context/chain.ts'
import { Frame } from './context/frame.ts'
import type { Engine } from './engine.ts'
import { Executor } from './query/executor.ts'
import { failureError, isFailure, thrownError } from './query/failure.ts'
import { callOptions, type Handle, type IsHandle, placeOf } from './handle.ts'
import type { EngineOp } from './query/op.ts'
import { defaultsChecks, type QueryDefaults } from './query/query-options.ts'
import { releaseChecks, type ReleaseOptions } from './release-options.ts'
import { lend } from './slot/control.ts'
import type { Slot } from './slot/slot.ts'
import { Turn } from './slot/turn.ts'
import { addHook, innermost } from './transaction/after.ts'
import type { Hook } from './transaction/hooks.ts'
import type { ManualTransaction } from './transaction/manual.ts'
import { type TransactionOptions, transactionOptions, type TransactionPlace } from './transaction-options.ts'
import type { TransactionRecord } from './transaction/record.ts'
import { needsFunction } from '../util/checks.ts'
import { readAgain } from '../util/options.ts'
import type { Transaction } from './transaction/transaction.ts'
import { clock } from '../util/clock.ts'

// A handle in the types only: the key of an interface, which a class cannot have without its value.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface Connection extends IsHandle {}

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
  readonly #home: TransactionRecord | null
  readonly #defaults: QueryDefaults | null
  #released = false
  /** It holds a connection that is not its own. */
  #holds = false

  /** @internal `home`: the transaction it belongs to, if that is not the one in which the code that makes it runs. */
  constructor(
    engine: Engine,
    slot: Slot,
    chain: Link | undefined,
    owner: boolean,
    defaults: QueryDefaults | null = null,
    home: TransactionRecord | null = owner ? null : transactionOn(slot, chain),
  ) {
    super()
    this.#engine = engine
    this.#slot = slot
    this.chain = chain
    this.owner = owner
    this.#home = home
    this.#defaults = defaults
  }

  /** @internal */
  get home(): TransactionRecord | null {
    return this.#home
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
    this.#checkUsable('This statement')
    return this.#slot
  }

  /** @internal */
  override placeHere(reuse: boolean): TransactionPlace {
    this.#checkUsable('transaction()')
    return { db: null, chain: currentChain(), handle: this, slot: reuse ? this.#slot : null }
  }

  /** @internal */
  override transactionHere(): TransactionRecord | null {
    return transactionOn(this.#slot, currentChain()) ?? this.home
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

  /**
   * True after a permanent release of this handle or of the owner it reuses. In a transaction that finishes first it is
   * false until that has ended.
   */
  get released(): boolean {
    if (this.#released || !this.#slot.closed) return this.#released
    const chain = currentChain()
    return !this.#slot.stack.some((record) => record.open && record.admitsFrom(chain, this))
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
    this.#checkUsable('rawConnection()')
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
    return this.#engine.transact(this.placeHere(options.reuse !== false), work, options)
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
    if (this.#isAmbient(chain))
      throw new TransactionStateError(
        'begin() on the ambient connection would make every statement around it wait. Use transaction(work), or begin() on ' +
          'a connection of its own from acquire().',
      )
    return this.#engine.beginOn({ db: null, chain, handle: this, slot: this.#slot }, options)
  }

  /** Statements without a handle run on it somewhere: in a callback that is running, or in the transaction around. */
  #isAmbient(chain: Link | undefined): boolean {
    if (this.#slot.ambient > 0 || (this.home !== null && !this.home.manual)) return true
    for (let link = chain; link !== undefined; link = link.next)
      if (link.frame.kind === 'transaction' && link.frame.slot === this.#slot) return true
    return false
  }

  /** Makes this connection, or the owner it reuses, ambient for `work`; releases nothing. */
  async run<T>(work: (connection: this) => Promise<T> | T): Promise<T> {
    needsFunction(work, 'run()')
    this.#checkUsable('run()')
    const slot = this.#slot
    const record = this.home ?? transactionOn(slot, currentChain())
    const frame = new Frame('run', this.#engine, null, slot, null, slot.settings)
    frame.connection = this
    frame.defaults = this.#defaults
    try {
      if (record === null) return await runInFrame(frame, () => work(this))
      return await runInFrame(frame, () => (record.handle as Transaction).run(() => work(this)))
    } finally {
      frame.end()
    }
  }

  /**
   * Runs `hook` after the innermost transaction open on this connection has committed, as `tx.afterCommit` does. Where none
   * is open it runs at once; then the promise settles as the hook does, else at once.
   */
  afterCommit(hook: Hook): Promise<void> {
    return addHook('commit', hook, () => innermost(this.#slot, this))
  }

  /** Runs `hook` after the innermost transaction open on this connection was rolled back; never where none is open. */
  afterRollback(hook: Hook): Promise<void> {
    return addHook('rollback', hook, () => innermost(this.#slot, this))
  }

  /**
   * Runs `work`, which waits for something other than the database; meanwhile the raw connection goes back whenever
   * nothing needs it. Statements issued meanwhile borrow again. In a transaction, or with session state the user
   * relies on, the connection is kept, and that is told as `held-while-idle`.
   * @throws {ReleasedConnectionError} after release.
   */
  async idle<T>(work: () => Promise<T> | T): Promise<T> {
    needsFunction(work, 'idle()')
    this.#checkUsable('idle()')
    return idleOn(this.#slot, work)
  }

  /**
   * Ends the handle, or with `permanent: false` only hands the raw connection back; idempotent. What was issued before
   * still runs, an open managed transaction finishes first, a
   * manual one is rolled back with a warning, a cursor is closed. A reusing connection gives nothing back.
   * @throws {AcquireTimeoutError} when that takes longer than `pool.acquireTimeoutMs`: the handle stays closed, and the
   * connection goes back when it can.
   * @throws {TransactionStateError} inside of a transaction on this connection; with `permanent: false` also when one is
   * open, or session state pinned, after what was issued before has run.
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
    if (closing !== null) await this.#inTime(closing)
  }

  /** Waits for the connection to be back, as long as one may wait for a connection. */
  async #inTime(closing: Promise<void>): Promise<void> {
    const slot = this.#slot
    const { ticker, options, pool } = this.#engine
    const waitedMs = options.pool.acquireTimeoutMs
    const since = clock.now()
    let limit: Expiring | null = null
    const late = new Promise<never>((_, reject) => {
      const expire = (): void => {
        const refusal: Refusal = {
          reason: 'acquire-timeout',
          phase: slot.top === undefined ? 'connection' : 'transaction',
          waitedMs: Math.round(clock.now() - since),
          holders: [slot.describe()],
          stats: { ...pool.stats() },
        }
        reject(failureError({ kind: 'refused', outcome: 'not_started', refusal }, null))
      }
      limit = { deadline: since + waitedMs, expire }
      if (waitedMs !== Infinity) ticker.add(limit)
    })
    try {
      await Promise.race([closing, late])
    } finally {
      if (limit !== null && waitedMs !== Infinity) ticker.remove(limit)
    }
  }

  async #releaseForNow(discardSession: boolean): Promise<void> {
    const slot = this.#slot
    if (!this.owner || this.#released || slot.closed || (slot.lease === null && !slot.busy)) return
    this.#checkLendable(discardSession)
    let back: void | Promise<void> = undefined
    // What was issued before has run now: it may have begun a transaction, or set what the user relies on.
    const act = (): void => {
      this.#checkLendable(discardSession)
      if (slot.lease !== null) back = slot.handBack()
    }
    const turn = new Turn(this.#engine, currentChain(), this, { quiet: true, borrows: false, act })
    slot.send(turn)
    try {
      await turn.wait()
    } catch (thrown) {
      // Released for good meanwhile, or none could be borrowed: there is nothing to hand back.
      if (!slot.closed && !(isFailure(thrown) && slot.lease === null)) throw thrownError(thrown, null)
    }
    await (back as Promise<void> | undefined)
  }

  #checkLendable(discardSession: boolean): void {
    const { top, busy, lease, pins } = this.#slot
    const what = 'release({ permanent: false }) cannot hand the connection back while'
    if (top !== undefined) throw new TransactionStateError(`${what} the ${top.describe()} is open on it.`)
    if (!busy && lease !== null && lease.raw.status !== 'idle')
      throw new TransactionStateError(`${what} a transaction begun by text is open on it.`)
    if (pins !== 0 && !discardSession)
      throw new TransactionStateError(
        'release({ permanent: false }) would lose session state this connection was used to set (SET, LISTEN, temporary ' +
          'tables, advisory locks, PREPARE or rawConnection()). Keep it, or pass { discardSession: true }.',
      )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }

  #checkUsable(method: string): void {
    if (this.released) throw this.#releasedError(method)
    if (this.home !== null && !this.home.open) throw this.home.ended()
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
