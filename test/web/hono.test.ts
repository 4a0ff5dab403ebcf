/** `genever/hono`: the suite over Hono 4 on @hono/node-server, and what is Hono's own: errors, types, other runtimes. */

import { createAdaptorServer } from '@hono/node-server'
import { AbortedError, type Connection, createDb, type Db, NotFoundError, ReleasedConnectionError } from 'genever'
import { genever, type GeneverEnv, health, httpErrors } from 'genever/hono'
import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { expectTypeOf } from 'expect-type'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl } from '../support/database.ts'
import { gate } from '../support/gate.ts'
import { doing, pid, quiet } from '../support/matrix.ts'
import { type Adapter, type App, listening, readiness, type RunningApp } from './adapter.ts'
import { ask } from './client.ts'
import { requestSuite } from './request-suite.ts'

const listen = (app: { fetch: Hono['fetch'] }): Promise<RunningApp> =>
  listening(createAdaptorServer({ fetch: app.fetch }) as NonNullable<RunningApp['server']>)

const encode = new TextEncoder()

async function* bytes(texts: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  for await (const text of texts) yield encode.encode(text)
}

const adapter: Adapter = {
  name: 'hono',
  settles: true,
  async start(app: App): Promise<RunningApp> {
    const hono = new Hono()
    vi.spyOn(console, 'error').mockImplementation(() => {})
    const [main, ...more] = [app, ...(app.more ?? [])].map(({ db, options }) => genever(db, options))
    for (const plugin of [main!, ...more]) {
      await plugin.open()
      hono.use(plugin)
    }
    hono.get('/ready', health(app.db, readiness(app)))
    for (const route of app.routes) {
      const between = route.transaction === true ? [main!.transaction()] : []
      hono.on(route.method, [route.path], ...between, async (c) => {
        const connection = (name = 'db'): Connection => c.get(name as never)
        const answer = await route.work({ connection, query: new URL(c.req.url).searchParams })
        const status = (answer.status ?? 200) as 200
        if (answer.after !== undefined) c.env.outgoing.once('finish', answer.after)
        return answer.stream === undefined
          ? c.json(answer.body as {}, status)
          : c.body(ReadableStream.from(bytes(answer.stream)), status)
      })
    }
    return listen(hono)
  },
}

requestSuite(adapter)

let db: Db

/** The server of Hono puts others in their place, for the whole process. */
const globals = ['Request', 'Response'] as const
const ofNode = globals.map((name) => Object.getOwnPropertyDescriptor(globalThis, name)!)
afterAll(() => {
  for (const [at, name] of globals.entries()) Object.defineProperty(globalThis, name, ofNode[at]!)
})

beforeEach(async () => {
  db = await createDb(await databaseUrl(), { pool: { max: 3 } }).open()
})
afterEach(async () => {
  expect((await db.close()).broken).toEqual([])
})

const missing = (): never => {
  throw new NotFoundError('Bottle is not found')
}

describe('errors in Hono', () => {
  test('of what is not found are a 404 by themselves, and whatever app.onError makes of them', async () => {
    const web = genever(db, { log: false })
    const routes = (): Hono<GeneverEnv> => new Hono<GeneverEnv>().use(web).get('/', missing)
    const duck = routes().onError((error) => ('getResponse' in error ? error.getResponse() : new Response('?')))
    const seen: unknown[] = []
    const exact = routes().onError(
      httpErrors((error, c) => {
        if (!(error instanceof HTTPException)) return c.text('?', 500)
        seen.push(error.status, error.cause)
        return c.json({ error: error.message }, error.status)
      }),
    )
    const other = new Hono().get('/', () => {
      throw new RangeError('boom')
    })
    other.onError(httpErrors((error, c) => c.text(error.name, 500)))

    for (const app of [routes(), duck]) {
      const response = await app.request('/')
      expect([response.status, await response.text()]).toEqual([404, 'Bottle is not found'])
    }
    expect(await (await exact.request('/')).json()).toEqual({ error: 'Bottle is not found' })
    expect(seen).toEqual([404, expect.any(NotFoundError)])
    expect(await (await other.request('/')).text()).toBe('RangeError')
  })

  test('roll the transaction of their request back, whatever app.onError answers', async () => {
    await db.status('drop table if exists hono_notes; create table hono_notes (text text)')
    const web = genever(db, { log: false })
    const app = new Hono()
      .use(web)
      .post('/', web.transaction(), async (c) => {
        await c.var.db.status("insert into hono_notes values ('lost')")
        return missing()
      })
      .onError((_error, c) => c.text('never mind'))
    await using served = await listen(app)

    expect(await ask(served.port, 'POST /')).toEqual({ status: 200, body: 'never mind' })
    await quiet(db)
    expect(await db.scalar('select count(*)::int from hono_notes')).toBe(0)
  })
})

