/** `raiseCommit` and `raiseRollback`: ending a transaction, and all inside it, from wherever the code is. */

import { type Db, type Transaction, TransactionAbortedError, TransactionExit } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught, thrownBy } from '../support/caught.ts'
import { fake } from '../support/fake.ts'

/** Three transactions inside of each other, each with a row; `end` is called in the innermost. */
async function three(end: (outer: Transaction, middle: Transaction, inner: Transaction) => unknown) {
  await using server = await fake()
  const { db } = server
  const insert = (v: string): Promise<unknown> => db.status('insert into t values (:v)', { v })
  const after: string[] = []
  const value = await db.transaction(async (outer) => {
    await insert('outer')
    const middleValue = await db.transaction(async (middle) => {
      await insert('middle')
      const innerValue = await db.transaction(async (inner) => {
        await insert('inner')
        await end(outer, middle, inner)
        after.push('inner')
        return 'inner returned'
      })
      after.push('middle')
      return innerValue
    })
    after.push('outer')
    return middleValue
  })
  return { value, after, rows: server.driver.rows('t').map(({ v }) => v) }
}

describe('from the innermost of three transactions', () => {
  test('raiseCommit on the outermost commits all three and leaves all three callbacks', async () => {
    const { value, after, rows } = await three((outer) => outer.raiseCommit('value'))

    expect([value, after, rows]).toEqual(['value', [], ['outer', 'middle', 'inner']])
  })

  test('raiseRollback on the outermost keeps nothing', async () => {
    const { value, after, rows } = await three((outer) => outer.raiseRollback('value'))

    expect([value, after, rows]).toEqual(['value', [], []])
  })

  test('raiseCommit on the middle one keeps its changes, and the outermost goes on', async () => {
    const { value, after, rows } = await three((_, middle) => middle.raiseCommit('value'))

    expect([value, after, rows]).toEqual(['value', ['outer'], ['outer', 'middle', 'inner']])
  })

  test('raiseRollback on the middle one takes back it and the innermost, and the outermost goes on', async () => {
    const { value, after, rows } = await three((_, middle) => middle.raiseRollback('value'))

    expect([value, after, rows]).toEqual(['value', ['outer'], ['outer']])
  })

  test('raiseRollback on the innermost takes back that alone', async () => {
    const { value, after, rows } = await three((_outer, _middle, inner) => inner.raiseRollback('value'))

    expect([value, after, rows]).toEqual(['value', ['middle', 'outer'], ['outer', 'middle']])
  })
})

test('without a value the transaction resolves with undefined', async () => {
  await using server = await fake()

  expect(await server.db.transaction((tx) => tx.raiseCommit())).toBeUndefined()
})

test('a raise before any statement sends nothing', async () => {
  await using server = await fake()

  await server.db.transaction((tx) => tx.raiseRollback())

  expect(server.sent()).toEqual([])
})

describe('a catch that swallows the signal', () => {
  const swallow = async (db: Db, raise: (tx: Transaction) => never): Promise<{ value: unknown; errors: unknown[] }> => {
    const errors: unknown[] = []
    const note = (error: unknown): void => {
      errors.push(error)
    }
    const value = await db.transaction(async (tx) => {
      await tx.status('insert into t values (1)')
      try {
        raise(tx)
      } catch (error) {
        note(error)
      }
      await tx.status('insert into t values (2)').catch(note)
      await db.status('insert into t values (3)').catch(note)
      await db.transaction(() => db.status('insert into t values (4)')).catch(note)
      await db.executeMany('insert into t values (:n)', [{ n: 5 }]).catch(note)
      await db.iterate('select * from t').read().catch(note)
      return 'returned'
    })
    return { value, errors }
  }

  test('cannot go on: every statement throws the signal again, and the decision stands', async () => {
    await using server = await fake()

    const { value, errors } = await swallow(server.db, (tx) => tx.raiseCommit('raised'))

    expect(value).toBe('raised')
    expect(errors).toHaveLength(6)
    expect(new Set(errors).size).toBe(1)
    expect(errors[0]).toBeInstanceOf(TransactionExit)
    expect(server.driver.rows('t')).toEqual([{ v: 1 }])
  })

  test('does not undo a rollback either', async () => {
    await using server = await fake()

    const { value } = await swallow(server.db, (tx) => tx.raiseRollback('raised'))

    expect(value).toBe('raised')
    expect(server.driver.rows('t')).toEqual([])
  })

  test('of a nested transaction does not keep the signal from the transaction it names', async () => {
    await using server = await fake()
    const { db } = server
    const after: string[] = []

    const value = await db.transaction(async (outer) => {
      await db.status('insert into t values (1)')
      await db.transaction(async () => {
        thrownBy(() => outer.raiseRollback('raised'))
      })
      after.push('outer went on')
    })

    expect([value, after, server.driver.rows('t')]).toEqual(['raised', [], []])
  })
})

describe('two decisions', () => {
  test('a rollback raised after a commit beats it', async () => {
    await using server = await fake()

    const value = await server.db.transaction(async (tx) => {
      await tx.status('insert into t values (1)')
      try {
        tx.raiseCommit('commit')
      } finally {
        // oxlint-disable-next-line no-unsafe-finally -- this is the question
        tx.raiseRollback('rollback')
      }
    })

    expect([value, server.driver.rows('t')]).toEqual(['rollback', []])
  })

  test('a commit raised after a rollback does not', async () => {
    await using server = await fake()

    const value = await server.db.transaction(async (tx) => {
      await tx.status('insert into t values (1)')
      thrownBy(() => tx.raiseRollback('rollback'))
      tx.raiseCommit('commit')
    })

    expect([value, server.driver.rows('t')]).toEqual(['rollback', []])
  })

  test('a raise on an outer transaction is not kept by an inner one that had been left already', async () => {
    await using server = await fake()
    const { db } = server
    const after: string[] = []

    const value = await db.transaction(async (outer) => {
      await db.status('insert into t values (1)')
      await db.transaction(async (inner) => {
        await db.status('insert into t values (2)')
        thrownBy(() => inner.raiseRollback('inner'))
        outer.raiseCommit('outer')
      })
      after.push('outer went on')
    })

    expect([value, after, server.driver.rows('t')]).toEqual(['outer', [], [{ v: 1 }]])
  })

  test('another error that reaches the boundary after raiseCommit rolls back and is thrown', async () => {
    await using server = await fake()
    const reason = new TypeError('cleaning up failed')

    const error = await caught(
      server.db.transaction(async (tx) => {
        await tx.status('insert into t values (1)')
        try {
          tx.raiseCommit()
        } finally {
          // oxlint-disable-next-line no-unsafe-finally -- this is the question
          throw reason
        }
      }),
    )

    expect(error).toBe(reason)
    expect(server.driver.rows('t')).toEqual([])
  })

  test('raiseCommit after a statement that failed does not commit', async () => {
    await using server = await fake()

    const error = await caught(
      server.db.transaction(async (tx) => {
        await tx.status('insert into t values (1)')
        await caught(tx.status('fail 23505'))
        tx.raiseCommit()
      }),
    )

    expect(error).toBeInstanceOf(TransactionAbortedError)
    expect(server.driver.rows('t')).toEqual([])
  })
})
