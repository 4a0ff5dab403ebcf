/** What is sent to a channel is heard by those who listen, in order; what may have been missed is said. */

import { AbortedError, createDb, type Db, type Heard, type Listener, UsageError } from 'genever'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl } from '../support/database.ts'
import { hear } from '../support/events.ts'
import { wantedDrivers } from '../support/extent.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { site } from '../faults/support.ts'

const payloads = (heard: readonly Heard[]): unknown[] => heard.map((each) => (each.gap ? 'gap' : each.payload))

/** What the callback of a listener heard. */
async function listening(db: Db, channel: string): Promise<{ heard: Heard[]; listener: Listener }> {
  const heard: Heard[] = []
  const listener = await db.listen(channel, (each) => heard.push(each))
  onTestFinished(() => listener.unlisten())
  return { heard, listener }
}

/** Whatever was sent before has come. */
async function arrived(db: Db): Promise<void> {
  const listener = await db.listen('fence')
  await db.notify('fence')
  await listener[Symbol.asyncIterator]().next()
  await listener.unlisten()
}

forEachDriver((driver) => {
  describe('a channel', () => {
    test('is heard by a callback, in order, with what was sent', async () => {
      const db = await driver.db()
      const { heard } = await listening(db, 'News "of" today')
      for (const payload of ['one', '', 'drei ✓']) await db.notify('News "of" today', payload)
      await db.notify('other', 'no')
      await until(() => heard.length >= 3)

      expect(payloads(heard)).toEqual(['one', '', 'drei ✓'])
      expect(heard[0]).toMatchObject({ gap: false, channel: 'News "of" today' })
      expect(heard[0]).toHaveProperty('processId', expect.any(Number))
    })

    test('is heard when the transaction has committed, and not when it was rolled back', async () => {
      const db = await driver.db()
      const { heard } = await listening(db, 'news')
      await caught(db.transaction(() => db.notify('news', 'lost').then(() => Promise.reject(new Error('back')))))
      await db.transaction(async () => {
        await db.notify('news', 'kept')
        expect(payloads(heard)).toEqual([])
      })
      await until(() => heard.length >= 1)
      expect(payloads(heard)).toEqual(['kept'])
    })

    test('is a loop without a callback, which ends with the listener', async () => {
      const db = await driver.db()
      const listener = await db.listen('news')
      await db.notify('news', 'a')
      await db.notify('news', 'b')
      await db.notify('news', 'c')
      const heard: Heard[] = []
      for await (const each of listener) {
        heard.push(each)
        if (heard.length === 2) break
      }
      expect(payloads(heard)).toEqual(['a', 'b'])
      expect(listener.ended).toBe(true)
      const other = await db.listen('news')
      const loop = (async () => {
        for await (const each of other) heard.push(each)
      })()
      await other.unlisten()
      await loop
      await other.unlisten()
    })

    test('has several listeners, each of which ends alone', async () => {
      const db = await driver.db()
      const [one, two, three] = [await listening(db, 'news'), await listening(db, 'news'), await listening(db, 'more')]
      await db.notify('news', 'a')
      await until(() => one.heard.length + two.heard.length >= 2)
      await one.listener.unlisten()
      await db.notify('news', 'b')
      await db.notify('more', 'c')
      await until(() => two.heard.length + three.heard.length >= 3)
      expect([one, two, three].map(({ heard }) => payloads(heard))).toEqual([['a'], ['a', 'b'], ['c']])
    })

    test('goes on after what a callback throws, which is a notice, and one at a time', async () => {
      const db = await driver.db()
      using told = hear(db.engineQuietly()?.name ?? '')
      let running = 0
      const heard: unknown[] = []
      await using _ = await db.listen('news', async ({ payload }) => {
        expect(++running).toBe(1)
        await new Promise((resolve) => setImmediate(resolve))
        running--
        heard.push(payload)
        if (payload === 'bad') throw new Error('no good')
      })
      for (const payload of ['bad', 'good']) await db.notify('news', payload)
      await until(() => heard.length >= 2)
      expect(heard).toEqual(['bad', 'good'])
      await until(() => told.notices.some(({ code }) => code === 'hook-failed'))
    })

    test('is still listened to when a connection was reset, and counted beyond the pool', async () => {
      const db = await driver.db()
      const { heard, listener } = await listening(db, 'news')
      expect(db.stats().listening).toBe(driver.name === 'pglite' ? 0 : 1)
      await db.scope(async () => {
        await db.status('listen other')
        await db.status("set application_name = 'x'")
      })
      await db.notify('news', 'a')
      await until(() => heard.length >= 1)
      await listener.unlisten()
      expect(db.stats().listening).toBe(0)
      await db.notify('news', 'b')
      const [sessions] = await db.all('select pg_listening_channels() as channel')
      expect(sessions).toBeUndefined()
      expect(payloads(heard)).toEqual(['a'])
    })

    test('is refused by name where it cannot be one', async () => {
      const db = await driver.db()
      for (const channel of ['', 'x'.repeat(64), 'a\0', 7 as unknown as string]) {
        expect(await caught(db.listen(channel))).toBeInstanceOf(UsageError)
        expect(await caught(db.notify(channel))).toBeInstanceOf(UsageError)
      }
      expect(await caught(db.notify('news', { a: 1 } as unknown as string))).toBeInstanceOf(UsageError)
      expect(await caught(db.listen('news', 'work' as unknown as () => void))).toBeInstanceOf(UsageError)
      expect(await caught(db.notify('news', 'x'.repeat(8_000)))).toMatchObject({ sqlState: '22023' })
    })

    test('is heard outside of the connection and transaction in whose code it was asked for', async () => {
      const db = await driver.db()
      const heard: unknown[] = []
      const listener = await db.scope(() =>
        db.listen('news', async ({ payload }) => heard.push(payload, await db.scalar('select 1'), db.current)),
      )
      await db.notify('news', 'a')
      await until(() => heard.length >= 3)
      expect(heard).toEqual(['a', 1, undefined])
      await listener.unlisten()
    })

    test('ends with its signal', async () => {
      const db = await driver.db()
      const stop = new AbortController()
      const listener = await db.listen('news', undefined, { signal: stop.signal })
      stop.abort()
      expect(listener.ended).toBe(true)
      for await (const _ of listener) throw new Error('heard')
      expect(await caught(db.listen('news', undefined, { signal: AbortSignal.abort() }))).toBeInstanceOf(AbortedError)
    })

    test('lets go of its signal when it has ended', async () => {
      const db = await driver.db()
      const { signal } = new AbortController()
      const watching = vi.spyOn(signal, 'addEventListener')
      const heard: WeakRef<Listener>[] = []
      for (let time = 0; time < 3; time++) {
        const listener = await db.listen('news', undefined, { signal })
        heard.push(new WeakRef(listener))
        await listener.unlisten()
      }
      expect(watching.mock.calls.length).toBeLessThanOrEqual(1)
      const collected = (): boolean => {
        global.gc?.()
        return heard.slice(0, -1).every((each) => each.deref() === undefined)
      }
      await until(collected, { what: 'those that have ended are collected' })
    })

    test('is shared by its loops, each of which ends with the listener', async () => {
      const db = await driver.db()
      const listener = await db.listen('news')
      const heard: Heard[] = []
      const loop = async (): Promise<void> => {
        for await (const each of listener) heard.push(each)
      }
      const loops = [loop(), loop(), loop()]
      for (const payload of ['a', 'b', 'c', 'd']) await db.notify('news', payload)
      await until(() => heard.length >= 4)
      expect(payloads(heard)).toEqual(['a', 'b', 'c', 'd'])
      await listener.unlisten()
      await Promise.all(loops)
    })

    test('has a gap where notifications were dropped, before those that come later', async () => {
      const db = await driver.db()
      const listener = await db.listen('news')
      const send = (from: number, to: number): Promise<unknown> =>
        db.status("select pg_notify('news', i::text) from generate_series($1::int, $2::int) i", [from, to])
      await send(1, 10_005)
      await db.notify('news', 'last of them')
      const loop = listener[Symbol.asyncIterator]()
      const next = async (): Promise<unknown> => payloads([(await loop.next()).value as Heard])[0]
      await arrived(db)
      for (let taken = 1; taken <= 10; taken++) expect(await next()).toBe(String(taken))
      await db.notify('news', 'later')
      await arrived(db)
      const rest: unknown[] = []
      while (rest.at(-1) !== 'later') rest.push(await next())
      expect(rest.slice(-3)).toEqual(['10000', 'gap', 'later'])
      await listener.unlisten()
    })
  })
})

