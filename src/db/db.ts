// The object users import: unbound, configured or open, it finds the engine that stands for it here and now. All
// queries, scopes and transactions are those of the engine; nothing is implemented twice.
import { AlreadyBoundError, NotBoundError, PoolClosedError, UsageError } from '../errors/index.ts'
import type { CloseReport, PoolStats } from '../pool/contract.ts'
import { boundEngine, currentChain, runInFrame } from '../engine/context/chain.ts'
import { Frame } from '../engine/context/frame.ts'
import { closeChecks, type CloseOptions, Engine } from '../engine/engine.ts'
import { callOptions, type Handle } from '../engine/handle.ts'
import { type EngineOptions, type EngineSource, needsSource, openEngine } from '../engine/open/create-engine.ts'
import { Opening, Pace, Paces } from '../engine/open/opening.ts'
import type { Row } from '../engine/query/executor.ts'
import { Source } from '../engine/source.ts'
import { Bakery } from '../sql/baked/bakery.ts'
import { Recipe, type RowLoader } from '../sql/baked/recipe.ts'
import type { Params } from '../sql/statement.ts'
import { describeType, isPlain, needsFunction } from '../util/checks.ts'
import { clock, sleep } from '../util/clock.ts'
import { inRoot } from '../util/context.ts'
import { type Bakeable, type Baked, type BakeOptions, bakedOn } from './baked.ts'

type State = 'unbound' | 'configured' | 'opening' | 'open' | 'closed'

/**
 * Several databases are several `Db`; several `Db` on one engine share its connections and transactions.
 * (GINO: `Gino`, without models.)
 */
export class Db<Names extends string = never> extends Source implements AsyncDisposable {
  /** The names that `resolve` takes, as a type; nothing at run time. */
  declare readonly names?: Names
  #state: State
  #source: EngineSource | null
  #options: EngineOptions | undefined
  /** `undefined` was given as the source: an environment variable that is not set, most likely. */
  #missing: boolean
  #engine: Engine | null = null
  #opening: Promise<Engine> | null = null
  #attempt: Opening | null = null
  /** Tells those who wait for the opening that the db was closed. */
  #giveUp: (() => void) | null = null
  readonly #pace = new Pace()
  readonly #paces = new Paces()
  /** It was closed while calls waited for its opening: those go on. */
  #serving = false
  readonly #bakery = new Bakery()

  constructor(...given: [source?: EngineSource | undefined, options?: EngineOptions | undefined]) {
    super()
    const [source, options] = given
    this.#missing = source === undefined && given.length > 0
    if (source === undefined) checkNoSource(options)
    else needsSource('createDb()', source, options)
    this.#source = source ?? null
    this.#options = options
    this.#state = source === undefined ? 'unbound' : 'configured'
  }

  /** Whether it has an engine here. */
  get bound(): boolean {
    return this.engineQuietly() !== null
  }

