/** Waits that could only end with the code that waits: told where nothing else can help, and only there. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { AcquireTimeoutError, type Connection, createDb, type Db, SelfDeadlockError } from 'genever'
import { expect, test } from 'vitest'
import { databaseUrl } from '../support/database.ts'
import { postgresWords, type Words } from '../support/dialect-words.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver, quiet } from '../support/matrix.ts'
import { until } from '../support/until.ts'

type Body = (db: Db, words: Words) => Promise<unknown>

/** A handle that is awaited later. */
function asked(db: Db): Promise<Connection> {
  const handle = db.acquire()
  handle.catch(() => {})
  return handle
}

/** Each of these holds one connection and wants another; with as many of them as connections, or more, nobody can go on. */
const bodies: Readonly<Record<string, Body>> = {
  'a handle, then a statement of the scope': async (db) => {
    await using handle = await db.acquire()
    await handle.scalar('select 1')
    await sleep(5)
    return await db.scalar('select 2')
  },
  'a transaction by hand, then a statement of the scope': async (db) => {
    await using tx = await db.begin()
    await tx.scalar('select 1')
    await sleep(5)
    await db.scalar('select 2')
    return await tx.commit()
  },
  'a wait for a handle that a transaction begun meanwhile awaits': async (db) => {
    const handle = asked(db)
    return db.transaction(async () => {
      await db.scalar('select 1')
      await sleep(5)
      return handle.then((own) => own.release())
    })
  },
  'a wait for a handle while the session is pinned': async (db, words) => {
    const handle = asked(db)
    await db.status(words.set('app.pinned', '1'))
    await sleep(5)
    return handle.then((own) => own.release())
  },
}

forEachDriver((driver) => {
  test.each(Object.entries(bodies))(
    'one request on one connection ends by an error that says so: %s',
    async (_, body) => {
      const db = await driver.single({ pool: { acquireTimeoutMs: 10_000 } })

      const end: unknown = await db
        .scope(async () => {
          await db.scalar('select 1')
          await sleep(5)
          return body(db, driver.words)
        })
        .catch((error: unknown) => error)

      // One that could be served before it begins its transaction, or pins, is no deadlock.
      if (end !== undefined) expect(end).toBeInstanceOf(SelfDeadlockError)
      await quiet(db)
    },
  )

  test('a read of 50 ms and a handle, asked for together, are one after the other', async () => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 10_000 } })
    await db.scope(async () => {
      await db.scalar('select 1')
      const handle = db.acquire().then((own) => own.release())
      expect(await db.all(driver.words.sleep(0.05))).toHaveLength(1)
      await handle
    })
  })

  test('a scope that was recalled, and has borrowed again in a sibling branch, lets a handle be acquired', async () => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 10_000 } })
    const outside = AsyncLocalStorage.snapshot()
    await db.scope(async () => {
      await db.scalar('select 1')
      await outside(() => db.scalar('select 7'))
      const branch = db.scalar('select 2').then(() => sleep(5))
      const handle = await db.acquire()
      await handle.release()
      await branch
      expect(await db.scalar('select 3')).toBe(3)
    })
  })

  test.each(['a sibling', 'code outside'])('a handle that %s releases later is waited for', async (who) => {
    // A deadlock would be seen after a tenth of it.
    const db = await driver.single({ pool: { acquireTimeoutMs: 300_000 } })
    const given = gate()
    let handle: Connection | undefined
    const release = async (): Promise<void> => {
      await given.promise
      await until(() => db.stats().waiting === 1)
      await sleep(100)
      await handle?.release()
    }
    const outside = who === 'code outside' ? release() : null
    const answer = await db.scope(async () => {
      const sibling = outside ?? release()
      await db.scalar('select 1')
      handle = await db.acquire()
      given.open()
      const answer = await db.scalar('select 2')
      await sibling
      return answer
    })

    expect(answer).toBe(2)
  })

  test.each<[string, Body]>([
    [
      'acquire()',
      async (db) => {
        await using own = await db.acquire()
        return await own.scalar('select 7')
      },
    ],
    [
      'begin()',
      async (db) => {
        await using tx = await db.begin()
        return await tx.scalar('select 7')
      },
    ],
    ['a scope of its own', (db) => db.scope(() => db.scalar('select 7'), { reuse: false })],
    ['a transaction of its own', (db) => db.transaction(() => db.scalar('select 7'), { reuse: false })],
    ['detached()', (db) => db.detached(() => db.scalar('select 7'))],
  ])('on a pool of one %s gets the connection of the scope around, whose statements have ended', async (_, work) => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 10_000 } })
    await db.scope(async () => {
      expect(await db.scalar('select 1')).toBe(1)
      expect(await work(db, driver.words)).toBe(7)
      expect(await db.scalar('select 2')).toBe(2)
    })
    await quiet(db)
  })

  test('a scope inside of a quiet one gets a connection, however deep', async () => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 10_000 } })
    const nest = async (levels: number): Promise<number> =>
      db.scope(
        async () => {
          await db.scalar('select 1')
          await sleep(1)
          const below = levels === 1 ? 0 : await nest(levels - 1)
          return below + Number(await db.scalar('select 1'))
        },
        { reuse: false },
      )

    expect(await nest(5)).toBe(5)
  })
})

test.each(Object.entries(bodies))(
  'six requests on three connections all end, none by its time: %s',
  async (_, body) => {
    await using db = createDb(await databaseUrl(), { pool: { max: 3, acquireTimeoutMs: 10_000 } })
    const request = async (): Promise<unknown> =>
      db.scope(async () => {
        await db.scalar('select 1')
        await sleep(5)
        return body(db, postgresWords)
      })

    const ends = await Promise.allSettled(Array.from({ length: 6 }, request))
    const errors = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as Error] : []))

    expect(errors.filter((error) => !(error instanceof SelfDeadlockError))).toEqual([])
    expect(errors.length).toBeLessThan(6)
    await quiet(db)
  },
)

test('transactions of two databases that wait for each other end by the acquire timeout, which names who holds', async () => {
  await using one = createDb(await databaseUrl(), { name: 'one', pool: { max: 1, acquireTimeoutMs: 300 } })
  await using two = createDb(await databaseUrl(), { name: 'two', pool: { max: 1, acquireTimeoutMs: 300 } })
  // Opening a connection is not what is waited for.
  await Promise.all([one.open(), two.open()])
  const both = [gate(), gate()]
  const cross = (first: Db, second: Db, number: 0 | 1): Promise<unknown> =>
    first.transaction(async () => {
      await first.scalar('select 1')
      both[number]?.open()
      await Promise.all(both.map(({ promise }) => promise))
      return second.transaction(() => second.scalar('select 1'))
    })

  // Whose time is over first is open; the other one may be served by what the first gives back.
  const ends = await Promise.allSettled([cross(one, two, 0), cross(two, one, 1)])
  const errors = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as Error] : []))

  expect(errors.length).toBeGreaterThan(0)
  expect(errors.filter((error) => !(error instanceof AcquireTimeoutError))).toEqual([])
  for (const error of errors) expect(error.message).toMatch(/Held by: transaction begun at /)
})
