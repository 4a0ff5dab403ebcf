/** The way to the server dies while statements are on it. */

import { ConnectionLostError, QueryTimeoutError, AbortedError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { functionsKnown } from '../support/functions.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'
import { leapMs } from './slow-commit.ts'
import { short, site, sound } from './support.ts'

const insert = 'insert into t values (1)'

describe('a statement whose way dies', () => {
  test('is told at its timeoutMs, is stopped on the server, and its connection is not used again', async () => {
    using time = leapingTime()
    await using place = await site({ ...short, pool: { max: 1 } })
    const [link] = place.proxy.links
    const told = caught(place.db.scalar('select 1 from pg_sleep(60)', [], { timeoutMs: leapMs }))
    await until(async () => (await place.sleeping()) === 1)
    link!.break('blackhole')
    time.leap(leapMs)

    const error = await told

    expect(error).toBeInstanceOf(QueryTimeoutError)
    expect(error.outcome).toBe('unknown')
    await until(() => !link!.held)
    await sound(place)
  })

  test('in one direction only is the same', async () => {
    using time = leapingTime()
    await using place = await site({ ...short, pool: { max: 1 } })
    const [link] = place.proxy.links
    link!.toClient.swallows = true
    const told = caught(place.db.status(insert, [], { timeoutMs: leapMs }))
    await until(async () => (await place.rows()).length > 0)
    time.leap(leapMs)

    const error = await told

    expect(error).toBeInstanceOf(QueryTimeoutError)
    expect(error.outcome).toBe('unknown')
    await until(() => !link!.held)
    await sound(place)
    expect(await place.rows()).toEqual([1])
  })

  test('and no other way leads there: every caller is told at its own deadline', async () => {
    using time = leapingTime()
    await using place = await site({ ...short, pool: { max: 2, acquireTimeoutMs: 3_600_000 } })
    await place.warm(2)
    for (const link of place.proxy.links) link.break('blackhole')
    await place.proxy.accept('silent')
    const order: number[] = []

    const waits = [400_000, 200_000, 300_000, 100_000].map(async (timeoutMs) => {
      const error = await caught(place.db.scalar('select 1', [], { timeoutMs }))
      order.push(timeoutMs)
      return error.code
    })

    for (let told = 1; told <= 4; told++) {
      time.leap(100_000)
      await until(() => order.length === told)
    }

    expect(new Set(await Promise.all(waits))).toEqual(new Set(['GENEVER_QUERY_TIMEOUT', 'GENEVER_ACQUIRE_TIMEOUT']))
    expect(order).toEqual([100_000, 200_000, 300_000, 400_000])
    await place.proxy.accept()
    await sound(place)
  })

  test('is told when its signal aborts', async () => {
    await using place = await site({ ...short, pool: { max: 1 } })
    const [link] = place.proxy.links
    link!.break('blackhole')
    const controller = new AbortController()
    const told = caught(place.db.scalar('select 1', [], { signal: controller.signal }))

    controller.abort(new TypeError('enough'))

    const error = await told
    expect(error).toBeInstanceOf(AbortedError)
    expect(error.cause).toBeInstanceOf(TypeError)
    await until(() => !link!.held)
    await sound(place)
  })
})

describe('a write outside of a transaction', () => {
  test.each([
    ['before it reached the server', { to: 'server', text: 'insert', when: 'before' }, []],
    ['after the server had done it', { to: 'client', type: 'C', text: 'INSERT', when: 'before' }, [1]],
    ['after it had been told to be done', { to: 'client', type: 'C', text: 'INSERT', when: 'after' }, [1]],
  ] as const)('lost %s has an unknown outcome and is never sent again', async (_, moment, rows) => {
    await using place = await site({ pool: { max: 2 } })
    const incident = place.proxy.cut(moment)

    const error = await caught(place.db.status(insert))

    expect(incident.link).not.toBeNull()
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({ outcome: 'unknown', retryable: false })
    await sound(place)
    expect(await place.rows()).toEqual(rows)
  })

  test.each(['reset', 'finish'] as const)(
    'lost by %s at any byte of its way is in the table at most once',
    async (how) => {
      await using place = await site({ pool: { max: 2 } })
      let acknowledged = 0
      let unknown = 0
      await functionsKnown(place.db)
      for (let byte = 1; byte < 120; byte += 7) {
        await place.db.scalar('select 1')
        const link = place.proxy.open.at(-1)!
        const to = byte % 2 === 0 ? 'server' : 'client'
        const way = to === 'server' ? link.toServer : link.toClient
        link.cutAtByte(to, way.bytes + byte, how)
        try {
          await place.db.status('insert into t values ($1)', [byte])
          acknowledged++
          link.break('reset')
        } catch (error) {
          expect(error).toMatchObject({ code: 'GENEVER_CONNECTION_LOST', outcome: 'unknown' })
          unknown++
        }
        await until(() => place.db.stats().open === 0)
      }
      const written = await place.rows()

      expect(new Set(written).size).toBe(written.length)
      expect(written.length).toBeGreaterThanOrEqual(acknowledged)
      expect(written.length).toBeLessThanOrEqual(acknowledged + unknown)
      expect(unknown).toBeGreaterThan(5)
      await sound(place)
    },
  )
})

test('a statement that waits for a connection when all die runs once one is there again', async () => {
  await using place = await site({ pool: { max: 1 } })
  const [link] = place.proxy.links
  const running = caught(place.db.scalar('select 1 from pg_sleep(60)'))
  await until(async () => (await place.sleeping()) === 1)
  const waiting = place.db.status(insert)
  link!.break('reset')

  expect(await running).toBeInstanceOf(ConnectionLostError)
  expect(String(await waiting)).toBe('INSERT 0 1')
  expect(await place.rows()).toEqual([1])
})

test('a statement in a dead scope fails, and the scope goes on with another connection', async () => {
  await using place = await site({ pool: { max: 1 } })

  await place.db.scope(async () => {
    await place.db.scalar('select 1')
    place.proxy.cut({ to: 'server', text: 'select 2', when: 'before' }, 'finish')
    expect(await caught(place.db.scalar('select 2'))).toBeInstanceOf(ConnectionLostError)
    expect(await place.db.scalar('select 3')).toBe(3)
  })

  await sound(place)
})

test('a statement whose way dies while the types of its columns are looked up behind it is lost as any other', async () => {
  await using place = await site({ ...short, pool: { max: 1 } })
  await place.db.status("create type lost_mood as enum ('sad')")
  const incident = place.proxy.cut({ to: 'server', type: 'P', text: 'pg_range', when: 'before' })

  const error = await caught(
    place.db.all("select array['sad']::lost_mood[] as moods", [], { types: { anyenum: (text) => text } }),
  )

  expect(error).toBeInstanceOf(ConnectionLostError)
  expect(error.outcome).toBe('rolled_back')
  expect(incident.link).not.toBeNull()
  await sound(place)
})
