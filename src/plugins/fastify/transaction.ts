// Routes of Fastify in a transaction: the handler is wrapped when the route is declared, and the transaction ends in a hook
// of that route, before the head of the response. Routes without one pay nothing.
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { Db } from '../../db/db.ts'
import { UsageError } from '../../errors/index.ts'
import { currentChain, type Link, runIn } from '../../engine/context/chain.ts'
import { type RequestTransactionOptions, transactionOf } from '../options.ts'
import { refuse } from '../request/around-held.ts'
import { HeldResponse } from '../request/hold.ts'
import { isUpgrade, scopeOf, whenClosed } from '../request/node.ts'
import { RequestTransaction } from '../request/transaction.ts'

/** `config: { db: { transaction: true } }` of a route, by the name of the plug-in. */
export interface RouteConfig {
  /** Overrides the option of the plug-in for this route. */
  readonly transaction?: boolean | RequestTransactionOptions | undefined
}

/** A handler in transactions, for a further plug-in of the same route. */
interface Wrapped {
  readonly handler: Handler
  /** HEAD routes are made of GET routes that were wrapped already, and there may be several copies of the plug-in. */
  readonly databases: readonly Db[]
}

/** What @fastify/websocket adds to a route. */
interface SocketRoute {
  readonly websocket?: boolean
  readonly wsHandler?: unknown
}

const noTransaction =
  'A route of web sockets cannot have a transaction: there is no answer to commit it with. Begin one for each message: db.transaction().'

function isSocket(request: FastifyRequest & { readonly ws?: boolean }): boolean {
  return request.ws === true || isUpgrade(request.raw)
}

type Handler = (this: FastifyInstance, request: FastifyRequest, reply: FastifyReply) => unknown

const wrapped = new WeakMap<object, Wrapped>()
const wrappedFor: unique symbol = Symbol('genever.wrapped')

/** In place of the value of a handler: the answer is on its way, or comes later, or never. */
const sending: unique symbol = Symbol('sending')
const waiting: unique symbol = Symbol('waiting')

/** An `onRoute` hook. */
export function wrapRoutes(
  db: Db,
  name: string,
  general: RequestTransactionOptions | null,
): (route: RouteOptions) => void {
  const running = new WeakMap<FastifyRequest, Running>()
  return (route) => {
    const own = (route.config as Record<string, RouteConfig | undefined> | undefined)?.[name]?.transaction
    const options = own === undefined ? general : transactionOf(own)
    const { handler, databases } = wrapped.get(route.handler) ?? { handler: route.handler, databases: [] }
    if (options === null || databases.includes(db)) return
    const { websocket, wsHandler } = route as SocketRoute
    if (websocket === true) {
      if (own !== undefined) throw new UsageError(noTransaction)
      return
    }
    const inTransaction: Handler = function (request, reply) {
      // Its handler of requests is in a transaction, that of web sockets is not.
      if (wsHandler !== undefined && isSocket(request)) return handler.call(this, request, reply) ?? waiting
      const transaction = new RequestTransaction(db, options, scopeOf(request.raw, db) ?? null)
      const held = hold(transaction, reply)
      running.set(request, { transaction, held, around: currentChain(), headers: reply.getHeaders() })
      return answerOf(transaction, reply, () => handler.call(this, request, reply))
    }
    route.handler = async function (request, reply) {
      const value = await inTransaction.call(this, request, reply)
      return value === sending || value === waiting ? new Promise<never>(() => {}) : value
    }
    // Fastify binds handlers, so that a request does not tell what was wrapped.
    route.config = Object.assign({}, route.config, { [wrappedFor]: [...databases, db] })
    wrapped.set(route.handler, { handler: inTransaction, databases: [...databases, db] })
    route.onSend = [
      // Behind those of the user: they may still change the status.
      ...listOf(route.onSend),
      (request: FastifyRequest, reply: FastifyReply, _payload: unknown, done: Done): void => {
        const here = running.get(request)
        if (here === undefined) done()
        else void end(here, () => here.transaction.answering(reply.statusCode), sent(forget(here, reply, done)))
      },
    ]
    route.onError = [
      ...listOf(route.onError),
      (request: FastifyRequest, _reply: FastifyReply, _error: unknown, done: Done): void => {
        const here = running.get(request)
        if (here === undefined) done()
        else void end(here, () => here.transaction.rollBack(), done)
      },
    ]
  }
}

