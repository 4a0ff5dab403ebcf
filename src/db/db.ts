// The object users import: unbound, configured or open, it finds the engine that stands for it here and now. All
// queries, scopes and transactions are those of the engine; nothing is implemented twice.
import { clock, defaultCloseTimeoutMs } from '../util/clock.ts'
import { AlreadyBoundError, UsageError } from '../errors/index.ts'
import type { Allowance } from '../pool/allowance.ts'
import type { CloseReport } from '../pool/contract.ts'
import { boundEngine, currentChain, runInFrame } from '../engine/context/chain.ts'
import { Frame, type Handle } from '../engine/context/frame.ts'
import { placeAround } from '../engine/context/place.ts'
import { closeChecks, type CloseOptions, Engine, type EngineStats } from '../engine/engine.ts'
import { callOptions } from '../engine/handle.ts'
import {
  checkNoSource,
  dialectOf,
  type EngineOptions,
  type EngineSource,
  needsSource,
  openEngine,
  withEngine,
  withOwnError,
  withRuntime,
  runtimeOf,
} from '../engine/open/create-engine.ts'
import { closedError, nothingClosed, notBound, Opening, Pace, Paces, withoutEngine } from '../engine/open/opening.ts'
import type { Executor, Row } from '../engine/query/executor.ts'
import { Source } from '../engine/source.ts'
import type { EngineRuntime } from '../engine/runtime.ts'
import { Bakery, type RowLoader } from '../sql/baked.ts'
import type { Dialect } from '../sql/dialect.ts'
import type { OnlyColumn } from '../sql/first-column.ts'
import type { Into, IntoRow } from '../sql/into.ts'
import type { Params } from '../sql/statement.ts'
import { needsFunction } from '../util/options.ts'
import { inRoot } from '../util/context.ts'
import type { TenantStay, TenantTargets } from './places.ts'
import { type Baked, type BakeOptions, bakedOn, type Bakes, type GivenBakeOptions, recipeOn } from './baked.ts'

type State = 'unbound' | 'configured' | 'opening' | 'open' | 'closed'

/** A database; several are several `Db`. Those on one engine share its connections and transactions. (GINO: `Gino`, without models.) */
export class Db extends Source implements AsyncDisposable {
  #state: State
  #source: EngineSource | null
  #options: EngineOptions | undefined
  /** Given without a source: they are for the one that `bind` brings. */
  readonly #waiting: EngineOptions | undefined
  /** `undefined` was given as the source: an environment variable that is not set, most likely. */
  #missing: boolean
  #engine: Engine | null = null
  /** Being closed by `rest`. */
  #resting: Engine | null = null
  /** The dialect of the source, once somebody has asked for it. */
  #configured: Dialect | undefined
  #opening: Promise<Engine> | null = null
  #attempt: Opening<Engine> | null = null
  #pace = new Pace()
  readonly #paces = new Paces()
  /** It was closed while calls waited for its opening: those go on. */
  #serving = false
  /** @internal The connections that it has together with other databases; null: it has its own. */
  protected allowance: Allowance | null = null
  /** @internal What was baked on it. */
  bakery: Bakery = new Bakery()

  constructor(...given: [source?: EngineSource | undefined, options?: EngineOptions | undefined]) {
    super()
    const [source, options] = given
    this.#missing = source === undefined && given.length > 0
    this.#source = source ?? null
    this.#options = options
    if (source === undefined) this.#waiting = checkNoSource(options)
    else needsSource('createDb()', source, options)
    this.#state = source === undefined ? 'unbound' : 'configured'
  }

  /** Whether it has an engine for the calling code. */
  get bound(): boolean {
    return this.engineQuietly() !== null
  }

