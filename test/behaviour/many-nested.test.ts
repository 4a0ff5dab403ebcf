/** Thousands of transactions, batches, detached work and cursors that are issued side by side in one transaction: each costs what one costs. */

import type { Db } from 'genever'
import { afterEach, expect, test, vi } from 'vitest'
import { Slot } from '../../src/engine/slot/slot.ts'
import { WaitQueue } from '../../src/pool/wait-queue.ts'
import { forEachDriver } from '../support/matrix.ts'

afterEach(() => void vi.restoreAllMocks())

/** How often one method is called while `count` pieces of work run side by side. */
async function calls(
  spy: { readonly mock: { readonly calls: unknown[] } },
  work: () => Promise<unknown>,
): Promise<number> {
  const before = spy.mock.calls.length
  await work()
  return spy.mock.calls.length - before
}

const sideBySide = <T>(count: number, work: (n: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => work(n)))

forEachDriver((driver) => {
  const { integer } = driver.words
  const ways: Record<string, (db: Db, n: number) => Promise<unknown>> = {
    'nested transactions': (db, n) => db.transaction((tx) => tx.scalar(integer, [n])),
    'nested transactions that fail': (db, n) =>
      db
        .transaction(async (tx) => {
          await tx.scalar(integer, [n])
          throw new Error('given up')
        })
        .catch(() => n),
    'transactions nested twice': (db, n) =>
      db.transaction(async (tx) => {
        await tx.transaction((inner) => inner.scalar(integer, [n]))
        await tx.transaction((inner) => inner.scalar(integer, [n]))
      }),
    'scopes with a transaction': (db, n) => db.scope(() => db.transaction((tx) => tx.scalar(integer, [n]))),
    'statements and nested transactions in turn': (db, n) =>
      n % 3 === 0 ? db.transaction((tx) => tx.scalar(integer, [n])) : db.scalar(integer, [n]),
    batches: (db, n) => db.executeMany(integer, [[n]]),
  }

  for (const [name, run] of Object.entries(ways)) {
    test(`${name} ask for admission in proportion to their number`, async () => {
      const db = await driver.db()
      const asked = vi.spyOn(Slot.prototype, 'admits')
      const within = (count: number): Promise<number> =>
        calls(asked, () => db.transaction(() => sideBySide(count, (n) => run(db, n))))

      const [few, many] = [await within(30), await within(120)]

      expect(few).toBeGreaterThan(30)
      expect(many / few).toBeLessThan(5)
    })
  }

  test('transactions on one connection ask for admission in proportion to their number', async () => {
    const db = await driver.db()
    const asked = vi.spyOn(Slot.prototype, 'admits')
    const within = (count: number): Promise<number> =>
      calls(asked, () => db.scope(() => sideBySide(count, (n) => db.transaction((tx) => tx.scalar(integer, [n])))))

    const [few, many] = [await within(30), await within(120)]

    expect(many / few).toBeLessThan(5)
  })

  test('those who gave up while others wait leave these their places', async () => {
    const db = await driver.single()
    const order: number[] = []

    await db.transaction(async () => {
      const leaving = new AbortController()
      const all = sideBySide(60, (n) =>
        db
          .transaction(
            async (tx) => {
              await tx.scalar(integer, [n])
              order.push(n)
              if (n === 5) leaving.abort()
            },
            n % 2 === 0 ? { signal: leaving.signal } : {},
          )
          .catch(() => {}),
      )
      await all
    })

    expect(order).toEqual([0, 1, 2, 3, 4, 5, ...Array.from({ length: 27 }, (_, n) => 2 * n + 7)])
  })
})

forEachDriver(
  (driver) => {
    test('detached work that is awaited side by side is judged together', async () => {
      const db = await driver.db({ pool: { max: 2 } })
      const judged = vi.spyOn(WaitQueue.prototype, 'review')

      await db.transaction(async (tx) => {
        await tx.scalar(driver.words.integer, [1])
        await sideBySide(200, (n) => db.detached(() => db.status(driver.words.sleep(n < 2 ? 0.4 : 0))))
      })

      expect(judged.mock.calls.length).toBeLessThan(50)
    })
  },
  { connections: 2 },
)
