/** What was issued before a connection is released, or its scope ends, runs to its end, one after the other. */

import { type Connection, type Db, TransactionEndedError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate, noticesDuring } from '../support/gate.ts'
import { forEachDriver, quiet } from '../support/matrix.ts'

type Query = Pick<Db, 'scalar' | 'transaction' | 'executeMany'>

/** What a machine that is busy may have told besides: a wait of more than a second. */
const ofWaits = 'waiting-for-transaction'

forEachDriver((driver) => {
  /** Ends a connection with a transaction open on it and `issue` waiting behind that. */
  const ends: Readonly<
    Record<string, (db: Db, issue: (on: Query) => Promise<unknown>[]) => Promise<{ parts: Promise<unknown>[] }>>
  > = {
    'release()': async (db, issue) => {
      const connection = await db.acquire()
      return released(connection, issue, () => connection.release())
    },
    'await using': async (db, issue) => {
      const connection = await db.acquire()
      return released(connection, issue, () => connection[Symbol.asyncDispose]())
    },
    'the end of its scope': async (db, issue) => {
      let left = { parts: [] as Promise<unknown>[], open: (): void => {} }
      await db.scope(async () => (left = await begun(db, issue)))
      left.open()
      return left
    },
  }

  const begun = async (
    on: Query,
    issue: (on: Query) => Promise<unknown>[],
  ): Promise<{ parts: Promise<unknown>[]; open: () => void }> => {
    const [entered, hold] = [gate(), gate()]
    const first = on.transaction(async (tx) => {
      await tx.scalar('select 1')
      entered.open()
      await hold.promise
      return tx.scalar('select 10')
    })
    await entered.promise
    return { parts: [first, ...issue(on)], open: () => hold.open() }
  }

  const released = async (
    connection: Connection,
    issue: (on: Query) => Promise<unknown>[],
    release: () => Promise<void>,
  ): Promise<{ parts: Promise<unknown>[] }> => {
    const left = await begun(connection, issue)
    const releasing = release()
    left.open()
    await releasing
    return left
  }

  test.each(Object.entries(ends))('transactions that wait for each other all commit: %s', async (_, end) => {
    const db = await driver.single()
    const table = await driver.table('n int')
    const insert = (n: number) => (on: Query) =>
      on.transaction(async (tx) => {
        await tx.status(`insert into ${table} values (${n})`)
        await tx.transaction((inner) => inner.status(`insert into ${table} values (${n + 10})`))
        return n
      })
    const results: unknown[] = []
    const notices = await noticesDuring(async () => {
      const { parts } = await end(db, (on) => [insert(1)(on), insert(2)(on), on.scalar('select 3'), insert(4)(on)])
      results.push(...(await Promise.all(parts)))
      await quiet(db)
    })

    expect(results).toEqual([10, 1, 2, 3, 4])
    expect(notices.filter(({ code }) => ![ofWaits, 'transaction-outlived-scope'].includes(code))).toEqual([])
    expect(Number(await db.scalar(`select sum(n) from ${table}`))).toBe(44)
  })

  test.each(Object.entries(ends))('executeMany() that waits for a transaction is done: %s', async (_, end) => {
    const db = await driver.single()
    const table = await driver.table('n int')
    const { parts } = await end(db, (on) => [
      on.executeMany(`insert into ${table} values (${driver.words.placeholder(1)})`, [[1], [2]]),
    ])
    await Promise.all(parts)

    await quiet(db)
    expect(Number(await db.scalar(`select sum(n) from ${table}`))).toBe(3)
  })

  test('a transaction by hand that waits for another one is rolled back, with a notice that names it', async () => {
    const db = await driver.single()
    const connection = await db.acquire()
    const hold = gate()
    let managed: Promise<unknown> = Promise.resolve()
    const notices = await noticesDuring(async () => {
      managed = connection.transaction(async (tx) => {
        await hold.promise
        return tx.scalar('select 1')
      })
      const manual = connection.begin()
      const releasing = connection.release()
      hold.open()
      const late = await caught(manual.then((tx) => tx.scalar('select 2')))
      expect(late).toBeInstanceOf(TransactionEndedError)
      expect(late.message).toContain('was rolled back when its connection was released')
      await releasing
    })

    expect(await managed).toBe(1)
    const [told, ...more] = notices.filter(({ code }) => code !== ofWaits)
    expect([told?.code, more]).toEqual(['manual-transaction-rolled-back', []])
    expect(told?.places[0]).toContain('release-queued.test.ts')
    await quiet(db)
    // Nothing is left of it where it was begun.
    expect(await noticesDuring(() => db.scalar('select 3'))).toEqual([])
  })

  test('transactions that wait inside of one by hand run before that is rolled back', async () => {
    const db = await driver.single()
    const connection = await db.acquire()
    const manual = await connection.begin()
    const hold = gate()
    const first = connection.transaction(async (tx) => {
      await hold.promise
      return tx.scalar('select 1')
    })
    const second = connection.transaction((tx) => tx.scalar('select 2'))
    const releasing = connection.release()
    hold.open()

    expect(await Promise.all([first, second])).toEqual([1, 2])
    await releasing
    expect(await caught(manual.scalar('select 3'))).toBeInstanceOf(TransactionEndedError)
    await quiet(db)
  })
})
