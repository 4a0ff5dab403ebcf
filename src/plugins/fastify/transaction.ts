// Routes of Fastify in a transaction: the handler is wrapped when the route is declared, and the transaction ends in a hook
// of that route, before the head of the response. Routes without one pay nothing.
import type { FastifyReply, FastifyRequest, RouteHandlerMethod, RouteOptions } from 'fastify'
import type { Db } from '../../db/db.ts'
import { type RequestTransactionOptions, transactionOf } from '../options.ts'
import { refuse } from '../request/around-held.ts'
import { HeldResponse } from '../request/hold.ts'
import { isClosed, scopeOf } from '../request/node.ts'
import { RequestTransaction } from '../request/transaction.ts'

/** `config: { db: { transaction: true } }` of a route, by the name of the plug-in. */
export interface RouteConfig {
  /** Overrides the option of the plug-in for this route. */
  readonly transaction?: boolean | RequestTransactionOptions | undefined
}

/**
 * Which databases a handler was wrapped for: HEAD routes are made of GET routes that were wrapped already, and there may be
 * several copies of the plug-in.
 */
const wrapped = new WeakMap<object, readonly Db[]>()

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
    const { handler } = route
    const before = wrapped.get(handler) ?? []
    if (options === null || before.includes(db)) return
    route.handler = function inTransaction(request, reply) {
      const transaction = new RequestTransaction(db, options, scopeOf(request.raw, db) ?? null)
      const held = hold(transaction, reply)
      running.set(request, { transaction, held })
      return answerOf(transaction, reply, () => handler.call(this, request, reply))
    }
    wrapped.set(route.handler, [...before, db])
    route.onSend = [
      // Behind those of the user: they may still change the status.
      ...listOf(route.onSend),
      async (request: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<unknown> => {
        const here = running.get(request)
        try {
          await here?.transaction.answering(reply.statusCode)
        } finally {
          if (here?.held.answered === false) here.held.release()
        }
        return payload
      },
    ]
    route.onError = [
      ...listOf(route.onError),
      async (request: FastifyRequest): Promise<void> => {
        running.get(request)?.transaction.fail()
      },
    ]
  }
}

interface Running {
  readonly transaction: RequestTransaction
  /** Of what the handler writes itself; what Fastify sends comes behind `onSend`. */
  readonly held: HeldResponse
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

/** What the handler answers, for Fastify to send; or a promise that stays open when the handler sends by `reply` itself. */
async function answerOf(
  transaction: RequestTransaction,
  reply: FastifyReply,
  call: () => ReturnType<RouteHandlerMethod>,
): Promise<unknown> {
  let waits = true
  let value: unknown
  try {
    value = await transaction.run(() => {
      const answer: unknown = call()
      waits = answer !== undefined
      return answer
    })
  } catch (error) {
    transaction.fail()
    throw error
  }
  if (value !== undefined) return value
  if (!transaction.ended) {
    // Without an answer there is no COMMIT.
    if (isClosed(reply.raw)) await transaction.rollBack()
    else reply.raw.once('close', () => void transaction.rollBack())
    // A promise of nothing is an answer without a body, where the handler writes none: Fastify sends it.
    if (waits && !reply.sent) return undefined
  }
  return new Promise<never>(() => {})
}

function listOf<T>(given: T | readonly T[] | undefined): readonly T[] {
  if (given === undefined) return []
  return Array.isArray(given) ? (given as readonly T[]) : [given as T]
}
