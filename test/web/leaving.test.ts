/** Clients that leave at each moment of a request, in all frameworks that serve HTTP/2, over HTTP/1 and HTTP/2: nothing is held, and what was not answered is not kept. */

import { once } from 'node:events'
import * as http from 'node:http'
import * as http2 from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { text } from 'node:stream/consumers'
import { getRequestListener } from '@hono/node-server'
import Fastify, { type FastifyInstance } from 'fastify'
import { type Db } from 'genever'
import * as onFastify from 'genever/fastify'
import * as onH3 from 'genever/h3'
import * as onHono from 'genever/hono'
import * as onHttp from 'genever/http'
import * as onKoa from 'genever/koa'
import { createRegistry } from 'genever/registry'
import { H3, toNodeHandler } from 'h3'
import { Hono } from 'hono'
import { stream as streamOf } from 'hono/streaming'
import type { StreamingApi } from 'hono/utils/stream'
import Koa from 'koa'
import { describe, expect, test } from 'vitest'
import { gate } from '../support/gate.ts'
import { pid, quiet } from '../support/matrix.ts'
import { notesTable } from './notes.ts'

const notes = notesTable()

interface Call {
  /** The body of the request, when all of it has come. */
  readonly body: () => Promise<string>
}
type Answer = string | AsyncIterable<string> | undefined

interface Served {
  readonly handle: (call: Call) => Promise<Answer>
  readonly transaction: boolean
  readonly options: onHttp.PluginOptions<any>
  readonly isHttp2: boolean
}

const serverOf = (isHttp2: boolean, listener: (request: never, response: never) => unknown): Server =>
  isHttp2 ? http2.createServer(listener as never) : http.createServer(listener as never)

const frameworks: Readonly<Record<string, (db: Db, served: Served) => Promise<Server>>> = {
  async http(db, { handle, transaction, options, isHttp2 }) {
    const web = onHttp.genever(db, { ...options, transaction })
    const handler = web.handler(async (request, response) => {
      const answer = await handle({ body: () => text(request) })
      if (typeof answer === 'string') response.end(answer)
      else if (answer !== undefined) await pipeline(Readable.from(answer), response)
    })
    return serverOf(isHttp2, handler)
  },
  async koa(db, { handle, transaction, options, isHttp2 }) {
    const app = new Koa().use(onKoa.genever(db, { ...options, transaction }))
    app.silent = true
    app.use(async (ctx) => {
      const answer = await handle({ body: () => text(ctx.req) })
      if (answer !== undefined) ctx.body = typeof answer === 'string' ? answer : Readable.from(answer)
    })
    return serverOf(isHttp2, app.callback())
  },
  async hono(db, { handle, transaction, options, isHttp2 }) {
    const app = new Hono().use(onHono.genever(db, { ...options, transaction }))
    app.onError((_error, c) => c.text('failed', 500))
    app.all('/', async (c) => {
      const answer = await handle({ body: () => c.req.text() })
      if (answer === undefined) return c.body(null)
      if (typeof answer === 'string') return c.body(answer)
      const write = async (out: StreamingApi): Promise<void> => {
        for await (const piece of answer) {
          if (out.aborted) return
          await out.write(piece)
        }
      }
      return streamOf(c, write, async () => {})
    })
    return serverOf(isHttp2, getRequestListener(app.fetch, { overrideGlobalObjects: false }))
  },
  async h3(db, { handle, transaction, options, isHttp2 }) {
    const app = new H3({ silent: true }).use(onH3.genever(db, { ...options, transaction }))
    app.all('/', async (event) => {
      const answer = await handle({ body: () => event.req.text() })
      if (answer === undefined || typeof answer === 'string') return answer ?? null
      return Readable.toWeb(Readable.from(answer))
    })
    return serverOf(isHttp2, toNodeHandler(app))
  },
  async fastify(db, { handle, transaction, options, isHttp2 }) {
    const app: FastifyInstance = isHttp2 ? (Fastify({ http2: true }) as never) : Fastify()
    await app.register(onFastify.genever, { db, ...options, transaction })
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
    app.all('/', async (request, reply) => {
      const answer = await handle({ body: () => text(request.raw) })
      if (answer === undefined || typeof answer === 'string') return answer
      return reply.send(Readable.from(answer))
    })
    await app.ready()
    return app.server
  },
}

/** A request whose client may leave; what it sends stays open until it is ended. */
interface Asked {
  leave(): void
  /** The first piece of the answer has come. */
  begun(): Promise<void>
  /** The answer is over, whole or cut off. */
  ended(): Promise<void>
}

/** `answer` resolves with the stream of the answer. */
function asking(answer: Promise<Readable>, leave: () => void): Asked {
  const begun = answer.then((body) => once(body, 'data'))
  const ended = answer.then(
    (body) =>
      new Promise<void>((resolve) => {
        body
          .on('error', () => {})
          .on('close', resolve)
          .resume()
      }),
  )
  for (const each of [begun, ended]) each.catch(() => {})
  return { leave, begun: async () => void (await begun), ended: () => ended }
}

function askOverHttp1(port: number, part: string | null): Asked {
  const sent = http.request({ host: '127.0.0.1', port, method: part === null ? 'GET' : 'POST', agent: false })
  sent.on('error', () => {})
  if (part === null) sent.end()
  else sent.write(part)
  return asking(
    once(sent, 'response').then(([answer]) => answer as Readable),
    () => void sent.destroy(),
  )
}

function askOverHttp2(port: number, part: string | null): Asked {
  const session = http2.connect(`http://127.0.0.1:${port}`)
  const sent = session.request({ ':path': '/', ':method': part === null ? 'GET' : 'POST' })
  for (const each of [session, sent]) each.on('error', () => {})
  if (part === null) sent.end()
  else sent.write(part)
  sent.once('close', () => session.close())
  return asking(
    once(sent, 'response').then(() => sent),
    () => session.destroy(),
  )
}

