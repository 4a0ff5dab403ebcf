/** A database for each tenant: pools that are shared, bounded together, closed when unused, and opened again. */

import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { AcquireTimeoutError, ConnectError, type Db, TenantError, TransactionStateError, UsageError } from 'genever'
import { Model } from 'genever/models'
import { createRegistry } from 'genever/registry'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { type FreshDatabase, freshDatabase, sessionsIn } from '../support/database.ts'
import { pid } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'

const table = pgTable('notes', { id: integer().primaryKey(), body: text() })
const databases = new Map<string, FreshDatabase>()
const names = ['main', 'a', 'b', 'c']

beforeAll(async () => {
  for (const name of names)
    databases.set(
      name,
      await freshDatabase(
        `create table notes (id int primary key, body text); insert into notes values (1, '${name}')`,
      ),
    )
})
afterAll(async () => {
  for (const database of databases.values()) await database.drop()
})

const urlOf = (tenant: string): string => (databases.get(tenant) as FreshDatabase).url

/** The connections that the server has to the databases of tenants. */
function sessions(of: readonly string[]): Promise<Record<string, unknown>[]> {
  const wanted = of.length > 0 ? of : ['a', 'b', 'c']
  return sessionsIn(...wanted.map((name) => (databases.get(name) as FreshDatabase).name))
}

const connections = async (...of: string[]): Promise<number> => (await sessions(of)).length

/** Those of the test before are gone, which the server may end a moment later. */
const none = (): Promise<boolean> => until(async () => (await connections()) === 0, { what: 'no connections are left' })

beforeEach(none)

/**
 * What is open stays open: more than there may be would be there at every look. At one look alone it may be one more, because the
 * server shows its sessions one by one, and one that was broken off until it has noticed that.
 */
async function expectAtMost(count: number): Promise<void> {
  let seen: unknown[] = []
  await until(async () => (seen = await sessions([])).length <= count).catch(() => {})
  expect(seen.length, JSON.stringify(seen, null, 1)).toBeLessThanOrEqual(count)
}

/** That many, and no others. */
const has = (tenant: string, count: number): Promise<boolean> =>
  until(async () => (await connections(tenant)) === count, { what: `${tenant} has ${count} connections` })

function setUp(
  more: { readonly maxConnections?: number; readonly idleMs?: number; readonly optional?: boolean } = {},
  /** Of tenant b. */
  acquireTimeoutMs = 30_000,
) {
  const asked: string[] = []
  const db = createRegistry({
    main: { url: urlOf('main'), pool: { max: 2 } },
    tenancy: {
      database: async (tenant: string) => {
        asked.push(tenant)
        if (!databases.has(tenant)) throw new Error('no such tenant')
        return { url: urlOf(tenant), pool: { max: 2, acquireTimeoutMs: tenant === 'b' ? acquireTimeoutMs : 30_000 } }
      },
      ...more,
    },
  })
  class Note extends Model(db, table) {}
  return { db, Note, asked, [Symbol.asyncDispose]: async () => void (await db.close({ force: true })) }
}

const body = 'select body from notes'

test('each tenant has a database, and all who name it share its pool', async () => {
  await using at = setUp()
  const { db, Note } = at
  const seen = await Promise.all(
    Array.from({ length: 30 }, (_, n) => {
      const tenant = ['a', 'b', 'c'][n % 3] as string
      return db.withTenant(tenant, async () => [
        tenant,
        await db.scalar(body),
        (await Note.getOr404(1)).body,
        db.tenant,
      ])
    }),
  )

  expect(seen.filter(([tenant, ...rest]) => rest.some((each) => each !== tenant))).toEqual([])
  expect(at.asked.toSorted()).toEqual(['a', 'b', 'c'])
  expect(await db.scalar(body)).toBe('main')
  await expectAtMost(6)
})

test('null is the main database, also inside of a tenant, and undefined is refused', async () => {
  await using at = setUp()
  const { db, Note } = at

  expect(
    await db.withTenant('a', () =>
      db.withTenant(null, async () => [await db.scalar(body), (await Note.getOr404(1)).body]),
    ),
  ).toEqual(['main', 'main'])
  expect(await db.withTenant('a', () => db.withTenant('b', () => db.scalar(body)))).toBe('b')
  expect(await caught(db.withTenant(undefined as never, () => 1))).toBeInstanceOf(TenantError)
  expect(await caught(Note.get(1))).toBeInstanceOf(TenantError)
})

