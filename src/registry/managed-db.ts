// One database of a registry: made by it from a URL or options, or a `Db` that somebody else owns.
import { nothingClosed } from '../engine/open/opening.ts'
import { boundEngine, currentChain } from '../engine/context/chain.ts'
import type { CloseOptions, Engine, EngineStats } from '../engine/engine.ts'
import type { EngineOptions, EngineSource } from '../engine/open/create-engine.ts'
import { searchPath } from '../postgres/schema-path.ts'
import { AlreadyBoundError, UsageError } from '../errors/index.ts'
import { Db } from '../db/db.ts'
import type { CloseReport } from '../pool/contract.ts'
import { isPlain } from '../util/options.ts'
import { clock, defaultCloseTimeoutMs } from '../util/clock.ts'
import type { Life, RestOptions } from './life.ts'
import { Pending } from './pending.ts'

/** A URL, options with or without a `url`, a function that returns either, or a `Db` that somebody else closes. */
export type DatabaseSource = EngineSource | (EngineOptions & { readonly url: string | URL }) | Db

/** What `new Db()` is given. */
function partsOf(source: Exclude<DatabaseSource, Db>): [EngineSource, EngineOptions?] {
  if (!isPlain(source) || !Object.hasOwn(source, 'url')) return [source]
  const { url, ...options } = source as unknown as EngineOptions & { readonly url: string | URL }
  return [url, options]
}

/** As `partsOf`, of a database whose sessions begin in a schema. @throws {UsageError} where somebody else says how it is opened. */
function partsIn(source: DatabaseSource, schema: string): [EngineSource, EngineOptions] {
  if (source instanceof Db)
    throw new UsageError(
      'createRegistry() was given schema, and as main a Db that is made elsewhere. Set the search_path there, by the option settings of that Db.',
    )
  const [place, options] = partsOf(source)
  const given = { ...(isPlain(place) ? (place as EngineOptions).settings : undefined), ...options?.settings }
  if (Object.keys(given).some((name) => name.toLowerCase() === 'search_path'))
    throw new UsageError(
      'createRegistry() was given schema, and main has settings with a search_path. Give one of them.',
    )
  return [place, { ...options, settings: { ...given, search_path: searchPath([schema]) } }]
}

export class ManagedDb extends Db {
  readonly name: string
  /** @internal */
  protected readonly life: Life
  /** Whose engine it uses, where somebody else owns that. */
  readonly #owner: Db | null
  /** The opening of that, until it is given up. */
  #waiting: Pending<unknown> | null = null

  /** @internal */
  constructor(name: string, source: DatabaseSource, life: Life, schema?: string) {
    if (schema !== undefined) super(...partsIn(source, schema))
    else if (source instanceof Db) super()
    else super(...partsOf(source))
    this.name = name
    this.#owner = source instanceof Db ? source : null
    this.life = life
    life.add(this)
  }

  /** @internal */
  async rouse(): Promise<boolean> {
    const fresh = this.engineAtHome() === null
    if (this.#owner === null) await super.open()
    else await this.#await(this.#owner)
    return fresh
  }

  /** Waits for its opening, until `rest` gives that up. */
  async #await(owner: Db): Promise<void> {
    const waiting = new Pending(owner.open())
    this.#waiting = waiting
    try {
      await waiting.result
    } finally {
      if (this.#waiting === waiting) this.#waiting = null
    }
  }

  /** @internal */
  override async rest(options: RestOptions = {}): Promise<CloseReport> {
    if (this.#owner === null) return super.rest(options)
    await this.#waiting?.endBy(clock.now() + (options.timeoutMs ?? defaultCloseTimeoutMs))
    return nothingClosed
  }

  /** @internal */
  override refuseCloseInside(): void {
    if (this.#owner === null) super.refuseCloseInside()
  }

  override async open(): Promise<this> {
    await this.rouse()
    return this
  }

  override bind(): Promise<never> {
    return Promise.reject(
      new AlreadyBoundError(
        `bind() cannot give the database "${this.name}" of a registry another source: createRegistry() has given it one. Use withBind() for another one within a callback.`,
      ),
    )
  }

  override unbind(): never {
    throw new UsageError(`The database "${this.name}" belongs to its registry: unbind() cannot take it away.`)
  }

  override close(_options?: CloseOptions): Promise<CloseReport> {
    return Promise.reject(
      new UsageError(`The database "${this.name}" belongs to its registry. Close the registry: it closes all of them.`),
    )
  }

  override stats(): EngineStats {
    return this.#owner === null || this.#framed() !== null ? super.stats() : this.#owner.stats()
  }

  /** @internal */
  override engineQuietly(): Engine | null {
    return this.#owner === null ? super.engineQuietly() : (this.#framed() ?? this.#owner.engineQuietly())
  }

  /** @internal */
  override engineAtHome(): Engine | null {
    return this.#owner === null ? super.engineAtHome() : this.#owner.engineAtHome()
  }

  /** @internal */
  override engineHere(): Engine | Promise<Engine> {
    if (!this.life.easy && this.#framed() === null) {
      const { closing } = this.life
      if (closing !== undefined && this.#owner === null) return closing.then(() => this.engineHere())
      if (this.engineAtHome() === null) this.life.used(`The database "${this.name}"`)
    }
    return this.#owner === null ? super.engineHere() : (this.#framed() ?? this.#owner.engineHere())
  }

  /** @internal */
  override checkUsable(): void {
    if (this.#owner === null) super.checkUsable()
    else if (this.#framed() === null) this.#owner.checkUsable()
  }

  /** @internal */
  override runsOn(engine: Engine): boolean {
    return this.#owner === null ? super.runsOn(engine) : this.#framed() === engine || this.#owner.runsOn(engine)
  }

  override toString(): string {
    return this.#owner === null ? super.toString() : this.#owner.toString()
  }

  /** The engine that a callback around here has bound it to. */
  #framed(): Engine | null {
    return boundEngine(this, currentChain()) as Engine | null
  }
}
