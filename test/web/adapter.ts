/** What a web framework has to do for the suites: routes of one shape, translated to its own way of writing handlers. */

import { once } from 'node:events'
import type { Server } from 'node:http'
import type { Connection, Db } from 'genever'
import type { PluginOptions } from 'genever/http'

/** What a handler of the suites is given. */
export interface Call {
  /** The connection as the framework's handlers see it: `req.db`, `ctx.db`, … or by another name. */
  connection(name?: string): Connection
  readonly query: URLSearchParams
}

/** What it answers; the adapter sends it as its framework's users would. */
export interface Answer {
  /** Default 200. */
  readonly status?: number
  /** Sent as JSON. */
  readonly body?: unknown
  /** In place of `body`: sent piece by piece, and closed when the client leaves. */
  readonly stream?: AsyncIterable<string>
  /** Called when the answer was handed to the framework; nobody awaits it. */
  readonly after?: () => unknown
}

export interface Route {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** In a transaction, by the framework's own means. */
  readonly transaction?: boolean
  /** A promise that never settles is a handler that never answers. */
  readonly work: (call: Call) => Promise<Answer>
}

export interface App {
  readonly db: Db
  readonly options?: PluginOptions<any>
  /** Further plug-ins on the same application, in front of the routes. */
  readonly more?: readonly { readonly db: Db; readonly options?: PluginOptions<any> }[]
  readonly routes: readonly Route[]
  /** The time of the readiness handler; default 50 s, which no answer takes. */
  readonly readyMs?: number
}

/** Of the readiness handler. */
export const readiness = ({ readyMs = 50_000 }: App): { readonly timeoutMs: number } => ({ timeoutMs: readyMs })

export interface RunningApp extends AsyncDisposable {
  readonly port: number
  /** What listens; absent where there is no `node:http` server. */
  readonly server?: Server
}

export interface Adapter {
  readonly name: string
  /**
   * Starts the application on a free port of 127.0.0.1, with the readiness handler at `/ready`. Disposing of it closes
   * the server; databases are closed by the suite.
   */
  start(app: App): Promise<RunningApp>
  /** Whether a transaction for every request can be asked for by option. Default true. */
  readonly general?: boolean
  /** Whether the framework says which route it has found. Default true. */
  readonly routes?: boolean
  /** Whether the plug-in is told when a handler has settled, and so ends the connection's handle. */
  readonly settles: boolean
}

/** An app under test: a server that is to listen, on a free port. */
export async function listening(server: Server): Promise<RunningApp> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return running(server)
}

/** A server that listens, as an app under test. */
export function running(server: Server): RunningApp {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on a port')
  // A client that stands still for a while finds its connection as it left it.
  server.keepAliveTimeout = 120_000
  return {
    port: address.port,
    server,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
