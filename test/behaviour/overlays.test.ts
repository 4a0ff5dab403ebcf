/** Frames with other settings than those around them, on the same connection: each statement runs with those of its own code. */

import { type Db, type Executor, QueryError, TransactionStateError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake, sound } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver, pid, wordsFor } from '../support/matrix.ts'
import { within } from '../support/overlay.ts'

const tenantOn = (on: Executor): string => `${wordsFor(on).setting('app.tenant')} as tenant`
const settings = { 'app.tenant': 'a' }

const who = async (on: Executor): Promise<unknown> => (await on.scalar(tenantOn(on))) ?? ''

/** What is around the frames, and the tenant there. */
const around: Readonly<Record<string, readonly [string, (db: Db, work: () => Promise<void>) => Promise<unknown>]>> = {
  'a scope with settings': ['a', (db, work) => db.scope(work, { settings })],
  'a scope without': ['', (db, work) => db.scope(work)],
  'a transaction': ['a', (db, work) => db.scope(() => db.transaction(work), { settings })],
  'a savepoint': ['a', (db, work) => db.scope(() => db.transaction(() => db.transaction(work)), { settings })],
  'a frame like it': ['z', (db, work) => db.scope(() => within(db, 'z', work), { settings })],
  'a transaction in a frame like it': [
    'z',
    (db, work) => db.scope(() => within(db, 'z', () => db.transaction(work)), { settings }),
  ],
  'an acquired connection': [
    '',
    async (db, work) => {
      await using connection = await db.acquire()
      await connection.run(work)
    },
  ],
}

