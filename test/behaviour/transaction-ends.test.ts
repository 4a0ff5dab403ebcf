/** How transactions end: early, late, with something open inside, and with their hooks. */

import {
  AbortedError,
  AcquireTimeoutError,
  createDb,
  type Db,
  type ManualTransaction,
  QueryTimeoutError,
  ReleasedConnectionError,
  type Transaction,
  TransactionEndedError,
  TransactionStateError,
  TransactionTimeoutError,
  UniqueViolationError,
} from 'genever'
import type { Fault } from 'genever/testing'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl } from '../support/database.ts'
import { fake, sound } from '../support/fake.ts'
import { gate, noticesDuring } from '../support/gate.ts'
import { doing, forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { virtualTime } from '../support/virtual-time.ts'

forEachDriver((driver) => {
  test.each(['raiseCommit', 'raiseRollback'] as const)(
    '%s of a nested transaction inside of run() of the outer one ends only the nested one',
    async (raise) => {
      const db = await driver.single()
      const table = await driver.table('n int')
      const result = await db.transaction(async (outer) => {
        await db.status(`insert into ${table} values (1)`)
        const value = await db.transaction(async (inner) => {
          await db.status(`insert into ${table} values (2)`)
          await outer.run(() => inner[raise]('inner value'))
        })
        expect(value).toBe('inner value')
        return 'outer value'
      })

      expect(result).toBe('outer value')
      expect(await db.scalar(driver.words.sum('n', table))).toBe(raise === 'raiseCommit' ? 3 : 1)
    },
  )

  describe('afterRollback of what is open inside when the outer one rolls back', () => {
    const told = async (db: Db, body: (tx: Transaction, listen: (one: Transaction) => void) => Promise<unknown>) => {
      const log: string[] = []
      const listen = (one: Transaction): void => {
        one.afterRollback(() => log.push('rolled back'))
        one.afterCommit(() => log.push('committed'))
      }
      await db.transaction((tx) => body(tx, listen), { timeoutMs: 5_000 }).catch(() => {})
      await until(() => log.length > 0)
      return log
    }

    test('runs for a savepoint by hand', async () => {
      const db = await driver.single()
      const left = async (tx: Transaction, listen: (one: Transaction) => void): Promise<void> =>
        listen(await tx.begin())
      expect(await told(db, left)).toEqual(['rolled back'])
      const thrown = async (tx: Transaction, listen: (one: Transaction) => void): Promise<void> => {
        await left(tx, listen)
        throw new TypeError('no')
      }
      expect(await told(db, thrown)).toEqual(['rolled back'])
    })

    test('runs once for a nested transaction that nobody awaits', async () => {
      const db = await driver.single()
      const ended = gate()
      const log = await told(db, async (_, listen) => {
        await new Promise<void>((entered) => {
          db.transaction(async (nested) => {
            listen(nested)
            await db.scalar('select 1')
            entered()
            await ended.promise
          }).catch(() => {})
        })
      })
      ended.open()
      await db.scalar('select 1')
      expect(log).toEqual(['rolled back'])
    })

    test('runs when the time of the outer one is over', async () => {
      const db = await driver.single()
      const log: string[] = []
      await db.scalar('select 1')
      const error = await caught(
        db.transaction(
          () =>
            db.transaction(async (nested) => {
              nested.afterRollback(() => log.push('rolled back'))
              await db.scalar('select 1')
              await new Promise(() => {})
            }),
          { timeoutMs: 100 },
        ),
      )
      expect(error).toBeInstanceOf(TransactionTimeoutError)
      await until(() => log.length > 0)
      expect(log).toEqual(['rolled back'])
    })
  })

  test('an afterRollback hook of a nested transaction that throws is a notice, whatever becomes of the outer one', async () => {
    const db = await driver.single()
    const nested = (): Promise<unknown> =>
      db.transaction((tx) => {
        tx.afterRollback(() => {
          throw new RangeError('hook')
        })
        return tx.raiseRollback()
      })
    const notices = await noticesDuring(async () => {
      expect(
        await db.transaction(async () => {
          await nested()
          return 'committed'
        }),
      ).toBe('committed')
      await using tx = await db.begin()
      await tx.run(nested)
      await tx.commit()
    })
    expect(notices.map(({ code }) => code)).toEqual(['hook-failed', 'hook-failed'])
  })

  describe('after a nested transaction ran out of time', () => {
    const begun = async (db: Db): Promise<ManualTransaction> => {
      const tx = await db.begin()
      await tx.scalar('select 1')
      const nested = tx.transaction(() => new Promise(() => {}), { timeoutMs: 20 })
      expect(await caught(nested)).toBeInstanceOf(TransactionTimeoutError)
      // PGlite runs in this thread: nothing can stop a statement there.
      const slow = (): Promise<unknown> =>
        driver.name !== 'pglite' ? db.scalar(driver.words.sleep(60)) : new Promise(() => {})
      await caught(tx.transaction(slow, { signal: AbortSignal.timeout(20) }))
      return tx
    }
    const ends: Readonly<Record<string, (tx: ManualTransaction) => Promise<unknown>>> = {
      'rollback()': (tx) => tx.rollback(),
      'commit()': (tx) => tx.commit(),
      disposal: (tx) => tx[Symbol.asyncDispose](),
      'release() of its connection': (tx) => tx.connection.release().then(() => tx.rollback()),
    }
    test.each(Object.entries(ends))('a transaction by hand ends by %s', async (_, end) => {
      const db = await driver.single()
      await end(await begun(db))
      expect(doing(db)).toMatch(/^0 lent/)
      expect(await db.scalar('select 7')).toBe(7)
    })

    test('release() of the connection it was begun on gives it back', async () => {
      const db = await driver.single()
      const connection = await db.acquire()
      const tx = await connection.begin()
      await caught(tx.transaction(() => new Promise(() => {}), { timeoutMs: 20 }))
      await connection.release()
      expect([doing(db), await db.scalar('select 7')]).toEqual([expect.stringMatching(/^0 lent/), 7])
    })
  })

  describe('executeMany() that nobody awaits', () => {
    test('runs before COMMIT', async () => {
      const db = await driver.single()
      const table = await driver.table('n int primary key')
      await db.transaction(async () => {
        void db.executeMany(`insert into ${table} values (${driver.words.placeholder(1)})`, [[1], [2]])
      })
      await db.transaction(async (tx) => {
        await db.scalar('select 1')
        void tx.executeMany(`insert into ${table} values (${driver.words.placeholder(1)})`, [[3], [4]])
        void db.executeMany(`insert into ${table} values (${driver.words.placeholder(1)})`, [[5]])
        void db.status(`insert into ${table} values (6)`)
      })
      await using manual = await db.begin()
      void manual.executeMany(`insert into ${table} values (${driver.words.placeholder(1)})`, [[7]])
      await manual.commit()
      expect(await db.scalar(driver.words.sum('n', table))).toBe(28)
    })

    test('and fails makes the transaction fail with that error', async () => {
      const db = await driver.single()
      const table = await driver.table('n int primary key')
      const error = await caught(
        db.transaction(async () => {
          await db.status(`insert into ${table} values (1)`)
          db.executeMany(`insert into ${table} values (${driver.words.placeholder(1)})`, [[2], [1]]).catch(() => {})
        }),
      )
      expect(error).toBeInstanceOf(UniqueViolationError)
      expect(await db.scalar(driver.words.count(table))).toBe(0)
    })

    test('is rolled back with a callback that throws', async () => {
      const db = await driver.single()
      const table = await driver.table('n int primary key')
      await caught(
        db.transaction(async () => {
          db.executeMany(`insert into ${table} values (${driver.words.placeholder(1)})`, [[1], [2]]).catch(() => {})
          throw new TypeError('no')
        }),
      )
      expect(await db.scalar(driver.words.count(table))).toBe(0)
    })
  })

  describe('a savepoint by hand in a managed transaction', () => {
    const open = async (tx: Transaction, ended: Promise<void>): Promise<void> => {
      const savepoint = await tx.begin()
      await savepoint.scalar('select 1')
      await ended
      await savepoint.scalar('select 2')
      await savepoint.commit()
    }

    test('finishes with it when that outlives its scope', async () => {
      const db = await driver.single()
      const [entered, ended] = [gate(), gate()]
      let going: Promise<void> = Promise.resolve()
      const notices = await noticesDuring(() =>
        db.scope(async () => {
          going = db.transaction(async (tx) => {
            const running = open(tx, ended.promise)
            await tx.scalar('select 1')
            entered.open()
            await running
          })
          await entered.promise
        }),
      )
      ended.open()
      await going
      expect(notices.map(({ code }) => code)).toEqual(['transaction-outlived-scope'])
    })

    test('finishes with it when its connection is released', async () => {
      const db = await driver.single()
      const ended = gate()
      const connection = await db.acquire()
      const going = connection.transaction((tx) => open(tx, ended.promise))
      await connection.scalar('select 1', [], { timeoutMs: 50 }).catch(() => {})
      const released = connection.release()
      ended.open()
      await Promise.all([going, released])
      expect(doing(db)).toMatch(/^0 lent/)
    })
  })

  test('release() that waits longer than acquireTimeoutMs is told what for, and the connection goes back afterwards', async () => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 100 } })
    const connection = await db.acquire()
    const ended = gate()
    const going = connection.transaction(async () => {
      await db.scalar('select 1')
      await ended.promise
      return db.scalar('select 2').catch((error: unknown) => error)
    })
    await connection.scalar('select 1').catch(() => {})
    const error = await caught(connection.release())
    expect([error.constructor, error.phase]).toEqual([AcquireTimeoutError, 'transaction'])
    expect(error.holders?.[0]).toMatch(/transaction begun at .*transaction-ends\.test\.ts/)
    expect(await caught(connection.scalar('select 1'))).toBeInstanceOf(ReleasedConnectionError)
    ended.open()
    expect(await going).toBe(2)
    await until(() => doing(db).startsWith('0 lent'))
  })

  describe('release({ permanent: false }) when what was issued before has run', () => {
    const { words } = driver
    const texts = [words.set('app.kept', 'kept'), words.lock(42), words.temporary('kept')]
    test.each(texts)('throws where that has pinned the session: %s', async (text) => {
      const db = await driver.single()
      const connection = await db.acquire()
      const before = connection.scalar('select 1')
      const state = connection.status(text)
      const error = await caught(connection.release({ permanent: false }))
      await Promise.all([before, state])
      expect(error).toBeInstanceOf(TransactionStateError)
      expect(connection.borrowed).toBe(true)
      await connection.release({ permanent: false, discardSession: true })
      expect(connection.borrowed).toBe(false)
      await connection.release()
    })

    test('throws where that has begun a transaction, by text or not', async () => {
      const db = await driver.single()
      const connection = await db.acquire({ lazy: true })
      const begun = connection.status('begin')
      expect(await caught(connection.release({ permanent: false }))).toBeInstanceOf(TransactionStateError)
      await begun
      await connection.status('rollback')
      const slow = connection.scalar('select 1')
      const manual = connection.begin()
      expect(await caught(connection.release({ permanent: false }))).toBeInstanceOf(TransactionStateError)
      await slow
      await (await manual).rollback()
      await connection.release()
    })

    test('hands back what a statement that was still waiting has borrowed', async () => {
      const db = await driver.single()
      const connection = await db.acquire({ lazy: true })
      const first = connection.scalar('select 1')
      await connection.release({ permanent: false })
      expect([await first, connection.borrowed]).toEqual([1, false])
      await connection.release()
    })
  })

  test('idle() in code of a transaction that has ended throws', async () => {
    const db = await driver.single()
    const ended = gate()
    let left: Promise<Error> = Promise.resolve(new Error())
    await db.transaction(() => {
      left = ended.promise.then(() => caught(db.idle(() => 1)))
    })
    ended.open()
    expect(await left).toBeInstanceOf(TransactionEndedError)
  })

  test.skipIf(driver.name === 'pglite')(
    'a statement on the wire when the time of its transaction is over is told that it was rolled back',
    async () => {
      const db = await driver.single()
      await db.scalar('select 1')
      for (const nested of [false, true]) {
        let told: Promise<Error & { outcome?: string }> = Promise.resolve(new Error())
        const body = async (): Promise<void> => {
          told = caught(db.scalar(driver.words.sleep(60)))
          await told
        }
        await caught(db.transaction(() => (nested ? db.transaction(body) : body()), { timeoutMs: 100 }))
        const error = await told
        expect([error.constructor, error.outcome]).toEqual([TransactionEndedError, 'rolled_back'])
        expect(error.cause).toBeInstanceOf(TransactionTimeoutError)
        await until(() => doing(db).startsWith('0 lent'))
      }
    },
  )
})

