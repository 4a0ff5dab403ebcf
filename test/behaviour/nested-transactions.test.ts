/** Transactions inside of transactions: savepoints on the same connection, or a connection of their own. */

import { type Db, TransactionStateError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver, pid } from '../support/matrix.ts'

forEachDriver((driver) => {
  const numbers = async (db: Db, t: string): Promise<unknown[]> =>
    (await db.all(`select n from ${t} order by n`)).map(({ n }) => n)

  test('a nested transaction that throws takes back its own changes only', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    await db.transaction(async () => {
      await db.status(`insert into ${t} values (1)`)
      await caught(
        db.transaction(async () => {
          await db.status(`insert into ${t} values (2)`)
          throw new TypeError('inner')
        }),
      )
      await db.status(`insert into ${t} values (3)`)
    })

    expect(await numbers(db, t)).toEqual([1, 3])
  })

  test('what a nested transaction committed is taken back with the one around it', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    await caught(
      db.transaction(async () => {
        await db.transaction(() => db.status(`insert into ${t} values (1)`))
        throw new TypeError('outer')
      }),
    )

    expect(await numbers(db, t)).toEqual([])
  })

  test('a statement that fails in a nested transaction leaves the outer one usable', async () => {
    const db = await driver.db()
    const t = await driver.table('n int primary key')

    await db.transaction(async () => {
      await db.status(`insert into ${t} values (1)`)
      await caught(db.transaction(() => db.status(`insert into ${t} values (1)`)))
      await db.status(`insert into ${t} values (2)`)
    })

    expect(await numbers(db, t)).toEqual([1, 2])
  })

  test('nested transactions run on the connection of the outermost', async () => {
    const db = await driver.db()

    await db.transaction(async (outer) => {
      const connection = await pid(outer)
      await db.transaction(async (middle) => {
        expect(await pid(middle)).toBe(connection)
        await middle.transaction(async (inner) => expect(await pid(inner)).toBe(connection))
      })
      await outer.connection.transaction(async (inner) => expect(await pid(inner)).toBe(connection))
    })
  })

  test("the engine's isolation counts as that of the outermost", async () => {
    const db = await driver.db({ isolation: 'serializable' })

    expect(await db.transaction((tx) => tx.transaction(() => 7, { isolation: 'serializable' }))).toBe(7)
  })

  test('savepoints can be opened one after the other and inside of each other', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')
    const insert = (n: number): Promise<unknown> => db.status(`insert into ${t} values (${n})`)

    await db.transaction(async () => {
      for (const n of [1, 2, 3])
        await db
          .transaction(async () => {
            await insert(n)
            await db.transaction(() => insert(n * 10))
            if (n === 2) throw new TypeError('not this one')
          })
          .catch(() => {})
    })

    expect(await numbers(db, t)).toEqual([1, 3, 10, 30])
  })
})

forEachDriver(
  (driver) => {
    test('reuse: false gives a connection and a transaction of its own, ambient inside', async () => {
      const db = await driver.db()
      const t = await driver.table('n int')

      await caught(
        db.transaction(async (outer) => {
          const connection = await pid(outer)
          await db.transaction(
            async () => {
              expect(await pid(db)).not.toBe(connection)
              await db.status(`insert into ${t} values (1)`)
              const separate = await pid(db)
              await db.transaction(async () => expect(await pid(db)).toBe(separate))
              await db.transaction(async () => expect([connection, separate]).not.toContain(await pid(db)), {
                reuse: false,
              })
            },
            { reuse: false },
          )
          expect(await pid(db)).toBe(connection)
          throw new TypeError('outer')
        }),
      )

      expect(await db.all(`select n from ${t}`)).toEqual([{ n: 1 }])
    })
  },
  { connections: 3 },
)

test('SAVEPOINT travels with the first statement, RELEASE and ROLLBACK TO with the next one outside', async () => {
  await using server = await fake()
  const { db } = server

  await db.transaction(async () => {
    await db.status('insert into t values (1)')
    await db.transaction(() => db.status('insert into t values (2)'))
    await caught(
      db.transaction(async () => {
        await db.status('insert into t values (3)')
        throw new TypeError('inner')
      }),
    )
  })

  expect(server.sent()).toEqual([
    'BEGIN; insert into t values (1)',
    'SAVEPOINT "genever_1"; insert into t values (2)',
    'RELEASE SAVEPOINT "genever_1"; SAVEPOINT "genever_2"; insert into t values (3)',
    'ROLLBACK TO SAVEPOINT "genever_2"; RELEASE SAVEPOINT "genever_2"; COMMIT',
  ])
})

test('a nested transaction that sends nothing costs nothing, and one Sync opens all that are needed', async () => {
  await using server = await fake()
  const { db } = server

  await db.transaction(async () => {
    await db.transaction(() => 1)
    await db.transaction(() => db.transaction(() => db.status('insert into t values (1)')))
  })

  expect(server.sent()).toEqual([
    'BEGIN; SAVEPOINT "genever_2"; SAVEPOINT "genever_3"; insert into t values (1)',
    'COMMIT',
  ])
})

describe('options of a nested transaction', () => {
  test.each([
    ['isolation', { isolation: 'serializable' }],
    ['readOnly', { readOnly: true }],
    ['deferrable', { deferrable: true }],
  ] as const)(
    '%s that differs is refused before anything is sent, and the outer transaction goes on',
    async (name, options) => {
      await using server = await fake()
      const { db } = server

      await db.transaction(async () => {
        const error = await caught(db.transaction(() => db.status('insert into t values (1)'), options))
        expect(error).toBeInstanceOf(TransactionStateError)
        expect(error.message).toMatch(new RegExp(`${name}.*begun at test/behaviour/nested-transactions.*reuse: false`))
        await db.status('insert into t values (2)')
      })

      expect(server.driver.rows('t')).toEqual([{ v: 2 }])
    },
  )

  test('the same as those of the outermost are accepted', async () => {
    await using server = await fake()
    const options = { isolation: 'repeatable read', readOnly: true, deferrable: false } as const

    const value = await server.db.transaction(
      (tx) =>
        tx.transaction((inner) => inner.transaction(() => server.db.scalar('select 7'), options), { readOnly: true }),
      options,
    )

    expect(value).toBe(7)
  })

  test('a different isolation is possible with reuse: false', async () => {
    await using server = await fake()
    const { db } = server

    await db.transaction(async () => {
      await db.scalar('select 1')
      await db.transaction(() => db.scalar('select 2'), { reuse: false, isolation: 'serializable' })
    })

    expect(server.sent()).toContain('BEGIN ISOLATION LEVEL SERIALIZABLE; select 2')
  })
})
