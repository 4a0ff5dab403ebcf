/** Upgrades, as those of web sockets, that a server sends through the handlers of its framework: they have no answer, and live long. */

import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import express, { type ErrorRequestHandler } from 'express'
import Fastify, { type FastifyInstance, type RouteOptions } from 'fastify'
import { type Db, UsageError } from 'genever'
import * as onExpress from 'genever/express'
import * as onFastify from 'genever/fastify'
import * as onH3 from 'genever/h3'
import * as onHono from 'genever/hono'
import * as onHttp from 'genever/http'
import * as onKoa from 'genever/koa'
import { H3, toNodeHandler } from 'h3'
import { Hono } from 'hono'
import Koa from 'koa'
import { beforeEach, describe, expect, test } from 'vitest'
import { gate } from '../support/gate.ts'
import { doing } from '../support/matrix.ts'
import { listening, running, type RunningApp } from './adapter.ts'
import { ask } from './client.ts'
import { notesTable } from './notes.ts'

const notes = notesTable()
let db: Db
beforeEach(async () => {
  db = await notes.open(2)
})

const note = (text: string): Promise<unknown> => db.status('insert into notes values ($1)', [text])

/** Greets, and leaves the socket open. */
type Handler = (request: IncomingMessage) => Promise<void>
type Listener = (request: IncomingMessage, response: ServerResponse) => unknown

const greeting = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n'
const greet = (request: IncomingMessage): void => void request.socket.write(greeting)

/** Each answers an error by its message. */
const frameworks: Readonly<Record<string, (handle: Handler, options: onHttp.PluginOptions<any>) => Promise<Listener>>> =
  {
    async http(handle, options) {
      const web = onHttp.genever(db, options)
      await web.open()
      const onError: onHttp.HttpErrorHandler = (error, _request, response) => {
        response.writeHead(500).end((error as Error).message)
        return true
      }
      return web.handler(handle, { onError })
    },
    async express(handle, options) {
      const app = express().use(onExpress.genever(db, options))
      app.get('/', (request) => handle(request))
      const failed: ErrorRequestHandler = (error, _request, response, _next) =>
        void response.status(500).end((error as Error).message)
      return app.use(failed)
    },
    async koa(handle, options) {
      const app = new Koa().use(async (ctx, next) => {
        try {
          await next()
        } catch (error) {
          ctx.status = 500
          ctx.body = (error as Error).message
        }
      })
      app.use(onKoa.genever(db, options)).use(async (ctx) => {
        ctx.respond = false
        await handle(ctx.req)
      })
      return app.callback()
    },
    async h3(handle, options) {
      const app = new H3({ silent: true, onError: (error) => new Response(String(error.cause), { status: 500 }) })
      app.use(onH3.genever(db, options)).get('/', async (event) => {
        await handle(event.runtime?.node?.req as never)
        return Symbol.for('h3.handled')
      })
      return toNodeHandler(app)
    },
    async hono(handle, options) {
      const app = new Hono<{ Bindings: { incoming: IncomingMessage } }>()
      app.onError((error, c) => c.text(error.message, 500))
      app.use(onHono.genever(db, options)).get('/', async (c) => {
        await handle(c.env.incoming)
        return new Response(null, { headers: { 'x-hono-already-sent': 'yes' } })
      })
      return getRequestListener(app.fetch, { overrideGlobalObjects: false })
    },
    async fastify(handle, options) {
      const app = Fastify()
      app.setErrorHandler((error, _request, reply) => reply.code(500).send((error as Error).message))
      await app.register(onFastify.genever, { db, ...options })
      app.get('/', async (request, reply) => {
        void reply.hijack()
        await handle(request.raw)
      })
      await app.ready()
      return (request, response) => app.routing(request, response)
    },
  }

/** Sends upgrades through the framework as requests, as its plug-ins for web sockets do. */
function forwarding(server: Server, listener: Listener): void {
  server.on('upgrade', (request, socket) => {
    const response = new ServerResponse(request)
    response.assignSocket(socket as Socket)
    // Nobody reads it: its end would not be noticed.
    socket
      .on('error', () => {})
      .on('end', () => socket.destroy())
      .resume()
    listener(request, response)
  })
}

const clients: Socket[] = []

