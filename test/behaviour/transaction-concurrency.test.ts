/** Branches inside of one transaction: together, one failing, one too late, and work nobody awaited. */

import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type Db,
  NotNullViolationError,
  TransactionAbortedError,
  TransactionEndedError,
  TransactionStateError,
  UniqueViolationError,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake, sound } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

forEachDriver((driver) => {
  test('branches of a Promise.all join the transaction they run in', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    await caught(
      db.transaction(async () => {
        await Promise.all([1, 2, 3].map((n) => db.status(`insert into ${t} values ($1)`, [n])))
        expect(await db.scalar(`select count(*) from ${t}`)).toBe(3)
        throw new TypeError('all or nothing')
      }),
    )

    expect(await db.scalar(`select count(*) from ${t}`)).toBe(0)
  })

  test('branches that open nested transactions take turns, and each is kept or undone alone', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    await db.transaction(() =>
      Promise.all(
        [1, 2, 3, 4].map((n) =>
          db
            .transaction(async () => {
              await db.status(`insert into ${t} values ($1)`, [n])
              await db.status(`insert into ${t} values ($1)`, [n * 10])
              if (n % 2 === 0) throw new TypeError('even')
            })
            .catch(() => {}),
        ),
      ),
    )

    expect((await db.all(`select n from ${t} order by n`)).map(({ n }) => n)).toEqual([1, 3, 10, 30])
  })

  test('a thousand statements in one context are served in order on one connection', async () => {
    const db = await driver.db()
    const t = await driver.table('id serial, n int')

    await db.transaction(() =>
      Promise.all(Array.from({ length: 1000 }, (_, n) => db.status(`insert into ${t} (n) values ($1)`, [n]))),
    )

    expect(await db.scalar(`select count(*) from ${t} where id = n + 1`)).toBe(1000)
  })
})

describe('when one branch fails', () => {
  test('the transaction throws its error, and a branch that comes later writes nothing, not even in autocommit', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('update', { error: '23505' })
    const ended = gate()
    const late: unknown[] = []
    let slow: Promise<void> | undefined

    const error = await caught(
      db.transaction(async (tx) => {
        slow = ended.promise.then(async () => {
          late.push(await caught(db.status("insert into t values ('orphan')")))
          late.push(await caught(tx.status("insert into t values ('orphan')")))
          late.push(await caught(db.transaction(() => db.status("insert into t values ('orphan')"))))
          late.push(await caught(db.sql`insert into t values ('orphan')`))
        })
        await Promise.all([slow, db.status('update t set v = 1')])
      }),
    )
    ended.open()
    await slow

    expect(error).toBeInstanceOf(UniqueViolationError)
    expect(late).toHaveLength(4)
    for (const each of late) expect(each).toBeInstanceOf(TransactionEndedError)
    expect(server.sent()).toEqual(['BEGIN; update t set v = 1', 'ROLLBACK'])
    expect(server.driver.rows('t')).toEqual([])
  })

  test('what was not sent yet is rejected, what is on the wire is awaited, then comes ROLLBACK', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('insert into t values (1)', { delayMs: 30 })
    const branches: Promise<unknown>[] = []

    await caught(
      db.transaction(async () => {
        await db.scalar('select 1')
        branches.push(db.status('insert into t values (1)'), caught(db.status('insert into t values (2)')))
        throw new TypeError('no')
      }),
    )

    expect(await branches[0]).toMatchObject({ command: 'INSERT' })
    expect(await branches[1]).toBeInstanceOf(TransactionEndedError)
    expect(server.sent()).toEqual(['BEGIN; select 1', 'insert into t values (1)', 'ROLLBACK'])
    await sound(server)
  })

  test('what is on the wire for too long is cancelled', async () => {
    await using server = await fake({}, { cancelTimeoutMs: 30 })
    const { db } = server
    let branch: Promise<unknown> | undefined

    await caught(
      db.transaction(async () => {
        await db.scalar('select 1')
        branch = caught(db.scalar('select pg_sleep(60)'))
        throw new TypeError('no')
      }),
    )

    expect(await branch).toBeInstanceOf(TransactionEndedError)
    expect(server.sent()).toEqual(['BEGIN; select 1', 'select pg_sleep(60)', '<cancel>', 'ROLLBACK'])
    await sound(server)
  })

  test('a nested transaction of another branch that has not begun is rejected', async () => {
    await using server = await fake()
    const { db } = server
    let waiting: Promise<unknown> | undefined

    await caught(
      db.transaction(async () => {
        await db.scalar('select 1')
        const outside = AsyncLocalStorage.bind(() => db.transaction(() => db.status('insert into t values (1)')))
        await db.transaction(async () => {
          waiting = caught(outside())
          await db.status('fail 23505')
        })
      }),
    )

    expect(await waiting).toBeInstanceOf(TransactionEndedError)
    expect(server.driver.rows('t')).toEqual([])
    await sound(server)
  })

  test('the others may go on inside a nested transaction of their own until the outermost ends', async () => {
    await using server = await fake()
    const { db } = server

    const results = await db.transaction(() =>
      Promise.allSettled([
        db.transaction(() => db.status('fail 23505')),
        db.transaction(() => db.status('insert into t values (1)')),
      ]),
    )

    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
    expect(server.driver.rows('t')).toEqual([{ v: 1 }])
  })
})

