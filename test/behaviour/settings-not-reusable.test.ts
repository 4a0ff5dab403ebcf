/** The settings of `scope({ reusable: false })`: its connection is its own, its settings hold for whatever runs inside. */

import { type Db, TransactionStateError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { postgresWords } from '../support/dialect-words.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver, pid } from '../support/matrix.ts'

const settings = { 'app.tenant': '7' }
const other = { 'app.tenant': '8' }

/** Every way to a connection that is borrowed inside. */
const ways: Readonly<Record<string, (db: Db, tenant: string) => Promise<unknown>>> = {
  'a statement': (db, tenant) => db.scalar(tenant),
  'a scope': (db, tenant) => db.scope(() => db.scalar(tenant)),
  'a scope of its own': (db, tenant) => db.scope(() => db.scalar(tenant), { reuse: false }),
  'a transaction': (db, tenant) => db.transaction(() => db.scalar(tenant)),
  'a transaction of its own': (db, tenant) => db.transaction(() => db.scalar(tenant), { reuse: false }),
  'a transaction by hand': async (db, tenant) => {
    await using tx = await db.begin()
    return await tx.scalar(tenant)
  },
  'a handle': async (db, tenant) => {
    await using connection = await db.acquire()
    return await connection.scalar(tenant)
  },
  'a cursor': async (db, tenant) => {
    const row = await db.iterate<{ tenant: string }>(`${tenant} as tenant`).read()
    return row?.tenant
  },
}
const every = Object.entries(ways)
/** Those that take another connection than the ambient one. */
const apart = /own|hand/

forEachDriver(
  (driver) => {
    const tenant = driver.words.setting('app.tenant')
    test.each(every)('hold for %s inside, on another connection than its own', async (_, use) => {
      const db = await driver.db()

      await db.scope(
        async (connection) => {
          expect(await connection.scalar(tenant)).toBe('7')
          expect(db.current).toBeUndefined()
          expect(await pid(db)).not.toBe(await pid(connection))
          expect(await use(db, tenant)).toBe('7')
        },
        { reusable: false, settings, hold: true },
      )

      expect(await db.scalar(tenant)).toBeFalsy()
    })

    test('an inner one lays its own over them', async () => {
      const db = await driver.db()
      const both = `select concat((${tenant}), (${driver.words.setting('app.user')}))`

      const seen = await db.scope(
        () => db.scope(() => db.scalar(both), { reusable: false, settings: { 'app.user': 'ada' } }),
        { reusable: false, settings },
      )

      expect(seen).toBe('7ada')
    })

    test('detached() takes them away', async () => {
      const db = await driver.db()

      await db.scope(
        async () => {
          expect(await db.detached(() => db.scalar(tenant))).toBeFalsy()
        },
        { reusable: false, settings },
      )
    })
  },
  { connections: 2 },
)

const tenant = postgresWords.setting('app.tenant')

describe('inside of a scope or transaction without them', () => {
  const around: Readonly<Record<string, (db: Db, work: () => Promise<void>) => Promise<void>>> = {
    'a scope': (db, work) => db.scope(work),
    'a scope with others': (db, work) => db.scope(work, { settings: other }),
    'a transaction': (db, work) => db.transaction(work),
  }

  test.each(Object.entries(around))('%s is not used by what is implicit: that throws', async (_, outside) => {
    await using server = await fake()
    const { db } = server

    await outside(db, () =>
      db.scope(
        async (own) => {
          expect(await own.scalar(tenant)).toBe('7')
          expect(db.current).toBeUndefined()
          for (const [name, use] of every) {
            if (apart.test(name)) expect(await use(db, tenant)).toBe('7')
            else expect(await caught(use(db, tenant))).toBeInstanceOf(TransactionStateError)
          }
          expect((await caught(db.scalar(tenant))).message).toMatch(/reusable: false.*settings/)
        },
        { reuse: false, reusable: false, settings },
      ),
    )
  })

  test('one that has the same settings is used', async () => {
    await using server = await fake()
    const { db } = server

    await db.scope(
      (outer) =>
        db.scope(
          async () => {
            expect(await db.scalar(tenant)).toBe('7')
            expect(await pid(db)).toBe(await pid(outer))
            expect(db.current).toBe(outer)
          },
          { reuse: false, reusable: false, settings },
        ),
      { settings },
    )
  })

  test('without settings of its own a scope that is not reusable leaves all as it is', async () => {
    await using server = await fake()
    const { db } = server

    await db.scope(
      async (outer) => {
        await db.scope(async () => expect(await pid(db)).toBe(await pid(outer)), { reuse: false, reusable: false })
      },
      { settings },
    )
  })
})

test('code that still runs after such a scope has ended is refused, rather than run without them', async () => {
  await using server = await fake()
  const { db } = server
  const ended = gate()

  const left = await db.scope(() => every.map(([, use]) => caught(ended.promise.then(() => use(db, tenant)))), {
    reusable: false,
    settings,
  })
  ended.open()

  for (const error of await Promise.all(left)) expect(error).toBeInstanceOf(TransactionStateError)
  expect(db.current).toBeUndefined()
  expect(await db.scalar(tenant)).toBeFalsy()
})
