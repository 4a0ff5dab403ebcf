/** Who may run on a connection while a transaction is open on it: those inside, whichever handle they use. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { AcquireTimeoutError, type Db, type Executor, type Transaction } from 'genever'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake, type Fake, sound } from '../support/fake.ts'
import { gate, noticesDuring } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { fakeClock, realClock } from '../support/virtual-time.ts'

/** What waits for itself ends by it. */
const limit = { timeoutMs: 30_000 }
const flushed = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise(setImmediate)
}

forEachDriver((driver) => {
  test('a handle from outside runs inside the transaction of the code that uses it', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')
    await using connection = await db.acquire()
    const insert = (executor: Executor, n: number): Promise<unknown> =>
      executor.status(`insert into ${t} values (:n)`, { n }, limit)

    await caught(
      connection.transaction(async (t1) => {
        await insert(connection, 1)
        await t1.transaction(async (t2) => {
          await insert(t1, 2)
          await t2.transaction(() => Promise.all([insert(connection, 3), insert(t1, 4), insert(t2, 5)]))
        })
        expect(await connection.scalar(`select count(*) from ${t}`, [], limit)).toBe(5)
        throw new TypeError('nothing of it stays')
      }),
    )

    expect(await connection.scalar(`select count(*) from ${t}`)).toBe(0)
  })

  test('a repository built on one transaction and used inside of another follows the savepoint of the code', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')
    class Repository {
      readonly #executor: Executor
      constructor(executor: Executor) {
        this.#executor = executor
      }
      add(n: number): Promise<unknown> {
        return this.#executor.status(`insert into ${t} values (${driver.words.placeholder(1)})`, [n], limit)
      }
    }

    await db.transaction(async (t1) => {
      const repository = new Repository(t1)
      await repository.add(1)
      await caught(
        t1.transaction(async () => {
          await repository.add(2)
          throw new TypeError('inner')
        }),
      )
      await repository.add(3)
    })

    expect(await db.all(`select n from ${t} order by n`)).toEqual([{ n: 1 }, { n: 3 }])
  })

  test('a handle is enough where the frame is lost, as in the callbacks of other libraries', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')
    const outside = AsyncLocalStorage.snapshot()

    await db.transaction((tx) => outside(() => tx.status(`insert into ${t} values (1)`, [], limit)))
    await db.transaction((tx) => outside(() => tx.connection.status(`insert into ${t} values (2)`, [], limit)))

    expect(await db.scalar(`select count(*) from ${t}`)).toBe(2)
  })
})

describe('siblings of a nested transaction', () => {
  const nested = async (end: 'commit' | 'rollback'): Promise<Fake> => {
    const server = await fake()
    const { db } = server
    const [entered, held] = [gate(), gate()]
    await db.transaction(async (tx) => {
      await tx.status('insert into t values (1)')
      const inner = db
        .transaction(async () => {
          await db.status('insert into t values (2)')
          entered.open()
          await held.promise
          if (end === 'rollback') throw new TypeError('inner')
        })
        .catch(() => {})
      await entered.promise
      const siblings = [
        db.status('insert into t values (3)'),
        tx.status('insert into t values (4)'),
        db.transaction(() => db.status('insert into t values (5)')),
      ]
      await flushed()
      expect(server.sent().at(-1)).toContain('insert into t values (2)')
      held.open()
      await Promise.all([inner, ...siblings])
    })
    return server
  }

  test('wait until it has ended, and then run in order', async () => {
    await using server = await nested('commit')

    expect(server.driver.rows('t').map(({ v }) => v)).toEqual([1, 2, 3, 4, 5])
  })

  test('survive its rollback', async () => {
    await using server = await nested('rollback')

    expect(server.driver.rows('t').map(({ v }) => v)).toEqual([1, 3, 4, 5])
    await sound(server)
  })
})