  /**
   * Opens the configured database now instead of on first use, and fails fast. Idempotent.
   * @throws {NotBoundError} when there is nothing to open.
   * @throws {ConnectError} when the database cannot be reached; a later call tries again.
   */
  async open(): Promise<this> {
    const engine = this.#engineHere(false)
    if (engine instanceof Promise) await Promise.race([engine, (this.#attempt as Opening).refused])
    return this
  }

  /**
   * Gives an unbound `Db` its database: an engine that is open already, or a source that is opened now.
   * (GINO: `set_bind`.)
   * @throws {AlreadyBoundError} when it has one.
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
      source.bakeries.add(this.#bakery)
      return source
    }
    needsSource('bind()', source, options)
    this.#source = source
    this.#options = options
    this.#state = 'configured'
    try {
      return await this.#open(false)
    } catch (error) {
      this.#state = 'unbound'
      this.#source = null
      throw error
    }
  }

  /** Takes the engine away without closing it; undefined when there was none. (GINO: `pop_bind`.) */
  unbind(): Engine | undefined {
    const engine = this.#engine ?? undefined
    if (this.#state === 'opening') throw new UsageError('unbind() cannot be called while the database is being opened.')
    if (this.#state === 'closed') return undefined
    this.#engine = null
    this.#source = null
    this.#state = 'unbound'
    engine?.bakeries.delete(this.#bakery)
    return engine
  }

  /**
   * Runs `work` with this db bound to another database; nothing outside of the callback sees it. Closes the engine at
   * the end only if it opened it. (GINO: `with_bind`.)
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
   * A statement that is compiled once and run with other values each time: a text with `$1` or `:name`, a query that was
   * built, or a function that builds one with placeholders, called now. Needs no database yet. `R` is a row, `P` the
   * parameters, `T` what the loader makes of a row. (GINO: `bake`.)
   * @throws {UsageError} for what is no query, and for an option that there is not.
   * @throws {ParameterError} when the placeholders of the query do not fit.
   */
  bake<R = Row, P extends object = Params, T = R>(
    query: Bakeable<R> | ((params: P) => Bakeable<R>) | string,
    options?: (BakeOptions & { readonly loader?: RowLoader<R, T> | undefined }) | Handle,
  ): Baked<T, P, R> {
    const recipe = Recipe.of(query)
    this.#bakery.add(recipe.plan)
    return bakedOn(recipe, this, options)
  }

  /**
   * The database of that name, where one object stands for several. A single database has no names.
   * @throws {UsageError} for a name there is not.
   */
  resolve(name: Names): Db<Names> {
    throw new UsageError(
      `There is no database named ${typeof name === 'string' ? JSON.stringify(name) : describeType(name)} behind this db: createDb() makes a single one. Make a Db of your own for it, and run calls there with { on: otherDb }.`,
    )
  }

  /** Counts of this moment. @throws {NotBoundError} while it has no engine. */
  stats(): PoolStats {
    const engine = this.engineQuietly()
    if (engine === null) throw this.#state === 'configured' ? notOpen() : notBound(this.#missing)
    return engine.stats()
  }

  /**
   * Closes the engine; final. Statements that wait for the database to be opened are served, if the attempt under way succeeds.
   * See `Engine.close`.
   * @throws {UsageError} inside of a scope or transaction that holds a connection, for which it would wait; nothing is closed.
   */
  async close(options?: CloseOptions): Promise<CloseReport> {
    const read = callOptions(options, closeChecks, 'close()')
    const attempt = this.#attempt
    ;(this.#engine ?? attempt?.engine)?.refuseCloseInside()
    this.#state = 'closed'
    if (attempt?.engine && attempt.patient) {
      const began = clock.now()
      const timeoutMs = read.timeoutMs ?? attempt.engine.options.closeTimeoutMs
      if (await this.#opensWithin(attempt, timeoutMs))
        return attempt.engine.end(Math.max(0, timeoutMs - (clock.now() - began)), true)
    }
    attempt?.stop()
    this.#giveUp?.()
    const engine = this.#engine ?? attempt?.engine ?? null
    return engine === null ? { drained: 0, broken: [] } : engine.close(read)
  }

  /** True: it is open, and whoever waited for that has gone on. */
  async #opensWithin(attempt: Opening, timeoutMs: number): Promise<boolean> {
    attempt.stop()
    const limit = new AbortController()
    const late = sleep(timeoutMs, limit.signal).then(() => false)
    const opens = (this.#opening as Promise<Engine>).then(
      () => true,
      () => false,
    )
    const open = await Promise.race([opens, late.catch(() => false)])
    limit.abort()
    if (!open) return false
    await new Promise<void>((resolve) => clock.setImmediate(resolve))
    this.#serving = false
    return true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal */
  override token(): object {
    return this
  }

  /** @internal */
  override engineQuietly(): Engine | null {
    const chain = currentChain()
    return (chain === undefined ? null : boundEngine(this, chain)) ?? (this.#state === 'closed' ? null : this.#engine)
  }

  /** @internal Without a database of its own it stands for any. */
  override runsOn(engine: Engine): boolean {
    return this.#state === 'unbound' || this.#attempt?.engine === engine || super.runsOn(engine)
  }

  /** @internal */
  override engineHere(): Engine | Promise<Engine> {
    return this.#engineHere(true)
  }

  /** `patient`: for a statement that waits while the server has no room. */
  #engineHere(patient: boolean): Engine | Promise<Engine> {
    const chain = currentChain()
    if (chain !== undefined) {
      const engine = boundEngine(this, chain)
      if (engine !== null) return engine
    }
    this.checkUsable()
    return this.#engine ?? this.#open(patient)
  }

  /** @internal */
  override checkUsable(): void {
    if (this.#state === 'closed' && !this.#serving) throw closedError()
    if (this.#state === 'unbound') throw notBound(this.#missing)
  }

  #open(patient: boolean): Promise<Engine> {
    const attempt = (this.#attempt ??= inRoot(() => new Opening()))
    if (patient) attempt.patient = true
    return (this.#opening ??= this.#openNow(attempt))
  }

  async #openNow(attempt: Opening): Promise<Engine> {
    this.#state = 'opening'
    try {
      const source = this.#source as EngineSource
      const open = (): Promise<Engine> => openEngine(source, this.#options, this, this.#bakery, attempt)
      const closed = new Promise<never>((_, reject) => (this.#giveUp = () => reject(closedError())))
      const engine = await Promise.race([inRoot(() => this.#pace.run(open)), closed])
      this.#engine = engine
      if ((this.#state as State) === 'closed') this.#serving = true
      else this.#state = 'open'
      return engine
    } catch (error) {
      if ((this.#state as State) !== 'closed') this.#state = 'configured'
      throw error
    } finally {
      this.#opening = null
      this.#attempt = null
      this.#giveUp = null
    }
  }

  /** An engine for `withBind`: while a source cannot be opened, those who ask for it share one attempt at a time. */
  #openFor(source: EngineSource, options: EngineOptions | undefined): Promise<Engine> {
    const open = (): Promise<Engine> => openEngine(source, options, this, this.#bakery, new Opening(true))
    return inRoot(() => this.#paces.run(source instanceof URL ? source.href : source, options, open))
  }

  override toString(): string {
    if (this.#engine === null || this.#state === 'closed') return `Db { ${this.#state} }`
    const { open, max, idle, reserved, waiting } = this.#engine.stats()
    return `Db { ${this.#engine.options.describe()}, ${open}/${max} open, ${reserved} lent, ${idle} idle, ${waiting} waiting }`
  }
}

/**
 * A `Db` on a URL, on options, or on a function giving them, opened on first use or by `open()`; without a source it
 * is unbound until `bind()`. Wrong options are told when it is opened.
 */
export function createDb(...given: [source?: EngineSource | undefined, options?: EngineOptions | undefined]): Db {
  return new Db(...given)
}

function notBound(missing: boolean): NotBoundError {
  return new NotBoundError(
    missing
      ? 'This db has no database: createDb() was given undefined as its source. Is an environment variable missing? Give it a URL, or ' +
          'call bind(source) before using it.'
      : 'This db has no database yet. Give createDb() a URL, or call bind(source) before using it.',
  )
}

/** Options beside no source would have no effect when `bind` brings one with its own. */
function checkNoSource(options: unknown): void {
  if (options !== undefined && !isPlain(options))
    throw new UsageError(`The options of createDb() must be a plain object, not ${describeType(options)}.`)
}

function withEngine(method: string): UsageError {
  return new UsageError(`${method} was given an engine and options. An engine that is open has its options already.`)
}

function notOpen(): NotBoundError {
  return new NotBoundError('This db has not been opened yet. Call open(), or run a statement first.')
}

function closedError(): PoolClosedError {
  return new PoolClosedError('This db has been closed, and closed is final. Create another one.')
}
