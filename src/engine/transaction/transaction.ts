// The transaction users hold: a query surface whose statements run inside it, and the ways to leave it early.
import { TransactionStateError } from '../../errors/index.ts'
import { Connection } from '../connection.ts'
import { currentChain, handleDefaults, isInside, runInFrame, transactionOn } from '../context/chain.ts'
import { Frame } from '../context/frame.ts'
import type { Engine } from '../engine.ts'
import { Executor } from '../query/executor.ts'
import { type Handle, type IsHandle, placeOf } from '../handle.ts'
import type { EngineOp } from '../query/op.ts'
import type { Slot } from '../slot/slot.ts'
import type { QueryDefaults } from '../query/query-options.ts'
import { TransactionExit } from './exit.ts'
import { innermost } from './after.ts'
import type { Hook } from './hooks.ts'
import type { ManualTransaction } from './manual.ts'
import { type TransactionOptions, transactionOptions, type TransactionPlace } from '../transaction-options.ts'
import { needsFunction } from '../../util/checks.ts'
import { readAgain } from '../../util/options.ts'
import type { TransactionRecord } from './record.ts'

// A handle in the types only: the key of an interface, which a class cannot have without its value.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface Transaction extends IsHandle {}

/**
 * A transaction, ambient inside its callback: every statement issued there by any `db` of the same engine runs in it.
 * Nested ones are savepoints on the same connection. (GINO: `GinoTransaction`.)
 */
export class Transaction extends Executor {
  readonly #record: TransactionRecord
  #connection: Connection | null = null

  /** @internal */
  constructor(record: TransactionRecord) {
    super()
    this.#record = record
  }

  /** @internal */
  get chain(): Handle['chain'] {
    return this.#record.chain
  }

  /** @internal */
  get home(): TransactionRecord {
    return this.#record
  }

  /** @internal */
  override engineHere(): Engine {
    return this.#record.engine
  }

  /** @internal */
  override engineQuietly(): Engine {
    return this.#record.engine
  }

  /** @internal */
  override slotHere(): Slot {
    return this.#usable().slot
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
  override transactionHere(): TransactionRecord {
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
    if (record.state !== 'open') op.refuseWith(record.ended())
    else if (op.stmt.hasControl) op.refuseWith(record.engine.controlRefused(op.stmt))
    else record.slot.send(op)
  }

  /** @internal Calls `work` so that a synchronous throw becomes a rejection. */
  async invoke<T>(work: (tx: Transaction) => Promise<T> | T): Promise<T> {
    return work(this)
  }

  /** A handle on the connection this transaction runs on. (GINO: `tx.connection`.) */
  get connection(): Connection {
    const { engine, slot } = this.#record
    return (this.#connection ??= new Connection(engine, slot, this.chain, false, this.defaultsHere(), this.#record))
  }

  /** Aborted when the transaction's `timeoutMs` expires or its `signal` aborts: pass it to whatever else `work` waits for. */
  get signal(): AbortSignal {
    return this.#record.signal
  }

  /** Runs `work` in a savepoint of this transaction, whichever handle is current. */
  override async transaction<T>(
    work: (tx: Transaction) => Promise<T> | T,
    given?: TransactionOptions | Handle,
  ): Promise<T> {
    needsFunction(work, 'transaction()', 'or begin() opens one by hand')
    const options = transactionOptions(given, 'transaction()')
    const there = placeOf(options.on, this, 'transaction()')
    if (there !== this) return there.transaction(work, readAgain(options, { on: undefined }))
    return this.#record.engine.transact(this.placeHere(options.reuse !== false), work, options)
  }

  /**
   * Opens a savepoint that ends by `commit()`, `rollback()` or disposal, strictly in the reverse order of opening.
   * @throws {TransactionEndedError} when this transaction has ended.
   */
  async begin(given?: TransactionOptions | Handle): Promise<ManualTransaction> {
    const options = transactionOptions(given, 'begin()')
    const there = placeOf(options.on, this, 'begin()')
    if (there !== this) return there.begin(readAgain(options, { on: undefined }))
    return this.#record.engine.beginOn(this.placeHere(true), options)
  }

  /** Makes this transaction ambient for `work`. @throws {TransactionEndedError} when it has ended. */
  async run<T>(work: (tx: this) => Promise<T> | T): Promise<T> {
    needsFunction(work, 'run()')
    const record = this.#usable()
    const frame = new Frame('transaction', record.engine, null, record.slot, record, record.slot.settings)
    frame.defaults = record.defaults
    try {
      return await runInFrame(frame, () => work(this))
    } finally {
      frame.end()
    }
  }

  /**
   * Commits this transaction and all inside it at once: throws a signal that ends every callback up to this
   * transaction's, which resolves with `value`. Statements throw the signal again, so a swallowing `catch` cannot go
   * on. (GINO: `raise_commit`.)
   * @throws {TransactionStateError} outside of its callback, after its end, or on a manual transaction.
   */
  raiseCommit(value?: unknown): never {
    return this.#raise(true, value)
  }

  /** As `raiseCommit`, but rolls back; a rollback beats a commit raised before. (GINO: `raise_rollback`.) */
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
    if (record.state !== 'open') throw new TransactionStateError(`${name}(): ${record.endedMessage()}`)
    const chain = currentChain()
    if (!isInside(record, chain))
      throw new TransactionStateError(
        `${name}() was called outside of the callback of the transaction begun at ${record.place}. Call it inside.`,
      )
    if (record.decision !== null && (commit || !record.decision.commit)) throw record.decision
    const exit = new TransactionExit(record, commit, value)
    const { stack } = record.slot
    // One on a connection of its own is not inside: for it the signal is an error like any.
    for (const inside of stack.slice(stack.indexOf(record))) if (inside.state === 'open') inside.decide(exit)
    throw exit
  }

  /**
   * Runs `hook` after the outermost transaction has committed, in the context of the caller of `transaction()`, after
   * its own connection went back; never if this savepoint or the transaction is rolled back. Hooks run in order, each
   * awaited. One that throws does not stop the others and makes `transaction()` reject with `AfterCommitError`.
   */
  afterCommit(hook: Hook): void {
    needsFunction(hook, 'afterCommit()', 'what runs after the commit')
    this.#innermost().hooks.add('commit', hook)
  }

  /** Runs `hook` after this transaction was rolled back, alone or with one around it; not when its outcome is unknown. */
  afterRollback(hook: Hook): void {
    needsFunction(hook, 'afterRollback()', 'what runs after the rollback')
    this.#innermost().hooks.add('rollback', hook)
  }

  /** It, or the savepoint inside of it that a statement through this handle would run in here. */
  #innermost(): TransactionRecord {
    const record = this.#usable()
    return innermost(record.slot, this) ?? record
  }

  /** Its record while it is open: a handle that outlived its transaction opens nothing on what is there now. */
  #usable(): TransactionRecord {
    const record = this.#record
    if (record.state !== 'open') throw record.ended()
    return record
  }

  override toString(): string {
    const record = this.#record
    return `Transaction { ${record.state}, ${record.savepoint === '' ? 'outermost' : record.savepoint}, begun at ${record.place} }`
  }
}
