/** At its deadline `close()` stops what still runs on the server and names it: nothing takes effect after it has returned. */

import { createDb, type Db, PoolClosedError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { virtualTime } from '../support/virtual-time.ts'

forEachDriver(
  (driver) => {
    const running = (mark: string): Promise<number> => driver.running(mark)
    /** A statement that takes long, with a mark that the server shows. */
    const slowly = (table: string): string => `select 1 as ${table}_slow from (${driver.words.sleep(30)}) slow`
    const opened = async (max = 6): Promise<Db> => createDb(await driver.url(), { pool: { max } }).open()

    test.each([0, 100, 1_000])(
      'with %d ms: statements of every kind end on the server and are listed',
      async (timeoutMs) => {
        const table = await driver.table('n int')
        const db = await opened()
        const slow = slowly(table)
        const ended = [
          caught(db.status(`insert into ${table} ${slow}`)),
          caught(db.scalar(slow)),
          caught(db.scope(() => db.scalar(slow))),
          caught(db.transaction((tx) => tx.status(`insert into ${table} ${slow}`))),
          caught(db.iterate(slow).read()),
        ]
        // Where the engine has opened one more connection to read its catalogue, that one is idle again.
        const allRun = (): boolean => {
          const { reserved, serving, opening, waiting } = db.stats()
          return reserved + serving === 5 && opening === 0 && waiting === 0
        }
        await until(async () => (await running(`${table}_slow`)) >= 4 && allRun(), { what: 'all run' })
        const { idle } = db.stats()

        const report = await db.close({ timeoutMs })

        await until(async () => (await running(`${table}_slow`)) === 0, { what: 'all have ended' })
        expect(report.drained).toBe(idle)
        expect(report.broken.toSorted()).toEqual([
          expect.stringMatching(/^cursor opened at \S*close-stops/),
          expect.stringMatching(/^scope/),
          expect.stringMatching(/^statement: insert into/),
          expect.stringMatching(/^statement: select/),
          expect.stringMatching(/^transaction begun at \S*close-stops/),
        ])
        // A server that is asked to stop may take longer to say so than the time that is left.
        for (const error of await Promise.all(ended)) expect(['rolled_back', 'unknown']).toContain(error.outcome)
        expect((await ended[0])?.constructor).toBe(PoolClosedError)
      },
    )

    test('what code goes on to send after its statement was stopped does not run', async () => {
      const table = await driver.table('n int')
      const db = await opened()
      const insist = async (run: (text: string) => Promise<unknown>): Promise<void> => {
        await run(slowly(table)).catch(() => {})
        for (let i = 0; i < 5; i++) await run(`insert into ${table} values (1)`).catch(() => {})
      }
      const handle = await db.acquire()
      const done = [
        insist((text) => db.status(text)),
        insist((text) => handle.status(text)),
        db.scope((connection) => insist((text) => connection.status(text))),
        caught(db.transaction((tx) => insist((text) => tx.status(text)))),
      ]
      await until(async () => (await running(`${table}_slow`)) === 4, { what: 'all of them run' })

      await db.close({ timeoutMs: 100 })
      await Promise.all(done)
      await handle.release()

      await using again = await opened(1)
      expect(await again.scalar(`select count(*) from ${table}`)).toBe(0)
    })

    // Where several are in flight it is on the wire already.
    test.skipIf(driver.name === 'socket')(
      'a statement that waits behind one that is stopped on the same connection does not run',
      async () => {
        const table = await driver.table('n int')
        const db = await opened()
        const ended = db.scope(() =>
          Promise.all([caught(db.scalar(slowly(table))), caught(db.status(`insert into ${table} values (1)`))]),
        )
        await until(async () => (await running(`${table}_slow`)) === 1, { what: 'it runs' })

        await db.close({ timeoutMs: 50 })

        expect((await ended).map(({ name }) => name)).toEqual(['PoolClosedError', 'PoolClosedError'])
        await using again = await opened(1)
        expect(await again.scalar(`select count(*) from ${table}`)).toBe(0)
      },
    )

    test('a connection whose onConnect is still running is ended with it', async () => {
      let calls = 0
      const marker = await driver.table('n int')
      const db = await createDb(await driver.url(), {
        pool: { max: 2 },
        async onConnect(connection) {
          if (++calls > 1) await connection.scalar(slowly(marker))
        },
      }).open()
      const held = await db.acquire()
      const waiting = caught(db.acquire())
      await until(async () => (await running(`${marker}_slow`)) === 1, { what: 'onConnect runs' })

      const report = await db.close({ timeoutMs: 200 })

      expect(report.broken).toEqual([expect.stringMatching(/^acquire/), expect.stringMatching(/^onConnect/)])
      await held.release()
      expect(await waiting).toBeInstanceOf(Error)
      await until(async () => (await running(`${marker}_slow`)) === 0, { what: 'nothing of it runs' })
    })
  },
  { connections: 2 },
)

test('reads that share a connection are all named, and none of them is sent again', async () => {
  using time = virtualTime()
  const opening = fake({ maxInFlight: 8 }, { pool: { max: 2, shared: 1, idleTimeoutMs: Infinity } })
  await time.pass(1)
  const { db, driver } = await opening
  for (let run = 0; run < 3; run++) {
    const read = db.scalar('select 1')
    await time.pass(1)
    await read
  }
  driver.faults.at({ phase: 'answer', times: Infinity }, { hang: true })
  const reads = Array.from({ length: 3 }, () => caught(db.scalar('select 1')))
  await time.pass(1)
  const sent = driver.log.length

  const closing = db.close({ timeoutMs: 40 })
  await time.pass(300)

  expect((await closing).broken).toEqual(Array(3).fill('statement: select 1'))
  for (const error of await Promise.all(reads)) expect(error).toBeInstanceOf(PoolClosedError)
  expect(driver.log.slice(sent).filter((line) => line.includes('select'))).toEqual([])
  expect(driver.violations).toEqual([])
})