/** Why a request cannot be served: its route asks for a transaction, and was declared before the plug-in. */
export function refusedEarly(request: FastifyRequest, db: Db, name: string): UsageError | undefined {
  const config = request.routeOptions.config as unknown as Config | undefined
  const asked = config?.[name]?.transaction
  if (asked === undefined || asked === false || config?.[wrappedFor]?.includes(db) === true) return undefined
  return new UsageError(
    'The route asks for a transaction, but was declared before the plug-in of its database, which cannot give it one. Await ' +
      'app.register(genever, …) before the routes are declared.',
  )
}

interface Config {
  readonly [name: string]: RouteConfig | undefined
  readonly [wrappedFor]?: readonly Db[]
}

type Done = (error?: Error) => void

interface Running {
  readonly transaction: RequestTransaction
  /** Of what the handler writes itself; what Fastify sends comes behind `onSend`. */
  readonly held: HeldResponse
  /** The context around the transaction. */
  readonly around: Link | undefined
  /** Those of the reply in front of the handler. */
  readonly headers: ReturnType<FastifyReply['getHeaders']>
}

/** Ends the transaction. What comes behind, such as an error handler, runs around it. */
async function end({ held, around }: Running, ending: () => Promise<void>, done: Done): Promise<void> {
  let failure: Error | undefined
  try {
    await ending()
  } catch (error) {
    failure = error as Error
  }
  if (!held.answered) held.release()
  runIn(around, () => done(failure))
}

/** An answer that could not be committed leaves no header behind: those of it may not be true of the answer to the error. */
function forget({ headers }: Running, reply: FastifyReply, done: Done): Done {
  return (failure) => {
    if (failure !== undefined) {
      for (const name of Object.keys(reply.getHeaders()))
        if (headers[name as 'vary'] === undefined) void reply.removeHeader(name)
      void reply.headers(headers)
    }
    done(failure)
  }
}

/** What throws while the head is sent is an error of the answer, as it is behind a hook that gives a promise. */
function sent(done: Done): Done {
  return (failure) => {
    try {
      done(failure)
    } catch (error) {
      done(error as Error)
    }
  }
}

function hold(transaction: RequestTransaction, reply: FastifyReply): HeldResponse {
  const failed = (error: unknown): void => {
    // Of what was taken from it Fastify answers no errors.
    if (!reply.sent) void reply.send(error)
    else {
      reply.log.error(error, 'A transaction failed when its handler had answered')
      refuse(reply.raw)
    }
  }
  return new HeldResponse(reply.raw, (status) => transaction.answering(status), failed)
}

/**
 * Runs the handler and sends its answer inside of the transaction, because the hooks that see the answer may have statements too.
 */
async function answerOf(transaction: RequestTransaction, reply: FastifyReply, call: () => unknown): Promise<unknown> {
  let failed = false
  let value: unknown
  try {
    value = await transaction.run(async () => {
      const given = call()
      const answer: unknown = await given
      if (answer === sending || answer === waiting || failed) return answer
      // A promise of nothing is an answer without a body, where the handler writes none.
      if (answer === undefined && (given === undefined || transaction.ended || !isUnanswered(reply))) return waiting
      void reply.send(answer)
      return sending
    })
  } catch (error) {
    failed = true
    await transaction.rollBack()
    throw error
  }
  // Without an answer there is no COMMIT.
  if (value === waiting && !transaction.ended) whenClosed(reply.raw, () => void transaction.rollBack())
  return value
}

function isUnanswered(reply: FastifyReply): boolean {
  const { raw } = reply
  return !reply.sent && !raw.headersSent && !raw.destroyed
}

function listOf<T>(given: T | readonly T[] | undefined): readonly T[] {
  if (given === undefined) return []
  return Array.isArray(given) ? (given as readonly T[]) : [given as T]
}
