// A database for each tenant: a pool each, opened by its first use and kept for the next. All of them together have a bounded
// number of connections.
import { Db } from '../db/db.ts'
import { PlacedDb } from '../db/placed-db.ts'
import type { TenantDatabase } from '../db/places.ts'
import { boundEngine, currentChain } from '../engine/context/chain.ts'
import type { From } from '../engine/core.ts'
import type { Engine } from '../engine/engine.ts'
import type { EngineOptions } from '../engine/open/create-engine.ts'
import { nothingClosed } from '../engine/open/opening.ts'
import { AlreadyBoundError, UsageError } from '../errors/index.ts'
import { resolveOptions } from '../options/options.ts'
import { Allowance } from '../pool/allowance.ts'
import type { CloseReport } from '../pool/contract.ts'
import { isPlain } from '../util/options.ts'
import { clock, defaultCloseTimeoutMs } from '../util/clock.ts'
import { inRoot } from '../util/context.ts'
import { type Life, type RestOptions, sumOf } from './life.ts'
import { Pending } from './pending.ts'
import type { Tenants, TenantSource } from './tenancy.ts'

/** The database of one tenant. What was read from it goes back to it, also when its pool was closed meanwhile. */
export class TenantDb extends Db {
  readonly #pools: TenantPools
  readonly tenant: unknown
  usedAt = 0
  /** While its pool is being closed. */
  closing: Promise<unknown> | null = null
  /** How many callbacks are at this tenant. */
  #inside = 0
  #opening: Promise<Engine> | null = null
  /** Where it is being looked up, until that is given up. */
  #search: Pending<TenantDatabase> | null = null
  readonly #views = new Map<From, Db>()

  constructor(pools: TenantPools, tenant: unknown, allowance: Allowance) {
    super()
    this.allowance = allowance
    this.#pools = pools
    this.tenant = tenant
  }

  /** The same database, with its reads somewhere. */
  reading(from: From | undefined): Db {
    if (from === undefined) return this
    let view = this.#views.get(from)
    if (view === undefined)
      this.#views.set(from, (view = new PlacedDb(this, { said: { what: 'server' }, settings: null, from }, () => null)))
    return view
  }

  /** A callback is at this tenant: its pool stays open until that has left. */
  enter(): void {
    this.#inside++
  }

  leave(): void {
    this.#inside--
    this.usedAt = clock.now()
  }

  /** @internal */
  override engineHere(): Engine | Promise<Engine> {
    if (this.engineAtHome() === null || this.#pools.life.closing !== undefined)
      return this.#framed() ?? this.#unopened()
    this.usedAt = clock.now()
    return super.engineHere()
  }

  /** The engine of a scope around here that was opened through it, whose pool is being closed. */
  #framed(): Engine | null {
    return boundEngine(this, currentChain()) as Engine | null
  }

