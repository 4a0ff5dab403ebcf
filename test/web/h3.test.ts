/** `genever/h3`: the suite over h3 2 on node:http, and what is h3's own: errors, hooks, types, other runtimes. */

import { createServer } from 'node:http'
import { type Connection, createDb, type Db, NotFoundError } from 'genever'
import { genever, health } from 'genever/h3'
import { expectTypeOf } from 'expect-type'
import { H3, HTTPError, HTTPResponse, onResponse, toNodeHandler } from 'h3'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { databaseUrl } from '../support/database.ts'
import { doing, pid, quiet } from '../support/matrix.ts'
import { type Adapter, type App, listening, readiness, type RunningApp } from './adapter.ts'
import { ask } from './client.ts'
import { requestSuite } from './request-suite.ts'

const listen = (app: H3): Promise<RunningApp> =>
  listening(createServer(toNodeHandler(app) as Parameters<typeof createServer>[1]))

const encode = new TextEncoder()

async function* bytes(texts: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  for await (const text of texts) yield encode.encode(text)
}

const adapter: Adapter = {
  name: 'h3',
  settles: true,
  async start(app: App): Promise<RunningApp> {
    const h3 = new H3({ silent: true })
    const [main, ...more] = [app, ...(app.more ?? [])].map(({ db, options }) => genever(db, options))
    for (const plugin of [main!, ...more]) {
      await plugin.open()
      h3.use(plugin)
    }
    h3.get('/ready', health(app.db, readiness(app)))
    for (const route of app.routes)
      h3.on(
        route.method,
        route.path,
        async (event) => {
          const connection = (name = 'db'): Connection => (event.context as any)[name]
          const answer = await route.work({ connection, query: event.url.searchParams })
          event.res.status = answer.status ?? 200
          if (answer.after !== undefined) event.runtime?.node?.res?.once('finish', answer.after)
          if (answer.stream !== undefined) return ReadableStream.from(bytes(answer.stream))
          return new HTTPResponse(JSON.stringify(answer.body), { headers: { 'content-type': 'application/json' } })
        },
        { middleware: route.transaction === true ? [main!.transaction()] : [] },
      )
    return listen(h3)
  },
}

requestSuite(adapter)

let db: Db

beforeEach(async () => {
  db = await createDb(await databaseUrl(), { pool: { max: 3 } }).open()
})
afterEach(async () => {
  expect((await db.close()).broken).toEqual([])
})

const missing = (): never => {
  throw new NotFoundError('Bottle is not found')
}

test.each([true, false])(
  "what is not found is h3's own error, with its message, for clients and for onError; with a connection: %o",
  async (connectionForRequest) => {
    const seen: unknown[] = []
    const app = new H3({ silent: true, onError: (error) => void seen.push(error) })
    app.use(genever(db, { connectionForRequest, log: false }))
    app.get('/', missing).get('/later', async () => missing())

    for (const path of ['/', '/later'])
      expect(await (await app.request(path)).json()).toMatchObject({ status: 404, message: 'Bottle is not found' })
    expect(seen).toEqual([expect.any(HTTPError), expect.any(HTTPError)])
    for (const error of seen)
      expect(error).toMatchObject({ status: 404, unhandled: undefined, cause: { cause: expect.any(NotFoundError) } })
  },
)

test('handlers know the connection by its name, without a cast', async () => {
  await using reports = await createDb(await databaseUrl()).open()
  const app = new H3({ silent: true }).use(genever(db, { log: false }))
  app.use(genever(reports, { as: 'reports', log: false })).get('/', async (event) => {
    expectTypeOf(event.context.db).toEqualTypeOf<Connection>()
    return [await pid(event.context.db), await pid(event.context['reports'] as Connection)]
  })

  expect(new Set((await (await app.request('/')).json()) as number[]).size).toBe(2)
})

