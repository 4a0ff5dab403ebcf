/** What a plug-in adds to a request without SQL, in promises: the dearest thing in a context, and one that can be counted. */

import { AsyncLocalStorage, createHook } from 'node:async_hooks'
import { createServer, type RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { Controller, Get } from '@nestjs/common'
import express from 'express'
import Fastify from 'fastify'
import { createDb, type Db } from 'genever'
import { genever as expressPlugin } from 'genever/express'
import { genever as fastifyPlugin } from 'genever/fastify'
import { genever as h3Plugin } from 'genever/h3'
import { genever as honoPlugin } from 'genever/hono'
import { genever as httpPlugin } from 'genever/http'
import { genever as koaPlugin } from 'genever/koa'
import { GeneverModule } from 'genever/nest'
import { H3, toNodeHandler } from 'h3'
import { Hono } from 'hono'
import Koa from 'koa'
import { expect, test } from 'vitest'
import { databaseUrl } from '../support/database.ts'
import { listening } from './adapter.ts'
import { ask } from './client.ts'
import { create } from './nest/app.ts'

const context = new AsyncLocalStorage<object>()

/** With the plug-in; without a database, with an empty context in its place. */
const frameworks: Record<string, (db: Db | null) => Promise<RequestListener>> = {
  async http(db) {
    const handler = async (_request: unknown, response: { end(text: string): unknown }): Promise<void> => {
      response.end('hello')
    }
    if (db === null) return (request, response) => void context.run({}, () => handler(request, response))
    const web = httpPlugin(db, { log: false })
    await web.open()
    return web.handler(handler)
  },
  async express(db) {
    const app = express()
    app.use(db === null ? (_request, _response, next) => context.run({}, next) : expressPlugin(db, { log: false }))
    return app.get('/', (_request, response) => void response.send('hello'))
  },
  async fastify(db) {
    const app = Fastify()
    if (db === null) app.addHook('onRequest', (_request, _reply, done) => context.run({}, done))
    else await app.register(fastifyPlugin, { db, log: false })
    app.get('/', (_request, reply) => void reply.send('hello'))
    await app.ready()
    return (request, response) => app.routing(request, response)
  },
  async koa(db) {
    const app = new Koa()
    if (db === null) app.use((_ctx, next) => context.run({}, next))
    else app.use(koaPlugin(db, { log: false }))
    app.use((ctx) => void (ctx.body = 'hello'))
    const handle = app.callback()
    return (request, response) => void handle(request, response)
  },
  async hono(db) {
    const app = new Hono()
    if (db === null) app.use((_c, next) => context.run({}, next))
    else app.use(honoPlugin(db, { log: false }))
    app.get('/', (c) => c.text('hello'))
    const handle = getRequestListener(app.fetch)
    return (request, response) => void handle(request, response)
  },
  async h3(db) {
    const app = new H3()
    app.use(db === null ? (_event, next) => context.run({}, next) : h3Plugin(db, { log: false }))
    const handle = toNodeHandler(app.get('/', async () => 'hello'))
    return (request, response) => void handle(request, response)
  },
  async nest(db) {
    @Controller()
    class Hello {
      @Get()
      get(): string {
        return 'hello'
      }
    }
    const imports = db === null ? [] : [GeneverModule.forRoot({ db, log: false })]
    const nest = await create('express', { imports, controllers: [Hello] })
    if (db === null) nest.use((_request: unknown, _response: unknown, next: () => void) => context.run({}, next))
    await nest.init()
    return nest.getHttpAdapter().getInstance() as RequestListener
  },
}

let made = 0
const hook = createHook({
  init(_id, type) {
    if (type === 'PROMISE') made++
  },
})

/** For one request, the client's own included. */
async function promises(listener: RequestListener): Promise<number> {
  const server = createServer(listener)
  await using app = await listening(server)
  const counts: number[] = []
  hook.enable()
  for (let i = 0; i < 10; i++) {
    const before = made
    expect((await ask(app.port, 'GET /')).body).toBe('hello')
    counts.push(made - before)
  }
  hook.disable()
  return Math.min(...counts)
}

const own: Readonly<Record<string, number>> = { http: 2, express: 0, fastify: 0, koa: 1, hono: 1, h3: 1, nest: 0 }

test.each(Object.keys(frameworks))('a request of %s that runs no statement has no promise too many', async (name) => {
  await using db = await createDb(await databaseUrl()).open()
  const make = frameworks[name]!
  const without = await promises(await make(null))

  expect((await promises(await make(db))) - without).toBe(own[name])
})
