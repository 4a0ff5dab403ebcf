/** The tenant of a request in all eight frameworks: where its statements run, and what is answered when there is none. */

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
import { GeneverModule } from 'genever/nest'
import * as onNext from 'genever/next'
import { createRegistry } from 'genever/registry'
import { H3, toNodeHandler } from 'h3'
import { Hono } from 'hono'
import Koa from 'koa'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { quiet } from '../support/matrix.ts'
import { create } from './nest/app.ts'

let database: FreshDatabase
const tenants: Record<string, FreshDatabase> = {}
beforeAll(async () => {
  const filled = (name: string): string => `create table t as select '${name}' as name;`
  database = await freshDatabase(
    `${filled('none')} create schema a; create schema b; set search_path = a; ${filled('a')} set search_path = b; ${filled('b')}`,
  )
  for (const name of ['a', 'b']) tenants[name] = await freshDatabase(filled(name))
})
afterAll(async () => {
  for (const each of [database, ...Object.values(tenants)]) await each.drop()
})

/** Two statements, with the connection given back between them, and one in a transaction. */
async function work(db: Db): Promise<string[]> {
  const first = await db.scalar<string>('select name from t')
  await db.idle(() => {})
  return [
    first,
    await db.scalar('select name from t'),
    await db.transaction((tx) => tx.scalar('select name from t')),
  ] as string[]
}

/** The header is the tenant; `-` is none on purpose. */
const tenantOf = (header: unknown): unknown => (header === '-' ? null : header)
const tenantForRequest = ({ headers }: { readonly headers: IncomingMessage['headers'] }): unknown =>
  tenantOf(headers['x-tenant'])
const options = { log: false, tenantForRequest } as const

const frameworks: Readonly<
  Record<string, (db: Db) => Promise<RequestListener | { listen: () => Promise<string>; close: () => Promise<void> }>>
> = {
  async express(db) {
    const app = express().set('env', 'test')
    app.use(onExpress.genever(db, options))
    app.get('/', async (_request, response) => void response.json(await work(db)))
    return app
  },
  async fastify(db) {
    const app = Fastify()
    await app.register(onFastify.genever, { db, ...options })
    app.get('/', () => work(db))
    return { listen: () => app.listen({ port: 0, host: '127.0.0.1' }), close: () => app.close() }
  },
  async koa(db) {
    const app = new Koa({})
    app.silent = true
    app.use(onKoa.genever(db, options))
    app.use(async (context) => {
      context.body = await work(db)
    })
    const callback = app.callback()
    return (request, response) => void callback(request, response)
  },
  async hono(db) {
    const app = new Hono()
    // Two copies of the plug-in: they share the scope of the request.
    app.use(onHono.genever(db, { log: false, tenantForRequest: async (c) => tenantOf(c.req.header('x-tenant')) }))
    app.use(onHono.genever(db, { log: false, tenantForRequest: async (c) => tenantOf(c.req.header('x-tenant')) }))
    app.get('/', async (c) => c.json(await work(db)))
    return createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }).listeners(
      'request',
    )[0] as RequestListener
  },
  async h3(db) {
    const app = new H3({ silent: true })
    app.use(
      onH3.genever(db, {
        log: false,
        tenantForRequest: ({ req }) => tenantOf(req.headers.get('x-tenant') ?? undefined),
      }),
    )
    app.get('/', () => work(db))
    return toNodeHandler(app)
  },
  async http(db) {
    return onHttp.genever(db, options).handler(async (_request, response) => {
      response.end(JSON.stringify(await work(db)))
    })
  },
  async next(db) {
    const handler = onNext.withDb(db, async (_request: Request) => Response.json(await work(db)), {
      tenantForRequest: ([request]) => tenantOf(request.headers.get('x-tenant') ?? undefined),
    })
    const answered = async ({ headers }: IncomingMessage, response: ServerResponse): Promise<void> => {
      const given = headers['x-tenant']
      const asked = new Request('http://localhost/', {
        headers: given === undefined ? {} : { 'x-tenant': String(given) },
      })
      const answer = await handler(asked)
      response.writeHead(answer.status).end(await answer.text())
    }
    return (request, response) => void answered(request, response)
  },
  'nest on express': (db) => nest(db, 'express'),
  'nest on fastify': (db) => nest(db, 'fastify'),
}

async function nest(db: Db, platform: 'express' | 'fastify') {
  class Works {
    run(): Promise<unknown> {
      return work(db)
    }
  }
  Get('/')(Works.prototype, 'run', Object.getOwnPropertyDescriptor(Works.prototype, 'run')!)
  Param('path')(Works.prototype, 'run', 0)
  Controller()(Works)
  const app = await create(platform, { imports: [GeneverModule.forRoot({ db, ...options })], controllers: [Works] })
  return {
    listen: async () => {
      await app.listen(0, '127.0.0.1')
      return app.getUrl()
    },
    close: () => app.close(),
  }
}

