/** Defaults of `timeoutMs`: the nearest counts, whose handle it is. */

import { type Db, QueryTimeoutError, sql } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const short = { query: { timeoutMs: 100 } }
const long = { query: { timeoutMs: 50_000 } }

/** With a connection that is idle, so that the limit counts for the statement alone. */
async function timesOut(db: Db, work: () => Promise<unknown>): Promise<void> {
  await until(() => db.stats().idle > 0)
  expect(await caught(work())).toBeInstanceOf(QueryTimeoutError)
}

forEachDriver(
  (driver) => {
    /** Longer than a test may take. */
    const endless = driver.words.sleep(600)
    /** Longer than the short limit. */
    const slow = driver.words.sleep(0.2)

    test('the nearest default of timeoutMs counts: statement, then transaction, then scope or connection, then engine', async () => {
      const patient = await driver.db(long)
      const hasty = await driver.db(short)

      await timesOut(hasty, () => hasty.all(endless))
      await timesOut(patient, () => patient.all(endless, [], { timeoutMs: 100 }))
      await timesOut(patient, () => patient.scope(() => patient.all(endless), short))
      await timesOut(patient, () => patient.scope(() => patient.transaction(() => patient.all(endless)), short))
      await timesOut(patient, () => patient.scope(() => patient.scope(() => patient.all(endless), short)))
      await timesOut(patient, () => patient.transaction(() => patient.transaction(() => patient.all(endless)), short))
      await timesOut(patient, () =>
        patient.scope((connection) => connection.transaction((tx) => tx.all(endless)), short),
      )
      await timesOut(patient, () => patient.scope(() => patient.iterate(endless).read(), short))

      await hasty.all(slow, [], { timeoutMs: 50_000 })
      await hasty.scope(() => hasty.all(slow), long)
      await hasty.scope(() => hasty.transaction(() => hasty.all(slow), long), short)
    })

    test('a pull that times out ends its cursor and gives the connection back', async () => {
      const db = await driver.db()

      const cursor = db.iterate(endless, [], { timeoutMs: 100 })

      expect(await caught(cursor.read())).toBeInstanceOf(QueryTimeoutError)
      await until(() => db.stats().reserved === 0)
    })

    test('inside of a transaction with a default of its own it counts for every handle whose statements run in it', async () => {
      const db = await driver.db()

      await timesOut(db, () => db.scope((connection) => db.transaction(() => connection.all(endless), short)))
      await timesOut(db, () =>
        db.scope((connection) => connection.transaction(() => connection.all(endless), short), long),
      )
      await timesOut(db, () =>
        db.scope((connection) => connection.transaction(() => connection.sql`${sql.raw(endless)}`, short)),
      )
      await timesOut(db, () =>
        db.scope((connection) => db.transaction(() => connection.iterate(endless).read(), short)),
      )
      await timesOut(db, () => db.transaction((tx) => tx.transaction(() => tx.all(endless), short)))
      await timesOut(db, () => db.transaction((tx) => tx.transaction(() => tx.connection.all(endless), short), long))
      await timesOut(db, () =>
        db.scope((connection) => db.transaction(() => db.transaction(() => connection.all(endless)), short)),
      )
      await timesOut(db, async () => {
        await using connection = await db.acquire(long)
        await using tx = await connection.begin(short)
        await tx.connection.status('select 1')
        return await connection.all(endless)
      })

      await db.scope((connection) => db.transaction(() => connection.all(slow), long), short)
      await db.transaction(() => db.scope((connection) => connection.all(slow), long), short)
      await db.transaction(async (tx) => {
        await using near = await db.acquire({ reuse: true, ...long })
        await near.all(slow)
        await tx.transaction(() => tx.all(slow), long)
      }, short)
      const outside = db.scope(async (connection) => {
        // On a busy machine this may take longer than the short limit.
        await db
          .transaction(() => connection.all('select 1'), short)
          .catch((error: unknown) => {
            expect(error).toBeInstanceOf(QueryTimeoutError)
          })
        await connection.all(slow)
      })
      await outside
    })
  },
  { connections: 2 },
)
