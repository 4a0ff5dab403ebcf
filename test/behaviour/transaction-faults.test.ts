/** What a transaction does when the server, or the way to it, fails at any of its messages. */

import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  ForeignKeyViolationError,
  QueryError,
  TransactionAbortedError,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake, sound } from '../support/fake.ts'

const insert = 'insert into t values (1)'
describe('a BEGIN that fails', () => {
  test.each([1, 4])('fails the first statement, which does not run (%i in flight)', async (maxInFlight) => {
    await using server = await fake({ maxInFlight })
    server.driver.faults.at('BEGIN', { error: '53400', message: 'configuration limit exceeded' })

    const error = await caught(
      server.db.transaction((tx) => Promise.all([tx.status(insert), tx.status('insert into t values (2)')])),
    )

    expect(error).toBeInstanceOf(QueryError)
    expect(error).toMatchObject({ sqlState: '53400', outcome: 'not_started' })
    expect(server.driver.rows('t')).toEqual([])
    await sound(server)
  })

  test('keeps the statements that follow from running too, even if its error was swallowed', async () => {
    await using server = await fake()
    server.driver.faults.at('BEGIN', { error: '53400' })

    const error = await caught(
      server.db.transaction(async (tx) => {
        const first = await caught(tx.status(insert))
        const second = await caught(tx.status('insert into t values (2)'))
        expect(second).toBeInstanceOf(TransactionAbortedError)
        expect(second.cause).toMatchObject({ sqlState: first.sqlState })
      }),
    )

    expect(error).toBeInstanceOf(TransactionAbortedError)
    expect(server.driver.rows('t')).toEqual([])
    await sound(server)
  })

  test('leaves the connection of its scope usable', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('BEGIN', { error: '53400' })

    await db.scope(async () => {
      await caught(db.transaction(() => db.status(insert)))
      await db.transaction(() => db.status('insert into t values (2)'))
    })

    expect(server.driver.rows('t')).toEqual([{ v: 2 }])
    expect(server.driver.sessions).toHaveLength(1)
  })
})

test('a SAVEPOINT that fails keeps its statement from running, and the transaction around it is rolled back', async () => {
  await using server = await fake()
  const { db } = server
  server.driver.faults.at('SAVEPOINT', { error: '54000' })

  const error = await caught(
    db.transaction(async () => {
      await db.status(insert)
      await caught(db.transaction(() => db.status('insert into t values (2)')))
    }),
  )

  expect(error).toBeInstanceOf(TransactionAbortedError)
  expect(error.cause).toMatchObject({ sqlState: '54000' })
  expect(server.driver.rows('t')).toEqual([])
  await sound(server)
})

test('a nested transaction that sent nothing inside of a failed one does not cost the connection', async () => {
  await using server = await fake()
  const { db } = server

  const error = await caught(
    db.transaction(async () => {
      await caught(db.status('fail 22012'))
      await caught(
        db.transaction(() => {
          throw new TypeError('inner')
        }),
      )
    }),
  )

  expect(error).toBeInstanceOf(TransactionAbortedError)
  expect(server.driver.sessions).toHaveLength(1)
  await sound(server)
  expect(server.driver.sessions).toHaveLength(1)
})

