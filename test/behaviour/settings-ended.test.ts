/** Code that still runs after the scope that gave it its settings has ended: it is refused, never run as somebody else. */

import { type Db, TransactionStateError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'

const tenant = `select current_setting('app.tenant', true)`
const settings = { 'app.tenant': '7' }

forEachDriver((driver) => {
  test('code that still runs after its scope has ended is refused every way, rather than run as nobody', async () => {
    const db = await driver.single()
    const ended = gate()
    const ways: ((db: Db) => Promise<unknown>)[] = [
      () => db.all(tenant),
      () => db.sql`select 1`.all(),
      () => db.scope(() => {}),
      () => db.scope(() => {}, { reuse: false }),
      () => db.scope(() => {}, { reuse: false, settings }),
      () => db.transaction(() => {}),
      () => db.transaction(() => {}, { reuse: false }),
      () => db.begin(),
      () => db.acquire(),
      () => db.acquire({ reuse: true, lazy: true }),
      () => db.iterate(tenant).read(),
      () => db.executeMany(driver.words.integer, [[1]]),
    ]

    const left = await db.scope(() => ways.map((way) => caught(ended.promise.then(() => way(db)))), { settings })
    ended.open()

    const errors = await Promise.all(left)
    expect(errors.filter((error) => !(error instanceof TransactionStateError))).toEqual([])
    expect(errors[0]?.message).toContain('detached(work, { settings })')
  })

  test('code left behind by a transaction inside of such a scope is refused too', async () => {
    const db = await driver.single()
    const ended = gate()

    const left = await db.scope(() => db.transaction(() => [caught(ended.promise.then(() => db.all(tenant)))]), {
      settings,
    })
    ended.open()

    await expect(left[0]).resolves.toBeInstanceOf(Error)
  })

  test('a connection released for good inside of its scope leaves no statement without them', async () => {
    const db = await driver.single()

    await db.scope(
      async (connection) => {
        await connection.release()
        await expect(db.all(tenant)).rejects.toThrow(TransactionStateError)
      },
      { settings },
    )
  })
})

test('on a connection with several statements in flight nothing overtakes a ROLLBACK written as text', async () => {
  await using server = await fake({ maxInFlight: 4 })
  await using connection = await server.db.detached(() => server.db.acquire(), { settings })

  const answers = await Promise.all([
    connection.status('begin'),
    connection.status('rollback'),
    connection.scalar(tenant),
    connection.scalar(tenant),
  ])

  expect(answers.slice(2)).toEqual(['7', '7'])
  expect(server.driver.violations).toEqual([])
})
