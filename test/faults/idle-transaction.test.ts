/** A transaction that is kept open without running anything holds its locks; with `idleTimeoutMs` the server ends it. */

import { setTimeout as sleep } from 'node:timers/promises'
import { createDb, type EngineOptions, TransactionStateError, TransactionTimeoutError, UsageError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught, type Caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { wantedDrivers } from '../support/extent.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { pgliteStart } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { type Site, site, sound } from './support.ts'

const insert = 'insert into t values (1)'
const limit = `select current_setting('idle_in_transaction_session_timeout')`

/** Its connection is gone. */
const struck = (place: Site): Promise<boolean> => until(() => place.proxy.open.length === 0)

function expectIdle(error: Caught, ms: number | undefined): void {
  expect(error).toBeInstanceOf(TransactionTimeoutError)
  expect(error).toMatchObject({ outcome: 'rolled_back', ...(ms === undefined ? {} : { timeoutMs: ms }) })
  expect(error.message).toContain('ran no statement')
  expect(error.message).toContain(ms === undefined ? "server's limit" : `${ms} ms`)
}

test('the server ends one that takes too long as a whole: its reason is the error, of a single statement too', async () => {
  await using place = await site({ pool: { max: 1 } })
  let runs = 0

  const error = await caught(
    place.db.transaction(
      async (tx) => {
        runs++
        await tx.status(insert)
        await tx.status("set local transaction_timeout to '200ms'")
        expect(await caught(tx.scalar('select pg_sleep(60)'))).toBeInstanceOf(TransactionTimeoutError)
        expect(tx.signal.reason).toBeInstanceOf(TransactionTimeoutError)
        await tx.scalar('select 2')
      },
      { retry: { limit: 3 } },
    ),
  )
  const settings = { transaction_timeout: '200ms' }
  const alone = await caught(place.db.scope(() => place.db.scalar('select pg_sleep(60)'), { settings }))

  expect(runs).toBe(1)
  for (const each of [error, alone]) {
    expect(each).toBeInstanceOf(TransactionTimeoutError)
    expect(each).toMatchObject({ outcome: 'rolled_back', retryable: false })
    expect(each.message).toContain('transaction_timeout')
  }
  await sound(place)
})

describe('the server ends it', () => {
  test.each<[string, EngineOptions, { idleTimeoutMs?: number }, number | undefined]>([
    ['by its option', {}, { idleTimeoutMs: 80 }, 80],
    ['by that of the engine', { transactionIdleTimeoutMs: 500 }, {}, 500],
    ['by its own rather than that of the engine', { transactionIdleTimeoutMs: 60_000 }, { idleTimeoutMs: 70 }, 70],
    ['by a limit of the server', { settings: { idle_in_transaction_session_timeout: 500 } }, {}, undefined],
  ])('%s, and what follows fails with the reason', async (_, engine, options, ms) => {
    await using place = await site({ name: 'idle-tx', pool: { max: 2 }, ...engine })
    using heard = hear('idle-tx')
    await place.warm(1)

    const seen: Caught[] = []
    const error = await caught(
      place.db.transaction(async (tx) => {
        // A machine that stands still hears the answer and the end at once.
        const aborted = new Promise((resolve) => tx.signal.addEventListener('abort', resolve))
        await tx.status(insert)
        await struck(place)
        await aborted
        expectIdle(tx.signal.reason as Caught, ms)
        seen.push(await caught(tx.status(insert)), await caught(place.db.scalar('select 1')))
        seen.push(await caught(tx.transaction((inner) => inner.status(insert))))
        await tx.scalar('select 2')
      }, options),
    )

    for (const each of [error, ...seen]) expectIdle(each, ms)
    expect(heard.notices.map(({ code }) => code)).toEqual(['transaction-idle'])
    expect(heard.notices[0]?.places[0]).toContain('idle-transaction.test.ts')
    expect(heard.connections.filter(({ event }) => event === 'lost').map((lost) => lost.error)).toEqual(['25P03'])
    expect(heard.transactions.filter(({ parent }) => parent === null)).toMatchObject([
      { event: 'begin' },
      { event: 'rollback', error: '25P03' },
    ])
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('although nobody looks: the commit of a callback that returns says so', async () => {
    await using place = await site()
    const error = await caught(
      place.db.transaction(
        async (tx) => {
          await tx.status(insert)
          await tx.transaction(async (inner) => {
            await inner.status(insert)
            await struck(place)
          })
        },
        { idleTimeoutMs: 60 },
      ),
    )
    expectIdle(error, 60)
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('of a manual transaction: statements and commit() say so', async () => {
    await using place = await site()
    const tx = await place.db.begin({ idleTimeoutMs: 60 })
    await tx.status(insert)
    await struck(place)

    expectIdle(await caught(tx.status(insert)), 60)
    expectIdle(await caught(tx.commit()), 60)
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('while its COMMIT is on its way: it was rolled back, and that is known', async () => {
    await using place = await site()
    const [link] = place.proxy.open
    const error = await caught(
      place.db.transaction(
        async (tx) => {
          await tx.status(insert)
          // What is written from now on arrives too late, if ever.
          link!.toServer.swallows = true
        },
        { idleTimeoutMs: 60 },
      ),
    )
    expectIdle(error, 60)
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('and what waited for its locks goes on, on the other connection of the pool', async () => {
    await using place = await site({ pool: { max: 2 } })
    await place.db.status(insert)
    const locked = gate()
    const stuck = caught(
      place.db.transaction(
        async (tx) => {
          await tx.status('update t set n = 2')
          locked.open()
          await sleep(60_000, undefined, { signal: tx.signal })
        },
        { idleTimeoutMs: 300 },
      ),
    )
    await locked.promise

    await place.db.status('update t set n = 3')

    expect((await stuck).name).toBe('AbortError')
    expect(await place.rows()).toEqual([3])
    await sound(place)
  })
})

test('one that goes on running statements is left alone, and the limit is over with it', async () => {
  await using place = await site({ pool: { max: 1 } })
  const before = await place.db.scalar(limit)
  const slept = place.db.transaction(
    async (tx) => {
      expect(await tx.scalar(limit)).toBe('3s')
      await tx.scalar('select pg_sleep(3.1)')
      await tx.transaction((inner) => inner.status(insert))
    },
    { idleTimeoutMs: 3_000 },
  )
  await slept
  expect(await place.db.scalar(limit)).toBe(before)
  expect(await place.db.scope((connection) => connection.scalar(limit))).toBe(before)
  await place.db.transaction(async (tx) => expect(await tx.scalar(limit)).toBe(before))
  expect(place.proxy.open).toHaveLength(1)
  expect(await place.rows()).toEqual([1])
})

test('the engine’s limit holds for transactions of cursors, and Infinity lifts it', async () => {
  await using place = await site({ transactionIdleTimeoutMs: 500 })
  await using cursor = place.db.iterate('select generate_series(1, 3) as n', [], { batchSize: 1 })
  await cursor.read()
  await struck(place)
  expectIdle(await caught(cursor.read()), 500)

  await place.db.transaction(async (tx) => expect(await tx.scalar(limit)).toBe('0'), { idleTimeoutMs: Infinity })
  await sound(place)
})

test('a nested transaction may only ask for what the outermost has', async () => {
  await using place = await site({ transactionIdleTimeoutMs: 60_000 })
  await place.db.transaction(async (tx) => {
    await tx.transaction((inner) => inner.scalar('select 1'), { idleTimeoutMs: 60_000 })
    expect(await caught(tx.transaction(() => {}, { idleTimeoutMs: 70_000 }))).toBeInstanceOf(TransactionStateError)
    await place.db.transaction(
      async (own) => {
        expect(await own.scalar(limit)).toBe('70s')
      },
      { idleTimeoutMs: 70_000, reuse: false },
    )
  })
})

test.each([0, -1, Number.NaN, 2 ** 31, '5' as unknown as number])('%s is refused', async (idleTimeoutMs) => {
  await using place = await site()
  expect(await caught(place.db.transaction(() => {}, { idleTimeoutMs }))).toBeInstanceOf(UsageError)
  expect(await caught(place.db.begin({ idleTimeoutMs }))).toBeInstanceOf(UsageError)
})

test('it travels with BEGIN and the first statement, in one trip', async () => {
  await using server = await fake({ tables: { t: [] } })
  await server.db.transaction((tx) => tx.status('insert into t values (1)'), { idleTimeoutMs: 1234.5 })
  expect(server.sent()).toEqual([
    'BEGIN; SET LOCAL idle_in_transaction_session_timeout = 1235; insert into t values (1)',
    'COMMIT',
  ])
})

test.skipIf(!wantedDrivers().includes('pglite'))('of no effect on PGlite', async () => {
  await using db = await createDb('pglite://memory', { pool: pgliteStart, transactionIdleTimeoutMs: 20 }).open()
  await db.transaction(async (tx) => {
    await tx.scalar('select 1')
    await sleep(60)
    expect(await tx.scalar(limit)).toBe('0')
  })
})
