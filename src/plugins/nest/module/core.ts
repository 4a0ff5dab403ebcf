// The module that stands for one database: its middleware, and its end. `GeneverModule` makes one for each `forRoot`.
import {
  type BeforeApplicationShutdown,
  Inject,
  Module,
  type NestModule,
  type OnApplicationShutdown,
} from '@nestjs/common'
import { HttpAdapterHost, ModulesContainer } from '@nestjs/core'
import { Db } from '../../../db/db.ts'
import { UsageError } from '../../../errors/index.ts'
import { inRoot } from '../../../util/context.ts'
import type { ClosableServer } from '../../../registry/serve.ts'
import { convertNotFound } from '../not-found/routes.ts'
import type { Host } from './host.ts'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { WebPlugin } from '../../plugin.ts'
import { drainLogging } from '../../shutdown.ts'
import type { RequestScope, Routed } from '../../request/scope.ts'

/** The host, in the module of its database only. */
export const ownHost: unique symbol = Symbol('genever.host')

/** What is injected as its database, in the same module. */
export const ownDb: unique symbol = Symbol('genever.db')

/** Whether `NotFoundError` becomes Nest's exception, in the same module. */
export const convertsNotFound: unique symbol = Symbol('genever.notFound')

const replaced =
  'The Db of GeneverModule was replaced by another db, as overrideProvider() of Nest does it. Requests and transactions would go on with ' +
  'that of the module. Give the other one to the module: GeneverModule.forRoot({ db }).'

interface FastifyLike {
  hasRequestDecorator(name: string): boolean
  decorateRequest(name: string, value: { getter(this: { raw: Record<string, unknown> }): unknown }): unknown
}

export class GeneverCore implements NestModule, BeforeApplicationShutdown, OnApplicationShutdown {
  readonly #host: Host
  readonly #adapters: HttpAdapterHost
  readonly #modules: ModulesContainer
  readonly #convertsNotFound: boolean
  #drained: () => void = () => {}

  /** @throws {UsageError} when another db was put in the place of the one that requests and transactions use. */
  constructor(host: Host, adapters: HttpAdapterHost, modules: ModulesContainer, converts: boolean, injected: unknown) {
    if (injected instanceof Db && injected !== host.plugin.db) throw new UsageError(replaced)
    this.#host = host
    this.#adapters = adapters
    this.#modules = modules
    this.#convertsNotFound = converts
  }

  /** Called by Nest when it sets up middleware, before routes: in front of that of all modules, for every request. */
  configure(): void {
    if (this.#convertsNotFound) convertNotFound(this.#modules)
    const { plugin } = this.#host
    const { as, connectionForRequest } = plugin.options
    if (!connectionForRequest) return
    const { httpAdapter } = this.#adapters
    httpAdapter.use(middlewareOf(plugin))
    if (httpAdapter.getType() === 'fastify') decorate(httpAdapter.getInstance<FastifyLike>(), as)
  }

  beforeApplicationShutdown(): void {
    const server = this.#adapters.httpAdapter?.getHttpServer() as ClosableServer | undefined
    if (server === undefined || server === null) return
    const { drainTimeoutMs, plugin } = this.#host
    this.#drained = drainLogging(server, drainTimeoutMs, plugin.log)
  }

  /** The HTTP server is closed by now. */
  async onApplicationShutdown(): Promise<void> {
    this.#drained()
    await inRoot(() => this.#host.plugin.close())
  }
}

Module({})(GeneverCore)
Inject(ownHost)(GeneverCore, undefined, 0)
Inject(HttpAdapterHost)(GeneverCore, undefined, 1)
Inject(ModulesContainer)(GeneverCore, undefined, 2)
Inject(convertsNotFound)(GeneverCore, undefined, 3)
Inject(ownDb)(GeneverCore, undefined, 4)

/** Middlewares see the request of `node:http`, handlers that of Fastify. */
function decorate(app: FastifyLike, as: string): void {
  if (app.hasRequestDecorator(as))
    throw new UsageError(
      `A request has a property "${as}" already, of another database or of the framework. Give the module another name by ` +
        'its option as.',
    )
  app.decorateRequest(as, {
    getter() {
      return this.raw[as]
    },
  })
}

type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void

/** The scope of a request: both of Nest's platforms run it in front of guards, pipes, interceptors and handlers. */
function middlewareOf(plugin: WebPlugin<IncomingMessage>): Middleware {
  const enter: Middleware = (request, response, next) => {
    let scope: RequestScope | null
    try {
      scope = plugin.scope(request, response, request, () => routeOf(request))
      if (scope !== null) plugin.attachTo(request, scope)
    } catch (error) {
      next(error)
      return
    }
    if (scope === null) next()
    else scope.run(() => next())
  }
  return (request, response, next) => {
    plugin.enter(request, () => enter(request, response, next), next)
  }
}

/** `GET /users/:id`, where the platform says so on the request itself. */
function routeOf(request: IncomingMessage): Routed {
  const { path } = Object((request as { route?: unknown }).route) as { path?: unknown }
  return { method: request.method ?? '', route: typeof path === 'string' ? path : undefined }
}
