/** Code of the application around a request in a transaction that has statements of its own: error handlers, hooks, other middlewares. */

import { once } from 'node:events'
import { createServer, IncomingMessage, type Server, ServerResponse } from 'node:http'
import express, { type ErrorRequestHandler, type RequestHandler, Router } from 'express'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Db } from 'genever'
import * as onExpress from 'genever/express'
import * as onFastify from 'genever/fastify'
import * as onHono from 'genever/hono'
import * as onHttp from 'genever/http'
import { Hono } from 'hono'
import { beforeEach, describe, expect, test } from 'vitest'
import { gate } from '../support/gate.ts'
import { quiet } from '../support/matrix.ts'
import { running, type RunningApp } from './adapter.ts'
import { ask, head, send } from './client.ts'
import { notesTable } from './notes.ts'

const notes = notesTable(
  'create table notes (text text); create table uniques (n int unique deferrable initially deferred)',
)
let db: Db
beforeEach(async () => {
  db = await notes.open(2)
})

const note = (words: string, on: Db = db): Promise<unknown> => on.status('insert into notes values ($1)', [words])
/** Fails at the COMMIT. */
const same = (): Promise<unknown> => db.status('insert into uniques values (1), (1)')
const boom = async (): Promise<never> => {
  await note('undone')
  throw new RangeError('boom')
}

async function listen(server: Server): Promise<RunningApp> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return running(server)
}

describe('the statements of an error handler are kept', () => {
  const told = (error: unknown, where: string): Promise<unknown> => note(`${where}: ${(error as Error).name}`)

  test('in Express, where the handler threw, passed the error on, or its COMMIT failed', async () => {
    const web = onExpress.genever(db, { log: false })
    const app = express().use(web)
    app.get(
      '/throw',
      web.transactional(() => boom()),
    )
    app.get(
      '/next',
      web.transactional(async (_request, _response, next) => {
        try {
          await boom()
        } catch (error) {
          next(error)
        }
      }),
    )
    app.get(
      '/commit',
      web.transactional(async (_request, response) => {
        await same()
        response.end('done')
      }),
    )
    const everything = Router().use(web.transaction())
    everything.get('/', async (_request, response) => {
      await same()
      response.end('done')
    })
    app.use('/middleware', everything)
    const handler: ErrorRequestHandler = async (error, request, response, _next) => {
      await told(error, request.originalUrl)
      response.status(500).end()
    }
    app.use(handler)
    await using served = await listen(createServer(app))

    for (const path of ['/throw', '/next', '/commit', '/middleware'])
      expect((await ask(served.port, `GET ${path}`)).status, path).toBe(500)
    expect(await notes.kept()).toEqual([
      '/commit: UniqueViolationError',
      '/middleware: UniqueViolationError',
      '/next: RangeError',
      '/throw: RangeError',
    ])
  })

  test('in Fastify, where the handler threw, sent the error, its COMMIT failed, or that of an answer by hand', async () => {
    await using served = await fastify((app) => {
      app.setErrorHandler(async (error, request, reply) => {
        await told(error, request.url)
        return reply.code(500).send('failed')
      })
      app.get('/throw', inTransaction, () => boom())
      app.get('/send', inTransaction, (_request, reply) => void boom().catch((error: unknown) => reply.send(error)))
      app.get('/commit', inTransaction, async () => {
        await same()
        return 'done'
      })
      app.get('/commit-sent', inTransaction, (_request, reply) => void same().then(() => reply.send('done')))
      app.get('/hand', inTransaction, async (_request, reply) => {
        await same()
        reply.raw.end('done')
        return reply
      })
    })

    for (const path of ['/throw', '/send', '/commit', '/commit-sent', '/hand'])
      expect((await ask(served.port, `GET ${path}`)).status, path).toBe(500)
    expect(await notes.kept()).toEqual([
      '/commit-sent: UniqueViolationError',
      '/commit: UniqueViolationError',
      '/hand: UniqueViolationError',
      '/send: RangeError',
      '/throw: RangeError',
    ])
  })

  test('in node:http, where the COMMIT failed', async () => {
    const web = onHttp.genever(db, { log: false })
    await web.open()
    const onError: onHttp.HttpErrorHandler = (error, _request, response) => {
      void told(error, 'onError').then(() => response.writeHead(500).end())
      return true
    }
    const handler = web.handler(
      async (_request, response) => {
        await same()
        response.end('done')
      },
      { transaction: true, onError },
    )
    await using served = await listen(createServer(handler))

    expect((await ask(served.port, 'GET /')).status).toBe(500)
    expect(await notes.kept()).toEqual(['onError: UniqueViolationError'])
  })
})

