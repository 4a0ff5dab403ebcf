/**
 * Clients that interrupt requests in transactions at any moment: over HTTP/2 by resetting streams, and over HTTP/1 by leaving a socket on
 * which several requests wait for each other. Bodies come slowly, or in part.
 */

import { type EventEmitter, once } from 'node:events'
import { createServer } from 'node:http'
import * as http2 from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDb, type Db } from 'genever'
import { expect, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'
import { sample } from '../support/extent.ts'
import { isAtRest } from '../support/matrix.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { inTransactions } from './in-transactions.ts'

/** Numbers from 0 to 1 that are the same in every run. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32
    return state / 2 ** 32
  }
}

interface Storm extends AsyncDisposable {
  readonly db: Db
  readonly random: () => number
  /** What a client saw of the answer to its request. */
  readonly seen: Map<number, number>
  /** What must not have happened. */
  readonly wrong: unknown[]
  /** What handlers do; given to the framework. */
  readonly work: (query: string, body: () => Promise<string>) => Promise<unknown>
  /** The way of a request to the handler that does something by chance. */
  path(id: number): string
  /** Waits until nothing runs any more, and compares what is kept with what was answered. */
  check(): Promise<void>
}

/** With a table `t`, to which handlers write two rows each, far from its server by a millisecond. */
async function storm(seed: number, max: number): Promise<Storm> {
  const database = await freshDatabase('create table t (id int, part int, xid text, pid int)')
  const proxy = await startProxy(database.url)
  const db = await createDb(proxy.url, { pool: { max } }).open()
  for (const link of proxy.links) link.delay(1)
  const random = dice(seed)
  const seen = new Map<number, number>()
  const wrong: unknown[] = []
  const unhandled = (reason: unknown): unknown => wrong.push(['unhandled', reason])
  process.on('unhandledRejection', unhandled)
  return {
    db,
    random,
    seen,
    wrong,
    path: (id) =>
      `/?id=${id}&do=${['write', 'write', 'read', 'throw', 'other'][Math.floor(random() * 5)]}&ms=${Math.floor(random() * 6) - 3}`,
    async work(query, body) {
      const given = new URLSearchParams(query)
      const id = Number(given.get('id'))
      const act = given.get('do')
      const one = async (part: number): Promise<string> =>
        act === 'read'
          ? String(await db.scalar('select pg_backend_pid()'))
          : String(
              await db.scalar(
                `insert into t values ($1, $2, pg_current_xact_id()::text, pg_backend_pid()) returning xid || '/' || pid`,
                [id, part],
              ),
            )
      const first = await one(1)
      const ms = Number(given.get('ms'))
      if (ms > 0) await sleep(ms)
      // A request that was interrupted has no body to read.
      await body().catch(() => '')
      if (act === 'other') await db.transaction(() => db.scalar('select 1'), { reuse: false })
      const second = await one(2)
      if (first !== second) wrong.push([id, first, second])
      if (act === 'throw') throw new RangeError('of the handler')
      return id
    },
    async check() {
      await until(() => isAtRest(db), { what: 'every connection is free' })
      const rows = await db.all<{ id: number; parts: number; xids: number }>(
        'select id, count(*)::int as parts, count(distinct xid)::int as xids from t group by id',
      )
      const kept = new Map(rows.map(({ id, ...row }) => [id, row]))
      for (const [id, { parts, xids }] of kept) if (parts !== 2 || xids !== 1) wrong.push([id, 'torn', parts, xids])
      for (const [id, status] of seen) {
        const isKept = kept.has(Math.abs(id))
        if (status >= 400 && isKept) wrong.push([id, status, 'kept'])
        if (status === 200 && id > 0 && !isKept) wrong.push([id, status, 'missing'])
      }
      const shared = await db.scalar(
        'select count(*)::int from (select xid from t group by xid having count(distinct id) > 1) as t',
      )
      expect({ wrong, shared }).toEqual({ wrong: [], shared: 0 })
      expect(db.stats()).toMatchObject({ waiting: 0, reserved: 0 })
      expect(
        await Promise.all(Array.from({ length: max }, () => db.transaction((tx) => tx.scalar('select 1')))),
      ).toEqual(Array.from({ length: max }, () => 1))
    },
    async [Symbol.asyncDispose]() {
      process.off('unhandledRejection', unhandled)
      // Nothing is left that it would have to wait for.
      await db.close({ timeoutMs: 3_600_000 })
      await proxy[Symbol.asyncDispose]()
    },
  }
}

