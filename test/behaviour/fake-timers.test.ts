/** Tests that replace timers and clocks, all of them, touch nothing of the package: it goes on in real time. */

import {
  AcquireTimeoutError,
  createDb,
  type Db,
  type EngineOptions,
  QueryTimeoutError,
  TransactionTimeoutError,
} from 'genever'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

beforeEach(() => void vi.useFakeTimers({ now: 0, toFake: replaced }))
afterEach(() => void vi.useRealTimers())

/** All but `nextTick`, without which the sockets of Node.js stand still. */
const replaced = [
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'setImmediate',
  'clearImmediate',
  'queueMicrotask',
  'performance',
  'Date',
  'hrtime',
] as const satisfies readonly (keyof typeof globalThis | 'hrtime')[] as never

/** A year passes for the test, and none of its timers is ours. */
function yearPasses(): void {
  expect(vi.getTimerCount()).toBe(0)
  vi.advanceTimersByTime(365 * 24 * 3_600_000)
}

const busy = { timeoutMs: 20_000 }

forEachDriver((driver) => {
  const made: Db[] = []
  const fresh = async (options: EngineOptions = {}): Promise<Db> => {
    const db = createDb(await driver.url(), options)
    made.push(db)
    return db
  }
  afterEach(async () => {
    vi.useRealTimers()
    for (const db of made.splice(0)) await db.close({ timeoutMs: 0 })
  })

  test('a database is opened by its first use, and closed', async () => {
    const db = await fresh()

    expect(await db.scalar('select 1', [], { timeoutMs: 20_000 })).toBe(1)
    yearPasses()
    expect(await db.transaction((tx) => tx.scalar('select 2'), { timeoutMs: 20_000 })).toBe(2)
    expect(await db.close()).toEqual({ drained: 1, broken: [] })
  })

  test('a long time of the test ends no wait, statement, transaction or connection', async () => {
    const db = await fresh({ pool: { max: 1 }, query: { timeoutMs: 20_000 } })
    await db.open()
    const held = await db.acquire()
    const waiting = db.scalar('select 1')
    yearPasses()
    const inside = await held.transaction(
      async (tx) => {
        yearPasses()
        return tx.scalar('select 2')
      },
      { timeoutMs: 20_000 },
    )
    await held.release()

    expect([inside, await waiting, db.stats().open]).toEqual([2, 1, 1])
  })

  test('waits and transactions end by their own time', async () => {
    const db = await fresh({ pool: { max: 1, acquireTimeoutMs: 30 } })
    await db.open()
    const holder = await db.acquire({ timeoutMs: 20_000 })
    const held = await caught(db.scalar('select 2'))
    await holder.release()
    const late = caught(db.transaction(() => new Promise(() => {}), { timeoutMs: 30 }))

    expect(held).toBeInstanceOf(AcquireTimeoutError)
    expect(await late).toBeInstanceOf(TransactionTimeoutError)
  })

  test('idle connections are asked, reset and closed in their own time', async () => {
    const name = `upkeep of ${driver.name} under fake timers`
    using heard = hear(name)
    const db = await fresh({ name, pool: { max: 1, ...(driver.name !== 'pglite' ? { idleTimeoutMs: 60 } : {}) } })
    await db.scope(() => db.status(driver.words.set('app.dirty', '1')))
    expect(await db.scalar('select 1')).toBe(1)
    for (const member of (await db.engineHere()).pool.idle) member.idleSince = -Infinity
    expect(await db.scalar('select 2')).toBe(2)
    if (driver.name !== 'pglite') await until(() => db.stats().open === 0, busy)

    // A server that is slow to answer is taken for dead, and replaced.
    const events = new Set(heard.connections.map(({ event }) => event).filter((event) => event !== 'lost'))
    expect([...events]).toEqual(driver.name !== 'pglite' ? ['open', 'reset', 'close'] : ['open', 'reset'])
    for (const { durationMs } of heard.statements) expect(durationMs).toBeGreaterThan(0)
  })

  test('close() breaks what is left by its own deadline', async () => {
    const db = await fresh()
    const leaked = await db.acquire()

    const report = await db.close({ timeoutMs: 30 })

    expect(report.broken).toEqual([expect.stringMatching(/^acquire/)])
    await leaked.release()
  })

  test('the leak report comes in its own time', async () => {
    const name = `leak on ${driver.name} under fake timers`
    using heard = hear(name)
    const db = await fresh({ name, leak: { afterMs: 30 } })
    const leaked = await db.acquire()
    yearPasses()

    await until(() => heard.notices.length > 0, busy)
    await leaked.release()

    expect(heard.notices[0]?.details?.['heldMs']).toBeLessThan(60_000)
  })

  test('dates are what the server says', async () => {
    const db = await fresh()
    const when = '2024-02-29T12:00:00.000Z'

    const type = driver.name === 'mysql' ? 'datetime' : 'timestamptz'
    const row = await db.one<{ t: Date; same: boolean | number }>(
      `select t, t = :when as same from (select cast(:when as ${type}) as t) v`,
      { when: new Date(when) },
    )

    expect([row.t.toISOString(), Boolean(row.same)]).toEqual([when, true])
  })
})

forEachDriver(
  (driver) => {
    test('further connections are opened, and slow statements are cancelled at their time', async () => {
      const db = createDb(await driver.url(), { pool: { max: 5 } })
      const answers = Array.from({ length: 10 }, (_, i) =>
        db.scalar(`select ${i} from (${driver.words.sleep(0.05)}) slow`),
      )

      expect(await Promise.all(answers)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      await until(() => db.stats().open > 1, busy)
      expect(await caught(db.scalar(driver.words.sleep(60), [], { timeoutMs: 400 }))).toBeInstanceOf(QueryTimeoutError)
      yearPasses()
      await db.close()
    })
  },
  { connections: 2 },
)
