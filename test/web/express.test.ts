/** `genever/express`: the suite, over Express 5. */

import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type RequestHandler,
  type Response,
} from 'express'
import { createDb } from 'genever'
import { genever, health, notFound } from 'genever/express'
import { describe, expect, test } from 'vitest'
import { databaseUrl } from '../support/database.ts'
import { type Adapter, type Answer, type App, type Call, readiness, running, type RunningApp } from './adapter.ts'
import { ask } from './client.ts'
import { requestSuite } from './request-suite.ts'

const adapter: Adapter = {
  name: 'express',
  settles: false,
  async start(app: App): Promise<RunningApp> {
    const server = express()
    server.set('env', 'test')
    const [main, ...more] = [app, ...(app.more ?? [])].map(({ db, options }) => genever(db, options))
    for (const plugin of [main!, ...more]) {
      await plugin.open(server)
      server.use(plugin)
    }
    server.get('/ready', health(app.db, readiness(app)))
    for (const { method, path, work, transaction } of app.routes) {
      const handler: RequestHandler = async (request, response) => write(response, await work(callOf(request)))
      server[method === 'GET' ? 'get' : 'post'](path, transaction === true ? main!.transactional(handler) : handler)
    }
    server.use(notFound)
    const listening = server.listen(0, '127.0.0.1')
    await once(listening, 'listening')
    return running(listening)
  },
}

function callOf(request: Request): Call {
  return {
    connection: (name = 'db') => (request as any)[name],
    query: new URL(request.originalUrl, 'http://localhost').searchParams,
  }
}

async function write(response: Response, answer: Answer): Promise<void> {
  response.status(answer.status ?? 200)
  if (answer.stream === undefined) response.json(answer.body)
  else
    await pipeline(Readable.from(answer.stream), response).catch((error: unknown) => {
      if (!response.destroyed) throw error
    })
  void answer.after?.()
}

requestSuite(adapter)

describe('what the plug-in puts on a request of Express', () => {
  /** What `handler` gives, in an application with the plug-in. */
  async function seen(
    handler: (request: Request) => unknown,
    build = (app: Express, plugin: RequestHandler): unknown => app.use(plugin),
  ): Promise<unknown> {
    await using db = createDb(await databaseUrl())
    const app = express()
    build(app, genever(db, { log: false }))
    app.get('/', async (request, response) => void response.json(await handler(request)))
    app.use(((error: Error, _request, response, _next) => void response.json(error.message)) as ErrorRequestHandler)
    const listening = app.listen(0, '127.0.0.1')
    await once(listening, 'listening')
    await using server = running(listening)
    return (await ask(server.port, 'GET /')).body
  }

  test('is there through a proxy and an object that inherits from it, and gives way to what is assigned', async () => {
    const read = async (request: Request): Promise<unknown> => {
      const proxy = new Proxy(request, {
        get: (target, name, receiver) => Reflect.get(target, name, receiver) as unknown,
      })
      const heir = Object.create(request) as Request
      const same = [proxy.db === request.db, heir.db === request.db, await request.db.scalar('select 1')]
      ;(request as { db: unknown }).db = 'mine'
      return [...same, request.db]
    }

    expect(await seen(read)).toEqual([true, true, 1, 'mine'])
  })

  test('is not on requests that have not come through the plug-in, of this application or another one', async () => {
    const early: unknown[] = []
    const look: RequestHandler = (request, _response, next) => {
      early.push(request.db)
      next()
    }
    await seen(
      () => null,
      (app, plugin) => app.use(look, plugin),
    )
    const bare = await seen(
      (request) => String(request.db),
      () => {},
    )

    expect([early, bare]).toEqual([[undefined], 'undefined'])
  })

  test('stays when it has left the application that put it there, mounted in another one', async () => {
    const mounted = (app: Express, plugin: RequestHandler): unknown => app.use(express().use(plugin))

    expect(await seen((request) => request.db.scalar('select 2'), mounted)).toBe(2)
  })

  test('is no property of the request itself, each of which costs a hidden class in Node 20', async () => {
    const own: (string | symbol)[][] = []
    const look: RequestHandler = (request, _response, next) => {
      own.push(Reflect.ownKeys(request))
      next()
    }
    const read = (request: Request): Promise<unknown> => {
      look(request, request.res!, () => {})
      return request.db.scalar('select 3')
    }

    expect(await seen(read, (app, plugin) => app.use(look, plugin, look))).toBe(3)
    const [before = [], after = []] = own
    expect(after.filter((name) => !before.includes(name))).toEqual([])
  })

  test('is there too where the list of the headers is another one whenever it is asked for', async () => {
    const imitate: RequestHandler = (request, _response, next) => {
      Object.defineProperty(request, 'rawHeaders', { get: () => [] })
      next()
    }
    await using second = createDb(await databaseUrl())
    const build = (app: Express, plugin: RequestHandler): unknown =>
      app.use(imitate, plugin, genever(second, { log: false, as: 'second' }))
    const read = async (request: Request): Promise<unknown> => {
      const other = (request as unknown as { second: Request['db'] }).second
      return [other === request.db, await request.db.scalar('select 1'), await other.scalar('select 2')]
    }

    expect(await seen(read, build)).toEqual([false, 1, 2])
  })

  test('is refused where the name is taken, by Express or by who came before', async () => {
    const taken: RequestHandler = (request, _response, next) => {
      ;(request as { db: unknown }).db = 'mine'
      next()
    }
    const first = await seen(
      () => null,
      (app, plugin) => app.use(taken, plugin),
    )
    await using db = createDb(await databaseUrl())
    const second = await seen(
      () => null,
      (app) => app.use(genever(db, { log: false, as: 'protocol' })),
    )

    expect([first, second]).toEqual([
      expect.stringContaining('has a property "db" already'),
      expect.stringContaining('has a property "protocol" already'),
    ])
  })
})
