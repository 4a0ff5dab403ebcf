// The scope of a request: a middleware of `node:http`, which both of Nest's platforms run in front of guards, pipes,
// interceptors and handlers.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { WebPlugin } from '../../plugin.ts'
import type { RequestScope, Routed } from '../../request/scope.ts'

export type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void

export function middlewareOf(plugin: WebPlugin<IncomingMessage>): Middleware {
  const enter: Middleware = (request, response, next) => {
    let scope: RequestScope | null
    try {
      scope = plugin.scope(request, response, request, () => routeOf(request))
      if (scope !== null) plugin.attach(request, scope)
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
