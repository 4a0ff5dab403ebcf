// What Engine and Db share beyond queries: connections, scopes and transactions that follow the context. Each says
// only which engine it stands for. Only a callback ever changes what is current.
import { TransactionStateError } from '../errors/index.ts'
import { Connection, idleOn } from './connection.ts'
import {
  ambientDefaults,
  ambientFrame,
  ambientSettings,
  currentChain,
  type Link,
  push,
  quietAmbientFrame,
  runIn,
  runInFrame,
  transactionAround,
} from './context/chain.ts'
import { Frame, type Settings } from './context/frame.ts'
import { Awaiting, DetachedPromise } from './detached.ts'
import type { Engine } from './engine.ts'
import { settingsOf } from '../sql/settings.ts'
import { Executor } from './query/executor.ts'
import { thrownError } from './query/failure.ts'
import { afterOpening } from './open/after-opening.ts'
import { callOptions, type Handle, placeOf } from './handle.ts'
import type { EngineOp } from './query/op.ts'
import { defaultsChecks, type QueryDefaults } from './query/query-options.ts'
import type { Slot } from './slot/slot.ts'
import { addHook, transactionHere } from './transaction/after.ts'
import type { Hook } from './transaction/hooks.ts'
import type { ManualTransaction } from './transaction/manual.ts'
import { type TransactionOptions, transactionOptions, type TransactionPlace } from './transaction-options.ts'
import type { TransactionRecord } from './transaction/record.ts'
import { boolean, duration, needsFunction } from '../util/checks.ts'
import { type Checks, type Reading, readAgain } from '../util/options.ts'
import type { Transaction } from './transaction/transaction.ts'

export interface AcquireOptions {
  /** Takes the newest ambient connection if there is one. Default: `scope` true, `acquire` false. */
  readonly reuse?: boolean | undefined
  /** Borrows nothing before the first statement. Default: `scope` true, `acquire` false. */
  readonly lazy?: boolean | undefined
  /**
   * True: the connection is kept until its end, whatever waits for it. False: the pool may take it back for somebody who
   * waits, while nothing runs or is open on it and its session is as it was; the next statement borrows again. Default:
   * `scope` false, `acquire` true. Of one that reuses another's connection only true counts, and only if it is given.
   */
  readonly hold?: boolean | undefined
  /** How long to wait for a connection that is borrowed now, in milliseconds; default `pool.acquireTimeoutMs`. */
  readonly timeoutMs?: number | undefined
  /** Defaults for the statements of the connection. */
  readonly query?: QueryDefaults | undefined
}

export interface ScopeOptions extends AcquireOptions {
  /**
   * False: the connection is not ambient; only its handle uses it. The `settings` hold for whatever runs inside all the
   * same. Default true. (GINO: `reusable`.)
   */
  readonly reusable?: boolean | undefined
  /**
   * Session settings for every connection borrowed inside, such as `{ 'app.tenant': '7' }`: sent in front of the first
   * statement of every borrow and taken away when the connection goes back. (PostgreSQL: `set_config`.)
   */
  readonly settings?: Settings | undefined
}

export interface DetachedOptions {
  readonly settings?: Settings | undefined
}

const frameSettings: Reading = { read: settingsOf }

const acquireChecks: Checks<AcquireOptions> = {
  reuse: boolean,
  lazy: boolean,
  hold: boolean,
  timeoutMs: duration,
  query: { group: defaultsChecks },
}

const scopeChecks: Checks<ScopeOptions> = { ...acquireChecks, reusable: boolean, settings: frameSettings }

const detachedChecks: Checks<DetachedOptions> = { settings: frameSettings }

export abstract class Source extends Executor {
  /** @internal The `Db` frames are opened through; null for an engine. */
  abstract token(): object | null

  /** @internal Throws what every use throws while there is neither an engine nor a source to open one from. */
  abstract checkUsable(): void

  /** @internal */
  override handleHere(): Handle | null {
    return null
  }

  /** @internal */
  override defaultsHere(): QueryDefaults | null {
    const chain = currentChain()
    if (chain === undefined) return null
    const engine = this.engineQuietly()
    return engine === null ? null : ambientDefaults(engine, chain)
  }

