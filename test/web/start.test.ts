/** Start and end of a server: attempts, what is logged, drained requests, deadlines. */

import { createServer as createTcpServer, type Server as TcpServer } from 'node:net'
import { createServer } from 'node:http'
import { once } from 'node:events'
import {
  AlreadyBoundError,
  AuthenticationError,
  ConnectError,
  createDb,
  type Db,
  NotBoundError,
  PoolClosedError,
} from 'genever'
import { genever as express } from 'genever/express'
import { genever as fastify } from 'genever/fastify'
import { genever as http, type GeneverHttp, gracefulShutdown } from 'genever/http'
import { genever as koa } from 'genever/koa'
import expressApp from 'express'
import Fastify from 'fastify'
import Koa from 'koa'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl } from '../support/database.ts'
import { gate } from '../support/gate.ts'
import { pid } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { listening, running } from './adapter.ts'
import { ask, send } from './client.ts'

interface Lines {
  readonly lines: string[]
  info(line: string): void
  warn(line: string): void
  error(line: string): void
}

function logger(): Lines {
  const lines: string[] = []
  const keep =
    (level: string) =>
    (line: string): void =>
      void lines.push(`${level} ${line}`)
  return { lines, info: keep('info'), warn: keep('warn'), error: keep('error') }
}

