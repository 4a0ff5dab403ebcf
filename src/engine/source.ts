// The methods that Engine and Db share beyond queries: connections, scopes and transactions that follow the context. Each says
// only which engine it stands for. Only a callback ever changes what is current.
import type { EngineCore, From, QueryDefaults } from './core.ts'
import { TransactionStateError } from '../errors/index.ts'
import { Connection } from './connection.ts'
import {
  ambientDefaults,
  ambientFrame,
  ambientSettings,
  currentChain,
  settingsAround,
  settingsOn,
  type Link,
  push,
  quietAmbientFrame,
  runIn,
  runInFrame,
  transactionAround,
  nestedDefaults,
} from './context/chain.ts'
import { type Enclosing, Frame, type Settings, type Handle, slotFrames } from './context/frame.ts'
import { atThisPlace } from './context/place.ts'
import { Awaiting, DetachedPromise } from './detached.ts'
import type { Position } from './hosts/position.ts'
import { ClientSource } from './client/client-source.ts'
import { settingsOf } from '../sql/settings.ts'
import { thrownError } from './query/failure.ts'
import { afterOpening } from './open/opening.ts'
import { callOptions, placeOf } from './handle.ts'
import type { EngineOp } from './query/op.ts'
import { defaultsChecks } from './query/query-terms.ts'
import type { OpenTransaction, Slot, TransactionPlace } from './slot/slot.ts'
import { addHook, type Hook } from './transaction/hooks.ts'
import type { ManualTransaction, Transaction } from './transaction/transaction.ts'
import { type TransactionOptions, transactionOptions } from './transaction/options.ts'
import { anyOf, boolean, duration, must, needsFunction, type Checks, type Reading, readAgain } from '../util/options.ts'
import type { RunningEngine } from './runtime.ts'

/** Options of `acquire()`. (GINO: `acquire(timeout=, reuse=, lazy=)`.) */
export interface AcquireOptions {
  /** Takes the newest ambient connection if there is one. Default: `scope` true, `acquire` false. */
  readonly reuse?: boolean | undefined
  /** Borrows nothing before the first statement. Default: `scope` true, `acquire` false. */
  readonly lazy?: boolean | undefined
  /**
   * True: the connection is kept until its end, even while others wait for one. False: the pool may take it back for a
   * waiting caller while nothing runs or is open on it and its session is unchanged. The next statement then borrows
   * again. Default: `scope` false, `acquire` true. A handle that reuses another's connection heeds only an explicit true.
   */
  readonly hold?: boolean | undefined
  /** How long to wait for a connection that is borrowed now, in milliseconds; default `pool.acquireTimeoutMs`. */
  readonly timeoutMs?: number | undefined
  /** Defaults for the statements of the connection. */
  readonly query?: QueryDefaults | undefined
}

/** Options of `scope()`, and of the connection that a plug-in gives each request. */
export interface ScopeOptions extends AcquireOptions {
  /**
   * False: the connection is not ambient; only its handle uses it. The `settings` still hold for everything that runs
   * inside. Default true. (GINO: `reusable`.)
   */
  readonly reusable?: boolean | undefined
  /**
   * Session settings for every connection borrowed inside, such as `{ 'app.tenant': '7' }`. They are sent before the first
   * statement of every borrow and reset when the connection goes back. (PostgreSQL: `set_config`.)
   */
  readonly settings?: Settings | undefined
  /**
   * With replicas: where the plain reads of the scope go while it does nothing but read. `primary`: to the primary.
   * Default: the option `replicas.reads`.
   */
  readonly from?: From | undefined
  /** With replicas: a result of `position()`. Replicas that have not reached it are not used. */
  readonly after?: Position | undefined
}

/** Options of `detached()`. */
export interface DetachedOptions {
  readonly settings?: Settings | undefined
}

const text = must('a text that position() gave', (value) => typeof value === 'string')

const frameSettings: Reading = { read: settingsOf }

const acquireChecks: Checks<AcquireOptions> = {
  reuse: boolean,
  lazy: boolean,
  hold: boolean,
  timeoutMs: duration,
  query: { group: defaultsChecks },
}

const scopeChecks: Checks<ScopeOptions> = {
  ...acquireChecks,
  reusable: boolean,
  settings: frameSettings,
  from: anyOf('primary', 'replica'),
  after: text,
}

