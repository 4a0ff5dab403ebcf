/** Code that outlives its transaction, in every place where it may stand. */

import { createDb, TransactionEndedError, TransactionTimeoutError } from 'genever'
import { beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

forEachDriver((driver) => {
  let db = createDb()
  let [insert, count] = ['', '']

  beforeEach(async () => {
    const table = await driver.table('n int')
    insert = `insert into ${table} values (1)`
    count = driver.words.count(table)
    db = await driver.db()
  })

  describe('code that a transaction left behind never writes outside of it', () => {
    test('in a nested transaction, when the time of the outer one is over', async () => {
      const over = gate()
      let late: Promise<unknown> | undefined

      await db.scope(async () => {
        const error = await caught(
          db.transaction(
            () =>
              db.transaction(async () => {
                // On a busy machine the time may be over here already.
                await db.scalar('select 1').catch(() => {})
                await over.promise
                await (late = caught(db.status(insert)))
              }),
            { timeoutMs: 50 },
          ),
        )
        expect(error).toBeInstanceOf(TransactionTimeoutError)
        over.open()
        expect(await (await until(() => late && { late })).late).toBeInstanceOf(TransactionEndedError)
      })

      expect(await db.scalar(count)).toBe(0)
    })

    test('in a nested transaction nobody awaited, when the outer one has returned', async () => {
      const over = gate()
      const inside = gate()
      let nested: Promise<unknown> = Promise.resolve()

      await db.scope(async () => {
        await caught(
          db.transaction(async () => {
            await db.scalar('select 1')
            nested = caught(
              db.transaction(async () => {
                await db.scalar('select 2')
                inside.open()
                await over.promise
                await db.status(insert)
              }),
            )
            await inside.promise
          }),
        )
        over.open()
        expect(await nested).toBeInstanceOf(TransactionEndedError)
      })

      expect(await db.scalar(count)).toBe(0)
    })

    test('in tx.run(work), when the transaction has ended', async () => {
      const over = gate()
      let late: Promise<unknown> = Promise.resolve()

      await db.scope(async () => {
        await db.transaction(async (tx) => {
          await tx.scalar('select 1')
          late = caught(
            tx.run(async () => {
              await over.promise
              await db.status(insert)
            }),
          )
        })
        over.open()
        expect(await late).toBeInstanceOf(TransactionEndedError)
      })

      expect(await db.scalar(count)).toBe(0)
    })

    test('through the handle of the scope, a reusing one, or tx.connection', async () => {
      await db.scope(async (connection) => {
        const over = gate()
        const late: Promise<unknown>[] = []
        await db.transaction(async (tx) => {
          const reusing = await db.acquire({ reuse: true })
          for (const handle of [connection, reusing, tx.connection])
            late.push(over.promise.then(() => caught(handle.status(insert))))
          late.push(over.promise.then(() => caught(connection.run(() => db.status(insert)))))
          late.push(over.promise.then(() => caught(connection.transaction(() => db.status(insert)))))
        })
        over.open()

        for (const error of await Promise.all(late)) expect(error).toBeInstanceOf(TransactionEndedError)
      })

      expect(await db.scalar(count)).toBe(0)
    })

    test('but does when it is detached', async () => {
      await db.scope(async () => {
        const over = gate()
        let late: Promise<unknown> = Promise.resolve()
        await db.transaction(async () => {
          late = over.promise.then(() => db.detached(() => db.status(insert)))
        })
        over.open()
        await late
      })

      expect(await db.scalar(count)).toBe(1)
    })
  })
})