const bySchema = () =>
  createRegistry({ main: { url: database.url, pool: { max: 2 } }, tenancy: { schema: (id: string) => id } })
const byDatabase = () =>
  createRegistry({
    main: { url: database.url, pool: { max: 2 } },
    tenancy: {
      database: (id: string) => ({ url: (tenants[id] as FreshDatabase).url, pool: { max: 2 } }),
      maxConnections: 2,
    },
  })

describe.each(Object.keys(frameworks))('%s', (name) => {
  let logged: { mockRestore(): void }
  beforeEach(() => {
    logged = vi.spyOn(console, 'error').mockImplementation(() => {})
    return () => logged.mockRestore()
  })

  async function serving(
    db: Db,
    use: (ask: (tenant?: string) => Promise<[number, string]>) => Promise<void>,
  ): Promise<void> {
    const made = await frameworks[name]!(db)
    const server = typeof made === 'function' ? createServer(made) : null
    let url: string
    if (server !== null) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    } else url = await (made as { listen: () => Promise<string> }).listen()
    try {
      await use(async (tenant) => {
        const headers: Record<string, string> = tenant === undefined ? {} : { 'x-tenant': tenant }
        const answer = await fetch(url, { headers, signal: AbortSignal.timeout(50_000) })
        return [answer.status, await answer.text()]
      })
    } finally {
      server?.closeAllConnections()
      server?.close()
      if (typeof made !== 'function') await made.close()
      await db.close({ force: true } as object)
    }
  }

  test('a request runs at its tenant, one without a tenant is answered by 400, and nothing leaks from one to the next', async () => {
    const db = bySchema()
    await serving(db, async (ask) => {
      for (const tenant of ['a', 'b', 'a', '-'] as const) {
        const wanted = tenant === '-' ? 'none' : tenant
        expect(await ask(tenant)).toEqual([200, JSON.stringify([wanted, wanted, wanted])])
      }
      for (const wrong of [undefined, 'nobody', 'pg_x', 'public']) expect((await ask(wrong))[0]).toBe(400)
      const many = await Promise.all(
        ['a', 'b', '-', 'a', 'b', '-', 'a', 'b'].map(async (tenant) => [tenant, (await ask(tenant))[1]]),
      )
      for (const [tenant, body] of many) expect(JSON.parse(body as string)[0]).toBe(tenant === '-' ? 'none' : tenant)
      await quiet(db)
      expect(await db.scalar('select name from t')).toBe('none')
    })
  })

  test('a tenant with its own database, whose pool the next one may close when the request has ended', async () => {
    await serving(byDatabase(), async (ask) => {
      for (const tenant of ['a', 'b', 'a', '-'] as const) {
        const wanted = tenant === '-' ? 'none' : tenant
        expect(await ask(tenant)).toEqual([200, JSON.stringify([wanted, wanted, wanted])])
      }
      expect((await ask())[0]).toBe(400)
    })
  })

  test('tenantForRequest of a db without tenants is refused at the start', async () => {
    await expect((async () => frameworks[name]!(createDb(database.url)))()).rejects.toThrow(
      /createRegistry\(\{ tenancy \}\)/,
    )
  })
})

test('tenantForRequest without a connection for each request is refused', () => {
  expect(() => onHttp.genever(bySchema(), { tenantForRequest, connectionForRequest: false })).toThrow(
    /tenantForRequest/,
  )
})

test('tenantForRequest may ask the database which tenant it is, on the only connection there is', async () => {
  await using db = createRegistry({
    main: { url: database.url, pool: { max: 1 } },
    tenancy: { schema: (id: string) => id },
  })
  await db.status("create table hosts as select * from (values ('one', 'a'), ('two', 'b')) as hosts (name, tenant)")
  const known = (host: unknown): Promise<string | undefined> =>
    db.scalar<string>('select tenant from hosts where name = $1', [host])
  const web = onHttp.genever(db, {
    log: false,
    tenantForRequest: async ({ headers }) => (await known(headers['x-host'])) ?? undefined,
  })
  const server = createServer(
    web.handler(async (_request, response) => void response.end(JSON.stringify(await work(db)))),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const ask = async (host: string): Promise<unknown> => {
    const answer = await fetch(`http://127.0.0.1:${port}`, { headers: { 'x-host': host } })
    return answer.ok ? answer.json() : answer.status
  }
  try {
    expect(await Promise.all(['one', 'two', 'three', 'one', 'two'].map(ask))).toEqual([
      ['a', 'a', 'a'],
      ['b', 'b', 'b'],
      400,
      ['a', 'a', 'a'],
      ['b', 'b', 'b'],
    ])
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
