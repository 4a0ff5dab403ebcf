/** `retry`: running a transaction again after the server rolled it back in favour of another. */

import {
  AbortedError,
  CommitOutcomeUnknownError,
  createDb,
  DeadlockDetectedError,
  SerializationError,
  TransactionAbortedError,
  UniqueViolationError,
} from 'genever'
import { expect, test, vi } from 'vitest'
import type * as Clocks from '../../src/util/clock.ts'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'

const { pauses } = vi.hoisted(() => {
  // The engine is loaded before a test file begins; here it is loaded again, with the pauses below.
  vi.resetModules()
  return { pauses: [] as number[] }
})

// The pauses between attempts are looked at and shortened.
vi.mock('../../src/util/clock.ts', async (original) => {
  const actual = await original<typeof Clocks>()
  const sleep = (ms: number, signal?: AbortSignal): Promise<void> => {
    pauses.push(ms)
    return actual.sleep(Math.min(ms, 20), signal)
  }
  return { ...actual, sleep }
})

test('without retry a serialization failure is thrown, retryable and rolled back', async () => {
  await using server = await fake()
  server.driver.faults.at('insert', { error: '40001' })

  const error = await caught(server.db.transaction((tx) => tx.status('insert into t values (1)')))

  expect(error).toBeInstanceOf(SerializationError)
  expect(error).toMatchObject({ outcome: 'rolled_back', retryable: true })
})

test.each(['40001', '40P01'])(
  'after SQLSTATE %s of a statement the callback runs again from its start',
  async (code) => {
    await using server = await fake()
    server.driver.faults.at('update', { error: code })
    let attempts = 0

    const result = await server.db.transaction(
      async (tx) => {
        attempts++
        await tx.status('insert into t values (:attempts)', { attempts })
        await tx.status('update t set v = v')
        return `attempt ${attempts}`
      },
      { retry: 1 },
    )

    expect(result).toBe('attempt 2')
    expect(server.driver.rows('t')).toEqual([{ v: 2 }])
  },
)

test('after a serialization failure of COMMIT it runs again: there the outcome is known', async () => {
  await using server = await fake()
  server.driver.faults.at('COMMIT', { error: '40001' })
  let attempts = 0

  await server.db.transaction(
    async (tx) => {
      attempts++
      await tx.status('insert into t values (1)')
    },
    { retry: 1 },
  )

  expect(attempts).toBe(2)
  expect(server.driver.rows('t')).toEqual([{ v: 1 }])
})

test('the last failure is thrown when all attempts failed', async () => {
  await using server = await fake()
  server.driver.faults.at({ text: 'insert', times: Infinity }, { error: '40P01' })
  let attempts = 0

  const error = await caught(
    server.db.transaction(
      (tx) => {
        attempts++
        return tx.status('insert into t values (1)')
      },
      { retry: { limit: 3, intervalMs: 1 } },
    ),
  )

  expect(attempts).toBe(4)
  expect(error).toBeInstanceOf(DeadlockDetectedError)
})

test('other errors are never retried', async () => {
  await using server = await fake()
  server.driver.faults.at('insert', { error: '23505' })
  let attempts = 0

  const error = await caught(
    server.db.transaction(
      (tx) => {
        attempts++
        return tx.status('insert into t values (1)')
      },
      { retry: 5 },
    ),
  )

  expect(error).toBeInstanceOf(UniqueViolationError)
  expect(attempts).toBe(1)
})

test('a commit whose outcome is unknown is never retried', async () => {
  await using server = await fake()
  server.driver.faults.at('COMMIT', { lost: true })
  let attempts = 0

  const error = await caught(
    server.db.transaction(
      (tx) => {
        attempts++
        return tx.status('insert into t values (1)')
      },
      { retry: 5 },
    ),
  )

  expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
  expect(attempts).toBe(1)
})

