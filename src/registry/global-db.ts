// One `Db` for a database and process, however many ask for it, however often a development server loads the module that
// does, and in however many bundles the package ends up: kept under a registered symbol.
import { Db } from '../db/db.ts'
import { boundEngine, currentChain } from '../engine/context/chain.ts'
import { closeChecks, type CloseOptions, type Engine, type EngineStats } from '../engine/engine.ts'
import { callOptions } from '../engine/handle.ts'
import type { EngineOptions } from '../engine/open/create-engine.ts'
import { nothingClosed } from '../engine/open/opening.ts'
import { AlreadyBoundError, InvalidOptionError, NotBoundError, UsageError } from '../errors/index.ts'
import { notice } from '../observe/channels.ts'
import { capturePlace } from '../observe/place.ts'
import type { CloseReport } from '../pool/contract.ts'
import type { Bakery } from '../sql/baked.ts'
import type { Dialect } from '../sql/dialect.ts'
import { describeType } from '../util/options.ts'
import { isThenable } from '../util/thrown.ts'
import {
  differences,
  digest,
  type GlobalSource,
  type Home,
  SharedPool,
  textOf,
  type Traits,
  traitsOf,
  type Visit,
} from './shared-pool.ts'

type Given = GlobalSource | undefined | null

/** A function that is called when the pool is opened. */
export type GlobalSourceFunction = () => Given | Promise<Given>

interface Named {
  /** A digest of the source and the options: a source may hold a password. */
  text: string
  place: string
  readonly db: GlobalDb
}

interface Shared {
  readonly pool: SharedPool
  readonly db: GlobalDb
  /** Digests of the sources it was asked for by: options beside a URL may say more of the database. */
  readonly sources: Set<string>
}

interface Kept {
  readonly pools: Map<string, Shared>
  readonly names: Map<string, Named>
}

/** The number changes with the form of what is kept: copies of the package that differ in it have pools of their own. */
const place: unique symbol = Symbol.for('genever.global@1')
const kept = (): Kept => ((globalThis as { [place]?: Kept })[place] ??= { pools: new Map(), names: new Map() })

/** A handle on a pool of the process. It opens by its first use, and again by the first use after it was closed. */
class GlobalDb extends Db {
  /** @internal */
  home: Home
  #known: Engine | null = null

  constructor(home: Home) {
    super()
    this.home = home
  }

  override async open(): Promise<this> {
    await this.engineHere()
    return this
  }

  override bind(): Promise<never> {
    return Promise.reject(
      new AlreadyBoundError(
        'A db of globalDb() has its database already. Use withBind() for another one within a callback.',
      ),
    )
  }

  override unbind(): never {
    throw new UsageError('The pool of a globalDb() belongs to the process: unbind() cannot take it away. Call close().')
  }

  override stats(): EngineStats {
    const engine = this.engineQuietly()
    if (engine === null)
      throw new NotBoundError('This db has not been opened yet. Call open(), or run a statement first.')
    return engine.stats()
  }

  override close(options?: CloseOptions): Promise<CloseReport> {
    return this.home.close(options)
  }

  /** @internal */
  override engineQuietly(): Engine | null {
    const chain = currentChain()
    return (chain === undefined ? null : (boundEngine(this, chain) as Engine | null)) ?? this.home.engineQuietly()
  }

  /** @internal */
  override dialectHere(): Dialect {
    return this.engineQuietly()?.dialect ?? this.home.dialect ?? super.dialectHere()
  }

  /** @internal */
  override engineAtHome(): Engine | null {
    return this.home.engineQuietly()
  }

  /** @internal */
  override engineHere(): Engine | Promise<Engine> {
    const chain = currentChain()
    const around = chain === undefined ? null : (boundEngine(this, chain) as Engine | null)
    if (around !== null) return around
    const engine = this.home.engineHere(this.bakery)
    if (engine !== this.#known && !(engine instanceof Promise)) {
      engine.bakeries.add(this.bakery)
      this.#known = engine
    }
    return engine
  }

  /** @internal */
  override checkUsable(): void {}

  /** @internal */
  override runsOn(engine: Engine): boolean {
    return this.engineQuietly() === engine || this.home.engineQuietly() === engine
  }

  override toString(): string {
    const engine = this.engineQuietly()
    if (engine === null) return `Db { global, ${this.home.target}, not open }`
    const { open, max, idle, reserved, waiting } = engine.stats()
    return `Db { global, ${this.home.target}, ${open}/${max} open, ${reserved} lent, ${idle} idle, ${waiting} waiting }`
  }
}

