// Where a request of Hono keeps its scopes and who ends them: Node's outgoing response, which always closes, where there is
// one; else the body of the response and the client's signal, with `waitUntil` for what is left to do.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Context } from 'hono'
import { routePath } from 'hono/route'
import type { Db } from '../../db/db.ts'
import type { WebPlugin } from '../plugin.ts'
import { scopeOf } from '../request/node.ts'
import type { RequestScope, Routed } from '../request/scope.ts'
import { followBody, keepWebScope, webScopeOf } from '../request/web.ts'

export interface NodeBindings {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
}

/** What @hono/node-server hands on; upgrades have no outgoing response. */
export function nodeOf(c: Context): NodeBindings | null {
  const bindings = c.env as Partial<NodeBindings> | undefined
  return typeof bindings?.outgoing?.once === 'function' && bindings.incoming !== undefined
    ? (bindings as NodeBindings)
    : null
}

/** The scope this request has for `db`, if a plug-in has opened one. */
export function knownScope(c: Context, node: NodeBindings | null, db: Db): RequestScope | undefined {
  return node === null ? webScopeOf(c, db) : scopeOf(node.incoming, db)
}

/** A new one, for a request that has none; null where requests have no connection. */
export function openScope(plugin: WebPlugin<Context>, c: Context, node: NodeBindings | null): RequestScope | null {
  const route = (): Routed => ({ method: c.req.method, route: routePath(c) })
  if (node !== null) return plugin.scope(node.incoming, node.outgoing, c, route)
  if (!plugin.options.connectionForRequest) return null
  const scope = plugin.makeScope(c, route)
  keepWebScope(c, c.req.raw, scope)
  return scope
}

/** The handler has settled, and there is no response of Node's: the one of Hono is followed to its end. */
export function follow(c: Context, scope: RequestScope): void {
  if (!c.finalized) {
    scope.responseClosed(true)
    return
  }
  const { response, over } = followBody(c.res, scope, c.req.raw.method)
  if (response !== c.res) {
    // Hono would merge the headers of the two.
    c.res = undefined
    c.res = response
  }
  waitUntil(c, over)
}

function waitUntil(c: Context, promise: Promise<void>): void {
  try {
    c.executionCtx.waitUntil(promise)
  } catch {
    // Hono throws where the runtime has none.
  }
}