const detachedChecks: Checks<DetachedOptions> = { settings: frameSettings }

export abstract class Source extends ClientSource {
  /** @internal Throws what every use throws while there is neither an engine nor a source to open one from. */
  abstract checkUsable(): void

  /** @internal */
  override handleHere(): Handle | null {
    return null
  }

  /** @internal */
  override defaultsHere(known?: EngineCore, chain: Link | undefined = this.chainHere()): QueryDefaults | null {
    if (chain === undefined) return null
    const engine = known ?? this.engineQuietly()
    return engine === null ? null : ambientDefaults(engine, chain)
  }

  /** @internal */
  override slotHere(engine: EngineCore, chain: Link | undefined): Slot | null {
    return (ambientFrame(engine, chain)?.slot ?? null) as Slot | null
  }

  /** @internal */
  override placeHere(reuse: boolean, engine: EngineCore): TransactionPlace {
    const chain = this.chainHere()
    const slot = reuse ? this.slotHere(engine, chain) : null
    return { db: this.token(), chain, handle: null, slot }
  }

  /** @internal */
  override transactionHere(): Enclosing | null {
    const chain = this.chainHere()
    if (chain === undefined) return null
    const engine = this.engineQuietly()
    return engine === null ? null : transactionAround(engine, chain)
  }

  /** @internal */
  override settingsHere(): Settings | null {
    const chain = this.chainHere()
    const engine = chain === undefined ? null : this.engineQuietly()
    return engine === null ? null : ambientSettings(engine, chain)
  }

  /** @internal */
  override madeWith(): Settings | null {
    const chain = this.chainHere()
    const engine = chain === undefined ? null : this.engineQuietly()
    return engine === null ? null : settingsAround(engine, chain)
  }

  /** @internal */
  override send(op: EngineOp): void {
    ;(op.engine as RunningEngine).sendAmbient(op)
  }

  /**
   * Runs `work` with one connection. The first statement borrows it, every function called inside shares it without
   * being passed anything, and it goes back at the end. Inside another scope it shares that scope's connection.
   * (GINO: `async with engine.acquire(reuse=True, lazy=True)`.)
   * @throws {TransactionStateError} when `settings` differ from those of the connection it would share.
   * @throws {UsageError} when `settings` is not a plain object of strings, numbers or booleans. Nothing has run then.
   */
  async scope<T>(work: (connection: Connection) => Promise<T> | T, given?: ScopeOptions): Promise<T> {
    needsFunction(work, 'scope()')
    const options = callOptions<ScopeOptions>(given, scopeChecks, 'scope()')
    const own = options.settings
    const engine = this.engineHere()
    if (engine instanceof Promise) return this.scope(work, await afterOpening(engine, options))
    const chain = this.chainHere()
    const shared = options.reuse === false ? null : ambientFrame(engine, chain)
    if (shared !== null) {
      const slot = shared.slot as Slot
      checkSettings(own, settingsOn(slot, chain, null))
      const after = engine.runtime.reached(engine, options.after)
      if (after !== null || options.from !== undefined) slot.reads?.narrow(options.from ?? null, after)
      const connection = new Connection(engine, slot, chain, 'reusing', defaultsOf(options, engine, chain))
      if (options.hold === true) connection.hold()
      if (options.lazy === false) await borrowOrRelease(connection, options.timeoutMs)
      const frame = options.query === undefined ? null : new Frame('reusing', engine, this.token(), null, null, null)
      if (frame !== null) frame.defaults = connection.defaultsHere()
      try {
        return await (frame === null ? work(connection) : runIn(push(frame, chain), () => work(connection)))
      } finally {
        frame?.end()
        await connection.release()
      }
    }
    const after = engine.runtime.reached(engine, options.after)
    const slot = engine.openSlot(chain, { what: 'scope', explicit: false, settings: own })
    if (engine.hosts !== null && options.hold !== true)
      slot.reads = engine.runtime.openReads(engine.hosts, options, after)
    const connection = new Connection(engine, slot, chain, 'owner', defaultsOf(options, engine, chain))
    if (options.hold === true) connection.hold()
    if (options.lazy === false) await borrowOrClose(connection, slot, options.timeoutMs)
    const orphan = options.reusable === false
    const settings = orphan && own === undefined ? null : slot.settings
    const frame = new Frame(orphan ? 'orphan' : 'owner', engine, this.token(), slot, null, settings)
    frame.connection = connection
    frame.defaults = connection.defaultsHere()
    try {
      return await runIn(push(frame, chain), () => work(connection))
    } finally {
      frame.end()
      engine.endScope(slot)
    }
  }