const nothing = (): void => {}

test.each([{}, { connectionForRequest: false }])(
  'a handler that gives nothing is an error of Hono, as without the plug-in: %o',
  async (options) => {
    const web = genever(db, { log: false, ...options })
    const app = new Hono().use(web, web).onError((error, c) => c.text(error.message, 500))
    app.get('/', nothing as never)

    expect(await (await app.request('/')).text()).toContain('Context is not finalized')
  },
)

test('a handler that gives nothing, or a network error, has its transaction rolled back: Hono answers it by an error', async () => {
  await db.status('drop table if exists hono_notes; create table hono_notes (text text)')
  const web = genever(db, { log: false })
  const app = new Hono().use(web, web.transaction()).onError((error, c) => c.text(error.message, 500))
  const giving = (answer: () => unknown) => async (): Promise<Response> => {
    await db.status("insert into hono_notes values ('lost')")
    return answer() as Response
  }
  app.post('/nothing', giving(nothing))
  app.post(
    '/broken',
    giving(() => Response.error()),
  )
  await using served = await listen(app)
  const [answer, broken] = [await ask(served.port, 'POST /nothing'), await app.request('/broken', { method: 'POST' })]
  await quiet(db)

  expect(answer).toEqual({ status: 500, body: expect.stringContaining('Context is not finalized') })
  expect(broken.type).toBe('error')
  expect(await db.scalar('select count(*)::int from hono_notes')).toBe(0)
})

test('handlers know the connections by their names, without a cast', async () => {
  await using reports = await createDb(await databaseUrl()).open()
  const app = new Hono<{ Variables: { user: string } }>()
    .use(genever(db, { log: false }))
    .use(genever(reports, { as: 'reports', log: false }))
    .get('/', async (c) => {
      expectTypeOf(c.var.db).toEqualTypeOf<Connection>()
      expectTypeOf(c.get('reports')).toEqualTypeOf<Connection>()
      expectTypeOf(c.var.user).toEqualTypeOf<string>()
      // @ts-expect-error -- no plug-in has this name
      void c.var.report
      return c.json([await pid(c.var.db), await pid(c.var.reports)])
    })
  const byHand = new Hono<GeneverEnv<'main'>>()
  byHand.use(genever(db, { as: 'main', log: false }))
  byHand.get('/', async (c) => c.text(String((await c.var.main.scalar('select 1')) === 1)))
  const taken = new Hono().use(genever(db, { log: false })).use(genever(reports, { log: false }))
  taken.get('/', (c) => c.text('never')).onError((error, c) => c.text(error.message, 500))

  expect(new Set((await (await app.request('/')).json()) as number[]).size).toBe(2)
  expect(await (await byHand.request('/')).text()).toBe('true')
  expect(await (await taken.request('/')).text()).toContain('has a property "db" already')
})

