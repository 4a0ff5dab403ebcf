// What `bench/request.ts` serves, once for each framework: `/none` answers without a statement, `/read` by three functions
// that each query. A further framework is one more entry of `frameworks`.
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import express from 'express'
import Fastify from 'fastify'
import { createDb, type Db } from 'genever'
import { genever as expressPlugin } from 'genever/express'
import { genever as fastifyPlugin } from 'genever/fastify'
import { genever as h3Plugin } from 'genever/h3'
import { genever as honoPlugin } from 'genever/hono'
import { genever as httpPlugin } from 'genever/http'
import { genever as koaPlugin } from 'genever/koa'
import { H3, toNodeHandler } from 'h3'
import { Hono } from 'hono'
import Koa from 'koa'
import pg from 'pg'
import { poolSize, texts } from './workloads.ts'
import { nestOn } from './web-nest.ts'

/** With Genever's plug-in, with a pool by hand, with neither, or with an empty context for each request and no more. */
export type WebSide = 'bare' | 'context' | 'genever' | 'hand'

/** What a framework serves at its two routes. */
export interface Handlers {
  readonly none: () => Promise<unknown>
  readonly read: () => Promise<unknown>
  /** Null unless the plug-in is to be used. */
  readonly db: Db | null
  /** In which each request is to run. */
  readonly context: AsyncLocalStorage<object> | null
}

export interface Listening {
  readonly port: number
}

export const frameworks: Readonly<Record<string, (handlers: Handlers) => Promise<Listening>>> = {
  async fastify({ none, read, db, context }) {
    const app = Fastify()
    if (context !== null) app.addHook('onRequest', (_request, _reply, done) => context.run({}, done))
    if (db !== null) await app.register(fastifyPlugin, { db, log: false })
    app.get('/none', none)
    app.get('/read', read)
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    return { port: Number(new URL(url).port) }
  },
  async hono({ none, read, db, context }) {
    const app = new Hono()
    if (context !== null) app.use((_c, next) => context.run({}, next))
    if (db !== null) app.use(honoPlugin(db, { log: false }))
    app.get('/none', async (c) => c.json((await none()) as object))
    app.get('/read', async (c) => c.json((await read()) as object))
    return listen(createAdaptorServer({ fetch: app.fetch }) as Server)
  },
  async express({ none, read, db, context }) {
    const app = express()
    if (context !== null) app.use((_request, _response, next) => context.run({}, next))
    if (db !== null) app.use(expressPlugin(db, { log: false }))
    app.get('/none', async (_request, response) => void response.json(await none()))
    app.get('/read', async (_request, response) => void response.json(await read()))
    return listen(createServer(app))
  },
  async koa({ none, read, db, context }) {
    const app = new Koa()
    if (context !== null) app.use((_ctx, next) => context.run({}, next))
    if (db !== null) app.use(koaPlugin(db, { log: false }))
    app.use(async (ctx) => {
      ctx.body = await (ctx.path === '/none' ? none() : read())
    })
    const handle = app.callback()
    return listen(createServer((request, response) => void handle(request, response)))
  },
  async h3({ none, read, db, context }) {
    const app = new H3()
    if (context !== null) app.use((_event, next) => context.run({}, next))
    if (db !== null) app.use(h3Plugin(db, { log: false }))
    app.get('/none', none)
    app.get('/read', read)
    const handle = toNodeHandler(app)
    return listen(createServer((request, response) => void handle(request, response)))
  },
  async http({ none, read, db, context }) {
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const body = JSON.stringify(await (request.url === '/none' ? none() : read()))
      response.writeHead(200, { 'content-type': 'application/json' }).end(body)
    }
    const plain: RequestListener = (request, response) =>
      void (context === null ? answer(request, response) : context.run({}, () => answer(request, response)))
    const web = db === null ? null : httpPlugin(db, { log: false })
    await web?.open()
    return listen(createServer(web === null ? plain : web.handler(answer)))
  },
  'nest-express': nestOn('express'),
  'nest-fastify': nestOn('fastify'),
}

async function listen(server: Server): Promise<Listening> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port }
}

type Send = (text: keyof typeof texts, values: unknown[]) => Promise<unknown>

export async function handlersOf(side: WebSide, url: string): Promise<Handlers> {
  const none = async (): Promise<unknown> => ({ hello: 'world' })
  if (side === 'bare') return { none, read: none, db: null, context: null }
  if (side === 'context') return { none, read: none, db: null, context: new AsyncLocalStorage() }
  if (side === 'genever') {
    const db = await createDb(url, { driver: 'pg', pool: { max: poolSize } }).open()
    const send: Send = async (text, values) => (await db.all(texts[text], values))[0]
    return { none, read: nested(send), db, context: null }
  }
  const pool = new pg.Pool({ connectionString: url, max: poolSize })
  // In a real service something always keeps a context: both sides have one.
  const context = new AsyncLocalStorage<object>()
  const read = async (): Promise<unknown> => {
    const client = await pool.connect()
    try {
      const send: Send = async (text, values) => (await client.query({ name: text, text: texts[text], values })).rows[0]
      return await nested(send)()
    } finally {
      client.release()
    }
  }
  return { none, read: () => context.run({}, read), db: null, context: null }
}

let turn = 0

/** Three functions deep; each queries and calls the next. */
function nested(send: Send): () => Promise<unknown> {
  const post = (id: number): Promise<unknown> => send('post', [id])
  const next = async (id: number): Promise<unknown> => [await send('post', [id]), await post(id + 1)]
  return async () => {
    const id = 1 + (turn++ % 90)
    return { author: await send('author', [id]), posts: await next(id) }
  }
}
