/** Branches inside of one transaction, and transactions beside each other. */

import { type Db, UniqueViolationError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  test('branches of a Promise.all join the transaction they run in', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    await caught(
      db.transaction(async () => {
        await Promise.all(
          [1, 2, 3].map((n) => db.status(`insert into ${t} values (${driver.words.placeholder(1)})`, [n])),
        )
        expect(await db.scalar(`select count(*) from ${t}`)).toBe(3)
        throw new TypeError('all or nothing')
      }),
    )

    expect(await db.scalar(`select count(*) from ${t}`)).toBe(0)
  })

  test('a branch that fails deep in calls rejects Promise.all with its error, not with that of the branches behind it', async () => {
    const db = await driver.db()
    const t = await driver.table('n int primary key')
    const insert = (n: number): Promise<unknown> =>
      db.status(`insert into ${t} values (${driver.words.placeholder(1)})`, [n])
    const deep = async (n: number, depth: number): Promise<unknown> => (depth === 0 ? insert(n) : deep(n, depth - 1))
    const branches = [() => insert(2), () => db.transaction(() => insert(3)), () => db.scope(() => insert(4))]

    for (const branch of branches) {
      const error = await caught(
        db.transaction(async () => {
          await insert(1)
          // Issued one after the other, so that the branch waits while the failure comes.
          await Promise.all([deep(1, 20), branch(), branch()])
        }),
      )
      expect(error).toBeInstanceOf(UniqueViolationError)
    }
    expect(await db.scalar(`select count(*) from ${t}`)).toBe(0)
  })

  test('branches behind one that failed say that, whatever they are and however deep they stand', async () => {
    const db = await driver.single()
    const table = await driver.table('n int primary key')
    await caught(
      db.transaction(async () => {
        await db.status(`insert into ${table} values (1)`)
        const [, ...behind] = await Promise.allSettled([
          db.status(`insert into ${table} values (1)`),
          db.scalar('select 1 as fresh'),
          db.scalar('select 1 as fresh'),
          db.scalar('selec'),
          db.transaction(() => db.scalar('select 2')),
          db.transaction(() => db.transaction(() => db.scalar('selec'))),
        ])
        for (const told of behind as PromiseRejectedResult[])
          expect(told.reason).toMatchObject({
            name: 'TransactionAbortedError',
            cause: expect.any(UniqueViolationError),
          })
      }),
    )
    expect(await db.scalar('select 1 as fresh')).toBe(1)
  })

  test('branches that open nested transactions take turns, and each is kept or undone alone', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    await db.transaction(() =>
      Promise.all(
        [1, 2, 3, 4].map((n) =>
          db
            .transaction(async () => {
              await db.status(`insert into ${t} values (${driver.words.placeholder(1)})`, [n])
              await db.status(`insert into ${t} values (${driver.words.placeholder(1)})`, [n * 10])
              if (n % 2 === 0) throw new TypeError('even')
            })
            .catch(() => {}),
        ),
      ),
    )

    expect((await db.all(`select n from ${t} order by n`)).map(({ n }) => n)).toEqual([1, 3, 10, 30])
  })

  test('a thousand statements in one context are served in order on one connection', async () => {
    const db = await driver.db()
    const t = await driver.table(`${driver.words.id}, n int`)

    await db.transaction(() =>
      Promise.all(
        Array.from({ length: 1000 }, (_, n) =>
          db.status(`insert into ${t} (n) values (${driver.words.placeholder(1)})`, [n]),
        ),
      ),
    )

    expect(await db.scalar(`select count(*) from ${t} where id = n + 1`)).toBe(1000)
  })
})

describe('without a transaction around them', () => {
  test('transactions of branches run side by side on connections of their own', async () => {
    await using server = await fake()
    const { db } = server
    const all = gate()
    let inside = 0
    const one = (): Promise<unknown> =>
      db.transaction(async () => {
        await db.status('insert into t values (1)')
        if (++inside === 3) all.open()
        await all.promise
      })

    await Promise.all([one(), one(), one()])

    expect(server.driver.sessions).toHaveLength(3)
  })

  test('in one scope they take turns on its connection', async () => {
    await using server = await fake()
    const { db } = server
    const one = (n: number): Promise<unknown> =>
      db.transaction(async () => {
        await db.status('insert into t values (:n)', { n })
        await db.status('insert into t values (:n)', { n })
      })

    await db.scope(() => Promise.all([one(1), one(2)]))

    expect(server.driver.sessions).toHaveLength(1)
    expect(server.driver.rows('t').map(({ v }) => v)).toEqual([1, 1, 2, 2])
  })
})

test('transactions that waited for the first connection of their scope together are not nested in each other', async () => {
  await using server = await fake()
  const { db } = server
  await using _ = await db.acquire()

  await db.scope(() =>
    Promise.allSettled([
      db.transaction(async () => {
        await db.status('insert into t values (1)')
        throw new TypeError('first')
      }),
      db.transaction(() => db.status('insert into t values (2)')),
    ]),
  )

  expect(server.driver.rows('t')).toEqual([{ v: 2 }])
  expect(server.sent()).toEqual([
    'BEGIN; insert into t values (1)',
    'ROLLBACK',
    'BEGIN; insert into t values (2)',
    'COMMIT',
  ])
})

test('transactions of two engines inside of each other are two transactions', async () => {
  await using first = await fake()
  await using second = await fake()
  const write = (db: Db, n: number): Promise<unknown> => db.status('insert into t values (:n)', { n })

  await caught(
    first.db.transaction(async () => {
      await write(first.db, 1)
      await second.db.transaction(() => Promise.all([write(first.db, 2), write(second.db, 3)]))
      throw new TypeError('first')
    }),
  )

  expect(first.driver.rows('t')).toEqual([])
  expect(second.driver.rows('t')).toEqual([{ v: 3 }])
})
