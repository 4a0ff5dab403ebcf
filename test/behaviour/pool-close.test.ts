/** `close()` always settles within its time, tells everybody who waits, and says what it had to break. */

import { ConnectionLostError, createDb, createEngine, type Db, PoolClosedError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

forEachDriver((driver) => {
  const open = async (): Promise<Db> => createDb(await driver.url(), { pool: { max: 1 } }).open()

  test('an idle pool is closed at once, with a report', async () => {
    const db = await open()
    await db.scalar('select 1')

    expect(await db.close({ timeoutMs: 60_000 })).toEqual({ drained: 1, broken: [] })
  })

  test('it waits for what is lent, and that can be used to its end', async () => {
    const db = await open()
    const connection = await db.acquire()
    let closed = false
    const closing = db.close({ timeoutMs: 10_000 }).finally(() => (closed = true))

    const answers = [
      await connection.scalar('select 1'),
      await connection.transaction((tx) => tx.scalar('select 2')),
      closed,
    ]
    await connection.release()

    expect(answers).toEqual([1, 2, false])
    expect(await closing).toEqual({ drained: 1, broken: [] })
  })

  test('a scope that has its connection can be finished, one that has none yet cannot', async () => {
    const db = await open()
    const go = gate()
    const work = (first: string): Promise<unknown> =>
      db.scope(async (connection) => {
        if (first !== '') await connection.scalar(first)
        await go.promise
        return connection.scalar('select 2')
      })
    const begun = work('select 1')
    const late = caught(work(''))
    await until(() => db.stats().reserved === 1)

    const closing = db.close({ timeoutMs: 10_000 })
    go.open()

    expect([await begun, await late]).toEqual([2, expect.any(PoolClosedError)])
    expect(await closing).toEqual({ drained: 1, broken: [] })
  })

  test('those who wait for a connection are told at once', async () => {
    const db = await open()
    const held = await db.acquire()
    const waiting = [caught(db.scalar('select 1')), caught(db.acquire()), caught(db.transaction(() => {}))]

    const closing = db.close({ timeoutMs: 10_000 })
    const errors = await Promise.all(waiting)
    await held.release()

    expect(errors.map((error) => error instanceof PoolClosedError)).toEqual([true, true, true])
    expect(await closing).toEqual({ drained: 1, broken: [] })
  })

  test('a connection that was never released is broken at the deadline, and its holder is named', async () => {
    const db = await open()
    const leaked = await db.acquire()
    await leaked.scalar('select 1')

    const report = await db.close({ timeoutMs: 30 })

    expect(report).toEqual({
      drained: 0,
      broken: [expect.stringMatching(/^acquire\(\).*, held \d+ ms, idle in code \d+ ms, held$/)],
    })
    await expect(leaked.scalar('select 2')).rejects.toThrow(PoolClosedError)
    await leaked.release()
  })

  test('a transaction that is open at the deadline is rolled back, and its place is named', async () => {
    const table = await driver.table('n int')
    const db = await open()
    const begun = gate()
    const closed = gate()
    const transaction = caught(
      db.transaction(async (tx) => {
        await tx.status(`insert into ${table} values (1)`)
        begun.open()
        await closed.promise
      }),
    )
    await begun.promise

    const report = await db.close({ timeoutMs: 30 })
    closed.open()

    expect(report.broken).toEqual([expect.stringMatching(/^transaction begun at \S*pool-close\.test\.ts:\d+/)])
    expect((await transaction).outcome).toBe('rolled_back')
    await using again = await open()
    expect(await again.scalar(`select count(*) from ${table}`)).toBe(0)
  })

  test('every call gives the same report, and all of them settle', async () => {
    const db = await open()
    const leaked = await db.acquire()

    const reports = await Promise.all([
      db.close({ timeoutMs: 60_000 }),
      db.close({ timeoutMs: Infinity }),
      db.close({ timeoutMs: 20 }),
      db.close({ timeoutMs: 60_000 }),
    ])

    for (const report of reports) expect(report).toEqual({ drained: 0, broken: [expect.stringMatching(/^acquire/)] })
    expect(await db.close()).toEqual(reports[0])
    await leaked.release()
  })

  test('a db that is closed has no counts, and says that it is closed', async () => {
    const db = await driver.db()
    expect(db.stats().max).toBeGreaterThan(0)
    await db.close()
    expect(() => db.stats()).toThrow(PoolClosedError)
  })

  test('releasing after it is no error, and using after it is one', async () => {
    const db = await open()
    const connection = await db.acquire()
    const lazy = await db.acquire({ lazy: true })
    const closing = db.close({ timeoutMs: 20 })

    await connection.release()
    await closing

    await connection.release()
    await expect(lazy.scalar('select 1')).rejects.toThrow(PoolClosedError)
    await lazy.release()
  })

  test('`await using` closes a db and an engine', async () => {
    const kept: { db?: Db; closed?: () => boolean } = {}
    {
      await using db = await open()
      await using engine = await createEngine(await driver.url(), { pool: { max: 1 } })
      kept.db = db
      kept.closed = () => engine.closed
    }

    expect([kept.closed?.(), String(kept.db)]).toEqual([true, 'Db { closed }'])
  })

  test('closing an engine that several dbs share ends all of them', async () => {
    const engine = await createEngine(await driver.url())
    const [one, two] = [createDb(), createDb()]
    await one.bind(engine)
    await two.bind(engine)

    await one.close()

    expect(engine.closed).toBe(true)
    await expect(two.all('select 1')).rejects.toThrow(PoolClosedError)
  })
})

forEachDriver(
  (driver) => {
    test('a statement that runs at the deadline fails with its connection', async () => {
      const db = await createDb(await driver.url()).open()
      const running = caught(db.scalar(driver.words.sleep(30)))

      const report = await db.close({ timeoutMs: 50 })

      expect(report.drained).toBe(0)
      expect(await running).toSatisfy(
        (error) => error instanceof PoolClosedError || error instanceof ConnectionLostError,
      )
    })
  },
  { connections: 2 },
)

test('a connection that is being opened, and a server that says nothing at the end, do not delay it', async () => {
  await using server = await fake({}, { pool: { max: 3 } })
  const { db, driver } = server
  await using _ = await db.acquire()
  driver.faults.at({ phase: 'open' }, { hang: true })
  driver.faults.at({ phase: 'close', times: Infinity }, { hang: true })
  const waiting = caught(db.acquire())

  const report = await db.close({ timeoutMs: 30 })

  expect(report.broken).toHaveLength(1)
  expect(await waiting).toBeInstanceOf(PoolClosedError)
})
