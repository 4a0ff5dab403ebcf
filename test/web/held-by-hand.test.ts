/** Answers that a handler writes on the response of `node:http` itself, past its framework, in the transaction of its request. */

import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import Fastify from 'fastify'
import type { Db } from 'genever'
import { genever as fastifyPlugin } from 'genever/fastify'
import { errorHandler as h3Errors, genever as h3Plugin } from 'genever/h3'
import { genever as honoPlugin } from 'genever/hono'
import { errorHandler as koaErrors, genever as koaPlugin } from 'genever/koa'
import { H3, toNodeHandler } from 'h3'
import { Hono } from 'hono'
import Koa from 'koa'
import { beforeEach, expect, test } from 'vitest'
import { gate, type Gate } from '../support/gate.ts'
import { quiet } from '../support/matrix.ts'
import { listening, running, type RunningApp } from './adapter.ts'
import { ask } from './client.ts'
import { notesTable } from './notes.ts'

const notes = notesTable('create table notes (text text unique deferrable initially deferred)')
let db: Db
let settled: Gate
beforeEach(async () => {
  db = await notes.open(4)
  settled = gate()
})

/** Two of one text are refused by the COMMIT. */
const note = async (...texts: string[]): Promise<void> => {
  for (const text of texts) await db.status('insert into notes values ($1)', [text])
}

const serve = (listener: RequestListener): Promise<RunningApp> => listening(createServer(listener))

type Write = (url: string, response: ServerResponse) => Promise<void>
interface ByHand {
  readonly start: (write: Write) => Promise<RunningApp>
  /** The status when an error handler of Genever sees what failed. */
  readonly failing: number
}

const frameworks: Record<string, ByHand> = {
  koa: {
    failing: 409,
    start(write) {
      const app = new Koa()
      app.silent = true
      app.use(koaErrors()).use(koaPlugin(db, { log: false, transaction: true }))
      app.use((ctx) => write(ctx.url, ctx.res))
      const handle = app.callback()
      return serve((request, response) => void handle(request, response))
    },
  },
  'koa, as respond = false says': {
    failing: 409,
    start(write) {
      const app = new Koa()
      app.silent = true
      app.use(koaErrors()).use(koaPlugin(db, { log: false, transaction: true }))
      app.use((ctx) => {
        ctx.respond = false
        return write(ctx.url, ctx.res)
      })
      const handle = app.callback()
      return serve((request, response) => void handle(request, response))
    },
  },
  'koa, when the handler has settled': {
    failing: 500,
    start(write) {
      const app = new Koa()
      app.silent = true
      app.use(async (_ctx, next) => {
        await next()
        settled.open()
      })
      app.use(koaPlugin(db, { log: false, transaction: true }))
      app.use((ctx) => {
        ctx.respond = false
        void settled.promise.then(() => write(ctx.url, ctx.res))
      })
      const handle = app.callback()
      return serve((request, response) => void handle(request, response))
    },
  },
  fastify: { failing: 500, start: (write) => startFastify(write, false, false) },
  'fastify, hijacked': { failing: 500, start: (write) => startFastify(write, true, false) },
  'fastify, when the handler has returned': { failing: 500, start: (write) => startFastify(write, false, true) },
  hono: {
    failing: 500,
    async start(write) {
      const app = new Hono<{ Bindings: { outgoing: ServerResponse } }>()
      app.use(honoPlugin(db, { log: false, transaction: true }))
      app.onError((_error, c) => c.text('failed', 500))
      app.get('*', async (c) => {
        await write(c.req.path, c.env.outgoing)
        return RESPONSE_ALREADY_SENT
      })
      const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false })
      return listening(server as ReturnType<typeof createServer>)
    },
  },
  h3: {
    failing: 409,
    start(write) {
      const app = new H3({ onError: h3Errors() })
      app.use(h3Plugin(db, { log: false, transaction: true }))
      app.get('/**', async (event) => {
        await write(event.url.pathname, event.runtime?.node?.res as ServerResponse)
        return Symbol.for('h3.handled')
      })
      const handle = toNodeHandler(app)
      return serve((request, response) => void handle(request, response))
    },
  },
}

async function startFastify(write: Write, hijacks: boolean, later: boolean): Promise<RunningApp> {
  const app = Fastify({ forceCloseConnections: true })
  await app.register(fastifyPlugin, { db, log: false, transaction: true })
  const answer = (url: string, reply: { hijack(): unknown; readonly raw: ServerResponse }): Promise<void> => {
    if (hijacks) void reply.hijack()
    return write(url, reply.raw)
  }
  if (later) app.get('/*', (request, reply) => void answer(request.url, reply))
  else app.get('/*', (request, reply) => answer(request.url, reply))
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { ...running(app.server), [Symbol.asyncDispose]: () => app.close() }
}

const cases = Object.entries(frameworks)

test.each(cases)('are sent when it has been committed: %s', async (_, { start }) => {
  await using app = await start(async (_url, response) => {
    await note('good')
    response.setHeader('x-noted', 'yes')
    response.statusCode = 200
    response.write('o')
    response.end('k')
  })

  expect(await ask(app.port, 'GET /good')).toEqual({ status: 200, body: 'ok' })
  expect(await notes.query('select text from notes')).toEqual([{ text: 'good' }])
  await quiet(db)
})

test.each(cases)(
  'are the error of a COMMIT that fails, and nothing of them is sent: %s',
  async (_, { start, failing }) => {
    await using app = await start(async (_url, response) => {
      await note('bad', 'bad')
      response.statusCode = 200
      response.write('o')
      response.end('k')
    })

    const { status, body } = await ask(app.port, 'GET /bad')
    expect([status, body]).toEqual([failing, expect.not.stringMatching(/^ok?/)])
    expect(await notes.query('select text from notes')).toEqual([])
    await quiet(db)
  },
)

test.each(cases)('with the status of an error roll back: %s', async (_, { start }) => {
  await using app = await start(async (_url, response) => {
    await note('refused')
    response.writeHead(422).end('no')
  })

  expect(await ask(app.port, 'GET /refused')).toEqual({ status: 422, body: 'no' })
  expect(await notes.query('select text from notes')).toEqual([])
  await quiet(db)
})
