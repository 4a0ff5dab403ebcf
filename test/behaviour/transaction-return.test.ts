/** Transactions whose callback returns while work of it is still running. */

import {
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
import { until } from '../support/until.ts'

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
    const given = `insert into t values (${server.words.placeholder(1)})`
    server.driver.faults.at({ text: given, phase: 'encode' }, { encode: 'too long' })
    let forgotten: Promise<unknown> | undefined

    const error = await caught(
      db.transaction(async () => {
        void db.status('insert into t values (1)')
        forgotten = caught(db.status(given, ['x']))
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
    expect(error.message).toMatch(/nested transaction begun at .*transaction-return\.test\.ts:\d+/)
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
