/** Far more who wait for a connection than there ever can be, on a server that has stopped to answer. */

import { AcquireTimeoutError, createDb, TooManyWaitersError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { FakeDriver } from '../support/fake/driver.ts'
import { runScript } from '../support/script.ts'

test('fifty thousand are all told at their deadline, in little memory, and nothing of them is left', async () => {
  const { code, stdout, stderr } = await runScript(
    `
    import { AcquireTimeoutError, createDb } from 'genever'
    import { FakeDriver } from 'genever/testing'
    const db = await createDb({ driver: new FakeDriver({ answer: () => [[7]] }), pool: { max: 2, shared: 0, acquireTimeoutMs: 2000 } }).open()
    const held = [await db.acquire(), await db.acquire()]
    gc()
    const before = process.memoryUsage().heapUsed
    const waits = Array.from({ length: 50_000 }, (_, n) =>
      (n % 2 === 0 ? db.scalar('select 1') : db.acquire()).catch((error) => error))
    await new Promise((resolve) => setTimeout(resolve, 1))
    gc()
    const each = (process.memoryUsage().heapUsed - before) / 50_000
    const ends = await Promise.all(waits)
    const wrong = ends.filter((end) => !(end instanceof AcquireTimeoutError) || end.phase !== 'connection').length
    ends.length = waits.length = 0
    for (const connection of held) await connection.release()
    const served = await db.scalar('select 7')
    await new Promise((resolve) => setTimeout(resolve, 1))
    gc()
    const left = (process.memoryUsage().heapUsed - before) / 2 ** 20
    console.log(JSON.stringify({ small: each < 4096, wrong, waiting: db.stats().waiting, served, left: left < 8 }))
    await db.close()
  `,
    { timeoutMs: 170_000 },
  )

  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toEqual({ small: true, wrong: 0, waiting: 0, served: 7, left: true })
  expect(code).toBe(0)
}, 180_000)

test('with maxWaiting all but so many are told at once', async () => {
  const driver = new FakeDriver()
  await using db = await createDb({ driver, pool: { max: 1, maxWaiting: 100, acquireTimeoutMs: 50 } }).open()
  await using held = await db.acquire()
  const ends = await Promise.all(Array.from({ length: 1000 }, () => caught(db.acquire())))

  expect(ends.filter((error) => error instanceof TooManyWaitersError)).toHaveLength(900)
  expect(ends.filter((error) => error instanceof AcquireTimeoutError)).toHaveLength(100)
  expect(await held.scalar('select 7')).toBe(7)
})
