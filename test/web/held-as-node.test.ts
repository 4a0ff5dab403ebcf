/** An answer that waits for a COMMIT behaves as one that does not: the same handlers without a transaction and in one, over HTTP/1 and HTTP/2. */

import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import * as http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { text } from 'node:stream/consumers'
import type { Db } from 'genever'
import { genever } from 'genever/http'
import { beforeEach, describe, expect, test } from 'vitest'
import { gate } from '../support/gate.ts'
import { until } from '../support/until.ts'
import { listening, type RunningApp } from './adapter.ts'
import { head, send } from './client.ts'
import { notesTable } from './notes.ts'

const notes = notesTable(`create table notes (text text); create table slow (text text);
  create function waits() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(7); return null; end $$;
  create constraint trigger waits after insert on slow deferrable initially deferred for each row execute function waits()`)
let db: Db
beforeEach(async () => {
  db = await notes.open(4)
})

/** How many sessions wait for the lock. */
const waiting = "select count(*) from pg_locks where locktype = 'advisory' and objid = 7 and not granted"

const note = (): Promise<unknown> => db.status("insert into notes values ('kept')")

/** What `work` throws, by its code. */
function code(work: () => unknown): string {
  try {
    work()
    return 'nothing'
  } catch (error) {
    return String((error as { code?: unknown }).code)
  }
}

type Handler = (response: ServerResponse) => unknown

interface Protocol {
  readonly name: string
  serve(listener: (request: never, response: never) => void): Promise<RunningApp>
  /** A client that does not wait for its answer; the function given back lets it leave. */
  begin(port: number): () => void
  /** What a client sees: status, message, some headers, the body, trailers. */
  ask(port: number): Promise<unknown>
}

const shown = (headers: Readonly<Record<string, unknown>>): unknown =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => /^(?:x-|trailer|link)/.test(name)))

const protocols: readonly Protocol[] = [
  {
    name: 'HTTP/1',
    async serve(listener) {
      const server = createServer(listener as never)
      return listening(server)
    },
    begin(port) {
      const sent = send(port, 'GET /')
      return () => void sent.destroy()
    },
    async ask(port) {
      const sent = send(port, 'GET /')
      const early: unknown[] = []
      sent.on('information', ({ statusCode, headers }) => early.push([statusCode, shown(headers)]))
      try {
        const answer = await head(sent)
        const body = await text(answer).catch(() => 'cut off')
        const { statusCode, statusMessage, headers, trailers } = answer
        return { early, statusCode, statusMessage, headers: shown(headers), body, trailers }
      } catch (error) {
        return String(error)
      }
    },
  },
  {
    name: 'HTTP/2',
    async serve(listener) {
      const server = http2.createServer(listener as never)
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      return {
        port,
        [Symbol.asyncDispose]: async () => void (await new Promise((resolve) => server.close(resolve))),
      }
    },
    begin(port) {
      const session = http2.connect(`http://127.0.0.1:${port}`)
      const stream = session.request({ ':path': '/' })
      for (const each of [session, stream]) each.on('error', () => {})
      return () => session.destroy()
    },
    async ask(port) {
      const session = http2.connect(`http://127.0.0.1:${port}`)
      try {
        const stream = session.request({ ':path': '/' })
        const [early, trailers]: unknown[][] = [[], []]
        stream.on('headers', (headers) => early?.push([headers[':status'], shown(headers)]))
        stream.on('trailers', (headers) => trailers?.push(shown(headers)))
        let status: unknown
        let headers: unknown
        stream.on('response', (found) => void ([status, headers] = [found[':status'], shown(found)]))
        stream.on('error', () => {})
        const body = await text(stream).catch(() => 'cut off')
        return { early, status, headers, body, trailers }
      } finally {
        await new Promise<void>((resolve) => session.close(resolve))
      }
    },
  },
]

const state = (response: ServerResponse): unknown => [response.headersSent, response.writableEnded, response.finished]

const afterTheHead = (response: ServerResponse): unknown => [
  state(response),
  code(() => response.setHeader('x-late', 'b')),
  code(() => response.appendHeader('x-late', 'b')),
  code(() => response.removeHeader('x-early')),
  code(() => response.writeHead(201, { 'x-late': 'c' })),
  code(() => response.flushHeaders()),
  response.getHeader('x-early'),
  response.hasHeader('x-late'),
]

