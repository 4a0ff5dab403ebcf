/** `genever/fastify`: the suite, over Fastify 5. */

import { Readable } from 'node:stream'
import Fastify from 'fastify'
import { genever, health } from 'genever/fastify'
import 'genever/fastify/types'
import { type Adapter, type App, readiness, running, type RunningApp } from './adapter.ts'
import { requestSuite } from './request-suite.ts'

const adapter: Adapter = {
  name: 'fastify',
  settles: false,
  async start(app: App): Promise<RunningApp> {
    const fastify = Fastify({ forceCloseConnections: true })
    for (const { db, options } of [app, ...(app.more ?? [])]) await fastify.register(genever, { ...options, db })
    fastify.get('/ready', health(app.db, readiness(app)))
    for (const { method, path, work, transaction } of app.routes)
      fastify.route({
        method,
        url: path,
        config: { [app.options?.as ?? 'db']: { transaction } },
        async handler(request, reply) {
          const connection = (name = 'db'): any => (request as any)[name]
          const { searchParams } = new URL(request.url, 'http://localhost')
          const answer = await work({ connection, query: searchParams })
          void reply.code(answer.status ?? 200)
          if (answer.after !== undefined) reply.raw.once('finish', answer.after)
          if (answer.stream !== undefined) return Readable.from(answer.stream)
          void reply.type('application/json')
          return JSON.stringify(answer.body)
        },
      })
    await fastify.listen({ port: 0, host: '127.0.0.1' })
    return {
      ...running(fastify.server),
      async [Symbol.asyncDispose]() {
        await fastify.close()
      },
    }
  },
}

requestSuite(adapter)
