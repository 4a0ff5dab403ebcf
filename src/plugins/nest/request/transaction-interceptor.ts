// The transaction around an HTTP handler: pipes and handler are inside, guards are in front of it. Nest sends what a handler
// returns when its interceptors are through, so the COMMIT comes first.
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common'
import { from, lastValueFrom, type Observable } from 'rxjs'
import type { IncomingMessage } from 'node:http'
import { UsageError } from '../../../errors/index.ts'
import type { RequestTransactionOptions } from '../../options.ts'
import { refuse } from '../../request/around-held.ts'
import { HeldResponse } from '../../request/hold.ts'
import { scopeOf } from '../../request/node.ts'
import { RequestTransaction } from '../../request/transaction.ts'
import type { Host } from '../module/host.ts'
import { rawOf } from './raw.ts'
import { isEventStream, saidOf } from './said.ts'

/** Requests in a transaction, by host: controller, handler and module may all ask for it. */
const running = new WeakMap<Host, WeakSet<IncomingMessage>>()

const notHttp =
  'TransactionalRoute() is for handlers of HTTP requests, whose answer ends the transaction. For resolvers of GraphQL, messages and events ' +
  'take Transactional(), and TransactionalRoute(false) on those of a controller that has it.'

export class TransactionInterceptor implements NestInterceptor {
  readonly #host: Host

  constructor(host: Host) {
    this.#host = host
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { name, plugin } = this.#host
    const said = saidOf(context, name)
    if (context.getType() !== 'http') {
      if (said !== undefined && said !== null) throw new UsageError(notHttp)
      return next.handle()
    }
    if (isEventStream(context)) return next.handle()
    const options = said === undefined ? plugin.options.transaction : said
    if (options === null || !this.#first(rawOf(context).request)) return next.handle()
    return from(this.#inTransaction(context, next, options))
  }

  #first(request: IncomingMessage): boolean {
    const requests = running.get(this.#host) ?? new WeakSet()
    running.set(this.#host, requests)
    if (requests.has(request)) return false
    requests.add(request)
    return true
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
      return await transaction.around(
        () => lastValueFrom<unknown, undefined>(next.handle(), { defaultValue: undefined }),
        () => (held.answered ? null : status()),
      )
    } finally {
      if (!held.answered) held.release()
    }
  }
}
