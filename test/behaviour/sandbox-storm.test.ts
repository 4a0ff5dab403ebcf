/** Branches at random in one sandbox, with time limits and faults: nothing hangs, nothing is left, no rule is broken. */

import { createDb, type Db } from 'genever'
import { sandboxed } from 'genever/testing'
import { FakeDriver } from '../support/fake/driver.ts'
import { expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { sample } from '../support/extent.ts'

const runs = sample({ once: 25, matrix: 100, soak: 1000 })
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

type Random = () => number

function random(seed: number): Random {
  let state = (seed * 7919 + 13) >>> 0
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
}

/** What each step of a branch can be; errors are part of it. */
const steps: readonly ((db: Db, next: Random, depth: number) => Promise<unknown>)[] = [
  (db, next) => db.status('insert into t (id) values (:id)', { id: Math.floor(next() * 1e9) }, limits(next)),
  (db, next) => db.all('select id from t', [], limits(next)),
  (db, next) => db.status('sleep 3', [], limits(next)),
  (db) => db.status('fail 23505'),
  (_db, next) => pause(next() * 3),
  (db, next, depth) => db.scope(() => branch(db, next, depth)),
  (db, next, depth) => Promise.all([branch(db, next, depth), branch(db, next, depth)]),
  (db, next, depth) => transaction(db, next, depth, {}),
  (db, next, depth) => transaction(db, next, depth, { reuse: false }),
  (db, next, depth) => transaction(db, next, depth, limits(next)),
  async (db, next) => {
    let left = 5 * next()
    for await (const row of db.iterate('select n from generate_series(1, 5) n', [], { batchSize: 2 }))
      if (row === null || --left < 0) break
  },
]

function limits(next: Random): { timeoutMs?: number } {
  return next() < 0.3 ? { timeoutMs: Math.floor(next() * 6) } : {}
}

function transaction(db: Db, next: Random, depth: number, options: object): Promise<unknown> {
  return db.transaction(async (tx) => {
    await branch(db, next, depth)
    const end = next()
    if (end < 0.2) throw new TypeError('thrown')
    if (end < 0.4) tx.raiseRollback()
  }, options)
}

async function branch(db: Db, next: Random, depth: number): Promise<void> {
  const simple = depth > 3 ? 5 : steps.length
  for (let i = 1 + Math.floor(next() * 3); i > 0; i--)
    await steps[Math.floor(next() * simple)]?.(db, next, depth + 1).catch(() => {})
}

/** However long its connection takes to come. */
async function transactionApart(db: Db): Promise<unknown> {
  await using own = await db.acquire({ timeoutMs: 30_000 })
  return await own.transaction((tx) => tx.status('insert into t (id) values (0)'))
}

const seeds = Array.from({ length: runs }, (_, index) => index)

test.each(seeds)('storm %i', async (seed) => {
  const next = random(seed)
  const driver = new FakeDriver({ tables: { t: [] }, maxInFlight: next() < 0.5 ? 1 : 3, latencyMs: () => next() * 2 })
  const pool = { max: 1 + Math.floor(next() * 4), acquireTimeoutMs: 150 }
  const db = await createDb({ driver, pool, cancelTimeoutMs: 200 }).open()
  if (next() < 0.3)
    driver.faults.at(
      {
        text: ['insert', 'SAVEPOINT', 'RELEASE', 'ROLLBACK TO'][Math.floor(next() * 4)],
        nth: 1 + Math.floor(next() * 9),
      },
      next() < 0.5 ? { lost: true } : { error: '57014' },
    )
  const lost = (error: unknown): string => String(error)
  const after: string[] = []
  const end = await sandboxed(db, async () => {
    await Promise.all(Array.from({ length: 1 + Math.floor(next() * 5) }, () => branch(db, next, 0)))
    await until(() => db.stats().reserved + db.stats().serving + db.stats().draining === 0)
    driver.faults.clear()
    after.push(await transactionApart(db).then(String, lost))
    after.push(await db.status('insert into t (id) values (0)', [], { timeoutMs: 30_000 }).then(String, lost))
  }).then(() => 'kept', lost)

  if (end === 'kept') expect(after).toEqual(['INSERT 0 1', 'INSERT 0 1'])
  else expect(end).toMatch(/^ConnectionLostError/)
  expect(driver.rows('t')).toEqual([])
  expect(driver.violations).toEqual([])
  expect((await db.close({ timeoutMs: 30_000 })).broken).toEqual([])
})