/** The id by which a request is known: negative where it keeps nothing. */
const idOf = (path: string, id: number): number => (/do=(?:write|other)/.test(path) ? id : -id)

/** When it is closed, with an error or without. */
function over(stream: EventEmitter): Promise<void> {
  return new Promise((resolve) => stream.once('close', () => resolve()))
}

/** One request over HTTP/2, interrupted by chance. */
async function stream(client: http2.ClientHttp2Session, here: Storm, id: number): Promise<void> {
  const { random, seen } = here
  const asked = here.path(id)
  const withBody = random() < 0.5
  const sent = client.request({ ':path': asked, ':method': withBody ? 'POST' : 'GET' }, { endStream: !withBody })
  sent.on('error', () => {}).on('response', (head) => seen.set(idOf(asked, id), Number(head[':status'])))
  sent.resume()
  const closed = over(sent)
  const cut =
    random() < 0.6
      ? setTimeout(
          () => sent.close([http2.constants.NGHTTP2_CANCEL, http2.constants.NGHTTP2_NO_ERROR][id % 2]),
          random() * 25,
        )
      : undefined
  if (withBody) {
    for (let piece = 0; piece < 3 && sent.writable; piece++) {
      sent.write(`piece ${piece}`)
      await sleep(random() * 4)
    }
    // Else its other half stays open: the server waits for the rest until the stream is cut.
    if (cut === undefined || random() < 0.5) sent.end()
  }
  await closed
  clearTimeout(cut)
}

const overHttp2 = ['http', 'fastify', 'koa', 'hono', 'h3', 'next']

test.each(overHttp2)(
  'streams to %s that are reset at any moment leave no connection, no row and no statement behind',
  async (name) => {
    for (const max of [2, 4]) {
      await using here = await storm(20_261_130 + max, max)
      const listener = await inTransactions[name]!({
        db: here.db,
        work: here.work,
        onAbort: max === 2 ? 'cancel' : 'continue',
      })
      const server = http2.createServer(listener as never)
      server.on('sessionError', () => {}).on('stream', (each) => each.on('error', () => {}))
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const requests = sample({ once: 40, matrix: 1_000, soak: 10_000 })
      for (let from = 1; from <= requests; from += 20) {
        const client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`).on('error', () => {})
        const streams = Array.from({ length: 20 }, (_, i) => stream(client, here, from + i))
        // The last ones go with their session.
        if (from > 1 && here.random() < 0.5) setTimeout(() => client.destroy(), 20 * here.random())
        await Promise.all(streams)
        client.destroy()
      }
      await here.check()
      expect([...here.seen.values()].filter((status) => status === 200).length).toBeGreaterThan(requests / 20)
      server.close()
    }
  },
)

/** Several requests on one socket, one behind the other, which is left by chance. */
async function pipelined(port: number, here: Storm, from: number, count: number): Promise<void> {
  const { random, seen } = here
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  const paths = Array.from({ length: count }, (_, i) => here.path(from + i))
  let heard = ''
  socket.on('data', (bytes) => (heard += String(bytes)))
  const closed = over(socket)
  const cut =
    random() < 0.6
      ? setTimeout(() => (random() < 0.5 ? socket.resetAndDestroy() : socket.end()), random() * 40)
      : undefined
  for (const [at, each] of paths.entries()) {
    if (!socket.writable) break
    const last = at === count - 1
    socket.write(`GET ${each} HTTP/1.1\r\nHost: x\r\n${last ? 'Connection: close\r\n' : ''}\r\n`)
    if (random() < 0.3) await sleep(random() * 5)
  }
  await closed
  clearTimeout(cut)
  const statuses = [...heard.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
  for (const [at, status] of statuses.entries()) seen.set(idOf(paths[at] as string, from + at), status)
}

test.each(Object.keys(inTransactions))(
  'requests to %s that wait behind others on one socket leave nothing behind when it is closed',
  async (name) => {
    for (const max of [2, 3]) {
      await using here = await storm(20_261_200 + max, max)
      const listener = await inTransactions[name]!({
        db: here.db,
        work: here.work,
        onAbort: max === 2 ? 'cancel' : 'continue',
      })
      const server = createServer(listener).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      const requests = sample({ once: 40, matrix: 1_000, soak: 10_000 })
      for (let from = 1; from <= requests; from += 40)
        await Promise.all(Array.from({ length: 8 }, (_, i) => pipelined(port, here, from + 5 * i, 5)))
      await here.check()
      expect([...here.seen.values()].filter((status) => status === 200).length).toBeGreaterThan(requests / 20)
      server.closeAllConnections()
      server.close()
    }
  },
)
