// The plug-in for Hono 4: a middleware. On Node.js the connection follows the outgoing response; on other runtimes, the body
// of Hono's response. Hono hands errors to `app.onError` before a middleware sees them: they are found in `c.error`.
import type { Context, MiddlewareHandler, Next } from 'hono'
import type { Db } from '../../db/db.ts'
import type { Connection } from '../../engine/connection.ts'
import { type PluginOptions, type RequestTransactionOptions, transactionOf } from '../options.ts'
import { WebPlugin } from '../plugin.ts'
import { aroundHeld } from '../request/around-held.ts'
import type { RequestScope } from '../request/scope.ts'
import { RequestTransaction } from '../request/transaction.ts'
import { follow, knownScope, nodeOf, openScope } from './scope.ts'

/** The variables that the plug-in adds to `c.var`. For applications that are typed by hand: `new Hono<GeneverEnv>()`. */
export interface GeneverEnv<Name extends string = 'db'> {
  Variables: { [K in Name]: Connection }
}

/** Typed for what is chained behind it: `const app = new Hono().use(genever(db)).get(…)`. */
export interface GeneverHono<Name extends string = 'db'> extends MiddlewareHandler<GeneverEnv<Name>> {
  /**
   * Opens the database as the options say. If it is not called, the first request opens it.
   * @throws {ConnectError} when the database cannot be reached.
   */
  open(): Promise<void>
  /** Closes the database. To close the server too, see `gracefulShutdown`. Never rejects. */
  close(): Promise<void>
  /**
   * A middleware that runs everything after it in a transaction. The transaction is committed before the answer is sent. It
   * is rolled back on a status of 400 or more. It is also rolled back on an error, whatever `app.onError` answers.
   */
  transaction(options?: RequestTransactionOptions): MiddlewareHandler
}

/**
 * A middleware that gives every request one lazy connection. It is ambient for everything after the middleware, and is
 * `c.var.db`.
 * @throws {InvalidOptionError} when options are wrong.
 */
export function genever<const Name extends string = 'db'>(
  db: Db,
  options?: PluginOptions<Context> & { readonly as?: Name | undefined },
): GeneverHono<Name> {
  const plugin = new WebPlugin<Context>(db, options)
  // Not an `async` function: every promise of the plug-in is paid by every request.
  const middleware = (c: Context, next: Next): Promise<void> =>
    plugin.ready ? enter(plugin, c, next) : plugin.whenReady(c, () => enter(plugin, c, next))
  return Object.assign(middleware, {
    open: () => plugin.open(),
    close: () => plugin.close(),
    transaction: (given: RequestTransactionOptions = {}): MiddlewareHandler => {
      const wanted = transactionOf(given) ?? {}
      return (c, next) => inTransaction(db, knownScope(c, nodeOf(c), db) ?? null, wanted, c, next)
    },
  })
}

function enter(plugin: WebPlugin<Context>, c: Context, next: Next): Promise<void> {
  const node = nodeOf(c)
  const known = knownScope(c, node, plugin.db)
  const scope = known ?? openScope(plugin, c, node)
  const { transaction } = plugin.options
  const work =
    transaction === null || known !== undefined
      ? next
      : (): Promise<void> => inTransaction(plugin.db, scope, transaction, c, next)
  if (scope === null) return work().then(nothing)
  attach(plugin, c, scope)
  // Of several copies, the outermost knows when the handler has settled.
  if (known !== undefined) return scope.run(work).then(nothing)
  const settled = scope.serve(work, undefined, nothing)
  return node === null ? settled.finally(() => follow(c, scope)) : settled
}

/** Hono takes what a middleware gives for the answer, if there is none: its `next()` gives the context. */
const nothing = (): void => {}

function attach(plugin: WebPlugin<Context>, c: Context, scope: RequestScope): void {
  const name = plugin.options.as
  const taken: unknown = c.get(name)
  if (taken !== undefined) plugin.attach({ [name]: taken }, scope)
  c.set(name, scope.connection)
}

function inTransaction(
  db: Db,
  scope: RequestScope | null,
  options: RequestTransactionOptions,
  c: Context,
  next: Next,
): Promise<void> {
  const response = nodeOf(c)?.outgoing ?? null
  // An error that `app.onError` has answered is in `c.error`. Hono answers a handler that gave nothing by an error too, later.
  const status = (): number => (c.error === undefined && c.finalized ? c.res.status : 500)
  const ended = aroundHeld(new RequestTransaction(db, options, scope), response, next, status, () => {})
  return ended.then(nothing, (error: unknown) => {
    // Hono would merge the headers of the answer, which is not sent, into that to the error.
    if (c.finalized) c.res = undefined
    throw error
  })
}