test('a serialization failure that the callback swallowed is not retried: it went on as if nothing were', async () => {
  await using server = await fake()
  server.driver.faults.at('insert', { error: '40001' })
  let attempts = 0

  const error = await caught(
    server.db.transaction(
      async (tx) => {
        attempts++
        await caught(tx.status('insert into t values (1)'))
      },
      { retry: 5 },
    ),
  )

  expect(error).toBeInstanceOf(TransactionAbortedError)
  expect(attempts).toBe(1)
})

test('only the outermost is run again, with all that is nested', async () => {
  await using server = await fake()
  const { db } = server
  server.driver.faults.at('insert into inner_t', { error: '40001' })
  const log: string[] = []

  await db.transaction(
    async () => {
      log.push('outer')
      await db.transaction(
        async () => {
          log.push('inner')
          await db.status('insert into inner_t values (1)')
        },
        { retry: 5 },
      )
    },
    { retry: 1 },
  )

  expect(log).toEqual(['outer', 'inner', 'outer', 'inner'])
})

test('hooks of an attempt that failed run before the next one if they are for a rollback, and never if they are for a commit', async () => {
  await using server = await fake()
  const { db } = server
  server.driver.faults.at('insert', { error: '40001' })
  const log: string[] = []

  await db.transaction(
    async (tx) => {
      const attempt = log.push('attempt')
      tx.afterCommit(() => void log.push(`committed ${attempt}`))
      tx.afterRollback(() => void log.push(`rolled back ${attempt}`))
      await db.transaction(() => db.afterCommit(() => void log.push(`nested committed ${attempt}`)))
      await tx.status('insert into t values (1)')
    },
    { retry: 1 },
  )

  expect(log).toEqual(['attempt', 'rolled back 1', 'attempt', 'committed 3', 'nested committed 3'])
})

test('between two attempts its implicit connection is released', async () => {
  await using server = await fake({}, { pool: { max: 1 } })
  const { db } = server
  server.driver.faults.at('insert', { error: '40001' })
  let seen: unknown

  await db.transaction(
    async (tx) => {
      tx.afterRollback(async () => {
        seen = await db.scalar('select 7')
      })
      await tx.status('insert into t values (1)')
    },
    { retry: 1 },
  )

  expect(seen).toBe(7)
})

test('in a scope every attempt runs on its connection', async () => {
  await using server = await fake()
  const { db } = server
  server.driver.faults.at('insert', { error: '40001' })

  await db.scope(() => db.transaction((tx) => tx.status('insert into t values (1)'), { retry: 1 }))

  expect(server.driver.sessions).toHaveLength(1)
  expect(server.driver.rows('t')).toEqual([{ v: 1 }])
})

test('the signal ends the pause between two attempts', async () => {
  await using server = await fake()
  const controller = new AbortController()
  server.driver.faults.at({ text: 'insert', times: Infinity }, { error: '40001' })
  let attempts = 0

  const error = await caught(
    server.db.transaction(
      (tx) => {
        if (++attempts === 2) setImmediate(() => controller.abort())
        return tx.status('insert into t values (1)')
      },
      { retry: 1_000, signal: controller.signal },
    ),
  )

  expect(error).toBeInstanceOf(AbortedError)
  expect(error.outcome).toBe('rolled_back')
  expect(attempts).toBeLessThan(1_000)
})

test('the pauses grow with jitter and stay below a limit', async () => {
  await using server = await fake()
  server.driver.faults.at({ text: 'insert', times: Infinity }, { error: '40001' })
  pauses.length = 0

  await caught(
    server.db.transaction((tx) => tx.status('insert into t values (1)'), { retry: { limit: 16, intervalMs: 4 } }),
  )

  expect(pauses).toHaveLength(16)
  expect(pauses[0]).toBeGreaterThanOrEqual(2)
  expect(pauses[0]).toBeLessThanOrEqual(6)
  expect(Math.max(...pauses)).toBeGreaterThan(50)
  expect(Math.max(...pauses)).toBeLessThanOrEqual(1_500)
  expect(new Set(pauses).size).toBeGreaterThan(8)
})

