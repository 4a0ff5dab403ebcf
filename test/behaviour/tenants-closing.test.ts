/** The pools of tenants while they are closed and opened at the same time: none is left open, and none is closed for somebody else. */

import { ConnectError, createDb, type EngineOptions, globalDb, PoolClosedError, UsageError } from 'genever'
import { createRegistry } from 'genever/registry'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { FakeDriver } from '../support/fake/driver.ts'
import { gate, noticesDuring } from '../support/gate.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'

const idleMs = 60_000

function setUp({
  closeTimeoutMs = 100,
  lookUp = async () => {},
  unopened = 'warn',
}: {
  closeTimeoutMs?: number
  lookUp?: () => Promise<void>
  unopened?: 'warn' | 'throw'
} = {}) {
  const server = new FakeDriver({ answer: () => [{ n: 7 }] })
  const asked: string[] = []
  const db = createRegistry({
    main: { driver: new FakeDriver() },
    unopened,
    tenancy: {
      database: async (tenant: string) => {
        asked.push(tenant)
        await lookUp()
        return { driver: server, closeTimeoutMs, pool: { max: 4, idleTimeoutMs: Infinity } }
      },
      maxConnections: 8,
      idleMs,
    },
  })
  const read = (tenant = 'a'): Promise<unknown> => db.withTenant(tenant, () => db.scalar('select 7'))
  return {
    db,
    server,
    asked,
    read,
    async [Symbol.asyncDispose]() {
      await db.close({ force: true })
      expect(server.openCount).toBe(0)
    },
  }
}

test('a registry that is closed waits for a pool that is being closed because nobody used it', async () => {
  using time = leapingTime()
  await using at = setUp()
  await at.read()
  at.server.faults.at({ phase: 'close' }, { hang: true })
  time.leap(idleMs + 1)
  expect(at.db.using({ tenant: 'a' }).bound).toBe(false)
  expect(at.server.openCount).toBe(1)

  await at.db.close()
  expect(at.server.openCount).toBe(0)
})

test('and not for longer than it was given', async () => {
  using time = leapingTime()
  await using at = setUp({ closeTimeoutMs: 3_600_000 })
  await at.read()
  at.server.faults.at({ phase: 'close' }, { hang: true })
  time.leap(idleMs + 1)

  await at.db.close({ timeoutMs: 20 })
  expect(at.server.openCount).toBe(0)
})

test('a pool that is opened again while the one before is being closed is closed with the registry', async () => {
  using time = leapingTime()
  await using at = setUp()
  await at.read()
  at.server.faults.at({ phase: 'close' }, { hang: true })
  time.leap(idleMs + 1)
  const again = at.read()

  await at.db.close()
  expect(at.server.openCount).toBe(0)
  expect(await again).toBe(7)
  expect(at.server.sessions.length).toBe(2)
})

test('a pool whose tenant is being looked up serves those who came before close(), and is closed then', async () => {
  const found = gate()
  await using at = setUp({ lookUp: () => found.promise })
  const reading = at.read()
  await until(() => at.asked.length === 1)
  const closing = at.db.close()
  found.open()

  await closing
  expect(at.server.openCount).toBe(0)
  expect(await reading).toBe(7)
})

test('a tenant that is used while the registry is being closed is opened after that', async () => {
  await using at = setUp({ closeTimeoutMs: 3_600_000 })
  const held = await at.db.withTenant('a', () => at.db.acquire())
  const order: string[] = []
  const closing = at.db.close().then(() => order.push('closed'))
  const reading = ['a', 'b'].map((tenant) => at.read(tenant).then(() => order.push(tenant)))
  await held.release()

  await closing
  await Promise.all(reading)
  expect(order[0]).toBe('closed')
  expect(order.toSorted()).toEqual(['a', 'b', 'closed'])
})

test('a scope that close() waits for goes on with its connection', async () => {
  await using at = setUp({ closeTimeoutMs: 3_600_000 })
  const a = at.db.using({ tenant: 'a' })
  const [inside, go] = [gate(), gate()]
  const scope = a.scope(async () => {
    await a.scalar('select 7')
    inside.open()
    await go.promise
    return a.scalar('select 7')
  })
  await inside.promise
  const closing = at.db.close()
  go.open()

  expect(await scope).toBe(7)
  await closing
})

