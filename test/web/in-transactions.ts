/** One route in each framework, whose handler runs in the transaction of its request. */

import type { RequestListener, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { Controller, Get } from '@nestjs/common'
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
  /** Its value is the answer, as JSON. */
  readonly work: () => Promise<unknown>
  readonly transaction?: RequestTransactionOptions
  readonly onAbort?: PluginOptions['onAbort']
  readonly holdForRequest?: boolean
}

type Frameworks = Readonly<Record<string, (wanted: Wanted) => Promise<RequestListener>>>

const quiet = { log: false } as const

/** Each answers every request to `/`. */
export const inTransactions: Frameworks = {
  async http({ db, work, ...options }) {
    const web = httpPlugin(db, { ...quiet, transaction: {}, ...options })
    await web.open()
    return web.handler(async (_request, response) => void response.end(JSON.stringify(await work())))
  },
  async express({ db, work, transaction = {}, ...options }) {
    const web = expressPlugin(db, { ...quiet, ...options })
    const app = express().use(web)
    const handler = web.transactional(async (_request, response) => void response.json(await work()), transaction)
    return app.get('/', handler)
  },
  async fastify({ db, work, ...options }) {
    const app = Fastify()
    await app.register(fastifyPlugin, { db, ...quiet, transaction: {}, ...options })
    app.get('/', async (_request, reply) => reply.send(JSON.stringify(await work())))
    await app.ready()
    return (request, response) => app.routing(request, response)
  },
  async koa({ db, work, ...options }) {
    const app = new Koa({ asyncLocalStorage: false }).on('error', () => {})
    app.use(koaPlugin(db, { ...quiet, transaction: {}, ...options }))
    app.use(async (context) => void (context.body = JSON.stringify(await work())))
    const handle = app.callback()
    return (request, response) => void handle(request, response)
  },
  async hono({ db, work, ...options }) {
    const app = new Hono().use(honoPlugin(db, { ...quiet, transaction: {}, ...options }))
    app.onError((_error, c) => c.text('failed', 500))
    app.get('/', async (c) => c.text(JSON.stringify(await work())))
    // Else h3 in this process answers errors with status 200: it does not know the Response that stands for Node's.
    const handle = getRequestListener(app.fetch, { overrideGlobalObjects: false })
    return (request, response) => void handle(request, response)
  },
  async h3({ db, work, ...options }) {
    const app = new H3({ silent: true }).use(h3Plugin(db, { ...quiet, transaction: {}, ...options }))
    app.get('/', async () => JSON.stringify(await work()))
    const handle = toNodeHandler(app)
    return (request, response) => void handle(request, response)
  },
  async nest({ db, work, transaction = {}, ...options }) {
    @Controller()
    class Work {
      @Get()
      @TransactionalRoute(transaction)
      async get(): Promise<string> {
        return JSON.stringify(await work())
      }
    }
    const imports = [GeneverModule.forRoot({ db, ...quiet, ...options })]
    const nest = await create('express', { imports, controllers: [Work] })
    await nest.init()
    return nest.getHttpAdapter().getInstance() as RequestListener
  },
  async next({ db, work, ...options }) {
    const route = withDb(db, async (_request: Request) => Response.json(await work()), { transaction: {}, ...options })
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
