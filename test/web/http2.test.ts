/** Plug-ins over HTTP/2, where the framework serves it: the compatible API of node:http2, without TLS. */

import { once } from 'node:events'
import { connect, createServer, type Http2Server, type IncomingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import Fastify from 'fastify'
import { type Connection, createDb, type Db } from 'genever'
import { genever as fastifyPlugin } from 'genever/fastify'
import { genever as httpPlugin } from 'genever/http'
import { genever as koaPlugin } from 'genever/koa'
import Koa from 'koa'
import { expect, test } from 'vitest'
import { databaseUrl } from '../support/database.ts'
import { gate } from '../support/gate.ts'
import { pid, quiet } from '../support/matrix.ts'

type Handler = (connection: Connection, path: string) => Promise<unknown>
type Listener = (request: never, response: never) => unknown

/** Each answers every path with what `handle` gives, in a transaction for `/orders`. */
const frameworks: Record<string, (db: Db, handle: Handler) => Promise<Http2Server>> = {
  async http(db, handle) {
    const web = httpPlugin(db, { log: false })
    await web.open()
    const listener = (transaction: boolean): Listener =>
      web.handler(
        async (request, response) => {
          response.end(JSON.stringify(await handle(request.db, String(request.url))))
        },
        { transaction },
      )
    const [plain, orders] = [listener(false), listener(true)]
    return createServer((request, response) => {
      const chosen = request.url === '/orders' ? orders : plain
      chosen(request as never, response as never)
    })
  },
  async koa(db, handle) {
    const web = koaPlugin(db, { log: false })
    await web.open()
    const [app, inTransaction] = [new Koa().use(web), web.transaction()]
    app.silent = true
    app.use((ctx) => {
      const answer = async (): Promise<void> => {
        ctx.body = JSON.stringify(await handle(ctx.db, ctx.path))
      }
      return ctx.path === '/orders' ? inTransaction(ctx, answer) : answer()
    })
    const listener = app.callback()
    return createServer((request, response) => void listener(request as never, response as never))
  },
  async fastify(db, handle) {
    const app = Fastify({ http2: true })
    await app.register(fastifyPlugin, { db, log: false })
    for (const path of ['/read', '/hang', '/orders'])
      app.get(path, { config: { db: { transaction: path === '/orders' } } }, async ({ db: connection }) =>
        JSON.stringify(await handle(connection, path)),
      )
    await app.ready()
    return app.server
  },
}

test.each(Object.keys(frameworks))('requests of %s have one connection each, on one session', async (name) => {
  await using db = createDb(await databaseUrl(), { pool: { max: 3 } })
  await db.status(`drop table if exists http2_${name}; create table http2_${name} (text text)`)
  const begun = gate()
  const handle: Handler = async (connection, path) => {
    const own = await pid(connection)
    if (path === '/hang') {
      begun.open()
      return new Promise<never>(() => {})
    }
    if (path === '/orders') await db.status(`insert into http2_${name} values ('kept')`)
    return { same: (await pid(db)) === own }
  }
  const server = await frameworks[name]!(db, handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  try {
    const ask = async (path: string): Promise<unknown> => {
      const stream = session.request({ ':path': path })
      const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
      return [headers[':status'], JSON.parse(await text(stream))]
    }
    const answers = await Promise.all(['/read', '/read', '/orders'].map(ask))
    expect(answers).toEqual(Array.from({ length: 3 }, () => [200, { same: true }]))
    await quiet(db)
    expect(await db.scalar(`select count(*)::int from http2_${name}`)).toBe(1)

    const left = session.request({ ':path': '/hang' })
    left.on('error', () => {})
    await begun.promise
    expect(db.stats().reserved).toBe(1)
    left.destroy(new Error('the client leaves'))
    await quiet(db)
  } finally {
    session.destroy()
    server.close()
  }
})
