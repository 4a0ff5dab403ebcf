/** `timeoutMs` and `signal` of a transaction: both cover all of its callback, whatever that waits for. */

import { setTimeout as sleep } from 'node:timers/promises'
import { AbortedError, AcquireTimeoutError, type Db, TransactionEndedError, TransactionTimeoutError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'

const idle = (db: Db): Promise<boolean> => until(() => db.stats().reserved + db.stats().draining === 0)

forEachDriver(
  (driver) => {
    test('on expiry a running statement is cancelled on the server, and everything is rolled back', async () => {
      const db = await driver.db()
      const t = await driver.table('n int')
      const mark = `timeout ${t}`

      const error = await caught(
        db.transaction(
          async () => {
            await db.status(`insert into ${t} values (1)`)
            await db.scalar(`${driver.words.sleep(30)} /* ${mark} */`)
          },
          { timeoutMs: 50 },
        ),
      )

      expect(error).toBeInstanceOf(TransactionTimeoutError)
      expect(error.outcome).toBe('rolled_back')
      await idle(db)
      await until(async () => (await driver.running(mark)) === 0)
      expect(await db.all(`select n from ${t}`)).toEqual([])
    })

    test('the connection serves the next transaction', async () => {
      const db = await driver.single()
      const connection = await db.scalar(driver.words.session)

      await caught(db.transaction(() => db.scalar(driver.words.sleep(30)), { timeoutMs: 30 }))

      expect(await db.transaction(() => db.scalar(driver.words.session))).toBe(connection)
    })
  },
  { connections: 2 },
)

describe('expiry', () => {
  test('rejects at once while the callback waits for something else, and gives the connection back', async () => {
    using time = leapingTime()
    await using server = await fake()
    const { db } = server
    const inserted = gate()
    const held = gate()

    const told = caught(
      db.transaction(
        async (tx) => {
          await tx.status('insert into t values (1)')
          inserted.open()
          await held.promise
        },
        { timeoutMs: 60_000 },
      ),
    )
    await inserted.promise
    time.leap(60_000)

    const error = await told
    expect(error).toBeInstanceOf(TransactionTimeoutError)
    expect(error.message).toMatch(/begun at .*transaction-timeouts.*took longer than its timeoutMs/)
    await idle(db)
    held.open()
    expect(server.sent()).toEqual(['BEGIN; insert into t values (1)', 'ROLLBACK'])
  })

  test('aborts tx.signal with the error', async () => {
    await using server = await fake()
    let signal: AbortSignal | undefined

    const error = await caught(
      server.db.transaction(
        async (tx) => {
          signal = tx.signal
          await sleep(60_000, undefined, { signal: tx.signal })
        },
        { timeoutMs: 20 },
      ),
    )

    expect(signal?.aborted).toBe(true)
    expect(signal?.reason).toBe(error)
  })

  test('a callback that goes on finds its transaction ended, and writes nothing', async () => {
    await using server = await fake()
    const { db } = server
    const held = gate()
    let late: Promise<unknown> | undefined

    await caught(
      db.transaction(
        async (tx) => {
          late = held.promise.then(() =>
            Promise.all([caught(tx.status('insert into t values (2)')), caught(db.status('insert into t values (3)'))]),
          )
          await late
        },
        { timeoutMs: 20 },
      ),
    )
    held.open()

    for (const error of (await late) as unknown[]) expect(error).toBeInstanceOf(TransactionEndedError)
    expect(server.driver.rows('t')).toEqual([])
  })

  test('of a nested transaction takes back that alone', async () => {
    await using server = await fake()
    const { db } = server

    await db.transaction(async () => {
      await db.status('insert into t values (1)')
      const error = await caught(
        db.transaction(
          async () => {
            await db.status('insert into t values (2)')
            await db.status('sleep')
          },
          { timeoutMs: 20 },
        ),
      )
      expect(error).toBeInstanceOf(TransactionTimeoutError)
      await db.status('insert into t values (3)')
    })

    expect(server.driver.rows('t')).toEqual([{ v: 1 }, { v: 3 }])
  })

  test('with a transaction inside takes that along, and leaves alone what comes after', async () => {
    await using server = await fake()
    const { db } = server
    const held = gate()
    let inner: Promise<unknown> | undefined

    await db.scope(async () => {
      await caught(
        db.transaction(
          async () => {
            inner = caught(
              db.transaction(async () => {
                await db.status('insert into t values (1)')
                await held.promise
              }),
            )
            await inner
          },
          { timeoutMs: 20 },
        ),
      )
      await db.transaction(async () => {
        await db.transaction(async () => {
          await db.status('insert into t values (2)')
          held.open()
          expect(await inner).toBeInstanceOf(TransactionEndedError)
        })
      })
    })

    expect(server.driver.rows('t')).toEqual([{ v: 2 }])
    expect(server.driver.violations).toEqual([])
  })

  test('runs afterRollback hooks', async () => {
    await using server = await fake()
    const ran = gate()

    await caught(
      server.db.transaction(
        async (tx) => {
          tx.afterRollback(() => ran.open())
          await tx.status('sleep')
        },
        { timeoutMs: 20 },
      ),
    )

    await ran.promise
  })

  test('covers the wait for a connection', async () => {
    await using server = await fake({}, { pool: { max: 1 } })
    await using _ = await server.db.acquire()

    const error = await caught(server.db.transaction(() => 1, { timeoutMs: 20 }))

    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error.outcome).toBe('not_started')
  })

  test('does not follow a transaction that ended in time', async () => {
    await using server = await fake()

    expect(await server.db.transaction((tx) => tx.scalar('select 7'), { timeoutMs: 60_000 })).toBe(7)
  })
})

