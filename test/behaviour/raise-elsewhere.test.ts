/** `raiseCommit` and `raiseRollback` from other branches, on other connections, and where they do not belong. */

import { type Transaction, TransactionExit, TransactionStateError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught, thrownBy } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  test('what was issued before raiseCommit is committed with it, executeMany() too; what is issued after throws', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    const insert = `insert into ${table} values (:n)`
    await db.transaction(async (outer) => {
      const parts: Promise<unknown>[] = []
      let late: Promise<unknown> = Promise.resolve()
      await outer.transaction(async (tx) => {
        parts.push(tx.scalar(driver.words.sleep(0.01)))
        parts.push(db.status(insert, { n: 1 }))
        parts.push(tx.executeMany(insert, [{ n: 2 }, { n: 4 }]))
        parts.push(outer.status(insert, { n: 8 }))
        try {
          tx.raiseCommit()
        } finally {
          late = caught(tx.executeMany(insert, [{ n: 16 }]))
        }
      })
      await Promise.all(parts)
      expect(await late).toBeInstanceOf(TransactionExit)
      expect(await outer.scalar(driver.words.sum('n', table))).toBe(15)
    })
  })

  test('executeMany() that has begun is committed by raiseCommit, and says so; by raiseRollback it fails', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    const sets = [{ n: 1 }, { n: 2 }]
    const ends = async (raise: 'raiseCommit' | 'raiseRollback'): Promise<unknown> => {
      let issued: Promise<unknown> = Promise.resolve()
      await db.transaction((outer) =>
        outer.transaction(async (tx) => {
          await tx.scalar('select 1')
          issued = tx.executeMany(`insert into ${table} values (:n)`, sets).catch((error: unknown) => error)
          tx[raise]()
        }),
      )
      return issued
    }

    expect(await ends('raiseRollback')).toBeInstanceOf(Error)
    expect(await db.scalar(driver.words.count(table))).toBe(0)
    expect(await ends('raiseCommit')).toMatchObject({ rowCount: 2 })
    expect(await db.scalar(driver.words.count(table))).toBe(2)
  })
})

describe('in branches', () => {
  test('a raise in one branch stops the statements of the others', async () => {
    await using server = await fake()
    const { db } = server
    const raised = gate()
    let late: unknown

    const value = await db.transaction(async (tx) => {
      await tx.status('insert into t values (1)')
      const branch = raised.promise.then(async () => (late = await caught(db.status('insert into t values (2)'))))
      try {
        tx.raiseCommit('raised')
      } finally {
        raised.open()
        await branch
      }
    })

    expect(value).toBe('raised')
    expect(late).toBeInstanceOf(TransactionExit)
    expect(server.driver.rows('t')).toEqual([{ v: 1 }])
  })

  test("a raise stops the statements of another branch's nested transaction", async () => {
    await using server = await fake()
    const { db } = server
    const [entered, raised, done] = [gate(), gate(), gate()]
    let late: unknown

    await db.transaction(async (tx) => {
      const branch = db.transaction(async () => {
        await db.status('insert into t values (1)')
        entered.open()
        await raised.promise
        late = await caught(db.status('insert into t values (2)'))
        done.open()
      })
      branch.catch(() => {})
      await entered.promise
      try {
        tx.raiseRollback()
      } finally {
        raised.open()
        await done.promise
      }
    })

    expect(late).toBeInstanceOf(TransactionExit)
    expect(server.driver.rows('t')).toEqual([])
  })
})

describe('across connections', () => {
  const across = async (end: (outer: Transaction) => never): Promise<unknown[]> => {
    await using server = await fake()
    const { db } = server
    await db.transaction(async (outer) => {
      await db.status("insert into t values ('outer')")
      await db.transaction(
        async () => {
          await db.status("insert into t values ('separate')")
          end(outer)
        },
        { reuse: false },
      )
    })
    return server.driver.rows('t').map(({ v }) => v)
  }

  test('raiseRollback rolls back the separate transaction it passes through as well', async () => {
    expect(await across((outer) => outer.raiseRollback())).toEqual([])
  })

  test('raiseCommit of the outer one is an error like any for the separate one: that is rolled back', async () => {
    expect(await across((outer) => outer.raiseCommit())).toEqual(['outer'])
  })

  test.each(['raiseCommit', 'raiseRollback'] as const)(
    'a separate one that swallows %s of the outer one goes on',
    async (raise) => {
      await using server = await fake()
      const { db } = server

      const ended = await db.transaction(async (outer) => {
        await db.status("insert into t values ('outer')")
        const inner = await db.transaction(
          async () => {
            expect(thrownBy(() => outer[raise]('left'))).toBeInstanceOf(TransactionExit)
            await db.status("insert into t values ('separate')")
            return 'inner'
          },
          { reuse: false },
        )
        return `outer after ${inner}`
      })

      expect(ended).toBe('left')
      expect(server.driver.rows('t').map(({ v }) => v)).toEqual(
        raise === 'raiseCommit' ? ['separate', 'outer'] : ['separate'],
      )
    },
  )
})

describe('a misplaced raise throws TransactionStateError', () => {
  test.each(['raiseCommit', 'raiseRollback'] as const)(
    '%s on a transaction that has ended, and the one around it rolls back',
    async (raise) => {
      await using server = await fake()
      const { db } = server

      const error = await caught(
        db.transaction(async () => {
          await db.status('insert into t values (1)')
          const { inner } = await db.transaction((tx) => ({ inner: tx }))
          inner[raise]()
        }),
      )

      expect(error).toBeInstanceOf(TransactionStateError)
      expect(error.message).toContain(raise)
      expect(server.driver.rows('t')).toEqual([])
    },
  )

  test.each(['raiseCommit', 'raiseRollback'] as const)(
    '%s from outside of its callback, and nothing happens to it',
    async (raise) => {
      await using server = await fake()
      const { db } = server
      const held = gate()
      const handles: Transaction[] = []

      const running = db.transaction(async (tx) => {
        await tx.status('insert into t values (1)')
        handles.push(tx)
        await held.promise
      })
      while (handles.length === 0) await new Promise(setImmediate)
      expect(thrownBy(() => handles[0]?.[raise]())).toBeInstanceOf(TransactionStateError)
      held.open()
      await running

      expect(server.driver.rows('t')).toEqual([{ v: 1 }])
    },
  )

  test.each(['raiseCommit', 'raiseRollback'] as const)(
    '%s on a manual transaction, naming commit() and rollback()',
    async (raise) => {
      await using server = await fake()
      await using tx = await server.db.begin()

      const error = await caught(tx.run(() => tx[raise]()))

      expect(error).toBeInstanceOf(TransactionStateError)
      expect(error.message).toMatch(/commit\(\).*rollback\(\)/)
    },
  )
})

test('a managed transaction has neither commit nor rollback', async () => {
  await using server = await fake()

  await server.db.transaction((tx) => {
    expect(tx).not.toHaveProperty('commit')
    expect(tx).not.toHaveProperty('rollback')
  })
})
