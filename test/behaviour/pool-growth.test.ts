/** A pool grows for those who wait, and only when waiting for what comes back has not helped. */

import { createDb, type Db, type EngineOptions } from 'genever'
import { expect, test, vi } from 'vitest'
import { postgresWords as words } from '../support/dialect-words.ts'
import { FakeDriver } from '../support/fake/driver.ts'
import { virtualTime, type VirtualTime } from '../support/virtual-time.ts'

interface Server {
  readonly db: Db
  readonly driver: FakeDriver
}

/** A pool whose connects take long and whose statements take 2 ms, with its first connection open. */
async function slow(time: VirtualTime, pool: EngineOptions['pool'], connectMs = 50): Promise<Server> {
  const driver = new FakeDriver({ latencyMs: 2 })
  driver.faults.at({ phase: 'open', times: Infinity }, { delayMs: connectMs })
  const opening = createDb({ driver, closeTimeoutMs: 100, pool }).open()
  await time.pass(connectMs)
  return { db: await opening, driver }
}

async function finish(time: VirtualTime, server: Server): Promise<void> {
  const closing = server.db.close()
  await time.pass(200)
  await closing
  expect(server.driver.violations).toEqual([])
}

const many = (server: Server, count: number): Promise<unknown[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => server.db.scalar(words.integer, [n])))

test('a burst of quick statements is served by what comes back, not by a connection for each', async () => {
  using time = virtualTime()
  const server = await slow(time, { max: 10 })
  const before = server.driver.sessions.length

  const answers = many(server, 20)
  await time.pass(100)

  expect(await answers).toHaveLength(20)
  expect(server.driver.sessions.length - before).toBe(2)
  await finish(time, server)
})

test('a spike of fifty with slow connects opens two more than it had', async () => {
  using time = virtualTime()
  const server = await slow(time, { max: 10, min: 5 }, 150)
  await time.pass(400)
  expect(server.db.stats()).toMatchObject({ open: 5, idle: 5 })
  const before = server.driver.sessions.length

  let done = false
  const answers = many(server, 50).finally(() => (done = true))
  await time.pass(30)

  expect(done).toBe(true)
  await answers
  await time.pass(200)
  expect(server.driver.sessions.length - before).toBe(2)
  await finish(time, server)
})

test('behind somebody who holds the only connection one is opened, after a moment and for the one who waits', async () => {
  using time = virtualTime()
  const server = await slow(time, { max: 10 })
  const held = await server.db.acquire()

  const answer = server.db.scalar('select 7')
  await time.pass(4)
  const early = server.db.stats().opening
  await time.pass(4)
  const later = server.db.stats().opening
  await time.pass(60)

  expect([early, later, await answer]).toEqual([0, 1, 7])
  await held.release()
  await finish(time, server)
})

test('a connection that comes back in that moment serves the one who waits, and none is opened', async () => {
  using time = virtualTime()
  const server = await slow(time, { max: 10 })
  const before = server.driver.sessions.length
  const held = await server.db.acquire()
  const answer = server.db.scalar('select 7')
  await time.pass(3)

  await held.release()
  await time.pass(100)

  expect([await answer, server.driver.sessions.length - before]).toEqual([7, 0])
  await finish(time, server)
})

test('there are never more openings than waiters, and never more than two', async () => {
  using time = virtualTime()
  const server = await slow(time, { max: 10 })
  const held = await server.db.acquire()
  const seen: [opening: number, waiting: number][] = []
  const look = (): void => {
    const { opening, waiting } = server.db.stats()
    seen.push([opening, waiting])
  }

  const first = server.db.acquire()
  await time.pass(20, look)
  const others = [server.db.acquire(), server.db.acquire(), server.db.acquire()]
  await time.pass(300, look)

  // Whoever waited may have been served meanwhile by another one: then an opening has no waiter left, but none began.
  const begun = seen.filter(([opening], n) => opening > (seen[n - 1]?.[0] ?? 0))
  expect(begun.every(([opening, waiting]) => opening <= waiting)).toBe(true)
  expect(Math.max(...seen.map(([opening]) => opening))).toBe(2)
  expect(server.db.stats()).toMatchObject({ reserved: 5, waiting: 0, opening: 0 })
  for (const connection of await Promise.all([first, ...others])) await connection.release()
  await held.release()
  await finish(time, server)
})

test('the second opening waits for the second waiter, who came later', async () => {
  using time = virtualTime()
  const server = await slow(time, { max: 10 })
  const held = await server.db.acquire()
  const first = server.db.acquire()
  await time.pass(10)
  const second = server.db.acquire()
  await time.pass(2)
  const openings = [server.db.stats().opening]
  await time.pass(5)
  openings.push(server.db.stats().opening)
  await time.pass(60)

  expect(openings).toEqual([1, 2])
  for (const connection of [held, await first, await second]) await connection.release()
  await finish(time, server)
})

test('with nothing open at all there is nothing to wait for: two are opened at once', async () => {
  using time = virtualTime()
  const server = await slow(time, { max: 10 })
  server.driver.kill()
  await time.pass(0)
  expect(server.db.stats().open).toBe(0)

  const answers = many(server, 5)
  await time.pass(0)

  expect(server.db.stats().opening).toBe(2)
  await time.pass(100)
  expect(await answers).toHaveLength(5)
  await finish(time, server)
})

test('a pool that cannot grow keeps no clock for those who wait, who have their own', async () => {
  using time = virtualTime()
  const server = await slow(time, { max: 1 })
  const held = await server.db.acquire()
  const timers = vi.getTimerCount()
  const waiting = server.db.acquire()

  expect(vi.getTimerCount()).toBe(timers + 1)
  await time.pass(30)

  expect(server.db.stats()).toMatchObject({ open: 1, waiting: 1, opening: 0 })
  await held.release()
  await (await waiting).release()
  await finish(time, server)
})
