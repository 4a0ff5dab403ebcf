/**
 * A connection is lent: while a scope waits for something else than the database and somebody waits for a connection, the
 * pool takes it back, and the next statement of the scope borrows again.
 */

import { setTimeout as sleep, setImmediate as immediate } from 'node:timers/promises'
import { AcquireTimeoutError, createDb, type Db } from 'genever'
import { expect, test } from 'vitest'
import { databaseUrl } from '../support/database.ts'
import { hear } from '../support/events.ts'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver, pid, wordsFor } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const waiting = (db: Db, n: number): Promise<unknown> => until(() => db.stats().waiting === n)
type Ending = readonly [name: string, work: (db: Db) => Promise<unknown>]
/** It keeps the connection until `over`, and says `kept` when it does. */
type Keeping = readonly [
  name: string,
  keep: (db: Db, over: Promise<unknown>, kept: () => void) => Promise<unknown>,
  why: RegExp,
]

const recalls = (db: Db): number => db.stats().recalls

forEachDriver((driver) => {
  /** PGlite has the whole process wait for a slow statement. */
  const slow = <C>(test: C): C[] => (driver.name !== 'pglite' ? [test] : [])

  test('the connection of a scope that waits for something else serves whoever waits', async () => {
    const db = await driver.single()

    await db.scope(async (connection) => {
      await db.scalar('select 1')
      expect(await db.detached(() => db.scalar('select 2'))).toBe(2)
      expect(connection.borrowed).toBe(false)
      expect(await db.scalar('select 3')).toBe(3)
    })

    expect(recalls(db)).toBe(1)
  })

  test('with nobody waiting the connection stays', async () => {
    const db = await driver.single()

    await db.scope(async (connection) => {
      await db.scalar('select 1')
      await sleep(20)
      expect(connection.borrowed).toBe(true)
    })

    expect(recalls(db)).toBe(0)
  })

  test.each<[string, (db: Db) => Promise<unknown>]>([
    ['promises', () => Promise.resolve().then(() => Promise.resolve())],
    ['process.nextTick', () => new Promise<void>((resolve) => process.nextTick(resolve))],
    ['one setImmediate', () => immediate()],
    ['5 ms of work', () => Promise.resolve(busy(5))],
  ])('code that goes on by %s keeps it while somebody waits', async (_, pause) => {
    const db = await driver.single()
    const others = { wanted: true }
    const ask = async (): Promise<void> => {
      while (others.wanted) await db.scalar('select 1')
    }
    let running: Promise<void>[] = []

    await db.scope(async () => {
      await db.scalar('select 0')
      running = [db.detached(ask), db.detached(ask)]
      for (let i = 0; i < 30; i++) {
        await db.scalar('select 2')
        await pause(db)
      }
      others.wanted = false
    })
    await Promise.all(running)

    expect(recalls(db)).toBe(0)
  })

  test('a scope whose connection was taken goes before those who came later, in the order in which they were taken', async () => {
    const db = await driver.single()
    const order: string[] = []
    const blocker = gate()
    const scope = async (name: string): Promise<void> =>
      db.scope(async () => {
        await db.scalar('select 1')
        await db.detached(() => db.scalar('select 1'))
        await blocked
        await db.scalar('select 1')
        order.push(name)
      })
    const blocked = blocker.promise

    const first = scope('first')
    await until(() => recalls(db) === 1)
    const second = scope('second')
    await until(() => recalls(db) === 2)
    await db.transaction(async () => {
      await db.scalar('select 1')
      const newcomer = db.detached(() => db.scalar('select 1').then(() => order.push('newcomer')))
      await waiting(db, 1)
      blocker.open()
      await waiting(db, 3)
      void newcomer
    })
    await Promise.all([first, second])
    await until(() => order.length === 3)

    expect(order).toEqual(['first', 'second', 'newcomer'])
  })

  test.each<Keeping>([
    [
      'a transaction',
      (db, over, kept) =>
        db.transaction(() =>
          db
            .scalar('select 1')
            .then(kept)
            .then(() => over),
        ),
      /in a transaction since \d+ ms/,
    ],
    [
      'a pin',
      (db, over, kept) =>
        db
          .status(driver.words.set('app.me', 'x'))
          .then(kept)
          .then(() => over),
      /session pinned by SET at .*recall\.test/,
    ],
    [
      'a temporary table',
      (db, over, kept) =>
        db
          .status(driver.words.temporary('pinned'))
          .then(kept)
          .then(() => over),
      /session pinned by CREATE/,
    ],
    ...(driver.lends
      ? [
          [
            'rawConnection()',
            (db, over, kept) =>
              db
                .current!.rawConnection()
                .then(kept)
                .then(() => over),
            /session pinned by rawConnection/,
          ] satisfies Keeping,
        ]
      : []),
    ['a scope that holds', (db, over, kept) => db.scope(() => (kept(), over), { hold: true }), /, held\b(?! \d)/],
    [
      'a reusing handle that holds',
      (db, over, kept) =>
        db.acquire({ reuse: true, hold: true }).then((own) => {
          kept()
          return over.then(() => own.release())
        }),
      /, held\b(?! \d)/,
    ],
    [
      'a cursor',
      async (db, over, kept) => {
        for await (const _ of db.iterate(driver.words.series(3), [], { batchSize: 1 })) {
          kept()
          await over
        }
      },
      /cursor opened at .*reading a cursor/,
    ],
    ...slow<Keeping>([
      'a statement',
      (db, over, kept) => {
        const stop = new AbortController()
        void over.then(() => stop.abort())
        const running = caught(db.scalar(driver.words.sleep(600), [], { signal: stop.signal }))
        kept()
        return running
      },
      /running a statement/,
    ]),
  ])('%s keeps the connection, and who gave up waiting is told why', async (_, keep, why) => {
    const db = await driver.single()

    const error = await db.scope(async () => {
      await db.scalar('select 1')
      const [over, kept] = [gate(), gate()]
      const keeping = keep(db, over.promise, () => kept.open())
      await kept.promise
      const error = await caught(
        db.detached(() => sleep(5).then(() => db.scope((own) => own.scalar('select 1', [], { timeoutMs: 25 })))),
      )
      over.open()
      await keeping
      return error
    })

    // A machine that takes longer than that has the wait judged before its time is over.
    expect(error.name).toMatch(/^(?:AcquireTimeout|SelfDeadlock)Error$/)
    expect(error.message).toMatch(why)
    expect(recalls(db)).toBe(0)
  })

  test.each<Ending>([
    ['an answer', (db) => db.scalar('select 2')],
    ['a failed statement', (db) => caught(db.scalar('select exp(1000)'))],
    ...slow<Ending>([
      'a cancelled statement',
      (db) => caught(db.scalar(driver.words.sleep(600), [], { timeoutMs: 20 })),
    ]),
    ['an empty transaction', (db) => db.transaction(() => sleep(30))],
    [
      'an empty transaction that throws',
      (db) => caught(db.transaction(() => sleep(30).then(() => Promise.reject(new Error('out'))))),
    ],
    [
      'an empty transaction that takes too long',
      (db) => caught(db.transaction(() => new Promise(() => {}), { timeoutMs: 20 })),
    ],
    ['a nested empty transaction', (db) => db.transaction(() => db.transaction(() => sleep(30)))],
    ['a commit', (db) => db.transaction(() => db.scalar('select 1').then(() => sleep(20)))],
    [
      'a rollback',
      (db) => caught(db.transaction(() => db.scalar('select 1').then(() => Promise.reject(new Error('out'))))),
    ],
    [
      'a cursor that is read to its end',
      async (db) => {
        for await (const _ of db.iterate(driver.words.series(3), [], { batchSize: 1 })) await sleep(5)
      },
    ],
    [
      'a cursor that is broken off',
      async (db) => {
        for await (const _ of db.iterate(driver.words.series(3), [], { batchSize: 1 })) break
      },
    ],
    ['a cursor that fails', (db) => caught(db.iterate('select exp(1000)').read())],
    ['the end of an inner scope that held', (db) => db.scope(() => sleep(20), { hold: true })],
    ['idle()', (db) => db.idle(() => db.scalar('select 1'))],
    ...slow<Ending>([
      'a statement that gave up waiting its turn',
      async (db) => {
        const stop = new AbortController()
        const running = caught(db.scalar(driver.words.sleep(600), [], { signal: stop.signal }))
        await caught(db.scalar('select 1', [], { timeoutMs: 5 }))
        stop.abort()
        await running
      },
    ]),
  ])('after %s a waiter is served while the scope waits for something else, whenever it came', async (_, ends) => {
    const db = await driver.single()

    for (const comes of ['before', 'after'])
      await besideTheScope(db, async (queue) => {
        const other = comes === 'before' ? queue() : null
        await ends(db)
        await (other ?? queue())
        expect(await db.scalar('select 3')).toBe(3)
      })
  })

  test('settings travel with every borrow', async () => {
    const db = await driver.single()
    const tenants = ['7', '8', '9']
    const seen: string[] = []

    await Promise.all(
      tenants.map((tenant) =>
        db.scope(
          async () => {
            for (let i = 0; i < 4; i++) {
              seen.push(`${tenant} ${await db.scalar<string>(driver.words.setting('app.tenant'))}`)
              await sleep(3)
            }
          },
          { settings: { 'app.tenant': tenant } },
        ),
      ),
    )

    expect(recalls(db)).toBeGreaterThan(0)
    expect(seen.filter((each) => each.split(' ')[0] !== each.split(' ')[1])).toEqual([])
    expect((await db.scalar(driver.words.setting('app.tenant'))) ?? '').toBe('')
  })

  test('the acquire timeout is one budget for all waits of a scope', async () => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 300 } })
    /** Keeps it for half of that time after somebody has begun to wait for it, however long the rest takes. */
    const hog = (asked: Promise<void>): Promise<void> =>
      db.transaction(async () => {
        await db.scalar('select 1')
        await asked
        await sleep(160)
      })

    const error = await db.scope(async () => {
      await db.scalar('select 1')
      for (let i = 0; i < 40; i++) {
        const asked = gate()
        const other = db.detached(() => hog(asked.promise)).catch(() => {})
        await until(() => db.stats().waiting === 0 && db.stats().reserved === 1)
        const answer = db.scalar('select 1').then(
          () => null,
          (reason: unknown) => reason,
        )
        asked.open()
        const failure = await answer
        await other
        if (failure !== null) return failure
      }
      return null
    })

    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect((error as AcquireTimeoutError).timeoutMs).toBeGreaterThanOrEqual(299)
  })

  test('a lease that was taken back is told as such, and counted', async () => {
    const db = await driver.single({ name: 'told' })
    using heard = hear('told')

    await db.scope(async () => {
      await db.scalar('select 1')
      await db.detached(() => db.scope((own) => own.scalar('select 2')))
    })

    expect(heard.leases.map(({ event, recalled }) => [event, recalled === true])).toEqual([
      ['acquire', false],
      ['release', true],
      ['acquire', false],
      ['release', false],
    ])
  })

  test('a handle from acquire() may be given up for recall', async () => {
    const db = await driver.single()
    await using own = await db.acquire({ hold: false })

    expect(await db.scalar('select 1')).toBe(1)
    expect(await own.scalar('select 2')).toBe(2)
  })

  test('a transaction that does nothing for long while others wait is told, once for its place', async () => {
    const name = `keeps others waiting on ${driver.name}`
    const db = await driver.single({ name })
    using heard = hear(name)

    for (const told of [true, false]) {
      const begun = gate()
      const waited = begun.promise.then(() => db.scalar('select 2'))
      await db.transaction(async () => {
        await db.scalar('select 1')
        begun.open()
        if (told) await until(() => heard.notices.length > 0)
        else await sleep(1_300)
      })
      await waited
    }

    expect(heard.notices.map(({ code }) => code)).toEqual(['held-while-waiting'])
    expect(heard.notices[0]?.places[0]).toContain('recall.test.ts')
  })
})

