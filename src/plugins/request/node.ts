// Scopes of requests of `node:http`, which Express, Fastify, Koa and others are built on: one for each database, however
// many copies of plug-ins a request comes through, ended by the response's `close`, which always comes.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Db } from '../../db/db.ts'
import type { RequestScope } from './scope.ts'

const key: unique symbol = Symbol('genever.scopes')

interface Carrier {
  [key]?: RequestScope[]
}

/** The scope this request has for `db`, if any plug-in has opened one. */
export function scopeOf(request: IncomingMessage, db: Db): RequestScope | undefined {
  const scopes = (request as Carrier)[key]
  if (scopes === undefined) return undefined
  return scopes.length === 1 && scopes[0]?.db === db ? scopes[0] : scopes.find((scope) => scope.db === db)
}

/** Keeps the scope with its request and ends it with the response. */
export function keepScope(request: IncomingMessage, response: ServerResponse, scope: RequestScope): void {
  const carrier = request as Carrier
  if (carrier[key] === undefined) carrier[key] = [scope]
  else carrier[key].push(scope)
  // It runs outside of the request's context: it has the scope by its closure. Responses of HTTP/2 know no `writableFinished`.
  const close = (): void => {
    const sent = response.writableFinished as boolean | undefined
    scope.responseClosed(sent ?? response.writableEnded)
  }
  if (response.closed) close()
  else response.on('close', close)
}

/**
 * Whether Node has handed it to the listeners of `upgrade`, who sent it through the framework: its response lives as long as
 * the web socket. This is what Node made of it, not the header, which is the client's word and dear to parse.
 */
export function isUpgrade(request: IncomingMessage & { readonly upgrade?: boolean | null }): boolean {
  return request.upgrade === true
}

/** `GET request`: paths may hold keys, so they are not in messages. */
export function describeRequest(request: IncomingMessage): string {
  return `${request.method ?? ''} request`
}