  #unopened(): Engine | Promise<Engine> {
    const { closing } = this.#pools.life
    if (closing !== undefined) return this.#opening ?? closing.then(() => this.engineHere())
    this.#pools.life.used('The database of a tenant')
    return this.#begin()
  }

  #begin(): Promise<Engine> {
    if (this.#opening !== null) return this.#opening
    this.#pools.opening.add(this)
    return (this.#opening = inRoot(() => this.#open()).finally(() => {
      this.#opening = null
      this.#pools.opening.delete(this)
    }))
  }

  override async open(): Promise<this> {
    await this.#pools.life.closing
    await (this.engineAtHome() ?? this.#begin())
    return this
  }

  override bind(): Promise<never> {
    return Promise.reject(
      new AlreadyBoundError(
        'bind() cannot give a tenant another database: it comes from the option tenancy of createRegistry().',
      ),
    )
  }

  override unbind(): never {
    throw new UsageError('The database of a tenant belongs to its registry: unbind() cannot take it away.')
  }

  override close(): Promise<CloseReport> {
    return Promise.reject(
      new UsageError('The database of a tenant belongs to its registry. Close the registry: it closes all of them.'),
    )
  }

  /** @internal Its source is found when it is used. */
  override checkUsable(): void {}

  /** @internal */
  override runsOn(engine: Engine): boolean {
    return this.engineQuietly() === engine
  }

  async #open(): Promise<Engine> {
    const search = new Pending(this.#seek())
    this.#search = search
    const { source, options } = await search.result
    this.#search = null
    this.usedAt = clock.now()
    super.unbind()
    this.#pools.opens(this)
    try {
      const engine = await super.bind(source, options)
      this.#pools.trim()
      return engine
    } catch (error) {
      this.#pools.left(this)
      throw error
    }
  }

  /** Where it is, once the pool before has been closed. */
  async #seek(): Promise<TenantDatabase> {
    await this.closing
    return this.#pools.locate(this)
  }

  /** @internal Closes its pool. Those for whom it is being opened are served before, if it is open within the time. */
  override async rest(options?: RestOptions): Promise<CloseReport> {
    const opening = this.#opening
    if (opening === null) return super.rest(options)
    const deadline = clock.now() + (options?.timeoutMs ?? defaultCloseTimeoutMs)
    // The one before may still be being closed.
    const earlier = this.closing === null ? nothingClosed : await super.rest(options)
    await this.#search?.endBy(deadline)
    const left = { timeoutMs: Math.max(0, deadline - clock.now()) }
    const report = await super.rest(options?.timeoutMs === undefined ? options : left)
    await opening.catch(() => {})
    return sumOf([earlier, report])
  }

  /** Nothing uses it, and nothing opens it. */
  get unused(): boolean {
    return this.#inside === 0 && this.#opening === null && this.closing === null
  }

  /** Whether its pool can be closed without taking anything from anybody. */
  get atRest(): boolean {
    const engine = this.engineAtHome()
    if (engine === null || !this.unused) return false
    const { idle, open, opening, waiting, listening } = engine.stats()
    return idle === open && opening + waiting + listening === 0
  }
}

