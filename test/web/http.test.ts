/** `genever/http`: the suite, over handlers of node:http. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { genever, health } from 'genever/http'
import { type Adapter, type Answer, type App, type Call, listening, readiness, type RunningApp } from './adapter.ts'
import { requestSuite } from './request-suite.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown

const adapter: Adapter = {
  name: 'http',
  routes: false,
  settles: true,
  async start(app: App): Promise<RunningApp> {
    const plugins = [...(app.more ?? []), app].map(({ db, options }) => genever(db, options))
    for (const plugin of plugins) await plugin.open()
    const [main] = plugins.slice(-1)
    const routes = new Map<string, Handler>([['GET /ready', health(app.db, readiness(app))]])
    for (const { method, path, work, transaction } of app.routes) {
      const innermost: Handler = async (request, response) => write(response, await work(callOf(request)))
      const whole = main?.handler(innermost, transaction === undefined ? undefined : { transaction }) as Handler
      // Further databases: each wraps the next.
      const handler = plugins.slice(0, -1).reduce<Handler>((inner, plugin) => plugin.handler(inner), whole)
      routes.set(`${method} ${path}`, handler)
    }
    const server = createServer((request, response) => {
      const handler = routes.get(`${request.method} ${request.url?.split('?')[0]}`)
      if (handler === undefined) response.writeHead(404).end()
      else handler(request, response)
    })
    return listening(server)
  },
}

function callOf(request: IncomingMessage): Call {
  return {
    connection: (name = 'db') => (request as any)[name],
    query: new URL(request.url ?? '', 'http://localhost').searchParams,
  }
}

async function write(response: ServerResponse, answer: Answer): Promise<void> {
  response.statusCode = answer.status ?? 200
  if (answer.stream === undefined) {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(answer.body))
  } else {
    await pipeline(Readable.from(answer.stream), response).catch((error: unknown) => {
      if (!response.destroyed) throw error
    })
  }
  void answer.after?.()
}

requestSuite(adapter)
