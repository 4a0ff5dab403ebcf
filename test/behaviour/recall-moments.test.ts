/** Whatever happens around the moment in which a connection is judged to be quiet: nobody gets a wrong answer, or none. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import { AbortedError, AcquireTimeoutError, type Connection, createDb, type Db } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl, freshDatabase, onServer } from '../support/database.ts'
import { forEachDriver, pid, quiet, wordsFor } from '../support/matrix.ts'
import { startProxy, type Welcome } from '../support/proxy.ts'
import { until } from '../support/until.ts'

/** Goes on `n` check phases later. */
async function phases(n: number): Promise<void> {
  for (let i = 0; i < n; i++) await immediate()
}

/** The judgement takes two; what happens before, between and after them is tried from both sides of its own callback. */
const moments = [0, 1, 2, 3, 4].flatMap((n) => [
  { n, first: true },
  { n, first: false },
])

const seven = (db: Db, signal?: AbortSignal): Promise<unknown> =>
  db.scalar('select 7', [], signal === undefined ? {} : { signal })

type Act = (db: Db, own: Connection) => Promise<unknown>

/** What the holder begins, with the answer that is right. */
const acts: Readonly<Record<string, readonly [Act, unknown]>> = {
  'a statement': [(db) => db.scalar('select 2'), 2],
  'reads together': [(db) => Promise.all([1, 2, 3].map((n) => db.scalar(wordsFor(db).integer, [n]))), [1, 2, 3]],
  'a transaction': [
    (db) =>
      db.transaction(async () => {
        const before = await pid(db)
        await sleep(2)
        return before === (await pid(db))
      }),
    true,
  ],
  'an empty transaction': [(db) => db.transaction(() => sleep(2)), undefined],
  SET: [
    async (db) => {
      await db.status(wordsFor(db).set('app.kept', 'kept'))
      await sleep(2)
      return db.scalar(wordsFor(db).setting('app.kept'))
    },
    'kept',
  ],
  'a temporary table': [
    async (db) => {
      await db.status('create temporary table kept as select 3 as n')
      await sleep(2)
      return db.scalar('select n from kept')
    },
    3,
  ],
  'a cursor': [
    async (db) => {
      const seen: number[] = []
      for await (const { n } of db.iterate<{ n: number }>(wordsFor(db).series(3), [], { batchSize: 1 })) {
        seen.push(n)
        await sleep(1)
      }
      return seen
    },
    [1, 2, 3],
  ],
  'rawConnection()': [
    async (_, own) => {
      const raw = await own.rawConnection()
      await sleep(2)
      return own.raw === raw
    },
    true,
  ],
  'a scope inside that borrows at once': [(db) => db.scope((inner) => inner.scalar('select 4'), { lazy: false }), 4],
  'a handle that holds': [
    async (db) => {
      await using held = await db.acquire({ reuse: true, hold: true })
      const before = await pid(held)
      await sleep(2)
      return before === (await pid(held))
    },
    true,
  ],
  'release({ permanent: false })': [
    (db, own) => own.release({ permanent: false }).then(() => db.scalar('select 5')),
    5,
  ],
  'idle()': [(db) => db.idle(() => sleep(1)).then(() => db.scalar('select 6')), 6],
  'the end of its scope': [() => Promise.resolve(), undefined],
}

