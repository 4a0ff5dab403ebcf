// The plug-in for h3 2: a middleware. On Node.js the connection follows the response, on other runtimes h3 says when an event
// is over. Bodies are read outside of the middleware's context: what is read from must have its connection by then.
import * as h3 from 'h3'
import type { H3Event, Middleware } from 'h3'
import type { Db } from '../../db/db.ts'
import type { Connection } from '../../engine/connection.ts'
import { isGeneverError, NotFoundError, RequestTenantError, UsageError } from '../../errors/index.ts'
import { type PluginOptions, type RequestTransactionOptions, transactionOf } from '../options.ts'
import { WebPlugin } from '../plugin.ts'
import { aroundHeld } from '../request/around-held.ts'
import type { RequestScope, Routed } from '../request/scope.ts'
import { RequestTransaction } from '../request/transaction.ts'
import { nodeOf, openScope, scopeFor } from './scope.ts'

declare module 'h3' {
  interface H3EventContext {
    /** The connection of this request. */
    db: Connection
  }
}

const tooOld =
  'genever/h3 needs h3 2. The installed one is h3 1, which Nitro 2 and Nuxt bring. Install h3@2, or give its node:http listener to ' +
  'genever/http.'

/** The middleware that gives each request its connection. It has methods to open, to close and for transactions. */
export interface GeneverH3 extends Middleware {
  /**
   * Opens the database as the options say. If it is not called, the first request opens it.
   * @throws {ConnectError} when the database cannot be reached.
   */
  open(): Promise<void>
  /** Closes the database. To close the server too, see `gracefulShutdown`. Never rejects. */
  close(): Promise<void>
  /**
   * A middleware that runs everything after it in a transaction. The transaction is committed before the answer is sent. It
   * is rolled back on an error or a status of 400 or more.
   */
  transaction(options?: RequestTransactionOptions): Middleware
}

/**
 * A middleware that gives every request one lazy connection. It is ambient for everything after the middleware, and is
 * `event.context.db`. `NotFoundError` becomes h3's `HTTPError` of status 404.
 * @throws {InvalidOptionError} when options are wrong.
 * @throws {UsageError} where h3 1 is installed.
 */
export function genever(db: Db, options?: PluginOptions<H3Event>): GeneverH3 {
  if (!('HTTPResponse' in h3)) throw new UsageError(tooOld)
  const plugin = new WebPlugin<H3Event>(db, options)
  // Not an `async` function: every promise of the plug-in is paid by every request.
  const middleware: Middleware = (event, next) =>
    plugin.ready
      ? enter(plugin, event, next)
      : throwing(() => plugin.whenReady(event, () => enter(plugin, event, next)))
  return Object.assign(middleware, {
    open: () => plugin.open(),
    close: () => plugin.close(),
    transaction: (given: RequestTransactionOptions = {}): Middleware => {
      const wanted = transactionOf(given) ?? {}
      return (event, next) => inTransaction(db, scopeFor(event, db) ?? null, wanted, event, next)
    },
  })
}

function enter(plugin: WebPlugin<H3Event>, event: H3Event, next: () => unknown): unknown {
  const { db } = plugin
  const { transaction } = plugin.options
  const known = scopeFor(event, db)
  const scope = known ?? openScope(plugin, event, () => routeOf(event))
  const work =
    transaction === null || known !== undefined
      ? next
      : (): Promise<unknown> => inTransaction(db, scope, transaction, event, next)
  if (scope === null) return throwing(work)
  plugin.attach(event.context, scope)
  // Of several copies, the outermost knows when the handler has settled.
  return known === undefined ? scope.serve(work, httpError) : throwing(() => scope.run(work))
}

async function throwing(work: () => unknown): Promise<unknown> {
  try {
    return await work()
  } catch (error) {
    throw httpError(error)
  }
}

/** `GET /users/:id`, once a route was found. */
function routeOf({ req, context }: H3Event): Routed {
  return { method: req.method, route: context.matchedRoute?.route }
}

/** h3 hides the message of errors that are not its own. */
function httpError(error: unknown): unknown {
  if (isGeneverError(error, NotFoundError) || isGeneverError(error, RequestTenantError))
    return new h3.HTTPError(error.message, { status: error.status, cause: error })
  return error
}

function inTransaction(
  db: Db,
  scope: RequestScope | null,
  options: RequestTransactionOptions,
  event: H3Event,
  next: () => unknown,
): Promise<unknown> {
  const status = (answer: unknown): number => statusOf(answer, event)
  return aroundHeld(new RequestTransaction(db, options, scope), nodeOf(event)?.res ?? null, next, status, () => {})
}

const [notFound, handled] = ['h3.notFound', 'h3.handled'].map((key) => Symbol.for(key))

/** What h3 will answer to the value of a handler. */
function statusOf(answer: unknown, event: H3Event): number {
  if (answer === notFound) return 404
  if (answer === handled) return event.runtime?.node?.res?.statusCode ?? 200
  if (answer instanceof Error) return 500
  const own = answer instanceof Response || answer instanceof h3.HTTPResponse ? answer.status : undefined
  return own ?? event.res.status ?? 200
}
