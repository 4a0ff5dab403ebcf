/** Detached work that is awaited by the code it was started in, and needs what that code holds. */

import { type Db, SelfDeadlockError, TransactionStateError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { doing, forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  const one = (): Promise<Db> => driver.single({ pool: { acquireTimeoutMs: 20_000 } })

  const works: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
    'a statement': (db) => db.scalar('select 2'),
    'a transaction': (db) => db.transaction(() => db.scalar('select 2')),
    'a scope': (db) => db.scope(() => db.scalar('select 2')),
    'a handle': (db) => db.acquire(),
    'a transaction by hand': (db) => db.begin(),
    'a cursor': (db) => db.iterate('select 2').read(),
    'detached work in it': (db) => db.detached(() => db.scalar('select 2')),
  }
  test.each(Object.entries(works))('%s that could only wait for its caller is told at once', async (_, work) => {
    const db = await one()
    const error = await db.transaction(async () => {
      await db.scalar('select 1')
      return caught(db.detached(() => work(db)))
    })

    expect(error).toBeInstanceOf(SelfDeadlockError)
    expect(doing(db)).toMatch(/^0 lent/)
  })

  test('so is a handle whose connection the caller has in a transaction', async () => {
    const db = await one()
    const error = await db.scope((connection) =>
      db.transaction(async () => {
        await db.scalar('select 1')
        return caught(db.detached(() => connection.scalar('select 2')))
      }),
    )

    expect(error).toBeInstanceOf(TransactionStateError)
    expect(error.message).toMatch(/transaction begun at .*detached-awaited\.test\.ts.* awaits/)
  })

  test('through Promise.all and catch() too', async () => {
    const db = await one()
    const answers = await db.transaction(async () => {
      await db.scalar('select 1')
      const [first] = await Promise.all([caught(db.detached(() => db.scalar('select 2'))), Promise.resolve(7)])
      const second = await db.detached(() => db.scalar('select 2')).catch((error: unknown) => error)
      return [first, second]
    })

    for (const answer of answers) expect(answer).toBeInstanceOf(SelfDeadlockError)
  })

  test('what nobody awaits there waits for the end of the transaction and runs', async () => {
    const db = await one()
    const later: Promise<unknown>[] = []
    await db.transaction(async () => {
      await db.scalar('select 1')
      const left = db.detached(() => db.scalar('select 2'))
      left.catch(() => {})
      later.push(left.finally(() => {}))
      later.push(left.then((value) => value))
      await new Promise((resolve) => setTimeout(resolve, 300))
      await db.scalar('select 3')
    })

    expect(await Promise.all(later)).toEqual([2, 2])
  })

  test('in a scope without a transaction it gets the connection, which is lent and not held', async () => {
    const db = await one()

    expect(
      await db.scope(async () => {
        await db.scalar('select 1')
        return db.detached(() => db.scalar('select 2'))
      }),
    ).toBe(2)
  })

  test('what it gives and throws reaches the caller as from any function', async () => {
    const db = await one()

    expect(await db.detached(() => 7)).toBe(7)
    expect(await caught(db.detached(() => Promise.reject(new RangeError('own'))))).toBeInstanceOf(RangeError)
    expect(await caught(db.detached(7 as never))).toMatchObject({ code: 'GENEVER_USAGE' })
  })
})
