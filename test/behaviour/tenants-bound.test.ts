/** The connections that the databases of all tenants have together: who gets one, whose is closed for that, and that none is lost. */

import {
  AcquireTimeoutError,
  CommitOutcomeUnknownError,
  ConnectError,
  type Connection,
  ConnectionLostError,
  type EngineOptions,
  UsageError,
} from 'genever'
import { createRegistry } from 'genever/registry'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { FakeDriver, type FakeDriverOptions } from '../support/fake/driver.ts'
import { gate } from '../support/gate.ts'
import { random } from '../support/junk.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'

/** All servers of the tenants together. */
class Tally {
  readonly servers = new Map<string, Server>()
  most = 0

  get open(): number {
    return [...this.servers.values()].reduce((sum, { openCount }) => sum + openCount, 0)
  }
}

class Server extends FakeDriver {
  readonly #tally: Tally

  constructor(tally: Tally, options: FakeDriverOptions) {
    super({ answer: () => [{ n: 7 }], ...options })
    this.#tally = tally
  }

  protected override makeSession(...given: Parameters<FakeDriver['makeSession']>) {
    this.#tally.most = Math.max(this.#tally.most, this.#tally.open + 1)
    return super.makeSession(...given)
  }
}

interface Given {
  readonly server?: FakeDriverOptions
  /** Of these tenants: how long who waits for a connection does so. */
  readonly patience?: Readonly<Record<string, number>>
  readonly options?: Omit<EngineOptions, 'driver'>
  readonly idleMs?: number
}

function setUp(maxConnections: number, { server = {}, options = {}, patience = {}, idleMs }: Given = {}) {
  const tally = new Tally()
  const at = (tenant: string): Server => {
    let found = tally.servers.get(tenant)
    if (found === undefined) tally.servers.set(tenant, (found = new Server(tally, server)))
    return found
  }
  const db = createRegistry({
    main: { driver: new FakeDriver(), url: undefined as never },
    tenancy: {
      database: (tenant: string) => ({
        driver: at(tenant),
        closeTimeoutMs: 200,
        ...options,
        pool: { acquireTimeoutMs: patience[tenant] ?? 60_000, ...options.pool },
      }),
      maxConnections,
      ...(idleMs === undefined ? {} : { idleMs }),
    },
  })
  const read = (tenant: string): Promise<unknown> => db.withTenant(tenant, () => db.scalar('select 7'))
  /** Has that many connections of the tenant until it is opened. */
  const hold = async (tenant: string, count: number): Promise<() => Promise<void>> => {
    const held = await db.withTenant(tenant, () => Promise.all(Array.from({ length: count }, () => db.acquire())))
    return async () => void (await Promise.all(held.map((each) => each.release())))
  }
  return {
    db,
    tally,
    at,
    read,
    hold,
    async [Symbol.asyncDispose]() {
      await db.close({ force: true })
      expect([...tally.servers.values()].flatMap(({ violations }) => violations)).toEqual([])
      expect(tally.most).toBeLessThanOrEqual(maxConnections)
      expect(tally.open).toBe(0)
    },
  }
}

test('all connections are idle at other tenants: the one that was unused for the longest is closed, and no other', async () => {
  await using set = setUp(3)
  for (const tenant of ['a', 'b', 'c', 'a']) await set.read(tenant)

  expect(await set.read('d')).toBe(7)
  expect(['a', 'b', 'c', 'd'].map((tenant) => set.at(tenant).openCount)).toEqual([1, 0, 1, 1])
  await set.read('a')
  expect(set.at('a').sessions.length).toBe(1)
})

test('pools have what they need of it, not what each may have', async () => {
  await using set = setUp(4, { options: { pool: { max: 4 } } })
  const free = await set.hold('a', 4)
  await free()
  const freeOthers = await set.hold('b', 4)
  expect([set.at('a').openCount, set.at('b').openCount]).toEqual([0, 4])
  await freeOthers()
  await Promise.all(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(set.read))
  expect(set.tally.most).toBe(4)
})

test('a scope of another tenant that waits for something else lends its connection, and goes on when it is done', async () => {
  await using set = setUp(1)
  const { db } = set
  const [inside, go] = [gate(), gate()]
  const first = db.withTenant('a', () =>
    db.scope(async () => {
      await db.scalar('select 7')
      inside.open()
      await go.promise
      return db.scalar('select 7')
    }),
  )
  await inside.promise
  expect(await set.read('b')).toBe(7)
  go.open()
  expect(await first).toBe(7)
})

test('a tenant inside of a scope of another one gets the only connection there is', async () => {
  await using set = setUp(1)
  const { db } = set
  const seen = await db.withTenant('a', () =>
    db.scope(async () => [await db.scalar('select 7'), await set.read('b'), await db.scalar('select 7')]),
  )
  expect(seen).toEqual([7, 7, 7])
})

test.each([1, 8])(
  'a tenant that is never idle does not keep others from a connection (%i in flight)',
  async (maxInFlight) => {
    await using set = setUp(2, { server: { maxInFlight, latencyMs: 1 } })
    const busy = { yes: true }
    const workers = Array.from({ length: 12 }, async () => {
      while (busy.yes) await set.read('a')
    })
    await until(() => set.at('a').openCount === 2 || set.at('a').sessions.length > 2, { what: 'it has all there are' })
    for (const tenant of ['b', 'c', 'd', 'b']) expect(await set.read(tenant)).toBe(7)
    busy.yes = false
    await Promise.all(workers)
  },
)

