// A server, or anything else with a beginning and an end, around databases: they are open before it starts, and closed when it
// has ended. For what has no hooks of its own.
import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import type { Db } from '../db/db.ts'
import { asExecutor, callOptions } from '../engine/handle.ts'
import { UsageError } from '../errors/index.ts'
import { clock } from '../util/clock.ts'
import { inRoot } from '../util/context.ts'
import { type Checks, describeType, milliseconds, needsFunction } from '../util/options.ts'
import { isThenable } from '../util/thrown.ts'

/**
 * A server that can be closed: `http.Server`, `https.Server`, `http2` servers, the result of `app.listen()` of a framework,
 * or your own object. When everything has ended, `close` calls its callback, or its promise resolves.
 */
export interface ClosableServer {
  close(callback?: (error?: Error) => void): unknown
  closeIdleConnections?(): void
  closeAllConnections?(): void
}

/** Options of `serve()`. */
export interface ServeOptions {
  /** The signals that end the server. Default: SIGTERM and SIGINT. With an empty list only its `close()` ends it. */
  readonly signals?: readonly NodeJS.Signals[] | undefined
  /** How long running requests may take after a signal, in milliseconds. Then their sockets are closed. Default 10_000. */
  readonly timeoutMs?: number | undefined
}

const checks: Checks<ServeOptions> = {
  signals: (value) =>
    Array.isArray(value) && value.every((each) => typeof each === 'string' && each.startsWith('SIG'))
      ? undefined
      : `must be a list of signals such as ['SIGTERM'], not ${describeType(value)}`,
  timeoutMs: milliseconds(0),
}

const idleCheckMs = 50

/** The parts of a session of HTTP/2 that end it. */
export interface Session {
  close(): void
  once(event: 'close', listener: () => void): unknown
  readonly socket?: Socket | undefined
}

/** Of each server, since Node tells of its sockets only when they come, and no longer closes those that were upgraded. */
const sockets = new WeakMap<object, Set<Socket>>()
/** Of each server of HTTP/2, whose idle sessions Node 20 and 22 leave open. */
const sessions = new WeakMap<object, Set<Session>>()

let watching = false

/** Notices the sockets of all servers of this process from now on. */
export function watchSockets(): void {
  if (watching) return
  watching = true
  subscribe('net.server.socket', (message) => {
    const { socket } = message as { readonly socket: Socket & { readonly server?: object } }
    if (socket.server !== undefined) keep(sockets, socket.server, socket)
  })
}

/** Notices a session of HTTP/2; often, for each of its requests. */
export function watchSession(session: Session): void {
  const { server } = Object(session.socket) as { readonly server?: object }
  if (server !== undefined) keep(sessions, server, session)
}

function keep<T extends Pick<Session, 'once'>>(all: WeakMap<object, Set<T>>, server: object, each: T): void {
  let kept = all.get(server)
  if (kept === undefined) all.set(server, (kept = new Set()))
  if (kept.has(each)) return
  kept.add(each)
  each.once('close', () => kept.delete(each))
}

/** Closes what serves no request; a session of HTTP/2 closes behind those that run on it, and takes no further ones. */
function closeIdle(server: ClosableServer): void {
  server.closeIdleConnections?.()
  for (const session of sessions.get(server) ?? []) session.close()
}

/**
 * Closes sockets on which nothing has ever come, as browsers and clients open them in advance: Node counts them as requests. Those of
 * `silent`, which this fills, were so at the last call too: a request may be behind its socket by an instant.
 */
function closeSilent(server: ClosableServer, silent: Set<Socket>): void {
  for (const socket of sockets.get(server) ?? [])
    if (socket.bytesRead > 0) silent.delete(socket)
    else if (silent.has(socket)) socket.destroy()
    else silent.add(socket)
}

/** Closes what is left at a deadline: running requests, web sockets, sessions of HTTP/2. */
function closeAll(server: ClosableServer): void {
  server.closeAllConnections?.()
  for (const socket of sockets.get(server) ?? []) socket.destroy()
}

/**
 * Opens the databases, calls `start`, and returns the server that `start` returns. The databases are closed when the server
 * has closed, whoever closes it. A signal closes the server. It then takes no new connections and answers running requests.
 * After that the databases are closed, and the process can exit by itself. A second signal ends the process at once.
 *
 * A registry counts this as one `open()`.
 * @throws {ConnectError} when a database cannot be opened. Those that were opened are closed again, and `start` is not
 *   called.
 * @throws {UsageError} when `start` returns nothing that can be closed. As after every error of `start`, the databases are
 *   closed.
 */