/** In a scope with the only connection; `queue` makes somebody wait for it and gives their answer. */
async function besideTheScope(db: Db, work: (queue: () => Promise<unknown>) => Promise<void>): Promise<void> {
  const ask = gate()
  let answer: Promise<unknown> = Promise.resolve()
  const outside = ask.promise.then(() => (answer = db.scalar('select 1')))
  await db.scope(async () => {
    await db.scalar('select 1')
    await work(async () => {
      ask.open()
      await outside
      return answer
    })
  })
}

function busy(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}

test('no more connections are taken than there are waiters', async () => {
  await using db = createDb(await databaseUrl(), { pool: { min: 6, max: 6 } })
  await db.open()
  await until(() => db.stats().idle === 6)
  const all = gate()
  const scopes = Array.from({ length: 6 }, () =>
    db.scope(
      async () => {
        await db.scalar('select 1')
        await all.promise
        await db.scalar('select 2')
      },
      { settings: { 'app.x': '1' } },
    ),
  )
  await until(() => db.stats().reserved === 6)
  await Promise.all([db.scalar('select 3'), db.scalar('select 3')])
  const taken = recalls(db)
  all.open()
  await Promise.all(scopes)

  // One is enough where the first waiter is served before the next is looked at.
  expect([1, 2]).toContain(taken)
})

test('many requests that wait between their statements share few connections', async () => {
  await using db = createDb(await databaseUrl(), { pool: { max: 3 } })
  await Promise.all([1, 2, 3].map(() => db.scalar(wordsFor(db).sleep(0.01))))
  const pids = new Set<number>()
  const all = gate()
  let waiting = 0
  const request = async (): Promise<void> =>
    db.scope(async () => {
      pids.add(await pid(db))
      // Held, no more than three could wait at once, and nobody would go on.
      if (++waiting === 30) all.open()
      await all.promise
      pids.add(await pid(db))
    })

  await Promise.all(Array.from({ length: 30 }, request))

  expect(pids.size).toBeLessThanOrEqual(3)
  expect(recalls(db)).toBeGreaterThanOrEqual(27)
})

test('requests that go on with their next statement lose no connection', async () => {
  await using db = createDb(await databaseUrl(), { pool: { max: 3 } })
  const request = async (): Promise<void> =>
    db.scope(async () => {
      for (let i = 0; i < 3; i++) await db.scalar('select 1')
    })

  await Promise.all(Array.from({ length: 40 }, request))

  expect(recalls(db)).toBe(0)
})