  /**
   * A connection that you hold and release yourself. It is ambient only inside its `run(work)`. (GINO: `engine.acquire()`.)
   * @throws {AcquireTimeoutError} when none becomes free in time.
   * @throws {SelfDeadlockError} when the caller itself runs inside the holders of all connections that the pool may open.
   */
  async acquire(given?: AcquireOptions): Promise<Connection> {
    const options = callOptions<AcquireOptions>(given, acquireChecks, 'acquire()')
    const engine = this.engineHere()
    if (engine instanceof Promise) return this.acquire(await afterOpening(engine, options))
    const chain = this.chainHere()
    const shared = options.reuse === true ? ambientFrame(engine, chain) : null
    if (shared !== null) {
      const connection = new Connection(
        engine,
        shared.slot as Slot,
        chain,
        'reusing',
        defaultsOf(options, engine, chain),
      )
      if (options.hold === true) connection.hold()
      if (options.lazy !== true) await borrowOrRelease(connection, options.timeoutMs)
      return connection
    }
    const slot = engine.openSlot(chain, { what: 'acquire()', explicit: true, settings: undefined })
    slot.madeIn = quietAmbientFrame(engine, chain)
    const connection = new Connection(engine, slot, chain, 'owner', defaultsOf(options, engine, chain))
    if (options.hold !== false) connection.hold()
    engine.leaks?.guard(connection, slot)
    if (options.lazy !== true && !slot.borrowAtOnce()) await borrowOrClose(connection, slot, options.timeoutMs)
    return connection
  }

  /**
   * Opens a transaction on its own connection. It ends by `commit()`, `rollback()` or disposal, and is not ambient.
   * @throws {TransactionStateError} with `reuse: true` inside a scope, where other code would wait for it without knowing.
   */
  async begin(given?: TransactionOptions | Handle): Promise<ManualTransaction> {
    const options = transactionOptions(given, 'begin()')
    const there = placeOf(options.on, this, 'begin()')
    if (there !== this) return there.begin(readAgain(options, { on: undefined }))
    const engine = this.engineHere()
    if (engine instanceof Promise) return this.begin(await afterOpening(engine, options))
    const chain = this.chainHere()
    if (options.reuse === true && ambientFrame(engine, chain) !== null)
      throw new TransactionStateError(
        'begin({ reuse: true }) on the ambient connection would make every statement around it wait. Use transaction(work).',
      )
    return engine.beginOn({ db: this.token(), chain, handle: null, slot: null }, options)
  }

  /**
   * Runs `work`, which waits for something other than the database. Meanwhile the ambient connection may go back to the
   * pool. It opens nothing. See `Connection.idle`.
   * @throws {TransactionEndedError} in code of a transaction that has ended.
   */
  async idle<T>(work: () => Promise<T> | T): Promise<T> {
    needsFunction(work, 'idle()')
    const engine = this.engineQuietly()
    if (engine === null) this.checkUsable()
    const chain = this.chainHere()
    const frame = engine === null ? null : quietAmbientFrame(engine, chain)
    if (engine !== null && frame !== null) return (frame.slot as Slot).idle(work)
    const around = engine === null ? null : transactionAround(engine, chain)
    if (around !== null && !around.open) throw around.ended()
    return work()
  }

  /**
   * Runs `work` without the connection, transaction and settings around it, for work that outlives them. A `withBind`
   * stays. The option `settings` gives it new settings.
   * @throws {UsageError} when `settings` is not a plain object of strings, numbers or booleans. Nothing has run then.
   */
  detached<T>(work: () => Promise<T> | T, given?: DetachedOptions): Promise<T> {
    const awaiting = new Awaiting()
    return DetachedPromise.of(this.#detached(work, given, awaiting), awaiting)
  }

  async #detached<T>(work: () => Promise<T> | T, given: DetachedOptions | undefined, awaiting: Awaiting): Promise<T> {
    needsFunction(work, 'detached()')
    const options = callOptions<DetachedOptions>(given, detachedChecks, 'detached()')
    const settings = options.settings ?? null
    const here = this.engineHere()
    const engine = here instanceof Promise ? await here : here
    const frame = new Frame('detached', engine, this.token(), null, null, settings)
    frame.around = slotFrames(currentChain())
    awaiting.frame = frame
    try {
      return await runInFrame(frame, work)
    } finally {
      frame.end()
    }
  }

