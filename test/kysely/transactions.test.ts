/** Transactions of Kysely are Genever's: ambient, nested as savepoints, never on a second connection unasked. */

import {
  AcquireTimeoutError,
  ConnectionLostError,
  SelfDeadlockError,
  TransactionAbortedError,
  TransactionEndedError,
  TransactionStateError,
  UsageError,
} from 'genever'
import { geneverDialect, kysely } from 'genever/kysely'
import { DeduplicateJoinsPlugin, Kysely, sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { doing, forEachDriver, pid } from '../support/matrix.ts'
import { people, type Tables } from './support.ts'

forEachDriver((driver) => {
  describe('transaction().execute()', () => {
    test('plain Genever in the callback sees the uncommitted row, and so does Kysely outside of trx', async () => {
      const { db, k, person, names } = await people(driver)

      await k.transaction().execute(async (trx) => {
        await trx.insertInto(person).values({ name: 'Ann' }).execute()
        expect(await db.all(`select name from ${person}`)).toEqual([{ name: 'Ann' }])
        expect(await k.selectFrom(person).select('name').execute()).toEqual([{ name: 'Ann' }])
        await db.sql`insert into ${sql.table(person)} (name) values (${'Bob'})`
        expect(trx.isTransaction).toBe(true)
      })

      expect(await names()).toEqual(['Ann', 'Bob'])
    })

    test('a throw rolls back and comes out as it is', async () => {
      const { db, k, person, names } = await people(driver)
      const reason = new TypeError('mine')

      const error = await caught(
        k.transaction().execute(async (trx) => {
          await trx.insertInto(person).values({ name: 'Ann' }).execute()
          throw reason
        }),
      )

      expect(error).toBe(reason)
      expect(await names()).toEqual([])
      expect(doing(db)).toMatch(/^0 lent/)
    })

    test('it resolves with what the callback returns', async () => {
      const { k } = await people(driver)

      expect(await k.transaction().execute(async () => 42)).toBe(42)
    })

    test('inside of another it is a savepoint, whichever of the two was there first', async () => {
      const { db, k, person, names } = await people(driver)

      await db.transaction(async () => {
        await db.all(`insert into ${person} (name) values ('outer')`)
        await caught(
          k.transaction().execute(async (trx) => {
            await trx.insertInto(person).values({ name: 'lost' }).execute()
            throw new TypeError()
          }),
        )
        await k.transaction().execute((trx) => trx.insertInto(person).values({ name: 'inner' }).execute())
      })
      await k.transaction().execute(async (trx) => {
        await trx.insertInto(person).values({ name: 'kysely' }).execute()
        await caught(
          db.transaction(async () => {
            await trx.insertInto(person).values({ name: 'undone' }).execute()
            throw new TypeError()
          }),
        )
        await k.transaction().execute((inner) => inner.insertInto(person).values({ name: 'nested' }).execute())
      })

      expect(await names()).toEqual(['inner', 'kysely', 'nested', 'outer'])
    })

    test('it takes one connection, in a scope that of the scope', async () => {
      const { db, k } = await people(driver)

      await db.scope(async () => {
        const outside = await pid(db)
        await k.transaction().execute(async (trx) => {
          const { rows } = await sql`select pg_backend_pid() as pid`.execute(trx)
          expect(rows).toEqual([{ pid: outside }])
          expect(doing(db)).toMatch(/^1 lent/)
        })
      })
    })

    test('isolation level and access mode are passed on', async () => {
      const { db, k } = await people(driver)
      const shown = async (): Promise<unknown> => [
        await db.scalar('show transaction_isolation'),
        await db.scalar('show transaction_read_only'),
      ]

      const strict = k.transaction().setIsolationLevel('serializable').setAccessMode('read only')
      expect(await strict.execute(shown)).toEqual(['serializable', 'on'])
      expect(await k.transaction().setAccessMode('read write').execute(shown)).toEqual(['read committed', 'off'])
      expect(await caught(k.transaction().setIsolationLevel('snapshot').execute(shown))).toBeInstanceOf(UsageError)
      expect(await caught(db.transaction(() => strict.execute(shown)))).toBeInstanceOf(TransactionStateError)
    })

    test('parallel statements of trx take turns', async () => {
      const { k, person, names } = await people(driver)

      await k
        .transaction()
        .execute((trx) => Promise.all(['a', 'b', 'c'].map((name) => trx.insertInto(person).values({ name }).execute())))

      expect(await names()).toEqual(['a', 'b', 'c'])
    })

    test('parallel nested transactions keep apart', async () => {
      const { k, person, names } = await people(driver)

      await k.transaction().execute(async () => {
        const fates = await Promise.allSettled(
          ['a', 'b', 'c'].map((name) =>
            k.transaction().execute(async (inner) => {
              await inner.insertInto(person).values({ name }).execute()
              if (name === 'b') throw new TypeError(name)
            }),
          ),
        )
        expect(fates.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      })

      expect(await names()).toEqual(['a', 'c'])
    })

    test('a failure that was swallowed makes it fail', async () => {
      const { k, person, names } = await people(driver)

      const error = await caught(
        k.transaction().execute(async (trx) => {
          await trx.insertInto(person).values({ name: 'Ann' }).execute()
          await caught(sql`selec 1`.execute(trx))
        }),
      )

      expect(error).toBeInstanceOf(TransactionAbortedError)
      expect(await names()).toEqual([])
    })

    test('trx is refused after its end, in its callback and outside', async () => {
      const { db, k, person, names } = await people(driver)
      let late: Promise<unknown> = Promise.resolve()
      let wake = (): void => {}
      const over = new Promise<void>((resolve) => (wake = resolve))

      await db.scope(async () => {
        const kept = await k.transaction().execute(async (trx) => {
          await trx.selectFrom(person).selectAll().execute()
          late = over.then(() => k.insertInto(person).values({ name: 'late' }).execute())
          return trx
        })
        wake()
        expect(await caught(kept.insertInto(person).values({ name: 'kept' }).execute())).toBeInstanceOf(
          TransactionEndedError,
        )
        expect(await caught(late)).toBeInstanceOf(TransactionEndedError)
      })

      expect(await names()).toEqual([])
    })

    test('a builder returned from the callback of a Genever transaction is not run by it', async () => {
      const { db, k, person, names } = await people(driver)

      const query = await db.transaction(() => k.insertInto(person).values({ name: 'Ann' }))
      expect(await names()).toEqual([])
      await query.execute()

      expect(await names()).toEqual(['Ann'])
    })

    test('raiseRollback of the Genever transaction around reaches through', async () => {
      const { db, k, person, names } = await people(driver)

      const value = await db.transaction(async (tx) => {
        await k.transaction().execute(async (trx) => {
          await trx.insertInto(person).values({ name: 'Ann' }).execute()
          tx.raiseRollback('left')
        })
      })

      expect(value).toBe('left')
      expect(await names()).toEqual([])
    })

    test('on a connection given as the source it runs there', async () => {
      const { db, person, names } = await people(driver)
      const connection = await db.acquire()
      const k = kysely<Tables>(connection)

      await k.transaction().execute(async (trx) => {
        await trx.insertInto(person).values({ name: 'Ann' }).execute()
        expect(await connection.all(`select name from ${person}`)).toEqual([{ name: 'Ann' }])
        expect(await db.all(`select name from ${person}`)).toEqual([{ name: 'Ann' }])
      })
      await connection.release()

      expect(await names()).toEqual(['Ann'])
    })
  })

  describe('the dialect alone', () => {
    test('keeps a transaction on one connection', async () => {
      const { db, person, names } = await people(driver)
      const k = new Kysely<Tables>({ dialect: geneverDialect(db) })

      await k.transaction().execute(async (trx) => {
        await trx.insertInto(person).values({ name: 'Ann' }).execute()
        expect(await trx.selectFrom(person).select('name').execute()).toEqual([{ name: 'Ann' }])
      })
      const error = await caught(
        k.transaction().execute(async (trx) => {
          await trx.insertInto(person).values({ name: 'Bob' }).execute()
          throw new TypeError('mine')
        }),
      )

      expect(error.message).toBe('mine')
      expect(await names()).toEqual(['Ann'])
      expect(doing(db)).toMatch(/^0 lent/)
    })

    test('in a Genever transaction it is a savepoint', async () => {
      const { db, person, names } = await people(driver)
      const k = new Kysely<Tables>({ dialect: geneverDialect(db) })

      await db.transaction(async () => {
        await k.insertInto(person).values({ name: 'outer' }).execute()
        await caught(
          k.transaction().execute(async (trx) => {
            await trx.insertInto(person).values({ name: 'lost' }).execute()
            throw new TypeError()
          }),
        )
        await k.transaction().execute((trx) => trx.insertInto(person).values({ name: 'inner' }).execute())
      })

      expect(await names()).toEqual(['inner', 'outer'])
    })

    test('in a scope it takes the connection of the scope, and a statement beside trx is refused', async () => {
      const { db, person, names } = await people(driver)
      const k = new Kysely<Tables>({ dialect: geneverDialect(db) })

      await db.scope(async () => {
        await k.transaction().execute(async (trx) => {
          await trx.insertInto(person).values({ name: 'Ann' }).execute()
          const error = await caught(db.all(`insert into ${person} (name) values ('beside')`))
          expect(error).toBeInstanceOf(TransactionStateError)
          expect(doing(db)).toMatch(/^1 lent/)
        })
      })

      expect(await names()).toEqual(['Ann'])
    })

    test('outside of a scope a statement beside trx never joins it', async () => {
      const { db, person, names } = await people(driver, driver.most === 1 ? { pool: { acquireTimeoutMs: 200 } } : {})
      const k = new Kysely<Tables>({ dialect: geneverDialect(db) })

      await k.transaction().execute(async (trx) => {
        await trx.insertInto(person).values({ name: 'Ann' }).execute()
        if (driver.most === 1) expect(await caught(names())).toBeInstanceOf(AcquireTimeoutError)
        else expect(await names()).toEqual([])
      })

      expect(await names()).toEqual(['Ann'])
    })

    test('a failure that was swallowed makes it fail, with our error', async () => {
      const { db, person, names } = await people(driver)
      const k = new Kysely<Tables>({ dialect: geneverDialect(db) })

      const error = await caught(
        k.transaction().execute(async (trx) => {
          await trx.insertInto(person).values({ name: 'Ann' }).execute()
          await caught(sql`selec 1`.execute(trx))
        }),
      )

      expect(error).toBeInstanceOf(TransactionAbortedError)
      expect(await names()).toEqual([])
      expect(doing(db)).toMatch(/^0 lent/)
    })

    test('isolation level and access mode are passed on', async () => {
      const { db } = await people(driver)
      const k = new Kysely<Tables>({ dialect: geneverDialect(db) })

      await k
        .transaction()
        .setIsolationLevel('repeatable read')
        .setAccessMode('read only')
        .execute(async (trx) => {
          const { rows } =
            await sql`select current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as mode`.execute(
              trx,
            )
          expect(rows).toEqual([{ level: 'repeatable read', mode: 'on' }])
        })
    })
  })

  describe.each([
    ['kysely(db)', kysely<Tables>],
    ['the dialect alone', (db: Parameters<typeof kysely>[0]) => new Kysely<Tables>({ dialect: geneverDialect(db) })],
  ] as const)('startTransaction() of %s', (_, on) => {
    test('commits what was done through it', async () => {
      const { db, person, names } = await people(driver)

      const trx = await on(db).startTransaction().execute()
      await trx.insertInto(person).values({ name: 'Ann' }).execute()
      await trx.commit().execute()

      expect(trx.isCommitted).toBe(true)
      expect(await names()).toEqual(['Ann'])
      expect(doing(db)).toMatch(/^0 lent/)
      expect((await caught(trx.selectFrom(person).selectAll().execute())).message).toMatch(/committed/)
    })

    test('rolls back', async () => {
      const { db, person, names } = await people(driver)

      const trx = await on(db).startTransaction().execute()
      await trx.insertInto(person).values({ name: 'Ann' }).execute()
      await trx.rollback().execute()

      expect(trx.isRolledBack).toBe(true)
      expect(await names()).toEqual([])
      expect(doing(db)).toMatch(/^0 lent/)
    })

    test('savepoints may be rolled back to more than once, and released', async () => {
      const { db, person, names } = await people(driver)

      const trx = await on(db).startTransaction().setIsolationLevel('serializable').execute()
      await trx.insertInto(person).values({ name: 'a' }).execute()
      const after = await trx.savepoint('after a').execute()
      await after.insertInto(person).values({ name: 'b' }).execute()
      await after.rollbackToSavepoint('after a').execute()
      await caught(sql`selec 1`.execute(after))
      const again = await after.rollbackToSavepoint('after a').execute()
      await again.insertInto(person).values({ name: 'c' }).execute()
      await again.savepoint('inner').execute()
      await again.releaseSavepoint('after a').execute()
      await trx.insertInto(person).values({ name: 'd' }).execute()
      await trx.savepoint('open at the end').execute()
      await trx.commit().execute()

      expect(await names()).toEqual(['a', 'c', 'd'])
    })

    test('a savepoint that is not open is an error', async () => {
      const { db } = await people(driver)

      const trx = await on(db).startTransaction().execute()
      const after = await trx.savepoint('one').execute()
      await after.releaseSavepoint('one').execute()
      expect(await caught(after.rollbackToSavepoint('one').execute())).toBeInstanceOf(TransactionStateError)
      await trx.rollback().execute()
    })

    test('a commit that fails leaves nothing behind', async () => {
      const { db, person, names } = await people(driver)

      const trx = await on(db).startTransaction().execute()
      await trx.insertInto(person).values({ name: 'Ann' }).execute()
      await caught(sql`selec 1`.execute(trx))
      expect(await caught(trx.commit().execute())).toBeInstanceOf(TransactionAbortedError)
      await trx.rollback().execute()

      expect(await names()).toEqual([])
      expect(doing(db)).toMatch(/^0 lent/)
    })
  })

  test('copies with another schema or plug-in open the same transactions', async () => {
    const { db, k, person, names } = await people(driver)
    const copy = k.withSchema('public').withPlugin(new DeduplicateJoinsPlugin())

    await copy.transaction().execute(async (trx) => {
      await trx.insertInto(person).values({ name: 'Ann' }).execute()
      expect(await db.all(`select name from ${person}`)).toEqual([{ name: 'Ann' }])
    })
    const trx = await copy.startTransaction().execute()
    await trx.insertInto(person).values({ name: 'Bob' }).execute()
    await trx.rollback().execute()

    expect(await names()).toEqual(['Ann'])
    expect(doing(db)).toMatch(/^0 lent/)
  })

  test('startTransaction() takes a connection of its own, and says so at once where there is none', async () => {
    const { db, k, person } = await people(driver, { pool: { max: 1 } })

    await db.transaction(async () => {
      await db.all(`select 1 from ${person}`)
      expect(await caught(k.startTransaction().execute())).toBeInstanceOf(SelfDeadlockError)
    })
  })
})

forEachDriver(
  (driver) => {
    test('a connection that is lost in a transaction ends it, and leaves nothing behind', async () => {
      const { db, k, person, names } = await people(driver)
      const plain = new Kysely<Tables>({ dialect: geneverDialect(db) })

      for (const each of [k, plain]) {
        const error = await caught(
          each.transaction().execute(async (trx) => {
            await trx.insertInto(person).values({ name: 'Ann' }).execute()
            await sql`select pg_terminate_backend(pg_backend_pid())`.execute(trx)
          }),
        )
        expect(error).toBeInstanceOf(ConnectionLostError)
      }

      expect(await names()).toEqual([])
      expect(doing(db)).toMatch(/^0 lent/)
    })
  },
  { connections: 2 },
)
