/** Errors in all eight frameworks: what an error handler answers, and what throws while a request enters. */

import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import 'reflect-metadata'
import { createAdaptorServer } from '@hono/node-server'
import { Controller, Get, Param } from '@nestjs/common'
import express from 'express'
import Fastify from 'fastify'
import { createDb, type Db } from 'genever'
import * as onExpress from 'genever/express'
import * as onFastify from 'genever/fastify'
import * as onH3 from 'genever/h3'
import * as onHono from 'genever/hono'
import * as onHttp from 'genever/http'
import * as onKoa from 'genever/koa'
import { GeneverModule, ProblemFilter } from 'genever/nest'
import * as onNext from 'genever/next'
import { H3, toNodeHandler } from 'h3'
import { Hono } from 'hono'
import Koa from 'koa'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { quiet } from '../support/matrix.ts'
import { create } from './nest/app.ts'

const secret = 'secret@example.org'
type Answer = readonly [status: number, type: string, body: string]

let database: FreshDatabase
beforeAll(async () => {
  database =
    await freshDatabase(`create table users (id serial primary key, email text unique, age integer check (age > 0));
    create table posts (user_id integer references users); create table log (path text);
    insert into users (email) values ('${secret}')`)
})
afterAll(() => database.drop())

const works: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
  fine: (db) => db.one('select 1 as one'),
  taken: (db) => db.status('insert into users (email) values ($1)', [secret]),
  unfit: (db) => db.status('insert into users (age) values (-1)'),
  orphan: (db) => db.status('insert into posts values (99)'),
  number: (db) => db.scalar('select $1::integer', [secret]),
  missing: (db) => db.firstOr404('select 1 where false'),
  broken: () => Promise.reject(new Error(secret)),
  // The server ends the connection, as when it is stopped.
  lost: (db) => db.scalar('select pg_terminate_backend(pg_backend_pid())'),
}
const work = async (db: Db, path: string): Promise<unknown> => {
  await db.status('insert into log values ($1)', [path])
  return works[path]?.(db)
}

const settingsOf = (headers: Readonly<Record<string, unknown>>): Record<string, string> => {
  if (headers['x-tenant'] === undefined) throw new Error('no tenant')
  return { 'app.tenant': '1' }
}
const log = false as const

type Serving = RequestListener | { listen: () => Promise<string>; close: () => Promise<void> }

/**
 * A server of each framework over a database that is not open yet; every request in a transaction. `hear` gets what the framework logs as
 * an error, unless that goes to the console.
 */
const frameworks: Readonly<Record<string, (db: Db, hear: (entry: unknown) => void) => Promise<Serving>>> = {
  async express(db) {
    const app = express().set('env', 'production')
    const plugin = onExpress.genever(db, { log, settingsForRequest: ({ headers }) => settingsOf(headers) })
    app.use(plugin)
    app.get(
      '/:path',
      plugin.transactional(async (request, response) => {
        response.json(await work(db, String(request.params['path'])))
      }),
    )
    return app.use(onExpress.errorHandler())
  },
  async fastify(db, hear) {
    const app = Fastify({ logger: { level: 'error', stream: { write: hear } } })
    app.setErrorHandler(onFastify.errorHandler())
    await app.register(onFastify.genever, {
      db,
      log,
      transaction: true,
      settingsForRequest: ({ headers }) => settingsOf(headers),
    })
    app.get<{ Params: { path: string } }>('/:path', async ({ params }) => work(db, params.path))
    return { listen: () => app.listen({ port: 0, host: '127.0.0.1' }), close: () => app.close() }
  },
  async koa(db, hear) {
    const app = new Koa({})
    app.on('error', hear)
    app.use(onKoa.errorHandler())
    app.use(onKoa.genever(db, { log, transaction: true, settingsForRequest: ({ headers }) => settingsOf(headers) }))
    app.use(async (context) => {
      context.body = await work(db, context.path.slice(1))
    })
    const callback = app.callback()
    return (request, response) => void callback(request, response)
  },
  async hono(db) {
    const app = new Hono()
    app.onError(onHono.errorHandler())
    app.use(onHono.genever(db, { log, transaction: true, settingsForRequest: (c) => settingsOf(c.req.header()) }))
    app.get('/:path', async (c) => c.json((await work(db, c.req.param('path'))) as object))
    return createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }).listeners(
      'request',
    )[0] as RequestListener
  },
  async h3(db) {
    const app = new H3({ onError: onH3.errorHandler() })
    const settingsForRequest = (event: { readonly req: Request }) => settingsOf(Object.fromEntries(event.req.headers))
    app.use(onH3.genever(db, { log, transaction: true, settingsForRequest }))
    app.get('/:path', ({ context }) => work(db, String(context.params?.['path'])))
    return toNodeHandler(app)
  },
  async http(db, hear) {
    const web = onHttp.genever(db, {
      log: { info() {}, warn() {}, error: hear },
      transaction: true,
      settingsForRequest: ({ headers }) => settingsOf(headers),
    })
    return web.handler(
      async ({ url = '' }, response) => {
        response.end(JSON.stringify(await work(db, url.slice(1))))
      },
      { onError: onHttp.errorHandler() },
    )
  },
  async next(db, hear) {
    const handler = onNext.errorHandler(
      onNext.withDb(
        db,
        async (request: Request) => Response.json(await work(db, new URL(request.url).pathname.slice(1))),
        {
          transaction: true,
          settingsForRequest: ([request]) => settingsOf(Object.fromEntries(request.headers)),
        },
      ),
    )
    // Next.js answers what a route handler throws by 500, and logs it.
    const answered = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const asked = new Request(`http://localhost${request.url}`, { headers: headersOf(request) })
      const answer = await handler(asked).catch((error: unknown) => {
        hear(error)
        return new Response('Internal Server Error', { status: 500 })
      })
      response
        .writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' })
        .end(await answer.text())
    }
    return (request, response) => void answered(request, response)
  },
  'nest on express': (db, hear) => nest(db, 'express', hear),
  'nest on fastify': (db, hear) => nest(db, 'fastify', hear),
}

