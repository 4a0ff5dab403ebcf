/** The end of a sandbox: what it waits for, what it stops, and what it tells. And a second sandbox. */

import { ConnectionLostError, createDb, type Db, PoolClosedError, TransactionStateError } from 'genever'
import { sandbox, sandboxed } from 'genever/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { noticesDuring } from '../support/gate.ts'
import { forEachDriver, pid } from '../support/matrix.ts'
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

    describe('the end of a sandbox', () => {
      test('closes connections that are still lent, and tells who held them', async () => {
        let handle: Awaited<ReturnType<Db['acquire']>> | undefined
        const notices = await noticesDuring(() =>
          sandboxed(
            db,
            async () => {
              handle = await db.acquire()
              await handle.status('begin')
              await handle.status('insert into users values (1)')
            },
            { settleMs: 20 },
          ),
        )

        expect(notices.map(({ code }) => code)).toEqual(['transaction-outlived-scope'])
        expect(notices[0]?.places.join()).toMatch(/sandbox opened at .*acquire\(\)/)
        await handle?.release()
        expect(await users.ids()).toEqual([])
      })

      test('stops what still runs and refuses what comes later, until the engine has its pool again', async () => {
        let running: Promise<Error> | undefined
        let waiting: Promise<Error> | undefined
        await sandboxed(
          db,
          async () => {
            running = caught(db.all(endless))
            waiting = caught(db.transaction(() => users.insert(1)))
            await until(() => db.stats().serving + db.stats().reserved === 2, { what: 'both have a connection' })
          },
          { settleMs: 20 },
        )

        expect((await running)?.message).toMatch(/closed|lost/)
        expect(await waiting).toMatchObject({
          outcome: 'not_started',
          message: expect.stringMatching(/closed/) as string,
        })
        expect(await users.ids()).toEqual([])
      })

      test('is told to those who still wait for a connection, and the engine is not called closed', async () => {
        await using single = createDb(users.url, { pool: { max: 1 } })
        let waiting: Promise<Error> | undefined
        await sandboxed(
          single,
          () => {
            void caught(single.all(endless))
            waiting = caught(single.all('select 1'))
          },
          { settleMs: 20 },
        )

        expect(await waiting).toMatchObject({
          code: 'GENEVER_TRANSACTION_STATE',
          outcome: 'not_started',
          message: expect.stringMatching(/^The sandbox opened at .* has ended/) as string,
        })
      })

      test('waits a little for what was not awaited', async () => {
        let result: Promise<unknown> | undefined
        const work = (): void => void (result = db.transaction(async () => (await users.insert(1), await pause(20))))
        await sandboxed(db, work, { settleMs: 30_000 })

        await result
        expect(await users.ids()).toEqual([])
      })

      test('comes by close() too: everything is rolled back and the engine stays closed', async () => {
        const own = await createDb(users.url).open()
        const report = await sandboxed(own, async () => {
          await own.status('insert into users values (1)')
          const closed = await own.close()
          expect(await caught(own.all('select 1'))).toBeInstanceOf(PoolClosedError)
          return closed
        })

        expect(report.broken).toEqual([])
        expect(await caught(sandboxed(own, () => 1))).toBeInstanceOf(PoolClosedError)
      })

      test('comes when the server ends the connection: all is told, and the engine works again', async () => {
        const error = await caught(
          sandboxed(db, async () => {
            await users.insert(1)
            const session = await pid(db)
            const sleeping = caught(db.all(endless))
            await until(async () => (await driver.runners(endless)).includes(session))
            await driver.kill(session)

            expect(await sleeping).toBeInstanceOf(ConnectionLostError)
            expect(await caught(db.all('select 1'))).toBeInstanceOf(ConnectionLostError)
            expect(await caught(db.transaction(() => users.insert(2)))).toBeInstanceOf(ConnectionLostError)
          }),
        )

        expect(error).toBeInstanceOf(ConnectionLostError)
        expect(error.message).toMatch(/connection of the sandbox opened at .*sandbox-end\.test\.ts/)
        expect(await users.ids()).toEqual([])
      })

      test.runIf(driver.lends).each([true, false])(
        'comes when somebody commits behind its back, and that is told: statements follow %s',
        async (later) => {
          const error = await caught(
            sandboxed(db, async () => {
              await using connection = await db.acquire()
              const client = (await connection.rawConnection()) as { query(text: string, done: () => void): void }
              await new Promise<void>((done) => client.query('commit', () => done()))
              if (later) await db.all('select 1')
            }),
          )

          expect(error).toBeInstanceOf(TransactionStateError)
          expect(error.message).toMatch(/was ended on the server by something else/)
        },
      )
    })

    describe('a second sandbox', () => {
      test('of the same engine is refused, naming both', async () => {
        const error = await caught(sandboxed(db, () => sandboxed(db, () => 1)))

        expect(error).toBeInstanceOf(TransactionStateError)
        expect(error.message).toMatch(/sandbox at .*sandbox-end.* cannot begin while the one opened at .*sandbox-end/)
        expect(await sandboxed(db, () => 1)).toBe(1)
      })

      test('is refused inside of a scope or transaction, which would not be in it', async () => {
        expect(await caught(db.scope(() => sandboxed(db, () => 1)))).toBeInstanceOf(TransactionStateError)
        expect(await caught(db.transaction(() => sandboxed(db, () => 1)))).toBeInstanceOf(TransactionStateError)
      })

      test('takes its turn when a test runner opens it, and is refused where it would wait for itself', async () => {
        const around = sandbox(db)
        const order: string[] = []
        const run = (name: string): Promise<void> =>
          around(async () => {
            order.push(`${name} begins`)
            await users.insert(1)
            await pause(5)
            order.push(`${name} ends`)
          })
        await Promise.all([run('a'), run('b'), run('c')])

        expect(order).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
        expect(await caught(around(() => around(() => Promise.resolve())))).toBeInstanceOf(TransactionStateError)
      })

      test('of another engine is another sandbox', async () => {
        const other = await createDb(users.url).open()
        await sandboxed(db, () =>
          sandboxed(other, async () => {
            await users.insert(1)
            expect(await other.all('select id from users')).toEqual([])
          }),
        )
        await other.close()
      })
    })

    test('wrong options are refused together, by name', async () => {
      const options = { isolation: 'serializable', settleMs: -1, depth: 2 } as const
      const error = await caught(sandboxed(db, () => 1, options))

      expect(error).toMatchObject({ code: 'GENEVER_INVALID_OPTION' })
      expect(error.message).toMatch(/"depth".*"settleMs"/)
    })
  },
  { connections: 2 },
)
