/** Many requests whose clients leave at any moment. */

import { type Db, TransactionStateError } from 'genever'
import { expect, test } from 'vitest'
import { doing } from '../../support/matrix.ts'
import { sample } from '../../support/extent.ts'
import { until } from '../../support/until.ts'
import { type Answer, type Call, type Route } from '../adapter.ts'
import { head, send } from '../client.ts'
import { get, post, type RequestTest } from './request-test.ts'

export function storms({ driver, several, open, start }: RequestTest): void {
  test.skipIf(!several)(
    'many requests whose clients leave at any moment: nothing is held, lost or mixed up',
    async () => {
      const { db } = await open(8)
      const table = await driver.table('n int primary key')
      const foreign: unknown[] = []
      const unhandled: unknown[] = []
      const note = (reason: unknown): unknown => unhandled.push(reason)
      process.on('unhandledRejection', note)
      await using app = await start({ db, routes: stormRoutes(db, table, foreign) })
      const random = dice(20_261_121)
      const outcomes = { answered: 0, cut: 0 }
      const requests = sample({ once: 200, matrix: 2000, soak: 10_000 })
      const one = async (n: number): Promise<void> => {
        const route = ['GET /read', 'GET /rows', 'POST /write', 'POST /orders', 'GET /throw', 'GET /none'][n % 6]
        const sent = send(app.port, `${route}?n=${n}`)
        const cutAfterMs = random() < 0.6 ? random() * 12 : Infinity
        const timer = cutAfterMs === Infinity ? undefined : setTimeout(() => sent.destroy(), cutAfterMs)
        try {
          const response = await head(sent)
          let text = ''
          for await (const piece of response) text += String(piece)
          if (response.statusCode === 200 && !text.startsWith(`${n} `)) foreign.push([route, n, text.slice(0, 40)])
          outcomes.answered++
        } catch {
          outcomes.cut++
        } finally {
          clearTimeout(timer)
        }
      }
      for (let from = 0; from < requests; from += 50)
        await Promise.all(Array.from({ length: 50 }, (_, i) => one(from + i)))
      await until(() => doing(db).startsWith('0 lent') && db.stats().waiting === 0, {
        what: doing(db),
      })
      process.off('unhandledRejection', note)

      expect([foreign, unhandled]).toEqual([[], []])
      expect(outcomes.answered + outcomes.cut).toBe(requests)
      expect(outcomes.cut, 'the storm should cut some').toBeGreaterThan(requests / 20)
      expect(outcomes.answered, 'and answer some').toBeGreaterThan(requests / 20)
      // Half of a pair is never there: every transaction was whole.
      expect(
        await db.scalar(
          `select count(*)::int from ${table} a where not exists (select from ${table} b where b.n = -a.n)`,
        ),
      ).toBe(0)
      expect(db.stats().open).toBeLessThanOrEqual(8)
    },
    120_000,
  )
}

function stormRoutes(db: Db, table: string, foreign: unknown[]): Route[] {
  const own = async ({ query }: Call): Promise<number> => {
    const n = Number(query.get('n'))
    const seen = await db.scalar('select $1::int', [n])
    if (seen !== n) foreign.push([n, seen])
    return n
  }
  const pair = async (call: Call): Promise<Answer> => {
    const n = await own(call)
    await db.status(`insert into ${table} values ($1)`, [n + 1])
    await db.status(`insert into ${table} values ($1)`, [-n - 1])
    return { stream: text(`${n} inserted`) }
  }
  const rows = async function* (n: number): AsyncGenerator<string> {
    yield `${n} `
    for await (const { m } of db.iterate<{ m: number }>('select $1::int + g as m from generate_series(1, 500) g', [n]))
      yield `${m} `
  }
  return [
    get('/read', async (call) => {
      const n = await own(call)
      const seen = await call.connection().scalar('select $1::int', [n])
      await db.idle(() => new Promise((resolve) => setTimeout(resolve, n % 5)))
      return { stream: text(`${String(seen)} ${String(await own(call))}`) }
    }),
    get('/rows', async ({ query }) => ({ stream: rows(Number(query.get('n'))) })),
    post('/write', (call) => db.transaction(() => pair(call))),
    post('/orders', pair, { transaction: true }),
    get('/throw', async (call) => {
      await own(call)
      throw new TransactionStateError('boom')
    }),
    get('/none', async ({ query }) => ({ stream: text(`${query.get('n')} nothing`) })),
  ]
}

async function* text(whole: string): AsyncGenerator<string> {
  yield whole
}

/** The same numbers from 0 to 1 in every run. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
