// A scope around handlers that come without a request of `node:http` that our middleware has seen: microservices,
// WebSockets, GraphQL subscriptions.
import { type CallHandler, type ExecutionContext, Inject, type NestInterceptor } from '@nestjs/common'
import { Observable } from 'rxjs'
import type { Db } from '../../db/db.ts'
import type { Settings } from '../../engine/context/frame.ts'
import type { Engine } from '../../engine/engine.ts'
import { RequestScope } from '../request/scope.ts'
import { getDbToken } from './tokens.ts'

export interface GeneverInterceptorOptions {
  /** Session settings for all statements of the handler, such as its tenant: see `settings` of `scope()`. */
  readonly settings?: ((context: ExecutionContext) => Settings | undefined) | undefined
  /** True: the handler keeps its connection from its first statement to its end: see `hold` of `scope()`. Default false. */
  readonly hold?: boolean | undefined
}

/**
 * Gives a handler one lazy connection, ambient for pipes, handler and inner interceptors, until what it answers is complete;
 * from the first value on, the connection is only kept while a statement, transaction or cursor needs it. Where a
 * connection is ambient already, it is used. Guards are outside. `@UseInterceptors(GeneverInterceptor)`, or
 * `new GeneverInterceptor(db)` for one by name.
 */
export class GeneverInterceptor implements NestInterceptor {
  readonly #db: Db
  readonly #options: GeneverInterceptorOptions

  constructor(db: Db, options: GeneverInterceptorOptions = {}) {
    this.#db = db
    this.#options = options
  }

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const db = this.#db
    if (db.current !== undefined) return next.handle()
    const engine = await db.engineHere()
    return new Observable((subscriber) => {
      const scope = this.#scope(engine, context)
      const end = (): void => {
        scope.responseClosed(true)
        scope.handlerSettled()
      }
      const inside = scope.run(() =>
        next.handle().subscribe({
          next: (value) => {
            scope.loosen()
            subscriber.next(value)
          },
          error: (error: unknown) => {
            end()
            subscriber.error(error)
          },
          complete: () => {
            end()
            subscriber.complete()
          },
        }),
      )
      return () => {
        inside.unsubscribe()
        end()
      }
    })
  }

  #scope(engine: Engine, context: ExecutionContext): RequestScope {
    const settings = this.#options.settings?.(context)
    const what = (): string => `${context.getClass().name}.${context.getHandler().name}`
    return new RequestScope(this.#db, engine, { what, settings, hold: this.#options.hold, onAbort: 'continue' })
  }
}

Inject(getDbToken())(GeneverInterceptor, undefined, 0)
