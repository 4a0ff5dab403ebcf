/** One route in each framework, whose handler runs in the transaction of its request. */

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { getRequestListener } from '@hono/node-server'
import { Controller, Get, Req } from '@nestjs/common'
import express from 'express'
import Fastify from 'fastify'
import type { Db } from 'genever'
import { genever as expressPlugin } from 'genever/express'
import { genever as fastifyPlugin } from 'genever/fastify'
import { genever as h3Plugin } from 'genever/h3'
import { genever as honoPlugin } from 'genever/hono'
import { genever as httpPlugin, type PluginOptions, type RequestTransactionOptions } from 'genever/http'
import { genever as koaPlugin } from 'genever/koa'
import { GeneverModule, TransactionalRoute } from 'genever/nest'
import { withDb } from 'genever/next'
import { H3, toNodeHandler } from 'h3'
import { Hono } from 'hono'
import Koa from 'koa'
import { create } from './nest/app.ts'

export interface Wanted {
  readonly db: Db
  /** Its value is the answer, as JSON. It is given what stands behind the `?` of the URL, and what reads the body of the request. */
  readonly work: (query: string, body: () => Promise<string>) => Promise<unknown>
  readonly transaction?: RequestTransactionOptions
  readonly onAbort?: PluginOptions['onAbort']
  readonly holdForRequest?: boolean
}

type Frameworks = Readonly<Record<string, (wanted: Wanted) => Promise<RequestListener>>>

const quiet = { log: false } as const
const queryOf = (url = ''): string => url.slice(url.indexOf('?') + 1)
const bodyless = (): Promise<string> => Promise.resolve('')

/** Each answers every request to `/`. */
export const inTransactions: Frameworks = {
  async http({ db, work, ...options }) {
    const web = httpPlugin(db, { ...quiet, transaction: {}, ...options })
    await web.open()
    return web.handler(async (request, response) => {
      response.end(JSON.stringify(await work(queryOf(request.url), () => text(request))))
    })
  },
  async express({ db, work, transaction = {}, ...options }) {
    const web = expressPlugin(db, { ...quiet, ...options })
    const app = express().use(web)
    const handler = web.transactional(async (request, response) => {
      response.json(await work(queryOf(request.url), () => text(request)))
    }, transaction)
    return app.all('/', handler)
  },
  async fastify({ db, work, ...options }) {
    const app = Fastify()
    await app.register(fastifyPlugin, { db, ...quiet, transaction: {}, ...options })
    app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
    app.all('/', async ({ url, raw }, reply) => reply.send(JSON.stringify(await work(queryOf(url), () => text(raw)))))
    await app.ready()
    return (request, response) => app.routing(request, response)
  },
  async koa({ db, work, ...options }) {
    const app = new Koa({ asyncLocalStorage: false }).on('error', () => {})
    app.use(koaPlugin(db, { ...quiet, transaction: {}, ...options }))
    app.use(async (context) => {
      context.body = JSON.stringify(await work(queryOf(context.url), () => text(context.req)))
    })
    const handle = app.callback()
    return (request, response) => void handle(request, response)
  },
  async hono({ db, work, ...options }) {
    const app = new Hono().use(honoPlugin(db, { ...quiet, transaction: {}, ...options }))
    app.onError((_error, c) => c.text('failed', 500))
    app.all('/', async (c) => c.text(JSON.stringify(await work(queryOf(c.req.url), () => c.req.text()))))
    // Else h3 in this process answers errors with status 200: it does not know the Response that stands for Node's.
    const handle = getRequestListener(app.fetch, { overrideGlobalObjects: false })
    return (request, response) => void handle(request, response)
  },
  async h3({ db, work, ...options }) {
    const app = new H3({ silent: true }).use(h3Plugin(db, { ...quiet, transaction: {}, ...options }))
    app.all('/', async ({ req }) => JSON.stringify(await work(queryOf(req.url), () => req.text())))
    const handle = toNodeHandler(app)
    return (request, response) => void handle(request, response)
  },
  async nest({ db, work, transaction = {}, ...options }) {
    @Controller()
    class Work {
      @Get()
      @TransactionalRoute(transaction)
      async get(@Req() { url }: IncomingMessage): Promise<string> {
        return JSON.stringify(await work(queryOf(url), bodyless))
      }
    }
    const imports = [GeneverModule.forRoot({ db, ...quiet, ...options })]
    const nest = await create('express', { imports, controllers: [Work] })
    await nest.init()
    return nest.getHttpAdapter().getInstance() as RequestListener
  },
  async next({ db, work, ...options }) {
    const route = withDb(db, async ({ url }: Request) => Response.json(await work(queryOf(url), bodyless)), {
      transaction: {},
      ...options,
    })
    const answer = async (url: string, response: ServerResponse): Promise<void> => {
      const left = new AbortController()
      response.once('close', () => left.abort())
      try {
        const given = await route(new Request(`http://localhost${url}`, { signal: left.signal }))
        response.writeHead(given.status).end(await given.text())
      } catch {
        response.writeHead(500).end()
      }
    }
    return (request, response) => void answer(request.url ?? '/', response)
  },
}