forEachDriver((driver) => {
  test.each(Object.entries(around))('in %s', async (_, [outer, run]) => {
    const db = await driver.single()

    await run(db, async () => {
      expect(await who(db)).toBe(outer)
      const here = await pid(db)
      await within(db, 'b', async () => {
        expect([await who(db), await pid(db)]).toEqual(['b', here])
        await within(db, 'c', async () => expect(await who(db)).toBe('c'))
        expect(await who(db)).toBe('b')
        await within(db, { 'app.tenant': null }, async () => expect(await who(db)).toBe(''))
        await within(db, { 'app.user': 'ann' }, async () =>
          expect([await who(db), await db.scalar(driver.words.setting('app.user'))]).toEqual(['b', 'ann']),
        )
        expect(await db.scalar(driver.words.setting('app.user'))).toBeFalsy()
        expect(await db.transaction((tx) => who(tx))).toBe('b')
        expect(await db.iterate<{ tenant: string }>(tenantOn(db)).read()).toEqual({ tenant: 'b' })
      })
      expect(await who(db)).toBe(outer)
    })
    expect(await who(db)).toBe('')
  })

  test.each(Object.entries(around))('side by side in %s each has its own', async (_, [outer, run]) => {
    const db = await driver.single()
    const names = ['b', 'c', 'b', 'd', 'c']

    await run(db, async () => {
      const seen = await Promise.all(
        Array.from({ length: 6 }, async () => [
          await who(db),
          ...(await Promise.all(names.map((name) => within(db, name, () => who(db))))),
        ]),
      )
      expect(seen).toEqual(Array.from({ length: 6 }, () => [outer, ...names]))
    })
  })

  test.each(Object.entries(around))('they are right behind what is rolled back in %s', async (_, [outer, run]) => {
    const db = await driver.single()
    const rolledBack = (work: () => Promise<unknown>): Promise<unknown> =>
      db.transaction(async (tx) => {
        await work()
        tx.raiseRollback()
      })

    await run(db, async () => {
      await rolledBack(() => within(db, 'b', () => who(db)))
      expect(await who(db)).toBe(outer)
      await within(db, 'b', async () => {
        await rolledBack(() => within(db, 'c', () => who(db)))
        expect(await who(db)).toBe('b')
        await caught(db.transaction((tx) => within(db, 'c', () => tx.scalar('select exp(1000)'))))
        expect(await who(db)).toBe('b')
        await rolledBack(() => who(db))
        expect(await within(db, 'c', () => who(db))).toBe('c')
        await db.transaction(() => within(db, 'd', () => who(db)))
        expect(await who(db)).toBe('b')
      })
      expect(await who(db)).toBe(outer)
      await db.transaction(() => within(db, 'b', () => db.transaction(() => within(db, 'c', () => who(db)))))
      expect(await who(db)).toBe(outer)
    })
  })

  test('a statement that fails or runs out of time leaves nobody with the settings of another', async () => {
    const db = await driver.single()

    await db.scope(
      async () => {
        for (let i = 0; i < 3; i++) {
          await caught(within(db, 'b', () => db.scalar('select exp(1000)')))
          expect(await who(db)).toBe('a')
          await within(db, 'b', () => who(db))
          await caught(db.scalar('select exp(1000)'))
          expect(await within(db, 'b', () => who(db))).toBe('b')
          // Nothing can stop a statement there.
          if (driver.name !== 'pglite')
            await caught(within(db, 'c', () => db.scalar(driver.words.sleep(600), [], { timeoutMs: 20 })))
          expect(await who(db)).toBe('a')
        }
      },
      { settings },
    )
  })

  test('settings that the server refuses stop each statement of their frame, and none outside', async () => {
    const db = await driver.single()
    const table = await driver.table('who text')
    const add = (): Promise<unknown> => db.status(`insert into ${table} ${driver.words.setting('app.tenant')}`)
    const refused = { 'app.tenant': 'b', [driver.words.number]: 'soon' }

    await db.scope(
      async () => {
        for (let i = 0; i < 2; i++) {
          expect(await caught(within(db, refused, add))).toMatchObject({ name: 'QueryError', outcome: 'not_started' })
          await add()
          const inside = await caught(db.transaction(() => within(db, refused, add)))
          expect(inside).toBeInstanceOf(QueryError)
          await db.transaction(async () => {
            await caught(db.transaction(() => within(db, refused, add)))
            await add()
          })
        }
      },
      { settings },
    )

    expect(await db.all(`select who, count(*) as n from ${table} group by who`)).toEqual([{ who: 'a', n: 4 }])
  })

  test('a setting that is taken away is what onConnect had made it', async () => {
    const db = await driver.single({
      onConnect: (connection) => connection.status(driver.words.set('app.tenant', 'made')),
    })

    await db.scope(
      async () => {
        expect(await who(db)).toBe('a')
        expect(await within(db, { 'app.tenant': null }, () => who(db))).toBe('made')
        expect(await who(db)).toBe('a')
        expect(await db.transaction(() => within(db, { 'app.tenant': null }, () => who(db)))).toBe('made')
        expect(await who(db)).toBe('a')
      },
      { settings },
    )
    expect(await who(db)).toBe('made')
  })

  test('a transaction made outside runs with them inside, one made inside keeps them outside', async () => {
    const db = await driver.single()

    await db.scope(
      () =>
        db.transaction(async (tx) => {
          expect(await within(db, 'b', () => Promise.all([who(tx), who(tx.connection), who(db)]))).toEqual([
            'b',
            'b',
            'b',
          ])
          expect(await who(tx)).toBe('a')
          const [given, done] = [gate(), gate()]
          let inner: Executor = tx
          const inside = within(db, 'b', () =>
            db.transaction(async (nested) => {
              inner = nested
              given.open()
              await done.promise
            }),
          )
          await given.promise
          expect(await who(inner)).toBe('b')
          expect(await within(db, 'c', () => who(inner))).toBe('b')
          done.open()
          await inside
        }),
      { settings },
    )
  })

  // On MySQL nothing else runs between two rows of a transaction.
  test.skipIf(driver.name === 'mysql')(
    'a cursor keeps the settings of where it was made, whoever reads it',
    async () => {
      const db = await driver.single()
      const rows = `select current_setting('app.tenant') as who from generate_series(1, 6)`

      await db.scope(
        () =>
          db.transaction(async () => {
            await within(db, 'b', async () => {
              const cursor = db.iterate<{ who: string }>(rows, [], { batchSize: 1 })
              const read = (): Promise<unknown> => cursor.read().then((row) => row?.who)
              expect(await read()).toBe('b')
              expect(await within(db, 'c', async () => [await who(db), await read(), await who(db)])).toEqual([
                'c',
                'b',
                'c',
              ])
              expect(await read()).toBe('b')
              await cursor.close()
            })
          }),
        { settings },
      )
    },
  )

  test('code that runs on after them is refused, rather than run as somebody else', async () => {
    const db = await driver.single()

    await db.scope(
      async (own) => {
        for (const changes of [{ 'app.tenant': 'b' }, { 'app.tenant': null }]) {
          const ended = gate()
          const ways: (() => Promise<unknown>)[] = [
            () => who(db),
            () => who(own),
            () => db.transaction(() => {}),
            () => db.scope(() => {}, { reuse: false }),
            () => db.iterate(tenantOn(db)).read(),
            () => within(db, 'c', () => who(db)),
          ]
          const left = await within(db, changes, async () => ways.map((way) => caught(ended.promise.then(() => way()))))
          ended.open()
          for (const error of await Promise.all(left)) expect(error).toBeInstanceOf(TransactionStateError)
        }
        expect(await who(db)).toBe('a')
      },
      { settings },
    )
  })

  test('without a connection around, each statement has them, and detached() leaves them', async () => {
    const db = await driver.single()

    await within(db, 'b', async () => {
      expect(await who(db)).toBe('b')
      expect(db.current).toBeUndefined()
      expect(await db.detached(() => who(db))).toBe('')
      expect(await db.scope(() => who(db))).toBe('b')
      expect(await db.transaction((tx) => who(tx))).toBe('b')
      expect(await who(db)).toBe('b')
    })
    expect(db.current).toBeUndefined()
    expect(await who(db)).toBe('')
  })

  test('a transaction by text is followed', async () => {
    const db = await driver.single()
    await using connection = await db.acquire()

    await connection.run(() =>
      within(db, 'a', async () => {
        await connection.status('begin')
        await connection.status('savepoint s')
        expect(await within(db, 'b', () => who(connection))).toBe('b')
        await connection.status('rollback to s')
        expect(await who(connection)).toBe('a')
        expect(await within(db, 'b', () => who(connection))).toBe('b')
        await connection.status('rollback')
        expect(await within(db, 'b', () => who(connection))).toBe('b')
        expect(await who(connection)).toBe('a')
      }),
    )
  })
})