test('who waits gives up after the time of an acquire, is told who has the connections, and takes none of them along', async () => {
  await using set = setUp(2, { patience: { late: 40, later: 40 } })
  const free = await set.hold('a', 2)
  for (const tenant of ['late', 'later', 'late']) {
    const error = await caught(set.read(tenant))
    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error).toMatchObject({ phase: 'tenant', stats: { maxConnections: 2 } })
    expect(error.message).toContain('maxConnections')
    expect((error as AcquireTimeoutError).holders?.length).toBe(2)
  }
  await free()
  await (
    await set.hold('b', 2)
  )()
})

test('so does who waits for a further connection of a pool that is open', async () => {
  await using set = setUp(2)
  const { db } = set
  const free = [await set.hold('a', 1), await set.hold('late', 1)]
  const read = db.withTenant('late', () => db.scalar('select 7', [], { timeoutMs: 60 }))
  expect(await caught(read)).toMatchObject({ phase: 'tenant', message: expect.stringContaining('acquire()') as string })
  for (const each of free) await each()
  await (
    await set.hold('b', 2)
  )()
})

test('a connection that cannot be opened, or dies, is not counted any more', async () => {
  await using set = setUp(2)
  set.at('b').faults.at({ phase: 'open', times: 3 }, { error: '3D000', message: 'there is no such database' })
  for (const _ of [1, 2, 3]) expect(await caught(set.read('b'))).toBeInstanceOf(ConnectError)
  await (
    await set.hold('a', 2)
  )()
  set.at('a').kill()
  await (
    await set.hold('c', 2)
  )()
  expect(await set.read('b')).toBe(7)
})

test('an idle connection that dies is counted once, also when its place is given to somebody who looks for another one', async () => {
  using time = leapingTime()
  await using set = setUp(3)
  const { db } = set
  const acquire = (tenant: string): Promise<Connection> => db.withTenant(tenant, () => db.acquire())
  const [dies, stays] = [await acquire('a'), await acquire('a')]
  const has = await acquire('b')
  const waits = (count: number): Promise<boolean> =>
    until(() => db.using({ tenant: 'b' }).stats().waiting === count, { what: `${count} wait` })
  const further = [acquire('b')]
  await waits(1)
  // It has waited for so long that a further connection is asked for.
  time.leap(50)
  further.push(acquire('b'))
  await waits(2)
  // Whoever has one already gets no other that was used so lately.
  await dies.release()
  time.leap(200)
  set.at('a').kill(1)

  const second = await Promise.race(further)
  expect(set.tally.open).toBe(3)
  await stays.release()
  for (const each of [has, second, ...(await Promise.all(further))]) await each.release()
})

test('min of a pool is no reason to close what others have', async () => {
  await using set = setUp(2, { options: { pool: { min: 2 } } })
  await set.read('a')
  await until(() => set.at('a').openCount === 2)
  await set.read('b')
  await set.read('b')
  expect([set.at('a').openCount, set.at('b').openCount]).toEqual([1, 1])
})

test('the pools of more tenants than there may be connections are not kept', async () => {
  await using set = setUp(2)
  const names = Array.from({ length: 12 }, (_, n) => `t${n}`)
  for (const name of names) await set.read(name)
  await until(() => names.filter((name) => set.db.using({ tenant: name }).bound).length <= 3, {
    what: 'the rest is closed',
  })
  for (const name of names) expect(await set.read(name)).toBe(7)
})

test('one tenant is one pool, also for what was kept while that was closed', async () => {
  await using set = setUp(1)
  const kept = set.db.using({ tenant: 'a' })
  expect(await kept.scalar('select 7')).toBe(7)
  for (const tenant of ['b', 'c', 'd']) await set.read(tenant)
  expect(set.db.using({ tenant: 'a' })).toBe(kept)
  expect([await kept.scalar('select 7'), await set.read('a')]).toEqual([7, 7])
  expect(set.at('a').openCount).toBe(1)
})

test.each([1, 4])(
  'whatever is done side by side, none is lost and none is too many (%i in flight)',
  async (maxInFlight) => {
    await using set = setUp(3, { server: { maxInFlight } })
    const { db } = set
    const among = random(maxInFlight)
    const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, among(3)))
    const scope = (): Promise<unknown> =>
      db.scope(async () => {
        await db.scalar('select 7')
        await pause()
        // Its connection may be taken in between, also for another tenant that it asks itself.
        if (among(2) === 0) await set.read(`t${among(5)}`)
        return db.scalar('select 7')
      })
    const transaction = (): Promise<unknown> =>
      db.transaction(async () => {
        await db.scalar('select 7')
        await pause()
      })
    const side = (): Promise<unknown> => Promise.all([1, 2, 3].map(() => db.scalar('select 7')))
    const held = async (): Promise<void> => (await db.acquire()).release()
    const fails = async (): Promise<void> => {
      set
        .at(`t${among(5)}`)
        .faults.at({ phase: 'open' }, { error: '57P03', message: 'the database system is starting up' })
    }
    const dies = async (): Promise<void> => set.at(`t${among(5)}`).kill()
    const losses = [ConnectError, ConnectionLostError, CommitOutcomeUnknownError]
    const works = [scope, scope, transaction, side, side, held, fails, dies]
    const workers = Array.from({ length: 8 }, async () => {
      for (let turn = 0; turn < 15; turn++) {
        const work = works[among(works.length)] as () => Promise<unknown>
        await db.withTenant(`t${among(5)}`, work).catch((error: unknown) => {
          if (!losses.some((loss) => error instanceof loss)) throw error
        })
      }
    })
    await Promise.all(workers)
    for (let tenant = 0; tenant < 5; tenant++) set.at(`t${tenant}`).faults.clear()
    await (
      await set.hold('t9', 3)
    )()
  },
)

test('a pool of one tenant that is larger than all may be together is refused', async () => {
  await using set = setUp(2, { options: { pool: { max: 3 } } })
  expect(await caught(set.read('a'))).toBeInstanceOf(UsageError)
})
