// A scope around handlers that come without a request of `node:http` that our middleware has seen: microservices,
// WebSockets, GraphQL subscriptions.
import { type CallHandler, type ExecutionContext, Inject, type NestInterceptor } from '@nestjs/common'
import { Observable } from 'rxjs'
import type { Db } from '../../db/db.ts'
import type { TenantStay } from '../../db/places.ts'
import type { Settings } from '../../engine/context/frame.ts'
import type { Engine } from '../../engine/engine.ts'
import { Tags } from '../../sql/tags.ts'
import { RequestScope } from '../request/scope.ts'
import { enterTenant } from '../request/tenant.ts'
import { getDbToken } from './tokens.ts'

/** Options of `GeneverInterceptor`. */
export interface GeneverInterceptorOptions {
  /** Session settings for all statements of the handler, such as its tenant: see `settings` of `scope()`. */
  readonly settings?: ((context: ExecutionContext) => Settings | undefined) | undefined
  /** The tenant of all statements of the handler, for a `db` whose registry has `tenancy`. Null: no tenant, on purpose. */
  readonly tenant?: ((context: ExecutionContext) => unknown) | undefined
  /**
   * True: the server shows behind the text of each statement which handler it comes from:
   * `/*action='list',controller='UsersController'*\/`. Default false.
   */
  readonly tagHandlers?: boolean | undefined
  /** True: the handler keeps its connection from its first statement to its end. Default false. See `hold` of `scope()`. */
  readonly hold?: boolean | undefined
}

/**
 * Gives a handler one lazy connection until its answer is complete. The connection is ambient for pipes, the handler and
 * inner interceptors, but not for guards. After the first value of the answer, it is kept only while a statement,
 * transaction or cursor needs it. If a connection is ambient already, that one is used.
 * `@UseInterceptors(GeneverInterceptor)`, or `new GeneverInterceptor(db)` for a database by name.
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
    const { tenant } = this.#options
    const stay = tenant === undefined ? null : await enterTenant(db, tenant, context)
    const engine = await (stay === null ? db.engineHere() : stay.run(() => db.engineHere()))
    return new Observable((subscriber) => {
      const make = (): RequestScope => this.#scope(engine, context, stay)
      const scope = stay === null ? make() : stay.run(make)
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

  #scope(engine: Engine, context: ExecutionContext, tenant: TenantStay | null): RequestScope {
    const settings = this.#options.settings?.(context)
    const [controller, action] = [context.getClass().name, context.getHandler().name]
    const { hold, tagHandlers } = this.#options
    const tags = tagHandlers === true ? Tags.of({ controller, action }) : undefined
    const what = (): string => `${controller}.${action}`
    return new RequestScope(this.#db, engine, { what, settings, hold, onAbort: 'continue', tags, tenant })
  }
}

Inject(getDbToken())(GeneverInterceptor, undefined, 0)