describe('a COMMIT', () => {
  test('that the server refuses is that error, with the outcome rolled_back', async () => {
    await using server = await fake()
    server.driver.faults.at('COMMIT', { error: '23503' })

    const error = await caught(server.db.transaction((tx) => tx.status(insert)))

    expect(error).toBeInstanceOf(ForeignKeyViolationError)
    expect(error.outcome).toBe('rolled_back')
    expect(server.sent()).toEqual([`BEGIN; ${insert}`, 'COMMIT'])
    await sound(server)
  })

  test.each([
    ['before it reached the server', 'send', []],
    ['after the server had done it', 'answer', [{ v: 1 }]],
  ] as const)('lost %s has an unknown outcome', async (_, phase, rows) => {
    await using server = await fake()
    server.driver.faults.at({ text: 'COMMIT', phase }, { lost: true })

    const error = await caught(server.db.transaction((tx) => tx.status(insert)))

    expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(error).toMatchObject({ outcome: 'unknown', retryable: false })
    expect(error.cause).toBeInstanceOf(ConnectionLostError)
    expect(server.driver.rows('t')).toEqual(rows)
    await sound(server)
  })

  test('is never sent twice', async () => {
    await using server = await fake()
    server.driver.faults.at('COMMIT', { lost: true })

    await caught(server.db.transaction((tx) => tx.status(insert)))

    expect(server.sent().filter((line) => line === 'COMMIT')).toHaveLength(1)
  })

  test('answered by ROLLBACK is a TransactionAbortedError', async () => {
    await using server = await fake()
    server.driver.faults.at('COMMIT', { delayMs: 20 })

    const error = await caught(
      server.db.transaction(async (tx) => {
        await tx.status(insert)
        const [session] = server.driver.sessions
        setTimeout(() => session?.refuse('select', {}), 5)
      }),
    )

    expect(error).toBeInstanceOf(TransactionAbortedError)
    expect(error.outcome).toBe('rolled_back')
    expect(server.sent()).toEqual([`BEGIN; ${insert}`, 'COMMIT'])
    await sound(server)
  })

  test('of a nested transaction that fails beside a client that is lent rolls that back, and the outer one goes on', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('RELEASE', { error: '3B001' })

    await db.transaction(async (tx) => {
      await tx.connection.rawConnection()
      await db.status(insert)
      expect(await caught(db.transaction(() => db.status('insert into t values (2)')))).toBeInstanceOf(QueryError)
      await db.status('insert into t values (3)')
    })

    expect(server.driver.rows('t')).toEqual([{ v: 1 }, { v: 3 }])
    await sound(server)
  })

  test('of a nested transaction that fails on its way is the failure of the statement behind it, and the end of the outer one', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('RELEASE', { error: '3B001' })
    const seen: unknown[] = []

    const error = await caught(
      db.transaction(async () => {
        await db.status(insert)
        await db.transaction(() => db.status('insert into t values (2)'))
        for (const n of [3, 4]) seen.push(await caught(db.status(`insert into t values (${n})`)))
      }),
    )

    expect(seen).toEqual([
      expect.objectContaining({ sqlState: '3B001', outcome: 'not_started' }),
      expect.objectContaining({
        code: 'GENEVER_TRANSACTION_ABORTED',
        cause: expect.objectContaining({ sqlState: '3B001' }),
      }),
    ])
    expect([error.constructor, error.outcome]).toEqual([TransactionAbortedError, 'rolled_back'])
    expect(server.driver.rows('t')).toEqual([])
    await sound(server)
  })
})

describe('a ROLLBACK that fails', () => {
  test.each([
    ['with an error', { error: 'XX000' }],
    ['because the connection is lost', { lost: true }],
  ] as const)('%s hides nothing, and its connection is closed', async (_, fault) => {
    await using server = await fake()
    server.driver.faults.at('ROLLBACK', fault)
    const reason = new TypeError('first')

    const error = await caught(
      server.db.transaction(async (tx) => {
        await tx.status(insert)
        throw reason
      }),
    )

    expect(error).toBe(reason)
    expect(server.driver.rows('t')).toEqual([])
    expect(server.driver.openCount).toBe(0)
    await sound(server)
  })

  test('to a savepoint ends the transaction around it as well', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('ROLLBACK TO', { error: 'XX000' })
    const reason = new TypeError('first')

    const error = await caught(
      db.transaction(async () => {
        await db.status(insert)
        expect(
          await caught(
            db.transaction(async () => {
              await db.status('insert into t values (2)')
              throw reason
            }),
          ),
        ).toBe(reason)
        await db.status('insert into t values (3)')
      }),
    )

    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error.outcome).toBe('rolled_back')
    expect(server.driver.rows('t')).toEqual([])
    await sound(server)
  })
})
