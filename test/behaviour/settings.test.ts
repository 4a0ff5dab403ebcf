/** Settings of a scope: in front of the first statement of every borrow, so that none ever runs as somebody else. */

import { type Db, QueryError, TransactionStateError, UsageError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'

const tenant = `select coalesce(current_setting('app.tenant', true), '')`
const settings = { 'app.tenant': '7' }
const eight = { 'app.tenant': '8' }

/** Who a statement of each kind runs as. */
async function everyWay(db: Db): Promise<unknown[]> {
  return [
    await db.scalar(tenant),
    await db.sql<{ coalesce: string }>`select coalesce(current_setting('app.tenant', true), '')`.scalar(),
    await db.scope(() => db.scalar(tenant)),
    await db.transaction((tx) => tx.scalar(tenant)),
    await db.transaction(() => db.transaction(() => db.scalar(tenant))),
    ((await db.iterate(tenant).read()) as { coalesce: string }).coalesce,
    await db.acquire({ reuse: true }).then(async (connection) => {
      await using reusing = connection
      return await reusing.scalar(tenant)
    }),
  ]
}
const ways = 7

forEachDriver((driver) => {
  test('every kind of statement in the scope has them, and nobody has them afterwards', async () => {
    const db = await driver.single()

    const inside = await db.scope(() => everyWay(db), { settings })

    expect(inside).toEqual(Array(ways).fill('7'))
    expect(await everyWay(db)).toEqual(Array(ways).fill(''))
  })

  test('the first statement of all is a transaction or a cursor, and has them too', async () => {
    const db = await driver.single()

    const first = [
      await db.scope(() => db.transaction((tx) => tx.scalar(tenant)), { settings }),
      await db.scope(() => db.transaction(() => db.transaction((tx) => tx.scalar(tenant))), { settings }),
      await db.scope(() => db.iterate<{ coalesce: string }>(tenant).read(), { settings }),
      await db.scope((connection) => connection.scalar(tenant), { settings, reusable: false }),
      await db.scope((connection) => connection.scalar(tenant), { settings, lazy: false }),
    ]

    expect(first).toEqual(['7', '7', { coalesce: '7' }, '7', '7'])
  })

  test('a connection handed back and borrowed again has them again', async () => {
    const db = await driver.single()

    await db.scope(
      async (connection) => {
        const seen = [await db.scalar(tenant)]
        await connection.release({ permanent: false })
        expect(await db.detached(() => db.scalar(tenant))).toBe('')
        seen.push(await db.scalar(tenant))
        await db.idle(async () => {
          seen.push(await db.scalar(tenant))
          expect(await db.detached(() => db.scalar(tenant))).toBe('')
          seen.push(await db.scalar(tenant))
        })
        seen.push(await db.scalar(tenant))
        expect(seen).toEqual(Array(5).fill('7'))
      },
      { settings },
    )
  })

  test('they survive a first statement that fails', async () => {
    const db = await driver.single()

    await db.scope(
      async () => {
        await caught(db.scalar('select 1 / 0'))
        expect(await db.scalar(tenant)).toBe('7')
      },
      { settings },
    )
  })

  test('they survive the rollback of a first transaction, or of one inside of it', async () => {
    const db = await driver.single()
    const rolledBack = (): Promise<unknown> =>
      db.transaction(async (tx) => {
        await tx.scalar('select 1')
        tx.raiseRollback()
      })

    const seen = [
      await db.scope(() => rolledBack().then(() => db.scalar(tenant)), { settings }),
      await db.scope(() => db.transaction(() => rolledBack().then(() => db.scalar(tenant))), { settings }),
      await db.scope(
        async () => {
          await caught(db.transaction((tx) => tx.scalar('select 1 / 0')))
          return db.scalar(tenant)
        },
        { settings },
      ),
      await db.scope(
        () =>
          db.transaction(async () => {
            await caught(db.transaction((tx) => tx.scalar('select 1 / 0')))
            return db.scalar(tenant)
          }),
        { settings },
      ),
    ]

    expect(seen).toEqual(['7', '7', '7', '7'])
  })

  test('what user code sets over them is what it was before a transaction that is rolled back, or one inside of it', async () => {
    const db = await driver.single()
    const failing = [
      (): Promise<unknown> => db.transaction(() => db.scalar('select 1 / 0')),
      (): Promise<unknown> => db.transaction(() => db.transaction(() => db.scalar('select 1 / 0'))),
      (): Promise<unknown> => db.transaction((tx) => tx.raiseRollback()),
      (): Promise<unknown> =>
        db.transaction(async (tx) => {
          await db.status(`set local app.tenant = '8'`)
          tx.raiseRollback()
        }),
      (): Promise<unknown> =>
        db.transaction(async (tx) => {
          await db.scope(() => db.scalar(tenant), { settings })
          await db.transaction(() => db.status(`set app.tenant = '8'`))
          tx.raiseRollback()
        }),
    ]

    for (const fail of failing) {
      await db.scope(
        async () => {
          await db.status(`set app.tenant = '9'`)
          await caught(fail().then(() => Promise.reject(new Error('it was left'))))
          expect(await db.scalar(tenant)).toBe('9')
          await db.transaction(async () => {
            await db.status(`set local app.tenant = '10'`)
            await caught(fail().then(() => Promise.reject(new Error('it was left'))))
            expect(await db.scalar(tenant)).toBe('10')
          })
          expect(await db.scalar(tenant)).toBe('9')
        },
        { settings },
      )
      expect(await db.scalar(tenant)).toBe('')
    }
  })

  test('they survive a transaction written as text that is rolled back', async () => {
    const db = await driver.single()

    await db.scope(
      async () => {
        await using connection = await db.scope(() => db.detached(() => db.acquire({ lazy: true }), { settings }))
        await connection.status('begin')
        expect(await connection.scalar(tenant)).toBe('7')
        await connection.status('rollback')
        expect(await connection.scalar(tenant)).toBe('7')
      },
      { settings },
    )
  })

  test('settings the server refuses stop every statement of the scope, not only the first', async () => {
    const db = await driver.single()
    const refused = { statement_timeout: 'soon' }

    const errors = await db.scope(
      async () => [
        await caught(db.scalar('select 1')),
        await caught(db.scalar('select 2')),
        await caught(db.transaction((tx) => tx.scalar('select 3'))),
      ],
      { settings: refused },
    )

    expect(errors.map((error) => error instanceof QueryError && error.sqlState)).toEqual(['22023', '22023', '22023'])
    expect(await db.scalar('select 4')).toBe(4)
  })

  test('a setting that no server can have is refused by its name', async () => {
    const db = await driver.single()

    const error = await caught(db.scope(() => db.scalar('select 1'), { settings: { "x'; drop table users; --": '1' } }))

    expect(error).toBeInstanceOf(UsageError)
  })

  test('a scope inside shares the connection when it asks for the same, and is refused when it asks for another', async () => {
    const db = await driver.single()

    await db.scope(
      async (outer) => {
        expect(await db.scope((inner) => inner.raw === outer.raw && inner.scalar(tenant), { settings })).toBe('7')
        const error = await caught(db.scope(() => db.scalar(tenant), { settings: eight }))
        expect([error instanceof TransactionStateError, error.message.includes('app.tenant')]).toEqual([true, true])
        expect(await db.scalar(tenant)).toBe('7')
      },
      { settings },
    )
    await db.scope(() => expect(db.scope(() => {}, { settings })).rejects.toThrow(TransactionStateError))
  })

  test('a transaction cannot be entered by a scope with other settings', async () => {
    const db = await driver.single()

    await db.transaction(async (tx) => {
      await expect(db.scope(() => {}, { settings })).rejects.toThrow(TransactionStateError)
      expect(await tx.scalar(tenant)).toBe('')
    })
  })

  test('what user code sets over them in the scope is gone after it', async () => {
    const db = await driver.single()

    await db.scope(
      async () => {
        await db.status(`set app.tenant = '9'`)
        expect(await db.scalar(tenant)).toBe('9')
      },
      { settings },
    )

    expect(await db.scalar(tenant)).toBe('')
    expect(await db.scope(() => db.scalar(tenant), { settings })).toBe('7')
  })

  test('after the scope a setting is what onConnect made it', async () => {
    const db = await driver.single({ onConnect: (connection) => connection.status(`set application_name = 'made'`) })
    const show = (): Promise<unknown> => db.scalar('show application_name')

    const seen = [await show(), await db.scope(show, { settings: { application_name: 'seven' } }), await show()]

    expect(seen).toEqual(['made', 'seven', 'made'])
  })
})

forEachDriver(
  (driver) => {
    test('whatever opens a connection of its own in the scope has them, with its own on top', async () => {
      const db = await driver.db()

      const seen = await db.scope(
        async () => [
          await db.scope((connection) => connection.scalar(tenant), { reuse: false }),
          await db.scope((connection) => connection.scalar(tenant), { reuse: false, settings: eight }),
          await db.scope((connection) => connection.scalar(tenant), { reuse: false, settings: { 'app.user': 'ann' } }),
          await db.transaction((tx) => tx.scalar(tenant), { reuse: false }),
          await db.scalar(tenant),
        ],
        { settings },
      )

      expect(seen).toEqual(['7', '8', '7', '7', '7'])
    })

    test('many tenants at once on few connections never meet', async () => {
      const db = await driver.db({ pool: { max: 3 } })
      const work = (id: string): Promise<unknown[]> =>
        db.scope(
          async (connection) => {
            const seen: unknown[] = [await db.scalar(tenant)]
            await connection.release({ permanent: false })
            seen.push(await db.transaction((tx) => tx.scalar(tenant)))
            await db.idle(async () => seen.push(...(await Promise.all([db.scalar(tenant), db.scalar(tenant)]))))
            await caught(db.scalar('select 1 / 0'))
            seen.push(await db.scalar(tenant))
            return seen
          },
          { settings: { 'app.tenant': id } },
        )

      const ids = Array.from({ length: 40 }, (_, i) => String(i))
      const [seen, nobody] = await Promise.all([
        Promise.all(ids.map(work)),
        Promise.all(ids.map(() => db.scope(() => db.scalar(tenant)))),
      ])

      expect(seen).toEqual(ids.map((id) => Array(5).fill(id)))
      expect(new Set(nobody)).toEqual(new Set(['']))
    })
  },
  { connections: 2 },
)
