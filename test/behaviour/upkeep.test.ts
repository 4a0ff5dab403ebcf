import { createDb, SelfDeadlockError } from 'genever'
import { describe, expect, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { wantedDrivers } from '../support/extent.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { until } from '../support/until.ts'
import { virtualTime } from '../support/virtual-time.ts'

describe('connections nobody uses', () => {
  test('are closed after idleTimeoutMs, down to min', async () => {
    await using database = await freshDatabase()
    const db = await createDb(database.url, { pool: { max: 4, min: 1, idleTimeoutMs: 200 } }).open()
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
    await db.close()
  })

  test('are opened ahead of use up to min', async () => {
    await using database = await freshDatabase()
    const db = await createDb(database.url, { pool: { max: 4, min: 3, idleTimeoutMs: 200 } }).open()

    await until(() => db.stats().idle === 3)

    await db.close()
  })

  test('are replaced when they reach maxLifetimeMs', async () => {
    await using database = await freshDatabase()
    const db = await createDb(database.url, { pool: { max: 1, maxLifetimeMs: 200 } }).open()
    const first = await db.scalar('select pg_backend_pid()')

    await until(() => db.stats().open === 0)

    expect(await db.scalar('select pg_backend_pid()')).not.toBe(first)
    await db.close()
  })

  test.skipIf(!wantedDrivers().includes('pglite'))(
    'stay open in a database inside the process, whose data would end with them',
    async () => {
      const db = createDb('pglite://memory', { pool: { idleTimeoutMs: 50, maxLifetimeMs: 50 } })
      await db.status('create table t (n int)')
      await new Promise((resolve) => setTimeout(resolve, 300))

      expect(await db.scalar('select count(*)::int from t')).toBe(0)
      await db.close()
    },
  )
})

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

test('when every holder waits for another connection too, the youngest is told at once and the others go on', async () => {
  await using database = await freshDatabase()
  const db = await createDb(database.url, { pool: { max: 2 } }).open()
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
  await db.close()
})
