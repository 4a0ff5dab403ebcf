// A connection: a handle on a slot. The owner made the slot and ends it; a reusing connection shares it, gives nothing
// back and dies with it. Handles are fenced: after release they throw instead of touching somebody else's connection.
import type { QueryDefaults } from './core.ts'
import { ReleasedConnectionError, TransactionStateError } from '../errors/index.ts'
import { isFailure, type Refusal } from '../driver/driver.ts'
import { clock, deferred } from '../util/clock.ts'
import {
  currentChain,
  handleDefaults,
  isInside,
  type Link,
  runInFrame,
  settingsOn,
  transactionOn,
} from './context/chain.ts'
import { type Enclosing, Frame, type Settings, type Handle, type IsHandle, overlayOf } from './context/frame.ts'
import { atThisPlace } from './context/place.ts'
import { Executor } from './query/executor.ts'
import { failureError, thrownError } from './query/failure.ts'
import { callOptions, placeOf, releaseChecks, type ReleaseOptions } from './handle.ts'
import type { Position } from './hosts/position.ts'
import type { EngineOp } from './query/op.ts'
import type { Slot, TransactionPlace } from './slot/slot.ts'
import { Turn } from './slot/waiting.ts'
import { addHook, type Hook } from './transaction/hooks.ts'
import type { ManualTransaction, Transaction } from './transaction/transaction.ts'
import { type TransactionOptions, transactionOptions } from './transaction/options.ts'
import { type Checks, duration, needsFunction, readAgain } from '../util/options.ts'
import type { RunningEngine } from './runtime.ts'

// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- a class has no key without its value
export interface Connection extends IsHandle {}

const rawChecks: Checks<Pick<QueryDefaults, 'timeoutMs'>> = { timeoutMs: duration }

/**
 * A handle on at most one raw connection, which is borrowed when first needed. Statements issued together run one by one.
 * (GINO: `GinoConnection`.)
 */
export class Connection extends Executor implements AsyncDisposable {
  /** Whether it owns its slot, rather than reusing another's. */
  readonly owner: boolean
  readonly #engine: RunningEngine
  readonly #slot: Slot
  readonly #chain: Link | undefined
  readonly #home: Enclosing | null
  readonly #overlay: Frame | null
  readonly #defaults: QueryDefaults | null
  #released = false
  /** It holds a connection that is not its own. */
  #holds = false

  /**
   * @internal
   * @param as Whether the slot ends with it, or is that of another handle.
   * @param home The transaction it belongs to, if that is not the one in which the code that makes it runs.
   */
  constructor(
    engine: RunningEngine,
    slot: Slot,
    chain: Link | undefined,
    as: 'owner' | 'reusing',
    defaults: QueryDefaults | null = null,
    home: Enclosing | null = as === 'owner' ? null : transactionOn(slot, chain),
  ) {
    super()
    this.#engine = engine
    this.#slot = slot
    this.#chain = chain
    this.owner = as === 'owner'
    this.#overlay = this.owner ? null : overlayOf(engine, chain, home?.handle)
    this.#home = home
    this.#defaults = defaults
  }

  /** @internal The chain of the code that made it. */
  get chain(): Link | undefined {
    return this.#chain
  }

  /** @internal The transaction it belongs to. */
  get home(): Enclosing | null {
    return this.#home
  }

  /** @internal Settings that it keeps from where it was made. */
  get overlay(): Frame | null {
    return this.#overlay
  }

  /** @internal */
  override engineHere(): RunningEngine {
    return this.#engine
  }