test('a transaction goes by what a handler returns: values, responses of h3 and of the Fetch API', async () => {
  await db.status('drop table if exists h3_notes; create table h3_notes (text text)')
  const web = genever(db, { log: false })
  const app = new H3({ silent: true }).use(web)
  const answers: Record<string, () => unknown> = {
    value: () => ({ ok: true }),
    nothing: () => null,
    response: () => new Response('ok', { status: 201 }),
    conflict: () => new Response('no', { status: 409 }),
    answer: () => new HTTPResponse('ok'),
    refusal: () => new HTTPResponse('no', { status: 422 }),
    error: () => new HTTPError({ status: 400 }),
    broken: () => Response.error(),
  }
  for (const [name, answer] of Object.entries(answers)) {
    const handler = async (): Promise<unknown> => {
      await db.status('insert into h3_notes values ($1)', [name])
      return answer()
    }
    app.post(`/${name}`, handler, { middleware: [web.transaction()] })
  }
  app.post(
    '/status',
    async (event) => {
      await db.status("insert into h3_notes values ('status')")
      event.res.status = 410
      return 'gone'
    },
    { middleware: [web.transaction()] },
  )
  await using served = await listen(app)
  const statuses: number[] = []
  for (const name of [...Object.keys(answers), 'status'])
    statuses.push((await ask(served.port, `POST /${name}`)).status)
  await quiet(db)

  expect(statuses).toEqual([200, 200, 201, 409, 200, 422, 400, 500, 410])
  expect(await db.all('select text from h3_notes order by 1')).toEqual(
    ['answer', 'nothing', 'response', 'value'].map((text) => ({ text })),
  )
})

test('a hook that looks at responses from outside leaves the connection alone, also when the body is a stream', async () => {
  const app = new H3().use(
    onResponse((response) => {
      // Braces: what such a hook returns is sent in place of the response.
      void response.status
    }),
  )
  app.use(genever(db, { log: false }))
  app.get('/', () => {
    const rows = db.iterate<{ n: number }>('select n from generate_series(1, 300) n')
    const texts = async function* (): AsyncGenerator<string> {
      for await (const { n } of rows) yield `${n} `
    }
    return ReadableStream.from(bytes(texts()))
  })
  await using served = await listen(app)

  expect((await ask(served.port, 'GET /')).body).toHaveLength(1092)
  await quiet(db)
})

describe("where there is no response of Node's", () => {
  const streaming = (): H3 =>
    new H3().use(genever(db, { log: false })).get('/', () => {
      const rows = db.iterate<{ n: number }>('select n from generate_series(1, 5000) n')
      const texts = async function* (): AsyncGenerator<string> {
        for await (const { n } of rows) yield `${n} `
      }
      return ReadableStream.from(bytes(texts()))
    })

  test('the connection is kept until the body has been read', async () => {
    const response = await streaming().request('/')
    const reader = response.body!.getReader()
    await reader.read()
    expect(doing(db)).toMatch(/^1 lent/)
    let pieces = 1
    while (!(await reader.read()).done) pieces++

    expect(pieces).toBe(5000)
    await quiet(db)
  })

  test('the h3 of Nitro 3.0, which does not say when an event is over, is served too', async () => {
    vi.resetModules()
    vi.doMock('h3', async (original) => ({ ...(await original<object>()), onDispose: undefined }))
    try {
      const { genever: plugin } = await import('genever/h3')
      const app = new H3({ silent: true }).use(plugin(db, { log: false })).get('/', () => pid(db))

      expect(await (await app.request('/')).json()).toBeGreaterThan(0)
      await quiet(db)
    } finally {
      vi.doUnmock('h3')
    }
  })

  test('h3 1, whose exports are others, is refused by name', async () => {
    vi.resetModules()
    vi.doMock('h3', () => ({ createApp() {}, toNodeListener() {}, onDispose: undefined }))
    try {
      const { genever: plugin } = await import('genever/h3')

      expect(() => plugin(db)).toThrow('genever/h3 needs h3 2. The installed one is h3 1')
    } finally {
      vi.doUnmock('h3')
    }
  })

  test('a body that is given up gives its connection back', async () => {
    const { body } = await streaming().request('/')
    const reader = body!.getReader()
    await reader.read()
    await reader.cancel()

    await quiet(db)
  })
})
