// The engine: one pool and everything statements share. It finds the slot or the pool a statement goes to, opens
// transactions and ends slots. Users get it from `createEngine`; a `Db` holds one.
import { TransactionStateError, UsageError } from '../errors/index.ts'
import { LeakWatch } from '../observe/leaks.ts'
import { notice } from '../observe/notice.ts'
import { capturePlace, type Place } from '../observe/place.ts'
import type { ResolvedOptions } from '../options/options.ts'
import type { CloseReport, PoolStats } from '../pool/contract.ts'
import type { Pool } from '../pool/pool.ts'
import type { Bakery } from '../sql/baked/bakery.ts'
import { type Compiled, Pin } from '../sql/compiled.ts'
import { StatementCache } from '../sql/compile.ts'
import { type Dialect, postgres } from '../sql/dialect.ts'
import { duration } from '../util/checks.ts'
import type { Checks } from '../util/options.ts'
import { Ticker } from '../util/ticker.ts'
import { ambientFrame, ambientSettings, currentChain, heldLeases, type Link } from './context/chain.ts'
import type { Frame, Settings } from './context/frame.ts'
import type { Cursor, CursorWait } from './query/cursor.ts'
import { callOptions, type Handle } from './handle.ts'
import type { EngineOp } from './query/op.ts'
import type { QueryDefaults, QueryOptions } from './query/query-options.ts'
import { readingRefused, withoutSession, withoutTransaction } from './slot/admission.ts'
import { Slot } from './slot/slot.ts'
import { mergedSettings, Source } from './source.ts'
import { beginManual, type ManualTransaction, openForCursor } from './transaction/manual.ts'
import { runManaged } from './transaction/managed.ts'
import type { TransactionOptions, TransactionPlace } from './transaction-options.ts'
import type { TransactionRecord } from './transaction/record.ts'
import type { Transaction } from './transaction/transaction.ts'
import { clock } from '../util/clock.ts'

export interface CloseOptions {
  /** How long lent connections may take to come back, in milliseconds; default `closeTimeoutMs` of the engine. */
  readonly timeoutMs?: number | undefined
}

export const closeChecks: Checks<CloseOptions> = { timeoutMs: duration }

const placePauseMs = 1

/** The connections of one database and the queries on them. (GINO: `GinoEngine`.) */
export class Engine extends Source implements AsyncDisposable {
  /** @internal */
  pool: Pool
  /** @internal */
  readonly ticker: Ticker = new Ticker()
  /** @internal */
  readonly statements: StatementCache
  /** @internal */
  readonly dialect: Dialect = postgres
  /** @internal */
  readonly options: ResolvedOptions
  /** @internal Null unless a leak report is wanted. */
  readonly leaks: LeakWatch | null
  /** @internal Of each `Db` it was given to: what `prebake` prepares on new connections. */
  readonly bakeries: Set<Bakery> = new Set()
  /** @internal Plain reads that were not quick when they were last measured. */
  readonly slowReads: WeakSet<Compiled> = new WeakSet()
  /** @internal Where transactions were begun that kept a connection from others, as far as that was told. */
  readonly toldPlaces: Set<string> = new Set()
  readonly #onClose: () => void
  #cursors = 0
  #lastPlace = 0

  /** @internal Use `createEngine`. */
  constructor(options: ResolvedOptions, makePool: (engine: Engine) => Pool, onClose: () => void) {
    super()
    this.options = options
    const { afterMs } = options.leak
    this.leaks = afterMs === Infinity ? null : new LeakWatch(options.name, afterMs)
    this.statements = new StatementCache({ prepare: options.prepare })
    this.pool = makePool(this)
    this.#onClose = onClose
  }

  /** The name of the engine in notices and events. */
  get name(): string {
    return this.options.name
  }

  /** True after `close()` was called. */
  get closed(): boolean {
    return this.pool.closed
  }

  /** Counts of this moment. */
  stats(): PoolStats {
    return this.pool.stats()
  }