  /**
   * Runs `hook` after the transaction that is open here has committed. It is `tx.afterCommit` for code that was not passed
   * the transaction; the promise then settles at once. Without a transaction the hook runs at once, and the promise settles
   * as the hook does.
   * @throws {TransactionEndedError} in code of a transaction that has ended.
   */
  afterCommit(hook: Hook): Promise<void> {
    return addHook('commit', atThisPlace(hook, this.chainHere()), () => this.#transactionHere())
  }

  /** Runs `hook` after the transaction that is open here was rolled back, as `tx.afterRollback` does. Without one, never. */
  afterRollback(hook: Hook): Promise<void> {
    return addHook('rollback', atThisPlace(hook, this.chainHere()), () => this.#transactionHere())
  }

  #transactionHere(): OpenTransaction | null {
    const engine = this.engineQuietly()
    if (engine === null) this.checkUsable()
    const frame = engine === null ? null : ambientFrame(engine, currentChain())
    if (frame !== null && frame.manual !== null) engine?.warnOfManual(frame)
    return (frame?.slot as Slot | null | undefined)?.innermost(null) ?? null
  }

  /**
   * The position of the database now: it covers everything committed so far. A scope with `{ after: position }` sees all of
   * it, whichever replica it reads from. The position may be kept in a cookie. This call asks the primary.
   * @throws {TransactionStateError} inside a transaction, which is not committed yet.
   * @throws {UsageError} where the database has no such position.
   */
  async position(): Promise<Position> {
    const here = this.engineHere()
    const engine = here instanceof Promise ? await here : here
    return engine.runtime.askPosition(this)
  }

  /** The connection that `acquire({ reuse: true })` would use here, or undefined. Never throws. (GINO: `current_connection`.) */
  get current(): Connection | undefined {
    const engine = this.engineQuietly()
    const frame = engine === null ? null : quietAmbientFrame(engine, this.chainHere())
    if (frame === null) return undefined
    if (frame.transaction !== null) return (frame.transaction.handle as Transaction).connection
    return (frame.connection ??= new Connection(
      frame.engine as RunningEngine,
      frame.slot as Slot,
      undefined,
      'reusing',
    )) as Connection
  }
}

/** @internal The settings a new slot gets: those around it with its own on top. */
export function mergedSettings(
  engine: EngineCore,
  chain: Link | undefined,
  own: Settings | undefined,
): Settings | null {
  const around = chain === undefined ? null : ambientSettings(engine, chain)
  if (own === undefined) return around
  return around === null ? own : { ...around, ...own }
}

/** The defaults that a handle made here gives to its statements: its own, else those around it. */
function defaultsOf({ query }: AcquireOptions, engine: EngineCore, chain: Link | undefined): QueryDefaults | null {
  return nestedDefaults(query, null, engine, chain)
}

async function borrowOrRelease(connection: Connection, timeoutMs: number | undefined): Promise<void> {
  try {
    await connection.borrow(timeoutMs)
  } catch (error) {
    await connection.release()
    throw error
  }
}

async function borrowOrClose(connection: Connection, slot: Slot, timeoutMs: number | undefined): Promise<void> {
  try {
    await connection.borrow(timeoutMs)
  } catch (thrown) {
    void slot.close()
    throw thrownError(thrown, slot.engine)
  }
}

function checkSettings(asked: Settings | undefined, had: Settings | null): void {
  if (asked === undefined) return
  for (const [name, value] of Object.entries(asked)) {
    if (had?.[name] === value) continue
    throw new TransactionStateError(
      `scope({ settings }) asks for another ${name} than the connection it would share. Set it on the outermost scope, or ` +
        'pass reuse: false for a separate connection.',
    )
  }
}
