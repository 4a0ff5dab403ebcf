/** The first use opens the database. When that hangs, each call ends at its own deadline, and so does close(). */

import { createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { AbortedError, AcquireTimeoutError, createDb, type Db, PoolClosedError, QueryTimeoutError } from 'genever'
import { afterEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { serverUrl } from '../support/database.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'

const ends: (() => unknown)[] = []

afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

/** A server that takes connections and never says a word. */
async function silent(): Promise<string> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => void sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `postgres://postgres@127.0.0.1:${(server.address() as { port: number }).port}/none`
}

/** Longer than a test may take: what waited for the server would never end. */
const never = 600_000

async function hanging(connectTimeoutMs = never): Promise<Db> {
  const db = createDb(await silent(), { pool: { connectTimeoutMs } })
  ends.push(() => db.close({ timeoutMs: 0 }))
  return db
}

describe('a database that is opened on first use, and does not answer', () => {
  test.each<[string, (db: Db) => Promise<unknown>]>([
    ['a statement', (db) => db.scalar('select 1', [], { timeoutMs: 50 })],
    ['a query of its own', (db) => db.all(db.sql`select 1`, { timeoutMs: 50 })],
    ['executeMany', (db) => db.executeMany('select $1', [[1]], { timeoutMs: 50 })],
    ['acquire', (db) => db.acquire({ timeoutMs: 50 })],
    ['scope', (db) => db.scope(() => {}, { timeoutMs: 50 })],
    ['transaction', (db) => db.transaction(() => {}, { timeoutMs: 50 })],
    ['begin', (db) => db.begin({ timeoutMs: 50 })],
    ['iterate', (db) => db.iterate('select 1', [], { timeoutMs: 50 }).read()],
  ])('lets %s end at its deadline', async (_, use) => {
    const db = await hanging()

    const error = await caught(use(db))

    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error).toMatchObject({ phase: 'connect', timeoutMs: 50, outcome: 'not_started' })
  })

  test('lets a call end when its signal aborts, before and while it waits', async () => {
    const db = await hanging()
    const controller = new AbortController()
    const waiting = caught(db.scalar('select 1', [], { signal: controller.signal }))
    const aborted = caught(db.transaction(() => {}, { signal: AbortSignal.abort() }))
    controller.abort()

    for (const error of [await waiting, await aborted]) expect(error).toBeInstanceOf(AbortedError)
  })

  test('lets those who have more time wait on', async () => {
    const proxy = await startProxy(serverUrl())
    ends.push(() => proxy[Symbol.asyncDispose]())
    proxy.on({ to: 'server', type: '-', when: 'after' }, (link) => link.delay(300))
    const db = createDb(proxy.url, { pool: { connectTimeoutMs: 50_000 } })
    ends.push(() => db.close({ timeoutMs: 0 }))

    const [hasty, patient] = await Promise.all([
      caught(db.scalar('select 1', [], { timeoutMs: 20 })),
      db.scalar('select 2', [], { timeoutMs: 50_000 }),
    ])

    expect(hasty).toBeInstanceOf(AcquireTimeoutError)
    expect(patient).toBe(2)
  })

  test('counts the opening to the time of the statement', async () => {
    using time = leapingTime()
    const proxy = await startProxy(serverUrl())
    ends.push(() => proxy[Symbol.asyncDispose]())
    let opened = false
    proxy.on({ to: 'server', type: '-', when: 'after' }, (link) => {
      opened = true
      link.delay(50)
    })
    const db = createDb(proxy.url, { pool: { connectTimeoutMs: 600_000 } })
    ends.push(() => db.close({ timeoutMs: 0 }))
    let error: Error | undefined
    const told = caught(db.scalar('select pg_sleep(60)', [], { timeoutMs: 100_000 })).then((given) => (error = given))
    await until(() => opened, { what: 'it is being opened' })
    time.leap(60_000)
    await until(() => db.bound && db.stats().serving === 1, { what: 'the statement runs' })

    time.leap(39_000)
    expect(error).toBeUndefined()
    time.leap(2_000)
    await told

    expect(error).toBeInstanceOf(QueryTimeoutError)
  })

  test('is closed at once, and those who wait are told', async () => {
    const db = await hanging()
    const waiting = caught(db.scalar('select 1'))

    expect(await db.close({ timeoutMs: 50 })).toMatchObject({ drained: 0 })

    expect(await waiting).toBeInstanceOf(PoolClosedError)
    expect(await caught(db.scalar('select 1'))).toBeInstanceOf(PoolClosedError)
  })

  test('is closed between two attempts, and while its source is asked for', async () => {
    const retrying = createDb('postgres://postgres@127.0.0.1:1/none', { retry: { limit: 100, intervalMs: never } })
    const asking = createDb(() => new Promise<string>(() => {}))
    for (const db of [retrying, asking]) {
      const waiting = caught(db.open())
      await new Promise((resolve) => setTimeout(resolve, 50))

      await db.close()

      expect(await waiting).toBeInstanceOf(PoolClosedError)
    }
  })
})
