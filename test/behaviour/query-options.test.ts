/** `timeoutMs` and `signal` of one statement: whose counts, what they cover, and what they leave behind. */

import {
  AbortedError,
  AcquireTimeoutError,
  createDb,
  type Db,
  QueryTimeoutError,
  type QueryOptions,
  UsageError,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { postgresWords } from '../support/dialect-words.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver, pid } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { virtualTime } from '../support/virtual-time.ts'

forEachDriver(
  (driver) => {
    test('on its timeout the caller is told at once, and the server stops', async () => {
      const db = await driver.single()
      const connection = await pid(db)
      const mark = `timeout_${process.pid}`

      const error = await caught(db.scalar(`${driver.words.sleep(600)} /* ${mark} */`, [], { timeoutMs: 200 }))

      expect(error).toBeInstanceOf(QueryTimeoutError)
      expect(error.statement?.sql).toContain(mark)
      await until(async () => (await driver.running(mark)) === 0)
      expect(await pid(db)).toBe(connection)
    })

    test('a signal that aborts while it runs does the same, with its reason as cause', async () => {
      const db = await driver.single()
      const connection = await pid(db)
      const mark = `signal_${process.pid}`
      const controller = new AbortController()
      const reason = new TypeError('the client went away')

      const result = caught(db.all(`${driver.words.sleep(600)} /* ${mark} */`, [], { signal: controller.signal }))
      await until(async () => (await driver.running(mark)) > 0)
      controller.abort(reason)
      const error = await result

      expect(error).toBeInstanceOf(AbortedError)
      expect(error.cause).toBe(reason)
      await until(async () => (await driver.running(mark)) === 0)
      expect(await pid(db)).toBe(connection)
    })

    test('a cancelled write is undone', async () => {
      const db = await driver.db()
      const t = await driver.table('n int')

      await caught(db.status(`insert into ${t} select 1 from (${driver.words.sleep(30)}) slow`, [], { timeoutMs: 50 }))

      await until(() => db.stats().idle > 0)
      expect(await db.scalar(`select count(*) from ${t}`)).toBe(0)
    })

    test('the next statements of a scope wait for the cancelled one and run on the same connection', async () => {
      const db = await driver.db()

      await db.scope(async () => {
        const connection = await pid(db)
        const [error, next] = await Promise.all([
          caught(db.scalar(driver.words.sleep(30), [], { timeoutMs: 50 })),
          db.scalar(driver.words.session),
        ])
        expect(error).toBeInstanceOf(QueryTimeoutError)
        expect(next).toBe(connection)
      })
    })

    test('a hundred cancelled statements hit no innocent one', async () => {
      const db = await driver.db({ pool: { max: 3 } })

      const work = Array.from({ length: 100 }, (_, n) =>
        n % 2 === 0
          ? caught(db.scalar(driver.words.sleep(0.02), [], { timeoutMs: 1 + (n % 19) })).catch(() => null)
          : db.scalar(driver.words.integer, [n]),
      )
      const results = await Promise.all(work)

      results.forEach((result, n) => {
        if (n % 2 === 1) expect(result).toBe(n)
      })
    })

    test('a timeout covers opening the database on first use too', async () => {
      await using db = createDb(await driver.url())

      const error = await caught(db.scalar(driver.words.sleep(30), [], { timeoutMs: 300 }))
      // Which of them it is depends on how quickly the server lets it in.
      expect(['QueryTimeoutError', 'AcquireTimeoutError']).toContain((error as Error).name)
    })
  },
  { connections: 2 },
)

describe('whose timeout counts', () => {
  const sleep = postgresWords.sleep(600)
  const short = { timeoutMs: 30 }
  /** Longer than a test may take. */
  const long = { timeoutMs: 600_000 }
  const cases: readonly (readonly [string, QueryOptions | undefined, (db: Db) => Promise<unknown>])[] = [
    ["the engine's, where nothing nearer says otherwise", short, (db) => db.scalar(sleep)],
    ["the statement's before the engine's", long, (db) => db.scalar(sleep, [], short)],
    ["the scope's before the engine's", long, (db) => db.scope(() => db.scalar(sleep), { query: short })],
    [
      "the connection's before the engine's",
      long,
      async (db) => {
        await using connection = await db.acquire({ query: short })
        return await connection.scalar(sleep)
      },
    ],
    ["the transaction's before the engine's", long, (db) => db.transaction(() => db.scalar(sleep), { query: short })],
    [
      "the transaction's before the scope's",
      undefined,
      (db) => db.scope(() => db.transaction(() => db.scalar(sleep), { query: short }), { query: long }),
    ],
    [
      "the scope's inside a transaction that has none",
      undefined,
      (db) => db.scope(() => db.transaction(() => db.scalar(sleep)), { query: short }),
    ],
    [
      "the scope's by the handle of the transaction",
      undefined,
      (db) => db.scope(() => db.transaction((tx) => tx.scalar(sleep)), { query: short }),
    ],
    [
      "the connection's inside its transaction",
      undefined,
      async (db) => {
        await using connection = await db.acquire({ query: short })
        return await connection.transaction((tx) => tx.scalar(sleep))
      },
    ],
    [
      "the outer transaction's inside a nested one that has none",
      undefined,
      (db) => db.transaction(() => db.transaction(() => db.scalar(sleep)), { query: short }),
    ],
    [
      "a nested transaction's before the outer one's",
      undefined,
      (db) => db.transaction(() => db.transaction(() => db.scalar(sleep), { query: short }), { query: long }),
    ],
    [
      "an inner scope's before the outer one's",
      undefined,
      (db) => db.scope(() => db.scope(() => db.scalar(sleep), { query: short }), { query: long }),
    ],
    [
      "the statement's before all",
      long,
      (db) => db.scope(() => db.transaction((tx) => tx.scalar(sleep, [], short), { query: long }), { query: long }),
    ],
  ]

  test.each(cases)('%s', async (_, query, work) => {
    await using server = await fake({}, { query })

    expect(await caught(work(server.db))).toBeInstanceOf(QueryTimeoutError)
  })

  test('a statement may have more time than what is around it allows', async () => {
    await using server = await fake({}, { query: { timeoutMs: 20 } })

    for (const timeoutMs of [60_000, Infinity])
      expect(await server.db.status(server.words.sleep(0.08), [], { timeoutMs })).toBeDefined()
  })

  test('it reaches cursors as well', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('FETCH', { hang: true })

    const error = await caught(db.scope(() => db.iterate('select generate_series(1, 3)').read(), { query: short }))

    expect(error).toBeInstanceOf(QueryTimeoutError)
  })
})

