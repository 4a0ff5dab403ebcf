/** `detached(work)`: for work that outlives what it was started in, without its connection, transaction and settings. */

import { TransactionEndedError, TransactionStateError, UsageError } from 'genever'
import { expect, test } from 'vitest'
import { type Caught, caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { doing, forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const settings = { 'app.tenant': '7' }

forEachDriver((driver) => {
  const tenant = driver.words.setting('app.tenant')
  test('work left behind by a transaction fails; detached from it, it does not', async () => {
    const db = await driver.single()
    const ended = gate()
    const later = async (): Promise<unknown> => {
      await ended.promise
      return db.scalar('select 1')
    }

    const left = await db.transaction(() => [caught(later()), db.detached(later)])
    ended.open()

    expect(await Promise.all(left)).toEqual([expect.any(TransactionEndedError), 1])
  })

  test('the error of work left behind names where the transaction began and what to do', async () => {
    const db = await driver.single()
    const ended = gate()

    const [left] = await db.transaction(() => [caught(ended.promise.then(() => db.scalar('select 1')))])
    ended.open()

    expect((await left)?.message).toMatch(/begun at \S*detached\.test\.ts:\d+:\d+.* was committed.*detached\(\)/)
  })

  test('detached work starts at once, and what it returns or throws comes through', async () => {
    const db = await driver.single()
    let begun = false

    const answer = db.detached(() => {
      begun = true
      return Promise.resolve('answer')
    })

    expect([begun, await answer]).toEqual([true, 'answer'])
    await expect(
      db.detached(() => {
        throw new RangeError('out')
      }),
    ).rejects.toThrow(RangeError)
  })

  test('detached work that nobody awaits gets the only connection once what it left has given it back', async () => {
    const db = await driver.single()
    const left: Promise<unknown>[] = []

    await db.transaction(async (tx) => {
      await tx.scalar('select 1')
      left.push(
        db.detached(() => db.scalar('select 2')),
        db.detached(() => db.transaction((own) => own.scalar('select 3'))),
      )
    })

    expect(await Promise.all(left)).toEqual([2, 3])
  })

  test('detached work keeps the engine of a db that was unbound meanwhile', async () => {
    const db = await driver.single()

    await db.scope(async () => {
      const engine = db.unbind()
      expect(await db.detached(() => db.scalar('select 1'))).toBe(1)
      await db.bind(engine as NonNullable<typeof engine>)
    })
  })

  test('nothing around it is seen, and a scope inside is its own', async () => {
    const db = await driver.single()

    await db.scope(async (outer) => {
      await db.detached(async () => {
        expect(db.current).toBeUndefined()
        await db.scope(async (inner) => {
          await inner.scalar('select 1')
          expect([db.current === inner, outer.borrowed]).toEqual([true, false])
        })
      })
      expect(db.current).toBe(outer)
    })
  })

  test('settings around it are dropped', async () => {
    const db = await driver.single()

    const seen = await db.scope(
      () => db.detached(async () => [await db.scalar(tenant), await db.scope(() => db.scalar(tenant))]),
      {
        settings,
      },
    )

    expect(seen.map((each) => each ?? '')).toEqual(['', ''])
  })

  test('settings given to it hold for every statement, scope and transaction inside, and afterwards for nobody', async () => {
    const db = await driver.single()

    const seen = await db.detached(
      async () => [
        await db.scalar(tenant),
        await db.scalar(tenant),
        await db.scope(() => db.scalar(tenant)),
        await db.transaction(() => db.scalar(tenant)),
        await db.scope((connection) => connection.scalar(tenant), { reuse: false, reusable: false }),
        await db.acquire().then(async (connection) => {
          await using own = connection
          return await own.scalar(tenant)
        }),
        await db.begin().then(async (transaction) => {
          await using own = transaction
          return await own.scalar(tenant)
        }),
      ],
      { settings },
    )

    expect(seen).toEqual(['7', '7', '7', '7', '7', '7', '7'])
    expect(await db.scalar(tenant)).toBeFalsy()
  })

  test('a lone statement with settings gives its connection back at once', async () => {
    const db = await driver.single()

    await db.detached(
      async () => {
        await db.scalar(tenant)
        await until(() => doing(db) === '0 lent, 1 idle, 0 waiting')
      },
      { settings },
    )
  })

  test('work that outlives the detached() whose settings it had is refused', async () => {
    const db = await driver.single()
    const ended = gate()
    const left: Promise<Caught>[] = []

    await db.detached(
      () =>
        void left.push(
          caught(ended.promise.then(() => db.scalar(tenant))),
          caught(ended.promise.then(() => db.scope(() => db.scalar(tenant)))),
          caught(ended.promise.then(() => db.acquire())),
        ),
      { settings },
    )
    ended.open()

    for (const error of await Promise.all(left)) expect(error).toBeInstanceOf(TransactionStateError)
  })

  test('detached inside of detached has none of its settings', async () => {
    const db = await driver.single()

    expect(await db.detached(() => db.detached(() => db.scalar(tenant)), { settings })).toBeFalsy()
  })

  test('a statement that makes session state is refused there as it is outside of every scope', async () => {
    const db = await driver.single()

    const errors = [
      await caught(db.status(driver.words.set('app.lost', 'yes'))),
      await caught(db.detached(() => db.status(driver.words.set('app.lost', 'yes')))),
      await caught(db.detached(() => db.status(driver.words.set('app.lost', 'yes')), { settings })),
    ]

    expect(errors.map((error) => error instanceof UsageError && /scope\(/.test(error.message))).toEqual([
      true,
      true,
      true,
    ])
  })
})

forEachDriver(
  (driver) => {
    test('detached work sees nothing of the transaction around it', async () => {
      const db = await driver.db()
      const table = await driver.table('n int')

      await db.transaction(async (tx) => {
        await tx.status(`insert into ${table} values (1)`)
        expect(await db.detached(() => db.scalar(`select count(*) from ${table}`))).toBe(0)
        await db.detached(() => db.status(`insert into ${table} values (2)`))
        tx.raiseRollback()
      })

      expect(await db.all(`select n from ${table}`)).toEqual([{ n: 2 }])
    })
  },
  { connections: 2 },
)
