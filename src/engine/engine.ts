// The engine: one pool and everything statements share. It finds the slot or the pool a statement goes to, opens
// transactions and ends slots. Users get it from `createEngine`; a `Db` holds one.
import { TransactionStateError, UsageError } from '../errors/index.ts'
import type { LeakWatch } from '../observe/reports.ts'
import { notice } from '../observe/channels.ts'
import { capturePlace, noPlace, type Place, PlaceBudget } from '../observe/place.ts'
import type { ResolvedOptions } from '../options/options.ts'
import type { CloseReport, PoolStats } from '../pool/contract.ts'
import type { Pool } from '../pool/pool.ts'
import type { Bakery } from '../sql/baked.ts'
import type { Compiled } from '../sql/compiled.ts'
import type { StatementCache } from '../sql/compile.ts'
import { Conversions, noConversions, unconverted } from '../sql/conversions.ts'
import type { Dialect } from '../sql/dialect.ts'
import { duration, type Checks } from '../util/options.ts'
import { clock } from '../util/clock.ts'
import type { Ticker } from '../util/ticker.ts'
import { ambientFrame, ambientSettings, currentChain, heldLeases, type Link } from './context/chain.ts'
import type { Frame, Settings } from './context/frame.ts'
import type { QueryDefaults } from './core.ts'
import type { ListeningConnection, ConnectionOpener } from './client/listening-connection.ts'
import type { Functions } from './functions.ts'
import type { HostStats } from './hosts/host.ts'
import type { Hosts } from './hosts/hosts.ts'
import { callOptions } from './handle.ts'
import type { EngineOp } from './query/op.ts'
import type { QueryOptions } from './query/query-options.ts'
import type { Slot, TransactionPlace } from './slot/slot.ts'
import { mergedSettings, Source } from './source.ts'
import type { ManualTransaction, Transaction } from './transaction/transaction.ts'
import type { TransactionOptions } from './transaction/options.ts'
import type { Twins } from './twins.ts'
import type { Watch } from './watch.ts'
import type { SlotTerms, EngineRuntime } from './runtime.ts'

/** Options of `close()` of a `Db`, an engine or a registry. */
export interface CloseOptions {
  /** How long to wait for borrowed connections, in milliseconds. Default: `closeTimeoutMs` of the engine. */
  readonly timeoutMs?: number | undefined
}

/** Counts at this moment, over the connections to all servers. */
export interface EngineStats extends PoolStats {
  /** With replicas: the counts of each server. */
  readonly hosts?: readonly HostStats[] | undefined
}

export const closeChecks: Checks<CloseOptions> = { timeoutMs: duration }

const ofTransaction: SlotTerms = { what: '', explicit: false, settings: undefined }

/** @internal What an engine is made of. */
export interface EngineParts {
  readonly options: ResolvedOptions
  readonly dialect: Dialect
  readonly runtime: EngineRuntime
  readonly loadRuntime: () => Promise<unknown>
  readonly makePool: (engine: Engine) => { readonly pool: Pool; readonly outlet: ConnectionOpener }
  readonly onClose: () => void
}

/** The connections of one database and the queries on them. (GINO: `GinoEngine`.) */
export class Engine extends Source implements AsyncDisposable {
  /** @internal What runs it. */
  readonly runtime: EngineRuntime
  /** @internal */
  pool: Pool
  /** @internal */
  readonly ticker: Ticker
  /** @internal */
  readonly statements: StatementCache
  /** @internal */
  readonly dialect: Dialect
  /** @internal */
  readonly options: ResolvedOptions
  /** @internal Null unless a leak report is wanted. */
  readonly leaks: LeakWatch | null
  /** @internal Null unless slow or repeated statements are to be reported. */
  readonly watch: Watch | null
  /** @internal The statements of each `Db` on it that `prebake` prepares on new connections. */
  readonly bakeries: Set<Bakery> = new Set()
  /** @internal The functions and triggers that may leave something in sessions. */
  readonly functions: Functions
  /** @internal */
  readonly quickReads: WeakSet<Compiled> = new WeakSet()
  /** @internal */
  readonly slowReads: WeakSet<Compiled> = new WeakSet()
  /** @internal What listens to channels; null: nothing has listened yet. */
  listening: ListeningConnection | null = null
  /** @internal Places where transactions were begun that kept a connection from others, as far as notices have named them. */
  readonly toldPlaces: Set<string> = new Set()
  /** @internal Null unless it has replicas. */
  hosts: Hosts | null = null
  /** @internal */
  overlaid = false
  /** @internal Whether INSERT and DELETE give their rows on each of its servers, where those of its dialect differ; null: not known yet. */
  returning: boolean | null = null
  /** @internal The `Db` whose database it is, and that opens another engine for it when this one is closed; null for none. */
  home: object | null = null
  /** @internal The engines of the same database, this one among them. */
  readonly twins: Twins
  readonly #loadRuntime: () => Promise<unknown>
  readonly #outlet: ConnectionOpener
  readonly #onClose: () => void
  #cursors = 0
  readonly #borrowed = new PlaceBudget()
  readonly #places = new PlaceBudget()