forEachDriver((driver) => {
  test.each(Object.entries(acts).filter(([name]) => driver.lends || name !== 'rawConnection()'))(
    'the holder begins, in any turn of the judgement: %s',
    async (_, [act, right]) => {
      const db = await driver.single()
      for (const { n, first } of moments) {
        const outside = AsyncLocalStorage.snapshot()
        let waiter: Promise<unknown> = Promise.resolve()
        const answer = await db.scope(async (own) => {
          await db.scalar('select 1')
          await sleep(1)
          const turn = first ? phases(n) : undefined
          waiter = outside(seven, db)
          await (turn ?? phases(n))
          return act(db, own)
        })
        expect([answer, await waiter]).toEqual([right, 7])
        await quiet(db)
      }
      // Of what the scopes did to their session nothing is left.
      expect((await db.scalar(driver.words.setting('app.kept'))) ?? '').toBe('')
      expect(await caught(db.all('select n from kept'))).toMatchObject({ code: 'GENEVER_SQL_SYNTAX' })
    },
  )

  test('the waiter gives up, in any turn of the judgement: the scope goes on, and nothing is lent for nobody', async () => {
    const db = await driver.single()
    for (const { n, first } of moments) {
      const [outside, left] = [AsyncLocalStorage.snapshot(), new AbortController()]
      let waiter: Promise<unknown> = Promise.resolve()
      await db.scope(async () => {
        await db.scalar('select 1')
        await sleep(1)
        const turn = first ? phases(n) : undefined
        waiter = outside(seven, db, left.signal).catch((error: unknown) => error)
        await (turn ?? phases(n))
        left.abort()
        expect(await db.scalar('select 2')).toBe(2)
      })
      const end = await waiter
      expect(end === 7 || end instanceof AbortedError).toBe(true)
      await quiet(db)
    }
  })

  test('a waiter without any time is served, or takes no connection from anybody', async () => {
    const db = await driver.single()
    const outside = AsyncLocalStorage.snapshot()
    await db.scope(async (own) => {
      await db.scalar('select 1')
      const end: unknown = await outside(() => db.acquire({ timeoutMs: 0 })).catch((error: unknown) => error)
      await phases(4)
      const served = !(end instanceof AcquireTimeoutError)
      if (served) await (end as Connection).release()
      expect([own.borrowed, db.stats().recalls]).toEqual([!served, served ? 1 : 0])
    })
  })

  test('close() in any turn of the judgement: the scope goes on to its end, and close() breaks nothing', async () => {
    for (const { n, first } of moments) {
      const db = createDb(await driver.url(), { pool: { max: 1 } })
      await db.open()
      const outside = AsyncLocalStorage.snapshot()
      let [waiter, closing]: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()]
      await db.scope(async () => {
        await db.scalar('select 1')
        await sleep(1)
        const turn = first ? phases(n) : undefined
        waiter = outside(seven, db).catch((error: unknown) => (error as Error).name)
        await (turn ?? phases(n))
        closing = outside(() => db.close({ timeoutMs: 30_000 }))
        await sleep(1)
        expect(await db.scalar('select 2')).toBe(2)
      })
      expect([7, 'PoolClosedError']).toContain(await waiter)
      expect(await closing).toMatchObject({ broken: [] })
    }
  })

  // Statements on PGlite that follow each other by promises alone leave the event loop no turn, so that no setImmediate runs.
  test.skipIf(driver.name === 'pglite')(
    'of a chain of setImmediate of any length every answer is right, and one keeps the connection',
    async () => {
      const taken: number[] = []
      for (const length of [1, 2, 3, 4]) {
        const db = await driver.single()
        const others = { wanted: true }
        const ask = async (): Promise<void> => {
          while (others.wanted) expect(await db.scalar('select 1')).toBe(1)
        }
        const running = [ask(), ask()]
        await db.scope(async () => {
          for (let i = 0; i < 20; i++) {
            expect(await db.scalar(driver.words.integer, [i])).toBe(i)
            await phases(length)
          }
        })
        others.wanted = false
        await Promise.all(running)
        taken.push(db.stats().recalls)
      }

      expect(taken[0]).toBe(0)
      expect(taken[3]).toBeGreaterThan(0)
    },
  )

  test('a handle that may be recalled begins a transaction in any turn of the judgement', async () => {
    const db = await driver.single()
    for (const { n, first } of moments) {
      await using own = await db.acquire({ hold: false })
      await own.scalar('select 1')
      await sleep(1)
      const turn = first ? phases(n) : undefined
      const waiter = seven(db)
      await (turn ?? phases(n))
      const tx = await own.begin()
      expect(await tx.scalar('select 2')).toBe(2)
      await tx.commit()
      expect(await waiter).toBe(7)
    }
  })

  const ends: Readonly<Record<string, Act>> = {
    'a nested transaction that is rolled back': (db) =>
      db.transaction(async () => {
        await db.scalar('select 1')
        await caught(db.transaction(() => db.scalar('select exp(1000)')))
      }),
    'a transaction whose signal aborts': (db) =>
      caught(db.transaction(() => new Promise(() => {}), { signal: AbortSignal.timeout(5) })),
    'a transaction whose hook takes its time': (db) =>
      db.transaction(async (tx) => {
        await tx.scalar('select 1')
        tx.afterCommit(() => sleep(3))
      }),
    'a cursor that is closed by hand': async (db) => {
      const rows = db.iterate(driver.words.series(5), [], { batchSize: 1 })
      await rows.read()
      await rows.close()
    },
    'the release of a handle that shares the connection and held it': async (db) => {
      const held = await db.acquire({ reuse: true, hold: true })
      await held.scalar('select 1')
      await held.release()
    },
    'a savepoint by hand that is rolled back': (db) =>
      db.transaction(async (tx) => {
        const savepoint = await tx.begin()
        await savepoint.scalar('select 1')
        await savepoint.rollback()
      }),
    'executeMany()': (db) => db.executeMany(driver.words.integer, [[1], [2]]),
    'a statement that was never sent': (db) => caught(db.scalar(driver.words.integer, [])),
  }
  const orders = Object.entries(ends).flatMap(([name, end]) => [
    { name, end, order: 'before' },
    { name, end, order: 'after' },
  ])
  test.each(orders)('whoever comes $order it is served while the scope waits: $name', async ({ end, order }) => {
    const db = await driver.single()
    const outside = AsyncLocalStorage.snapshot()
    await db.scope(async (own) => {
      await db.scalar('select 1')
      const before = order === 'before' ? outside(seven, db) : null
      await end(db, own)
      expect(await (before ?? outside(seven, db))).toBe(7)
      expect(await db.scalar('select 3')).toBe(3)
    })
  })

  test('a dirty connection that two wait for is reset once and serves both', async () => {
    const db = await driver.single()
    const outside = AsyncLocalStorage.snapshot()
    const settings = { 'app.me': 'of the scope' }
    const foreign = async (): Promise<unknown> => (await db.scalar(driver.words.setting('app.me'))) ?? ''
    await db.scope(
      async () => {
        await db.scalar('select 1')
        expect(await outside(() => Promise.all([foreign(), foreign()]))).toEqual(['', ''])
        expect(db.stats().recalls).toBe(1)
        expect(await foreign()).toBe('of the scope')
      },
      { settings },
    )
  })
})

