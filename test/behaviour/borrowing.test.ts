/** The wait for a connection: shared by those who need the same one, limited for each, and never a place lost. */

import { AcquireTimeoutError, ConnectError, createDb } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { doing, forEachDriver, pid } from '../support/matrix.ts'

import { until } from '../support/until.ts'

const nobody = '0 lent, 1 idle, 0 waiting'
const one = '1 lent, 0 idle, 0 waiting'

forEachDriver((driver) => {
  test('without a time of its own a wait ends by the acquire timeout of the pool', async () => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 20 } })
    await using held = await db.acquire({ timeoutMs: 20_000 })

    const errors = await Promise.all([caught(db.acquire()), caught(db.scalar('select 1')), caught(db.begin())])

    expect(errors.map((error) => error instanceof AcquireTimeoutError)).toEqual([true, true, true])
    expect([held.borrowed, doing(db)]).toEqual([true, one])
  })

  test('when too many wait already the next one is refused at once', async () => {
    const db = await driver.single({ pool: { maxWaiting: 2 } })
    const held = await db.acquire()
    const waiting = [db.scalar('select 1'), db.scope(() => db.scalar('select 2'))]

    const error = await caught(db.scalar('select 3'))
    await held.release()

    expect([error.name, await Promise.all(waiting)]).toEqual(['TooManyWaitersError', [1, 2]])
  })

  test('acquire() on an exhausted pool gives up after its time, names the holder, and loses no place', async () => {
    const db = await driver.single()
    const held = await db.acquire()

    const error = await caught(db.acquire({ timeoutMs: 10 }))

    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error.phase).toBe('connection')
    expect(error.message).toMatch(/Held by: acquire\(\).*, held \d+ ms, idle in code \d+ ms, held\./)
    expect(doing(db)).toBe('1 lent, 0 idle, 0 waiting')
    await held.release()
    expect(await db.scalar('select 1')).toBe(1)
  })

  test('a statement of a scope that gets no connection says how long it has waited', async () => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 100 } })
    const held = await db.acquire()
    const begun = performance.now()

    const error = await caught(db.scope(() => db.scalar('select 1')))
    const waited = performance.now() - begun

    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error.timeoutMs).toBeGreaterThanOrEqual(99)
    expect(error.timeoutMs).toBeLessThanOrEqual(Math.ceil(waited))
    expect(error.message).toContain(`Waited ${error.timeoutMs} ms`)
    await held.release()
  })

  test('scope({ lazy: false }) that gets no connection never calls its work, and leaves nothing current', async () => {
    const db = await driver.single()
    const held = await db.acquire()
    let called = false

    const error = await caught(db.scope(() => (called = true), { lazy: false, timeoutMs: 10 }))

    expect([error instanceof AcquireTimeoutError, called, db.current]).toEqual([true, false, undefined])
    await held.release()
  })

  test('concurrent first statements of a scope share one borrow', async () => {
    const db = await driver.single()

    const raws = await db.scope(async (owner) => {
      await Promise.all([
        db.scalar('select 1'),
        owner.scalar('select 2'),
        db.scope((inner) => inner.scalar('select 3')),
      ])
      return doing(db)
    })

    expect(raws).toBe(one)
  })

  test('of two statements that share a borrow the one with less time gives up alone', async () => {
    const db = await driver.single()
    const held = await db.acquire()

    await db.scope(async () => {
      const patient = db.scalar('select 1')
      const hasty = await caught(db.scalar('select 2', [], { timeoutMs: 10 }))
      const waiting = doing(db)
      await held.release()

      expect(hasty).toBeInstanceOf(AcquireTimeoutError)
      expect(waiting).toBe('1 lent, 0 idle, 1 waiting')
      expect(await patient).toBe(1)
    })

    expect(doing(db)).toBe(nobody)
  })

  test('the wait for a connection counts against the time of a lazy statement, and loses no place', async () => {
    const db = await driver.single()
    const held = await db.acquire()
    const hasty = caught(db.scope(() => db.scalar('select 1', [], { timeoutMs: 10 })))
    const patient = db.scope((connection) => connection.scalar('select 2'))

    const error = await hasty
    await held.release()

    expect([error instanceof AcquireTimeoutError, error.outcome]).toEqual([true, 'not_started'])
    expect(await patient).toBe(2)
  })

  test('a statement aborted while it waits for a connection gives up its place', async () => {
    const db = await driver.single()
    const held = await db.acquire()
    const abort = new AbortController()
    const waiting = caught(db.scope(() => db.scalar('select 1', [], { signal: abort.signal })))
    await until(() => db.stats().waiting === 1)

    abort.abort(new RangeError('enough'))

    expect((await waiting).name).toBe('AbortedError')
    expect(doing(db)).toBe(one)
    await held.release()
    expect(await db.scalar('select 1')).toBe(1)
  })

  test('concurrent scopes and transactions that each reuse all succeed, and leave nothing current', async () => {
    const db = await driver.db()
    await (await db.acquire()).release()

    const answers = await Promise.all([
      ...Array.from({ length: 5 }, (_, i) => db.scope(() => db.scalar(driver.words.integer, [i]))),
      ...Array.from({ length: 5 }, (_, i) => db.transaction((tx) => tx.scalar(driver.words.integer, [i]))),
    ])

    expect(answers).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 3, 4])
    expect(db.current).toBeUndefined()
  })
})

forEachDriver(
  (driver) => {
    test('those who wait for a connection are served in the order in which they came', async () => {
      const db = await driver.single()
      const held = await db.acquire()
      const served: number[] = []
      const waiting = [0, 1, 2, 3].map(async (i) => {
        if (i % 2 === 0) await db.scalar('select 1')
        else await (await db.acquire()).release()
        served.push(i)
      })

      await held.release()
      await Promise.all(waiting)

      expect(served).toEqual([0, 1, 2, 3])
    })

    test('the connection that came back last is lent first', async () => {
      const db = await driver.db()
      const one = await db.acquire()
      const two = await db.acquire()
      const last = await pid(one)
      await two.release()
      await one.release()

      expect(await pid(db)).toBe(last)
    })

    test('a database that is not there is told at the first use, and again at the next', async () => {
      const db = createDb((await driver.url()).replace(/[^/]+$/, 'no_such_database'))

      const errors = [await caught(db.acquire()), await caught(db.scope(() => db.all('select 1')))]

      expect(errors.map((error) => error instanceof ConnectError)).toEqual([true, true])
      expect(errors[0]?.message).toContain('no_such_database')
      expect(db.current).toBeUndefined()
      await db.close()
    })

    test('when no connection can be opened all who wait for it are told why, and a release meanwhile does no harm', async () => {
      const database = await freshDatabase()
      const db = await createDb(database.url).open()
      await database.drop()

      await db.scope(async (connection) => {
        await until(() => db.stats().open === 0)
        const statements = [caught(connection.scalar('select 1')), caught(db.scalar('select 2'))]
        const released = connection.release({ permanent: false })

        expect((await Promise.all(statements)).map((error) => error instanceof ConnectError)).toEqual([true, true])
        await released
        await connection.release({ permanent: false })
      })

      expect(doing(db)).toBe('0 lent, 0 idle, 0 waiting')
      await db.close()
    })
  },
  { connections: 2 },
)