test('a nested transaction whose callback has returned is waited for, and so is what waits behind it', async () => {
  await using server = await fake()
  const { db, driver } = server
  driver.faults.at({ text: 'RELEASE', phase: 'answer' }, { delayMs: 60 })
  const late: Promise<unknown>[] = []

  await db.transaction(async () => {
    await db.status('insert into t values (1)')
    late.push(db.transaction(() => db.status('insert into t values (2)')))
    late.push(db.status('insert into t values (3)'))
    while (!driver.log.some((line) => line.includes('RELEASE'))) await new Promise(setImmediate)
  })
  await Promise.all(late)

  expect(driver.rows('t').map(({ v }) => v)).toEqual([1, 2, 3])
  await sound(server)
})

describe('a nested transaction beside a client that is lent, whose time is over while RELEASE is on its way', () => {
  const limits = {
    timeoutMs: () => ({ timeoutMs: 40 }),
    signal: () => {
      const controller = new AbortController()
      setTimeout(() => controller.abort(), 40)
      return { signal: controller.signal }
    },
    'query.timeoutMs': () => ({ query: { timeoutMs: 40 } }),
  }
  const names = { timeoutMs: TransactionTimeoutError, signal: AbortedError, 'query.timeoutMs': QueryTimeoutError }
  /** What the nested transaction came to, and what is in the table, where RELEASE fails so. */
  const run = async (how: keyof typeof limits, phase: 'answer' | 'send', fault: Fault): Promise<unknown[]> => {
    using time = virtualTime()
    const opening = fake()
    await time.pass(1)
    const server = await opening
    const { db, driver } = server
    driver.faults.at({ text: 'RELEASE', phase }, fault)
    const ending = db.transaction(async (tx) => {
      await tx.connection.rawConnection()
      await db.status('insert into t values (1)')
      const nested = db.transaction(() => db.status('insert into t values (2)'), limits[how]())
      const told = await nested.then(
        () => 'done',
        (error: unknown) => (error as Error).constructor,
      )
      await db.status('insert into t values (3)')
      return told
    })
    await time.pass(10_000)
    const told = await ending
    await sound(server)
    return [told, ...driver.rows('t').map(({ v }) => v)]
  }

  test.each(Object.keys(limits) as (keyof typeof limits)[])(
    '%s: one that was released belongs to the outer one, which goes on',
    async (how) => {
      expect(await run(how, 'answer', { delayMs: 150 })).toEqual(['done', 1, 2, 3])
    },
  )

  test.each(Object.keys(limits) as (keyof typeof limits)[])(
    '%s: one that was stopped is rolled back, and the outer one goes on',
    async (how) => {
      expect(await run(how, 'send', { hang: true })).toEqual([names[how], 1, 3])
    },
  )
})

test('on a server the outer transaction survives nested ones that run out of time at any moment', async () => {
  await using db = createDb(await databaseUrl(), { pool: { max: 1 } })
  await db.scalar('select 1')
  for (let i = 0; i < 150; i++) {
    const lasted = await db.transaction(async () => {
      const body = async (): Promise<void> => {
        for (let k = 0; k < 60; k++) await db.scalar('select 1')
      }
      await db.transaction(body, { timeoutMs: 1 + (i % 6) }).catch(() => {})
      return db.scalar('select 7')
    })
    expect(lasted).toBe(7)
  }
})
