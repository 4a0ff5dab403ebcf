/**
 * A transaction with nested ones whose connection breaks, or which is aborted, at any message between client and server: what its caller
 * and its hooks are told is what the server has.
 */

import { createDb, type Db, GeneverError, type Transaction } from 'genever'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { type FreshDatabase, freshDatabase, onServer } from '../support/database.ts'
import { sample } from '../support/extent.ts'
import { fc } from '../support/fast-check.ts'
import { type Link, type Proxy, startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'

const numRuns = sample({ once: 12, matrix: 60, soak: 4_000 })

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase('create table breaks (id int primary key, n int)')
})
afterAll(() => database.drop())

/** More messages than a run has. */
const latest = 140
const breaks = fc.record({
  how: fc.constantFrom('reset', 'finish', 'terminate', 'abort'),
  to: fc.constantFrom('server', 'client'),
  after: fc.integer({ min: 1, max: latest }),
  warm: fc.boolean(),
})

let runs = 0

/** Rows 1, 2, 4 and 5 of the run are kept; 3, and a second 2, are in nested transactions that fail. */
async function work(db: Db, tx: Transaction, run: number): Promise<string> {
  const insert = (n: number): Promise<unknown> => db.status('insert into breaks values ($1, $2)', [run * 10 + n, n])
  await Promise.all([insert(1), insert(2), tx.all('select 1 as one')])
  await caughtAs(
    db.transaction(() => insert(3).then(() => Promise.reject(new TypeError('inner')))),
    'inner',
  )
  await insert(4)
  await db.transaction(() => insert(5))
  await caughtAs(
    db.transaction(() => db.scalar('select 1 / 0 as n')),
    '22012',
  )
  const read: unknown[] = []
  for await (const row of tx.iterate('select g from generate_series(1, 7) as g', [], { batchSize: 3 }))
    if (read.push(row) === 5) break
  await caughtAs(
    db.transaction(() => insert(2)),
    '23505',
  )
  return 'value'
}

/** It fails as it should; anything else is thrown. */
async function caughtAs(promise: Promise<unknown>, wanted: string): Promise<void> {
  const error = (await caught(promise)) as Error & { readonly sqlState?: string }
  if (error.message !== wanted && error.sqlState !== wanted) throw error
}

/** Calls `act` when so many messages have passed. */
function after(proxy: Proxy, to: 'server' | 'client', messages: number, act: (link: Link) => void): void {
  proxy.on({ to, when: 'after' }, (link) => (messages > 1 ? after(proxy, to, messages - 1, act) : act(link)))
}

describe.each(['pg', 'socket'] as const)('%s', (driver) => {
  test('what is told is what is there', async () => {
    await fc.assert(
      fc.asyncProperty(breaks, async ({ how, to, after: messages, warm }) => {
        const run = ++runs
        await using proxy = await startProxy(database.url)
        await using db = createDb(proxy.url, { driver, pool: { max: 2 }, closeTimeoutMs: 1_000 })
        if (warm) await db.transaction((tx) => work(db, tx, ++runs))
        const session = Number(await db.scalar('select pg_backend_pid()'))
        const stop = new AbortController()
        let over = false
        let ended: Promise<unknown> = Promise.resolve()
        after(proxy, to, messages, (link) => {
          if (over) return
          if (how === 'abort') stop.abort()
          else if (how === 'terminate') ended = onServer('select pg_terminate_backend($1)', [session])
          else link.break(how)
        })
        const hooks: string[] = []

        const told = await db
          .transaction(
            (tx) => {
              void db.afterCommit(() => void hooks.push('committed'))
              void db.afterRollback(() => void hooks.push('rolled_back'))
              return work(db, tx, run)
            },
            { signal: stop.signal },
          )
          .then(
            () => 'committed',
            (error: unknown) => (error instanceof GeneverError ? error.outcome : String(error)),
          )

        over = true
        await ended
        expect(told).toMatch(/^(?:committed|rolled_back|not_started|unknown)$/)
        // The server may not know yet that its client is gone.
        const running = `select from pg_stat_activity where pid = $1 and (state <> 'idle' or backend_xid is not null)`
        await until(async () => (await onServer(running, [session])).length === 0)
        const rows = await database.query('select n from breaks where id / 10 = $1 order by n', [run])
        const kept = rows.map(({ n }) => n)
        if (told === 'unknown') expect([[], [1, 2, 4, 5]]).toContainEqual(kept)
        else {
          const committed = told === 'committed'
          expect(kept).toEqual(committed ? [1, 2, 4, 5] : [])
          await until(() => hooks.length > 0)
          expect(hooks).toEqual([committed ? 'committed' : 'rolled_back'])
        }
        expect(await db.scalar('select 7')).toBe(7)
        await until(() => db.stats().reserved === 0)
      }),
      { numRuns },
    )
  })
})
