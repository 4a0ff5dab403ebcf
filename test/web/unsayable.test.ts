/** Answers in a transaction that JSON cannot say: whose text is made inside of it rolls back, by the framework or by the handler. */

import { createServer, type RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { Controller, Get, Res } from '@nestjs/common'
import express from 'express'
import Fastify from 'fastify'
import { createDb, type Db } from 'genever'
import { genever as expressPlugin } from 'genever/express'
import { genever as fastifyPlugin } from 'genever/fastify'
import { genever as h3Plugin } from 'genever/h3'
import { genever as honoPlugin } from 'genever/hono'
import { genever as koaPlugin } from 'genever/koa'
import { GeneverModule, TransactionalRoute } from 'genever/nest'
import { withDb } from 'genever/next'
import { H3, toNodeHandler } from 'h3'
import { Hono } from 'hono'
import Koa from 'koa'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { quiet } from '../support/matrix.ts'
import { listening, type RunningApp } from './adapter.ts'
import { ask } from './client.ts'
import { type Platform, type Sender, start } from './nest/app.ts'

let database: FreshDatabase
let db: Db

beforeAll(async () => {
  database = await freshDatabase('create table notes (text text)')
})
beforeEach(async () => {
  db = await createDb(database.url, { pool: { max: 4 } }).open()
})
afterEach(async () => {
  await db.close()
})
afterAll(() => database.drop())

const value: unknown = { n: 1n }
const options = { log: false, transaction: true } as const

async function note(): Promise<void> {
  await db.status("insert into notes values ('kept')")
}

const listen = (listener: unknown): Promise<RunningApp> => listening(createServer(listener as RequestListener))

function koa(set: (ctx: Koa.Context) => void): Promise<RunningApp> {
  const app = new Koa().use(koaPlugin(db, options))
  app.silent = true
  app.use(async (ctx) => {
    await note()
    set(ctx)
  })
  return listen(app.callback())
}

function h3(answer: () => unknown): Promise<RunningApp> {
  const app = new H3({ silent: true }).use(h3Plugin(db, options))
  app.get('/', async () => {
    await note()
    return answer()
  })
  return listen(toNodeHandler(app))
}

/** The controller of one route, `GET /`. */
function controller(response: 'by hand' | 'returned'): new () => object {
  class Answering {
    async answer(sender: Sender): Promise<unknown> {
      await note()
      if (response === 'returned') return value
      return void sender.send(value)
    }
  }
  const { prototype } = Answering
  const descriptor = Object.getOwnPropertyDescriptor(prototype, 'answer')!
  for (const decorate of [Get(), TransactionalRoute()]) decorate(prototype, 'answer', descriptor)
  Res({ passthrough: response === 'returned' })(prototype, 'answer', 0)
  Controller()(Answering)
  return Answering
}

const nest = (platform: Platform, response: 'by hand' | 'returned'): Promise<RunningApp> =>
  start(platform, { imports: [GeneverModule.forRoot({ db, log: false })], controllers: [controller(response)] })

const rolledBack: Readonly<Record<string, () => Promise<RunningApp>>> = {
  async Express() {
    const app = express().set('env', 'test').use(expressPlugin(db, options))
    app.get('/', async (_request, response) => {
      await note()
      response.json(value)
    })
    return listen(app)
  },
  async Fastify() {
    const app = Fastify()
    await app.register(fastifyPlugin, { db, ...options })
    app.get('/', async () => {
      await note()
      return value
    })
    await app.ready()
    return listen((request: never, response: never) => app.routing(request, response))
  },
  async Hono() {
    const app = new Hono().use(honoPlugin(db, options))
    app.onError((_error, c) => c.text('failed', 500))
    app.get('/', async (c) => {
      await note()
      return c.json(value as never)
    })
    return listen(getRequestListener(app.fetch, { overrideGlobalObjects: false }))
  },
  'Koa, by text': () => koa((ctx) => void (ctx.body = JSON.stringify(value))),
  'h3, by Response.json': () => h3(() => Response.json(value)),
  'Nest on Express, by @Res()': () => nest('express', 'by hand'),
  'Nest on Fastify, by @Res()': () => nest('fastify', 'by hand'),
}

const kept: typeof rolledBack = {
  Koa: () => koa((ctx) => void (ctx.body = value)),
  h3: () => h3(() => value),
  'Nest on Express': () => nest('express', 'returned'),
  'Nest on Fastify': () => nest('fastify', 'returned'),
}

async function keptBy(start: () => Promise<RunningApp>): Promise<unknown> {
  await database.query('truncate notes')
  {
    await using served = await start()
    expect((await ask(served.port, 'GET /')).status).toBe(500)
    await quiet(db)
  }
  return (await database.query('select text from notes')).length
}

test.each(Object.keys(rolledBack))('%s rolls back', async (name) => {
  expect(await keptBy(rolledBack[name]!)).toBe(0)
})

test.each(Object.keys(kept))(
  '%s makes the text of what was committed, behind all that may still change it',
  async (name) => {
    expect(await keptBy(kept[name]!)).toBe(1)
  },
)

test('a route handler of Next.js rolls back', async () => {
  await database.query('truncate notes')
  const handler = withDb(
    db,
    async (_request: Request) => {
      await note()
      return Response.json(value)
    },
    { transaction: true },
  )

  expect(await caught(handler(new Request('http://localhost/')))).toBeInstanceOf(TypeError)
  expect(await database.query('select text from notes')).toEqual([])
})
