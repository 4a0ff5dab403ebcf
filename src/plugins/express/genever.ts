// The plug-in for Express 5: a middleware. Express tells a middleware neither when the handler has settled nor what it threw:
// the connection follows the response, and where a transaction has to know more, it wraps the handler.
import type { Application, NextFunction, Request, RequestHandler, Response } from 'express'
import type { Db } from '../../db/db.ts'
import type { Connection } from '../../engine/connection.ts'
import { currentChain, runIn } from '../../engine/context/chain.ts'
import { type PluginOptions, type RequestTransactionOptions, transactionOf } from '../options.ts'
import { WebPlugin } from '../plugin.ts'
import { HeldResponse } from '../request/hold.ts'
import { scopeOf } from '../request/node.ts'
import type { RequestScope, Routed } from '../request/scope.ts'
import { RequestTransaction } from '../request/transaction.ts'

declare global {
  // oxlint-disable-next-line typescript/no-namespace -- the place Express has for what middlewares add
  namespace Express {
    interface Request {
      /** The connection of this request. */
      db: Connection
    }
  }
}

/** The middleware that gives each request its connection. It has methods to open, to close and for transactions. */
export interface GeneverExpress extends RequestHandler {
  /**
   * Opens the database as the options say, including those of `app.set('genever', …)`. If it is not called, the first
   * request opens it.
   * @throws {ConnectError} when the database cannot be reached.
   */
  open(app?: Application): Promise<void>
  /** Closes the database. To close the server too, see `gracefulShutdown`. Never rejects. */
  close(): Promise<void>
  /**
   * A handler in a transaction. The transaction is committed before the answer is sent. It is rolled back when the handler
   * throws or answers with a status of 400 or more.
   */
  transactional(handler: RequestHandler, options?: RequestTransactionOptions): RequestHandler
  /**
   * A middleware that does the same for everything after it, but looks only at the status of the answer. Express does not
   * pass it errors, so the transaction is committed when an error handler answers with a status below 400.
   */
  transaction(options?: RequestTransactionOptions): RequestHandler
}

/**
 * A middleware that gives every request one lazy connection. It is ambient for everything after the middleware, and is
 * `req.db`.
 * @throws {InvalidOptionError} when options are wrong.
 */
export function genever(db: Db, options?: PluginOptions<Request>): GeneverExpress {
  const plugin = new WebPlugin<Request>(db, options)
  const middleware: RequestHandler = (request, response, next) => {
    // What throws while a request enters is an error of that request, also when it had to wait for the opening.
    if (plugin.ready) enter(plugin, request, response, next)
    else void openAndEnter(plugin, request, response, next)
  }
  return Object.assign(middleware, {
    open: (app?: Application) => openFor(plugin, app),
    close: () => plugin.close(),
    transactional: (handler: RequestHandler, given: RequestTransactionOptions = {}) =>
      transactional(plugin, handler, transactionOf(given) ?? {}),
    transaction: (given: RequestTransactionOptions = {}) => {
      const wanted = transactionOf(given) ?? {}
      const inside: RequestHandler = (request, response, next) =>
        followAnswer(plugin, scopeOf(request, db) ?? null, wanted, response, next)
      return inside
    },
  })
}

async function openFor(plugin: WebPlugin<Request>, app: Application | undefined): Promise<void> {
  if (app !== undefined) plugin.configure({ name: "app.set('genever')", options: app.get('genever') as unknown })
  await plugin.open()
}

async function openAndEnter(
  plugin: WebPlugin<Request>,
  request: Request,
  response: Response,
  next: NextFunction,
): Promise<void> {
  try {
    await openFor(plugin, request.app)
    await plugin.whenReady(request, () => enter(plugin, request, response, next))
  } catch (error) {
    next(error)
  }
}

function enter(plugin: WebPlugin<Request>, request: Request, response: Response, next: NextFunction): void {
  const { transaction } = plugin.options
  const shared = transaction !== null && scopeOf(request, plugin.db) !== undefined
  const scope = plugin.scope(request, response, request, () => routeOf(request))
  if (scope !== null) plugin.attachTo(request, scope)
  const go =
    transaction === null || shared ? next : (): void => followAnswer(plugin, scope, transaction, response, next)
  if (scope === null) go()
  else scope.run(go)
}

/** `GET /users/:id`, once a route was found. */
function routeOf({ method, baseUrl, route }: Request): Routed {
  const { path } = Object(route) as { path?: unknown }
  return { method, route: typeof path === 'string' ? `${baseUrl}${path}` : undefined }
}

function transactional(
  plugin: WebPlugin<Request>,
  handler: RequestHandler,
  options: RequestTransactionOptions,
): RequestHandler {
  return async (request, response, next) => {
    const transaction = new RequestTransaction(plugin.db, options, scopeOf(request, plugin.db) ?? null)
    const held = hold(response, transaction, next)
    const around = currentChain()
    try {
      await transaction.run(() => handler(request, response, (error?: unknown) => void passOn(error)))
    } catch (error) {
      await passOn(error)
      return
    }
    // It answers later, or never: without an answer there is no COMMIT.
    held.onUnanswered(() => void transaction.rollBack())

    async function passOn(error: unknown): Promise<void> {
      // `next()` and `next('route')` are no errors: what comes behind answers.
      if (error === undefined || error === 'route' || error === 'router') {
        next(error as 'route' | undefined)
        return
      }
      if (held.answered) {
        plugin.failed('A handler failed after it had answered', error)
        return
      }
      await transaction.rollBack()
      held.release()
      runIn(around, () => next(error))
    }
  }
}

function followAnswer(
  plugin: WebPlugin<Request>,
  scope: RequestScope | null,
  options: RequestTransactionOptions,
  response: Response,
  next: NextFunction,
): void {
  const transaction = new RequestTransaction(plugin.db, options, scope)
  const held = hold(response, transaction, next)
  const never = transaction.run(() => {
    next()
    return new Promise<never>(() => {})
  })
  const failed = (error: unknown): void => {
    held.release()
    next(error)
  }
  never.catch(failed)
  held.onUnanswered(() => void transaction.rollBack())
}

function hold(response: Response, transaction: RequestTransaction, next: NextFunction): HeldResponse {
  return new HeldResponse(response, (status) => transaction.answering(status), next)
}
