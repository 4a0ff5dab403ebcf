// What happens around every HTTP handler: its transaction, if it has one, and `NotFoundError` as Nest's own exception. It is
// a global interceptor: pipes and handlers are inside, guards are in front of it.
import { type CallHandler, type ExecutionContext, type NestInterceptor, NotFoundException } from '@nestjs/common'
import { Reflector } from '@nestjs/core'
import { catchError, from, lastValueFrom, type Observable } from 'rxjs'
import type { ServerResponse } from 'node:http'
import { isGeneverError, NotFoundError } from '../../../errors/index.ts'
import type { RequestTransactionOptions } from '../../options.ts'
import { HeldResponse } from '../../request/hold.ts'
import { scopeOf } from '../../request/node.ts'
import { RequestTransaction } from '../../request/transaction.ts'
import type { Host } from '../module/host.ts'
import { rawOf } from './raw.ts'
import { saidOf } from './route.ts'

const reflector = new Reflector()

type Routes = WeakMap<object, RequestTransactionOptions | null>

export class RequestInterceptor implements NestInterceptor {
  readonly #host: Host
  /** What was found for the handlers of each controller: metadata is slow to read. */
  readonly #known = new WeakMap<object, Routes>()

  constructor(host: Host) {
    this.#host = host
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'http') return next.handle()
    const options = this.#transactionOf(context)
    const answer = options === null ? next.handle() : from(this.#inTransaction(context, next, options))
    return answer.pipe(
      catchError((error: unknown) => {
        throw isGeneverError(error, NotFoundError) ? new NotFoundException(error.message, { cause: error }) : error
      }),
    )
  }

  #transactionOf(context: ExecutionContext): RequestTransactionOptions | null {
    const controller = context.getClass()
    const handler = context.getHandler()
    let routes = this.#known.get(controller)
    if (routes === undefined) this.#known.set(controller, (routes = new WeakMap()))
    let options = routes.get(handler)
    if (options === undefined) {
      const said = saidOf(context, this.#host.name)
      options = isEventStream(handler) ? null : said === undefined ? this.#host.plugin.options.transaction : said
      routes.set(handler, options)
    }
    return options
  }

  async #inTransaction(
    context: ExecutionContext,
    next: CallHandler,
    options: RequestTransactionOptions,
  ): Promise<unknown> {
    const { plugin } = this.#host
    const { request, response, status } = rawOf(context)
    const transaction = new RequestTransaction(plugin.db, options, scopeOf(request, plugin.db) ?? null)
    // Only a handler that takes `@Res()` answers before it has settled.
    const held = new HeldResponse(
      response,
      (code) => transaction.answering(code),
      (error) => {
        plugin.failed('A transaction failed when its handler had answered', error)
        refuse(response)
      },
    )
    try {
      const value = await transaction.run(() => lastValueFrom(next.handle(), { defaultValue: undefined }))
      if (!held.answered) await transaction.answering(status())
      return value
    } catch (error) {
      await transaction.rollBack()
      throw error
    } finally {
      if (!held.answered) held.release()
    }
  }
}

/** `@Sse()`: events have no end to wait for. */
function isEventStream(handler: object): boolean {
  return reflector.get<unknown>('__sse__', handler as () => unknown) === true
}

function refuse(response: ServerResponse): void {
  const body = JSON.stringify({ statusCode: 500, message: 'Internal server error' })
  response.writeHead(500, { 'content-type': 'application/json' }).end(body)
}
