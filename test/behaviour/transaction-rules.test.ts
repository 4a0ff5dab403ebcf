/** Who runs in a transaction and who does not, by every handle and door, also when the code is elsewhere. */

import {
  type Connection,
  type Db,
  type Transaction,
  TransactionEndedError,
  TransactionStateError,
  UniqueViolationError,
  TransactionAbortedError,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'

const pause = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve))

type Way = (handle: Connection, tx: Transaction, db: Db, text: string) => Promise<unknown>
const ways: Readonly<Record<string, Way>> = {
  'tx.status()': (_, tx, __, text) => tx.status(text),
  'tx.connection.status()': (_, tx, __, text) => tx.connection.status(text),
  'tx.connection.run(() => db.status())': (_, tx, db, text) => tx.connection.run(() => db.status(text)),
  'tx.run(() => db.status())': (_, tx, db, text) => tx.run(() => db.status(text)),
  'tx.transaction(() => db.status())': (_, tx, db, text) => tx.transaction(() => db.status(text)),
  'handle.status()': (handle, _, __, text) => handle.status(text),
  'handle.run(() => db.status())': (handle, _, db, text) => handle.run(() => db.status(text)),
  'handle.run(() => db.transaction())': (handle, _, db, text) =>
    handle.run(() => db.transaction(() => db.status(text))),
  'handle.transaction(() => db.status())': (handle, _, db, text) => handle.transaction(() => db.status(text)),
  'handle.executeMany()': (handle, _, __, text) => handle.executeMany(text, [[], []]),
}