/** Each gives what its handler saw. */
const handlers: Readonly<Record<string, Handler>> = {
  'behind a first write the headers are sent'(response) {
    response.setHeader('x-early', 'a')
    response.write('one')
    const seen = afterTheHead(response)
    response.end('two')
    return [seen, state(response)]
  },
  'behind writeHead() the headers are sent'(response) {
    response.setHeader('x-early', 'a')
    response.writeHead(202, { 'x-head': 'h' })
    const seen = afterTheHead(response)
    response.end('done')
    return [seen, state(response)]
  },
  'behind flushHeaders() the headers are sent'(response) {
    response.setHeader('x-early', 'a')
    response.flushHeaders()
    const seen = afterTheHead(response)
    response.end('done')
    return seen
  },
  'behind end() the headers are sent'(response) {
    response.setHeader('x-early', 'a')
    response.end('done')
    return [afterTheHead(response), code(() => response.end())]
  },
  'a status that comes behind the first write is not sent'(response) {
    response.statusCode = 203
    response.write('one')
    response.statusCode = 404
    response.end('two')
  },
  'an empty answer'(response) {
    response.end()
    return state(response)
  },
  'trailers are sent behind the body'(response) {
    response.writeHead(200, { trailer: 'x-sum' })
    response.write('body')
    response.addTrailers({ 'x-sum': '42' })
    response.end()
  },
  'early hints go before the head'(response) {
    response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' })
    response.end('done')
    return state(response)
  },
  'end() and write() call back'(response) {
    const called: string[] = []
    response.write('one', () => void called.push('write'))
    return new Promise((resolve) => response.end('two', () => resolve([...called, 'end'])))
  },
  'an end behind the end calls back'(response) {
    response.end('done')
    return new Promise((resolve) => response.end(() => resolve('called')))
  },
  'pieces of a stream come in their order, with back-pressure'(response) {
    const pieces = Array.from({ length: 64 }, (_, at) => String.fromCharCode(65 + (at % 26)).repeat(32_768))
    return pipeline(Readable.from(pieces), response).then(() => state(response))
  },
  'a large body comes whole'(response) {
    response.end(Buffer.alloc(3_000_000, 'x'))
  },
  'a chunk that is none is refused'(response) {
    const seen = [code(() => response.write(7)), code(() => response.write(null))]
    response.end('done')
    return seen
  },
}

/** Only in words that HTTP/1 has. */
const handlersOfHttp1: Readonly<Record<string, Handler>> = {
  'a message beside the status is sent'(response) {
    response.statusMessage = 'Fine'
    response.write('one')
    response.statusMessage = 'Late'
    response.end('two')
  },
  'a message of writeHead() is sent'(response) {
    response.writeHead(201, 'Made', { 'x-head': 'h' })
    response.end('done')
  },
  'setHeaders() is refused behind the head'(response) {
    response.write('one')
    const seen = code(() => response.setHeaders(new Map([['x-late', 'a']])))
    response.end('two')
    return seen
  },
  'a head that cannot be sent is refused before anything is committed'(response) {
    const seen = [
      code(() => response.writeHead(99)),
      code(() => response.writeHead(200, { 'not a name': 'a' })),
      code(() => response.writeHead(200, { 'x-bad': 'a\nb' })),
      state(response),
    ]
    response.statusCode = 1_000
    seen.push(code(() => response.write('one')))
    response.statusCode = 200
    response.end('done')
    return seen
  },
}

async function serve(protocol: Protocol, handler: Handler, transaction = true): Promise<RunningApp> {
  const web = genever(db, { log: false })
  await web.open()
  const listener = web.handler(
    async (_request, response) => {
      await note()
      await handler(response)
    },
    { transaction },
  )
  return protocol.serve(listener)
}

async function outcome(protocol: Protocol, handler: Handler, transaction: boolean): Promise<unknown> {
  const over = gate()
  let seen: unknown
  const told: Handler = async (response) => {
    try {
      seen = await handler(response)
    } finally {
      over.open()
    }
  }
  await using served = await serve(protocol, told, transaction)
  const answer = await protocol.ask(served.port)
  await over.promise
  return { seen, answer, notes: await notes.kept() }
}

describe.each(protocols)('in $name', (protocol) => {
  const cases = Object.entries({ ...handlers, ...(protocol.name === 'HTTP/1' ? handlersOfHttp1 : {}) })
  test.each(cases)('%s', async (_, handler) => {
    const warnings: string[] = []
    const hear = ({ name, message }: Error): void => void warnings.push(`${name}: ${message}`)
    process.on('warning', hear)
    const expected = await outcome(protocol, handler, false)
    await notes.query('truncate notes')
    const held = await outcome(protocol, handler, true)
    // A warning is emitted in the next tick.
    await new Promise(setImmediate)
    process.off('warning', hear)

    expect(held).toEqual(expected)
    expect(expected).toMatchObject({ notes: ['kept'] })
    expect(warnings).toEqual([])
  })

  test('a response that its handler destroys before it wrote is rolled back', async () => {
    expect(await outcome(protocol, (response) => void response.destroy(), true)).toMatchObject({ notes: [] })
  })

  test('a client that leaves before a handler settles, which then answers nothing, has its work rolled back', async () => {
    const [begun, left] = [gate(), gate()]
    const handler: Handler = async (response) => {
      response.once('close', () => left.open())
      begun.open()
      await left.promise
    }
    await using served = await serve(protocol, handler)
    const leave = protocol.begin(served.port)
    await begun.promise
    leave()
    await left.promise

    expect(await notes.kept()).toEqual([])
  })

  test('a client that leaves while the COMMIT runs costs nothing but its answer', async () => {
    const slow = await notes.open(2)
    const begun = gate()
    const handler: Handler = async (response) => {
      await db.status("insert into slow values ('kept')")
      response.write('one')
      response.end('two')
      begun.open()
    }
    await using served = await serve(protocol, handler)
    await slow.lock(7, async () => {
      const leave = protocol.begin(served.port)
      await begun.promise
      await until(async () => Number(await slow.scalar(waiting)) === 1, { what: 'the COMMIT waits' })
      leave()
    })

    expect(await notes.kept()).toEqual(['kept'])
    expect(await protocol.ask(served.port)).toMatchObject({ body: 'onetwo' })
  })
})
