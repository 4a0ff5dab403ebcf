// The plug-in for `node:http`: wraps a handler, which then has the connection on its request and ambient, may be in a
// transaction, and may throw. There is no framework, so it answers errors itself.
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Db } from '../../db/db.ts'
import type { Connection } from '../../engine/connection.ts'
import { type PluginOptions, type RequestTransactionOptions, transactionOf } from '../options.ts'
import { WebPlugin } from '../plugin.ts'
import { HeldResponse } from '../request/hold.ts'
import type { RequestScope } from '../request/scope.ts'
import type { HttpErrorHandler } from './errors.ts'
import { isFault } from '../problem.ts'
import { RequestTransaction } from '../request/transaction.ts'

/** A request with its connection, named `db` or as the option `as` says. */
export type HttpRequest<Name extends string = 'db'> = IncomingMessage & { readonly [K in Name]: Connection }

/** A handler of `node:http` whose request has its connection. */
export type HttpHandler<Name extends string = 'db'> = (request: HttpRequest<Name>, response: ServerResponse) => unknown

/** Options of one handler. */
export interface HandlerOptions {
  /** Overrides the option of the plug-in. */
  readonly transaction?: boolean | RequestTransactionOptions | undefined
  /** Answers errors in place of the plug-in, and returns whether it has: see `errorHandler()`. An answer of 500 or more is logged. */
  readonly onError?: HttpErrorHandler | undefined
}

/** Gives each request of a server of `node:http` its connection. */
export interface GeneverHttp<Name extends string = 'db'> {
  /** Opens the database as the options say. @throws {ConnectError} when the database cannot be reached. */
  open(): Promise<void>
  /** Closes the database. To close the server too, see `gracefulShutdown`. Never rejects. */
  close(): Promise<void>
  /**
   * A listener for `createServer`. Errors of the handler are answered as JSON. Those with a `status` of 400 to 499 are
   * answered with their message. All others are answered with 500 and without their message, and are logged. The option
   * `transaction` overrides the one of the plug-in.
   */
  handler(
    handler: HttpHandler<Name>,
    options?: HandlerOptions,
  ): (request: IncomingMessage, response: ServerResponse) => void
}

/**
 * Gives every request of `node:http` one lazy connection. It is ambient for the handler, and is `request.db`.
 * @throws {InvalidOptionError} when options are wrong.
 */
export function genever<const Name extends string = 'db'>(
  db: Db,
  options?: PluginOptions<IncomingMessage> & { readonly as?: Name | undefined },
): GeneverHttp<Name> {
  const plugin = new WebPlugin<IncomingMessage>(db, options)
  return {
    open: () => plugin.open(),
    close: () => plugin.close(),
    handler: (handler, route) => {
      const transaction =
        route?.transaction === undefined ? plugin.options.transaction : transactionOf(route.transaction)
      return (request, response) => {
        const call = (): unknown => handler(request as HttpRequest<Name>, response)
        void serve(plugin, request, response, transaction, call, route?.onError)
      }
    },
  }
}

async function serve(
  plugin: WebPlugin<IncomingMessage>,
  request: IncomingMessage,
  response: ServerResponse,
  transaction: RequestTransactionOptions | null,
  call: () => unknown,
  onError: HttpErrorHandler | undefined,
): Promise<void> {
  const refuse = (error: unknown): void => {
    if (response.headersSent || onError?.(error, request, response) !== true) answer(plugin, response, error)
    else if (isFault({ status: response.statusCode })) plugin.failed(handlerFailed, error)
  }
  let scope: RequestScope | null = null
  try {
    const enter = (): RequestScope | null => plugin.scope(request, response, request)
    scope = plugin.ready ? enter() : await plugin.whenReady(request, enter)
    const work =
      transaction === null
        ? call
        : (): Promise<void> => inTransaction(plugin, response, transaction, scope, call, refuse)
    if (scope === null) await work()
    else {
      plugin.attach(request, scope)
      await scope.run(work)
    }
  } catch (error) {
    refuse(error)
  } finally {
    scope?.handlerSettled()
  }
}

async function inTransaction(
  plugin: WebPlugin<IncomingMessage>,
  response: ServerResponse,
  options: RequestTransactionOptions,
  scope: RequestScope | null,
  call: () => unknown,
  refuse: (error: unknown) => void,
): Promise<void> {
  const transaction = new RequestTransaction(plugin.db, options, scope)
  const held = new HeldResponse(response, (status) => transaction.answering(status), refuse)
  try {
    await transaction.around(call, () => null)
  } catch (error) {
    if (held.answered) plugin.failed('A handler failed after it had answered', error)
    else {
      held.release()
      throw error
    }
    return
  }
  // It answers later, or never: without an answer there is no COMMIT.
  held.onUnanswered(() => void transaction.rollBack())
}

const handlerFailed = 'A handler failed'

function answer(plugin: WebPlugin<IncomingMessage>, response: ServerResponse, error: unknown): void {
  const { status, message } = publicFace(error)
  if (isFault({ status })) plugin.failed(handlerFailed, error)
  if (response.headersSent) {
    response.destroy()
    return
  }
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error: message }))
}

/** What may be told: errors say by `status` and `expose` that their message is meant for the client. */
function publicFace(error: unknown): { status: number; message: string } {
  const { status, message, expose } = Object(error) as { status?: unknown; message?: unknown; expose?: unknown }
  const known = typeof status === 'number' && status >= 400 && status < 500
  if (!known) return { status: 500, message: STATUS_CODES[500] as string }
  return { status, message: expose === false ? (STATUS_CODES[status] ?? '') : String(message) }
}
