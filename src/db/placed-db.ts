// A `Db` at a place: everything sent through it, its models too, goes to one tenant or schema, whatever place the code around names.
import { currentChain, type Link, runIn, ambientSettings, settingsAround } from '../engine/context/chain.ts'
import type { Settings } from '../engine/context/frame.ts'
import { chainAt, type Place } from '../engine/context/place.ts'
import type { CloseOptions, Engine } from '../engine/engine.ts'
import type { EngineOptions, EngineSource } from '../engine/open/create-engine.ts'
import type { Executor } from '../engine/query/executor.ts'
import { usesCallersSettings } from '../engine/query/made-with.ts'
import { Placed } from '../engine/query/placed.ts'
import type { DetachedOptions } from '../engine/source.ts'
import { AlreadyBoundError, TransactionStateError, UsageError } from '../errors/index.ts'
import type { CloseReport, PoolStats } from '../pool/contract.ts'
import { Db } from './db.ts'

export class PlacedDb extends Db {
  readonly #base: Db
  readonly #place: Place
  /** Whether the place is there; null: it was found to be. */
  readonly #check: (engine: Engine) => Promise<void> | null

  /** @internal */
  constructor(base: Db, place: Place, check: (engine: Engine) => Promise<void> | null) {
    super()
    this.#base = base
    this.#place = place
    this.#check = check
    this.bakery = base.bakery
  }

  override async open(): Promise<this> {
    await this.engineHere()
    return this
  }

  override close(_options?: CloseOptions): Promise<CloseReport> {
    return Promise.reject(
      new UsageError('A db that using() gave is a view of its registry. Close the registry: it closes all of them.'),
    )
  }

  override bind(): Promise<never> {
    return Promise.reject(
      new AlreadyBoundError(
        'A db that using() gave has the database of its registry. Use withBind() for another one within a callback.',
      ),
    )
  }

  override unbind(): never {
    throw new UsageError('A db that using() gave belongs to its registry: unbind() cannot take its database away.')
  }

  override withBind<T>(
    source: EngineSource | Engine,
    work: (engine: Engine) => Promise<T> | T,
    options?: EngineOptions,
  ): Promise<T> {
    return this.#base.withBind(source, work, options)
  }

  override detached<T>(work: () => Promise<T> | T, given?: DetachedOptions): Promise<T> {
    return super.detached(() => runIn(this.chainHere(), work), given)
  }

  override stats(): PoolStats {
    return this.#base.stats()
  }

  /** @internal */
  override at(on: Executor): Executor {
    if (on === this.#base) return this
    if (this.#place.said.what === 'server') return on
    const engine = this.engineQuietly()
    if (engine === null || !on.runsOn(engine)) return on
    if (!usesCallersSettings(on.handleHere()))
      throw new TransactionStateError(
        'The connection or transaction was made at another tenant, and is used outside of that by a db or model of using(). Use it ' +
          'inside, or begin one on the db of using().',
      )
    return new Placed(on, this.settingsHere() ?? {})
  }

  /** @internal */
  override chainHere(): Link | undefined {
    const engine = this.engineQuietly()
    const chain = currentChain()
    return engine === null ? chain : chainAt(this.#place, engine, this.token(), chain)
  }

  /** @internal */
  override settingsHere(): Settings | null {
    const engine = this.engineQuietly()
    return engine === null ? this.#place.settings : ambientSettings(engine, this.chainHere())
  }

  /** @internal */
  override madeWith(): Settings | null {
    const engine = this.engineQuietly()
    return engine === null ? this.#place.settings : settingsAround(engine, this.chainHere())
  }

  /** @internal */
  override token(): object {
    return this.#base.token()
  }

  /** @internal */
  override engineQuietly(): Engine | null {
    return this.#base.engineQuietly()
  }

  /** @internal */
  override engineAtHome(): Engine | null {
    return this.#base.engineAtHome()
  }

  /** @internal */
  override engineHere(): Engine | Promise<Engine> {
    const engine = this.#base.engineHere()
    return engine instanceof Promise ? engine.then((here) => this.#checked(here)) : this.#checked(engine)
  }

  #checked(engine: Engine): Engine | Promise<Engine> {
    return this.#check(engine)?.then(() => engine) ?? engine
  }

  /** @internal */
  override checkUsable(): void {
    this.#base.checkUsable()
  }

  /** @internal */
  override runsOn(engine: Engine): boolean {
    return this.#base.runsOn(engine)
  }

  override toString(): string {
    return this.#base.toString()
  }
}
