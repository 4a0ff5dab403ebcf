/** `genever/express`: the suite, over Express 5. */

import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import express, { type Request, type RequestHandler, type Response } from 'express'
import { genever, health, notFound } from 'genever/express'
import { type Adapter, type Answer, type App, type Call, readiness, running, type RunningApp } from './adapter.ts'
import { requestSuite } from './request-suite.ts'

const adapter: Adapter = {
  name: 'express',
  settles: false,
  async start(app: App): Promise<RunningApp> {
    const server = express()
    server.set('env', 'test')
    const [main, ...more] = [app, ...(app.more ?? [])].map(({ db, options }) => genever(db, options))
    for (const plugin of [main!, ...more]) {
      await plugin.open(server)
      server.use(plugin)
    }
    server.get('/ready', health(app.db, readiness(app)))
    for (const { method, path, work, transaction } of app.routes) {
      const handler: RequestHandler = async (request, response) => write(response, await work(callOf(request)))
      server[method === 'GET' ? 'get' : 'post'](path, transaction === true ? main!.transactional(handler) : handler)
    }
    server.use(notFound)
    const listening = server.listen(0, '127.0.0.1')
    await once(listening, 'listening')
    return running(listening)
  },
}

function callOf(request: Request): Call {
  return {
    connection: (name = 'db') => (request as any)[name],
    query: new URL(request.originalUrl, 'http://localhost').searchParams,
  }
}

async function write(response: Response, answer: Answer): Promise<void> {
  response.status(answer.status ?? 200)
  if (answer.stream === undefined) response.json(answer.body)
  else
    await pipeline(Readable.from(answer.stream), response).catch((error: unknown) => {
      if (!response.destroyed) throw error
    })
  void answer.after?.()
}

requestSuite(adapter)
