/** Connections in a sandbox are one: who waits for whom, for how long, and what is taken back with what. */

import {
  AbortedError,
  AcquireTimeoutError,
  ConnectionLostError,
  createDb,
  type Db,
  PoolClosedError,
  QueryTimeoutError,
  SelfDeadlockError,
  type Transaction,
  TransactionStateError,
  TransactionTimeoutError,
  UniqueViolationError,
} from 'genever'
import { sandbox, sandboxed } from 'genever/testing'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { gate, noticesDuring } from '../support/gate.ts'
import { forEachDriver, pid, type TestedDatabase } from '../support/matrix.ts'
import { until } from '../support/until.ts'

forEachDriver(
  (driver) => {
    const endless = driver.words.sleep(600)
    let database: TestedDatabase
    let db: Db

    beforeAll(async () => {
      database = await driver.fresh('create table users (id int primary key)')
      return () => database[Symbol.asyncDispose]()
    })

    const opened = (acquireTimeoutMs: number): Promise<Db> =>
      createDb(database.url, { pool: { max: 3, acquireTimeoutMs }, cancelTimeoutMs: 30_000 }).open()

    beforeEach(async () => {
      db = await opened(30_000)
    })

    afterEach(async () => {
      expect((await db.close({ timeoutMs: 30_000 })).broken).toEqual([])
      expect(await database.query('select id from users'), 'left behind in the database').toEqual([])
    })

    const insert = (id: number): Promise<unknown> => db.status('insert into users values (:id)', { id })
    const ids = async (): Promise<unknown[]> =>
      (await db.all<{ id: number }>('select id from users order by id')).map(({ id }) => id)
    const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

    describe('a transaction has the floor', () => {
      test('so transactions at the same time take turns, and none sees or takes back the work of another', async () => {
        await sandboxed(db, async () => {
          const one = async (id: number): Promise<unknown> =>
            db.transaction(async (tx) => {
              const before = await ids()
              await insert(id)
              await pause(5)
              expect(await ids()).toEqual([...before, id].toSorted((a, b) => Number(a) - Number(b)))
              if (id === 2) tx.raiseRollback()
            })

          await Promise.all([one(1), one(2), one(3)])
          expect(await ids()).toEqual([1, 3])
        })
      })

      test('so a statement of somebody else waits until it ends', async () => {
        await sandboxed(db, async () => {
          const [began, end] = [gate(), gate()]
          const transaction = db.transaction(async (tx) => {
            await insert(1)
            began.open()
            await end.promise
            tx.raiseRollback()
          })
          await began.promise
          const seen = ids()
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

          expect(await ids()).toEqual([2])
        })
      })

      test('and who waits for longer than for a connection fails, naming the transaction', async () => {
        await using hasty = await opened(400)
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
        const patient = await createDb(database.url, { name: 'patient' }).open()
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
          expect(await ids()).toEqual([])
        })
      })
    })

    describe('reuse: false inside of a transaction', () => {
      test('runs at once, as a savepoint of the transaction around it', async () => {
        await sandboxed(db, async () => {
          await db.transaction(async () => {
            await insert(1)
            await db.transaction(() => insert(2), { reuse: false })
            await caught(db.transaction(async () => void (await insert(3), await insert(1)), { reuse: false }))
            await insert(4)
          })

          expect(await ids()).toEqual([1, 2, 4])
        })
      })

      test('is taken back with the transaction around it, if that had begun', async () => {
        await sandboxed(db, async () => {
          await db.transaction(async (tx) => {
            await db.transaction(() => insert(1), { reuse: false })
            await insert(2)
            await db.transaction(() => insert(3), { reuse: false })
            tx.raiseRollback()
          })

          expect(await ids()).toEqual([1])
        })
      })

      test('runs also when the transaction around it has failed already', async () => {
        await sandboxed(db, async () => {
          const error = await caught(
            db.transaction(async () => {
              await insert(1)
              const reason = await caught(insert(1))
              await db.transaction(() => insert(2), { reuse: false })
              throw reason
            }),
          )

          expect(error).toBeInstanceOf(UniqueViolationError)
          expect(await ids()).toEqual([])
        })
      })

      test('lets the transaction around it run statements, also such as fail, and savepoints of its own', async () => {
        await sandboxed(db, async () => {
          await db.transaction(async (outer) => {
            await insert(1)
            await db.transaction(
              async (inner) => {
                await inner.status('insert into users values (2)')
                await outer.transaction(async (nested) => nested.status('insert into users values (3)'))
                await caught(outer.transaction(async (nested) => nested.status('insert into users values (1)')))
                await inner.status('insert into users values (4)')
              },
              { reuse: false },
            )
            await insert(5)
          })

          expect(await ids()).toEqual([1, 2, 3, 4, 5])
        })
      })

      test('keeps its work when a statement of the transaction around it fails inside of it', async () => {
        await sandboxed(db, async () => {
          const error = await caught(
            db.transaction(async (outer) => {
              await insert(1)
              await db.transaction(
                async (inner) => {
                  await inner.status('insert into users values (2)')
                  await caught(outer.status('insert into users values (1)'))
                  await inner.status('insert into users values (3)')
                  expect(await inner.all('select id from users')).toHaveLength(3)
                },
                { reuse: false },
              )
            }),
          )

          expect(error.code).toBe('GENEVER_TRANSACTION_ABORTED')
          expect(await ids()).toEqual([])
        })
      })

      test('runs in detached work that the transaction awaits; work that nobody awaits runs behind it', async () => {
        await sandboxed(db, async () => {
          let later: Promise<unknown> | undefined
          await db.transaction(async (tx) => {
            await insert(1)
            later = db.detached(() => db.transaction(() => insert(2)))
            await db.detached(() => insert(3))
            await db.detached(() => db.transaction(() => insert(4)))
            expect(await ids()).toEqual([1, 3, 4])
            tx.raiseRollback()
          })

          await later
          expect(await ids()).toEqual([2])
        })
      })

      test('may be several at the same time: they take turns', async () => {
        await sandboxed(db, async () => {
          await db.transaction(async () => {
            await insert(1)
            await Promise.all(
              [2, 3].map((id) => db.transaction(async () => void (await insert(id), await ids()), { reuse: false })),
            )
          })

          expect(await ids()).toEqual([1, 2, 3])
        })
      })

      test('may outlive the transaction around it, and is committed or rolled back by itself', async () => {
        const outliving = async (base: number, work: (tx: Transaction) => unknown): Promise<void> => {
          const [began, end] = [gate(), gate()]
          let inner: Promise<unknown> = Promise.resolve()
          await db.transaction(async () => {
            await insert(base)
            inner = db.transaction(
              async (tx) => {
                await insert(base + 1)
                began.open()
                await end.promise
                work(tx)
              },
              { reuse: false },
            )
            await began.promise
          })
          end.open()
          await inner
        }

        await sandboxed(db, async () => {
          await outliving(10, () => {})
          await outliving(20, (tx) => tx.raiseRollback())

          expect(await ids()).toEqual([10, 11, 20])
          await db.transaction(() => insert(30))
          expect(await ids()).toEqual([10, 11, 20, 30])
        })
      })

      test('that is still open when the transaction around it is rolled back goes with it, and hears of it', async () => {
        await sandboxed(db, async () => {
          const [began, end] = [gate(), gate()]
          let inner: Promise<Error> | undefined
          await db.transaction(async (outer) => {
            await insert(1)
            inner = caught(
              db.transaction(
                async () => {
                  await insert(2)
                  began.open()
                  await end.promise
                  await db.transaction(() => insert(3))
                },
                { reuse: false },
              ),
            )
            await began.promise
            outer.raiseRollback()
          })
          end.open()

          expect((await inner)?.message).toContain('rolled back with the one around it')
          expect(await ids()).toEqual([])
        })
      })

      test('cannot have the transaction around it begin inside of it, and that is told', async () => {
        await sandboxed(db, async () => {
          await db.transaction(async (outer) => {
            await db.transaction(
              async (inner) => {
                await inner.status('insert into users values (1)')
                const error = await caught(outer.status('insert into users values (2)'))
                expect(error).toBeInstanceOf(TransactionStateError)
                expect(error.message).toContain('run a statement in the outer one first')
              },
              { reuse: false },
            )
            outer.raiseRollback()
          })

          expect(await ids()).toEqual([1])
        })
      })

      test('runs out of connections where it would outside', async () => {
        const single = await createDb(database.url, { pool: { max: 1 } }).open()
        const deadlock = await caught(
          sandboxed(single, () => single.transaction(() => single.transaction(() => 1, { reuse: false }))),
        )
        await using hasty = await opened(400)
        const timeout = await caught(
          sandboxed(hasty, async () => {
            const held = await Promise.all([hasty.acquire(), hasty.acquire(), hasty.acquire()])
            try {
              expect(hasty.stats()).toMatchObject({ open: 3, max: 3, reserved: 3, idle: 0 })
              await hasty.all('select 1')
            } finally {
              await Promise.all(held.map((each) => each.release()))
            }
          }),
        )
        await single.close()

        expect(deadlock).toBeInstanceOf(SelfDeadlockError)
        expect(timeout).toBeInstanceOf(AcquireTimeoutError)
        expect(timeout).toMatchObject({ phase: 'connection', stats: { reserved: 3, waiting: 0 } })
      })
    })

    describe('time', () => {
      test('that is over cancels a statement on the server, and the sandbox goes on', async () => {
        await sandboxed(db, async () => {
          await insert(1)

          expect(await caught(db.all(endless, [], { timeoutMs: 200 }))).toBeInstanceOf(QueryTimeoutError)
          expect(await ids()).toEqual([1])
          expect(
            await caught(db.transaction(async () => void (await insert(2), await db.all(endless)), { timeoutMs: 50 })),
          ).toBeInstanceOf(TransactionTimeoutError)
          expect(await ids()).toEqual([1])
        })
      })

      test('that is over in code leaves the transaction behind', async () => {
        await sandboxed(db, async () => {
          const late = gate()
          const error = await caught(
            db.transaction(async () => (await insert(1), await late.promise), { timeoutMs: 50 }),
          )
          late.open()

          expect(error).toBeInstanceOf(TransactionTimeoutError)
          await until(async () => (await ids()).length === 0)
        })
      })
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
        expect(await ids()).toEqual([])
      })

      test('stops what still runs and refuses what comes later, until the engine has its pool again', async () => {
        let running: Promise<Error> | undefined
        let waiting: Promise<Error> | undefined
        await sandboxed(
          db,
          async () => {
            running = caught(db.all(endless))
            waiting = caught(db.transaction(() => insert(1)))
            await until(() => db.stats().serving + db.stats().reserved === 2, { what: 'both have a connection' })
          },
          { settleMs: 20 },
        )

        expect((await running)?.message).toMatch(/closed|lost/)
        expect(await waiting).toMatchObject({
          outcome: 'not_started',
          message: expect.stringMatching(/closed/) as string,
        })
        expect(await ids()).toEqual([])
      })

      test('is told to those who still wait for a connection, and the engine is not called closed', async () => {
        await using single = createDb(database.url, { pool: { max: 1 } })
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
        const work = (): void => void (result = db.transaction(async () => (await insert(1), await pause(20))))
        await sandboxed(db, work, { settleMs: 30_000 })

        await result
        expect(await ids()).toEqual([])
      })

      test('comes by close() too: everything is rolled back and the engine stays closed', async () => {
        const own = await createDb(database.url).open()
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
            await insert(1)
            const session = await pid(db)
            const sleeping = caught(db.all(endless))
            await until(async () => (await driver.runners(endless)).includes(session))
            await driver.kill(session)

            expect(await sleeping).toBeInstanceOf(ConnectionLostError)
            expect(await caught(db.all('select 1'))).toBeInstanceOf(ConnectionLostError)
            expect(await caught(db.transaction(() => insert(2)))).toBeInstanceOf(ConnectionLostError)
          }),
        )

        expect(error).toBeInstanceOf(ConnectionLostError)
        expect(error.message).toMatch(/connection of the sandbox opened at .*sandbox-turns\.test\.ts/)
        expect(await ids()).toEqual([])
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
        expect(error.message).toMatch(
          /sandbox at .*sandbox-turns.* cannot begin while the one opened at .*sandbox-turns/,
        )
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
            await insert(1)
            await pause(5)
            order.push(`${name} ends`)
          })
        await Promise.all([run('a'), run('b'), run('c')])

        expect(order).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
        expect(await caught(around(() => around(() => Promise.resolve())))).toBeInstanceOf(TransactionStateError)
      })

      test('of another engine is another sandbox', async () => {
        const other = await createDb(database.url).open()
        await sandboxed(db, () =>
          sandboxed(other, async () => {
            await insert(1)
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
