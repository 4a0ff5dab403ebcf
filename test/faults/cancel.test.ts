/** Statements that are stopped: by their deadline, by a signal, on the way, at the very moment they end. */

import { getEventListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { AbortedError, QueryTimeoutError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { until } from '../support/until.ts'
import { site, sound } from './support.ts'

test('300 statements stopped at the moment they end harm no other, and the connections are kept', async () => {
  await using place = await site({ pool: { max: 4 } })
  await place.warm(4)
  const ends: Record<string, number> = {}
  const victim = async (n: number): Promise<void> => {
    const controller = new AbortController()
    const ms = Math.random() * 6
    const stop = setTimeout(() => controller.abort(), ms)
    try {
      const options = n % 2 === 0 ? { signal: controller.signal } : { timeoutMs: ms }
      expect(await place.db.scalar('select $1::int from pg_sleep($2)', [n, Math.random() / 200], options)).toBe(n)
    } catch (error) {
      const { code } = error as { code: string }
      ends[code] = (ends[code] ?? 0) + 1
    } finally {
      clearTimeout(stop)
    }
  }
  const innocent = async (n: number): Promise<void> => {
    expect(await place.db.scalar('select $1::int from pg_sleep(0.001)', [n])).toBe(n)
  }
  const cancelled = (): number => place.proxy.links.filter((link) => link.cancels).length
  const victims = async (): Promise<void> => {
    // On a slow machine most of them are stopped while they wait for a connection.
    for (let n = 0; n < 100 || cancelled() <= 20; n++) await victim(n)
  }
  const innocents = async (): Promise<void> => {
    for (let n = 0; n < 60; n++) await innocent(n)
  }

  await Promise.all([1, 2, 3].flatMap(() => [victims(), innocents()]))

  await sound(place)
  const cancels = cancelled()
  const sessions = place.proxy.links.length - cancels
  expect(Object.keys(ends).toSorted().slice(0, 3)).toEqual(
    ['GENEVER_ABORTED', 'GENEVER_ACQUIRE_TIMEOUT', 'GENEVER_QUERY_TIMEOUT'].filter((code) => ends[code] !== undefined),
  )
  expect(cancels).toBeGreaterThan(20)
  expect(sessions - 4).toBeLessThanOrEqual(cancels / 20)
})

describe('a statement whose time is over', () => {
  test('does not run on, and its connection serves the next as if nothing had been', async () => {
    await using place = await site({ pool: { max: 1 } })

    const error = await caught(place.db.scalar('select 1 from pg_sleep(60)', [], { timeoutMs: 200 }))
    const next = place.db.scalar('select 2 from pg_sleep(0.2)')

    expect(error).toBeInstanceOf(QueryTimeoutError)
    expect(await next).toBe(2)
    await sound(place)
    expect(place.proxy.links.filter((link) => !link.cancels)).toHaveLength(1)
  })

  test('in a scope leaves the session as it was', async () => {
    await using place = await site({ pool: { max: 1 } })

    await place.db.scope(
      async () => {
        await caught(place.db.scalar('select 1 from pg_sleep(60)', [], { timeoutMs: 200 }))
        expect(await place.db.scalar(`select current_setting('app.tenant')`)).toBe('a')
      },
      { settings: { 'app.tenant': 'a' } },
    )

    expect(await place.db.scalar(`select current_setting('app.tenant', true)`)).toBeFalsy()
    await sound(place)
  })

  test('in a transaction does not let the rest commit', async () => {
    await using place = await site({ pool: { max: 1 } })

    await caught(
      place.db.transaction(async (tx) => {
        await tx.status('insert into t values (1)')
        await caught(tx.scalar('select 1 from pg_sleep(60)', [], { timeoutMs: 200 }))
      }),
    )

    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('while the way for cancel requests is closed costs its connection, and nobody else anything', async () => {
    await using place = await site({ pool: { max: 1 } })
    place.proxy.refuse()
    const told = caught(place.db.scalar('select 1 from pg_sleep(60)', [], { timeoutMs: 200 }))
    const waiting = place.db.scalar('select 2')

    expect(await told).toBeInstanceOf(QueryTimeoutError)
    await until(() => place.db.stats().open === 0)
    await place.proxy.accept()
    expect(await waiting).toBe(2)
  })
})

describe('a signal', () => {
  test('that aborts while its statement waits for a connection takes it out of the queue', async () => {
    await using place = await site({ pool: { max: 1 } })
    const held = await place.db.acquire()
    const controller = new AbortController()
    const waits = [
      caught(place.db.scalar('select 1', [], { signal: controller.signal })),
      caught(place.db.transaction(() => {}, { signal: controller.signal })),
    ]
    expect(place.db.stats().waiting).toBe(2)

    controller.abort()

    for (const error of await Promise.all(waits)) {
      expect(error).toBeInstanceOf(AbortedError)
      expect(error.outcome).not.toBe('unknown')
    }
    expect(place.db.stats().waiting).toBe(0)
    await held.release()
    await sound(place)
  })

  test('that aborts while its statement runs stops it on the server', async () => {
    await using place = await site({ pool: { max: 1 } })
    const controller = new AbortController()
    const told = caught(place.db.scalar('select 1 from pg_sleep(60)', [], { signal: controller.signal }))
    await until(async () => (await place.sleeping()) === 1)

    controller.abort()

    expect(await told).toBeInstanceOf(AbortedError)
    await sound(place)
  })

  test('that aborts while the connection it waits for is being reset leaves that alone', async () => {
    await using place = await site({ pool: { max: 1 } })
    const [link] = place.proxy.links
    const held = await place.db.acquire()
    await held.status(`set application_name = 'genever-site'`)
    link!.delay(80)
    const released = held.release()
    const controller = new AbortController()
    const told = caught(place.db.scalar('select 1', [], { signal: controller.signal }))
    expect(place.db.stats()).toMatchObject({ draining: 1, waiting: 1 })

    controller.abort()

    expect(await told).toBeInstanceOf(AbortedError)
    await released
    await sound(place)
    expect(place.proxy.links).toHaveLength(1)
  })

  test('that aborts at any moment of a life leaves nothing behind', async () => {
    await using place = await site({ pool: { max: 2 } })
    for (let turn = 0; turn < 60; turn++) {
      const controller = new AbortController()
      const { signal } = controller
      const life = place.db.scope(async () => {
        await place.db.scalar(`select set_config('app.turn', '1', false)`, [], { signal })
        await place.db.transaction(
          async (tx) => {
            await tx.status('insert into t values (1)', [], { signal })
            await tx.scalar('select 1 from pg_sleep(0.001)', [], { signal })
            tx.raiseRollback()
          },
          { signal },
        )
      })
      await Promise.all([life.catch(() => {}), sleep(turn / 8).then(() => controller.abort())])
    }

    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('that is used again and again has one listener', async () => {
    await using place = await site()
    const { signal } = new AbortController()

    for (let n = 0; n < 200; n++) await place.db.scalar('select 1', [], { signal })
    await Promise.all(Array.from({ length: 50 }, () => place.db.scalar('select 1', [], { signal })))
    for (let n = 0; n < 20; n++) await place.db.transaction((tx) => tx.scalar('select 1'), { signal })

    expect(getEventListeners(signal, 'abort').length).toBeLessThanOrEqual(1)
  })
})