const cases = Object.keys(frameworks).flatMap((name) => [
  { name, protocol: 'HTTP/1', isHttp2: false },
  { name, protocol: 'HTTP/2', isHttp2: true },
])

const note = (db: Db): Promise<unknown> => db.status("insert into notes values ('kept')")
const never = (): Promise<never> => new Promise(() => {})

describe.each(cases)('a client of $name over $protocol', ({ name, isHttp2 }) => {
  interface Client {
    /** Sends a request: its body stays open behind `part`. */
    readonly ask: (part?: string) => Asked
    /** Leaves, and waits until the server knows it. */
    readonly leaves: (asked: Asked) => Promise<void>
  }

  /** Starts the server. After `use` nothing is held, and nothing was thrown where nobody waits for it. */
  async function serving(
    served: Partial<Omit<Served, 'isHttp2' | 'handle'>> & { handle: (db: Db, call: Call) => Promise<Answer> },
    use: (client: Client, db: Db) => Promise<void>,
  ): Promise<void> {
    const registry = createRegistry({
      main: { url: notes.url, pool: { max: 2 } },
      tenancy: { schema: (id: string) => id },
    })
    const db = registry as unknown as Db
    const unhandled: unknown[] = []
    const hear = (error: unknown): void => void unhandled.push(error)
    process.on('unhandledRejection', hear)
    const { handle, transaction = false, options } = served
    const server = await frameworks[name]!(db, {
      handle: (call) => handle(db, call),
      transaction,
      isHttp2,
      options: { log: false, ...options },
    })
    let response: http.ServerResponse | null = null
    server.prependListener('request', (_request: unknown, made: http.ServerResponse) => void (response = made))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const client: Client = {
      ask: (part) => (isHttp2 ? askOverHttp2 : askOverHttp1)(port, part ?? null),
      async leaves(asked) {
        const closed = once(response!, 'close')
        asked.leave()
        await closed
      },
    }
    try {
      await use(client, db)
      await quiet(db)
      await new Promise(setImmediate)
      expect(unhandled).toEqual([])
    } finally {
      process.off('unhandledRejection', hear)
      server.close()
      expect((await db.close()).broken).toEqual([])
    }
  }

  test('that leaves before its request has a connection leaves nothing held', async () => {
    const [asked, left, done] = [gate(), gate(), gate()]
    const tenantForRequest = async (): Promise<null> => {
      asked.open()
      await left.promise
      return null
    }
    const handle = async (db: Db): Promise<never> => {
      await pid(db)
      done.open()
      return never()
    }
    await serving({ options: { tenantForRequest }, handle }, async ({ ask, leaves }) => {
      const client = ask()
      await asked.promise
      await leaves(client)
      left.open()
      await done.promise
    })
  })

  test('that leaves a transaction that nobody ends has it rolled back, if the option cancels', async () => {
    const begun = gate()
    const handle = async (db: Db): Promise<never> => {
      await note(db)
      begun.open()
      return never()
    }
    await serving({ transaction: true, options: { onAbort: 'cancel' }, handle }, async ({ ask, leaves }) => {
      const client = ask()
      await begun.promise
      await leaves(client)
    })

    expect(await notes.kept()).toEqual([])
  })

  test('that leaves in the middle of its body has the transaction of its request rolled back', async () => {
    const [begun, over] = [gate(), gate()]
    let seen: unknown
    const handle = async (db: Db, { body }: Call): Promise<Answer> => {
      await note(db)
      const read = body()
      begun.open()
      try {
        seen = await read
        return 'done'
      } catch (error) {
        seen = 'cut off'
        throw error
      } finally {
        over.open()
      }
    }
    await serving({ transaction: true, handle }, async ({ ask, leaves }) => {
      const client = ask('one')
      await begun.promise
      await leaves(client)
      await over.promise
    })

    expect([seen, await notes.kept()]).toEqual(['cut off', []])
  })

  test('that leaves in the middle of rows that are streamed closes their cursor', async () => {
    const rows = async function* (db: Db): AsyncGenerator<string> {
      const cursor = db.iterate<{ line: string }>(
        "select n || repeat(' ', 10000) as line from generate_series(1, 20000) n",
        [],
        { batchSize: 50 },
      )
      for await (const { line } of cursor) yield line
    }
    await serving({ handle: async (db) => rows(db) }, async ({ ask, leaves }, db) => {
      const client = ask()
      await client.begun()
      expect(db.stats().reserved).toBe(1)
      await leaves(client)
    })
  })

  test('that leaves before rows are streamed leaves no cursor open', async () => {
    const [begun, left, over] = [gate(), gate(), gate()]
    const rows = async function* (db: Db): AsyncGenerator<string> {
      for await (const { n } of db.iterate<{ n: number }>('select n from generate_series(1, 20000) n')) yield `${n} `
    }
    const handle = async (db: Db): Promise<Answer> => {
      begun.open()
      await left.promise
      setImmediate(() => over.open())
      return rows(db)
    }
    await serving({ handle }, async ({ ask, leaves }) => {
      const client = ask()
      await begun.promise
      await leaves(client)
      left.open()
      await over.promise
    })
  })

  test('whose answer fails in its middle leaves no cursor open', async () => {
    const rows = async function* (db: Db): AsyncGenerator<string> {
      for await (const { n } of db.iterate<{ n: number }>('select n from generate_series(1, 200) n', [], {
        batchSize: 50,
      })) {
        if (n === 150) throw new Error('the body fails')
        yield `${n} `
      }
    }
    await serving({ handle: async (db) => rows(db) }, async ({ ask }) => {
      await ask().ended()
    })
  })
})
