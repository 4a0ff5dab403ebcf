/** Transactions of routes in the many ways in which handlers of Express and Fastify may answer. */

import { Agent, createServer, ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import express, { type ErrorRequestHandler, type Express } from 'express'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Db } from 'genever'
import { genever as expressPlugin } from 'genever/express'
import { genever as fastifyPlugin } from 'genever/fastify'
import 'genever/fastify/types'
import { genever as httpPlugin } from 'genever/http'
import { beforeEach, describe, expect, test } from 'vitest'
import { currentChain } from '../../src/engine/context/chain.ts'
import { gate } from '../support/gate.ts'
import { doing } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { listening, running, type RunningApp } from './adapter.ts'
import { ask, head, send } from './client.ts'
import { notesTable } from './notes.ts'

const notes = notesTable()
let db: Db
beforeEach(async () => {
  db = await notes.open(4)
})

const note = (text: string): Promise<unknown> => db.status('insert into notes values ($1)', [text])
const forgiving: ErrorRequestHandler = (_error, _request, response, _next) => {
  response.status(200).send('never mind')
}

const serve = (app: Express): Promise<RunningApp> => listening(createServer(app))

function connections({ server }: RunningApp): Promise<number> {
  return new Promise((resolve, reject) =>
    server?.getConnections((error, open) => (error === null ? resolve(open) : reject(error))),
  )
}

describe('express', () => {
  test('transaction() goes by the status of the answer; transactional() also rolls back an error that is forgiven', async () => {
    const web = expressPlugin(db, { log: false })
    const app = express().use(web)
    app.post('/by-status', web.transaction(), async (request, response) => {
      await note(request.query['status'] as string)
      response.status(Number(request.query['status'])).end()
    })
    app.post(
      '/wrapped',
      web.transactional(async () => {
        await note('wrapped')
        throw new RangeError('boom')
      }),
    )
    app.post(
      '/passed-on',
      web.transactional(async (_request, _response, next) => {
        await note('passed on')
        next(new RangeError('boom'))
      }),
    )
    app.use(forgiving)
    await using served = await serve(app)
    const statuses: number[] = []
    for (const route of ['by-status?status=204', 'by-status?status=422', 'wrapped', 'passed-on'])
      statuses.push((await ask(served.port, `POST /${route}`)).status)

    expect(statuses).toEqual([204, 422, 200, 200])
    expect(await notes.kept()).toEqual(['204'])
  })

  test('next() hands over to the handlers behind, inside of the transaction', async () => {
    const web = expressPlugin(db, { log: false })
    const app = express().use(web)
    const first = web.transactional(async (_request, _response, next) => {
      await note('first')
      next()
    })
    app.post('/', first, async (_request, response) => {
      await note('second')
      response.status(409).json({})
    })
    await using served = await serve(app)

    expect((await ask(served.port, 'POST /')).status).toBe(409)
    expect(await notes.kept()).toEqual([])
  })

  test('headers of an answer that could not be committed are not those of the error', async () => {
    await db.status(`create table uniques (n int unique deferrable initially deferred)`)
    const web = expressPlugin(db, { log: false })
    const app = express()
    app.use((_request, response, next) => {
      response.setHeader('x-before', 'kept')
      next()
    }, web)
    const insert = web.transactional(async (_request, response) => {
      await db.status('insert into uniques values (1), (1)')
      response.setHeader('x-inside', 'dropped')
      response.cookie('session', 'dropped').status(201).json({ done: true })
    })
    app.post('/', insert)
    app.use(((error: unknown, _request, response, _next) => {
      response.status(503).json({ name: (error as Error).name })
    }) as ErrorRequestHandler)
    await using served = await serve(app)
    const response = await head(send(served.port, 'POST /'))
    let body = ''
    for await (const piece of response) body += String(piece)

    expect([response.statusCode, body]).toEqual([503, '{"name":"UniqueViolationError"}'])
    expect(Object.keys(response.headers)).toContain('x-before')
    expect(Object.keys(response.headers)).not.toContain('x-inside')
    expect(Object.keys(response.headers)).not.toContain('set-cookie')
  })
})