describe('when the callback returns while work is still running', () => {
  test('statements that were issued run before COMMIT', async () => {
    await using server = await fake()
    const { db } = server
    const forgotten: Promise<unknown>[] = []

    await db.transaction(async () => {
      await db.status('insert into t values (1)')
      forgotten.push(db.status('insert into t values (2)'), db.status('insert into t values (3)'))
    })

    expect(server.sent()).toEqual([
      'BEGIN; insert into t values (1)',
      'insert into t values (2)',
      'insert into t values (3)',
      'COMMIT',
    ])
    await Promise.all(forgotten)
  })

  test('one of those that fails makes the transaction throw its error', async () => {
    await using server = await fake()
    const { db } = server
    let forgotten: Promise<unknown> | undefined

    const error = await caught(
      db.transaction(async () => {
        await db.status('insert into t values (1)')
        forgotten = caught(db.status('fail 23502'))
      }),
    )

    expect(error).toBeInstanceOf(NotNullViolationError)
    expect(error.outcome).toBe('rolled_back')
    await forgotten
    expect(server.driver.rows('t')).toEqual([])
  })

  test('one that could not even be written does so too', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at({ text: 'insert into t values ($1)', phase: 'encode' }, { encode: 'too long' })
    let forgotten: Promise<unknown> | undefined

    const error = await caught(
      db.transaction(async () => {
        void db.status('insert into t values (1)')
        forgotten = caught(db.status('insert into t values ($1)', ['x']))
      }),
    )

    expect(error.code).toBe('GENEVER_PARAMETER')
    await forgotten
    expect(server.driver.rows('t')).toEqual([])
  })

  test('after a swallowed failure that stays the cause', async () => {
    await using server = await fake()
    const { db } = server
    let forgotten: Promise<unknown> | undefined

    const error = await caught(
      db.transaction(async () => {
        await caught(db.status('fail 23505'))
        forgotten = caught(db.status('insert into t values (1)'))
      }),
    )

    expect(error).toBeInstanceOf(TransactionAbortedError)
    expect(error.cause).toBeInstanceOf(UniqueViolationError)
    await forgotten
  })

  test('new statements are refused at once', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('insert into t values (1)', { delayMs: 20 })
    const returned = gate()
    let late: Promise<unknown> | undefined

    const running = db.transaction(async () => {
      void db.status('insert into t values (1)')
      late = returned.promise.then(() => caught(db.status('insert into t values (2)')))
    })
    await until(() => server.driver.log.at(-1)?.includes('insert'))
    returned.open()
    expect(await late).toBeInstanceOf(TransactionEndedError)
    await running

    expect(server.driver.rows('t')).toEqual([{ v: 1 }])
  })

  test('a nested transaction that is still open means rollback, and an error naming its place', async () => {
    await using server = await fake()
    const { db } = server
    const [entered, held] = [gate(), gate()]
    let forgotten: Promise<unknown> | undefined

    const error = await caught(
      db.transaction(async () => {
        await db.status('insert into t values (1)')
        forgotten = caught(
          db.transaction(async () => {
            await db.status('insert into t values (2)')
            entered.open()
            await held.promise
          }),
        )
        await entered.promise
      }),
    )
    held.open()

    expect(error).toBeInstanceOf(TransactionStateError)
    expect(error.outcome).toBe('rolled_back')
    expect(error.message).toMatch(/nested transaction begun at .*transaction-concurrency\.test\.ts:\d+/)
    expect(await forgotten).toBeInstanceOf(TransactionEndedError)
    expect(server.driver.rows('t')).toEqual([])
    await sound(server)
  })

  test('a nested transaction that was issued and has not begun runs to its end before COMMIT or fails it', async () => {
    await using server = await fake()
    const { db } = server
    let forgotten: Promise<unknown> | undefined

    const result = await db
      .transaction(async () => {
        await db.status('insert into t values (1)')
        forgotten = db.transaction(() => db.status('insert into t values (2)')).catch((error: unknown) => error)
      })
      .then(
        () => 'committed',
        (error: unknown) => error,
      )

    await forgotten
    expect(result).toBeInstanceOf(TransactionStateError)
    expect(server.driver.rows('t')).toEqual([])
    await sound(server)
  })
})

describe('without a transaction around them', () => {
  test('transactions of branches run side by side on connections of their own', async () => {
    await using server = await fake()
    const { db } = server
    const all = gate()
    let inside = 0
    const one = (): Promise<unknown> =>
      db.transaction(async () => {
        await db.status('insert into t values (1)')
        if (++inside === 3) all.open()
        await all.promise
      })

    await Promise.all([one(), one(), one()])

    expect(server.driver.sessions).toHaveLength(3)
  })

  test('in one scope they take turns on its connection', async () => {
    await using server = await fake()
    const { db } = server
    const one = (n: number): Promise<unknown> =>
      db.transaction(async () => {
        await db.status('insert into t values ($1)', [n])
        await db.status('insert into t values ($1)', [n])
      })

    await db.scope(() => Promise.all([one(1), one(2)]))

    expect(server.driver.sessions).toHaveLength(1)
    expect(server.driver.rows('t').map(({ v }) => v)).toEqual([1, 1, 2, 2])
  })
})

test('transactions of two engines inside of each other are two transactions', async () => {
  await using first = await fake()
  await using second = await fake()
  const write = (db: Db, n: number): Promise<unknown> => db.status('insert into t values ($1)', [n])

  await caught(
    first.db.transaction(async () => {
      await write(first.db, 1)
      await second.db.transaction(() => Promise.all([write(first.db, 2), write(second.db, 3)]))
      throw new TypeError('first')
    }),
  )

  expect(first.driver.rows('t')).toEqual([])
  expect(second.driver.rows('t')).toEqual([{ v: 3 }])
})