  /** @internal */
  override slotHere(engine: Engine, chain: Link | undefined): Slot | null {
    return ambientFrame(engine, chain)?.slot ?? null
  }

  /** @internal */
  override placeHere(reuse: boolean, engine: Engine): TransactionPlace {
    const chain = currentChain()
    const slot = reuse ? (ambientFrame(engine, chain)?.slot ?? null) : null
    return { db: this.token(), chain, handle: null, slot }
  }

  /** @internal */
  override transactionHere(): TransactionRecord | null {
    const chain = currentChain()
    if (chain === undefined) return null
    const engine = this.engineQuietly()
    return engine === null ? null : transactionAround(engine, chain)
  }

  /** @internal */
  override send(op: EngineOp): void {
    op.engine.sendAmbient(op)
  }

  /**
   * Runs `work` with one connection for all that it calls: borrowed by its first statement, shared by every function
   * inside with nothing passed, given back at the end. Inside another scope it shares that one's.
   * (GINO: `async with engine.acquire(reuse=True, lazy=True)`.)
   * @throws {TransactionStateError} when `settings` differ from those of the connection it would share.
   * @throws {UsageError} when `settings` are no plain object of names and strings, numbers or booleans; nothing has run then.
   */
  async scope<T>(work: (connection: Connection) => Promise<T> | T, given?: ScopeOptions): Promise<T> {
    needsFunction(work, 'scope()')
    const options = callOptions<ScopeOptions>(given, scopeChecks, 'scope()')
    const own = options.settings
    const engine = this.engineHere()
    if (engine instanceof Promise) return this.scope(work, await afterOpening(engine, options))
    const chain = currentChain()
    const shared = options.reuse === false ? null : ambientFrame(engine, chain)
    if (shared !== null) {
      const slot = shared.slot as Slot
      checkSettings(own, slot.settings)
      const connection = new Connection(engine, slot, chain, false, defaultsOf(options, engine, chain))
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
    const slot = engine.openSlot(chain, false, 'scope', own)
    const connection = new Connection(engine, slot, chain, true, defaultsOf(options, engine, chain))
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
   * A connection to hold and release by hand; never ambient, unless by its `run(work)`. (GINO: `engine.acquire()`.)
   * @throws {AcquireTimeoutError} when none becomes free in time.
   * @throws {SelfDeadlockError} when the caller runs inside of the holders of every connection there may be.
   */
  async acquire(given?: AcquireOptions): Promise<Connection> {
    const options = callOptions<AcquireOptions>(given, acquireChecks, 'acquire()')
    const engine = this.engineHere()
    if (engine instanceof Promise) return this.acquire(await afterOpening(engine, options))
    const chain = currentChain()
    const shared = options.reuse === true ? ambientFrame(engine, chain) : null
    if (shared !== null) {
      const connection = new Connection(engine, shared.slot as Slot, chain, false, defaultsOf(options, engine, chain))
      if (options.hold === true) connection.hold()
      if (options.lazy !== true) await borrowOrRelease(connection, options.timeoutMs)
      return connection
    }
    const slot = engine.openSlot(chain, true, 'acquire()')
    slot.madeIn = quietAmbientFrame(engine, chain)
    const connection = new Connection(engine, slot, chain, true, defaultsOf(options, engine, chain))
    if (options.hold !== false) connection.hold()
    engine.leaks?.guard(connection, slot)
    if (options.lazy !== true && !slot.borrowAtOnce()) await borrowOrClose(connection, slot, options.timeoutMs)
    return connection
  }

  override async transaction<T>(
    work: (tx: Transaction) => Promise<T> | T,
    given?: TransactionOptions | Handle,
  ): Promise<T> {
    needsFunction(work, 'transaction()', 'or begin() opens one by hand')
    const options = transactionOptions(given, 'transaction()')
    const there = placeOf(options.on, this, 'transaction()')
    if (there !== this) return there.transaction(work, readAgain(options, { on: undefined }))
    const engine = this.engineHere()
    if (engine instanceof Promise) return this.transaction(work, await afterOpening(engine, options))
    return engine.transact(this.placeHere(options.reuse !== false, engine), work, options)
  }

  /**
   * Opens a transaction on a connection of its own that ends by `commit()`, `rollback()` or disposal; not ambient.
   * @throws {TransactionStateError} with `reuse: true` inside of a scope, where others would wait for it unknowingly.
   */
  async begin(given?: TransactionOptions | Handle): Promise<ManualTransaction> {
    const options = transactionOptions(given, 'begin()')
    const there = placeOf(options.on, this, 'begin()')
    if (there !== this) return there.begin(readAgain(options, { on: undefined }))
    const engine = this.engineHere()
    if (engine instanceof Promise) return this.begin(await afterOpening(engine, options))
    const chain = currentChain()
    if (options.reuse === true && ambientFrame(engine, chain) !== null)
      throw new TransactionStateError(
        'begin({ reuse: true }) on the ambient connection would make every statement around it wait. Use transaction(work).',
      )
    return engine.beginOn({ db: this.token(), chain, handle: null, slot: null }, options)
  }

  /**
   * Runs `work`, which waits for something other than the database, and lets the ambient connection go back meanwhile.
   * See `Connection.idle`. Opens nothing.
   * @throws {TransactionEndedError} in code of a transaction that has ended.
   */
  async idle<T>(work: () => Promise<T> | T): Promise<T> {
    needsFunction(work, 'idle()')
    const engine = this.engineQuietly()
    if (engine === null) this.checkUsable()
    const chain = currentChain()
    const frame = engine === null ? null : quietAmbientFrame(engine, chain)
    if (frame !== null) return idleOn(frame.slot as Slot, work)
    const around = engine === null ? null : transactionAround(engine, chain)
    if (around !== null && !around.open) throw around.ended()
    return work()
  }

  /**
   * Runs `work` without the connection, transaction and settings around it, for work that outlives them; a `withBind`
   * stays. With `settings` it has those.
   * @throws {UsageError} when `settings` are no plain object of names and strings, numbers or booleans; nothing has run then.
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
    awaiting.frame = frame
    try {
      return await runInFrame(frame, work)
    } finally {
      frame.end()
    }
  }

  /**
   * Runs `hook` after the transaction that is open here has committed, as `tx.afterCommit` does: for code that was not passed
   * the transaction. Where none is open it runs at once; then the promise settles as the hook does, else at once.
   * @throws {TransactionEndedError} in code of a transaction that has ended.
   */
  afterCommit(hook: Hook): Promise<void> {
    return addHook('commit', hook, () => this.#transactionHere())
  }

  /** Runs `hook` after the transaction that is open here was rolled back, as `tx.afterRollback` does; never where none is. */
  afterRollback(hook: Hook): Promise<void> {
    return addHook('rollback', hook, () => this.#transactionHere())
  }

  #transactionHere(): TransactionRecord | null {
    const engine = this.engineQuietly()
    if (engine === null) this.checkUsable()
    return engine === null ? null : transactionHere(engine)
  }

  /** The connection `acquire({ reuse: true })` would use here, else undefined; never throws. (GINO: `current_connection`.) */
  get current(): Connection | undefined {
    const engine = this.engineQuietly()
    const frame = engine === null ? null : quietAmbientFrame(engine, currentChain())
    if (frame === null) return undefined
    if (frame.transaction !== null) return (frame.transaction.handle as Transaction).connection
    return (frame.connection ??= new Connection(frame.engine, frame.slot as Slot, undefined, false))
  }
}

/** @internal The settings a new slot gets: those around it with its own on top. */
export function mergedSettings(engine: Engine, chain: Link | undefined, own: Settings | undefined): Settings | null {
  const around = chain === undefined ? null : ambientSettings(engine, chain)
  if (own === undefined) return around
  return around === null ? own : { ...around, ...own }
}

/** What a handle made here gives to its statements: its own defaults, else those around it. */
function defaultsOf({ query }: AcquireOptions, engine: Engine, chain: Link | undefined): QueryDefaults | null {
  return query ?? ambientDefaults(engine, chain)
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
    throw thrownError(thrown, null)
  }
}

function checkSettings(asked: Settings | undefined, had: Settings | null): void {
  if (asked === undefined) return
  for (const [name, value] of Object.entries(asked)) {
    if (had?.[name] === value) continue
    throw new TransactionStateError(
      `scope({ settings }) asks for another ${name} than the connection it would share. Set it on the outermost scope, or ` +
        'pass reuse: false for a connection of its own.',
    )
  }
}