function headersOf({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
}

async function nest(db: Db, platform: 'express' | 'fastify', hear: (entry: unknown) => void) {
  class Works {
    run(path: string): Promise<unknown> {
      return work(db, path)
    }
  }
  Get('/:path')(Works.prototype, 'run', Object.getOwnPropertyDescriptor(Works.prototype, 'run')!)
  Param('path')(Works.prototype, 'run', 0)
  Controller()(Works)
  const options = {
    db,
    log,
    transaction: true,
    settingsForRequest: (request: IncomingMessage) => settingsOf(request.headers),
  }
  const app = await create(platform, { imports: [GeneverModule.forRoot(options)], controllers: [Works] })
  app.useGlobalFilters(new ProblemFilter())
  app.useLogger({ log() {}, warn() {}, error: hear })
  return {
    listen: async () => {
      await app.listen(0, '127.0.0.1')
      return app.getUrl()
    },
    close: () => app.close(),
  }
}

describe.each(Object.keys(frameworks))('%s', (name) => {
  let logged: unknown[]
  const hear = (entry: unknown): unknown => logged.push(entry)
  beforeEach(() => {
    logged = []
    const spy = vi.spyOn(console, 'error').mockImplementation(hear)
    return () => spy.mockRestore()
  })

  async function serving(
    use: (ask: (path: string, tenant?: boolean) => Promise<Answer>) => Promise<void>,
  ): Promise<void> {
    const db = createDb(database.url, { pool: { max: 2 } })
    const made = await frameworks[name]!(db, hear)
    const server = typeof made === 'function' ? createServer(made) : null
    let url: string
    if (typeof made === 'function' && server !== null) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    } else url = await (made as { listen: () => Promise<string> }).listen()
    try {
      await use(async (path, tenant = true) => {
        const answer = await fetch(`${url}/${path}`, {
          headers: tenant ? { 'x-tenant': '1' } : {},
          signal: AbortSignal.timeout(50_000),
        })
        return [answer.status, answer.headers.get('content-type') ?? '', await answer.text()]
      })
      await quiet(db)
    } finally {
      server?.closeAllConnections()
      server?.close()
      if (typeof made !== 'function') await made.close()
      await db.close()
    }
  }

  test('what throws while a request enters, the first too, is answered by 500, and the next is served', async () => {
    await serving(async (ask) => {
      expect((await ask('fine', false))[0]).toBe(500)
      expect((await ask('fine'))[0]).toBe(200)
      expect((await ask('fine', false))[0]).toBe(500)
      expect((await ask('fine'))[0]).toBe(200)
    })
  })

  test('its error handler answers clients and constraints as problems, without values, and rolls back', async () => {
    await database.query('delete from log')
    await serving(async (ask) => {
      const statuses: Record<string, number> = {}
      for (const path of ['taken', 'unfit', 'orphan', 'number', 'missing', 'broken', 'lost', 'fine']) {
        const [status, type, body] = await ask(path)
        statuses[path] = status
        if (path === 'fine' || path === 'broken') continue
        expect(body).not.toContain(secret)
        expect(type).toContain('json')
        // These two answer it themselves.
        if (path === 'missing' && (name === 'next' || name.startsWith('nest'))) continue
        expect(JSON.parse(body)).toMatchObject({
          status,
          code: expect.stringMatching(/^GENEVER_/),
          title: expect.any(String),
        })
      }
      expect(statuses).toEqual({
        taken: 409,
        unfit: 422,
        orphan: 422,
        number: 400,
        missing: 404,
        broken: 500,
        lost: 503,
        fine: 200,
      })
    })
    expect(await database.query('select path from log')).toEqual([{ path: 'fine' }])
  })

  test('it logs a database that cannot serve, once, and not what a client does wrong', async () => {
    await serving(async (ask) => {
      for (const path of ['lost', 'taken', 'unfit']) await ask(path)
    })

    // h3 itself logs each error, before an error handler is asked.
    expect(logged).toHaveLength(name === 'h3' ? 3 : 1)
  })
})

describe('an answer that is held until the COMMIT', () => {
  test.each(['express', 'http'])('has the status that decided, whatever is set behind it: %s', async (name) => {
    const db = createDb(database.url)
    await db.status('delete from log')
    const plugin = onExpress.genever(db, { log })
    const listener: RequestListener =
      name === 'express'
        ? express()
            .use(plugin)
            .get(
              '/',
              plugin.transactional(async (_request, response) => {
                await db.status("insert into log values ('express')")
                response.json({})
                response.statusCode = 500
              }),
            )
        : onHttp.genever(db, { log, transaction: true }).handler(async (_request, response) => {
            await db.status("insert into log values ('http')")
            response.end('{}')
            response.statusCode = 500
          })
    const server = createServer(listener)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

    const { status } = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)

    server.closeAllConnections()
    server.close()
    expect({ status, stored: await db.all('select path from log') }).toEqual({ status: 200, stored: [{ path: name }] })
    await db.close()
  })
})
