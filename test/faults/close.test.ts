/** Closing while everything is wrong: it settles within its deadline, and says what it broke. */

import { setTimeout as sleep } from 'node:timers/promises'
import { PoolClosedError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { onServer } from '../support/database.ts'
import { gate } from '../support/gate.ts'
import { runScript } from '../support/script.ts'
import { until } from '../support/until.ts'
import { site, watch } from './support.ts'

test('close() with dead, leaked and busy connections and a queue settles at its deadline and names who held them', async () => {
  await using place = await site({ pool: { max: 8 } })
  const { db, proxy } = place
  await place.warm(8)
  const links = [...proxy.links]
  const leaked = await Promise.all([1, 2, 3].map(() => db.acquire()))
  const busy = [1, 2, 3].map(() => caught(db.scalar('select 1 from pg_sleep(60)')))
  await until(async () => (await place.sleeping()) === 3)
  for (const link of links.slice(0, 2)) link.break('blackhole')
  const working = gate()
  const inTransaction = caught(db.transaction(() => working.promise))
  const alsoHeld = await db.acquire()
  const order: string[] = []
  const waiting = Array.from({ length: 20 }, () => caught(db.scalar('select 1')))
  void Promise.all(waiting).then(() => order.push('waiters'))

  const closing = db.close({ timeoutMs: 400 })
  void closing.then(() => order.push('closed'))
  const report = await closing
  working.open()

  for (const error of await Promise.all(waiting)) expect(error).toBeInstanceOf(PoolClosedError)
  expect(order).toEqual(['waiters', 'closed'])
  expect(report.broken.length).toBeGreaterThanOrEqual(leaked.length + 1)
  expect(report.broken.join()).toMatch(/close\.test\.ts|acquire/)
  for (const error of await Promise.all(busy)) expect(error).toBeInstanceOf(Error)
  expect(await caught(db.scalar('select 1'))).toBeInstanceOf(PoolClosedError)
  expect(await caught(leaked[0]!.scalar('select 1'))).toBeInstanceOf(Error)
  expect(await caught(alsoHeld.scalar('select 1'))).toBeInstanceOf(Error)
  expect(await inTransaction).toBeInstanceOf(Error)
  await until(() => links.every(({ held }) => !held))
})

test('close() at any moment of an opening, a ping, a reset or a cancel settles in time and leaves no backend', async () => {
  for (let turn = 0; turn < 12; turn++) {
    await using place = await site({ pool: { max: 4 } })
    const { db } = place
    for (const link of place.proxy.links) link.delay(turn % 3 === 0 ? 20 : 0)
    const work = [
      db.scope(() => db.scalar(`select set_config('app.a', 'b', false)`)),
      db.scalar('select 1 from pg_sleep(60)', [], { timeoutMs: 5 + turn }),
      db.transaction((tx) => tx.scalar('select 1 from pg_sleep(60)'), { timeoutMs: 5 + turn }),
      db.acquire().then((connection) => connection.release()),
      (async () => {
        await using cursor = db.iterate('select generate_series(1, 1000)')
        return await cursor.read(3)
      })(),
    ].map((promise) => watch<unknown>(promise))
    await sleep(turn * 3)

    await db.close({ timeoutMs: 500 })

    await until(() => work.every(({ state }) => state !== 'pending'))
    const backends = (): Promise<unknown[]> =>
      onServer(`select 1 from pg_stat_activity where datname = $1 and application_name = 'genever-site'`, [
        place.direct.name,
      ])
    await until(async () => (await backends()).length === 0, { what: 'no backend is left' })
  }
})

test('connections that die while nobody uses them do not end the process, and are replaced', async () => {
  await using place = await site()
  const script = `
    import { createDb } from 'genever'
    process.on('warning', ({ name }) => console.log(name))
    const db = createDb(process.env.URL, { pool: { max: 4 }, applicationName: 'genever-site' })
    const held = await Promise.all([1, 2, 3, 4].map(() => db.acquire()))
    const killer = held.pop()
    await Promise.all(held.map((connection) => connection.release()))
    await killer.all(\`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'genever-site' and pid <> pg_backend_pid()\`)
    while (db.stats().open > 1) await new Promise((resolve) => setTimeout(resolve, 5))
    console.log(db.stats().open)
    await killer.release()
    console.log((await Promise.all([1, 2, 3, 4, 5].map((n) => db.scalar('select $1::int', [n])))).join())`

  const { code, stdout, stderr } = await runScript(script, { env: { URL: place.direct.url } })

  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '1\n1,2,3,4,5', stderr: '' })
})
