// The transaction users hold: a query surface whose statements run inside it, and the ways to leave it early.
import type { QueryDefaults } from '../core.ts'
import { TransactionStateError } from '../../errors/index.ts'
import { Connection } from '../connection.ts'
import { currentChain, handleDefaults, isInside, runInFrame, settingsOn, transactionOn } from '../context/chain.ts'
import { type Enclosing, Frame, type Settings, type Handle, type IsHandle } from '../context/frame.ts'
import { atThisPlace } from '../context/place.ts'
import { Executor } from '../query/executor.ts'
import { placeOf } from '../handle.ts'
import { thrownError } from '../query/failure.ts'
import { clock } from '../../util/clock.ts'
import type { EngineOp } from '../query/op.ts'
import type { OpenTransaction, Slot, TransactionPlace } from '../slot/slot.ts'
import type { Hook } from './hooks.ts'
import { type TransactionOptions, transactionOptions } from './options.ts'
import { needsFunction, readAgain } from '../../util/options.ts'
import type { RunningEngine } from '../runtime.ts'

// A handle in the types only: the key of an interface, which a class cannot have without its value.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface Transaction extends IsHandle {}

/**
 * A transaction. It is ambient inside its callback: every statement issued there by any `db` of the same engine runs in it.
 * Nested ones are savepoints on the same connection. (GINO: `GinoTransaction`.)
 */
export class Transaction extends Executor {
  readonly #record: OpenTransaction
  #connection: Connection | null = null

  /** @internal */
  constructor(record: OpenTransaction) {
    super()
    this.#record = record
  }

  get #engine(): RunningEngine {
    return this.#record.engine as RunningEngine
  }

  /** @internal */
  get chain(): Handle['chain'] {
    return this.#record.chain
  }

  /** @internal */
  get home(): OpenTransaction {
    return this.#record
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
    return this.#usable().slot
  }

  /** @internal */
  override settingsHere(): Settings | null {
    return settingsOn(this.#record.slot, currentChain(), this)
  }

  /** @internal */
  get overlay(): Frame | null {
    return this.#record.overlay
  }

  /** @internal */
  override handleHere(): Handle {
    return this
  }

  /** @internal */
  override placeHere(reuse: boolean): TransactionPlace {
    const { slot } = this.#usable()
    return { db: null, chain: currentChain(), handle: this, slot: reuse ? slot : null }
  }

  /** @internal */
  override transactionHere(): Enclosing {
    return transactionOn(this.#record.slot, currentChain()) ?? this.#record
  }

  /** @internal */
  override defaultsHere(): QueryDefaults | null {
    const { slot, defaults } = this.#record
    return handleDefaults(slot, this, defaults)
  }

  /** @internal */
  override send(op: EngineOp): void {
    const record = this.#record
    if (!record.taking) op.refuseWith(record.ended())
    else if (op.stmt.hasControl) op.refuseWith(this.#engine.controlRefused(op.stmt))
    else record.slot.send(op)
  }

  /** A handle on the connection this transaction runs on. (GINO: `tx.connection`.) */
  get connection(): Connection {
    const { slot } = this.#record
    return (this.#connection ??= new Connection(
      this.#engine,
      slot,
      this.chain,
      'reusing',
      this.defaultsHere(),
      this.#record,
    ))
  }

  /** Aborts when the transaction's `timeoutMs` expires or its `signal` aborts. Pass it to anything else `work` waits for. */
  get signal(): AbortSignal {
    return this.#record.signal
  }

  /**
   * Opens a savepoint that ends by `commit()`, `rollback()` or disposal. Savepoints must end in the reverse order of opening.
   * @throws {TransactionEndedError} when this transaction has ended.
   */
  async begin(given?: TransactionOptions | Handle): Promise<ManualTransaction> {
    const options = transactionOptions(given, 'begin()')
    const there = placeOf(options.on, this, 'begin()')
    if (there !== this) return there.begin(readAgain(options, { on: undefined }))
    return this.#engine.beginOn(this.placeHere(true), options)
  }

  /** Makes this transaction ambient for `work`. @throws {TransactionEndedError} when it has ended. */
  async run<T>(work: (tx: this) => Promise<T> | T): Promise<T> {
    needsFunction(work, 'run()')
    const record = this.#usable()
    const frame = new Frame('transaction', record.engine, null, record.slot, record, this.settingsHere())
    frame.defaults = record.defaults
    try {
      return await runInFrame(frame, () => work(this))
    } finally {
      frame.end()
    }
  }

  /**
   * Commits this transaction and everything inside it at once. It throws a signal that ends every callback up to this
   * transaction's, and `transaction()` resolves with `value`. Later statements throw the signal again, so a `catch` that
   * swallows it cannot go on. (GINO: `raise_commit`.)
   * @throws {TransactionStateError} outside its callback, after its end, or on a manual transaction.
   */
  raiseCommit(value?: unknown): never {
    return this.#raise(true, value)
  }

  /** Like `raiseCommit`, but rolls back. A rollback overrides a commit raised before. (GINO: `raise_rollback`.) */
  raiseRollback(value?: unknown): never {
    return this.#raise(false, value)
  }

  #raise(commit: boolean, value: unknown): never {
    const record = this.#record
    const name = commit ? 'raiseCommit' : 'raiseRollback'
    if (record.manual)
      throw new TransactionStateError(
        `${name}() ends a transaction(work); end a manual one with commit() or rollback().`,
      )
    if (!record.taking) throw new TransactionStateError(`${name}(): ${record.endedMessage()}`)
    const chain = currentChain()
    if (!isInside(record, chain))
      throw new TransactionStateError(
        `${name}() was called outside of the callback of the transaction begun at ${record.place}. Call it inside.`,
      )
    const { exit: raised } = record.past
    if (raised !== null && (commit || !raised.commit)) throw raised
    const exit = new TransactionExit(record, commit, value)
    // One on a connection of its own is not inside: for it the signal is an error like any. A batch that has begun was issued
    // before, as a statement in flight.
    for (let each: OpenTransaction | null = record; each !== null; each = each.inner)
      if (!commit || !each.batch) each.advance({ type: 'raised', exit })
    throw exit
  }

  /**
   * Runs `hook` after the outermost transaction has committed and its own connection went back. The hook runs in the context
   * of the caller of `transaction()`. It never runs if this savepoint or the transaction is rolled back. Hooks run in order,
   * each awaited. A hook that throws does not stop the others, but makes `transaction()` reject with `AfterCommitError`.
   */
  afterCommit(hook: Hook): void {
    needsFunction(hook, 'afterCommit()', 'the function to run after the commit')
    this.#innermost().hooks.add('commit', atThisPlace(hook))
  }

  /** Runs `hook` after this transaction, or one around it, was rolled back. It does not run when the outcome is unknown. */
  afterRollback(hook: Hook): void {
    needsFunction(hook, 'afterRollback()', 'the function to run after the rollback')
    this.#innermost().hooks.add('rollback', atThisPlace(hook))
  }

  /** It, or the savepoint inside of it that a statement through this handle would run in here. */
  #innermost(): OpenTransaction {
    const record = this.#usable()
    return record.slot.innermost(this) ?? record
  }

  /** Its record while it is open: a handle that outlived its transaction opens nothing on what is there now. */
  #usable(): OpenTransaction {
    const record = this.#record
    if (!record.taking) throw record.ended()
    return record
  }

  override toString(): string {
    const record = this.#record
    return `Transaction { ${this.#engine.runtime.stateOf(record)}, ${record.savepoint === '' ? 'outermost' : record.savepoint}, begun at ${record.place} }`
  }
}

