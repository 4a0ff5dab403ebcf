/** Bodies of requests: a parser reads them by events of the socket, which know nothing of the request they are for. */

import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import express from 'express'
import Fastify from 'fastify'
import { createDb, type Db } from 'genever'
import * as expressPlugin from 'genever/express'
import { genever as fastifyPlugin } from 'genever/fastify'
import * as httpPlugin from 'genever/http'
import * as koaPlugin from 'genever/koa'
import Koa from 'koa'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { databaseUrl } from '../support/database.ts'
import { pid } from '../support/matrix.ts'
import { until } from '../support/until.ts'

let db: Db

beforeEach(async () => {
  db = await createDb(await databaseUrl(), { pool: { max: 4 } }).open()
})

afterEach(async () => {
  expect((await db.close()).broken).toEqual([])
})

interface Seen {
  readonly name: string
  /** The connections that the statements before and after the body ran on. */
  readonly pids: readonly unknown[]
  readonly current: boolean
}

/** A statement behind the body: it still is on the connection of its request. */
async function look(name: string, before: unknown, connection: unknown): Promise<Seen> {
  return { name, pids: [before, await pid(db)], current: db.current !== undefined && db.current === connection }
}

const frameworks: Readonly<Record<string, () => Promise<Server>>> = {
  async 'node:http, read by a loop'() {
    const handler = httpPlugin.genever(db, { log: false, holdForRequest: true }).handler(async (incoming, response) => {
      const before = await pid(db)
      const { name } = (await json(incoming)) as { name: string }
      response.end(JSON.stringify(await look(name, before, incoming.db)))
    })
    return createServer(handler)
  },
  async 'express.json()'() {
    const app = express()
    app.use(expressPlugin.genever(db, { log: false, holdForRequest: true }))
    app.use(async (req, _res, next) => {
      Object.assign(req, { before: await pid(db) })
      next()
    })
    app.use(express.json())
    app.post('/', async (req, res) => {
      res.json(await look((req.body as { name: string }).name, (req as any).before, (req as any).db))
    })
    return createServer(app)
  },
  async koa() {
    const koa = new Koa()
    koa.use(koaPlugin.genever(db, { log: false, holdForRequest: true }))
    koa.use(async (ctx) => {
      const before = await pid(db)
      const { name } = (await json(ctx.req)) as { name: string }
      ctx.body = JSON.stringify(await look(name, before, (ctx as any).db))
    })
    return createServer((...of) => void koa.callback()(...of))
  },
  async fastify() {
    const fastify = Fastify()
    await fastify.register(fastifyPlugin, { db, log: false, holdForRequest: true })
    fastify.addHook('onRequest', async (req) => {
      Object.assign(req, { before: await pid(db) })
    })
    fastify.post('/', async (req) => look((req.body as { name: string }).name, (req as any).before, (req as any).db))
    await fastify.ready()
    return fastify.server
  },
}

/** Sends its body in two pieces, the second when told to. */
async function send(port: number, name: string, second: Promise<unknown>): Promise<Seen> {
  const sent = request({ host: '127.0.0.1', port, method: 'POST', headers: { 'content-type': 'application/json' } })
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>
  sent.write('{"name":')
  await second
  sent.end(`"${name}"}`)
  const [response] = await answered
  return (await json(response)) as Seen
}

test.each(Object.entries(frameworks))(
  'requests at the same time keep their connections behind their bodies: %s',
  async (_, start) => {
    const server = await start()
    if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const all = until(() => db.stats().reserved === 4)

    const seen = await Promise.all(['a', 'b', 'c', 'd'].map((name) => send(port, name, all)))

    expect(seen.map(({ name, current }) => [name, current])).toEqual(['a', 'b', 'c', 'd'].map((name) => [name, true]))
    for (const { pids } of seen) expect(new Set(pids).size).toBe(1)
    expect(new Set(seen.map(({ pids }) => pids[0])).size).toBe(4)
    await until(() => db.stats().reserved === 0)
    server.closeAllConnections()
    server.close()
  },
)
