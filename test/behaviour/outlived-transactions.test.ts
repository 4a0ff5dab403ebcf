/** Handles and nested transactions that outlive the transaction they belong to. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { type Transaction, TransactionEndedError, TransactionStateError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'

describe('after its end', () => {
  const kept = async (
    end: 'return' | 'throw',
  ): Promise<{ tx: Transaction; later: () => Promise<unknown>; close: () => Promise<unknown> }> => {
    const server = await fake()
    const { db } = server
    let tx: Transaction | undefined
    let later: (() => Promise<unknown>) | undefined
    await db
      .transaction(async (inside) => {
        tx = inside
        later = AsyncLocalStorage.bind(() => db.scalar('select 1'))
        await inside.scalar('select 1')
        if (end === 'throw') throw new TypeError('end')
      })
      .catch(() => {})
    return { tx: tx!, later: later!, close: async () => server[Symbol.asyncDispose]() }
  }

  test.each(['return', 'throw'] as const)('by %s its handle throws TransactionEndedError', async (end) => {
    const { tx, close } = await kept(end)

    const error = await caught(tx.scalar('select 1'))
    await close()

    expect(error).toBeInstanceOf(TransactionEndedError)
    expect(error.outcome).toBe('not_started')
    expect(error.message).toContain(end === 'return' ? 'was committed' : 'was rolled back')
  })

  test('code that still runs in its frame is told where it began, how it ended and of detached()', async () => {
    const { later, close } = await kept('return')

    const error = await caught(later())
    await close()

    expect(error).toBeInstanceOf(TransactionEndedError)
    expect(error.message).toMatch(
      /begun at test\/behaviour\/outlived-transactions\.test\.ts:\d+:\d+.* was committed.*detached\(\)/,
    )
  })

  test('hooks, nested transactions, run() and begin() are refused as well', async () => {
    const { tx, close } = await kept('return')

    expect(() => tx.afterCommit(() => {})).toThrow(TransactionEndedError)
    expect(() => tx.afterRollback(() => {})).toThrow(TransactionEndedError)
    expect(await caught(tx.run(() => 1))).toBeInstanceOf(TransactionEndedError)
    expect(await caught(tx.transaction(() => 1))).toBeInstanceOf(TransactionEndedError)
    expect(await caught(tx.begin())).toBeInstanceOf(TransactionEndedError)
    await close()
  })
})

describe('a handle that outlived its transaction', () => {
  test('opens no transaction on the connection it ran on', async () => {
    await using server = await fake()
    const { db } = server

    await db.scope(async () => {
      const old = await db.transaction(async (tx) => {
        await tx.scalar('select 1')
        return { tx }
      })
      server.sent()
      expect(await caught(old.tx.transaction((tx) => tx.status('insert into t values (1)')))).toBeInstanceOf(
        TransactionEndedError,
      )
      expect(await caught(old.tx.begin())).toBeInstanceOf(TransactionEndedError)
      expect(await caught(old.tx.run(() => db.status('insert into t values (2)')))).toBeInstanceOf(
        TransactionEndedError,
      )
      expect(await caught(old.tx.iterate('select generate_series(1, 3)').read())).toBeInstanceOf(TransactionEndedError)
      expect(await caught(old.tx.executeMany('insert into t values (:n)', [{ n: 3 }]))).toBeInstanceOf(
        TransactionEndedError,
      )
    })

    expect(server.sent()).toEqual([])
  })

  test('runs nothing in the transaction around it either', async () => {
    await using server = await fake()
    const { db } = server

    await db.transaction(async () => {
      const old = await db.transaction((inner) => ({ inner }))
      expect(await caught(old.inner.status('insert into t values (1)'))).toBeInstanceOf(TransactionEndedError)
      expect(await caught(old.inner.transaction(() => 1))).toBeInstanceOf(TransactionEndedError)
    })

    expect(server.sent()).toEqual([])
  })
})

describe('a nested transaction whose outer one ended first', () => {
  test('does not touch the next transaction on the connection when its callback returns', async () => {
    await using server = await fake()
    const { db } = server
    const [entered, held] = [gate(), gate()]
    let orphan: Promise<unknown> | undefined

    await db.scope(async () => {
      const first = await caught(
        db.transaction(async () => {
          orphan = caught(
            db.transaction(async () => {
              await db.status('insert into t values (1)')
              entered.open()
              await held.promise
            }),
          )
          await entered.promise
        }),
      )
      expect(first).toBeInstanceOf(TransactionStateError)
      await db.transaction(async () => {
        await db.transaction(async () => {
          await db.status('insert into t values (2)')
          held.open()
          expect(await orphan).toBeInstanceOf(TransactionEndedError)
          await db.status('insert into t values (3)')
        })
      })
    })

    expect(server.driver.rows('t')).toEqual([{ v: 2 }, { v: 3 }])
  })

  test('rejects with its own error when its callback throws later', async () => {
    await using server = await fake()
    const { db } = server
    const [entered, held] = [gate(), gate()]
    let orphan: Promise<unknown> | undefined

    await caught(
      db.transaction(async () => {
        orphan = caught(
          db.transaction(async () => {
            entered.open()
            await held.promise
            throw new TypeError('late')
          }),
        )
        await entered.promise
      }),
    )
    held.open()

    expect(await orphan).toBeInstanceOf(TypeError)
  })
})
