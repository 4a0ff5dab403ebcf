/** `onConnect`: prepares the session of every new connection; what it sets is what every reset restores. */

import { type Connection, ConnectError, createDb, type Db, type Executor, UsageError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { doing, forEachDriver, isolationOf, pid } from '../support/matrix.ts'
import { until } from '../support/until.ts'

forEachDriver((driver) => {
  const { words } = driver
  const name = words.setting('app.name')

  const opening = async (
    onConnect: (connection: Connection) => unknown,
    pool: { readonly connectTimeoutMs?: number } = {},
  ): Promise<Db> => createDb(await driver.url(), { onConnect, pool: { max: 1, ...pool } })

  test('it runs once for a connection, before the connection serves anybody', async () => {
    let calls = 0
    const db = await driver.single({
      onConnect: async (connection) => {
        calls++
        await connection.status(words.set('app.name', 'ready'))
      },
    })

    const seen = [await db.scalar(name), await db.scope(() => db.scalar(name)), await db.scalar(name)]

    expect([seen, calls]).toEqual([['ready', 'ready', 'ready'], 1])
  })

  test('what it set outlives every reset', async () => {
    const texts = [words.setting('app.tenant'), words.setting('app.who')]
    const state = async (on: Executor): Promise<unknown[]> => [
      await on.scalar(texts[0] ?? ''),
      await on.scalar(texts[1] ?? ''),
      await isolationOf(on),
    ]
    const db = await driver.single({
      onConnect: async (connection) => {
        await connection.status(words.set('app.tenant', 'none'))
        await connection.status(words.set('app.who', `it''s "ready"`))
        await connection.status(words.setIsolation('serializable'))
      },
    })
    const before = await state(db)

    await db.scope(async () => {
      await db.status(words.set('app.tenant', 'other'))
      await db.status(words.set('app.who', 'other'))
      await db.status(words.setIsolation('read committed'))
    })

    expect(before).toEqual(['none', `it's "ready"`, 'serializable'])
    expect(await state(db)).toEqual(before)
    await using connection = await db.acquire()
    for (const text of words.discards) await connection.status(text)
    await connection.release({ permanent: false, discardSession: true })
    expect(await state(connection)).toEqual(before)
  })

  test('its connection is the only one it sees, under every name of the database', async () => {
    const seen: unknown[] = []
    const db: Db = await opening(async (connection) => {
      seen.push(db.current === connection)
      await db.status(words.set('app.name', 'through db'))
      seen.push(await connection.scalar(name), await db.scalar(name))
    })

    await db.open()

    expect([seen, await db.scalar(name)]).toEqual([[true, 'through db', 'through db'], 'through db'])
    await db.close()
  })

  test('under withBind the db is the engine that is being opened, not the one around it', async () => {
    const db = await driver.single()
    const seen: unknown[] = []
    const onConnect = async (connection: Connection): Promise<void> => {
      seen.push(db.current === connection)
      await db.status(words.set('app.name', 'bound'))
    }

    await db.withBind(await driver.url(), async () => seen.push(await db.scalar(name)), { onConnect, pool: { max: 1 } })

    expect(seen).toEqual([true, 'bound'])
  })

  // PGlite keeps its only connection, so nobody ever needs another one.
  test.skipIf(driver.name === 'pglite')(
    'nothing of who needed the connection is in it: no settings, no transaction',
    async () => {
      const seen: unknown[] = []
      const db = await driver.single({
        pool: { idleTimeoutMs: 50 },
        onConnect: async (connection) => seen.push((await connection.scalar(words.setting('app.caller'))) ?? ''),
      })
      await until(() => db.stats().open === 0)

      await db.scope(() => db.transaction((tx) => tx.scalar('select 1')), { settings: { 'app.caller': '7' } })

      expect(seen).toEqual(['', ''])
    },
  )

  test('a transaction inside of it works', async () => {
    const table = await driver.table('n int')
    const db = await driver.single({
      onConnect: (connection) =>
        connection.transaction(async (tx) => {
          await tx.status(`insert into ${table} values (1)`)
        }),
    })

    expect(await db.scalar(`select n from ${table}`)).toBe(1)
  })

  test('what it throws fails the opening and closes the connection', async () => {
    const broken = new RangeError('not today')
    let handle: Connection | undefined
    const db = await opening((connection) => {
      handle = connection
      throw broken
    })

    const error = await caught(db.open())

    expect(error).toBeInstanceOf(ConnectError)
    expect(error.cause).toBe(broken)
    expect([handle?.released, handle?.borrowed]).toEqual([true, false])
    await db.close()
  })

  test('a statement of it that the server refuses fails the opening with that error', async () => {
    const db = await opening((connection) => connection.status('select exp(1000)'))

    const error = await caught(db.open())

    expect(String(error.errno ?? error.sqlState)).toBe(words.outOfRange)
    await db.close()
  })

  test('it has the time of connecting, and no more', async () => {
    const db = await opening(() => new Promise(() => {}), { connectTimeoutMs: 2_000 })

    const error = await caught(db.open())

    expect(error.message).toContain('connectTimeoutMs')
    await db.close()
  })

  const lost: Readonly<Record<string, string>> = {
    'a temporary table': words.temporary('mine'),
    'a lock': words.lock(12345),
    PREPARE: words.prepare('mine'),
  }

  test.each(Object.entries(lost))('what a reset would lose is refused there: %s', async (_, text) => {
    const db = await opening((connection) => connection.status(text))

    const error = await caught(db.open())

    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toContain('onConnect')
    await db.close()
  })

  test('work that it left running is refused', async () => {
    const db = await opening((connection) => {
      connection.scalar(driver.words.sleep(0.05)).catch(() => {})
    })

    const error = await caught(db.open())

    expect(error).toBeInstanceOf(UsageError)
    await db.close()
  })

  test('a transaction that it left open is refused', async () => {
    const db = await opening((connection) => connection.status('begin'))

    expect(await caught(db.open())).toBeInstanceOf(UsageError)
    await db.close()
  })

  test('its handle is worth nothing afterwards', async () => {
    let kept: Connection | undefined
    const db = await driver.single({
      onConnect: (connection) => {
        kept = connection
      },
    })

    const error = await caught(Promise.resolve(kept?.scalar('select 1')))

    expect([error.name, doing(db)]).toEqual(['ReleasedConnectionError', '0 lent, 1 idle, 0 waiting'])
  })

  test('the isolation level is set before it, and both are restored by a reset', async () => {
    const seen: unknown[] = []
    const db = await driver.single({
      isolation: 'repeatable read',
      onConnect: async (connection) => seen.push(await isolationOf(connection)),
    })
    seen.push(await isolationOf(db))

    await db.scope(() => db.status(words.setIsolation('serializable')))

    expect([...seen, await isolationOf(db)]).toEqual(['repeatable read', 'repeatable read', 'repeatable read'])
  })
})

forEachDriver(
  (driver) => {
    test('a statement of it that hangs is given up at the same time, by the server too', async () => {
      const mark = `hung_${process.pid}`
      const onConnect = (connection: Connection): unknown =>
        connection.scalar(`${driver.words.sleep(60)} /* ${mark} */`)
      const db = createDb(await driver.url(), { onConnect, pool: { connectTimeoutMs: 2_000 } })

      expect((await caught(db.open())).message).toContain('connectTimeoutMs')

      await db.close()
      await until(async () => (await driver.running(mark)) === 0, {
        timeoutMs: 30_000,
        what: 'the server has stopped it',
      })
    })

    test('every connection of a pool gets its own call', async () => {
      const prepared = new Set<number>()
      const db = await driver.db({ onConnect: async (connection) => prepared.add(await pid(connection)) })

      const used = new Set<number>()
      await Promise.all(
        Array.from({ length: 4 }, () =>
          db.scope(async (connection) => used.add(await pid(connection)), { lazy: false }),
        ),
      )

      expect([...used].filter((each) => !prepared.has(each))).toEqual([])
    })

    test('who waits for a connection that onConnect refuses is told its error', async () => {
      let refuse = false
      const db = await driver.db({
        pool: { max: 2 },
        onConnect: () => {
          if (refuse) throw new UsageError('not this one')
        },
      })
      await using held = await db.acquire()
      refuse = true

      const error = await caught(db.acquire())

      expect([error.message, held.borrowed]).toEqual(['not this one', true])
    })

    test('a slow onConnect counts against the time of who waits for it', async () => {
      const slow = gate()
      let calls = 0
      const db = await driver.db({
        pool: { max: 2 },
        onConnect: () => (++calls === 1 ? undefined : slow.promise),
      })
      await using held = await db.acquire()

      const waiting = caught(db.acquire({ timeoutMs: 1_000 }))
      await until(() => calls === 2)
      const error = await waiting
      slow.open()

      expect([error.name, error.phase, held.borrowed]).toEqual(['AcquireTimeoutError', 'connect', true])
      await until(() => db.stats().opening === 0)
    })
  },
  { connections: 2 },
)
