/** Connections in a sandbox are one: who waits for whom, and for how long. */

import {
  AbortedError,
  AcquireTimeoutError,
  createDb,
  type Db,
  QueryTimeoutError,
  TransactionTimeoutError,
} from 'genever'
import { sandboxed } from 'genever/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { pause, Users } from '../support/sandboxed-users.ts'
import { until } from '../support/until.ts'

forEachDriver(
  (driver) => {
    const users = new Users(driver)
    const endless = driver.words.sleep(600)
    let db: Db

    beforeEach(() => {
      db = users.db
    })

    describe('a transaction has the floor', () => {
      test('so transactions at the same time take turns, and none sees or takes back the work of another', async () => {
        await sandboxed(db, async () => {
          const one = async (id: number): Promise<unknown> =>
            db.transaction(async (tx) => {
              const before = await users.ids()
              await users.insert(id)
              await pause(5)
              expect(await users.ids()).toEqual([...before, id].toSorted((a, b) => Number(a) - Number(b)))
              if (id === 2) tx.raiseRollback()
            })

          await Promise.all([one(1), one(2), one(3)])
          expect(await users.ids()).toEqual([1, 3])
        })
      })

      test('so a statement of somebody else waits until it ends', async () => {
        await sandboxed(db, async () => {
          const [began, end] = [gate(), gate()]
          const transaction = db.transaction(async (tx) => {
            await users.insert(1)
            began.open()
            await end.promise
            tx.raiseRollback()
          })
          await began.promise
          const seen = users.ids()
          await pause(20)
          end.open()
          await transaction

          expect(await seen).toEqual([])
        })
      })

      test('so a transaction begun by text waits as well, and is not taken back with the one before', async () => {
        await sandboxed(db, async () => {
          const transaction = await db.begin()
          await transaction.status('insert into users values (1)')
          await using connection = await db.acquire()
          const begun = connection.status('begin')
          await transaction.rollback()
          await begun
          await connection.status('insert into users values (2)')
          await connection.status('commit')

          expect(await users.ids()).toEqual([2])
        })
      })

      test('and who waits for longer than for a connection fails, naming the transaction', async () => {
        await using hasty = await users.opened(400)
        await sandboxed(hasty, async () => {
          const transaction = await hasty.begin()
          await transaction.status('insert into users values (1)')

          const error = await caught(hasty.all('select id from users'))

          expect(error).toBeInstanceOf(AcquireTimeoutError)
          expect(error).toMatchObject({ phase: 'transaction', outcome: 'not_started' })
          expect(error.message).toMatch(/manual transaction begun at .*sandbox-turns\.test\.ts/)
          await transaction.rollback()
          expect(await hasty.all('select id from users')).toEqual([])
        })
      })

      test('and who has waited for a second is told of, because it may wait for itself', async () => {
        using heard = hear('patient')
        const patient = await createDb(users.url, { name: 'patient' }).open()
        await sandboxed(patient, async () => {
          const transaction = await patient.begin()
          await transaction.all('select 1')
          const waiting = patient.all('select 2')
          await until(() => heard.notices.length > 0)
          await transaction.rollback()
          await waiting
        })
        await patient.close()

        expect(heard.notices.map(({ code }) => code)).toEqual(['waiting-for-transaction'])
        expect(heard.notices[0]?.places[1]).toMatch(/manual transaction begun at/)
      })

      test('and a statement that gives up while it waits never runs', async () => {
        await sandboxed(db, async () => {
          const transaction = await db.begin()
          await transaction.all('select 1')
          const controller = new AbortController()
          const timed = caught(db.status('insert into users values (1)', [], { timeoutMs: 30 }))
          const aborted = caught(
            db.transaction(() => db.status('insert into users values (2)', [], { signal: controller.signal })),
          )
          expect(await timed).toBeInstanceOf(QueryTimeoutError)
          controller.abort()
          expect(await aborted).toBeInstanceOf(AbortedError)
          await transaction.commit()
          expect(await users.ids()).toEqual([])
        })
      })
    })

    describe('time', () => {
      test('that is over cancels a statement on the server, and the sandbox goes on', async () => {
        await sandboxed(db, async () => {
          await users.insert(1)

          expect(await caught(db.all(endless, [], { timeoutMs: 200 }))).toBeInstanceOf(QueryTimeoutError)
          expect(await users.ids()).toEqual([1])
          expect(
            await caught(
              db.transaction(async () => void (await users.insert(2), await db.all(endless)), { timeoutMs: 50 }),
            ),
          ).toBeInstanceOf(TransactionTimeoutError)
          expect(await users.ids()).toEqual([1])
        })
      })

      test('that is over in code leaves the transaction behind', async () => {
        await sandboxed(db, async () => {
          const late = gate()
          const error = await caught(
            db.transaction(async () => (await users.insert(1), await late.promise), { timeoutMs: 50 }),
          )
          late.open()

          expect(error).toBeInstanceOf(TransactionTimeoutError)
          await until(async () => (await users.ids()).length === 0)
        })
      })
    })
  },
  { connections: 2 },
)