forEachDriver((driver) => {
  describe.each(Object.entries(ways))('detached code that uses a handle of a transaction by %s', (_, way) => {
    const cases = [true, false].flatMap((scope) =>
      [true, false].flatMap((nested) => (['throws', 'returns'] as const).map((end) => ({ scope, nested, end }))),
    )
    test.each(cases)('never runs outside of it: %j', async ({ scope, nested, end }) => {
      const db = await driver.single()
      const table = await driver.table('n int')
      let told: Promise<string> = Promise.resolve('')
      const body = (): Promise<void> =>
        db.transaction(async (tx) => {
          const handle = await db.acquire({ reuse: true })
          const start = (): void => {
            const late = db.detached(() => way(handle, tx, db, `insert into ${table} values (1)`))
            told = late.then(
              () => 'ran',
              (error: unknown) => (error as Error).name,
            )
          }
          if (nested)
            await db.transaction(async () => {
              await db.scalar('select 1')
              start()
            })
          else start()
          if (end === 'throws') throw new TypeError('no')
        })

      const outcome = await (scope ? db.scope(body) : body()).then(
        () => 'committed',
        () => 'rolled back',
      )
      const ran = await told
      const rows = await db.scalar<number>(`select count(*) from ${table}`)

      if (outcome === 'rolled back') expect(rows).toBe(0)
      else expect(rows === 0).toBe(ran !== 'ran')
    })
  })

  const outcomeOf = async (
    tries: Readonly<Record<string, () => Promise<unknown>>>,
  ): Promise<Record<string, string>> => {
    const found: Record<string, string> = {}
    for (const [name, attempt] of Object.entries(tries))
      found[name] = await attempt().then(
        () => 'ran',
        (error: unknown) => (error as Error).constructor.name,
      )
    return found
  }

  test('a handle made in a transaction throws when that has ended, by every door', async () => {
    const db = await driver.single()
    await db.scope(async () => {
      const made = await db.transaction(async (tx) => ({
        own: tx.connection,
        reusing: await db.acquire({ reuse: true }),
        tx,
      }))
      const doors = (handle: Connection): Readonly<Record<string, () => Promise<unknown>>> => ({
        scalar: () => handle.scalar('select 1'),
        begin: () => handle.begin(),
        transaction: () => handle.transaction(() => 1),
        run: () => handle.run(() => db.scalar('select 1')),
        idle: () => handle.idle(() => 1),
        iterate: () => handle.iterate('select 1').read(),
        executeMany: () => handle.executeMany('select :n + 0', [{ n: 1 }]),
        sql: () => handle.sql`select 1`.one(),
        raw: () => handle.rawConnection(),
      })

      for (const handle of [made.own, made.reusing])
        for (const [door, name] of Object.entries(await outcomeOf(doors(handle))))
          expect([door, name]).toEqual([door, 'TransactionEndedError'])
      expect(await db.scalar('select 1')).toBe(1)
    })
  })

  test('a released handle throws ReleasedConnectionError by every door, cursors and idle() too', async () => {
    const db = await driver.single()
    await db.scope(async () => {
      const handle = await db.acquire({ reuse: true })
      await handle.release()
      const made = handle.iterate('select 1')
      const found = await outcomeOf({
        scalar: () => handle.scalar('select 1'),
        read: () => made.read(),
        loop: async () => {
          for await (const _ of handle.iterate('select 1')) return
        },
        sql: () => handle.sql`select 1`.iterate().read(),
        transaction: () => handle.transaction(() => 1),
        executeMany: () => handle.executeMany('select :n + 0', [{ n: 1 }]),
        run: () => handle.run(() => 1),
        begin: () => handle.begin(),
        idle: () => handle.idle(() => 1),
        raw: () => handle.rawConnection(),
      })
      expect(new Set(Object.values(found))).toEqual(new Set(['ReleasedConnectionError']))
      expect(await db.scalar('select 1')).toBe(1)
    })
  })

  describe('in code of a transaction that has ended', () => {
    /** Runs `work` in code of a nested transaction, while that one's RELEASE is on its way or after it. */
    const late = async (db: Db, after: boolean, work: (outer: Transaction) => Promise<void>): Promise<void> => {
      await db.transaction(async (outer) => {
        let left: Promise<void> = Promise.resolve()
        await db.transaction(async () => {
          left = (async () => {
            await db.scalar('select 1')
            if (after) for (let i = 0; i < 20; i++) await pause()
            await work(outer)
          })()
          left.catch(() => {})
        })
        await left
      })
    }

    test.each([false, true])(
      'everything on that connection throws, through any handle (after it: %s)',
      async (after) => {
        const db = await driver.single()
        await db.scope(async (connection) => {
          await late(db, after, async (outer) => {
            const found = await outcomeOf({
              db: () => db.scalar('select 1'),
              scope: () => db.scope(() => db.scalar('select 1')),
              transaction: () => db.transaction(() => 1),
              outer: () => outer.scalar('select 1'),
              'outer.run': () => outer.run(() => db.scalar('select 1')),
              'outer.connection.run': () => outer.connection.run(() => db.scalar('select 1')),
              connection: () => connection.scalar('select 1'),
              'connection.run': () => connection.run(() => db.scalar('select 1')),
              idle: () => db.idle(() => 1),
              iterate: () => db.iterate('select 1').read(),
            })
            expect(new Set(Object.values(found))).toEqual(new Set(['TransactionEndedError']))
            expect(db.current).toBeUndefined()
          })
        })
      },
    )
  })

  test('a transaction that outlives its scope is live: current, its connection and every door say so', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    const add = (): Promise<unknown> => db.status(`insert into ${table} values (1)`)
    const count = driver.words.count(table)
    const ended = gate()
    let going: Promise<unknown> = Promise.resolve()
    await db.scope(async (connection) => {
      await db.scalar('select 1')
      going = db.transaction(async (tx) => {
        await ended.promise
        expect([db.current?.released, tx.connection.released, connection.released]).toEqual([false, false, false])
        await add()
        await db.scope((inner) => inner.run(add))
        await tx.connection.run(add)
        await tx.connection.transaction(add)
        await connection.run(add)
        const reusing = await db.acquire({ reuse: true })
        expect(reusing.released).toBe(false)
        await reusing.run(add)
        await reusing.transaction(add)
        await reusing.release()
        expect(await tx.scalar(count)).toBe(7)
        return tx.raiseRollback()
      })
    })
    ended.open()
    await going
    expect(await db.scalar(count)).toBe(0)
  })

  test('a handle of its own speaks for itself, in code that outlives a transaction too', async () => {
    const db = await driver.single()
    const ended = gate()
    const held = await db.acquire()
    let left: Promise<unknown> = Promise.resolve()
    await held.run(() => 1)
    await held.release()
    await db.transaction(() => {
      left = (async () => {
        await ended.promise
        const own = await db.acquire()
        expect(await own.scalar('select 1')).toBe(1)
        expect(await own.sql`select 1 as n`.one()).toEqual({ n: 1 })
        await (await own.begin()).rollback()
        await own.release()
        await (await db.begin()).rollback()
      })()
    })
    ended.open()
    await left
  })

  test('begin() on a connection that is ambient anywhere is refused, also from detached code', async () => {
    const db = await driver.single()
    await db.scope(async (connection) => {
      const found = await outcomeOf({
        inside: () => connection.begin(),
        detached: () => db.detached(() => connection.begin()),
      })
      expect(new Set(Object.values(found))).toEqual(new Set(['TransactionStateError']))
      expect(await db.scalar('select 1')).toBe(1)
    })
    await using own = await db.acquire()
    await own.run(async () => {
      expect(await caught(db.detached(() => own.begin()))).toBeInstanceOf(TransactionStateError)
    })
    await (await own.begin()).rollback()
  })

  test('while a savepoint by hand is open, the handles of its transaction run in it, and db throws', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    const insert = (n: number): string => `insert into ${table} values (${n})`
    await using tx = await db.begin()
    const first = await tx.begin()
    const second = await first.begin()
    await tx.status(insert(1))
    await tx.connection.status(insert(2))
    await first.status(insert(3))
    await second.connection.status(insert(4))
    expect(await caught(tx.run(() => db.scalar('select 1')))).toBeInstanceOf(TransactionStateError)
    await second.rollback()
    await first.commit()
    expect(await tx.scalar(`select count(*) from ${table}`)).toBe(0)
  })

  test('code that outlives run() of a transaction is told that run() has ended, not the transaction', async () => {
    const db = await driver.single()
    await db.transaction(async (tx) => {
      const ended = gate()
      let left: Promise<Error> = Promise.resolve(new Error())
      await tx.run(() => {
        left = ended.promise.then(() => caught(db.scalar('select 1')))
      })
      ended.open()
      const error = await left
      expect(error).toBeInstanceOf(TransactionEndedError)
      expect(error.message).toMatch(/^The run\(\) that this code belongs to has ended; the transaction .* still open/)
      expect(await db.scalar('select 1')).toBe(1)
    })
  })

  test('code that outlives connection.run() runs where the scope around it leads', async () => {
    const db = await driver.single()
    await db.scope(async (connection) => {
      const ended = gate()
      let left: Promise<unknown> = Promise.resolve()
      await connection.run(() => {
        left = ended.promise.then(() => db.current === connection)
      })
      ended.open()
      expect(await left).toBe(true)
    })
  })

  describe('a statement after one that failed', () => {
    const doors = (db: Db, tx: Transaction, table: string): Readonly<Record<string, () => Promise<unknown>>> => ({
      'db.all': () => db.all('select 1'),
      'tx.scalar': () => tx.scalar('select 1'),
      'tx.connection': () => tx.connection.status(`insert into ${table} values (7)`),
      sql: () => db.sql`select 1`.all(),
      executeMany: () => db.executeMany(`insert into ${table} values (:n)`, [{ n: 8 }, { n: 9 }]),
      cursor: () => db.iterate('select 1').read(),
      nested: () => db.transaction(() => db.scalar('select 1')),
      savepoint: () => tx.begin(),
      run: () => tx.run(() => db.scalar('select 1')),
      scope: () => db.scope((connection) => connection.scalar('select 1')),
    })

    test('is told which one, at once, by every door', async () => {
      const db = await driver.single()
      const table = await driver.table('n int primary key')
      const error = await caught(
        db.transaction(async (tx) => {
          await db.status(`insert into ${table} values (1)`)
          await caught(db.status(`insert into ${table} values (1)`))
          for (const [door, attempt] of Object.entries(doors(db, tx, table))) {
            const told = await caught(attempt())
            expect([door, told]).toEqual([door, expect.any(TransactionAbortedError)])
            expect(told.cause).toBeInstanceOf(UniqueViolationError)
            expect(told.outcome).toBe('rolled_back')
          }
        }),
      )
      expect(error).toBeInstanceOf(TransactionAbortedError)
      expect(error.cause).toBeInstanceOf(UniqueViolationError)
    })

    test('is told too when both were issued together', async () => {
      const db = await driver.single()
      const table = await driver.table('n int primary key')
      await caught(
        db.transaction(async () => {
          await db.status(`insert into ${table} values (1)`)
          const [, second, third] = await Promise.allSettled([
            db.status(`insert into ${table} values (1)`),
            db.scalar('select 1'),
            db.scalar('select 2'),
          ])
          for (const told of [second, third] as PromiseRejectedResult[])
            expect(told.reason).toMatchObject({
              name: 'TransactionAbortedError',
              cause: expect.any(UniqueViolationError),
            })
        }),
      )
    })

    // There the server goes on in one that was begun by text.
    test.skipIf(driver.name === 'mysql')('is told too in a transaction by hand, and in one begun by text', async () => {
      const db = await driver.single()
      const table = await driver.table('n int primary key')
      {
        await using tx = await db.begin()
        await caught(tx.status('select (select 1 union select 2)'))
        expect((await caught(tx.scalar('select 1'))).cause).toMatchObject({ sqlState: '21000' })
      }
      await using connection = await db.acquire()
      await connection.status('begin')
      await connection.status(`insert into ${table} values (1)`)
      await connection.status('savepoint a')
      await caught(connection.status('select (select 1 union select 2)'))
      expect((await caught(connection.scalar('select 1'))).cause).toMatchObject({ sqlState: '21000' })
      await connection.status('rollback to a')
      await caught(connection.status(`insert into ${table} values (1)`))
      expect((await caught(connection.scalar('select 1'))).cause).toBeInstanceOf(UniqueViolationError)
      await connection.status('rollback')
      expect(await connection.scalar('select 1')).toBe(1)
    })

    test('runs when the failure was in a nested transaction', async () => {
      const db = await driver.single()
      await db.transaction(async () => {
        await caught(db.transaction(() => db.status('select (select 1 union select 2)')))
        expect(await db.scalar('select 1')).toBe(1)
      })
    })
  })
})
