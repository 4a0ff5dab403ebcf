/** The end of servers whose sockets outlive their answers: web sockets, sessions of HTTP/2, events without an end. */

import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import * as http2 from 'node:http2'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { text } from 'node:stream/consumers'
import { Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import Fastify from 'fastify'
import { createDb, type Db } from 'genever'
import { genever as fastifyPlugin } from 'genever/fastify'
import { genever, gracefulShutdown } from 'genever/http'
import { GeneverModule } from 'genever/nest'
import { serve } from 'genever/registry'
import { beforeEach, describe, expect, test } from 'vitest'
import { databaseUrl } from '../support/database.ts'
import { gate } from '../support/gate.ts'
import { quiet } from '../support/matrix.ts'
import { ask, head, send } from './client.ts'

let db: Db
beforeEach(async () => {
  db = await createDb(await databaseUrl(), { pool: { max: 2 } }).open()
})

/** Answers by `work`, in the scope of its request. */
async function handling(work: () => Promise<unknown>): Promise<RequestListener> {
  const web = genever(db, { log: false })
  await web.open()
  return web.handler(async (_request, response) => response.end(String(await work())))
}

/** Takes upgrades, and leaves their sockets open. */
function upgrades<S extends Server>(server: S): S {
  server.on('upgrade', (_request, socket) => {
    socket.on('error', () => {})
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
  })
  return server
}

async function listen(server: Server | http2.Http2Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** A client whose socket was upgraded. */
async function upgraded(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
  await once(socket, 'data')
  return socket
}

/** A client that asks nothing on the socket it has opened, as browsers do. */
async function silent(server: Server): Promise<Socket> {
  const accepted = once(server, 'connection')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await accepted
  return socket.resume()
}

/** Resolves when the server has no socket any more. */
const closed = (server: Server | http2.Http2Server): Promise<unknown> => once(server, 'close')

describe('gracefulShutdown', () => {
  test('closes web sockets at its deadline, so that nothing keeps the process', async () => {
    const server = upgrades(createServer(await handling(async () => 'done')))
    const client = await upgraded(await listen(server))
    const [over, left] = [closed(server), once(client.resume(), 'close')]
    const report = await gracefulShutdown(server, db, { drainTimeoutMs: 50, log: false })
    await Promise.all([over, left])

    expect(report).toEqual({ drained: false, broken: [] })
    expect(String(db)).toBe('Db { closed }')
  })

  test('waits for requests, but not for a client that has asked nothing', async () => {
    const [begun, go] = [gate(), gate()]
    const work = async (): Promise<string> => {
      begun.open()
      await go.promise
      return 'answered'
    }
    const server = createServer(await handling(work))
    const port = await listen(server)
    const left = once(await silent(server), 'close')
    const answer = ask(port, 'GET /')
    await begun.promise
    const over = gracefulShutdown(server, db, { drainTimeoutMs: 600_000, log: false })
    await left
    go.open()

    expect((await answer).body).toBe('answered')
    expect(await over).toEqual({ drained: true, broken: [] })
  })

  test('closes streams of events at its deadline, between whose events no connection is kept from others', async () => {
    const begun = gate()
    const web = genever(db, { log: false })
    await web.open()
    const handler = web.handler(async (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(`data: ${String(await db.scalar('select 1'))}\n\n`)
      begun.open()
      await new Promise(() => {})
    })
    const server = createServer(handler)
    const port = await listen(server)
    const streams = await Promise.all([1, 2, 3, 4].map(() => head(send(port, 'GET /'))))
    await begun.promise
    for (const stream of streams) await once(stream, 'data')
    await Promise.all([1, 2].map(() => db.transaction(() => db.scalar('select 1'))))
    const [over, cut] = [closed(server), Promise.all(streams.map((stream) => text(stream).catch(() => 'cut off')))]
    const report = await gracefulShutdown(server, db, { drainTimeoutMs: 50, log: false })
    await over

    expect(report).toEqual({ drained: false, broken: [] })
    expect(await cut).toEqual(streams.map(() => 'cut off'))
  })

  test('has no rows left to wait for, of a client that stopped reading them, where the response has a time', async () => {
    const begun = gate()
    const web = genever(db, { log: false })
    await web.open()
    const handler = web.handler(async (_request, response) => {
      const rows = db.iterate<{ text: string }>("select repeat('x', 100000) as text from generate_series(1, 1000)")
      const texts = async function* (): AsyncGenerator<string> {
        yield 'rows: '
        await begun.promise
        response.setTimeout(50, () => response.destroy())
        for await (const { text: piece } of rows) yield piece
      }
      await pipeline(texts, response)
    })
    const server = createServer(handler)
    // A stream that nobody reads stops the socket.
    const stalled = await head(send(await listen(server), 'GET /'))
    begun.open()
    await quiet(db)

    expect(await gracefulShutdown(server, db, { log: false })).toEqual({ drained: true, broken: [] })
    stalled.destroy()
  })

  test('answers what runs on a session of HTTP/2, and then closes it, without waiting for its client', async () => {
    const [begun, go] = [gate(), gate()]
    const handler = await handling(async () => {
      begun.open()
      await go.promise
      return db.scalar('select 7')
    })
    const server = http2.createServer(handler as never)
    const session = http2.connect(`http://127.0.0.1:${await listen(server)}`)
    const [stream, goaway, over] = [session.request({ ':path': '/' }), once(session, 'goaway'), closed(server)]
    const answer = text(stream)
    await begun.promise
    const closing = gracefulShutdown(server, db, { drainTimeoutMs: 600_000, log: false })
    await goaway
    go.open()

    expect(await answer).toBe('7')
    expect(await closing).toEqual({ drained: true, broken: [] })
    await over
  })

  test('closes a session of HTTP/2 that was answered and stays open', async () => {
    const server = http2.createServer((await handling(async () => 'done')) as never)
    const session = http2.connect(`http://127.0.0.1:${await listen(server)}`)
    expect(await text(session.request({ ':path': '/' }))).toBe('done')

    expect(await gracefulShutdown(server, db, { drainTimeoutMs: 600_000, log: false })).toMatchObject({ drained: true })
  })
})

describe('serve', () => {
  /** Ends by a signal. */
  const ended = (): void => void process.kill(process.pid, 'SIGUSR2')

  test('closes web sockets at its deadline', async () => {
    const start = async (): Promise<Server> => {
      const started = upgrades(createServer())
      await listen(started)
      return started
    }
    const server = await serve(db, start, { signals: ['SIGUSR2'], timeoutMs: 50 })
    const client = await upgraded((server.address() as AddressInfo).port)
    const [over, left] = [closed(server), once(client.resume(), 'close')]
    ended()
    await Promise.all([over, left])
  })

  test('closes the socket of a client that has asked nothing', async () => {
    const start = async (): Promise<Server> => {
      const started = createServer()
      await listen(started)
      return started
    }
    const server = await serve(db, start, { signals: ['SIGUSR2'], timeoutMs: 600_000 })
    const [over, left] = [closed(server), once(await silent(server), 'close')]
    ended()
    await Promise.all([over, left])
  })

  test('closes sessions of HTTP/2 that ask nothing, without waiting for their clients', async () => {
    const start = async (): Promise<http2.Http2Server> => {
      const started = http2.createServer()
      await listen(started)
      return started
    }
    const server = await serve(db, start, { signals: ['SIGUSR2'], timeoutMs: 600_000 })
    const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    await once(session, 'remoteSettings')
    const over = closed(server)
    ended()
    await over
  })
})

test('an application of Nest closes the web sockets that it has not made itself at its deadline', async () => {
  class App {}
  Module({ imports: [GeneverModule.forRoot({ db, drainTimeoutMs: 50, log: false })] })(App)
  const app = await NestFactory.create(App, { logger: false })
  await app.listen(0, '127.0.0.1')
  const server = upgrades(app.getHttpServer() as Server)
  const client = await upgraded((server.address() as AddressInfo).port)
  const left = once(client.resume(), 'close')
  await app.close()
  await left

  expect(String(db)).toBe('Db { closed }')
})

describe('an application of Fastify', () => {
  test('closes a request without an answer at its deadline, and then the database', async () => {
    const [begun, lines] = [gate(), [] as string[]]
    const log = { info: () => {}, warn: (line: string) => void lines.push(line), error: () => {} }
    const app = Fastify()
    await app.register(fastifyPlugin, { db, log, drainTimeoutMs: 50 })
    app.get('/', () => begun.open())
    await app.listen({ port: 0, host: '127.0.0.1' })
    const client = send((app.server.address() as AddressInfo).port, 'GET /')
    const left = new Promise((resolve) => client.once('close', resolve))
    await begun.promise
    await app.close()
    await left

    expect(String(db)).toBe('Db { closed }')
    expect(lines).toEqual(['Some requests were not answered in time; their connections were closed.'])
  })

  test('closes without waiting for a client that has asked nothing', async () => {
    const app = Fastify()
    await app.register(fastifyPlugin, { db, log: false, drainTimeoutMs: 600_000 })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const left = once(await silent(app.server), 'close')
    await app.close()
    await left

    expect(String(db)).toBe('Db { closed }')
  })

  test('answers a request that takes its time, and refuses a time that is none', async () => {
    const [begun, go] = [gate(), gate()]
    const app = Fastify()
    await app.register(fastifyPlugin, { db, log: false })
    app.get('/', async () => {
      begun.open()
      await go.promise
      return String(await db.scalar('select 7'))
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const answer = ask((app.server.address() as AddressInfo).port, 'GET /')
    await begun.promise
    const closing = app.close()
    go.open()

    expect(await answer).toMatchObject({ status: 200, body: '7' })
    await closing
    expect(String(db)).toBe('Db { closed }')
    const wrong = Fastify().register(fastifyPlugin, { db: createDb(), drainTimeoutMs: -1 })
    await expect(Promise.resolve(wrong)).rejects.toThrow('drainTimeoutMs')
  })
})
