/** Builders run when they are awaited: where, how often, and not at all after their transaction. */

import { eq } from 'drizzle-orm'
import { TransactionEndedError } from 'genever'
import { beforeEach, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { onBoth } from './support.ts'
import { rowsSql, tablesDdl, users } from './tables.ts'

onBoth(tablesDdl, (bench) => {
  beforeEach(() => bench.both(rowsSql))
  const insert = (name: string) => bench.ours.insert(users).values({ name })
  const there = async (name: string): Promise<boolean> =>
    (await bench.ours.select().from(users).where(eq(users.name, name))).length === 1

  test('a builder that a callback returns runs inside', async () => {
    const { db, ours } = bench
    await db.transaction(() => insert('a'))
    await db.transaction(async () => insert('b'))
    await db.transaction(() => Promise.all([insert('c'), insert('d')]))
    const undone = db.transaction(() =>
      insert('e').then(() => {
        throw new Error('undone')
      }),
    )

    expect((await caught(undone)).message).toBe('undone')
    expect(await ours.$count(users)).toBe(7)
    expect(await there('e')).toBe(false)
    await ours.transaction((tx) => tx.insert(users).values({ name: 'f' }))
    expect(await there('f')).toBe(true)
  })

  test.each(['db', 'drizzle'])('made in a transaction of %s and awaited after it, it is refused', async (of) => {
    const { db, ours } = bench
    let made: readonly PromiseLike<unknown>[] = []
    const make = async (): Promise<void> => {
      made = [
        insert('late'),
        ours.update(users).set({ nick: 'late' }),
        ours.delete(users),
        ours.execute('delete from users'),
        ours.$count(users),
        ours.with().insert(users).values({ name: 'late' }),
      ]
    }
    await (of === 'db' ? db.transaction(make) : ours.transaction(make))

    expect(made).toHaveLength(6)
    for (const late of made) {
      const error = await caught(late)
      expect(error).toBeInstanceOf(TransactionEndedError)
      expect(error.message).toContain('test/drizzle/lazy.test.ts')
    }
    expect(await ours.$count(users)).toBe(3)
    expect(await there('late')).toBe(false)
  })

  test('made in a nested transaction and awaited in the one around it, it is refused', async () => {
    await bench.db.transaction(async () => {
      const kept = await bench.db.transaction(() => ({ query: insert('late') }))
      expect(await caught(kept.query)).toBeInstanceOf(TransactionEndedError)
    })
  })

  test('made before a transaction and awaited in it, it runs inside', async () => {
    const early = insert('early')
    await bench.db.transaction(async (tx) => {
      await early
      tx.raiseRollback()
    })

    expect(await there('early')).toBe(false)
  })

  test('awaited twice it runs twice', async () => {
    const adding = insert('twice')
    await adding

    expect((await caught(adding)).code).toBe('GENEVER_UNIQUE_VIOLATION')
  })

  test('work that outlives its transaction is refused', async () => {
    const held = gate()
    let late: Promise<unknown> | undefined
    await bench.ours.transaction(async (tx) => {
      late = held.promise.then(() => tx.insert(users).values({ name: 'late' }))
      late.catch(() => {})
      const other = held.promise.then(() => insert('late'))
      other.catch(() => {})
      late = Promise.any([late, other]).then(
        () => 'ran',
        (thrown: unknown) => (thrown as AggregateError).errors,
      )
    })
    held.open()

    expect(await late).toEqual([expect.any(TransactionEndedError), expect.any(TransactionEndedError)])
    expect(await there('late')).toBe(false)
  })

  test('in a scope builders share its connection', async () => {
    const { db, ours } = bench
    await db.scope(async () => {
      await Promise.all([ours.select().from(users), ours.select().from(users)])
      expect(db.stats().reserved).toBe(1)
    })
  })
})