describe('a timeout covers', () => {
  test('the wait for a connection', async () => {
    await using server = await fake({}, { pool: { max: 1 } })
    await using _ = await server.db.acquire()

    const error = await caught(server.db.scalar('select 1', [], { timeoutMs: 30 }))

    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error).toMatchObject({ phase: 'connection', outcome: 'not_started' })
  })

  test('wait and run together', async () => {
    using time = virtualTime()
    const opening = fake({}, { pool: { max: 1 } })
    await time.pass(1)
    const { db, words } = await opening
    const first = db.status(words.sleep(0.08))
    let error: Error | undefined
    const second = caught(db.status(words.sleep(0.2), [], { timeoutMs: 120 })).then((told) => (error = told))

    await time.pass(118)
    expect(error).toBeUndefined()
    await time.pass(4)

    expect(error).toBeInstanceOf(QueryTimeoutError)
    await Promise.all([first, second])
    await Promise.all([db.close({ timeoutMs: 50 }), time.pass(200)])
  })
})

test.each([-1, NaN, '5' as never])('timeoutMs: %s is a UsageError', async (timeoutMs) => {
  await using server = await fake()

  expect(await caught(server.db.scalar('select 1', [], { timeoutMs }))).toBeInstanceOf(UsageError)
  expect(server.sent()).toEqual([])
})