describe.skipIf(!wantedDrivers().some((name) => name === 'pg' || name === 'socket'))('over a network', () => {
  test('a connection that is lost is opened again, and every listener hears of the gap', async () => {
    await using place = await site()
    const { heard } = await listening(place.db, 'news')
    const other = await listening(place.db, 'more')
    await place.db.notify('news', 'a')
    await until(() => heard.length >= 1)
    for (const link of place.proxy.open) link.break('reset')
    await until(() => heard.length >= 2 && other.heard.length >= 1)
    await place.db.notify('news', 'b')
    await until(() => heard.length >= 3)

    expect(payloads(heard)).toEqual(['a', 'gap', 'b'])
    expect(payloads(other.heard)).toEqual(['gap'])
    expect(heard[1]).toHaveProperty('gapMs', expect.any(Number))
    expect(place.db.stats().listening).toBe(1)
  })

  test('the gap comes before what is heard behind it, also while other channels are not listened to yet', async () => {
    await using place = await site()
    const { heard } = await listening(place.db, 'news')
    await listening(place.db, 'more')
    const second = { to: 'server', text: 'listen "more"', when: 'before' } as const
    const stuck = place.proxy.on(second, ({ toServer }) => void (toServer.swallows = true))
    for (const link of place.proxy.open) link.break('reset')
    await until(() => stuck.link !== null)
    await place.direct.query("notify news, 'b'")
    await until(() => heard.length >= 2)
    stuck.link?.break('reset')

    expect(payloads(heard).slice(0, 2)).toEqual(['gap', 'b'])
    await until(() => heard.length >= 3)
    expect(payloads(heard)).toEqual(['gap', 'b', 'gap'])
  })

  test('a way that is silent is found out by the heartbeat', async () => {
    await using place = await site()
    const heard: Heard[] = []
    await using _ = await place.db.listen('news', (each) => heard.push(each), { heartbeatMs: 100 })
    place.proxy.open.at(-1)?.break('blackhole')
    await until(() => heard.length >= 1)
    // A way that is slow for as long as the heartbeat is found silent too.
    expect(new Set(payloads(heard))).toEqual(new Set(['gap']))
  })

  test('the shortest heartbeat counts, also that of a listener that comes later', async () => {
    await using place = await site()
    const heard: Heard[] = []
    await using _never = await place.db.listen('news', (each) => heard.push(each), { heartbeatMs: Infinity })
    await using _often = await place.db.listen('more', () => {}, { heartbeatMs: 100 })
    for (const link of place.proxy.open) link.break('blackhole')
    await until(() => heard.length >= 1)
    expect(new Set(payloads(heard))).toEqual(new Set(['gap']))
  })

  test('while the connection is lost, listening waits for it or its signal, and nobody waits to stop', async () => {
    await using place = await site()
    const { listener } = await listening(place.db, 'news')
    using told = hear(place.db.engineQuietly()?.name ?? '')
    place.proxy.refuse()
    for (const link of place.proxy.open) link.break('reset')
    await until(() => told.notices.some(({ code }) => code === 'listening-interrupted'))
    const stop = new AbortController()
    const aborted = caught(place.db.listen('more', () => {}, { signal: stop.signal }))
    const waiting = listening(place.db, 'other')
    stop.abort()
    expect(await aborted).toBeInstanceOf(AbortedError)
    await listener.unlisten()
    await place.proxy.accept()
    const { heard } = await waiting
    await place.db.notify('other', 'a')
    await until(() => heard.some(({ payload }) => payload === 'a'))
    expect(place.db.stats().listening).toBe(1)
  })

  test('closing ends the loops, and the connection', async () => {
    const db = await createDb(await databaseUrl()).open()
    const listener = await db.listen('news')
    const loop = (async () => {
      for await (const _ of listener) throw new Error('heard')
    })()
    await db.close()
    await loop
    expect(listener.ended).toBe(true)
    expect(await caught(db.listen('news'))).toMatchObject({ name: 'PoolClosedError' })
  })

  test('behind a transaction pooler listening is refused, and sending is not', async () => {
    await using db = createDb(await databaseUrl(), { pooler: 'transaction' })
    expect((await caught(db.listen('news'))).message).toContain('transaction pooler')
    await db.notify('news', 'a')
  })
})