describe('while', () => {
  test('a new connection takes long to open, whoever waits is served by one that is quiet', async () => {
    await using proxy = await startProxy(await databaseUrl())
    await using db = await createDb(proxy.url, { pool: { max: 2 } }).open()
    await proxy.accept('silent')
    const before = proxy.arrived
    const outside = AsyncLocalStorage.snapshot()
    await db.scope(async () => {
      let waiter: Promise<unknown> = Promise.resolve()
      await db.transaction(async () => {
        await db.scalar('select 1')
        waiter = outside(seven, db)
        await until(() => proxy.arrived > before)
      })
      expect([await waiter, await outside(seven, db), await db.scalar('select 2')]).toEqual([7, 7, 2])
    })
    expect(db.stats()).toMatchObject({ open: 1, opening: 1 })
    await db.close({ timeoutMs: 0 })
  })

  test.each<[string, Welcome]>([
    ['fails', (socket) => void socket.destroy()],
    ['succeeds', 'pass'],
  ])('a new connection %s to open, the waiter is served and the scope goes on', async (_, welcome) => {
    await using proxy = await startProxy(await databaseUrl())
    for (const { n, first } of moments) {
      await proxy.accept('pass')
      await using db = await createDb(proxy.url, { pool: { max: 2 } }).open()
      await until(() => db.stats().idle === 1)
      await proxy.accept(welcome)
      const outside = AsyncLocalStorage.snapshot()
      await db.scope(async () => {
        await db.scalar('select 1')
        await sleep(1)
        const turn = first ? phases(n) : undefined
        const waiter = outside(seven, db)
        await (turn ?? phases(n))
        expect([await db.scalar('select 2'), await waiter]).toEqual([2, 7])
        expect(await outside(() => Promise.all([seven(db), seven(db)]))).toEqual([7, 7])
      })
      await quiet(db)
    }
  })

  test('the reset of a connection that was taken is not answered, the waiter is served by another one', async () => {
    await using proxy = await startProxy(await databaseUrl())
    await using db = await createDb(proxy.url, { pool: { max: 1 }, resetTimeoutMs: 500 }).open()
    const outside = AsyncLocalStorage.snapshot()
    await db.scope(async () => {
      const own = await pid(db)
      await db.scalar(wordsFor(db).lock(12))
      await db.scalar(wordsFor(db).unlock(12))
      proxy.cut({ to: 'server', text: 'advisory_unlock_all', when: 'before' }, 'blackhole')
      expect(await outside(seven, db)).toBe(7)
      expect(await pid(db)).not.toBe(own)
    })
    await quiet(db)
  })
})

forEachDriver(
  (driver) => {
    test('the connection dies, the waiter is served and the scope goes on', async () => {
      const db = await driver.single()
      for (const { n, first } of moments) {
        const outside = AsyncLocalStorage.snapshot()
        await db.scope(async () => {
          const own = await pid(db)
          await sleep(1)
          const killed = driver.kill(own)
          if (!first) await killed
          const waiter = outside(seven, db).catch((error: unknown) => (error as Error).name)
          await phases(n)
          await killed
          // A statement on the wire at that moment is lost, as ever.
          expect([7, 'ConnectionLostError']).toContain(await waiter)
          expect(await until(() => db.scalar('select 2').catch(() => null))).toBe(2)
        })
      }
    })
  },
  { connections: 2 },
)

test('settings that are refused after a recall fail that statement, and neither the connection nor the next scope', async () => {
  await using database = await freshDatabase()
  const role = `genever_recalled_${process.pid}`
  await onServer(`create role ${role}`)
  await using db = createDb(database.url, { pool: { max: 1 } })
  const outside = AsyncLocalStorage.snapshot()
  try {
    await db.scope(
      async () => {
        expect(await db.scalar('select current_user')).toBe(role)
        await outside(seven, db)
        await onServer(`drop role ${role}`)
        const error = await caught(db.scalar('select 1'))
        expect(error.message).toContain('does not exist')
      },
      { settings: { role } },
    )
  } finally {
    await onServer(`drop role if exists ${role}`)
  }
  expect(await db.scope(() => db.scalar('select current_user = session_user'), { settings: { 'app.me': 'x' } })).toBe(
    true,
  )
})