  /** @internal */
  override engineQuietly(): RunningEngine {
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
  override transactionHere(): Enclosing | null {
    return transactionOn(this.#slot, currentChain()) ?? this.home
  }

  /** @internal */
  override settingsHere(): Settings | null {
    return settingsOn(this.#slot, currentChain(), this)
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
    else if (op.stmt.hasControl && (!this.#slot.explicit || this.#slot.top !== null))
      op.refuseWith(this.#engine.controlRefused(op.stmt))
    else this.#slot.send(op)
  }

  /**
   * True after a permanent release of this handle or of the owner it reuses. While the release waits for a transaction
   * to finish, it is still false.
   */
  get released(): boolean {
    if (this.#released || !this.#slot.closed) return this.#released
    const chain = currentChain()
    return !this.#slot.stack.all.some((record) => record.open && record.admitsFrom(chain, this))
  }

  /** Whether a raw connection is borrowed now. It may become false between two statements while others wait: see `hold`. */
  get borrowed(): boolean {
    return this.#slot.lease !== null
  }

  /** The driver's own object while a connection is borrowed, else undefined. Never borrows. (GINO: `raw_connection`.) */
  get raw(): unknown {
    return this.#released ? undefined : this.#slot.lease?.raw.native
  }

  /**
   * Lends the driver's own object, and borrows a connection first if there is none. The settings and the BEGIN of the scope and
   * transaction around it are sent before, so its queries belong to them. From then on neither side sends while the other waits
   * for an answer: a statement here waits for a query or cursor of the object, at most `pool.acquireTimeoutMs`. The connection is
   * kept, and the process alive, until release; then the session is reset. (GINO: `get_raw_connection`.)
   *
   * It is a `Client` of `pg` with `driver: 'pg'`, a `PGlite`, or the `Connection` of `mysql2`. The driver of `postgres:` URLs has none.
   * @throws {UsageError} when the driver has no such object.
   * @throws {ReleasedConnectionError} after release.
   * @throws {AcquireTimeoutError} when none becomes free in time.
   */
  async rawConnection(options?: Pick<QueryDefaults, 'timeoutMs'>): Promise<unknown> {
    const { timeoutMs } = callOptions(options, rawChecks, 'rawConnection()')
    this.#checkUsable('rawConnection()')
    const slot = this.#slot
    let lent = null as Promise<unknown> | null
    // The statements issued before are not over. They may leave a transaction open, or state in the session.
    let owes = slot.top !== null && slot.busy
    for (;;) {
      const settings = this.settingsHere()
      const limit = slot.lease === null ? (timeoutMs ?? Infinity) : Infinity
      owes ||= slot.needsPrefix(settings) || (slot.lease === null && settings !== null)
      // Both are issued at once, so that what is issued behind this call comes behind both.
      const paid = owes ? this.scalar('select 1', [], { timeoutMs: limit }) : null
      paid?.catch(() => {})
      let failed = false
      const act = (): void => {
        owes = slot.needsPrefix(settings)
        if (!owes && !failed) lent = this.#engine.runtime.lend(slot)
      }
      const until = clock.now() + limit
      const turn = new Turn(this.#engine, currentChain(), this, { untilQuiet: true, borrows: true, act, until })
      slot.send(turn)
      try {
        await paid
        await turn.wait()
        if (lent !== null) return await lent
      } catch (thrown) {
        failed = true
        throw thrownError(thrown, this.#engine)
      }
    }
  }

  /** @internal The connection is held until this handle is released. */
  hold(): void {
    this.#holds = !this.owner
    this.#slot.hold()
  }

  /** Like `db.position()`, but asks on this connection. */
  position(): Promise<Position> {
    return this.#engine.runtime.askPosition(this)
  }

  /** @internal Borrows now. */
  async borrow(timeoutMs?: number): Promise<void> {
    this.#checkUsable('rawConnection()')
    if (this.#slot.lease !== null) return
    const until = timeoutMs === undefined ? Infinity : clock.now() + timeoutMs
    const turn = new Turn(this.#engine, currentChain(), this, {
      untilQuiet: false,
      borrows: true,
      reads: (this.#slot.reads?.host ?? null) !== null,
      act: () => {},
      until,
    })
    this.#slot.send(turn)
    try {
      await turn.wait()
    } catch (thrown) {
      throw thrownError(thrown, this.#engine)
    }
  }

  /**
   * Opens a transaction that ends by `commit()`, `rollback()` or disposal. Statements of this handle run inside it.
   * @throws {TransactionStateError} on an ambient connection, where other code would wait for it.
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

  /** Makes this connection, or the owner it reuses, ambient for `work`. It does not release anything. */
  async run<T>(work: (connection: this) => Promise<T> | T): Promise<T> {
    needsFunction(work, 'run()')
    this.#checkUsable('run()')
    const slot = this.#slot
    const record = this.home ?? transactionOn(slot, currentChain())
    const frame = new Frame('run', this.#engine, null, slot, null, this.settingsHere())
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
   * Runs `hook` after the innermost transaction open here has committed. Without one, it runs at once and settles as the hook.
   */
  afterCommit(hook: Hook): Promise<void> {
    return addHook('commit', atThisPlace(hook), () => this.#slot.innermost(this))
  }

  /** Runs `hook` after the innermost transaction open on this connection was rolled back. Without one, never. */
  afterRollback(hook: Hook): Promise<void> {
    return addHook('rollback', atThisPlace(hook), () => this.#slot.innermost(this))
  }

  /**
   * Runs `work`, which waits for something other than the database. Meanwhile the raw connection goes back, and a statement
   * borrows again. In a transaction or a pinned session the connection is kept: `held-while-idle`.
   * @throws {ReleasedConnectionError} after release.
   */
  async idle<T>(work: () => Promise<T> | T): Promise<T> {
    needsFunction(work, 'idle()')
    this.#checkUsable('idle()')
    return this.#slot.idle(work)
  }

  /**
   * Ends the handle. With `permanent: false` it only hands the raw connection back. Idempotent. Statements issued before still
   * run, and a managed transaction finishes first. A manual one is rolled back with a warning, a cursor is closed. A reusing
   * connection gives nothing back.
   * @throws {AcquireTimeoutError} when that takes longer than `pool.acquireTimeoutMs`. The handle stays closed, and the
   * connection goes back when it can.
   * @throws {TransactionStateError} inside a transaction on this connection. With `permanent: false` also when, after the
   * statements issued before, a transaction is still open or session state is pinned.
   * @throws {TransactionEndedError} with `permanent: false`, in code of a transaction on this connection that has ended.
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
    for (const record of slot.stack.all) {
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
    const late = deferred<never>()
    const expire = (): void => {
      const refusal: Refusal = {
        reason: 'acquire-timeout',
        phase: slot.top === null ? 'connection' : 'transaction',
        waitedMs: Math.round(clock.now() - since),
        holders: [slot.describe()],
        stats: { ...pool.stats() },
      }
      late.reject(failureError({ kind: 'refused', outcome: 'not_started', refusal }, this.#engine))
    }
    await ticker.within(since + waitedMs, Promise.race([closing, late.promise]), expire)
  }

  async #releaseForNow(discardSession: boolean): Promise<void> {
    const slot = this.#slot
    if (!this.owner || this.#released || slot.closed) return
    const { checkLendable } = this.#engine.runtime
    checkLendable(slot, discardSession, true)
    let back: void | Promise<void> = undefined
    // All statements issued before have run. They may have begun a transaction, or set something on which the user relies.
    const act = (): void => {
      checkLendable(slot, discardSession)
      if (slot.lease !== null) back = slot.handBack()
    }
    const turn = new Turn(this.#engine, currentChain(), this, { untilQuiet: true, borrows: false, act })
    slot.send(turn)
    try {
      await turn.wait()
    } catch (thrown) {
      // Released for good meanwhile, or none could be borrowed: there is nothing to hand back.
      const notThere = slot.lease === null && isFailure(thrown) && thrown.refusal?.reason !== 'usage'
      if (!slot.closed && !notThere) throw thrownError(thrown, this.#engine)
    }
    await (back as Promise<void> | undefined)
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
    return `Connection { ${kind}, ${raw}${slot.top === null ? '' : `, ${slot.stack.all.length} open transaction(s)`} }`
  }
}