/** A client that asks for an upgrade, and leaves when the test has ended. */
function upgrading(port: number, path = '/'): Socket {
  const socket = connect(port, '127.0.0.1')
  clients.push(socket)
  socket.on('error', () => {})
  socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`)
  return socket
}

/** Its clients leave before it is closed, which would wait for them. */
function leaving(app: RunningApp, close = (): PromiseLike<void> => app[Symbol.asyncDispose]()): RunningApp {
  return {
    ...app,
    async [Symbol.asyncDispose]() {
      for (const socket of clients.splice(0)) socket.destroy()
      await close()
    },
  }
}

/** What came, once it matches. */
async function heard(socket: Socket, wanted: RegExp): Promise<string> {
  let all = ''
  for await (const piece of socket.iterator({ destroyOnReturn: false })) {
    all += String(piece)
    if (wanted.test(all)) return all
  }
  throw new Error(`closed behind ${JSON.stringify(all)}`)
}

describe.each(Object.keys(frameworks))('an upgrade that goes through %s', (name) => {
  async function serving(handle: Handler, options: onHttp.PluginOptions<any>): Promise<RunningApp> {
    const listener = await frameworks[name]!(handle, { log: false, ...options })
    const server = createServer(listener)
    forwarding(server, listener)
    return leaving(await listening(server))
  }

  test.each([{ holdForRequest: false }, { holdForRequest: true }])(
    'keeps no connection while its socket is open, only while a statement runs: %o',
    async (options) => {
      const [asked, done] = [gate(), gate()]
      const seen: unknown[] = []
      const handle: Handler = async (request) => {
        greet(request)
        await asked.promise
        for (const each of [1, 2]) seen.push(await db.scalar(`select ${each}`), doing(db).startsWith('0 lent'))
        await db.transaction(() => note('kept'))
        done.open()
        await new Promise(() => {})
      }
      await using served = await serving(handle, options)
      const socket = upgrading(served.port)
      await heard(socket, /101/)
      asked.open()
      await done.promise

      expect(seen).toEqual([1, true, 2, true])
      expect(await notes.kept()).toEqual(['kept'])
    },
  )

  test('is refused by name where each request is in a transaction, which would last as long as the socket', async () => {
    const handle: Handler = async (request) => {
      await note('never')
      greet(request)
    }
    await using served = await serving(handle, { transaction: true })
    const socket = upgrading(served.port)
    const answer = await heard(socket, /db\.transaction\(\)/)

    expect(answer).toMatch(/^HTTP\/1\.1 500 /)
    expect(answer).toContain('An upgrade, such as that of a web socket, has no answer to commit its transaction with.')
    expect(await notes.kept()).toEqual([])
  })
})

describe('a route of web sockets in Fastify', () => {
  /** What `@fastify/websocket` does to routes and requests. */
  function webSockets(app: FastifyInstance): void {
    app.addHook('onRoute', (route: RouteOptions & { websocket?: boolean; wsHandler?: unknown }) => {
      const { handler } = route
      const wsHandler = (route.websocket === true ? handler : route.wsHandler) as Handler | undefined
      if (wsHandler === undefined) return
      route.handler = function (request, reply) {
        if (request.headers.upgrade === undefined) {
          if (route.websocket !== true) return handler.call(this, request, reply)
          return reply.code(404).send()
        }
        void reply.hijack()
        void wsHandler(request.raw)
        return undefined
      }
    })
    forwarding(app.server, (request, response) => app.routing(request, response))
  }

  async function start(
    order: string,
    transaction: boolean,
    declare: (app: FastifyInstance) => void,
  ): Promise<RunningApp> {
    const app = Fastify({ forceCloseConnections: true })
    if (order === 'before') webSockets(app)
    await app.register(onFastify.genever, { db, log: false, transaction })
    if (order === 'behind') webSockets(app)
    declare(app)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return leaving(running(app.server), () => app.close())
  }

  const keeps: Handler = async (request) => {
    await note('message')
    greet(request)
  }

  test.each(['before', 'behind'])(
    'has no transaction of all routes, with the plug-in for web sockets %s that of the database',
    async (order) => {
      await using served = await start(order, true, (app) => {
        // The messages are seen while the sockets are open: no transaction waits for their end.
        app.get('/only', { websocket: true } as object, keeps as never)
        app.route({
          method: 'GET',
          url: '/both',
          wsHandler: keeps,
          handler: async () => {
            await note('undone')
            throw new RangeError('boom')
          },
        } as never)
      })
      for (const path of ['/only', '/both']) {
        const socket = upgrading(served.port, path)
        await heard(socket, /101/)
      }
      const { status } = await ask(served.port, 'GET /both')

      expect(status).toBe(500)
      expect(await notes.kept()).toEqual(['message', 'message'])
    },
  )

  test.each(['before', 'behind'])('that asks for a transaction is refused where it is declared: %s', async (order) => {
    const route = { websocket: true, config: { db: { transaction: true } } } as object
    let failure: unknown
    await using _ = await start(order, false, (app) => {
      try {
        app.get('/', route, keeps as never)
      } catch (error) {
        failure = error
      }
    })

    expect(failure).toBeInstanceOf(UsageError)
    expect(String(failure)).toContain('A route of web sockets cannot have a transaction')
  })
})
