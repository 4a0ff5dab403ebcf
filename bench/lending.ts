// `npm run bench -- lending`: what a service answers whose handlers wait for something else between two statements. 200 clients,
// 10 connections, and each handler: a statement, 200 ms elsewhere, a statement. Below it the opposite: requests that go straight
// on must lose nothing, reads issued together in one scope run side by side, both kinds of requests share one pool, and more of them
// come than there is room for.
//
// --seconds 4 (a variant), --clients 200, --connections 10, --wait 200, --only fastify
import { Agent, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import Fastify from 'fastify'
import { createDb, type Db } from 'genever'
import { genever as expressPlugin } from 'genever/express'
import { genever as fastifyPlugin } from 'genever/fastify'
import pg from 'pg'
import { type Cell, say, table } from '../demo/support/table.ts'
import { benchDatabase } from './support/database.ts'
import { mixed, overload } from './support/mixed.ts'
import { quantile } from './support/quantile.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    clients: { type: 'string', default: '200' },
    connections: { type: 'string', default: '10' },
    wait: { type: 'string', default: '200' },
    only: { type: 'string' },
  },
})
const [clients, max, waitMs] = [Number(values.clients), Number(values.connections), Number(values.wait)]
const elsewhere = (): Promise<void> => sleep(waitMs)

await using database = await benchDatabase()

interface Variant {
  readonly name: string
  /** Null: without the plug-in. */
  readonly plugin: { readonly connectionForRequest: boolean } | null
  readonly handler: (db: Db, pool: pg.Pool) => Promise<unknown>
}

const statement = 'select id, title from posts where id = 7'
const plain = async (db: Db): Promise<unknown> => {
  await db.first(statement)
  await elsewhere()
  return db.first(statement)
}

const variants: readonly Variant[] = [
  {
    name: 'pg, a client held',
    plugin: null,
    async handler(_, pool) {
      const client = await pool.connect()
      try {
        await client.query(statement)
        await elsewhere()
        return (await client.query(statement)).rows[0] as unknown
      } finally {
        client.release()
      }
    },
  },
  {
    name: 'pg, pool.query',
    plugin: null,
    async handler(_, pool) {
      await pool.query(statement)
      await elsewhere()
      return (await pool.query(statement)).rows[0] as unknown
    },
  },
  { name: 'genever, no connection for requests', plugin: { connectionForRequest: false }, handler: plain },
  {
    name: 'genever, plug-in with idle()',
    plugin: { connectionForRequest: true },
    async handler(db) {
      await db.first(statement)
      await db.idle(elsewhere)
      return db.first(statement)
    },
  },
  { name: 'genever, plug-in, plain code', plugin: { connectionForRequest: true }, handler: plain },
]

interface Served {
  readonly port: number
  stop(): Promise<unknown>
}

type Serve = (db: Db, options: Variant['plugin'], handler: () => Promise<unknown>) => Promise<Served>

const frameworks: Readonly<Record<string, Serve>> = {
  async fastify(db, options, handler) {
    const app = Fastify()
    if (options !== null) await app.register(fastifyPlugin, { db, log: false, ...options })
    app.get('/', handler)
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    return { port: Number(new URL(url).port), stop: () => app.close() }
  },
  async express(db, options, handler) {
    const app = express()
    if (options !== null) app.use(expressPlugin(db, { log: false, ...options }))
    app.get('/', (_request, response, next) => {
      handler().then((answer) => response.json(answer), next)
    })
    const server = app.listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const stop = (): Promise<void> =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    return { port: (server.address() as AddressInfo).port, stop }
  },
}

function ask(port: number, agent: Agent): Promise<boolean> {
  return new Promise((resolve, reject) => {
    get({ port, host: '127.0.0.1', agent }, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode === 200))
    }).once('error', reject)
  })
}

async function load(port: number): Promise<{ perSecond: number; times: number[]; failed: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  const times: number[] = []
  let failed = 0
  const began = performance.now()
  const end = began + Number(values.seconds) * 1000
  const client = async (): Promise<void> => {
    while (performance.now() < end) {
      const since = performance.now()
      if (await ask(port, agent)) times.push(performance.now() - since)
      else failed++
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  const perSecond = (times.length / (performance.now() - began)) * 1000
  agent.destroy()
  return { perSecond, times, failed }
}

const rows: Cell[][] = []
for (const [framework, serve] of Object.entries(frameworks)) {
  if (values.only !== undefined && !values.only.split(',').includes(framework)) continue
  for (const { name, plugin, handler } of variants) {
    const db = createDb(database.url, { driver: 'pg', pool: { max, acquireTimeoutMs: 60_000 } })
    const pool = new pg.Pool({ connectionString: database.url, max })
    await db.open()
    const service = await serve(db, plugin, () => handler(db, pool))
    const { perSecond, times, failed } = await load(service.port)
    const { recalls } = db.stats()
    await service.stop()
    await Promise.all([db.close(), pool.end()])
    const ms = (part: number): string => quantile(times, part).toFixed(0)
    rows.push([framework, name, perSecond.toFixed(0), ms(0.5), ms(0.99), recalls, failed])
  }
}
say(
  `${clients} clients, ${max} connections, a statement, ${waitMs} ms elsewhere, a statement. Node ${process.version}.`,
  '',
)
say(
  table(['framework', '', 'requests/s', 'p50 ms', 'p99 ms', 'recalls', 'failed'], rows, [
    'requests/s',
    'p50 ms',
    'p99 ms',
  ]),
)

const db = createDb(database.url, { driver: 'pg', pool: { min: max, max } })
await db.open()
await sleep(300)
await db.scope(() => Promise.all(Array.from({ length: max }, () => db.scalar('select 1 from pg_sleep(0.05)'))))

const straightOn = async (): Promise<void> => {
  await db.scope(async () => {
    for (let i = 0; i < 3; i++) await db.first(statement)
  })
}
const rounds = 100
for (let i = 0; i < 20; i++) await Promise.all(Array.from({ length: 64 }, straightOn))
const before = db.stats().recalls
const cpu = process.cpuUsage()
const since = performance.now()
for (let i = 0; i < rounds; i++) await Promise.all(Array.from({ length: 64 }, straightOn))
const { user, system } = process.cpuUsage(cpu)
const tookMs = performance.now() - since
say(
  '',
  `64 requests of three statements that go straight on: ${((rounds * 64_000) / tookMs).toFixed(0)} requests/s, ` +
    `CPU ${((user + system) / rounds / 64).toFixed(1)} µs a request, ${db.stats().recalls - before} recalls.`,
)

const read = 'select 1 from pg_sleep(0.1)'
const five = async (work: () => Promise<unknown>): Promise<number> => {
  const times: number[] = []
  for (let i = 0; i < 10; i++) {
    const start = performance.now()
    await work()
    times.push(performance.now() - start)
  }
  return quantile(times, 0.5)
}
const peers = new pg.Pool({ connectionString: database.url, max })
const together = <T>(one: () => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: 5 }, one))
await together(() => peers.query('select 1'))
const theirs = await five(() => together(() => peers.query(read)))
const ours = await five(() => db.scope(() => together(() => db.scalar(read))))
say(`Five reads of 100 ms in one handler: pg.Pool ${theirs.toFixed(0)} ms, genever ${ours.toFixed(0)} ms.`, '')
await Promise.all([db.close(), peers.end()])

const size = { seconds: Number(values.seconds), max }
await mixed(database.url, size)
await overload(database.url, size)
