/** `afterCommit` and `afterRollback`: what runs once the outcome of a transaction can no longer change. */

import { type Transaction } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'

const both = (tx: Transaction, log: string[], name: string): void => {
  tx.afterCommit(() => log.push(`${name} committed`))
  tx.afterRollback(() => log.push(`${name} rolled back`))
}

describe('of a transaction on its own', () => {
  test('afterCommit hooks run after COMMIT, in order, each awaited', async () => {
    await using server = await fake()
    const log: string[] = []

    await server.db.transaction(async (tx) => {
      tx.afterCommit(async () => {
        await new Promise(setImmediate)
        log.push('first', ...server.sent())
      })
      tx.afterCommit(() => log.push('second'))
      await tx.status('insert into t values (1)')
      log.push('callback')
    })

    expect(log).toEqual(['callback', 'first', 'BEGIN; insert into t values (1)', 'COMMIT', 'second'])
  })

  test('afterRollback hooks run after a rollback, and afterCommit hooks do not', async () => {
    await using server = await fake()
    const log: string[] = []

    await caught(
      server.db.transaction((tx) => {
        both(tx, log, 'it')
        throw new TypeError('no')
      }),
    )

    expect(log).toEqual(['it rolled back'])
  })

  test.each([
    ['raiseCommit', 'it committed'],
    ['raiseRollback', 'it rolled back'],
  ] as const)('%s runs those of its decision', async (raise, expected) => {
    await using server = await fake()
    const log: string[] = []

    await server.db.transaction((tx) => {
      both(tx, log, 'it')
      tx[raise]()
    })

    expect(log).toEqual([expected])
  })

  test('a COMMIT that fails counts as a rollback', async () => {
    await using server = await fake()
    server.driver.faults.at('COMMIT', { error: '23503' })
    const log: string[] = []

    await caught(
      server.db.transaction(async (tx) => {
        both(tx, log, 'it')
        await tx.status('insert into t values (1)')
      }),
    )

    expect(log).toEqual(['it rolled back'])
  })

  test('with an unknown outcome neither kind runs, but those of a savepoint that was rolled back', async () => {
    await using server = await fake()
    server.driver.faults.at('COMMIT', { lost: true })
    const log: string[] = []

    await caught(
      server.db.transaction(async (tx) => {
        both(tx, log, 'it')
        await tx.status('insert into t values (1)')
        await caught(
          tx.transaction((inner) => {
            both(inner, log, 'inner')
            throw new TypeError('inner')
          }),
        )
      }),
    )

    expect(log).toEqual(['inner rolled back'])
  })

  test('they run after its connection went back, in the frame of the caller', async () => {
    await using server = await fake()
    const { db } = server
    let lent: number | undefined
    let current: unknown = 'unset'

    await db.transaction(async (tx) => {
      tx.afterCommit(async () => {
        lent = db.stats().reserved
        current = db.current
        await db.status('insert into t values (2)')
      })
      await tx.status('insert into t values (1)')
    })

    expect([lent, current]).toEqual([0, undefined])
    expect(server.driver.rows('t')).toEqual([{ v: 1 }, { v: 2 }])
  })

  test('in a scope they use the connection of the scope', async () => {
    await using server = await fake()
    const { db } = server

    await db.scope(async () => {
      await db.transaction(async (tx) => {
        tx.afterCommit(() => db.status('insert into t values (2)'))
        await tx.status('insert into t values (1)')
      })
    })

    expect(server.driver.sessions).toHaveLength(1)
    expect(server.sent()).toEqual(['BEGIN; insert into t values (1)', 'COMMIT', 'insert into t values (2)'])
  })

  test('a hook may open a transaction of its own, with hooks of its own', async () => {
    await using server = await fake()
    const { db } = server
    const log: string[] = []

    await db.transaction((outer) => {
      outer.afterCommit(() => db.transaction((tx) => both(tx, log, 'hook')))
      both(outer, log, 'outer')
    })

    expect(log).toEqual(['hook committed', 'outer committed'])
  })
})

describe('of nested transactions', () => {
  test('run with the outermost, in the order of their registration', async () => {
    await using server = await fake()
    const log: string[] = []

    await server.db.transaction(async (outer) => {
      both(outer, log, 'first')
      await outer.transaction((inner) => {
        both(inner, log, 'inner')
      })
      both(outer, log, 'last')
      expect(log).toEqual([])
    })

    expect(log).toEqual(['first committed', 'inner committed', 'last committed'])
  })

  test('follow their savepoint when that is rolled back and the outermost commits', async () => {
    await using server = await fake()
    const log: string[] = []

    await server.db.transaction(async (outer) => {
      both(outer, log, 'outer')
      await caught(
        outer.transaction(async (middle) => {
          both(middle, log, 'middle')
          await middle.transaction((inner) => both(inner, log, 'inner'))
          throw new TypeError('no')
        }),
      )
    })

    expect(log).toEqual(['outer committed', 'middle rolled back', 'inner rolled back'])
  })

  test('follow the outermost when that is rolled back', async () => {
    await using server = await fake()
    const log: string[] = []

    await caught(
      server.db.transaction(async (outer) => {
        await outer.transaction((inner) => both(inner, log, 'inner'))
        both(outer, log, 'outer')
        throw new TypeError('no')
      }),
    )

    expect(log).toEqual(['inner rolled back', 'outer rolled back'])
  })

  test('with reuse: false they are those of a transaction of its own', async () => {
    await using server = await fake()
    const log: string[] = []

    await caught(
      server.db.transaction(async () => {
        await server.db.transaction((separate) => both(separate, log, 'separate'), { reuse: false })
        log.push('still inside')
        throw new TypeError('no')
      }),
    )

    expect(log).toEqual(['separate committed', 'still inside'])
  })
})

describe('of a manual transaction', () => {
  test('run after commit() or rollback(), before that resolves', async () => {
    await using server = await fake()
    const log: string[] = []

    const kept = await server.db.begin()
    both(kept, log, 'kept')
    await kept.commit()
    const undone = await server.db.begin()
    both(undone, log, 'undone')
    await undone.rollback()

    expect(log).toEqual(['kept committed', 'undone rolled back'])
  })
})