describe('statements from outside of a transaction on the same connection', () => {
  test('wait until it has ended, and do not join it', async () => {
    await using server = await fake()
    const { db } = server

    await db.scope(async (connection) => {
      const outside = AsyncLocalStorage.bind(() => connection.status("insert into t values ('outside')"))
      let waiting: Promise<unknown> | undefined
      await caught(
        db.transaction(async () => {
          await db.status("insert into t values ('inside')")
          waiting = outside()
          await flushed()
          throw new TypeError('no')
        }),
      )
      await waiting
    })

    expect(server.sent()).toEqual([
      "BEGIN; insert into t values ('inside')",
      'ROLLBACK',
      "insert into t values ('outside')",
    ])
    expect(server.driver.sessions).toHaveLength(1)
  })

  test('are cancelled by their own signal while they wait', async () => {
    await using server = await fake()
    const { db } = server
    const controller = new AbortController()

    await db.scope(async (connection) => {
      const outside = AsyncLocalStorage.bind(() => connection.scalar('select 1', [], { signal: controller.signal }))
      await db.transaction(async () => {
        await db.scalar('select 2')
        const waiting = caught(outside())
        await flushed()
        controller.abort()
        expect((await waiting).code).toBe('GENEVER_ABORTED')
      })
    })

    await sound(server)
  })
})

describe('a wait that could never end', () => {
  /** The transaction waits for a promise whose statement another branch issued outside of it. */
  const dataLoader = (db: Db, timeoutMs?: number): Promise<unknown> => {
    let batch: Promise<unknown> | undefined
    return db.transaction(async (tx) => {
      await tx.scalar('select 0')
      const load = AsyncLocalStorage.bind(() => (batch ??= db.scalar('select 7', [], { timeoutMs })))
      return tx.transaction(() => load())
    })
  }

  test('the DataLoader shape ends by the deadline of the statement', async () => {
    await using server = await fake()

    const error = await caught(dataLoader(server.db, 30))

    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error).toMatchObject({ phase: 'transaction', outcome: 'not_started' })
    expect(error.message).toMatch(/Held by: nested transaction begun at .*transaction-admission\.test\.ts/)
    await sound(server)
  })

  test('else by the acquire timeout', async () => {
    await using server = await fake({}, { pool: { acquireTimeoutMs: 40 } })

    const error = await caught(dataLoader(server.db))

    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error.phase).toBe('transaction')
    await sound(server)
  })
})

describe('waiting for a second', () => {
  beforeEach(fakeClock)
  afterEach(realClock)

  test('is told once, with what waits and what it waits for', async () => {
    await using server = await fake()
    const { db } = server

    const notices = await noticesDuring(() =>
      db.scope(async (connection) => {
        const outside = AsyncLocalStorage.bind(() => connection.scalar("select 'outside'"))
        await db.transaction(async () => {
          const waiting = outside()
          await vi.advanceTimersByTimeAsync(900)
          waiting.catch(() => {})
          await vi.advanceTimersByTimeAsync(9_000)
        })
      }),
    )

    expect(notices.map(({ code }) => code)).toEqual(['waiting-for-transaction'])
    expect(notices[0]?.places[0]).toBe("select 'outside'")
    expect(notices[0]?.places[1]).toMatch(/transaction begun at .*transaction-admission\.test\.ts/)
  })

  test('a shorter wait is not told', async () => {
    await using server = await fake()
    const { db } = server

    const notices = await noticesDuring(() =>
      db.scope(async (connection) => {
        const outside = AsyncLocalStorage.bind(() => connection.scalar('select 1'))
        await db.transaction(async () => {
          outside().catch(() => {})
          await vi.advanceTimersByTimeAsync(900)
        })
      }),
    )

    expect(notices).toEqual([])
  })
})

test('statements of two transactions on one connection never mix', async () => {
  await using server = await fake()
  const { db } = server
  const work = (name: string) => async (tx: Transaction) => {
    for (const step of [1, 2, 3]) {
      await tx.status('insert into t values (:v)', { v: `${name}${step}` })
      await flushed()
    }
  }

  await db.scope(() => Promise.all(['a', 'b', 'c'].map((name) => db.transaction(work(name)))))

  expect(server.driver.rows('t').map(({ v }) => v)).toEqual(['a1', 'a2', 'a3', 'b1', 'b2', 'b3', 'c1', 'c2', 'c3'])
  expect(server.sent().filter((line) => line === 'COMMIT')).toHaveLength(3)
  await until(() => db.stats().reserved === 0)
})