/** A server that hangs up, and counts who came. */
async function refusing(): Promise<{ url: string; attempts: () => number } & AsyncDisposable> {
  let attempts = 0
  const server: TcpServer = createTcpServer((socket) => {
    attempts++
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `postgres://app:secret@127.0.0.1:${port}/shop`,
    attempts: () => attempts,
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

describe('the start', () => {
  test.each([
    [0, 1],
    [1, 2],
    [2, 3],
  ])('with a limit of %i asks %i times in all, says so, and fails', async (limit, attempts) => {
    await using server = await refusing()
    const log = logger()
    const plugin = http(createDb(), { url: server.url, retry: { limit, intervalMs: 1 }, log })

    expect(await caught(plugin.open())).toBeInstanceOf(ConnectError)
    expect(server.attempts()).toBe(attempts)
    const waiting = Array.from({ length: limit }, (_, i) =>
      expect.stringContaining(`warn Waiting for the database to start: retry ${i + 1} of ${limit} in 0.001 s. `),
    )
    const failed = limit === 0 ? 'could not be opened: ' : `could not be opened in ${attempts} attempts: `
    expect(log.lines).toEqual([...waiting, expect.stringContaining(failed)])
    expect(log.lines.join()).not.toContain('secret')
  })

  test('succeeds once the database has come up', async () => {
    const log = logger()
    const url = await databaseUrl()
    let asked = 0
    await using server = await refusing()
    await using db = createDb()
    const plugin = http(db, { url: () => (++asked < 3 ? server.url : url), retryLimit: 4, retryInterval: 0.001, log })
    await plugin.open()

    expect(log.lines.map((line) => line.split(':')[0])).toEqual([
      'warn Waiting for the database to start',
      'warn Waiting for the database to start',
      'info The database is open',
    ])
    expect(await db.scalar('select 1')).toBe(1)
  })

  test('does not wait for what waiting cannot mend', async () => {
    const url = new URL(await databaseUrl())
    url.username = 'nobody_of_this_name'
    const refused = http(createDb(), { url, retry: { limit: 3, intervalMs: 60_000 }, log: false })
    const unbound = http(createDb(), { log: false })
    await using bound = await createDb(await databaseUrl()).open()

    expect(await caught(refused.open())).toBeInstanceOf(AuthenticationError)
    expect(await caught(unbound.open())).toBeInstanceOf(NotBoundError)
    expect(await caught(http(bound, { host: 'localhost', log: false }).open())).toBeInstanceOf(AlreadyBoundError)
  })

  test('happens once for several copies, and by the first request where nobody opens; a failed one can be tried again', async () => {
    const log = logger()
    const url = await databaseUrl()
    await using server = await refusing()
    let source = server.url
    await using db = createDb()
    const options = { url: () => source, retry: { limit: 0 }, log }
    const plugin = http(db, options)
    const listener = createServer(plugin.handler(async (_, response) => response.end(String((await pid(db)) > 0))))
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    await using app = running(listener)

    expect((await ask(app.port, 'GET /')).status).toBe(500)
    source = url
    const replies = await Promise.all([ask(app.port, 'GET /'), ask(app.port, 'GET /'), plugin.open(), http(db).open()])
    expect(replies.slice(0, 2)).toMatchObject([{ body: 'true' }, { body: 'true' }])
    expect((await caught(http(db, options).open())).message).toContain('Two plug-ins were given a database')
    expect(log.lines.filter((line) => line.startsWith('info'))).toHaveLength(1)
  })

  test('fails for a database that was closed, by the plug-in or by anybody', async () => {
    const url = await databaseUrl()
    for (const end of [(plugin: GeneverHttp) => plugin.close(), (_plugin: GeneverHttp, db: Db) => db.close()]) {
      const db = createDb(url)
      const plugin = http(db, { log: false })
      await plugin.open()
      await end(plugin, db)

      expect(await caught(http(db, { log: false }).open())).toBeInstanceOf(PoolClosedError)
    }
    const db = createDb(url)
    const plugin = http(db, { log: false })
    await plugin.open()
    await plugin.close()
    expect(await caught(plugin.open())).toBeInstanceOf(PoolClosedError)
  })

  test.each(['express', 'koa'] as const)(
    '%s opens by its own place, and answers errors of a late start',
    async (name) => {
      const log = logger()
      await using db = createDb()
      const place = { dsn: await databaseUrl(), poolMaxSize: 1, log }
      const server = createServer()
      if (name === 'express') {
        const app = expressApp().set('genever', place)
        server.on('request', app)
        app.use(express(db), async (request, response) => {
          response.send(String((await pid(request.db)) > 0))
        })
      } else {
        const app = new Koa()
        app.context['genever'] = place
        app.use(koa(db)).use(async (ctx) => {
          ctx.body = String((await pid(ctx.db)) > 0)
        })
        const handle = app.callback()
        server.on('request', (request, response) => void handle(request, response))
      }
      await using app = await listening(server)

      expect((await ask(app.port, 'GET /')).body).toBe('true')
      expect(db.stats().max).toBe(1)
    },
  )

  test("fastify fails to start when the database stays away, logs through Fastify's logger, and closes at its end", async () => {
    await using server = await refusing()
    const lines: string[] = []
    const stream = { write: (line: string) => void lines.push((JSON.parse(line) as { msg: string }).msg) }
    const broken = Fastify({ logger: { stream } })
    void broken.register(fastify, { db: createDb(), dsn: server.url, retryInterval: 0.001 })
    expect(await caught(broken.ready())).toBeInstanceOf(ConnectError)
    expect(lines.map((line) => line.slice(0, 30))).toEqual([
      'Waiting for the database to st',
      'The database could not be open',
    ])

    const db = createDb(await databaseUrl())
    const app = Fastify()
    await app.register(fastify, { db, health: '/ready' })
    expect((await app.inject('/ready')).json()).toMatchObject({ status: 'ok' })
    await app.close()
    expect(String(db)).toBe('Db { closed }')
  })
})

describe('the end', () => {
  test('waits for running requests, refuses new ones, then closes the database', async () => {
    const db = await createDb(await databaseUrl()).open()
    const [begun, go] = [gate(), gate()]
    const plugin = http(db, { log: false })
    const server = createServer(
      plugin.handler(async (_, response) => {
        await pid(db)
        begun.open()
        await go.promise
        response.end(String((await pid(db)) > 0))
      }),
    )
    const { port } = await listening(server)
    const reply = ask(port, 'GET /')
    await begun.promise
    const log = logger()
    const closing = gracefulShutdown(server, db, { log })
    await until(() =>
      ask(port, 'GET /').then(
        () => false,
        () => true,
      ),
    )
    go.open()

    expect((await reply).body).toBe('true')
    expect(await closing).toEqual({ drained: true, broken: [] })
    expect(String(db)).toBe('Db { closed }')
    expect(log.lines.at(-1)).toBe('info The database is closed.')
  })

  test('never hangs: not on a request without an answer, and not on a connection that never comes back', async () => {
    const db = await createDb(await databaseUrl()).open()
    const begun = gate()
    const server = createServer(
      http(db, { log: false }).handler(async () => {
        await db.acquire()
        begun.open()
        await new Promise(() => {})
      }),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    send(running(server).port, 'GET /')
    await begun.promise
    const report = await gracefulShutdown(server, [db], { drainTimeoutMs: 50, closeTimeoutMs: 50, log: false })

    expect(report).toEqual({ drained: false, broken: [expect.stringContaining('acquire()')] })
  })

  test('installs no handler of signals', async () => {
    const before = process.eventNames().length
    const db = await createDb(await databaseUrl()).open()
    const server = createServer(http(db).handler(() => {}))
    server.listen(0, '127.0.0.1')
    await gracefulShutdown(server, db, { log: false })

    expect(process.eventNames()).toHaveLength(before)
  })
})