describe('the statements of a middleware that sees the answer', () => {
  test('are kept behind the COMMIT, where it stands before the plug-in, as sessions do', async () => {
    const saves: RequestHandler = (request, response, next) => {
      const end = response.end.bind(response) as (body?: unknown) => unknown
      response.end = ((body?: unknown) => {
        void note(`saved ${request.url}`).then(() => end(body))
        return response
      }) as typeof response.end
      next()
    }
    const web = onExpress.genever(db, { log: false })
    await web.open()
    const app = express().use(saves, web)
    app.get('/middleware', web.transaction(), async (_request, response) => {
      await note('middleware')
      response.send('done')
    })
    app.get(
      '/handler',
      web.transactional(async (_request, response) => {
        await note('handler')
        response.send('done')
      }),
    )
    await using served = await listen(createServer(app))

    for (const path of ['/middleware', '/handler'])
      expect(await ask(served.port, `GET ${path}`)).toEqual({ status: 200, body: 'done' })
    expect(await notes.kept()).toEqual(['handler', 'middleware', 'saved /handler', 'saved /middleware'])
  })

  test('are in the transaction in Fastify, where they are hooks', async () => {
    await using served = await fastify((app) => {
      app.addHook('preSerialization', async (_request, _reply, payload) => {
        await note('preSerialization')
        return payload
      })
      app.addHook('onSend', async (_request, reply, payload) => {
        await note(`onSend ${reply.statusCode}`)
        return payload
      })
      app.get('/value', inTransaction, async () => ({ done: true }))
      app.get('/nothing', inTransaction, async () => {})
      app.get('/refused', inTransaction, (_request, reply) => void reply.code(409).send({ done: false }))
    })

    const statuses: number[] = []
    for (const path of ['/value', '/nothing', '/refused']) statuses.push((await ask(served.port, `GET ${path}`)).status)
    expect(statuses).toEqual([200, 200, 409])
    expect(await notes.kept()).toEqual(['onSend 200', 'onSend 200', 'preSerialization'])
  })
})

describe('in Fastify', () => {
  test.each(['default', 'own'])(
    'a COMMIT that fails leaves nothing of its answer: %s error handler',
    async (handler) => {
      await using served = await fastify((app) => {
        if (handler === 'own') app.setErrorHandler((error, _request, reply) => reply.send(error))
        app.addHook(
          'onRequest',
          async (_request, reply) => void reply.header('x-before', 'yes').header('x-both', 'before'),
        )
        app.addHook('onSend', async (_request, reply, payload) => {
          if (reply.statusCode === 201) void reply.header('content-encoding', 'of the answer')
          return payload
        })
        app.post('/', inTransaction, async (_request, reply) => {
          await same()
          return reply.code(201).header('x-answer', 'yes').header('x-both', 'answer').send({ done: true })
        })
      })
      const answer = await head(send(served.port, 'POST /'))
      answer.resume()

      const { headers } = answer
      expect([answer.statusCode, headers['content-encoding'], headers['x-answer']]).toEqual([500, undefined, undefined])
      expect([headers['x-before'], headers['x-both']]).toEqual(['yes', 'before'])
    },
  )

  test('a route that was declared before the plug-in, and asks for a transaction, is refused', async () => {
    const [app, lines] = [Fastify({ forceCloseConnections: true }), [] as string[]]
    const log = { info: () => {}, warn: (line: string) => void lines.push(line), error: () => {} }
    const work = async (): Promise<string> => {
      await note('work')
      return 'done'
    }
    // Not awaited: what follows is declared before it has run.
    void app.register(onFastify.genever, { db, log, transaction: true })
    app.get('/early', inTransaction, work)
    app.get('/plain', { config: { db: { transaction: false } } }, work)
    void app.register(async (inner) => void inner.get('/late', inTransaction, work))
    await app.listen({ port: 0, host: '127.0.0.1' })
    const served = running(app.server)

    const statuses: number[] = []
    for (const path of ['/early', '/plain', '/late']) statuses.push((await ask(served.port, `GET ${path}`)).status)
    expect(statuses).toEqual([500, 200, 200])
    expect(await notes.kept()).toEqual(['work', 'work'])
    expect(lines).toEqual([expect.stringContaining('declared before the plug-in')])
    await app.close()
  })
})

test('in Hono a COMMIT that fails leaves nothing of its answer', async () => {
  const web = onHono.genever(db, { log: false })
  const app = new Hono().use(web, web.transaction())
  app.onError((_error, c) => c.text('failed', 500))
  app.post('/', async (c) => {
    await same()
    return c.text('done', 201, { 'x-answer': 'yes', 'content-encoding': 'of the answer' })
  })
  const { status, headers } = await app.request('/', { method: 'POST' })

  expect([status, headers.get('x-answer'), headers.get('content-encoding')]).toEqual([500, null, null])
})

test('a request of a runtime that imitates Node, which has an object for a socket, is served', async () => {
  const web = onHttp.genever(db, { log: false })
  await web.open()
  const request = new IncomingMessage({ readable: true } as never)
  const done = gate()
  const handler = web.handler(async () => {
    await note('served')
    done.open()
  })
  handler(request, new ServerResponse(request))
  await done.promise

  expect(await notes.kept()).toEqual(['served'])
})

test('a client that leaves a handler of Fastify that never answers has all of its transactions rolled back', async () => {
  const other = await notes.open(2)
  const begun = gate()
  await using served = await fastify(
    (app) => {
      app.get('/', { config: { db: { transaction: true }, other: { transaction: true } } }, (_request) => {
        void Promise.all([note('one'), note('two', other)]).then(() => begun.open())
      })
    },
    async (app) => {
      await app.register(onFastify.genever, { db: other, as: 'other', log: false })
    },
  )
  const sent = send(served.port, 'GET /')
  await begun.promise
  sent.destroy()

  await quiet(other)
  expect(await notes.kept()).toEqual([])
})

const inTransaction = { config: { db: { transaction: true } } }

async function fastify(
  declare: (app: FastifyInstance) => void,
  more: (app: FastifyInstance) => Promise<void> = async () => {},
): Promise<RunningApp> {
  const app = Fastify({ forceCloseConnections: true })
  await app.register(onFastify.genever, { db, log: false })
  await more(app)
  declare(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { ...running(app.server), [Symbol.asyncDispose]: () => app.close() }
}