/** The pool that a function leads to, asked for whenever it is to be opened. */
class AskedHome implements Home {
  readonly target: string
  readonly #source: GlobalSourceFunction
  readonly #options: EngineOptions | undefined
  readonly #place: string
  #pool: SharedPool | null = null
  #asking: Promise<SharedPool> | null = null
  #closed = false

  constructor(name: string, source: GlobalSourceFunction, options: EngineOptions | undefined, asked: string) {
    this.target = JSON.stringify(name)
    this.#source = source
    this.#options = options
    this.#place = asked
  }

  get dialect(): Dialect | undefined {
    return this.#pool?.dialect
  }

  get forgotten(): boolean {
    return this.#pool === null ? this.#closed && this.#asking === null : this.#pool.forgotten
  }

  engineHere(bakery: Bakery): Engine | Promise<Engine> {
    const pool = this.#pool
    return pool !== null && !pool.atRest
      ? pool.engineHere(bakery)
      : this.#ask().then(async (found) => found.engineHere(bakery))
  }

  engineQuietly(): Engine | null {
    return this.#pool?.engineQuietly() ?? null
  }

  async enter(bakery: Bakery): Promise<Visit> {
    return (await this.#ask()).enter(bakery)
  }

  async close(options?: CloseOptions): Promise<CloseReport> {
    const pool = this.#pool ?? (await this.#asking?.catch(() => null))
    this.#closed = true
    return pool?.close(options) ?? nothingClosed
  }

  #ask(): Promise<SharedPool> {
    return (this.#asking ??= this.#askNow().finally(() => (this.#asking = null)))
  }

  async #askNow(): Promise<SharedPool> {
    const answer = this.#source()
    const source = isThenable(answer) ? await answer : answer
    if (source === undefined || source === null)
      throw new UsageError(
        `The source function of globalDb(${this.target}) gave neither a URL nor options: is an environment variable missing?`,
      )
    this.#pool = poolOf(source, this.#options, this.#place).pool
    return this.#pool
  }
}

/**
 * The database of the process. All who ask for the same URL get the same `Db` and one pool, in whatever module and however
 * often that is loaded. It is opened by its first use. After `close()` or `closeGlobal()` the next use opens it again, with
 * other options if they were given since. A call that comes while it closes waits for that.
 *
 * With a name, the source is a function that is called when the pool is opened. So nothing has to be known when the module
 * is loaded. Names that lead to one database share its pool.
 *
 * With `NODE_ENV=development`, a file may ask again with other options, because it was loaded again. They replace the
 * earlier ones: the old pool is closed, and the notice `global-replaced` is published.
 *
 * @throws {InvalidOptionError} when the same database or name was asked for with other options before. Functions are
 *   compared by their text. If a function names the database, the first use rejects with this error.
 * @throws {InvalidUrlError}, {UsageError}
 */
export function globalDb(source: GlobalSource | undefined, options?: EngineOptions): Db
export function globalDb(name: string, source: GlobalSourceFunction, options?: EngineOptions): Db
export function globalDb(
  first: GlobalSource | undefined,
  second?: EngineOptions | GlobalSourceFunction,
  third?: EngineOptions,
): Db {
  // As createDb(undefined): a build may load modules without the variables of the running program.
  if (first === undefined) return new Db(undefined, second as EngineOptions | undefined)
  if (typeof second === 'function') return named(first, second, third)
  if (typeof second === 'string' || third !== undefined)
    throw new UsageError(
      'globalDb() takes a URL and options, or a name, a function that gives the URL, and options: ' +
        "globalDb('main', () => process.env.DATABASE_URL).",
    )
  if (second !== undefined && (typeof second !== 'object' || second === null))
    throw new UsageError(`The options of globalDb() must be a plain object, not ${describeType(second)}.`)
  return poolOf(first, second, capturePlace(globalDb).toString()).db
}

/**
 * Closes the databases that `globalDb()` made for that URL or name, wherever they were made, and waits for that. Without an
 * argument it closes all of them. If nothing is open or known by it, it does nothing. The next use opens the database again.
 *
 * @throws {UsageError} inside of a scope or transaction that holds one of its connections.
 */