describe("where there is no response of Node's", () => {
  const context = (): { waited: Promise<unknown>[]; executionCtx: any } => {
    const waited: Promise<unknown>[] = []
    const executionCtx = { waitUntil: (promise: Promise<unknown>) => waited.push(promise), passThroughOnException() {} }
    return { waited, executionCtx }
  }
  async function* numbers(): AsyncGenerator<Uint8Array> {
    // The connection is that of the request, also in what runs while the body is read.
    yield encode.encode(`${db.current !== undefined} `)
    for await (const { n } of db.iterate<{ n: number }>('select n from generate_series(1, 5000) n'))
      yield encode.encode(`${n} `)
  }
  const streaming = (): Hono => {
    const app = new Hono()
    app.use(genever(db, { log: false }))
    app.get('/', (c) => c.body(ReadableStream.from(numbers()), 202, { 'x-kept': 'yes', 'content-type': 'text/plain' }))
    return app
  }

  test('the connection is kept until the body has been read, and the runtime is asked to wait for that', async () => {
    const { waited, executionCtx } = context()
    const response = await streaming().request('/', {}, {}, executionCtx)
    expect(doing(db)).toMatch(/^0 lent/)
    const reader = response.body!.getReader()
    const first = await reader.read()
    await reader.read()
    expect([new TextDecoder().decode(first.value), doing(db)]).toEqual(['true ', expect.stringMatching(/^1 lent/)])
    let text = ''
    for (let piece = await reader.read(); !piece.done; piece = await reader.read())
      text += new TextDecoder().decode(piece.value)
    await Promise.all(waited)

    expect(doing(db)).toMatch(/^0 lent/)
    expect([waited.length, response.status, response.headers.get('x-kept')]).toEqual([1, 202, 'yes'])
    expect(response.headers.get('content-type')).toBe('text/plain')
    expect(text.endsWith(' 5000 ')).toBe(true)
  })

  test('a body that is given up gives its connection back', async () => {
    const { waited, executionCtx } = context()
    const response = await streaming().request('/', {}, {}, executionCtx)
    const reader = response.body!.getReader()
    for (let i = 0; i < 3; i++) await reader.read()
    await reader.cancel()

    await Promise.all(waited)
    await quiet(db)
  })

  test('HEAD gives the body up, which nobody reads', async () => {
    const begun = gate()
    const app = new Hono().use(genever(db, { log: false })).get('/', (c) => {
      const rows = db.iterate('select n from generate_series(1, 5000) n')[Symbol.asyncIterator]()
      const body = new ReadableStream({
        // Called at once, before anybody reads.
        async pull(controller) {
          await rows.next()
          begun.open()
          controller.enqueue(new Uint8Array(1))
        },
        async cancel() {
          await begun.promise
          await rows.return?.()
        },
      })
      return c.body(body, 203)
    })
    const { waited, executionCtx } = context()
    const response = await app.request('/', { method: 'HEAD' }, {}, executionCtx)

    expect([response.status, response.body]).toEqual([203, null])
    await Promise.all(waited)
    await quiet(db)
  })

  test('a client that leaves is told by the signal of the request', async () => {
    const [begun, left] = [gate(), new AbortController()]
    let seen: unknown
    const app = new Hono()
    app.use(genever(db, { onAbort: 'cancel', log: false }))
    app.get('/', async (c) => {
      const sleeping = db.scalar('select pg_sleep(60)').catch((error: unknown) => (seen = error))
      begun.open()
      await sleeping
      return c.text('nobody hears it')
    })
    const answered = app.request('/', { signal: left.signal })
    await begun.promise
    left.abort()
    await answered

    expect(seen).toBeInstanceOf(AbortedError)
    await quiet(db)
  })

  test('a handler that throws, and one without a body, leave nothing behind', async () => {
    const { waited, executionCtx } = context()
    const seen: Connection[] = []
    const app = new Hono()
      .use(genever(db, { log: false }))
      .get('/empty', async (c) => {
        seen.push(c.var.db)
        await pid(db)
        return c.body(null, 204)
      })
      .get('/throw', async (c) => {
        seen.push(c.var.db)
        await pid(db)
        return missing()
      })
    expect((await app.request('/empty', {}, {}, executionCtx)).status).toBe(204)
    const { status, body } = await app.request('/throw', {}, {}, executionCtx)
    await body?.cancel()
    await Promise.all(waited)

    expect([status, waited.length]).toEqual([404, 2])
    expect(doing(db)).toMatch(/^0 lent/)
    for (const connection of seen)
      expect(await caught(connection.scalar('select 1'))).toBeInstanceOf(ReleasedConnectionError)
  })
})
