/** `rawConnection()` that is issued together with other calls comes behind those before it, and before those behind it. */

import { type Connection, type Db, type Transaction } from 'genever'
import { expect, test } from 'vitest'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver(
  (driver) => {
    const places: Record<
      string,
      (db: Db, work: (on: Connection, through: Connection | Transaction) => Promise<unknown>) => Promise<unknown>
    > = {
      'a handle that has no connection yet': async (db, work) => {
        await using handle = await db.acquire({ lazy: true })
        await work(handle, handle)
      },
      'a scope with settings that has no connection yet': async (db, work) => {
        if (driver.name === 'mysql') return
        const inside = (): Promise<unknown> => work(db.current as Connection, db.current as Connection)
        await db.scope(inside, { settings: { application_name: 'raw' } })
      },
      'a handle that was used': async (db, work) => {
        await using handle = await db.acquire()
        await handle.scalar('select 1')
        await work(handle, handle)
      },
      'a transaction': async (db, work) => {
        await using handle = await db.acquire()
        await handle.transaction((tx) => work(handle, tx))
      },
    }

    for (const [place, run] of Object.entries(places))
      test(`on ${place}`, async () => {
        const db = await driver.single()
        const order: string[] = []
        const noted = (name: string, on: Connection | Transaction): Promise<unknown> =>
          on.transaction(async (tx) => {
            order.push(name)
            await tx.scalar('select 1')
          })

        let ran = false
        await run(db, async (handle, through) => {
          ran = true
          const raw = handle.rawConnection().then(() => order.push('lent'))
          await Promise.all([raw, noted('behind', through), through.scalar('select 1')])
          const again = noted('before', through)
          const once = handle.rawConnection().then(() => order.push('lent again'))
          await Promise.all([again, once, noted('last', through)])
        })

        expect(order).toEqual(ran ? ['lent', 'behind', 'before', 'lent again', 'last'] : [])
      })
  },
  { lends: true },
)
