/** The loop of a cursor outside of any transaction that waits for the connection the cursor holds is told of it at once. */

import { AcquireTimeoutError, type Db } from 'genever'
import { expect, test } from 'vitest'
import { caught, type Caught } from '../support/caught.ts'
import { gate, noticesDuring } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'

/** What a loop may do that needs a connection. */
const needs: Readonly<Record<string, (db: Db, series: string) => Promise<unknown>>> = {
  'a statement': (db) => db.scalar('select 1'),
  'a scope': (db) => db.scope(() => db.scalar('select 1')),
  'a transaction': (db) => db.transaction(() => {}),
  'another cursor': (db, series) => db.iterate(series).read(),
  'a handle': (db) => db.acquire(),
}

forEachDriver((driver) => {
  const series = driver.words.series(300)
  test.each(Object.entries(needs))('%s in the loop names both places', async (_, use) => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 100 } })
    let error: Caught | undefined

    const notices = await noticesDuring(async () => {
      for await (const _row of db.iterate(series)) {
        error = await caught(use(db, series))
        break
      }
    })

    expect(notices[0]).toMatchObject({
      code: 'waiting-for-cursor',
      places: [
        expect.stringMatching(/iterate-alone\.test\.ts/),
        expect.stringMatching(/^cursor opened at \S*iterate-alone\.test\.ts/),
      ],
    })
    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error?.phase).toBe('cursor')
    expect(await db.scalar('select 2')).toBe(2)
  })

  // There the body of such a loop runs nothing.
  test.skipIf(driver.name === 'mysql')(
    'nothing is told where the loop has a transaction, nor of those who wait for work that goes on',
    async () => {
      const db = await driver.single()
      const go = gate()

      const notices = await noticesDuring(async () => {
        await db.transaction(async () => {
          for await (const _row of db.iterate(series)) await db.scalar('select 1')
        })
        const holding = db.scope(async () => {
          await db.scalar('select 1')
          await go.promise
        })
        const waiting = db.scalar('select 2')
        go.open()
        await Promise.all([holding, waiting])
      })

      expect(notices).toEqual([])
    },
  )
})

forEachDriver(
  (driver) => {
    const series = driver.words.series(300)
    test('nothing is told while another connection can be had', async () => {
      const db = await driver.db({ pool: { max: 2 } })

      const notices = await noticesDuring(async () => {
        for await (const _row of db.iterate(series)) await db.scalar('select 1')
      })

      expect(notices).toEqual([])
    })
  },
  { connections: 2 },
)