export async function serve<S extends ClosableServer>(
  db: Db | readonly Db[],
  start: () => S | Promise<S>,
  options?: ServeOptions,
): Promise<S> {
  const { signals = ['SIGTERM', 'SIGINT'], timeoutMs = 10_000 } = callOptions<ServeOptions>(options, checks, 'serve()')
  const databases = databasesOf(db, 'serve()', 'first')
  for (const each of databases) each.claim()
  watchSockets()
  needsFunction(start, 'serve()', 'a function that starts the server and returns it')
  await openAll(databases)
  let server: S
  try {
    server = await start()
    if (typeof (server as Partial<S> | null | undefined)?.close !== 'function')
      throw new UsageError(
        `The function given to serve() returns the server that it started, not ${describeType(server)}.`,
      )
  } catch (error) {
    await closeDatabases(databases)
    throw error
  }
  let closed: Promise<void> | null = null
  const end = (): Promise<void> => {
    for (const signal of signals) process.removeListener(signal, onSignal)
    return (closed ??= inRoot(() => closeDatabases(databases)))
  }
  const onSignal = (): void => {
    for (const signal of signals) process.removeListener(signal, onSignal)
    void drain(server, timeoutMs).then(end)
  }
  whenClosed(server, end)
  onSessions(server)
  for (const signal of signals) process.on(signal, onSignal)
  return server
}

/**
 * The databases among the arguments of `method`.
 * @throws {UsageError} for what cannot be opened and closed: a connection, an engine, anything else.
 */
export function databasesOf(given: Db | readonly Db[], method: string, where: 'first' | 'second'): readonly Db[] {
  const databases = Array.isArray(given) ? (given as readonly Db[]) : [given as Db]
  for (const db of databases) {
    const { open, close } = Object(asExecutor(db)) as Partial<Db>
    if (typeof open !== 'function' || typeof close !== 'function')
      throw new UsageError(`${method} takes a db, or a list of them, ${where}, not ${describeType(db)}.`)
  }
  return databases
}

async function openAll(databases: readonly Db[]): Promise<void> {
  const results = await Promise.allSettled(databases.map((db) => db.open()))
  const failed = results.find((result) => result.status === 'rejected')
  if (failed === undefined) return
  await closeDatabases(databases.filter((_, index) => results[index]?.status === 'fulfilled'))
  throw failed.reason
}

async function closeDatabases(databases: readonly Db[]): Promise<void> {
  await Promise.all(databases.map((db) => db.close()))
}

/** Calls `end` when the server has closed, whoever has closed it. */
function whenClosed(server: ClosableServer, end: () => unknown): void {
  const { once } = server as { readonly once?: unknown }
  if (typeof once === 'function') {
    once.call(server, 'close', end)
    return
  }
  const close = server.close.bind(server)
  server.close = (callback) => {
    const result = close((error) => {
      end()
      callback?.(error)
    })
    if (isThenable(result)) void Promise.resolve(result).then(end, end)
    return result
  }
}

/** Notices the sessions of a server of HTTP/2. */
function onSessions(server: ClosableServer & { readonly on?: unknown }): void {
  if (typeof server.on === 'function') server.on.call(server, 'session', (session: Session) => watchSession(session))
}

/**
 * For a server that is being closed, and waits for running requests without a deadline. Closes sockets as they become idle, and the
 * others after `timeoutMs`, until the returned function is called.
 */
export function drainWithin(server: ClosableServer, timeoutMs: number, late: () => void): () => void {
  // A connection that is kept alive becomes idle only when its response is over.
  const silent = new Set<Socket>()
  const idle = clock.setInterval(() => {
    closeIdle(server)
    closeSilent(server, silent)
  }, idleCheckMs)
  const deadline = clock.setTimeout(() => {
    late()
    closeAll(server)
  }, timeoutMs)
  return () => {
    clock.clearInterval(idle)
    clock.clearTimeout(deadline)
  }
}

/** Refuses new connections and waits for running requests; false: they were broken at the deadline. */
export function drain(server: ClosableServer, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const stop = drainWithin(server, timeoutMs, () => end(false))
    const end = (drained: boolean): void => {
      stop()
      resolve(drained)
    }
    const result = server.close(() => end(true))
    if (isThenable(result))
      void Promise.resolve(result).then(
        () => end(true),
        () => end(true),
      )
    closeIdle(server)
  })
}