export async function closeGlobal(source?: GlobalSource, given?: CloseOptions): Promise<CloseReport> {
  // A plain object again: the pool may be of another copy of the package.
  const options = { ...callOptions<CloseOptions>(given, closeChecks, 'closeGlobal()') }
  const { pools, names } = kept()
  if (source === undefined) {
    const reports = await Promise.all([...pools.values()].map(({ pool }) => pool.close(options)))
    return {
      drained: reports.reduce((sum, { drained }) => sum + drained, 0),
      broken: reports.flatMap(({ broken }) => broken),
    }
  }
  const byName = typeof source === 'string' ? names.get(source) : undefined
  if (byName !== undefined) return byName.db.close(options)
  // A word that is no URL is a name nobody has used.
  if (typeof source === 'string' && !source.includes(':')) return nothingClosed
  const { key } = traitsOf(source, undefined)
  const text = sourceText(source)
  const found = pools.get(key) ?? [...pools.values()].find(({ sources }) => sources.has(text))
  return found?.pool.close(options) ?? nothingClosed
}

const sourceText = (source: GlobalSource): string => digest(textOf(source instanceof URL ? source.href : source))

/** The handle behind `run()`, which has no claim to the pool. */
export function visited(
  source: GlobalSource,
  options: EngineOptions | undefined,
  by: (...given: never[]) => unknown,
): Db {
  return poolOf(source, options, capturePlace(by).toString()).db
}

/** Opens the database for one who says when they are done; null for what is no db of `globalDb()`. */
export function visit(db: Db): Promise<Visit> | null {
  // It may be of another copy of the package.
  const { home } = db as Db & { readonly home?: Home | undefined }
  return home === undefined ? null : home.enter(db.bakery)
}

function named(name: unknown, source: GlobalSourceFunction, options: EngineOptions | undefined): Db {
  if (typeof name !== 'string' || name === '')
    throw new UsageError(
      `globalDb() takes a name in front of a function that gives the URL; it was given ${describeType(name)}.`,
    )
  const { names } = kept()
  const text = digest(textOf([source, options]))
  const asked = capturePlace(globalDb).toString()
  const known = names.get(name)
  if (known === undefined) {
    const db = new GlobalDb(new AskedHome(name, source, options, asked))
    names.set(name, { text, place: asked, db })
    return db
  }
  if (known.text === text) return known.db
  if (!known.db.home.forgotten) {
    const what = JSON.stringify(name)
    if (!loadedAgain(known.place, asked)) throw conflict(what, ['source or options'], known.place, asked)
    tellReplaced(what, known.place, asked)
    void known.db.close().catch(() => {})
  }
  known.db.home = new AskedHome(name, source, options, asked)
  Object.assign(known, { text, place: asked })
  return known.db
}

function poolOf(source: GlobalSource, options: EngineOptions | undefined, asked: string): Shared {
  const { pools } = kept()
  const traits = traitsOf(source, options)
  let shared = pools.get(traits.key)
  if (shared === undefined) {
    const pool = new SharedPool(traits, asked, source, options)
    shared = { pool, db: new GlobalDb(pool), sources: new Set() }
    pools.set(traits.key, shared)
  } else meet(shared.pool, traits, asked, source, options)
  shared.sources.add(sourceText(source))
  return shared
}

function meet(
  pool: SharedPool,
  traits: Traits,
  asked: string,
  source: GlobalSource,
  options: EngineOptions | undefined,
): void {
  const differ = differences(pool.traits, traits)
  if (differ.length === 0) return
  if (!pool.forgotten) {
    if (!loadedAgain(pool.place, asked)) throw conflict(traits.target, differ, pool.place, asked)
    tellReplaced(traits.target, pool.place, asked)
  }
  pool.replace(traits, asked, source, options)
}

function tellReplaced(what: string, before: string, now: string): void {
  notice(
    'global-replaced',
    `globalDb() of ${what} was asked for with other options by a module that was loaded again: the pool of before is closed and replaced.`,
    { places: [now, before] },
  )
}

/** A development server evaluates the same file again when it was changed; its query part may differ. */
function loadedAgain(before: string, now: string): boolean {
  return process.env['NODE_ENV'] === 'development' && fileOf(before) === fileOf(now)
}

function fileOf(text: string): string {
  return text.replace(/ \([^()]*\)$/, '').replace(/(?:\?[^:]*)?(?::\d+){0,2}$/, '')
}

function conflict(what: string, differ: readonly string[], before: string, now: string): InvalidOptionError {
  return new InvalidOptionError(
    `globalDb() of ${what} was asked for with another ${differ.join(', ')} than before. The first call was at ${before}, this ` +
      'one at ' +
      `${now}. A process has one pool for each database: give both calls the same options, or use createDb() for a pool apart.`,
    { options: differ.map((name) => ({ name, problem: 'differs from that of the first call' })) },
  )
}
