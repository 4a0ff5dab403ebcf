/** The way to the server dies around COMMIT and ROLLBACK: what is told is what the table says. */

import { CommitOutcomeUnknownError, ConnectionLostError, TransactionTimeoutError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import type { Moment } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'
import { leapMs } from './slow-commit.ts'
import { short, site, sound } from './support.ts'

const insert = 'insert into t values (1)'
const commitGoes: Moment = { to: 'server', text: 'COMMIT', when: 'before' }

const commitDone: Moment = { to: 'client', type: 'C', text: 'COMMIT', when: 'before' }
const commitTold: Moment = { to: 'client', type: 'C', text: 'COMMIT', when: 'after' }

describe('a COMMIT', () => {
  test.each([
    ['before it reached the server', commitGoes, []],
    ['after the server had done it', commitDone, [1]],
    ['between its answer and the end of it', commitTold, [1]],
  ] as const)('lost %s has an unknown outcome', async (_, moment, rows) => {
    await using place = await site()
    const incident = place.proxy.cut(moment)

    const error = await caught(place.db.transaction((tx) => tx.status(insert)))

    expect(incident.link).not.toBeNull()
    expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(error).toMatchObject({ outcome: 'unknown', retryable: false })
    await sound(place)
    expect(await place.rows()).toEqual(rows)
  })

  test('lost is not sent on another connection, however often the transaction may be run again', async () => {
    await using place = await site()
    place.proxy.cut(commitGoes, 'finish')
    let runs = 0

    const error = await caught(
      place.db.transaction(
        async (tx) => {
          runs++
          await tx.status(insert)
        },
        { retry: 5 },
      ),
    )

    expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(runs).toBe(1)
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('of a transaction begun by hand that is lost has an unknown outcome', async () => {
    await using place = await site()
    place.proxy.cut(commitDone)
    const tx = await place.db.begin()
    await tx.status(insert)

    expect(await caught(tx.commit())).toBeInstanceOf(CommitOutcomeUnknownError)

    await sound(place)
    expect(await place.rows()).toEqual([1])
  })
})

test('a connection lost before COMMIT was sent is known to be rolled back', async () => {
  await using place = await site()

  const error = await caught(
    place.db.transaction(async (tx) => {
      await tx.status(insert)
      place.proxy.open[0]!.break('reset')
      await until(() => place.db.stats().reserved === 0)
    }),
  )

  expect(error).toBeInstanceOf(ConnectionLostError)
  expect(error).toMatchObject({ outcome: 'rolled_back', retryable: true })
  await sound(place)
  expect(await place.rows()).toEqual([])
})

describe('a ROLLBACK into silence', () => {
  test("does not keep the callback's error from its caller, and the connection is closed", async () => {
    await using place = await site({ ...short, pool: { max: 1 } })
    const [link] = place.proxy.links
    const reason = new TypeError('mine')

    const error = await caught(
      place.db.transaction(async (tx) => {
        await tx.status(insert)
        link!.break('blackhole')
        throw reason
      }),
    )

    expect(error).toBe(reason)
    await until(() => !link!.held)
    await sound(place)
  })

  test("after a transaction's timeoutMs frees the connection's place all the same", async () => {
    using time = leapingTime()
    await using place = await site({ ...short, pool: { max: 1 } })
    const [link] = place.proxy.links
    const [broken, ended] = [gate(), gate()]

    const told = caught(
      place.db.transaction(
        async (tx) => {
          await tx.status(insert)
          link!.break('blackhole')
          broken.open()
          await ended.promise
        },
        { timeoutMs: leapMs },
      ),
    )
    await broken.promise
    time.leap(leapMs)

    const error = await told
    ended.open()
    expect(error).toBeInstanceOf(TransactionTimeoutError)
    await until(() => !link!.held)
    await sound(place)
  })

  test('of a manual transaction ends too', async () => {
    await using place = await site({ ...short, pool: { max: 1 } })
    const [link] = place.proxy.links
    const tx = await place.db.begin()
    await tx.status(insert)
    link!.break('blackhole')

    await tx.rollback()

    await until(() => !link!.held)
    await sound(place)
  })
})

test('a COMMIT into silence ends at the time given to the statements of the engine, with an unknown outcome', async () => {
  using time = leapingTime()
  await using place = await site({ pool: { max: 1 }, query: { timeoutMs: leapMs } })
  const incident = place.proxy.cut(commitGoes, 'blackhole')

  const told = caught(place.db.transaction((tx) => tx.status(insert)))
  await until(() => incident.link !== null)
  time.leap(leapMs)

  expect(await told).toBeInstanceOf(CommitOutcomeUnknownError)
})