describe('a signal', () => {
  test('that is aborted already refuses the transaction before anything is sent', async () => {
    await using server = await fake()
    let called = false

    const error = await caught(
      server.db.transaction(
        () => {
          called = true
        },
        { signal: AbortSignal.abort(new TypeError('why')) },
      ),
    )

    expect(error).toBeInstanceOf(AbortedError)
    expect(called).toBe(false)
    expect(server.sent()).toEqual([])
    expect(server.db.stats().reserved).toBe(0)
  })

  test('that aborts while it waits for a connection ends the wait', async () => {
    await using server = await fake({}, { pool: { max: 1 } })
    const holder = await server.db.acquire()
    const controller = new AbortController()

    const waiting = caught(server.db.transaction(() => 1, { signal: controller.signal }))
    await until(() => server.db.stats().waiting === 1)
    controller.abort()

    expect(await waiting).toBeInstanceOf(AbortedError)
    expect(server.db.stats().waiting).toBe(0)
    await holder.release()
  })

  test('that aborts during a statement cancels it, rolls back and tells the reason', async () => {
    await using server = await fake()
    const controller = new AbortController()
    const reason = new TypeError('why')

    const running = caught(
      server.db.transaction(
        async (tx) => {
          await tx.status('insert into t values (1)')
          setImmediate(() => controller.abort(reason))
          await tx.status('sleep')
        },
        { signal: controller.signal },
      ),
    )
    const error = await running

    expect(error).toBeInstanceOf(AbortedError)
    expect(error).toMatchObject({ cause: reason, outcome: 'rolled_back' })
    await idle(server.db)
    expect(server.driver.rows('t')).toEqual([])
    expect(server.sent()).toContain('<cancel>')
  })

  test('that aborts after the end changes nothing', async () => {
    await using server = await fake()
    const controller = new AbortController()

    await server.db.transaction((tx) => tx.status('insert into t values (1)'), { signal: controller.signal })
    controller.abort()

    expect(server.driver.rows('t')).toEqual([{ v: 1 }])
  })
})
