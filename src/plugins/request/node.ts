// Scopes of requests of `node:http`, which Express, Fastify, Koa and others are built on: one for each database, however
// many copies of plug-ins a request comes through, ended when the response closes.
import { IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Db } from '../../db/db.ts'
import { type Session, watchSession } from '../../registry/serve.ts'
import type { RequestScope, Routed } from './scope.ts'

const key: unique symbol = Symbol('genever.scopes')

/** On the request itself: beside it, in a WeakMap, costs the garbage collector more. */
interface Carrier {
  [key]?: RequestScope[]
}

/** Whether any request has them on itself. */
let anyOnRequests = false

/** Of a request, or of a proxy or heir of one. */
export function scopesOf(request: IncomingMessage): RequestScope[] | undefined {
  const scopes = anyOnRequests ? (request as Carrier)[key] : undefined
  return scopes ?? (request.rawHeaders as Carrier | undefined)?.[key]
}

/**
 * Express changes the prototype of each request. In Node 20 and 22 such a request has hidden classes that no other shares, and each
 * property that it gets makes a further one. So the list of its headers carries them, which Node makes for each request.
 */
function keep(request: IncomingMessage, scope: RequestScope): void {
  const list: unknown = Object.getPrototypeOf(request) === IncomingMessage.prototype ? null : request.rawHeaders
  // Where Node is only imitated it may be another list whenever it is asked for. Whoever prints the list does not see them.
  if (Array.isArray(list) && request.rawHeaders === list) Object.defineProperty(list, key, { value: [scope] })
  else {
    anyOnRequests = true
    ;(request as Carrier)[key] = [scope]
  }
}

/** The scope this request has for `db`, if any plug-in has opened one. */
export function scopeOf(request: IncomingMessage, db: Db): RequestScope | undefined {
  return scopeFor(scopesOf(request), db)
}

function scopeFor(scopes: readonly RequestScope[] | undefined, db: Db): RequestScope | undefined {
  if (scopes === undefined) return undefined
  return scopes.length === 1 && scopes[0]?.db === db ? scopes[0] : scopes.find((scope) => scope.db === db)
}

interface OfHttp2 {
  readonly stream?: { readonly session?: Session | undefined }
}

/** The scope this request has for `db`, or the new one, kept for its request and ended by the response. */
export function openScope(
  request: IncomingMessage,
  response: ServerResponse,
  db: Db,
  make: () => RequestScope,
): RequestScope {
  const scopes = scopesOf(request)
  const shared = scopeFor(scopes, db)
  if (shared !== undefined) return shared
  const scope = make()
  if (scopes === undefined) keep(request, scope)
  else scopes.push(scope)
  // It runs outside of the request's context: it has the scope by its closure.
  whenClosed(response, () => scope.responseClosed(scope.signal === undefined || wasSent(response)))
  if (isUpgrade(request)) scope.loosen()
  const { stream } = response as OfHttp2
  if (stream?.session !== undefined) watchSession(stream.session)
  if (stream !== undefined) whenClosed(response, () => tellLeft(response))
  return scope
}

/**
 * A response of HTTP/2 that its client has left says what one of HTTP/1 says then. By itself it counts as finished, and a stream that is
 * piped into it later would wait for it without end.
 */
function tellLeft(response: ServerResponse): void {
  if (wasSent(response)) return
  for (const [name, value] of [
    ['closed', true],
    ['destroyed', true],
    ['writableFinished', false],
  ] as const)
    Object.defineProperty(response, name, { configurable: true, writable: true, value })
}

/** Calls `work` when the response is over, whether it was sent or its client has left: at once if it is over already. */
export function whenClosed(response: ServerResponse, work: () => void): void {
  if (isClosed(response)) work()
  else {
    response.once('close', work)
    if (isBehind(response)) closeWithSocket(response)
  }
}

interface Closable {
  readonly closed?: boolean
  readonly stream?: { readonly destroyed: boolean }
}

/** Whether it is over already, so that its `close` will not come again. Responses of HTTP/2 do not know `closed`. */
function isClosed(response: Closable): boolean {
  return response.closed ?? response.stream?.destroyed === true
}

/** Whether an earlier request of the same socket has no answer yet, so that this one has no socket. */
function isBehind(response: ServerResponse & { readonly stream?: unknown }): boolean {
  return response.stream === undefined && response.socket === null
}

/** By socket, the responses that wait behind another one. */
const behind = new WeakMap<Socket, Set<ServerResponse>>()

/**
 * Node closes only responses that have a socket: it forgets those that wait behind another one when their client leaves, and a stream that
 * is piped into one would wait for it without end. So they are closed here, as Node closes the others.
 */
function closeWithSocket(response: ServerResponse): void {
  const socket = response.req?.socket as Socket | undefined
  // Where Node is only imitated there may be none, or an object in its place.
  if (typeof socket?.once !== 'function') return
  if (socket.destroyed) {
    close(response)
    return
  }
  const waiting = behind.get(socket) ?? new Set()
  if (!behind.has(socket)) {
    behind.set(socket, waiting)
    socket.once('close', () => waiting.forEach(close))
  }
  if (waiting.has(response)) return
  waiting.add(response)
  response.once('close', () => waiting.delete(response))
}

function close(response: ServerResponse): void {
  if (isClosed(response) || !isBehind(response)) return
  Object.assign(response, { destroyed: true, _closed: true })
  response.emit('close')
}

/** Whether all of it was sent. A stream of HTTP/2 has finished when its client resets it too, whatever was written. */
function wasSent(response: ServerResponse & { readonly stream?: { readonly rstCode?: number } }): boolean {
  return response.writableFinished && response.writableEnded && (response.stream?.rstCode ?? 0) === 0
}

/**
 * Whether Node has handed it to the listeners of `upgrade`, who sent it through the framework: its response lives as long as
 * the web socket. This is what Node made of it, not the header, which is the client's word and dear to parse.
 */
export function isUpgrade(request: IncomingMessage & { readonly upgrade?: boolean | null }): boolean {
  return request.upgrade === true
}

/** Paths may hold keys, so they are not in messages. */
export function routeOf(request: IncomingMessage): Routed {
  return { method: request.method ?? '', route: undefined }
}
