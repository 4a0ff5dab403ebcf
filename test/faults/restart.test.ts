/** The server itself goes away under load and comes back, or has no room. */

import { setTimeout as sleep } from 'node:timers/promises'
import { createDb, type Db } from 'genever'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { urlForPg } from '../support/database.ts'
import { ownServer, type OwnServer } from '../support/own-server.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'

let server: OwnServer

/** How many connections the server takes. */
const room = 12

beforeAll(async () => {
  server = await ownServer()
  await server.stop('fast')
  await server.start()
  await server.configure({ max_connections: room, synchronous_commit: 'on' })
  await server.stop('fast')
  await server.start()
  await server.query('create table t (n bigint primary key)')
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

interface Load {
  readonly acknowledged: number[]
  readonly unknown: number[]
  readonly codes: Record<string, number>
  /** When statements succeeded. */
  readonly successes: number[]
  pending: number
  stop(): Promise<unknown>
}

let next = 0

/** Workers that write row after row, half of them in transactions. */
function load(db: Db, workers: number): Load {
  const stopped = new AbortController()
  const tally: Load = { acknowledged: [], unknown: [], codes: {}, successes: [], pending: 0, stop: async () => {} }
  const worker = async (transactional: boolean): Promise<void> => {
    while (!stopped.signal.aborted) {
      const n = ++next
      tally.pending++
      try {
        if (transactional) await db.transaction((tx) => tx.status('insert into t values ($1)', [n]))
        else await db.status('insert into t values ($1)', [n])
        tally.acknowledged.push(n)
        tally.successes.push(performance.now())
      } catch (error) {
        const { code, outcome } = error as { code: string; outcome: string }
        tally.codes[code] = (tally.codes[code] ?? 0) + 1
        if (outcome === 'unknown') tally.unknown.push(n)
      }
      tally.pending--
      await sleep(1)
    }
  }
  const running = Promise.all(Array.from({ length: workers }, (_, w) => worker(w % 2 === 0)))
  tally.stop = () => {
    stopped.abort()
    return running
  }
  return tally
}

describe('a restart under load', () => {
  test.each(['fast', 'immediate'] as const)('%s: all goes on by itself, nothing is lost or done twice', async (how) => {
    const loose: unknown[] = []
    const note = (reason: unknown): void => void loose.push(reason)
    process.on('unhandledRejection', note)
    await using db = createDb(server.url, { pool: { max: 5, acquireTimeoutMs: 50_000 } })
    await db.open()
    const work = load(db, 20)
    await until(() => work.acknowledged.length > 50)

    await server.stop(how)
    await sleep(100)
    await server.start()
    const ready = performance.now()
    await until(() => work.successes.some((at) => at > ready), { what: 'the first success after the restart' })
    const before = work.acknowledged.length
    await until(() => work.acknowledged.length > before + 50)
    await work.stop()
    process.off('unhandledRejection', note)

    expect(work.pending).toBe(0)
    expect(loose).toEqual([])
    expect(Object.keys(work.codes).filter((code) => !allowed.has(code))).toEqual([])
    // Only those in flight when it went were told; the others waited.
    expect(Object.values(work.codes).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(5)
    const rows = new Set((await server.query('select n from t')).map(({ n }) => Number(n)))
    expect(
      work.acknowledged.filter((n) => !rows.has(n)),
      'acknowledged but not there',
    ).toEqual([])
    const known = new Set([...work.acknowledged, ...work.unknown])
    const first = Math.min(...known)
    expect([...rows].filter((n) => n >= first && !known.has(n))).toEqual([])
  })

  test('knocks at the door with pauses, one at a time, however many wait', async () => {
    await using proxy = await startProxy(server.url)
    await using db = createDb(proxy.url, { pool: { max: 10, acquireTimeoutMs: 50_000 } })
    await db.open()
    const links = [...proxy.links]
    proxy.arrived = 0
    await proxy.accept((socket) => socket.resetAndDestroy())
    for (const link of links) link.break('reset')
    await until(() => db.stats().open === 0)
    const start = performance.now()
    const waiting = Promise.all(Array.from({ length: 50 }, (_, n) => db.scalar('select $1::int', [n])))

    await until(() => proxy.arrived >= 9)
    const knocks = proxy.arrived
    const tookMs = performance.now() - start
    await proxy.accept()

    expect(await waiting).toHaveLength(50)
    // The first two may be on their way together, before one has failed. Then there are 50 ms between two at the least.
    expect(knocks).toBeLessThanOrEqual(2 + tookMs / 45)
  })

  test('inside of a transaction is its end', async () => {
    await using db = createDb(server.url, { pool: { acquireTimeoutMs: 50_000 } })

    const ended = db
      .transaction(async (tx) => {
        const n = ++next
        await tx.status('insert into t values ($1)', [n])
        await server.stop('fast')
        await server.start()
        await tx.status('insert into t values ($1)', [n + 1_000_000])
      })
      .catch((error: unknown) => error)

    expect(await ended).toMatchObject({ code: 'GENEVER_CONNECTION_LOST', outcome: 'rolled_back' })
    expect(await server.query('select 1 from t where n > 1000000')).toEqual([])
    expect(await db.scalar('select 1')).toBe(1)
  })
})

const allowed = new Set(['GENEVER_CONNECTION_LOST', 'GENEVER_COMMIT_OUTCOME_UNKNOWN'])

/** Takes so much of the room, for what the test does after; ends when the test does, or earlier. */
async function crowd(connections: number): Promise<() => Promise<unknown>> {
  const clients: pg.Client[] = []
  const end = (): Promise<unknown> => Promise.all(clients.splice(0).map((client) => client.end()))
  onTestFinished(async () => void (await end()))
  await until(
    async () => {
      const client = new pg.Client({ connectionString: urlForPg(server.url), application_name: 'genever-test-support' })
      client.on('error', () => {})
      await client.connect()
      return clients.push(client) === connections
    },
    { what: `${connections} connections are open` },
  )
  return end
}

describe('a server without room', () => {
  // Sessions of the test before may go on for a moment.
  beforeEach(async () => {
    const others = `select 1 from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`
    await until(async () => (await server.query(others)).length === 0, { what: 'all the room is there' })
  })

  test('for as many connections as the pool may have serves all the same, with those it grants', async () => {
    await using db = createDb(server.url, { pool: { max: 50, acquireTimeoutMs: 50_000 } })
    await db.open()

    // However slowly they are opened.
    await until(async () => {
      const values = await Promise.all(
        Array.from({ length: 200 }, (_, n) => db.scalar('select $1::int from pg_sleep(0.002)', [n])),
      )
      expect(values).toEqual(Array.from({ length: 200 }, (_, n) => n))
      return db.stats().open > 4
    })

    expect(db.stats().open).toBeLessThanOrEqual(room)
  })

  test('for a single one is asked again soon', async () => {
    await using db = createDb(server.url, { pool: { max: 4, acquireTimeoutMs: 50_000, idleTimeoutMs: 100 } })
    await db.open()
    await until(() => db.stats().open === 0)
    const leave = await crowd(room)
    const waiting = db.scalar('select 7')
    await until(() => db.stats().waiting === 1 && db.stats().opening === 0)

    await leave()

    expect(await waiting).toBe(7)
  })

  test('for any of them makes those wait who have time, and tells why at their deadline', async () => {
    await using db = createDb(server.url, { pool: { max: 4, acquireTimeoutMs: 600 } })
    await db.open()
    const mine = await db.acquire()
    await crowd(room - 1)

    const error = await db.acquire().catch((reason: unknown) => reason)

    expect(error).toMatchObject({ code: 'GENEVER_ACQUIRE_TIMEOUT' })
    await mine.release()
    expect(await db.scalar('select 1')).toBe(1)
  })
})
