// Where a request of Hono keeps its scopes and who ends them: Node's outgoing response, which always closes, where there is
// one; else the body of the response and the client's signal, with `waitUntil` for what is left to do.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Context } from 'hono'
import type { Db } from '../../db/db.ts'
import type { WebPlugin } from '../plugin.ts'
import { scopeOf } from '../request/node.ts'
import type { RequestScope } from '../request/scope.ts'
import { followBody, keepWebScope, webScopeOf } from '../request/web.ts'

interface NodeBindings {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
}

/** What @hono/node-server hands on; upgrades have no outgoing response. */
function nodeOf(c: Context): NodeBindings | null {
  const bindings = c.env as Partial<NodeBindings> | undefined
  return typeof bindings?.outgoing?.once === 'function' && bindings.incoming !== undefined
    ? (bindings as NodeBindings)
    : null
}

/** The scope this request has for `db`, if a plug-in has opened one. */
export function scopeFor(c: Context, db: Db): RequestScope | undefined {
  const node = nodeOf(c)
  return node === null ? webScopeOf(c, db) : scopeOf(node.incoming, db)
}

/** A new one, or the one of another copy of the plug-in; null where requests have no connection. */
export function openScope(plugin: WebPlugin<Context>, c: Context, what: () => string): RequestScope | null {
  const node = nodeOf(c)
  if (node !== null) return plugin.scope(node.incoming, node.outgoing, c, what)
  if (!plugin.options.connectionForRequest) return null
  const shared = webScopeOf(c, plugin.db)
  if (shared !== undefined) return shared
  const scope = plugin.makeScope(c, what)
  keepWebScope(c, c.req.raw, scope)
  return scope
}

/** The handler has settled. Without a response of Node's, the one of Hono is followed to its end. */
export function closing(c: Context, scope: RequestScope): void {
  if (nodeOf(c) !== null) return
  if (!c.finalized) {
    scope.responseClosed(true)
    return
  }
  const { response, over } = followBody(c.res, scope)
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