  /**
   * Refuses what begins after it and rejects waiters at once, but those whose connection is being opened, asked or reset.
   * Waits for lent connections; near the deadline stops what runs on the server, breaks them and says what it broke. Always
   * settles by the deadline, or within a tenth of a second if it is nearer. Idempotent; a later call can only shorten it.
   * @throws {UsageError} inside of a scope or transaction that holds a connection, for which it would wait; nothing is closed.
   */
  async close(options?: CloseOptions): Promise<CloseReport> {
    const { timeoutMs } = callOptions(options, closeChecks, 'close()')
    this.refuseCloseInside()
    return this.end(timeoutMs ?? this.options.closeTimeoutMs, false)
  }

  /** @internal Closes it; `all`: whoever waits for a connection now is served. */
  async end(timeoutMs: number, all: boolean): Promise<CloseReport> {
    const report = await this.pool.close(clock.now() + timeoutMs, all)
    this.#onClose()
    return report
  }

  /** @internal */
  refuseCloseInside(): void {
    const [lease] = heldLeases(this, currentChain())
    if (lease === undefined) return
    throw new UsageError(
      `close() was called inside of what it would wait for: ${lease.holder.describe()}. Nothing was closed. Call it after ` +
        'that scope or transaction has ended.',
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal */
  override engineHere(): Engine {
    return this
  }

  /** @internal */
  override engineQuietly(): Engine {
    return this
  }

  /** @internal */
  override token(): null {
    return null
  }

  /** @internal */
  override checkUsable(): void {}

  /** @internal The deadline of a statement: its own, else the default nearest to it. */
  until(options: QueryOptions | null, defaults: QueryDefaults | null): number {
    const timeoutMs = options?.timeoutMs ?? defaults?.timeoutMs ?? this.options.query.timeoutMs
    return timeoutMs === undefined || timeoutMs === Infinity ? Infinity : clock.now() + timeoutMs
  }

  /** @internal */
  signal(options: QueryOptions | null): AbortSignal | null {
    return options?.signal ?? null
  }

  /** @internal */
  cursorName(): string {
    return `genever_c${++this.#cursors}`
  }

  /** @internal A slot for code with this chain. @throws {TransactionStateError} when its settings ended with their scope. */
  openSlot(chain: Link | undefined, explicit: boolean, what: string | (() => string), settings?: Settings): Slot {
    const all = chain === undefined && settings === undefined ? null : mergedSettings(this, chain, settings)
    return new Slot(this, all, explicit, this.leaks === null || typeof what !== 'string' ? what : placed(what))
  }

  /** @internal Sends an implicit statement: to the slot of the frame around it, else to any free connection. */
  sendAmbient(op: EngineOp): void {
    const { chain, stmt } = op
    if (stmt.hasControl) {
      op.refuseWith(this.controlRefused(stmt))
      return
    }
    if (chain !== undefined) {
      try {
        const frame = ambientFrame(this, chain)
        if (frame !== null) {
          if (frame.manual !== null) this.warnOfManual(frame)
          ;(frame.slot as Slot).send(op)
          return
        }
        const settings = ambientSettings(this, chain)
        if (settings !== null) {
          this.#sendWith(settings, op)
          return
        }
      } catch (error) {
        op.refuseWith(error)
        return
      }
    }
    if (stmt.pins !== 0) op.refuseWith(sessionStateRefused(stmt, this.options))
    else if (op.signal?.aborted === true) op.abort(op.signal.reason)
    else {
      op.begin()
      this.pool.place(op)
    }
  }

  /** @internal A statement, or a hook, was given where a manual transaction is open that it does not belong to. */
  warnOfManual({ manual }: Frame): void {
    if (manual === null || manual.warned) return
    manual.warned = true
    notice(
      'manual-transaction-open',
      'A statement without a handle was issued where a manual transaction is open; it does not run inside that transaction.',
      { engine: this.name, places: [manual.place.toString(), capturePlace().toString()] },
    )
  }

  /** A statement with settings but no connection around it: a slot for it alone. */
  #sendWith(settings: Settings, op: EngineOp): void {
    if (op.stmt.pins !== 0) {
      op.refuseWith(sessionStateRefused(op.stmt, this.options))
      return
    }
    const slot = new Slot(this, settings, false, 'detached()')
    slot.addIdler()
    slot.send(op)
  }

  /** @internal */
  controlRefused(stmt: Compiled): TransactionStateError {
    return new TransactionStateError(
      'Transaction control by text is only allowed on a connection from acquire(), because elsewhere the engine would not ' +
        'know of it. Use transaction(work) or begin().',
      { statement: { sql: stmt.text } },
    )
  }

  /**
   * @internal Where a connection is borrowed: always for a leak report, else while others have to wait, and then at most
   * once a millisecond, for it is dear.
   */
  borrowPlace(): Place | null {
    const now = clock.now()
    if (this.leaks === null && (!this.pool.exhausted || now - this.#lastPlace < placePauseMs)) return null
    this.#lastPlace = now
    return capturePlace()
  }

  /** @internal */
  transact<T>(
    where: TransactionPlace,
    work: (tx: Transaction) => Promise<T> | T,
    options: TransactionOptions,
  ): Promise<T> {
    return runManaged(this, where, work, options)
  }

  /** @internal */
  beginOn(where: TransactionPlace, options: TransactionOptions): Promise<ManualTransaction> {
    return beginManual(this, where, options)
  }

  /** @internal */
  openCursorTransaction(
    slot: Slot | null,
    handle: Handle | null,
    cursor: Cursor<unknown>,
    wait: CursorWait,
  ): Promise<{ record: TransactionRecord; finish: (well: boolean) => Promise<void> }> {
    return openForCursor(this, slot, handle, cursor, wait)
  }

  /** @internal Ends the slot of a scope without waiting: an open transaction keeps its connection until it ends. */
  endScope(slot: Slot): void {
    const [outermost] = slot.stack
    if (outermost !== undefined && !outermost.manual)
      notice('transaction-outlived-scope', 'A scope ended while a transaction inside it was still open.', {
        engine: this.name,
        places: [outermost.describe()],
      })
    void this.closeSlot(slot)?.catch(() => {})
  }

  /**
   * @internal Closes a slot: cursors are closed, manual transactions rolled back, managed ones finish first. Null when
   * its connection is back already.
   */
  closeSlot(slot: Slot): Promise<void> | null {
    const closing = slot.close()
    return closing === null ? null : this.#finishSlot(slot, closing)
  }

  async #finishSlot(slot: Slot, closing: Promise<void>): Promise<void> {
    // What is open inside of a managed one ends with it.
    await slot.stack.find(({ manual }) => !manual)?.whenLeft()
    const [outermost] = slot.stack
    if (outermost?.cursor) await outermost.cursor.close()
    else if (outermost?.state === 'open') {
      notice('manual-transaction-rolled-back', 'A connection was released while a manual transaction was open on it.', {
        engine: this.name,
        places: [outermost.describe()],
      })
      await (outermost.handle as ManualTransaction).rollback()
    }
    await closing
  }

  override toString(): string {
    const { open, max, idle, reserved, waiting } = this.stats()
    return `Engine { ${this.options.describe()}, ${this.closed ? 'closed, ' : ''}${open}/${max} open, ${reserved} lent, ${idle} idle, ${waiting} waiting }`
  }
}

/** With the place of the caller, for the leak report: its first statement may have none, as when a query is awaited. */
function placed(what: string): () => string {
  const place = capturePlace(placed)
  return () => `${what} at ${place}`
}

function sessionStateRefused(stmt: Compiled, { pooler }: ResolvedOptions): UsageError {
  if ((stmt.pins & (Pin.encoding | Pin.strings)) !== 0) return readingRefused(stmt)
  if ((stmt.pins & Pin.transaction) !== 0) return withoutTransaction(stmt)
  if (pooler !== undefined) return withoutSession(stmt)
  if (stmt.pins === Pin.sequences)
    return new UsageError(
      'currval() and lastval() give the number that their own session has drawn, but this statement would run on any free ' +
        'connection and give the number of somebody else. Use INSERT … RETURNING, or run both inside scope(work) or transaction(work).',
      { statement: { sql: stmt.text } },
    )
  return new UsageError(
    'This statement changes the state of a session, but it would run on any free connection and be undone at once. Run it ' +
      'inside scope(work), or on a connection from acquire().',
    { statement: { sql: stmt.text } },
  )
}
