/** COMMIT takes its time: deferred constraints run in it. A deadline, or a signal, covers it as it covers the rest. */

import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { AbortedError, CommitOutcomeUnknownError, type EngineOptions, TransactionTimeoutError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'
import { committing, leapMs, overInCommit, slowCommits, type SlowSite, slowRows } from './slow-commit.ts'
import { killBackends, short, site, sound, type Site, watch } from './support.ts'

const insert = 'insert into slow values (1)'

const slowSite = (options: EngineOptions): Promise<SlowSite> => slowCommits(site(options))

const locks = async ({ direct }: Site): Promise<unknown> =>
  direct.query(`select mode from pg_locks where relation = 'slow'::regclass`)

describe('timeoutMs of a transaction that is over during COMMIT', () => {
  test('tells an unknown outcome at once; the server stops, and the connection serves on', async () => {
    using time = leapingTime()
    await using place = await slowSite({ pool: { max: 1 } })
    const before = await place.db.scalar('select pg_backend_pid()')
    let signal: AbortSignal | undefined
    const ran: string[] = []

    const told = caught(
      place.db.transaction(
        async (tx) => {
          signal = tx.signal
          tx.afterCommit(() => ran.push('commit'))
          tx.afterRollback(() => ran.push('rollback'))
          await tx.status(insert)
        },
        { timeoutMs: leapMs },
      ),
    )
    await overInCommit(place, time)

    const error = await told
    expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(error).toMatchObject({ outcome: 'unknown', retryable: false })
    expect(error.message).toMatch(/^Time ran out while the transaction begun at .*commit-timeout\.test/)
    expect(error.cause).toBeInstanceOf(TransactionTimeoutError)
    expect(error.cause).toMatchObject({ outcome: 'unknown' })
    expect(signal?.aborted).toBe(true)
    await sound(place)
    expect(await slowRows(place)).toEqual([])
    expect(await locks(place)).toEqual([])
    expect(await place.db.scalar('select pg_backend_pid()')).toBe(before)
    expect(ran).toEqual([])
  })

  test('and no cancel request gets through: tells at once all the same, and closes the connection', async () => {
    using time = leapingTime()
    await using place = await slowSite({ pool: { max: 1 }, cancelTimeoutMs: leapMs })
    const [link] = place.proxy.links
    const transaction = watch(place.db.transaction((tx) => tx.status(insert), { timeoutMs: leapMs }))
    await committing(place)
    await place.proxy.accept('silent')
    time.leap(leapMs)
    await until(() => transaction.state === 'rejected')

    expect(transaction.value).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(link!.held).toBe(true)
    expect(place.db.stats()).toMatchObject({ reserved: 1, idle: 0 })
    time.leap(leapMs)
    await until(() => !link!.held)
    // Nobody stopped the server: it goes on until it finds out that its client is gone.
    await killBackends(place.direct.name)
    await place.proxy.accept()
    await sound(place)
  })

  test('on a way that died tells at once, and closes the connection', async () => {
    using time = leapingTime()
    await using place = await slowSite({ ...short, pool: { max: 1 } })
    const [link] = place.proxy.links
    const incident = place.proxy.cut({ to: 'server', text: 'COMMIT', when: 'before' }, 'blackhole')

    const told = caught(place.db.transaction((tx) => tx.status(insert), { timeoutMs: leapMs }))
    await until(() => incident.link !== null)
    time.leap(leapMs)

    expect(await told).toBeInstanceOf(CommitOutcomeUnknownError)
    await until(() => !link!.held)
    await sound(place)
    expect(await slowRows(place)).toEqual([])
  })

  test('in a scope lets what follows wait for the answer of the server, and keeps its settings', async () => {
    using time = leapingTime()
    await using place = await slowSite({ pool: { max: 1 } })

    await place.db.scope(
      async () => {
        const before = await place.db.scalar('select pg_backend_pid()')
        const told = caught(place.db.transaction((tx) => tx.status(insert), { timeoutMs: leapMs }))
        await overInCommit(place, time)
        expect(await told).toBeInstanceOf(CommitOutcomeUnknownError)
        expect(await place.db.scalar(`select current_setting('app.tenant')`)).toBe('7')
        expect(await place.db.transaction((tx) => tx.scalar('select pg_backend_pid()'))).toBe(before)
      },
      { settings: { 'app.tenant': '7' } },
    )

    await sound(place)
  })

  test('is never followed by another attempt', async () => {
    using time = leapingTime()
    await using place = await slowSite({ pool: { max: 1 } })
    let runs = 0

    const told = caught(
      place.db.transaction((tx) => (runs++, tx.status(insert)), {
        timeoutMs: leapMs,
        retry: 3,
        isolation: 'serializable',
      }),
    )
    await overInCommit(place, time)

    expect(await told).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(runs).toBe(1)
    await sound(place)
  })
})

test('a signal that aborts during COMMIT tells the same, with its reason', async () => {
  await using place = await slowSite({ pool: { max: 1 } })
  const controller = new AbortController()
  const reason = new TypeError('enough')
  const told = caught(place.db.transaction((tx) => tx.status(insert), { signal: controller.signal }))
  await committing(place)

  controller.abort(reason)

  const error = await told
  expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
  expect(error.cause).toBeInstanceOf(AbortedError)
  expect((error.cause as Error).cause).toBe(reason)
  await sound(place)
  expect(await slowRows(place)).toEqual([])
})

test('query.timeoutMs stops the COMMIT of a transaction begun by hand, on the server too', async () => {
  using time = leapingTime()
  await using place = await slowSite({ pool: { max: 1 } })
  const before = await place.db.scalar('select pg_backend_pid()')
  const tx = await place.db.begin({ query: { timeoutMs: leapMs } })
  await tx.status(insert)

  const told = caught(tx.commit())
  await overInCommit(place, time)

  expect(await told).toBeInstanceOf(CommitOutcomeUnknownError)
  await sound(place)
  expect(await slowRows(place)).toEqual([])
  expect(await place.db.scalar('select pg_backend_pid()')).toBe(before)
})

describe('timeoutMs that is over after the callback has ended, and before COMMIT', () => {
  test('stops what was issued and not awaited, and rolls back', async () => {
    using time = leapingTime()
    await using place = await slowSite({ pool: { max: 1 } })
    let late: Promise<unknown> | undefined

    const told = caught(
      place.db.transaction(
        async (tx) => {
          await tx.status('insert into t values (1)')
          late = caught(tx.scalar('select 1 from pg_sleep(60)'))
        },
        { timeoutMs: leapMs },
      ),
    )
    await until(async () => (await place.sleeping()) === 1)
    time.leap(leapMs)

    const error = await told
    expect(error).toBeInstanceOf(TransactionTimeoutError)
    expect(error.outcome).toBe('rolled_back')
    expect(await late).toMatchObject({ outcome: 'rolled_back' })
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test("does not hide the callback's own error behind a ROLLBACK that is not answered", async () => {
    using time = leapingTime()
    await using place = await slowSite({ pool: { max: 1 }, cancelTimeoutMs: 600_000 })
    const [link] = place.proxy.links
    const broken = gate()
    const reason = new TypeError('mine')

    const told = caught(
      place.db.transaction(
        async (tx) => {
          await tx.status('insert into t values (1)')
          link!.break('blackhole')
          broken.open()
          throw reason
        },
        { timeoutMs: leapMs },
      ),
    )
    await broken.promise
    await turn()
    time.leap(leapMs)

    expect(await told).toBe(reason)
    expect(link!.held).toBe(true)
    time.leap(600_000)
    await until(() => !link!.held)
    await sound(place)
    expect(await place.rows()).toEqual([])
  })
})

test('a nested transaction whose time is over is undone before the one around it commits', async () => {
  await using place = await slowSite({ pool: { max: 1 } })

  await place.db.transaction(async (tx) => {
    await tx.status('insert into t values (1)')
    const error = await caught(
      place.db.transaction(
        async (inner) => {
          await inner.status('insert into t values (2)')
          void caught(inner.scalar('select 1 from pg_sleep(60)'))
          await sleep(1)
        },
        { timeoutMs: 200 },
      ),
    )
    expect(error).toBeInstanceOf(TransactionTimeoutError)
  })

  await sound(place)
  expect(await place.rows()).toEqual([1])
})
