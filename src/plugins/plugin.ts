// What every plug-in is made of: one database, its options, its start and its end, and a scope for each request. A framework's
// plug-in translates its hooks into these calls and adds nothing of its own.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Db } from '../db/db.ts'
import type { TenantStay } from '../db/places.ts'
import { InvalidOptionError, UsageError, AuthenticationError, ConnectError } from '../errors/index.ts'
import { watchSockets } from '../registry/serve.ts'
import { Tags } from '../sql/tags.ts'
import { describeType } from '../util/options.ts'
import { inRoot } from '../util/context.ts'
import { loggerOf, type PluginLogger } from './log.ts'
import { type PluginOptions, type ResolvedPluginOptions, resolvePluginOptions } from './options.ts'
import { giveByPrototype } from './request/naming.ts'
import { openScope, routeOf } from './request/node.ts'
import { describeRoute, RequestScope, type Routed, routeTags } from './request/scope.ts'
import { enterTenant, needsTenants } from './request/tenant.ts'
import { closeDatabases } from './shutdown.ts'
import { sleep } from '../util/clock.ts'

/** Several plug-ins may stand for one database: it is opened once. */
const starting = new WeakMap<Db, Promise<void>>()

export class WebPlugin<R> {
  readonly db: Db
  readonly #given: PluginOptions<R> | undefined
  #resolved: ResolvedPluginOptions<R> | null
  #logger: PluginLogger | undefined
  #opening: Promise<void> | null = null
  /** The tenant of the request that enters now. */
  #arriving: TenantStay | null = null
  #open = false