test('a tenant with another database inside of a transaction is refused; the same one joins it', async () => {
  await using at = setUp()
  const { db } = at

  expect(await caught(db.transaction(() => db.withTenant('a', () => 1)))).toBeInstanceOf(TransactionStateError)
  await db.withTenant('a', () =>
    db.transaction(async (tx) => {
      const inside = await db.withTenant('a', () => pid(db))
      expect(inside).toBe(await pid(tx))
      expect(await caught(db.withTenant('b', () => 1))).toBeInstanceOf(TransactionStateError)
      expect(await caught(db.withTenant(null, () => 1))).toBeInstanceOf(TransactionStateError)
    }),
  )
})

test('objects and queries go where they were made, also when the pool was closed meanwhile', async () => {
  await using at = setUp({ maxConnections: 2 })
  const { db, Note } = at
  const note = await Note.using({ tenant: 'a' }).getOr404(1)
  const query = await db.withTenant('a', () => ({ all: Note.query() }))
  const sql = await db.withTenant('a', () => ({ all: db.sql<{ body: string }>`select body from notes` }))
  // Their pools take its place.
  await db.withTenant('b', () => db.scalar(body))
  await db.withTenant('c', () => db.scalar(body))
  await has('a', 0)

  await db.withTenant('b', () => note.update({ body: 'new' }).apply())
  expect(await db.withTenant('a', () => db.scalar(body))).toBe('new')
  expect(await db.withTenant('b', () => db.scalar(body))).toBe('b')
  expect((await query.all.one()).body).toBe('new')
  expect((await db.withTenant('b', () => query.all.one())).body).toBe('new')
  expect((await db.withTenant('b', () => sql.all.one())).body).toBe('new')
  expect(await caught(db.withTenant('b', () => db.all(query.all)))).toBeInstanceOf(TransactionStateError)
  await note.update({ body: 'a' }).apply()
})

describe('the bound on all of them', () => {
  test('the pool that was unused for the longest is closed first', async () => {
    await using at = setUp({ maxConnections: 2 })
    const { db } = at
    for (const tenant of ['a', 'b', 'a', 'c', 'a'])
      expect(await db.withTenant(tenant, () => db.scalar(body))).toBe(tenant)

    // b was closed for c.
    expect(at.asked).toEqual(['a', 'b', 'c'])
    await db.withTenant('b', () => db.scalar(body))
    expect(at.asked).toEqual(['a', 'b', 'c', 'b'])
    await expectAtMost(2)
  })

  test('who comes while all are in use waits until one is free', async () => {
    await using at = setUp({ maxConnections: 2 })
    const { db } = at
    const held = await db.withTenant('a', () => Promise.all([db.acquire(), db.acquire()]))
    const order: string[] = []
    const others = ['b', 'c'].map((tenant) =>
      db.withTenant(tenant, () => db.scalar(body)).then((seen) => (order.push(tenant), seen)),
    )
    await until(() => at.asked.length === 3, { what: 'both have come' })
    expect(order).toEqual([])
    // There is one for both, one after the other.
    await held[0]?.release()

    expect(await Promise.all(others)).toEqual(['b', 'c'])
    expect(order).toEqual(['b', 'c'])
    await held[1]?.release()
  })

  test('and gives up after the time of an acquire', async () => {
    await using at = setUp({ maxConnections: 2 }, 60)
    const { db } = at
    const held = await db.withTenant('a', () => Promise.all([db.acquire(), db.acquire()]))
    const error = await caught(db.withTenant('b', () => 1))
    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(String(error)).toMatch(/maxConnections/)
    for (const each of held) await each.release()
    const read = (): Promise<unknown> => db.withTenant('b', () => db.scalar(body)).catch(() => null)
    await until(async () => (await read()) === 'b', { what: 'it has one now' })
  })

  test('a pool of a tenant that is larger than the bound is refused', async () => {
    await using at = setUp({ maxConnections: 1 })

    expect(await caught(at.db.withTenant('a', () => 1))).toMatchObject({
      message: expect.stringMatching(/maxConnections: 1/) as string,
    })
  })

  test('a pool that nobody uses is closed after idleMs, one in use is not', async () => {
    await using at = setUp({ idleMs: 30 })
    const { db } = at
    await db.withTenant('a', () => db.scalar(body))
    await db.withTenant('b', async () => {
      await db.scalar(body)
      await until(async () => (await connections('a')) === 0)
      expect(await db.scalar(body)).toBe('b')
    })
    await until(async () => (await connections()) === 0)
  })

  test('a pool is closed idleMs after its last use, and not up to twice that', async () => {
    using time = leapingTime()
    await using db = createRegistry({
      main: { url: urlOf('main') },
      tenancy: {
        database: (tenant: string) => ({ url: urlOf(tenant), pool: { max: 1, idleTimeoutMs: Infinity } }),
        idleMs: 60_000,
      },
    })
    await db.withTenant('a', () => db.scalar(body))
    time.leap(30_000)
    await db.withTenant('a', () => db.scalar(body))
    time.leap(30_500)
    await db.withTenant('b', () => db.scalar(body))
    await has('a', 1)
    time.leap(30_500)

    await has('a', 0)
    await has('b', 1)
  })
})

