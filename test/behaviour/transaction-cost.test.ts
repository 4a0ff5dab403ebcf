/** What a transaction costs beside its statements: async resources, promises where nothing is waited for, and places. */

import { createHook } from 'node:async_hooks'
import { createDb, type Db, type EngineOptions } from 'genever'
import { expect, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl } from '../support/database.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'

/** Async resources by their kind made while `work` runs: the fewest of some times, because the test runner makes some too. */
async function resourcesOf(work: () => Promise<unknown>): Promise<Readonly<Record<string, number>>> {
  let fewest: Record<string, number> = { any: Infinity }
  const sum = (kinds: Record<string, number>): number => Object.values(kinds).reduce((all, count) => all + count, 0)
  for (let i = 0; i < 10; i++) {
    const kinds: Record<string, number> = {}
    const hook = createHook({
      init(_, kind) {
        kinds[kind] = (kinds[kind] ?? 0) + 1
      },
    }).enable()
    await work()
    hook.disable()
    if (sum(kinds) < sum(fewest)) fewest = kinds
  }
  return fewest
}

const total = (kinds: Readonly<Record<string, number>>): number =>
  Object.values(kinds).reduce((sum, count) => sum + count, 0)

async function threeReads(db: Db): Promise<void> {
  await db.transaction(async () => {
    await db.all('select 1 as n')
    await db.all('select 2 as n')
    await db.all('select 3 as n')
  })
}

const onServer = async (options: EngineOptions = {}): Promise<Db> => {
  const db = createDb(await databaseUrl(), { pool: { max: 2 }, ...options })
  await db.open()
  for (let i = 0; i < 3; i++) await threeReads(db)
  return db
}

test.each(['pg', 'socket'] as const)(
  'a transaction of three reads makes at most 20 async resources: %s',
  async (driver) => {
    await using db = await onServer({ driver })

    expect(total(await resourcesOf(() => threeReads(db)))).toBeLessThanOrEqual(20)
  },
)

test.each([
  ['pg', 'one', 4],
  ['socket', 'one, and one for its write', 5],
] as const)(
  'beginning on an idle connection and giving it back make no promise; COMMIT by %s makes %s',
  async (driver, _, most) => {
    await using db = await onServer({ driver })
    const reads = async (): Promise<void> => {
      await db.all('select 1 as n')
    }
    const inTransaction = await resourcesOf(() => db.transaction(reads))
    const inScope = await resourcesOf(() => reads())

    // The call itself and what its `await` of the work makes, then the promise of COMMIT and what its `await` makes.
    expect((inTransaction['PROMISE'] ?? 0) - (inScope['PROMISE'] ?? 0)).toBeLessThanOrEqual(most)
  },
)

test('nothing is sent and no promise of COMMIT is made for a transaction without a statement', async () => {
  await using db = await onServer()

  const kinds = await resourcesOf(() => db.transaction(async () => {}))

  expect(total(kinds)).toBeLessThanOrEqual(4)
})

test('places are taken every ten milliseconds at the most, and some at once after a pause', async () => {
  await using server = await fake()
  const capture = vi.spyOn(Error, 'captureStackTrace')
  const started = performance.now()

  for (let i = 0; i < 500; i++) await server.db.transaction(() => server.db.scalar('select 1'))

  const most = 10 + (performance.now() - started) / 10 + 1
  const taken = capture.mock.calls.length
  capture.mockRestore()
  expect(taken).toBeGreaterThanOrEqual(10)
  expect(taken).toBeLessThanOrEqual(most)
})

test('a transaction that waited for a connection takes no place because of that', async () => {
  await using server = await fake({}, { pool: { max: 1, acquireTimeoutMs: 60_000 } })
  const { db } = server

  const known = await Promise.all(
    Array.from({ length: 500 }, () =>
      db.transaction(async (tx) => {
        await tx.scalar('select 1')
        return String(tx)
      }),
    ),
  )

  const unknown = known.filter((text) => text.includes('not noted'))
  const found = unknown.filter((text) => text.includes('with a statement at'))
  // Only those during which the machine stood still.
  expect(found.length).toBeLessThanOrEqual(unknown.length / 2)
})

test('a transaction that had no place is known by a statement it issues 20 ms later', async () => {
  await using server = await fake()
  const { db } = server

  // Begun together, because places are saved while nothing begins.
  const known = await Promise.all(
    Array.from({ length: 80 }, () =>
      db.transaction(
        async (tx) => {
          if (!String(tx).includes('not noted')) return null
          await new Promise((resolve) => setTimeout(resolve, 30))
          await tx.scalar('select 1')
          return String(tx)
        },
        { lazy: true },
      ),
    ),
  )

  const later = known.filter((text) => text !== null)
  expect(later.length).toBeGreaterThan(0)
  for (const text of later)
    expect(text).toMatch(/begun at a place that was not noted, with a statement at .*transaction-cost\.test\.ts:\d+/)
})

test('a transaction that takes the last connection is known to those who wait for it', async () => {
  await using server = await fake({}, { pool: { max: 2 } })
  const { db } = server
  const held = gate()
  for (const connection of await Promise.all([db.acquire(), db.acquire()])) await connection.release()
  for (let i = 0; i < 200; i++) await db.transaction(() => db.scalar('select 1'))

  const holders = [db.transaction(() => held.promise), db.transaction(() => held.promise)]
  const error = await caught(db.scalar('select 1', [], { timeoutMs: 30 }))
  held.open()
  await Promise.all(holders)

  expect(error.message).toMatch(/transaction begun at .*transaction-cost\.test\.ts:\d+/)
})