  /**
   * @throws {InvalidOptionError} when options are wrong; those that stand in the framework's own place are checked by
   *   `configure`.
   */
  constructor(db: Db, options: PluginOptions<R> | undefined) {
    if (typeof (db as Partial<Db> | null | undefined)?.withBind !== 'function')
      throw new UsageError(`A plug-in takes a db made by createDb() first, not ${describeType(db)}.`)
    this.db = db
    db.claim()
    watchSockets()
    this.#given = options
    this.#resolved = options === undefined ? null : resolvePluginOptions(options)
    if (this.#resolved?.tenantForRequest !== undefined) needsTenants(db)
  }

  /**
   * Tells what was found in the framework's own place, and its logger. Later calls change nothing.
   * @throws {InvalidOptionError} when options are given there and to the plug-in.
   */
  configure(place: { readonly name: string; readonly options: unknown } | null, logger?: PluginLogger): void {
    this.#logger ??= logger
    if (place?.options === undefined) return
    if (this.#given !== undefined)
      throw new InvalidOptionError(
        `The plug-in has options by argument and in ${place.name}. Give them in one place.`,
        { options: [{ name: place.name, problem: 'is given beside the options of the plug-in' }] },
      )
    this.#resolved ??= resolvePluginOptions(place.options as PluginOptions<R>)
    if (this.#resolved.tenantForRequest !== undefined) needsTenants(this.db)
  }

  get options(): ResolvedPluginOptions<R> {
    this.#resolved ??= resolvePluginOptions<R>()
    return this.#resolved
  }

  get log(): PluginLogger {
    return loggerOf(this.options.log, this.#logger)
  }

  /** Tells of an error that no answer can tell any more. */
  failed(what: string, error: unknown): void {
    this.log.error(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : typeof error}`)
  }

  /**
   * Opens the database as the options say; once, also when several copies ask. A start that failed may be tried again.
   * @throws {PoolClosedError} for one that was closed.
   */
  open(): Promise<void> {
    this.#opening ??= this.#openNow()
    return this.#opening
  }

  async #openNow(): Promise<void> {
    const { db } = this
    const other = starting.get(db)
    try {
      if (other !== undefined && this.options.source !== null)
        throw new UsageError(
          'Two plug-ins were given a database for one db. Give it to one of them, and only the db to the other.',
        )
      // Called by a request, perhaps: what is opened must not keep its context.
      const opening = other ?? inRoot(() => start(db, this.options, this.log))
      starting.set(db, opening)
      await opening
      // Whoever closed it may have told no plug-in.
      if (other !== undefined) await db.engineHere()
      this.#open = true
    } catch (error) {
      if (other === undefined) starting.delete(db)
      this.#opening = null
      throw error
    }
  }

  /**
   * Closes the database within its deadline.
   * @throws {UsageError} inside of a request that holds a connection, for which it would wait; nothing is closed.
   */
  async close(): Promise<void> {
    // A later start has to open it, or to say that it cannot.
    starting.delete(this.db)
    this.#opening = null
    await closeDatabases([this.db], this.options.closeTimeoutMs, this.log)
  }

  /** Whether a request enters without waiting: the database is open, and there is no tenant to ask for. */
  get ready(): boolean {
    return this.#open && this.options.tenantForRequest === undefined
  }

  /**
   * Calls `enter`, which asks for the scope of the request before it awaits anything, when the database is open and the tenant of
   * the request is known.
   * @throws {ConnectError} @throws {RequestTenantError} for a tenant that there is not.
   */
  async whenReady<T>(context: R, enter: () => T | Promise<T>): Promise<T> {
    if (!this.#open) await this.open()
    const { tenantForRequest } = this.options
    if (tenantForRequest === undefined) return enter()
    const stay = await enterTenant(this.db, tenantForRequest, context)
    this.#arriving = stay
    let entered: T | Promise<T>
    try {
      entered = enter()
    } finally {
      // Another copy of the plug-in had opened the scope.
      if (this.#arriving === stay) {
        this.#arriving = null
        stay.end()
      }
    }
    return entered
  }

  /** As `whenReady`, for frameworks that are called back; at once where nothing is to be waited for. */
  enter(context: R, enter: () => void, failed: (error: unknown) => void): void {
    if (this.ready) enter()
    else void this.#enterLater(context, enter, failed)
  }

  async #enterLater(context: R, enter: () => void, failed: (error: unknown) => void): Promise<void> {
    try {
      await this.whenReady(context, enter)
    } catch (error) {
      failed(error)
    }
  }

  /**
   * The scope of this request: a new one, or the one another copy of the plug-in has opened. Null where requests have no
   * connection. Call when `ready`.
   */
  scope(request: IncomingMessage, response: ServerResponse, context: R, route?: () => Routed): RequestScope | null {
    const { options, db } = this
    if (!options.connectionForRequest) return null
    return openScope(request, response, db, () => this.makeScope(context, route ?? (() => routeOf(request))))
  }

  /** A scope whose end somebody else tells: for requests that are not those of `node:http`. */
  makeScope(context: R, route: () => Routed): RequestScope {
    const { settingsForRequest, holdForRequest: hold, onAbort, tagRoutes } = this.options
    const tags = tagRoutes ? Tags.late(() => routeTags(route())) : undefined
    const what = (): string => describeRoute(route())
    const settings = settingsForRequest?.(context)
    const make = (): RequestScope => {
      const engine = this.db.engineHere()
      if (engine instanceof Promise)
        throw new UsageError(
          'A request came before the database had been opened. Await open() of the plug-in before the server listens.',
        )
      return new RequestScope(this.db, engine, { what, settings, hold, onAbort, tags, tenant: stay })
    }
    const stay = this.#arriving
    if (stay === null) return make()
    const scope = stay.run(make)
    this.#arriving = null
    return scope
  }

  /**
   * Puts the connection on the object handlers see.
   * @throws {UsageError} when the name is taken: by another database, or by the framework.
   */
  attach(target: object, scope: RequestScope): void {
    const { as } = this.options
    const bag = target as Record<string, unknown>
    const taken = bag[as]
    if (taken === scope.connection) return
    if (taken !== undefined && taken !== null)
      throw new UsageError(
        `A request has a property "${as}" already, of another database or of the framework. Give the plug-in another name by ` +
          'its option as.',
      )
    bag[as] = scope.connection
  }

  /**
   * As `attach`, for requests whose prototype a framework may have changed.
   * @throws {UsageError} when the name is taken.
   */
  attachTo(request: IncomingMessage, scope: RequestScope): void {
    giveByPrototype(request, scope, this.options.as)
    this.attach(request, scope)
  }
}

type StartOptions = Pick<ResolvedPluginOptions<never>, 'source' | 'engine' | 'retry'>

/**
 * Binds or opens `db` at the start of a server. Each step is logged, without the password. When the database cannot be reached it tries
 * again `retry.limit` times, so there are `retry.limit + 1` attempts in all. (GINO's Starlette extension counted attempts, its aiohttp
 * extension as here.)
 * @throws {ConnectError} after the last attempt; at once for what waiting cannot mend: a refused user, wrong options.
 */
async function start(db: Db, options: StartOptions, log: PluginLogger): Promise<void> {
  const { source, engine, retry } = options
  for (let attempt = 0; ; attempt++) {
    try {
      if (source === null) await db.open()
      else await db.bind(source, engine)
      log.info(`The database is open: ${String(db)}`)
      return
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      const waitable = error instanceof ConnectError && !(error instanceof AuthenticationError)
      if (!waitable || attempt >= retry.limit) {
        log.error(`The database could not be opened${attempt === 0 ? '' : ` in ${attempt + 1} attempts`}: ${reason}`)
        throw error
      }
      const left = retry.limit === Infinity ? '' : ` of ${retry.limit}`
      log.warn(
        `Waiting for the database to start: retry ${attempt + 1}${left} in ${retry.intervalMs / 1000} s. ${reason}`,
      )
      await sleep(retry.intervalMs)
    }
  }
}
