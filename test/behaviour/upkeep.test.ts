/** What a pool does by itself: connections that nobody uses, that are old, that nobody could get. */

import { createDb, SelfDeadlockError } from 'genever'
import { describe, expect, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { wantedDrivers } from '../support/extent.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver, pid } from '../support/matrix.ts'
import { pgliteStart } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { virtualTime } from '../support/virtual-time.ts'

forEachDriver(
  (driver) => {
    describe('connections nobody uses', () => {
      test('are closed after idleTimeoutMs, down to min', async () => {
        const db = await driver.db({ pool: { max: 4, min: 1, idleTimeoutMs: 200 } })
        const all = gate()
        let inside = 0
        const one = (): Promise<void> =>
          db.transaction(async () => {
            await db.scalar('select 1')
            if (++inside === 4) all.open()
            await all.promise
          })
        await Promise.all([one(), one(), one(), one()])

        await until(() => db.stats().open === 1)

        expect(await db.scalar('select 1')).toBe(1)
      })

      test('are opened ahead of use up to min', async () => {
        const db = await driver.db({ pool: { max: 4, min: 3, idleTimeoutMs: 200 } })

        await until(() => db.stats().idle === 3)
      })

      test('are replaced when they reach maxLifetimeMs', async () => {
        const db = await driver.db({ pool: { max: 1, maxLifetimeMs: 200 } })
        const first = await pid(db)

        await until(() => db.stats().open === 0)

        expect(await pid(db)).not.toBe(first)
      })
    })

    test('when every holder waits for another connection too, the youngest is told at once and the others go on', async () => {
      const db = await driver.db({ pool: { max: 2 } })
      const holding = gate()
      let holders = 0
      const greedy = (): Promise<unknown> =>
        caught(
          db.transaction(async () => {
            await db.scalar('select 1')
            if (++holders === 2) holding.open()
            await holding.promise
            return db.transaction(() => db.scalar('select 2'), { reuse: false })
          }),
        ).catch(() => 'went on')

      const outcomes = await Promise.all([greedy(), greedy()])

      expect(outcomes.filter((outcome) => outcome instanceof SelfDeadlockError)).toHaveLength(1)
      expect(outcomes).toContain('went on')
    })
  },
  { connections: 2 },
)

test.skipIf(!wantedDrivers().includes('pglite'))(
  'connections that nobody uses stay open in a database inside the process, whose data would end with them',
  async () => {
    const db = createDb('pglite://memory', {
      pool: { idleTimeoutMs: 50, maxLifetimeMs: 50, ...pgliteStart },
    })
    await db.status('create table t (n int)')
    await new Promise((resolve) => setTimeout(resolve, 300))

    expect(await db.scalar('select count(*) from t')).toBe(0)
    await db.close()
  },
)

describe('connections of one birth', () => {
  const lifetime = 200_000
  const pool = { idleTimeoutMs: Infinity, maxLifetimeMs: lifetime }

  test('do not end together: one at a time, a second apart, and the pool stays as large as it was', async () => {
    using time = virtualTime()
    const opening = fake({}, { pool: { ...pool, max: 30, min: 30 } })
    await time.pass(1)
    const server = await opening
    const { db, driver } = server
    await time.pass(20)
    expect(db.stats().idle).toBe(30)
    const born = performance.now()
    const ends: number[] = []
    let fewest = 30
    let closed = 0

    while (closed < 30) {
      await time.pass(50)
      const now = driver.log.filter((line) => line.endsWith('<close>')).length
      for (; closed < now; closed++) ends.push(performance.now() - born)
      fewest = Math.min(fewest, db.stats().open)
      if (performance.now() - born > lifetime * 1.5) break
      if (performance.now() - born < lifetime * 0.89) vi.advanceTimersByTime(5_000)
    }

    expect(ends).toHaveLength(30)
    expect(ends[0]).toBeGreaterThanOrEqual(lifetime * 0.9)
    expect(Math.min(...ends.slice(1).map((end, n) => end - ends[n]!))).toBeGreaterThanOrEqual(900)
    expect(fewest).toBeGreaterThanOrEqual(29)
    expect(db.stats().open).toBe(30)
    await Promise.all([db.close(), time.pass(200)])
  })

  test('are left to their users: one that is too old ends when it comes back', async () => {
    using time = virtualTime()
    const opening = fake({}, { pool: { ...pool, max: 2 } })
    await time.pass(1)
    const { db, driver } = await opening
    const held = await db.acquire()
    vi.advanceTimersByTime(lifetime * 2)
    await time.pass(5)

    const answer = held.scalar('select 7')
    await time.pass(2)
    const kept = [await answer, driver.openCount]
    await held.release()
    await time.pass(2)

    expect([kept, driver.openCount, db.stats().open]).toEqual([[7, 1], 0, 0])
    await Promise.all([db.close(), time.pass(200)])
  })
})