export class TenantPools {
  readonly name = 'tenants'
  readonly #tenants: Tenants
  readonly #allowance: Allowance
  readonly #idleMs: number
  /** There is no end of names that somebody may ask for: kept are those that have a pool, or that somebody else keeps. */
  readonly #known = new Map<string, WeakRef<TenantDb>>()
  readonly #gone = new FinalizationRegistry<string>((key) => {
    if (this.#known.get(key)?.deref() === undefined) this.#known.delete(key)
  })
  readonly life: Pick<Life, 'closing' | 'used'>
  /** With a pool. */
  readonly #open = new Set<TenantDb>()
  /** Those for which one is being looked up or opened. */
  readonly opening: Set<TenantDb> = new Set()
  #sweeping: ReturnType<typeof clock.setTimeout> | null = null

  /** `life`: while it is being closed, nothing is opened. */
  constructor(tenants: Tenants, life: Pick<Life, 'closing' | 'used'>) {
    this.life = life
    this.#tenants = tenants
    this.#allowance = new Allowance(tenants.given.maxConnections ?? 100)
    this.#idleMs = tenants.given.idleMs ?? 60_000
  }

  /** The same one for as long as anybody has it. @throws {TenantError} */
  databaseOf(tenant: unknown): TenantDb {
    const key = this.#tenants.keyOf(tenant)
    let db = this.#known.get(key)?.deref()
    if (db === undefined) {
      db = new TenantDb(this, tenant, this.#allowance)
      this.#known.set(key, new WeakRef(db))
      this.#gone.register(db, key)
    }
    return db
  }

  /** Where the tenant is. @throws {UsageError}, {InvalidOptionError}, {InvalidUrlError} */
  async locate({ tenant }: TenantDb): Promise<TenantDatabase> {
    const { most } = this.#allowance
    const given = (await this.#tenants.given.database?.(tenant)) as TenantSource | undefined | null
    const { source, options } = partsOf(given)
    const { pool, replicas } = resolveOptions<never>(source, options)
    const asked = options?.pool?.max ?? (typeof source === 'string' ? undefined : source.pool?.max)
    const max = asked ?? Math.min(pool.max, most)
    if (max > most)
      throw new UsageError(
        `The pool of a tenant was given max: ${max}, but all tenants together may have maxConnections: ${most}.`,
      )
    const servers = replicas?.hosts.length ?? 0
    if (servers + 1 > most)
      throw new UsageError(
        `The database of a tenant has ${servers} servers, each of which is asked on one more connection, but all tenants together may ` +
          `have maxConnections: ${most}. Allow more.`,
      )
    const sized = { ...options, pool: { ...(typeof source === 'string' ? {} : source.pool), ...options?.pool, max } }
    return { source, options: sized }
  }

  /** Its pool is about to be opened. */
  opens(db: TenantDb): void {
    this.#open.add(db)
    this.#sweepLater()
  }

  /** Pools whose connections were taken by others cost memory: of pools that nobody uses, no more are kept than there are connections. */
  trim(): void {
    for (const db of this.#unused(this.#open.size - this.#allowance.most)) void this.#close(db).catch(() => {})
  }

  /** Its pool was closed, or could not be opened. */
  left(db: TenantDb): void {
    this.#open.delete(db)
  }

  async rouse(): Promise<boolean> {
    return false
  }

  refuseCloseInside(): void {
    for (const db of this.#open) db.refuseCloseInside()
  }

  async rest(options: RestOptions): Promise<CloseReport> {
    if (this.#sweeping !== null) clock.clearTimeout(this.#sweeping)
    this.#sweeping = null
    const all = new Set([...this.#open, ...this.opening])
    return sumOf(await Promise.all([...all].map((db) => this.#close(db, options))))
  }

  #close(db: TenantDb, options?: RestOptions): Promise<CloseReport> {
    const closing = inRoot(() => db.rest(options)).finally(() => {
      // Another call may be closing it too, and goes on.
      if (db.closing !== settled) return
      db.closing = null
      this.left(db)
    })
    const settled = closing.catch(() => {})
    db.closing = settled
    return closing
  }

  /** So many of those that were unused for the longest. */
  #unused(count: number): readonly TenantDb[] {
    if (count <= 0) return []
    return [...this.#open]
      .filter(({ atRest }) => atRest)
      .toSorted((a, b) => a.usedAt - b.usedAt)
      .slice(0, count)
  }

  /** When the next pool may have been unused for long enough: one that is used meanwhile is looked at again. */
  #sweepLater(delayMs: number = this.#idleMs): void {
    if (this.#sweeping !== null) return
    this.#sweeping = inRoot(() => clock.setTimeout(() => void this.#sweep(), Math.ceil(delayMs)))
    this.#sweeping.unref()
  }

  async #sweep(): Promise<void> {
    this.#sweeping = null
    const longAgo = clock.now() - this.#idleMs
    await Promise.all(
      [...this.#open]
        .filter(({ atRest, usedAt }) => atRest && usedAt <= longAgo)
        .map((db) => this.#close(db).catch(() => {})),
    )
    if (this.#open.size === 0) return
    const now = clock.now()
    // One that is in use now is unused for that long no earlier than a whole time from now.
    const due = Math.min(...[...this.#open].map((db) => (db.atRest ? db.usedAt : now) + this.#idleMs))
    this.#sweepLater(Math.max(1, due - now))
  }
}

/** @throws {UsageError} for what is no source. */
export function partsOf(given: TenantSource | undefined | null): TenantDatabase {
  if (given === undefined || given === null)
    throw new UsageError(`The function database of tenancy gave ${String(given)} for a tenant.`)
  if (given instanceof URL) return { source: given.href, options: undefined }
  if (typeof given === 'string') return { source: given, options: undefined }
  if (!isPlain(given)) throw new UsageError('The function database of tenancy gives a URL, or options of the database.')
  const { url, ...options } = given as EngineOptions & { readonly url?: string | URL }
  return url === undefined ? { source: options, options: undefined } : { source: String(url), options }
}