/**
 * A transaction that you end by `commit()`, `rollback()` or disposal. Disposal rolls back if neither was called.
 * (GINO: `tx = await conn.transaction()`.)
 */
export class ManualTransaction extends Transaction implements AsyncDisposable {
  readonly #record: OpenTransaction

  /** @internal */
  constructor(record: OpenTransaction) {
    super(record)
    this.#record = record
  }

  /**
   * Commits.
   * @throws {TransactionStateError} when it has ended, or something opened inside it is still open.
   * @throws {TransactionAbortedError} when a statement inside had failed. The transaction was rolled back.
   * @throws {CommitOutcomeUnknownError} when the connection was lost during COMMIT, or COMMIT took longer than
   * `query.timeoutMs`, and the server could not be asked whether it was committed (`resolveCommitMs`).
   * @throws {AfterCommitError} when it was committed, but an `afterCommit` hook failed.
   */
  async commit(): Promise<void> {
    const record = this.#record
    this.#checkOpen('commit')
    const child = runtimeOf(record).childOf(record)
    if (child !== null)
      throw new TransactionStateError(
        `commit(): the ${child.describe()} is still open inside. End it first: savepoints end in reverse order.`,
      )
    record.endedAt = record.engine.beginPlace(clock.now())
    try {
      await runtimeOf(record).commit(record)
    } catch (thrown) {
      throw thrownError(thrown, record.engine)
    } finally {
      await this.#finish()
    }
  }

  /**
   * Rolls back, with everything that is open inside. Statements inside that ran out of time are stopped first.
   * @throws {TransactionStateError} when it has ended.
   */
  async rollback(): Promise<void> {
    this.#checkOpen('rollback')
    const record = this.#record
    if (record.endedAt === '') record.endedAt = record.engine.beginPlace(clock.now())
    await runtimeOf(record).rollback(record)
    await this.#finish()
  }

  /** Rolls back if neither `commit()` nor `rollback()` was called. If one is under way, waits for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    const record = this.#record
    if (record.taking) await this.rollback()
    else if (record.onStack) await record.whenLeft()
  }

  #checkOpen(method: string): void {
    const record = this.#record
    if (!record.taking) throw new TransactionStateError(`${method}(): ${record.endedMessage()}`)
  }

  async #finish(): Promise<void> {
    const record = this.#record
    const { finish, hooksFailed } = runtimeOf(record)
    const errors = await finish(record)
    if (errors !== null && errors.length > 0) throw hooksFailed(record, errors)
  }
}

function runtimeOf({ engine }: OpenTransaction): RunningEngine['runtime'] {
  return (engine as RunningEngine).runtime
}

// The signal that `raiseCommit` and `raiseRollback` throw to leave a transaction early. JavaScript's `catch` catches
// everything, so the decision is also kept on the transaction: a swallowed signal is thrown again by every statement.

/**
 * Thrown by `tx.raiseCommit()` and `tx.raiseRollback()`; leave it alone in a `catch`, or throw it on. Not an error of
 * the database. (GINO: `_Break`.)
 */
export class TransactionExit extends Error {
  readonly #target: object
  readonly commit: boolean
  readonly value: unknown

  constructor(target: object, commit: boolean, value: unknown) {
    super(
      `Leaving a transaction by ${commit ? 'raiseCommit' : 'raiseRollback'}(). If you see this message, a catch stopped ` +
        'the signal on its way to transaction(): throw it again.',
    )
    this.name = 'TransactionExit'
    this.#target = target
    this.commit = commit
    this.value = value
  }

  isFor(transaction: object): boolean {
    return this.#target === transaction
  }
}
