/** What was issued before `close()` is served when its connection is just being opened, asked or reset; newcomers are not. */

import { createDb, type Db, PoolClosedError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

forEachDriver((driver) => {
  const open = async (): Promise<Db> => createDb(await driver.url(), { pool: { max: 1 } }).open()

  test('a statement whose connection is being reset is served, and one behind it is refused', async () => {
    const db = await open()
    await db.scope(() => db.status(driver.words.set('test.dirty', 'yes')))
    const issued = db.scalar('select 1')
    const behind = caught(db.scalar('select 2'))

    const report = await db.close()

    expect([await issued, await behind, report]).toEqual([1, expect.any(PoolClosedError), { drained: 1, broken: [] }])
  })

  test('a transaction that was issued is served to its end, with all that it does', async () => {
    const table = await driver.table('n int')
    const db = await open()
    await db.scope(() => db.status(driver.words.set('test.dirty', 'yes')))
    const issued = db.transaction(async (tx) => {
      await tx.status(`insert into ${table} values (1)`)
      await new Promise((resolve) => setTimeout(resolve, 20))
      return tx.scalar(`select count(*) from ${table}`)
    })

    const report = await db.close()
    const late = caught(db.scalar('select 1'))

    expect([await issued, await late, report]).toEqual([1, expect.any(PoolClosedError), { drained: 1, broken: [] }])
  })
})

test('statements whose idle connections are being asked are served, one for each connection', async () => {
  await using server = await fake({}, { pool: { max: 3, connectTimeoutMs: 20_000 } })
  const { db, driver } = server
  const held = await Promise.all([db.acquire(), db.acquire(), db.acquire()])
  await Promise.all(held.map((connection) => connection.release()))
  aged(db)
  driver.faults.at({ phase: 'ping', times: 3 }, { delayMs: 20 })
  const issued = Array.from({ length: 5 }, (_, i) => db.scalar(`select ${i}`).catch((error: unknown) => error))

  const report = await db.close({ timeoutMs: 10_000 })

  expect(await Promise.all(issued)).toEqual([0, 1, 2, expect.any(PoolClosedError), expect.any(PoolClosedError)])
  expect(report).toEqual({ drained: 3, broken: [] })
})

test('a statement whose idle connection turns out to be dead is served by another one', async () => {
  await using server = await fake({}, { pool: { max: 2 } })
  const { db, driver } = server
  aged(db)
  driver.faults.at({ phase: 'ping' }, { lost: true })
  const issued = db.scalar('select 7')

  await db.close({ timeoutMs: 10_000 })

  expect(await issued).toBe(7)
})

test.each([false, true])(
  'a statement for which a connection is being opened is served, or told why that failed (%s)',
  async (fails) => {
    await using server = await fake({}, { pool: { max: 2 } })
    const { db, driver } = server
    driver.faults.at({ phase: 'after-answer' }, { lost: true })
    await db.scalar('select 1')
    await until(() => db.stats().open === 0, { what: 'no connection is left' })
    driver.faults.at({ phase: 'open' }, fails ? { lost: true } : { delayMs: 20 })
    const issued = db.scalar('select 7').catch((error: unknown) => (error as Error).name)

    const report = await db.close({ timeoutMs: 10_000 })

    expect([await issued, report.broken]).toEqual([fails ? 'ConnectError' : 7, []])
  },
)

/** As if nobody had used the idle connections for long: they are asked before they are used. */
function aged(db: Db): void {
  for (const member of (db.engineQuietly() as NonNullable<ReturnType<Db['engineQuietly']>>).pool.idle)
    member.idleSince = -Infinity
}