  /** @internal Use `createEngine`. */
  constructor({ options, dialect, runtime, loadRuntime, makePool, onClose }: EngineParts) {
    super()
    this.options = options
    this.dialect = dialect
    this.runtime = runtime
    this.ticker = new runtime.Ticker()
    this.#loadRuntime = loadRuntime
    const { afterMs } = options.leak
    this.leaks = afterMs === Infinity ? null : new runtime.LeakWatch(options.name, afterMs)
    this.watch = runtime.Watch.of(options)
    this.statements = new runtime.StatementCache({ dialect, prepare: options.prepare })
    const { pool, outlet } = makePool(this)
    this.pool = pool
    this.#outlet = outlet
    this.functions = new runtime.Functions(this)
    this.twins = runtime.joinTwins(options)
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

  /** Counts at this moment. */
  stats(): EngineStats {
    const listening = this.listening?.connections ?? 0
    if (this.hosts === null) return { ...this.pool.stats(), listening }
    const hosts = this.hosts.stats()
    return { ...this.hosts.counts(), listening, hosts }
  }

  /**
   * Closes the engine. New work is refused. Waiters are rejected at once, unless their connection is being opened, checked or
   * reset. It waits for borrowed connections. Near the deadline it stops what runs on the server, breaks these connections and
   * reports them. It always settles by the deadline, or within 100 ms if that is nearer. Idempotent; a later call can only
   * shorten the wait.
   * @throws {UsageError} inside a scope or transaction that holds a connection, because it would wait for itself. Nothing is
   * closed then.
   */
  async close(options?: CloseOptions): Promise<CloseReport> {
    const { timeoutMs } = callOptions(options, closeChecks, 'close()')
    this.refuseCloseInside()
    return this.end(timeoutMs ?? this.options.closeTimeoutMs, false)
  }

  /** @internal Closes it; `all`: the callers that wait for a connection now are served. */
  async end(timeoutMs: number, all: boolean): Promise<CloseReport> {
    const deadline = clock.now() + timeoutMs
    if (!this.closed) this.runtime.leaveTwins(this.twins, this.options)
    const others = Promise.all([this.hosts?.close(deadline, all), this.listening?.close(deadline)])
    const report = await this.pool.close(deadline, all)
    const reports = [report, ...((await others)[0] ?? [])]
    await this.pool.source.ended?.(deadline)
    this.#onClose()
    return {
      drained: reports.reduce((sum, { drained }) => sum + drained, 0),
      broken: reports.flatMap(({ broken }) => broken),
    }
  }

  /** @internal */
  refuseCloseInside(): void {
    const [lease] = heldLeases(this, currentChain())
    if (lease === undefined) return
    throw new UsageError(
      `close() was called inside a scope or transaction that it would wait for: ${lease.holder.describe()}. Nothing was closed. Call it after ` +
        'that scope or transaction has ended.',
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal */
  override engineHere(whole: boolean = true): Engine | Promise<Engine> {
    return !whole || this.runtime.whole ? this : this.#loadRuntime().then(() => this)
  }

  /** @internal */
  override engineQuietly(): Engine {
    return this
  }

  /** @internal */
  override runtimeHere(): EngineRuntime | Promise<EngineRuntime> {
    return this.runtime.whole ? this.runtime : this.#loadRuntime().then(() => this.runtime)
  }

  /** @internal */
  override token(): null {
    return null
  }

  /** @internal */
  override checkUsable(): void {}

  /** @internal */
  openListening(): ListeningConnection {
    return (this.listening ??= new this.runtime.ListeningConnection(this, this.#outlet))
  }

  /** @internal The deadline of a statement: its own, else the default nearest to it. */
  until(options: QueryOptions | null, defaults: QueryDefaults | null): number {
    const timeoutMs = options?.timeoutMs ?? defaults?.timeoutMs ?? this.options.query.timeoutMs
    return timeoutMs === undefined || timeoutMs === Infinity ? Infinity : clock.now() + timeoutMs
  }

  /** @internal */
  conversions(own: unknown): Conversions | null {
    const { types, driver, descriptor } = this.options
    if (own === undefined) return types
    if (own === unconverted.types) return null
    if (typeof driver === 'string' ? !Object.hasOwn(descriptor.options, 'types') : driver.types !== true)
      throw new UsageError(
        `The option types says what values of PostgreSQL's types become, and the driver ${descriptor.name} has no use for it. Leave it out.`,
      )
    return (types ?? noConversions).under(Conversions.of(own))
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
  openSlot(chain: Link | undefined, { what, explicit, settings }: SlotTerms = ofTransaction): Slot {
    const all = chain === undefined && settings === undefined ? null : mergedSettings(this, chain, settings)
    return new this.runtime.Slot(this, all, explicit, this.leaks === null || what === '' ? what : placed(what))
  }

  /** @internal Sends an implicit statement: to the slot of the frame around it, else to any free connection. */
  sendAmbient(op: EngineOp): void {
    const { chain, stmt } = op
    if (stmt.hasControl) {
      op.refuseWith(this.controlRefused(stmt))
      return
    }
    if (chain !== undefined) {
      if (this.twins.count > 1) this.runtime.tellOfTwin(this, chain, stmt)
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
    if (stmt.pins !== 0) op.refuseWith(this.runtime.sessionStateRefused(stmt, this))
    else if (op.signal?.aborted === true) op.abort(op.signal.reason)
    else if (
      (stmt.cls === 'read' && stmt.leaves !== true && !this.functions.judgesReads) ||
      this.runtime.mayRunAnywhere(op)
    ) {
      op.begin()
      if (this.hosts === null) this.pool.place(op)
      else this.hosts.place(op)
    }
  }

  /** @internal A statement, or a hook, was given where a manual transaction is open that it does not belong to. */
  warnOfManual({ manual }: Frame): void {
    if (manual === null || manual.warned) return
    manual.warned = true
    notice(
      'manual-transaction-open',
      'A statement without a handle was issued while a manual transaction is open; it does not run inside that transaction.',
      { engine: this.name, places: [manual.record.place.toString(), capturePlace().toString()] },
    )
  }

  /** A statement with settings but no connection around it: a slot for it alone. */
  #sendWith(settings: Settings, op: EngineOp): void {
    if (op.stmt.pins !== 0) {
      op.refuseWith(this.runtime.sessionStateRefused(op.stmt, this))
      return
    }
    const slot = new this.runtime.Slot(this, settings, false, 'detached()')
    slot.keeps = false
    slot.reads = this.runtime.readsAlone(this.hosts)
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
   * @internal Where a connection is borrowed: always for a leak report, else while others have to wait, as often as is free.
   */
  borrowPlace(waits: boolean): Place | null {
    if (this.leaks === null && !waits && !this.pool.exhausted) return null
    const now = clock.now()
    if (this.leaks === null && !this.#borrowed.take(now)) return null
    const place = capturePlace()
    this.#borrowed.took(clock.now() - now)
    return place
  }

  /**
   * @internal Where a transaction is begun at `now`: always for a leak report, else as often as is free.
   * @param skip As of `capturePlace`.
   */
  beginPlace(now: number, skip?: (...args: never[]) => unknown): Place {
    if (this.leaks === null && !this.#places.take(now)) return noPlace
    const place = capturePlace(skip)
    this.#places.took(clock.now() - now)
    return place
  }

  /** @internal */
  transact<T>(
    where: TransactionPlace,
    work: (tx: Transaction) => Promise<T> | T,
    options: TransactionOptions,
  ): Promise<T> {
    return this.runtime.runManaged(this, where, work, options)
  }

  /** @internal */
  beginOn(where: TransactionPlace, options: TransactionOptions): Promise<ManualTransaction> {
    return this.runtime.beginManual(this, where, options)
  }

  /** @internal Ends the slot of a scope without waiting: an open transaction keeps its connection until it ends. */
  endScope(slot: Slot): void {
    const { outermost } = slot.stack
    if (outermost?.manual === false)
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
    const { outermost } = slot.stack
    if (outermost !== null) await this.runtime.windUp(outermost)
    await closing
  }

  override toString(): string {
    const { open, max, idle, reserved, waiting } = this.stats()
    return `Engine { ${this.options.describe()}, ${this.closed ? 'closed, ' : ''}${open}/${max} open, ${reserved} lent, ${idle} idle, ${waiting} waiting }`
  }
}

/** With the place of the caller, for the leak report: its first statement may have none, as when a query is awaited. */
function placed(what: string): { describe(): string } {
  const place = capturePlace(placed)
  return { describe: () => `${what} at ${place}` }
}
