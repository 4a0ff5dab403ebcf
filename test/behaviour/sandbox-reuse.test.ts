/** A transaction with `reuse: false` in a sandbox: a savepoint that is kept or taken back by itself. */

import {
  AcquireTimeoutError,
  createDb,
  type Db,
  SelfDeadlockError,
  type Transaction,
  TransactionStateError,
  UniqueViolationError,
} from 'genever'
import { sandboxed } from 'genever/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { Users } from '../support/sandboxed-users.ts'

forEachDriver(
  (driver) => {
    const users = new Users(driver)
    let db: Db

    beforeEach(() => {
      db = users.db
    })

    describe('reuse: false inside of a transaction', () => {
      test('runs at once, as a savepoint of the transaction around it', async () => {
        await sandboxed(db, async () => {
          await db.transaction(async () => {
            await users.insert(1)
            await db.transaction(() => users.insert(2), { reuse: false })
            await caught(
              db.transaction(async () => void (await users.insert(3), await users.insert(1)), { reuse: false }),
            )
            await users.insert(4)
          })

          expect(await users.ids()).toEqual([1, 2, 4])
        })
      })

      test('is taken back with the transaction around it, if that had begun', async () => {
        await sandboxed(db, async () => {
          await db.transaction(async (tx) => {
            await db.transaction(() => users.insert(1), { reuse: false })
            await users.insert(2)
            await db.transaction(() => users.insert(3), { reuse: false })
            tx.raiseRollback()
          })

          expect(await users.ids()).toEqual([1])
        })
      })

      test('runs also when the transaction around it has failed already', async () => {
        await sandboxed(db, async () => {
          const error = await caught(
            db.transaction(async () => {
              await users.insert(1)
              const reason = await caught(users.insert(1))
              await db.transaction(() => users.insert(2), { reuse: false })
              throw reason
            }),
          )

          expect(error).toBeInstanceOf(UniqueViolationError)
          expect(await users.ids()).toEqual([])
        })
      })

      test('lets the transaction around it run statements, also such as fail, and savepoints of its own', async () => {
        await sandboxed(db, async () => {
          await db.transaction(async (outer) => {
            await users.insert(1)
            await db.transaction(
              async (inner) => {
                await inner.status('insert into users values (2)')
                await outer.transaction(async (nested) => nested.status('insert into users values (3)'))
                await caught(outer.transaction(async (nested) => nested.status('insert into users values (1)')))
                await inner.status('insert into users values (4)')
              },
              { reuse: false },
            )
            await users.insert(5)
          })

          expect(await users.ids()).toEqual([1, 2, 3, 4, 5])
        })
      })

      test('keeps its work when a statement of the transaction around it fails inside of it', async () => {
        await sandboxed(db, async () => {
          const error = await caught(
            db.transaction(async (outer) => {
              await users.insert(1)
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
          expect(await users.ids()).toEqual([])
        })
      })

      test('runs in detached work that the transaction awaits; work that nobody awaits runs behind it', async () => {
        await sandboxed(db, async () => {
          let later: Promise<unknown> | undefined
          await db.transaction(async (tx) => {
            await users.insert(1)
            later = db.detached(() => db.transaction(() => users.insert(2)))
            await db.detached(() => users.insert(3))
            await db.detached(() => db.transaction(() => users.insert(4)))
            expect(await users.ids()).toEqual([1, 3, 4])
            tx.raiseRollback()
          })

          await later
          expect(await users.ids()).toEqual([2])
        })
      })

      test('may be several at the same time: they take turns', async () => {
        await sandboxed(db, async () => {
          await db.transaction(async () => {
            await users.insert(1)
            await Promise.all(
              [2, 3].map((id) =>
                db.transaction(async () => void (await users.insert(id), await users.ids()), { reuse: false }),
              ),
            )
          })

          expect(await users.ids()).toEqual([1, 2, 3])
        })
      })

      test('may outlive the transaction around it, and is committed or rolled back by itself', async () => {
        const outliving = async (base: number, work: (tx: Transaction) => unknown): Promise<void> => {
          const [began, end] = [gate(), gate()]
          let inner: Promise<unknown> = Promise.resolve()
          await db.transaction(async () => {
            await users.insert(base)
            inner = db.transaction(
              async (tx) => {
                await users.insert(base + 1)
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

          expect(await users.ids()).toEqual([10, 11, 20])
          await db.transaction(() => users.insert(30))
          expect(await users.ids()).toEqual([10, 11, 20, 30])
        })
      })

      test('that is still open when the transaction around it is rolled back goes with it, and hears of it', async () => {
        await sandboxed(db, async () => {
          const [began, end] = [gate(), gate()]
          let inner: Promise<Error> | undefined
          await db.transaction(async (outer) => {
            await users.insert(1)
            inner = caught(
              db.transaction(
                async () => {
                  await users.insert(2)
                  began.open()
                  await end.promise
                  await db.transaction(() => users.insert(3))
                },
                { reuse: false },
              ),
            )
            await began.promise
            outer.raiseRollback()
          })
          end.open()

          expect((await inner)?.message).toContain('rolled back with the one around it')
          expect(await users.ids()).toEqual([])
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

          expect(await users.ids()).toEqual([1])
        })
      })

      test('runs out of connections where it would outside', async () => {
        const single = await createDb(users.url, { pool: { max: 1 } }).open()
        const deadlock = await caught(
          sandboxed(single, () => single.transaction(() => single.transaction(() => 1, { reuse: false }))),
        )
        await using hasty = await users.opened(400)
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
  },
  { connections: 2 },
)