test('a tenant is one pool, also for what was kept while that was closed', async () => {
  await using at = setUp({ maxConnections: 2 })
  const { db } = at
  const kept = db.using({ tenant: 'a' })
  expect(await kept.scalar(body)).toBe('a')
  // Their pools take its place.
  for (const tenant of ['b', 'c']) await db.withTenant(tenant, () => db.scalar(body))
  expect(kept.bound).toBe(false)

  expect(db.using({ tenant: 'a' })).toBe(kept)
  const seen = await Promise.all([kept.scalar(body), db.withTenant('a', () => db.scalar(body))])
  expect(seen).toEqual(['a', 'a'])
  expect(at.asked).toEqual(['a', 'b', 'c', 'a'])
  await db.close()
  expect(kept.bound).toBe(false)
})

test('a tenant that listens uses its pool, although that has nothing to do', async () => {
  using time = leapingTime()
  await using at = setUp()
  const [a, b] = [at.db.using({ tenant: 'a' }), at.db.using({ tenant: 'b' })]
  // One that is not at rest yet stays for as long again.
  const closed = (db: Db): Promise<unknown> =>
    until(() => {
      if (db.bound) time.leap(61_000)
      return !db.bound
    })
  const listener = await a.listen('news', undefined, { heartbeatMs: Infinity })
  await b.scalar(body)
  await closed(b)

  await a.notify('news', 'still heard')
  expect((await listener[Symbol.asyncIterator]().next()).value).toMatchObject({ payload: 'still heard' })
  await listener.unlisten()
  await closed(a)
})

test('a tenant that cannot be found is not remembered, and can be tried again', async () => {
  await using at = setUp()
  const { db } = at

  for (let round = 0; round < 2; round++)
    expect(String(await caught(db.withTenant('nobody', () => 1)))).toMatch(/no such tenant/)
  const url = new URL(urlOf('a'))
  url.pathname = '/not_there'
  databases.set('late', { ...(databases.get('a') as FreshDatabase), url: url.href })
  expect(await caught(db.withTenant('late', () => db.scalar(body)))).toBeInstanceOf(ConnectError)
  databases.set('late', databases.get('c') as FreshDatabase)
  expect(await db.withTenant('late', () => db.scalar(body))).toBe('c')
  databases.delete('late')
})

test('the registry closes them, and opens them again', async () => {
  await using at = setUp()
  const { db } = at
  await db.open()
  await db.withTenant('a', () => db.scalar(body))
  await db.close()
  await until(async () => (await connections()) === 0)

  await db.open()
  expect(await db.withTenant('a', () => db.scalar(body))).toBe('a')
})

test('what belongs to the registry cannot be taken away from a tenant', async () => {
  await using at = setUp()
  const db = at.db.using({ tenant: 'a' })

  expect(await db.scalar(body)).toBe('a')
  for (const wrong of [() => db.close(), () => db.bind(urlOf('b')), async () => db.unbind()])
    expect(await caught((async (): Promise<unknown> => wrong())())).toBeInstanceOf(UsageError)
  const objects = createRegistry({ main: urlOf('main'), tenancy: { database: (t: { id: string }) => urlOf(t.id) } })
  expect(await caught(objects.withTenant({ id: 'a' }, () => 1))).toMatchObject({
    message: expect.stringMatching(/needs key/) as string,
  })
  expect(() => at.db.using({ tenant: 'a', database: 'main' })).toThrow(/a tenant is a database here/)
})
