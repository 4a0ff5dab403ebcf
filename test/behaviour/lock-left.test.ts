/** The lock of work that has ended is free as soon as its connection takes a statement, whatever is open on that. */

import { type Db } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const held =
  "select count(*)::int from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database()) and objid = 4714"
const mine = "select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"

forEachDriver(
  (driver) => {
    const isFree = (db: Db): Promise<unknown> =>
      until(async () => (await db.detached(() => db.scalar<number>(held))) === 0, { what: 'the lock is free' })

    for (const ending of ['returns', 'throws'] as const) {
      const end = (): string => {
        if (ending === 'throws') throw new Error('given up')
        return 'done'
      }
      const expected = ending === 'throws' ? 'Error: given up' : 'done'

      test(`beside a cursor that stays open it is freed when its work ${ending}`, async () => {
        const db = await driver.db()
        await db.scope(async () => {
          const cursor = db.iterate('select generate_series(1, 1000) as n', [], { batchSize: 10 })
          const result = await db
            .lock(4714, async () => {
              await cursor.read()
              return end()
            })
            .catch(String)
          expect(result).toBe(expected)
          await isFree(db)
          expect((await cursor.read(1_000)).length).toBe(999)
          expect(await db.scalar(mine)).toBe(0)
        })
      })

      test(`beside copyTo() that is being read it is freed when that has ended, its work ${ending}`, async () => {
        const db = await driver.db()
        await db.scope(async () => {
          const pieces = db.copyTo('select generate_series(1, 300000)')[Symbol.asyncIterator]()
          const result = await db
            .lock(4714, async () => {
              await pieces.next()
              return end()
            })
            .catch(String)
          expect(result).toBe(expected)
          for (let piece = await pieces.next(); piece.done !== true; piece = await pieces.next());
          expect(await db.scalar(mine)).toBe(0)
        })
      })

      test(`beside copyFrom() that waits for data it is freed when that has ended, its work ${ending}`, async () => {
        const db = await driver.db()
        const table = await driver.table('n int')
        await db.scope(async () => {
          const more = gate()
          const begun = gate()
          const source = async function* (): AsyncGenerator<Buffer> {
            yield Buffer.from('1\n')
            begun.open()
            await more.promise
            yield Buffer.from('2\n')
          }
          let copying: Promise<unknown> | undefined
          const locking = db
            .lock(4714, async () => {
              copying = db.copyFrom(`${table} (n)`).from(source())
              await begun.promise
              return end()
            })
            .catch(String)
          await begun.promise
          more.open()
          await copying
          expect(await locking).toBe(expected)
          expect(await db.scalar(`select count(*)::int from ${table}`)).toBe(2)
          expect(await db.scalar(mine)).toBe(0)
        })
      })
    }

    test('in a transaction that has failed it is freed when that was rolled back', async () => {
      const db = await driver.db()
      await db.scope(async () => {
        const failure = await caught(
          db.transaction(() =>
            db.lock(
              4714,
              async () => {
                await db.scalar('select 1 / 0').catch(() => {})
              },
              { until: 'work' },
            ),
          ),
        )
        expect(failure).toMatchObject({ name: 'TransactionAbortedError' })
        await isFree(db)
        expect(await db.scalar(mine)).toBe(0)
      })
    })
  },
  { connections: 2 },
)
