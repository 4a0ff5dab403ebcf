// Where an event of h3 keeps its scopes and who ends them: Node's response, which always closes, where there is one; else h3
// itself, which knows when an event is over and waits for what is returned to it.
import type { IncomingMessage, ServerResponse } from 'node:http'
import * as h3 from 'h3'
import type { H3Event } from 'h3'
import type { Db } from '../../db/db.ts'
import type { WebPlugin } from '../plugin.ts'
import { scopeOf } from '../request/node.ts'
import type { RequestScope, Routed } from '../request/scope.ts'
import { keepWebScope, webScopeOf } from '../request/web.ts'

/** Not in every h3 2: Nitro 3.0 brings one without. */
const { onDispose } = h3 as Partial<typeof h3>

interface NodeContext {
  readonly req: IncomingMessage
  readonly res: ServerResponse
}

export function nodeOf(event: H3Event): NodeContext | null {
  const node = event.runtime?.node
  return node?.res === undefined ? null : (node as NodeContext)
}

/** The scope this event has for `db`, if a plug-in has opened one. */
export function scopeFor(event: H3Event, db: Db): RequestScope | undefined {
  const node = nodeOf(event)
  return node === null ? webScopeOf(event, db) : scopeOf(node.req, db)
}

/** A new one, or the one of another copy of the plug-in; null where requests have no connection. */
export function openScope(plugin: WebPlugin<H3Event>, event: H3Event, route: () => Routed): RequestScope | null {
  const node = nodeOf(event)
  if (node !== null) return plugin.scope(node.req, node.res, event, route)
  if (!plugin.options.connectionForRequest) return null
  const shared = webScopeOf(event, plugin.db)
  if (shared !== undefined) return shared
  const scope = plugin.makeScope(event, route)
  keepWebScope(event, event.req, scope)
  // Without it the connection goes back when nothing needs it, and only its handle is never told of the end.
  onDispose?.(event, (reason) => {
    scope.responseClosed(reason === undefined)
    return scope.drained ?? undefined
  })
  return scope
}