forEachDriver(
  (driver) => {
    test('other connections that are borrowed inside have them', async () => {
      const db = await driver.db()

      await db.scope(
        () =>
          within(db, 'b', async () => {
            const seen = await Promise.all([
              db.scope(() => who(db), { reuse: false }),
              db.transaction((tx) => who(tx), { reuse: false }),
              db.acquire().then(async (connection) => {
                await using own = connection
                return await who(own)
              }),
              who(db),
            ])
            expect(seen).toEqual(['b', 'b', 'b', 'b'])
          }),
        { settings },
      )
    })
  },
  { connections: 4 },
)

test('behind a pooler they are of each transaction', async () => {
  await using server = await fake({}, { pooler: 'transaction', pool: { max: 1 } })
  const { db } = server

  await db.scope(
    async () => {
      expect([await who(db), await within(db, 'b', () => who(db)), await who(db)]).toEqual(['a', 'b', 'a'])
      await db.transaction(async (tx) => {
        expect([await who(db), await within(db, 'b', () => who(db)), await who(tx)]).toEqual(['a', 'b', 'a'])
        await caught(db.transaction(() => within(db, 'b', () => db.scalar('fail 22012'))))
        expect([await who(db), await within(db, { 'app.tenant': null }, () => who(db))]).toEqual(['a', ''])
      })
      expect(await who(db)).toBe('a')
    },
    { settings },
  )
  expect(server.sent().join('\n')).not.toMatch(/, false\)|RESET/)
  await sound(server)
})