test('a tenant is opened once at a time, also right after an opening that failed', async () => {
  const go = gate()
  const lookups = { count: 0, now: 0, most: 0 }
  const lookUp = async (): Promise<void> => {
    lookups.most = Math.max(lookups.most, ++lookups.now)
    try {
      if (lookups.count++ === 0) throw new RangeError('no such tenant')
      await go.promise
    } finally {
      lookups.now--
    }
  }
  await using at = setUp({ lookUp })
  const a = at.db.using({ tenant: 'a' })
  const seen: Promise<unknown>[] = []
  // One comes at each step of the promises in between.
  for (let turn = 0; turn < 200; turn++) {
    seen.push(a.scalar('select 7').catch((error: unknown) => error))
    await Promise.resolve()
  }
  go.open()

  expect(new Set((await Promise.all(seen)).map(String))).toEqual(new Set(['RangeError: no such tenant', '7']))
  expect(lookups).toEqual({ count: 2, now: 0, most: 1 })
})

test('a tenant that is never found does not hold close() up for longer than it was given, and is looked up again after that', async () => {
  const found = gate()
  let never = true
  await using at = setUp({ lookUp: () => (never ? found.promise : Promise.resolve()) })
  const reading = caught(at.read())
  await until(() => at.asked.length === 1)
  const closing = at.db.close({ timeoutMs: 3_600_000 })

  // Who comes later has less patience.
  await at.db.close({ timeoutMs: 10 })
  await closing
  expect(await reading).toBeInstanceOf(PoolClosedError)
  never = false
  expect(await at.read()).toBe(7)
  found.open()
  await at.read('b')
  expect(at.server.sessions.length).toBe(2)
})

test('a source that never answers, and a db of somebody else that is never open, do not hold close() up either', async () => {
  const server = new FakeDriver({ answer: () => [{ n: 7 }] })
  let answer = (): Promise<EngineOptions> => new Promise(() => {})
  const other = createDb(() => new Promise<never>(() => {}))
  const db = createRegistry({ main: () => answer(), extra: { other } })
  const opening = caught(db.open())
  const reading = caught(db.scalar('select 7'))

  await db.close({ timeoutMs: 10 })
  expect([await opening, await reading].map((error) => error instanceof PoolClosedError)).toEqual([true, true])
  answer = async () => ({ driver: server })
  expect(await db.scalar('select 7')).toBe(7)
  await db.close()
  expect(server.openCount).toBe(0)
})

test('an open that fails says why, though what it had opened cannot be closed in order', async () => {
  const [works, fails] = [new FakeDriver(), new FakeDriver()]
  works.faults.at({ phase: 'close' }, { hang: true })
  fails.faults.at({ phase: 'open' }, { refuse: 'ECONNREFUSED' })
  const db = createRegistry({ main: { driver: works, closeTimeoutMs: 10 }, extra: { other: { driver: fails } } })

  expect(await caught(db.open())).toBeInstanceOf(ConnectError)
  expect(works.openCount).toBe(0)
  await db.run(async () => expect(await db.scalar('select 1')).toBe(1))
})

test('close() in the same moment as open() leaves nothing open, whatever is being closed then', async () => {
  const server = new FakeDriver({ answer: () => [{ n: 7 }], latencyMs: 1 })
  const db = createRegistry({ main: { driver: server } })
  await Promise.all([db.open(), db.close()])
  expect(server.openCount).toBe(0)

  await db.open()
  const first = db.close()
  const again = caught(db.open())
  await Promise.all([first, db.close()])
  expect(await again).toBeInstanceOf(PoolClosedError)
  expect(server.openCount).toBe(0)
  await db.run(async () => expect(await db.scalar('select 7')).toBe(7))
})

test('a second close() of less patience ends the first', async () => {
  const server = new FakeDriver({ answer: () => [{ n: 7 }] })
  const tenants = setUp()
  const handles = {
    'a db': createDb({ driver: server }),
    'a registry': createRegistry({ main: { driver: server } }),
    'a global db': globalDb({ driver: server, database: 'shorter' }),
    tenants: tenants.db,
  }
  for (const [name, db] of Object.entries(handles)) {
    const held = await (db === tenants.db ? tenants.db.withTenant('a', () => db.acquire()) : db.acquire())
    await held.scalar('select 7')
    const first = db.close({ timeoutMs: 3_600_000 })
    await db.close({ timeoutMs: 10 })
    expect([name, (await first).broken.length]).toEqual([name, 1])
  }
  expect([server.openCount, tenants.server.openCount]).toEqual([0, 0])
})

test('a tenant that is used before its managed registry is open is opened with a warning, or refused', async () => {
  await using warned = setUp()
  await warned.db.run(() => warned.read('b'))
  const notices = await noticesDuring(() => warned.read())
  expect(notices.map(({ code }) => code)).toEqual(['database-not-connected'])
  expect(notices[0]?.message).toContain('The database of a tenant was used before its registry was opened')

  await using refused = setUp({ unopened: 'throw' })
  await refused.db.run(() => refused.read())
  expect(await caught(refused.read())).toBeInstanceOf(UsageError)
  expect(await refused.db.run(() => refused.read())).toBe(7)
})