  /**
   * Opens the configured database now instead of on first use, and fails fast. Idempotent.
   * @throws {NotBoundError} when there is nothing to open.
   * @throws {ConnectError} when the database cannot be reached. A later call tries again.
   */
  async open(): Promise<this> {
    const engine = this.#engineHere(false, true)
    if (engine instanceof Promise) await (this.#attempt?.orRefused(engine) ?? engine)
    return this
  }

  /**
   * Gives an unbound `Db` its database: an engine that is open already, or a source that is opened now. A source uses the
   * options of `createDb()`, if that was given options without a source. An engine keeps its own. (GINO: `set_bind`.)
   * @throws {AlreadyBoundError} when it has a database.
   * @throws {UsageError} when both `createDb()` and `bind()` were given options.
   */
  async bind(source: EngineSource | Engine, options?: EngineOptions): Promise<Engine> {
    if (this.#state === 'closed') throw closedError()
    if (this.#state !== 'unbound')
      throw new AlreadyBoundError(
        'This db has a database already. Close it, or use withBind() for another one within a callback.',
      )
    if (source instanceof Engine) {
      if (options !== undefined) throw withEngine('bind()')
      this.#engine = source
      this.#state = 'open'
      source.bakeries.add(this.bakery)
      return source
    }
    needsSource('bind()', source, options)
    if (options !== undefined && this.#waiting !== undefined)
      throw new UsageError(
        'bind() was given options, and so was createDb(), which had no source. Give the options to one of them: those of ' +
          'createDb() hold for the source that bind() brings.',
      )
    this.#source = source
    this.#options = options ?? this.#waiting
    this.#state = 'configured'
    try {
      return await withRuntime(this.#open(false), this.#attempt)
    } catch (error) {
      this.#state = 'unbound'
      this.#source = null
      throw error
    }
  }

  /** Takes the engine away without closing it. Returns undefined if there was none. (GINO: `pop_bind`.) */
  unbind(): Engine | undefined {
    const engine = this.#engine ?? undefined
    if (this.#state === 'opening') throw new UsageError('unbind() was called during open(): await that first.')
    if (this.#state === 'closed') return undefined
    this.#engine = null
    this.#source = null
    this.#state = 'unbound'
    engine?.bakeries.delete(this.bakery)
    return engine
  }

  /**
   * Runs `work` with this db bound to another database. Code outside of the callback does not see it. It closes the engine
   * at the end only if it opened it. (GINO: `with_bind`.)
   */
  async withBind<T>(
    source: EngineSource | Engine,
    work: (engine: Engine) => Promise<T> | T,
    options?: EngineOptions,
  ): Promise<T> {
    needsFunction(work, 'withBind()')
    if (!(source instanceof Engine)) needsSource('withBind()', source, options)
    else if (options !== undefined) throw withEngine('withBind()')
    const engine = source instanceof Engine ? source : await this.#openFor(source, options)
    const frame = new Frame('bind', engine, this, null, null, null)
    try {
      return await runInFrame(frame, () => work(engine))
    } finally {
      frame.end()
      if (engine !== source) await engine.close()
    }
  }

  /**
   * Compiles a statement once, to be run with other values each time. It takes a text with `$1` or `:name`, a query that was
   * built, or a function that builds one with placeholders. The function is called now. A database is not needed yet. (GINO: `bake`.)
   * @throws {UsageError} when the value is not a query, and for an unknown option.
   * @throws {ParameterError} when the placeholders of the query do not fit.
   */
  bake<const I extends Into, R = Row, P extends object = Params, V = OnlyColumn<R>>(
    query: Bakes<R, P, V>,
    options: BakeOptions & { readonly into: I },
  ): Baked<IntoRow<I>, P, R, V>
  bake<R = Row, P extends object = Params, T = R, V = OnlyColumn<R>>(
    query: Bakes<R, P, V>,
    options?: (BakeOptions & { readonly loader?: RowLoader<R, T> | undefined }) | Handle,
  ): Baked<T, P, R, V>
  bake(query: unknown, options?: GivenBakeOptions | Handle): Baked<unknown, object, unknown> {
    const recipe = recipeOn(this, query)
    this.bakery.add(recipe)
    return bakedOn(recipe, this, options)
  }

  /**
   * @internal The database of that name, tenant or schema, where one object stands for several.
   * @throws {UsageError} for one there is not.
   */
  databaseAt(where: unknown): Db {
    throw new UsageError(
      `There is no database ${typeof where === 'string' ? `named ${JSON.stringify(where)}` : 'of another place'} behind this db: createDb() makes a single one. createRegistry() of 'genever/registry' has names, tenants and schemas.`,
    )
  }

  /** @internal */
  override madeHere(): Executor {
    const chain = currentChain()
    const frame = chain === undefined ? null : placeAround(this.token(), chain)
    if (frame === null || frame.engine === this.engineAtHome()) return this
    return ((frame.engine as Engine).home as Db | null) ?? (frame.engine as Engine)
  }

  /** @internal Whether models may use it here: `on`, where a call says one. @throws {TenantError} */
  modelsHere(_on: Executor | undefined): void {}

  /**
   * @internal For code that a plug-in runs for a tenant, until it says that it has ended.
   * @throws {TenantError} for a value that is not a tenant. @throws {UsageError} where there are no tenants.
   */
  enterTenant(_tenant: unknown): TenantStay | Promise<TenantStay> {
    throw new UsageError("This db has no tenants. Make it by createRegistry({ tenancy }) of 'genever/registry'.")
  }

  /** @internal What its tenants are; null: it has none. */
  get tenantKind(): TenantTargets['kind'] | null {
    return null
  }

  /** @internal All that `tenancy.list` gives. @throws {UsageError} where there is none. */
  tenantTargets(): Promise<TenantTargets> {
    return Promise.reject(
      new UsageError("This db has no tenants. Make it by createRegistry({ tenancy }) of 'genever/registry'."),
    )
  }

  /** @internal Something opens and closes it. */
  claim(): void {}

  /** The counts of this moment. @throws {NotBoundError} while it has no engine; `PoolClosedError` when it has been closed. */
  stats(): EngineStats {
    const engine = this.engineQuietly()
    if (engine === null) throw withoutEngine(this.#state, this.#missing)
    return engine.stats()
  }

  /**
   * Closes the engine for good. Statements that wait for the database to be opened still run, if the current attempt
   * succeeds. See `Engine.close`.
   * @throws {UsageError} inside of a scope or transaction that holds a connection, because `close` would wait for it.
   *   Nothing is closed.
   */
  async close(options?: CloseOptions): Promise<CloseReport> {
    const read = callOptions(options, closeChecks, 'close()')
    const attempt = this.#attempt
    ;(this.#engine ?? attempt?.engine)?.refuseCloseInside()
    this.#state = 'closed'
    // Those who wait for it are served as they would be a moment later.
    if (attempt?.loading) await attempt.loaded()
    if (attempt?.engine && attempt.patient) {
      const began = clock.now()
      const timeoutMs = read.timeoutMs ?? attempt.engine.options.closeTimeoutMs
      if (await attempt.opensWithin(this.#opening, timeoutMs)) {
        this.#serving = false
        return attempt.engine.end(Math.max(0, timeoutMs - (clock.now() - began)), true)
      }
    }
    attempt?.giveUp(closedError())
    return (this.#engine ?? attempt?.engine)?.close(read) ?? nothingClosed
  }

  /**
   * @internal Closes the engine; the next use opens it again. One that is being opened serves those who wait for that, or is
   * given up when the time is over. A later call can only make that shorter.
   */
  async rest(options?: CloseOptions): Promise<CloseReport> {
    const began = clock.now()
    const attempt = this.#attempt
    if (attempt !== null) await this.#openOrGiveUp(attempt, options?.timeoutMs)
    const engine = this.#engine ?? this.#resting ?? attempt?.engine ?? null
    if (engine === null) return nothingClosed
    engine.refuseCloseInside()
    if (engine === this.#engine) [this.#engine, this.#state] = [null, 'configured']
    this.#resting = engine
    const timeoutMs = Math.max(0, (options?.timeoutMs ?? engine.options.closeTimeoutMs) - (clock.now() - began))
    return engine.close({ timeoutMs }).finally(() => (this.#resting = this.#resting === engine ? null : this.#resting))
  }

  async #openOrGiveUp(attempt: Opening<Engine>, timeoutMs: number | undefined): Promise<void> {
    const opening = this.#opening
    const patienceMs = timeoutMs ?? attempt.engine?.options.closeTimeoutMs ?? defaultCloseTimeoutMs
    if ((await attempt.opensWithin(opening, patienceMs)) || this.#opening !== opening) return
    // The next opening does not wait for this attempt.
    this.#pace = new Pace()
    attempt.giveUp()
    await opening?.catch(() => {})
  }

  /** @internal @throws {UsageError} inside of a scope or transaction that holds one of its connections. */
  refuseCloseInside(): void {
    this.#engine?.refuseCloseInside()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal */
  override runtimeHere(): EngineRuntime | Promise<EngineRuntime> {
    return runtimeOf(this.engineQuietly())
  }

  /** @internal */
  override token(): object {
    return this
  }

  /** @internal */
  override engineQuietly(): Engine | null {
    const chain = currentChain()
    return (
      (chain === undefined ? null : (boundEngine(this, chain) as Engine | null)) ??
      (this.#state === 'closed' ? null : this.#engine)
    )
  }

  /** @internal Of the database that it would open, too. */
  override dialectHere(): Dialect {
    return (
      this.engineQuietly()?.dialect ??
      (this.#configured ??= dialectOf(this.#source, this.#options)) ??
      super.dialectHere()
    )
  }

  /** @internal The engine that it has outside of every callback; null while there is none. */
  engineAtHome(): Engine | null {
    return this.#state === 'closed' ? null : this.#engine
  }

  /** @internal An unbound `Db` stands for any database. */
  override runsOn(engine: Engine): boolean {
    return this.#state === 'unbound' || this.#attempt?.engine === engine || super.runsOn(engine)
  }

  /** @internal */
  override engineHere(whole: boolean = true): Engine | Promise<Engine> {
    return this.#engineHere(true, whole)
  }

  /** `patient`: for a statement that waits while the server has no room. */
  #engineHere(patient: boolean, whole: boolean): Engine | Promise<Engine> {
    const chain = currentChain()
    const around = chain === undefined ? null : (boundEngine(this, chain) as Engine | null)
    if (around === null) this.checkUsable()
    const engine = around ?? this.#engine
    if (engine !== null) return engine.engineHere(whole)
    return withOwnError(whole ? withRuntime(this.#open(patient), this.#attempt) : this.#open(patient))
  }

  /** @internal */
  override checkUsable(): void {
    if (this.#state === 'closed' && !this.#serving) throw closedError()
    if (this.#state === 'unbound') throw notBound(this.#missing)
  }

  #open(patient: boolean): Promise<Engine> {
    const attempt = (this.#attempt ??= inRoot(() => new Opening<Engine>(false, this.allowance)))
    if (patient) attempt.patient = true
    return (this.#opening ??= this.#openNow(attempt))
  }

  async #openNow(attempt: Opening<Engine>): Promise<Engine> {
    this.#state = 'opening'
    try {
      const source = this.#source as EngineSource
      const open = (): Promise<Engine> => openEngine(source, this.#options, this, this.bakery, attempt)
      const engine = await attempt.orGivenUp(() => this.#pace.run(open))
      this.#engine = engine
      engine.home = this
      if ((this.#state as State) === 'closed') this.#serving = true
      else this.#state = 'open'
      return engine
    } catch (error) {
      if ((this.#state as State) !== 'closed') this.#state = 'configured'
      throw error
    } finally {
      this.#opening = null
      this.#attempt = null
    }
  }

  /** An engine for `withBind`: while a source cannot be opened, those who ask for it share one attempt at a time. */
  #openFor(source: EngineSource, options: EngineOptions | undefined): Promise<Engine> {
    const open = (): Promise<Engine> =>
      withRuntime(openEngine(source, options, this, this.bakery, new Opening<Engine>(true)))
    return inRoot(() => this.#paces.run(source instanceof URL ? source.href : source, options, open))
  }

  override toString(): string {
    if (this.#engine === null || this.#state === 'closed') return `Db { ${this.#state} }`
    const { open, max, idle, reserved, waiting } = this.#engine.stats()
    return `Db { ${this.#engine.options.describe()}, ${open}/${max} open, ${reserved} lent, ${idle} idle, ${waiting} waiting }`
  }
}

/**
 * A `Db` on a URL, on options, or on a function that returns them. It is opened on first use or by `open()`, which reports wrong
 * options. Without a source it is unbound until `bind()`, which opens its source with these options.
 */
export function createDb(...given: [source?: EngineSource | undefined, options?: EngineOptions | undefined]): Db {
  return new Db(...given)
}