describe('fastify', () => {
  const inTransaction = { config: { db: { transaction: true } } }

  async function start(declare: (app: FastifyInstance) => void, options = {}): Promise<RunningApp> {
    const app = Fastify({ forceCloseConnections: true })
    await app.register(fastifyPlugin, { db, log: false, ...options })
    declare(app)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return { ...running(app.server), [Symbol.asyncDispose]: () => app.close() }
  }

  test('commits however the handler answers: a value, reply.send, a callback, nothing, by hand', async () => {
    await using served = await start((app) => {
      app.get('/value', inTransaction, async () => {
        await note('value')
        return 'ok'
      })
      app.get('/sent', inTransaction, async (_request, reply) => {
        await note('sent')
        void reply.send('ok')
      })
      app.get('/returned', inTransaction, async (_request, reply) => {
        await note('returned')
        return reply.send('ok')
      })
      app.get('/callback', inTransaction, (_request, reply) => {
        void note('callback').then(() => reply.send('ok'))
      })
      app.get('/nothing', inTransaction, async (_request, reply) => {
        await note('nothing')
        void reply.code(204)
      })
      app.get('/by-hand', inTransaction, async (_request, reply) => {
        await note('by hand')
        void reply.hijack()
        reply.raw.end('ok')
      })
    })
    const routes = ['value', 'sent', 'returned', 'callback', 'nothing', 'by-hand']
    for (const route of routes) {
      const { status, body } = await ask(served.port, `GET /${route}`)
      expect([status, body], route).toEqual(route === 'nothing' ? [204, ''] : [200, 'ok'])
    }

    expect(await notes.kept()).toEqual(['by hand', 'callback', 'nothing', 'returned', 'sent', 'value'])
  })

  test('rolls back an error that is forgiven, a status of an error, and an answer that cannot be serialised', async () => {
    await using served = await start((app) => {
      app.setErrorHandler((_error, _request, reply) => reply.code(200).send('never mind'))
      app.get('/throw', inTransaction, async () => {
        await note('throw')
        throw new RangeError('boom')
      })
      app.get('/callback', inTransaction, (_request, reply) => {
        void note('callback').then(() => reply.send(new RangeError('boom')))
      })
      app.get('/status', inTransaction, async (_request, reply) => {
        await note('status')
        return reply.code(409).send('conflict')
      })
      app.get('/loop', inTransaction, async () => {
        await note('loop')
        const loop: Record<string, unknown> = {}
        loop['self'] = loop
        return loop
      })
    })
    const statuses: number[] = []
    for (const route of ['throw', 'callback', 'status', 'loop'])
      statuses.push((await ask(served.port, `GET /${route}`)).status)

    expect(statuses).toEqual([200, 200, 409, 200])
    expect(await notes.kept()).toEqual([])
  })

  test('a route may leave the transaction that is for all, HEAD is one transaction, and several databases have one each', async () => {
    const other = await notes.open(2)
    const seen: unknown[] = []
    await using served = await start(
      (app) => {
        app.get('/without', { config: { db: { transaction: false } } }, async () => {
          await note('without')
          throw new RangeError('boom')
        })
        app.get('/both', async () => {
          await note('here')
          await other.status("insert into notes values ('there')")
          seen.push(await other.scalar('select count(*)::int from notes'))
          throw new RangeError('boom')
        })
        app.get('/read', async () => {
          await note('read')
          return 'ok'
        })
      },
      { transaction: true },
    )
    await using both = await (async () => {
      const app = Fastify()
      await app.register(fastifyPlugin, { db, log: false, transaction: true })
      await app.register(fastifyPlugin, { db: other, as: 'other', log: false, transaction: true })
      app.get('/both', async () => {
        await note('here')
        await other.status("insert into notes values ('there')")
        throw new RangeError('boom')
      })
      await app.listen({ port: 0, host: '127.0.0.1' })
      return { port: running(app.server).port, [Symbol.asyncDispose]: () => app.close() }
    })()
    await ask(served.port, 'GET /without')
    await ask(both.port, 'GET /both')
    const { status } = await ask(served.port, 'HEAD /read')

    expect(status).toBe(200)
    expect(await notes.kept()).toEqual(['read', 'without'])
  })

  test('an upgrade that is sent through the hooks holds a connection only while a statement runs', async () => {
    let seen: unknown
    let upgraded: Socket | undefined
    const done = gate()
    await using served = await start((app) => {
      app.get('/socket', async (request, reply) => {
        void reply.hijack()
        const first = await request.db.scalar('select 1')
        seen = [first, request.db.borrowed, await db.scalar('select 2'), doing(db).startsWith('0 lent')]
        done.open()
      })
      app.server.on('upgrade', (request, socket) => {
        const response = new ServerResponse(request)
        response.assignSocket(socket as Socket)
        upgraded = socket as Socket
        app.routing(request, response)
      })
    })
    const socket = connect(served.port, '127.0.0.1')
    socket.write('GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    await done.promise
    socket.destroy()
    upgraded?.destroy()

    expect(seen).toEqual([1, false, 2, true])
  })

  test('a client that leaves before a handler that answers nothing leaves no transaction behind', async () => {
    const [begun, gone] = [gate(), gate()]
    await using served = await start((app) => {
      app.get('/', inTransaction, async () => {
        await note('unanswered')
        begun.open()
        await gone.promise
      })
    })
    const sent = send(served.port, 'GET /')
    await begun.promise
    sent.destroy()
    await until(async () => (await connections(served)) === 0)
    expect(db.stats().reserved).toBe(1)
    gone.open()

    expect(await notes.kept()).toEqual([])
  })
})

test('a thousand requests of one socket, each with work that outlives it, see one frame each', async () => {
  const depths = new Set<number>()
  const depth = (): void => {
    let frames = 0
    for (let link = currentChain(); link !== undefined; link = link.next) frames++
    depths.add(frames)
  }
  const web = httpPlugin(db, { log: false })
  await web.open()
  const handler = web.handler(async (_request, response) => {
    depth()
    setTimeout(depth, 5)
    response.end('ok')
  })
  const server = createServer(handler)
  await using app = await listening(server)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  for (let i = 0; i < 1000; i++) await ask(app.port, 'GET /', { agent })
  agent.destroy()

  expect([...depths]).toEqual([1])
})
