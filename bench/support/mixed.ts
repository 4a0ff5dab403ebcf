/**
 * A mixed load on one pool: half of the clients wait for something else between two statements, half go straight on. Then more
 * requests than there is room for, with an acquire timeout of a second.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { AcquireTimeoutError, createDb, type Db } from 'genever'
import { type Cell, say, table } from '../../demo/support/table.ts'
import { quantile } from './quantile.ts'

const statement = 'select id, title from posts where id = 7'

/** How requests hold their connection. */
interface Holding {
  readonly name: string
  /** Around each request; null: none, each statement is for itself. */
  readonly scope: { readonly hold?: boolean; readonly settings?: Readonly<Record<string, string>> } | null
  /** Transactions of half a second each, which keep a connection meanwhile. */
  readonly long?: number
}

const settings = { 'app.tenant': '7' }
const holdings: readonly Holding[] = [
  { name: 'no scope', scope: null },
  { name: 'held', scope: { hold: true } },
  { name: 'lent', scope: {} },
  { name: 'held, with settings', scope: { hold: true, settings } },
  { name: 'lent, with settings', scope: { settings } },
  { name: 'held, 3 long transactions beside', scope: { hold: true }, long: 3 },
  { name: 'lent, 3 long transactions beside', scope: {}, long: 3 },
]

interface Tally {
  readonly times: number[]
  failed: number
}

async function timed(tally: Tally, work: () => Promise<unknown>): Promise<void> {
  const since = performance.now()
  try {
    await work()
    tally.times.push(performance.now() - since)
  } catch (error) {
    if (!(error instanceof AcquireTimeoutError)) throw error
    tally.failed++
  }
}

/** Prints both kinds of requests of every way to hold a connection, side by side. */
export async function mixed(url: string, { seconds, max }: { seconds: number; max: number }): Promise<void> {
  const rows: Cell[][] = []
  for (const { name, scope, long = 0 } of holdings) {
    const db = await createDb(url, { driver: 'pg', pool: { min: max, max, acquireTimeoutMs: 10_000 } }).open()
    const end = performance.now() + seconds * 1000
    const request = (work: () => Promise<unknown>): Promise<unknown> =>
      scope === null ? work() : db.scope(work, scope)
    const [quick, waiting]: Tally[] = [
      { times: [], failed: 0 },
      { times: [], failed: 0 },
    ] as [Tally, Tally]
    const clients = (count: number, tally: Tally, work: () => Promise<unknown>): Promise<void>[] =>
      Array.from({ length: count }, async () => {
        while (performance.now() < end) await timed(tally, () => request(work))
      })
    const transactions = Array.from({ length: long }, async () => {
      while (performance.now() < end)
        await db.transaction(async () => {
          await db.first(statement)
          await sleep(500)
          await db.first(statement)
        })
    })
    await Promise.all([
      ...clients(50, quick, async () => {
        for (let i = 0; i < 3; i++) await db.first(statement)
      }),
      ...clients(50, waiting, async () => {
        await db.first(statement)
        await sleep(50)
        await db.first(statement)
      }),
      ...transactions,
    ])
    const { recalls } = db.stats()
    await db.close()
    rows.push([name, ...cells(quick, seconds), ...cells(waiting, seconds), recalls])
  }
  say('', `50 clients that go straight on and 50 that wait for 50 ms between two statements, ${max} connections.`, '')
  say(table(['', 'quick/s', 'p50 ms', 'p99 ms', 'failed', 'waiting/s', 'p50', 'p99', 'failed', 'recalls'], rows))
}

function cells({ times, failed }: Tally, seconds: number): Cell[] {
  const ms = (part: number): string => (times.length === 0 ? '–' : quantile(times, part).toFixed(1))
  return [(times.length / seconds).toFixed(0), ms(0.5), ms(0.99), failed]
}

/** Twice as many requests as can be served: who fails does so early, and little was done for it. */
export async function overload(url: string, { seconds, max }: { seconds: number; max: number }): Promise<void> {
  const rows: Cell[][] = []
  for (const { name, scope } of holdings.filter(({ long }) => long === undefined)) {
    const db = await createDb(url, { driver: 'pg', pool: { min: max, max, acquireTimeoutMs: 1_000 } }).open()
    const tally: Tally = { times: [], failed: 0 }
    let wasted = 0
    const body = async (): Promise<void> => {
      let done = 0
      try {
        for (let i = 0; i < 4; i++) {
          await db.scalar('select 1 from pg_sleep(0.02)')
          done++
          if (i < 3) await sleep(10)
        }
      } catch (error) {
        wasted += done
        throw error
      }
    }
    const perSecond = (2 * max * 1000) / 80
    const requests: Promise<void>[] = []
    const since = performance.now()
    while (performance.now() - since < seconds * 1000) {
      const due = ((performance.now() - since) / 1000) * perSecond
      while (requests.length < due)
        requests.push(timed(tally, () => (scope === null ? body() : asked(db, body, scope))))
      await sleep(2)
    }
    await Promise.all(requests)
    const tookMs = performance.now() - since
    const { recalls } = db.stats()
    await db.close()
    const ms = (part: number): string => quantile(tally.times, part).toFixed(0)
    rows.push([
      name,
      tally.times.length,
      ((tally.times.length / tookMs) * 1000).toFixed(0),
      ms(0.5),
      ms(0.99),
      tally.failed,
      wasted,
      recalls,
    ])
  }
  say(
    '',
    `Twice the requests that ${max} connections can serve (4 statements of 20 ms, 10 ms between them), an acquire timeout of 1 s.`,
    '',
  )
  say(table(['', 'served', 'per s', 'p50 ms', 'p99 ms', 'timeouts', 'statements in vain', 'recalls'], rows))
}

const asked = (db: Db, body: () => Promise<void>, scope: NonNullable<Holding['scope']>): Promise<void> =>
  db.scope(body, scope)
