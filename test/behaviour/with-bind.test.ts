/** `withBind`: another database within a callback, for this `Db` and nobody else; and several engines side by side. */

import { type Connection, createDb, createEngine, type Engine, NotBoundError, PoolClosedError } from 'genever'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { pgliteStart } from '../support/patience.ts'
import { until } from '../support/until.ts'

forEachDriver((driver) => {
  const name = driver.words.setting('test.name')
  const engines: Engine[] = []
  let [a, b]: Engine[] = []

  beforeAll(async () => {
    // Two engines on one PGlite share its only session, so they get a database each.
    const urls = [await driver.url(), driver.name === 'pglite' ? 'pglite://memory/second' : await driver.url()]
    for (const [i, url] of urls.entries()) {
      const onConnect = (connection: Connection): Promise<unknown> =>
        connection.status(driver.words.set('test.name', i === 0 ? 'a' : 'b'))
      engines.push(await createEngine(url, { onConnect, pool: { max: 2, idleTimeoutMs: Infinity, ...pgliteStart } }))
    }
    ;[a, b] = engines
  })
  afterAll(async () => {
    for (const engine of engines.splice(0)) await engine.close()
  })
  const two = (): readonly [Engine, Engine] => [a as Engine, b as Engine]

  test('inside of the callback the db is bound, outside it is not', async () => {
    const [a] = two()
    const db = createDb()

    const seen = await db.withBind(a, async (engine) => [engine === a, await db.scalar(name), db.bound])

    expect([...seen, db.bound]).toEqual([true, 'a', true, false])
    await expect(db.all('select 1')).rejects.toThrow(NotBoundError)
  })

  test('the innermost withBind counts, and the outer one again after it', async () => {
    const [a, b] = two()
    const db = createDb()

    const names = await db.withBind(a, async () => [
      await db.scalar(name),
      await db.withBind(b, () => db.scalar(name)),
      await db.scalar(name),
    ])

    expect(names).toEqual(['a', 'b', 'a'])
  })

  test('an open db is bound to another engine for the callback only', async () => {
    const [a, b] = two()
    const db = createDb()
    await db.bind(a)

    expect([await db.withBind(b, () => db.scalar(name)), await db.scalar(name)]).toEqual(['b', 'a'])
  })

  test('concurrent withBinds do not see each other', async () => {
    const [a, b] = two()
    const db = createDb()
    const ask = (engine: Engine): Promise<unknown[]> =>
      db.withBind(engine, async () => {
        const names: unknown[] = []
        for (let i = 0; i < 5; i++) {
          names.push(await db.scalar(name))
          await new Promise(setImmediate)
        }
        return names
      })

    expect(await Promise.all([ask(a), ask(b), ask(a)])).toEqual(['a', 'b', 'a'].map((each) => Array(5).fill(each)))
  })

  test('another db is not touched by it', async () => {
    const [a, b] = two()
    const [one, other] = [createDb(), createDb()]
    await other.bind(b)

    const names = await one.withBind(a, async () => [await one.scalar(name), await other.scalar(name)])

    expect(names).toEqual(['a', 'b'])
  })

  test('an engine that was given stays open, one that was made is closed at the end', async () => {
    const [a] = two()
    const db = createDb()
    let made: Engine | undefined

    await db.withBind(a, () => {})
    await db.withBind(await driver.url(), async (engine) => {
      made = engine
      expect(await db.scalar('select 1')).toBe(1)
    })
    await expect(
      db.withBind(await driver.url(), (engine) => {
        made = engine
        throw new RangeError('out')
      }),
    ).rejects.toThrow(RangeError)

    expect([a.closed, made?.closed]).toEqual([false, true])
  })

  test('what a withBind left behind never reaches another database', async () => {
    const [a, b] = two()
    const db = createDb()
    await db.bind(b)
    const later = gate()
    const left: Promise<unknown>[] = []
    const work = async (): Promise<unknown> => {
      await later.promise
      return db.scalar(name)
    }

    await db.withBind(a, () => void left.push(work()))
    await db.withBind(await driver.url(), () => void left.push(caught(work())))
    later.open()

    expect(await Promise.all(left)).toEqual(['a', expect.any(PoolClosedError)])
  })

  test('detached work keeps the withBind', async () => {
    const [a, b] = two()
    const db = createDb()
    await db.bind(b)

    expect(await db.withBind(a, () => db.scope(() => db.detached(() => db.scalar(name))))).toBe('a')
  })

  test('a withBind inside of a scope has its own connections, and leaves the scope its own', async () => {
    const [a, b] = two()
    const db = createDb()
    await db.bind(a)

    const names = await db.scope(async (connection) => [
      await db.withBind(b, async () => {
        expect(db.current).toBeUndefined()
        return db.scope((inner) => inner.scalar(name))
      }),
      await db.scalar(name),
      db.current === connection,
    ])

    expect(names).toEqual(['b', 'a', true])
  })

  test('the wrong source is told before the callback is called', async () => {
    const db = createDb()
    let called = false

    await caught(db.withBind('postgres://nobody@127.0.0.1:1/nothing', () => (called = true)))

    expect(called).toBe(false)
  })
})

forEachDriver(
  (driver) => {
    test('scopes of two engines in one context each have their own connection', async () => {
      const [a, b] = [await driver.db(), await driver.db()]

      await a.scope(async (outer) => {
        await b.scope(async (inner) => {
          await Promise.all([a.scalar('select 1'), b.scalar('select 1')])
          expect([a.current, b.current]).toEqual([outer, inner])
          expect([a.stats().reserved, b.stats().reserved]).toEqual([1, 1])
        })
        await until(() => b.stats().reserved === 0)
        expect([a.current, b.current, a.stats().reserved]).toEqual([outer, undefined, 1])
      })
    })

    test('a transaction of one engine has nothing of the other', async () => {
      const [a, b] = [await driver.db(), await driver.db()]
      const table = await driver.table('n int')

      await a.transaction(async (tx) => {
        await b.status(`insert into ${table} values (1)`)
        tx.raiseRollback()
      })

      expect(await a.scalar(`select count(*) from ${table}`)).toBe(1)
    })

    test('leaving the transaction of one engine is an error like any for those of others inside of it', async () => {
      const [a, b] = [await driver.db(), await driver.db()]
      const table = await driver.table('s text')
      const count = (): Promise<unknown> => a.scalar(`select count(*) from ${table}`)
      const both = (end: 'raiseCommit' | 'raiseRollback'): Promise<unknown> =>
        a.transaction(async (outer) => {
          await a.status(`insert into ${table} values ('outer')`)
          await b.transaction(async () => {
            await b.status(`insert into ${table} values ('inner')`)
            outer[end]('left')
          })
        })

      expect([await both('raiseRollback'), await count()]).toEqual(['left', 0])
      expect([await both('raiseCommit'), await count()]).toEqual(['left', 1])
    })

    test('detaching from one engine keeps the scope of the other', async () => {
      const [a, b] = [await driver.db(), await driver.db()]

      await a.scope((outer) =>
        b.scope(async (inner) => {
          await b.detached(() => expect([a.current, b.current]).toEqual([outer, undefined]))
          expect(b.current).toBe(inner)
        }),
      )
    })
  },
  { connections: 2 },
)
