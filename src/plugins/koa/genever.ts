// The plug-in for Koa 3: a middleware. Koa settles it when the handler has, before a streamed body is consumed: from then on
// the connection is only kept by a cursor or transaction that is open on it.
import type Koa from 'koa'
import type { Db } from '../../db/db.ts'
import type { Connection } from '../../engine/connection.ts'
import { type PluginOptions, type RequestTransactionOptions, transactionOf } from '../options.ts'
import { WebPlugin } from '../plugin.ts'
import { aroundHeld } from '../request/around-held.ts'
import { scopeOf } from '../request/node.ts'
import type { RequestScope, Routed } from '../request/scope.ts'
import { RequestTransaction } from '../request/transaction.ts'

type Connected<Name extends string> = { [K in Name]: Connection }

/** Typed for what follows it: `const app = new Koa().use(genever(db))`. */
export interface GeneverKoa<Name extends string = 'db'> {
  (context: Koa.ParameterizedContext<Koa.DefaultState, Connected<Name>>, next: Koa.Next): Promise<void>
  /**
   * Opens the database as the options say, including those of `app.context.genever`. If it is not called, the first request
   * opens it.
   * @throws {ConnectError} when the database cannot be reached.
   */
  open(app?: { readonly context: object }): Promise<void>
  /** Closes the database. To close the server too, see `gracefulShutdown`. Never rejects. */
  close(): Promise<void>
  /**
   * A middleware that runs everything after it in a transaction. The transaction is committed before the answer is sent. It
   * is rolled back on an error or a status of 400 or more.
   */
  transaction(options?: RequestTransactionOptions): (context: AnyContext, next: Koa.Next) => Promise<void>
}

/** What is used of any context. */
type AnyContext = Pick<Koa.BaseContext, 'status' | 'onerror' | 'headerSent'> &
  Pick<Koa.ParameterizedContext, 'req' | 'res' | 'app' | 'respond'>

/**
 * A middleware that gives every request one lazy connection. It is ambient for everything after the middleware, and is
 * `ctx.db`.
 * @throws {InvalidOptionError} when options are wrong.
 */
export function genever<const Name extends string = 'db'>(
  db: Db,
  options?: PluginOptions<Koa.Context> & { readonly as?: Name | undefined },
): GeneverKoa<Name> {
  const plugin = new WebPlugin<Koa.Context>(db, options)
  // Not an `async` function: every promise of the plug-in is paid by every request.
  const middleware = (context: object, next: Koa.Next): Promise<void> => {
    const koa = context as Koa.Context
    return plugin.ready ? enter(plugin, koa, next) : openAndEnter(plugin, koa, next)
  }
  return Object.assign(middleware, {
    open: (app?: { readonly context: object }) => openFor(plugin, app),
    close: () => plugin.close(),
    transaction: (given: RequestTransactionOptions = {}) => {
      const wanted = transactionOf(given) ?? {}
      return (context: AnyContext, next: Koa.Next): Promise<void> =>
        inTransaction(db, scopeOf(context.req, db) ?? null, wanted, context, next)
    },
  })
}

function enter(plugin: WebPlugin<Koa.Context>, koa: Koa.Context, next: Koa.Next): Promise<void> {
  const { db } = plugin
  const { transaction } = plugin.options
  const known = scopeOf(koa.req, db)
  const scope = known ?? plugin.scope(koa.req, koa.res, koa, () => routeOf(koa))
  const work =
    transaction === null || known !== undefined
      ? next
      : (): Promise<void> => inTransaction(db, scope, transaction, koa, next)
  if (scope === null) return work()
  plugin.attach(koa, scope)
  // Of several copies, the outermost knows when the handler has settled.
  return known === undefined ? scope.serve(work) : scope.run(work)
}

async function openAndEnter(plugin: WebPlugin<Koa.Context>, koa: Koa.Context, next: Koa.Next): Promise<void> {
  await openFor(plugin, koa.app)
  return plugin.whenReady(koa, () => enter(plugin, koa, next))
}

async function openFor(plugin: WebPlugin<Koa.Context>, app: { readonly context: object } | undefined): Promise<void> {
  if (app !== undefined) {
    const { genever: options } = app.context as { genever?: unknown }
    plugin.configure({ name: 'app.context.genever', options })
  }
  await plugin.open()
}

/** `GET /users/:id` where a router says so. */
function routeOf({ method, _matchedRoute: route }: Koa.Context & { _matchedRoute?: unknown }): Routed {
  return { method, route: typeof route === 'string' ? route : undefined }
}

async function inTransaction(
  db: Db,
  scope: RequestScope | null,
  options: RequestTransactionOptions,
  context: AnyContext,
  next: Koa.Next,
): Promise<void> {
  const transaction = new RequestTransaction(db, options, scope)
  // By `respond = false` a handler says that it writes the response itself.
  const status = (): number | null => (context.respond === false ? null : context.status)
  try {
    await aroundHeld<void>(transaction, context.res, next, status, (error) => context.onerror(error as Error))
  } catch (error) {
    // Nothing of its answer was sent: whoever answers the error does so by the context.
    if (!context.headerSent) context.respond = true
    throw error
  }
}
