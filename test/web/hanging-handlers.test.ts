/** Handlers in a transaction that never settle. */

import { createServer } from 'node:http'
import { AcquireTimeoutError, createDb } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { gate, noticesDuring } from '../support/gate.ts'
import { until } from '../support/until.ts'
import { listening } from './adapter.ts'
import { ask, send } from './client.ts'
import { inTransactions } from './in-transactions.ts'

const never = (): Promise<never> => new Promise(() => {})

test.each(Object.keys(inTransactions))('a handler of %s that hangs is named to those who wait', async (name) => {
  const database = await freshDatabase()
  await using db = await createDb(database.url, { pool: { max: 1 }, closeTimeoutMs: 200 }).open()
  const hangs = gate()
  const listener = await inTransactions[name]!({
    db,
    onAbort: 'cancel',
    work: async () => {
      await db.scalar('select 1')
      hangs.open()
      return never()
    },
  })
  await using app = await listening(createServer(listener))
  const sent = send(app.port, 'GET /')
  await hangs.promise
  let error: unknown
  const notices = await noticesDuring(async () => {
    error = await caught(db.acquire({ timeoutMs: 2_500 }))
  })

  const request = /^transaction of (?:GET (?:\/|request)|withDb\(\))/
  expect(error).toBeInstanceOf(AcquireTimeoutError)
  expect((error as AcquireTimeoutError).holders[0]).toMatch(request)
  expect(notices.map(({ code, places }) => [code, places[0]])).toEqual([
    ['held-while-waiting', expect.stringMatching(request)],
  ])
  sent.destroy()
  await until(() => db.stats().reserved === 0, { what: 'its client has left' })
})

test.each(Object.keys(inTransactions))(
  'a handler of %s that hangs is answered for when its time is over',
  async (name) => {
    const database = await freshDatabase()
    await using db = await createDb(database.url, { pool: { max: 1 } }).open()
    const listener = await inTransactions[name]!({
      db,
      transaction: { timeoutMs: 1_000 },
      work: async () => {
        await db.scalar('select 1')
        return never()
      },
    })
    await using app = await listening(createServer(listener))

    expect((await ask(app.port, 'GET /')).status).toBe(500)
    expect(await db.scalar('select 2')).toBe(2)
  },
)