forEachDriver(
  (driver) => {
    test('concurrent serializable increments all count', async () => {
      const db = await driver.db()
      const table = await driver.table('n int')
      await db.status(`insert into ${table} values (0)`)
      const increment = (): Promise<unknown> =>
        db.transaction(
          async () => {
            const n = await db.scalar<number>(`select n from ${table}`)
            await db.status(`update ${table} set n = :n`, { n: Number(n) + 1 })
          },
          { isolation: 'serializable', retry: { limit: 200, intervalMs: 2 } },
        )

      await Promise.all(
        Array.from({ length: 8 }, async () => {
          for (let i = 0; i < 10; i++) await increment()
        }),
      )

      expect(await db.scalar(`select n from ${table}`)).toBe(80)
    })

    test('a real deadlock is retried, and both transactions get through', async () => {
      // MySQL looks for deadlocks at once.
      const db = await driver.db(driver.name === 'mysql' ? {} : { settings: { deadlock_timeout: '20ms' } })
      const table = await driver.table('id int primary key, n int')
      await db.status(`insert into ${table} values (1, 0), (2, 0)`)
      const add = (id: number): Promise<unknown> => db.status(`update ${table} set n = n + 1 where id = :id`, { id })
      const bothLocked = gate()
      let locked = 0
      const lock = (first: number, second: number): Promise<unknown> =>
        db.transaction(
          async () => {
            await add(first)
            if (++locked >= 2) bothLocked.open()
            await bothLocked.promise
            await add(second)
          },
          { retry: 5 },
        )

      await Promise.all([lock(1, 2), lock(2, 1)])

      expect(locked).toBeGreaterThan(2)
      expect(await db.all(`select id, n from ${table} order by id`)).toEqual([
        { id: 1, n: 2 },
        { id: 2, n: 2 },
      ])
    })
  },
  { connections: 2 },
)

test('a lock that was not given in time undoes the transaction, and retry runs it again', async () => {
  await using database = await freshDatabase('create table t (id int primary key, n int); insert into t values (1, 0)')
  await using db = createDb(database.url, { settings: { lock_timeout: '20ms' } })
  const holder = await db.begin()
  await holder.status('update t set n = 10')
  const add = (): Promise<unknown> => db.status('update t set n = n + 1')

  expect(await caught(db.transaction(add))).toMatchObject({
    name: 'LockTimeoutError',
    sqlState: '55P03',
    outcome: 'rolled_back',
    retryable: true,
  })
  let attempts = 0
  await db.transaction(() => (attempts++ === 1 ? holder.commit().then(add) : add()), { retry: 2 })

  expect([attempts, await db.scalar('select n from t')]).toEqual([2, 11])
})

test.each([0, 1])(
  'a serialization failure that only COMMIT finds is known to be rolled back: %i retries',
  async (retry) => {
    await using database = await freshDatabase('create table doctors (id int, on_call bool)')
    await database.query('insert into doctors values (1, true), (2, true)')
    await using db = createDb(database.url)
    const wrote = gate()
    const committed = gate()
    let attempts = 0
    const leave = async (id: number): Promise<void> => {
      const others = await db.scalar<number>('select count(*) from doctors where on_call and id <> :id', { id })
      if (Number(others) > 0) await db.status('update doctors set on_call = false where id = :id', { id })
    }
    const second = db.transaction(
      async () => {
        attempts++
        await leave(2)
        wrote.open()
        await committed.promise
      },
      { isolation: 'serializable', retry: { limit: retry, intervalMs: 1 } },
    )
    await db.transaction(
      async () => {
        await leave(1)
        await wrote.promise
      },
      { isolation: 'serializable' },
    )
    committed.open()

    if (retry === 0)
      expect(await caught(second)).toMatchObject({ code: 'GENEVER_SERIALIZATION', outcome: 'rolled_back' })
    else await second
    expect(attempts).toBe(retry + 1)
    expect(await db.scalar('select count(*) from doctors where on_call')).toBe(1)
  },
)
