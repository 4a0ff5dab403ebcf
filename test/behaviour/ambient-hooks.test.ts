/** `db.afterCommit(work)` and `db.afterRollback(work)`: hooks for code that was not passed the transaction it runs in. */

import { AsyncResource } from 'node:async_hooks'
import { createDb, NotBoundError, TransactionEndedError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { noticesDuring } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  test('a hook given anywhere below runs after the outermost commit, and follows the fate of its savepoint', async () => {
    const db = await driver.single()
    const ran: string[] = []
    const deep = (what: string): Promise<void> => db.afterCommit(() => ran.push(what))

    await db.transaction(async () => {
      await deep('outer')
      await db.transaction(() => deep('inner'))
      await caught(
        db.transaction(async () => {
          await deep('undone')
          throw new Error('out')
        }),
      )
      expect(ran).toEqual([])
    })

    expect(ran).toEqual(['outer', 'inner'])
  })

  test('afterRollback runs when its transaction or savepoint was rolled back, and never without one', async () => {
    const db = await driver.single()
    const ran: string[] = []

    await db.transaction(async () => {
      await db.afterRollback(() => ran.push('committed'))
      await caught(
        db.transaction(async () => {
          await db.afterRollback(() => ran.push('savepoint'))
          throw new Error('out')
        }),
      )
    })
    await db.afterRollback(() => ran.push('outside'))

    expect(ran).toEqual(['savepoint'])
  })

  test('outside of a transaction, in a scope or not, a hook runs at once and its promise is returned', async () => {
    const db = await driver.single()
    const ran: string[] = []

    await db.afterCommit(() => Promise.resolve().then(() => ran.push('outside')))
    await db.scope((own) => own.afterCommit(() => ran.push('scope')))
    const error = await caught(db.afterCommit(() => Promise.reject(new RangeError('out'))))

    expect([ran, error]).toEqual([['outside', 'scope'], expect.any(RangeError)])
  })

  test('detached code, and a scope of its own, are outside of the transaction', async () => {
    const db = await driver.single()
    const ran: string[] = []

    await db.transaction(async () => {
      await db.detached(() => db.afterCommit(() => ran.push('detached')))
      await db.scope(() => db.afterCommit(() => ran.push('scope')), { reuse: false })
      expect(ran).toEqual(['detached', 'scope'])
    })
  })

  test('through a connection or transaction it belongs to the innermost one open there', async () => {
    const db = await driver.single()
    const ran: string[] = []

    await db.transaction(async (outer) => {
      await caught(
        db.transaction(async () => {
          outer.afterCommit(() => ran.push('by the outer handle'))
          await outer.connection.afterCommit(() => ran.push('by its connection'))
          throw new Error('out')
        }),
      )
    })
    await using own = await db.acquire()
    const manual = await own.begin()
    await own.afterCommit(() => ran.push('manual'))
    expect(ran).toEqual([])
    await manual.commit()

    expect(ran).toEqual(['manual'])
  })

  // Nothing but a deadlock of two says 1213.
  test.skipIf(driver.name === 'mysql')('hooks of an attempt that is run again are dropped', async () => {
    const db = await driver.single()
    const ran: number[] = []
    let attempt = 0

    await db.transaction(
      async () => {
        const n = ++attempt
        await db.afterCommit(() => ran.push(n))
        if (n === 1) await db.status("do $$ begin raise sqlstate '40001'; end $$")
      },
      { retry: 1 },
    )

    expect(ran).toEqual([2])
  })

  test('beside a manual transaction it warns as statements do, and runs at once', async () => {
    const db = await driver.single()
    const ran: string[] = []

    const notices = await noticesDuring(() =>
      db.scope(async () => {
        const own = await db.acquire()
        const manual = await own.begin()
        await db.afterCommit(() => ran.push('at once'))
        await manual.rollback()
        await own.release()
      }),
    )

    expect(notices.map(({ code }) => code)).toEqual(['manual-transaction-open'])
    expect(ran).toEqual(['at once'])
  })

  test('code of a transaction that has ended is refused', async () => {
    const db = await driver.single()
    let late: () => Promise<void> = () => Promise.resolve()

    await db.transaction(() => {
      late = AsyncResource.bind(() => db.afterCommit(() => {}))
    })

    expect(await caught(late())).toBeInstanceOf(TransactionEndedError)
  })
})

test('a database without an engine refuses hooks, and one that is not open needs none', async () => {
  await expect(createDb().afterCommit(() => {})).rejects.toThrow(NotBoundError)
  const ran: string[] = []
  const db = createDb('postgres://nobody@127.0.0.1:1/none')
  await db.afterCommit(() => ran.push('at once'))

  expect(ran).toEqual(['at once'])
})
