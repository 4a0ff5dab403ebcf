/** Waiting for a connection that only the waiting code itself could give back fails at once, and says who holds it. */

import { AcquireTimeoutError, type Db, SelfDeadlockError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

/** A wait that is not seen to be in vain ends by this only after everything else. */
const patient = { pool: { acquireTimeoutMs: 10_000 } }

const waits: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
  'acquire()': (db) => db.acquire(),
  'begin()': (db) => db.begin(),
  'a transaction of its own': (db) => db.transaction(() => {}, { reuse: false }),
  'a scope of its own': (db) => db.scope(() => {}, { reuse: false, lazy: false }),
  'the first statement of a scope of its own': (db) => db.scope((own) => own.scalar('select 1'), { reuse: false }),
  'a statement on a lazy handle': (db) => db.acquire({ lazy: true }).then((own) => own.scalar('select 1')),
}

forEachDriver((driver) => {
  test.each(Object.entries(waits))('inside of a scope that keeps the only connection: %s', async (_, wait) => {
    const db = await driver.single(patient)

    const work = async (): Promise<Error> => {
      await db.scalar('select 1')
      return caught(wait(db))
    }
    const error = await db.scope(work, { hold: true })

    expect(error).toBeInstanceOf(SelfDeadlockError)
    expect(error.message).toMatch(/max 1.*Held by: scope .*held.*reuse: true/s)
    expect(db.stats()).toMatchObject({ reserved: 0, waiting: 0 })
  })

  test.each(Object.entries(waits))('inside of a transaction that holds the only connection: %s', async (_, wait) => {
    const db = await driver.single(patient)

    const error = await db.transaction(() => caught(wait(db)))

    expect(error).toBeInstanceOf(SelfDeadlockError)
    expect(error.message).toMatch(/Held by: transaction begun at .*self-deadlock\.test\.ts/)
  })

  test('it fails before another wait that would end by itself', async () => {
    const db = await driver.single(patient)
    const order: string[] = []

    const work = async (): Promise<void> => {
      await db.scalar('select 1')
      const other = db.detached(() => db.scalar('select 2')).then(() => order.push('another wait'))
      await caught(db.acquire())
      order.push('self-deadlock')
      void other
    }
    await db.scope(work, { hold: true })
    await until(() => order.length === 2)

    expect(order).toEqual(['self-deadlock', 'another wait'])
  })

  test('the scope around it goes on as if nothing had been', async () => {
    const db = await driver.single(patient)

    const work = async (): Promise<void> => {
      await db.scalar('select 1')
      await caught(db.acquire())
      expect(await db.scalar('select 2')).toBe(2)
    }
    await db.scope(work, { hold: true })

    expect(await db.scalar('select 3')).toBe(3)
  })

  test('a scope that has borrowed nothing yet, or has handed its connection back, is no reason', async () => {
    const db = await driver.single(patient)

    await db.scope(async (outer) => {
      await (await db.acquire()).release()
      await outer.scalar('select 1')
      await outer.release({ permanent: false })
      await (await db.acquire()).release()
      await db.idle(async () => {
        await (await db.acquire()).release()
      })
    })
  })

  test('a handle that code holds without being inside of it is no reason: the wait ends by its time', async () => {
    const db = await driver.single(patient)
    await using held = await db.acquire()

    const error = await caught(db.acquire({ timeoutMs: 10 }))

    expect([error instanceof AcquireTimeoutError, held.borrowed]).toEqual([true, true])
  })

  test('the run() of a handle is a reason as a scope is', async () => {
    const db = await driver.single(patient)
    await using held = await db.acquire()

    expect(await held.run(() => caught(db.acquire()))).toBeInstanceOf(SelfDeadlockError)
  })

  test('a scope that is not reusable is a reason as well: what it holds cannot come back either', async () => {
    const db = await driver.single(patient)

    const error = await db.scope((own) => own.scalar('select 1').then(() => caught(db.acquire())), {
      reusable: false,
      hold: true,
    })

    expect(error).toBeInstanceOf(SelfDeadlockError)
  })

  test('a wait beside the holder, not inside of it, gets the connection', async () => {
    const db = await driver.single(patient)
    const held = gate()

    const [, answer] = await Promise.all([
      db.transaction(async () => {
        await db.scalar('select 1')
        held.open()
        await until(() => db.stats().waiting === 1)
      }),
      held.promise.then(() => db.scalar('select 2')),
    ])

    expect(answer).toBe(2)
  })
})

forEachDriver(
  (driver) => {
    test('frames that hold every connection of a larger pool together are a reason too', async () => {
      const db = await driver.db({ pool: { max: 3, acquireTimeoutMs: 10_000 } })
      const nest = (levels: number): Promise<unknown> =>
        db.scope(
          async (own) => {
            await own.scalar('select 1')
            return levels === 1 ? caught(db.acquire()) : nest(levels - 1)
          },
          { reuse: false, hold: true },
        )

      expect(await nest(3)).toBeInstanceOf(SelfDeadlockError)
    })

    test('when every holder waits for one more connection the youngest wait fails at once, and the others go on', async () => {
      const db = await driver.db({ pool: { max: 2, acquireTimeoutMs: 10_000 } })
      const both = gate()
      let inside = 0
      const waits: number[] = []
      const inner = async (i: number): Promise<unknown> => {
        await db.scalar('select 1')
        if (++inside === 2) both.open()
        await both.promise
        waits.push(i)
        return db.transaction(() => i, { reuse: false })
      }
      const work = (i: number): Promise<unknown> => db.scope(() => inner(i), { hold: true })

      const ends = await Promise.allSettled([work(0), work(1)])

      const [older = -1, younger = -1] = waits
      const said = ends.map((end) => (end.status === 'fulfilled' ? end.value : (end.reason as Error).name))
      expect([said[older], said[younger]]).toEqual([older, 'SelfDeadlockError'])
    })

    test('as long as one holder needs nothing more all waits are in order', async () => {
      const db = await driver.db({ pool: { max: 2, acquireTimeoutMs: 10_000 } })
      const go = gate()
      const independent = db.scope(
        async () => {
          await db.scalar('select 1')
          await go.promise
        },
        { hold: true },
      )
      const nested = db.scope(
        async () => {
          await db.scalar('select 2')
          return db.transaction((tx) => tx.scalar('select 3'), { reuse: false })
        },
        { hold: true },
      )
      await until(() => db.stats().reserved === 2 && db.stats().waiting === 1)

      go.open()

      expect(await nested).toBe(3)
      await independent
    })
  },
  { connections: 2 },
)
