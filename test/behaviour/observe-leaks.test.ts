/** The leak report: who holds a connection for nothing is told with the place where it was borrowed, and nobody else is. */

import { type Db } from 'genever'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { clock } from '../../src/util/clock.ts'
import { type Heard, hear } from '../support/events.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { doing, forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { type LeapingTime, leapingTime } from '../support/virtual-time.ts'

const here = 'test/behaviour/observe-leaks.test.ts'
const leak = { afterMs: 20_000 }

/** Every warning of the process is swallowed: a leak warns once for each place. */
const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
let time: LeapingTime
beforeEach(() => {
  time = leapingTime()
})
afterEach(() => {
  time[Symbol.dispose]()
  warnings.mockClear()
})

const codes = ({ notices }: Heard): string[] => notices.map(({ code }) => code)
/** The time is over, and it is told. */
const leaked = async (heard: Heard): Promise<void> => {
  time.leap(leak.afterMs + 1_000)
  await until(() => codes(heard).includes('connection-leak'))
}
/** Much time passes while code waits for something else. */
const idles = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) {
    time.leap(leak.afterMs)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function forget(db: Db): Promise<void> {
  await db.acquire()
}

forEachDriver((driver) => {
  test('a handle that is kept without a statement is told with the place of acquire(), and again when it comes back', async () => {
    const db = await driver.single({ name: 'kept', leak })
    using heard = hear('kept')

    const held = await db.acquire()
    await held.scalar('select 1')
    await leaked(heard)
    await held.release()

    expect(codes(heard)).toEqual(['connection-leak', 'connection-unleaked'])
    const [told, back] = heard.notices
    expect(told?.places).toEqual([
      expect.stringMatching(`^${here}:\\d+:\\d+$`),
      expect.stringMatching(`^acquire\\(\\) at ${here}:\\d+:\\d+$`),
    ])
    expect(told?.message).toMatch(/^A connection has been held for \d+ ms, the last \d+ ms without a statement/)
    expect(told?.details?.['idleMs']).toBeGreaterThanOrEqual(leak.afterMs - 1)
    expect(told?.details?.['heldMs']).toBeGreaterThanOrEqual(told?.details?.['idleMs'] ?? Infinity)
    expect(back?.places).toEqual(told?.places)
    expect(back?.details?.['heldMs']).toBeGreaterThan(leak.afterMs)
  })

  test('a scope that holds its connection and waits for something else is told, once for each time it borrows', async () => {
    const db = await driver.single({ name: 'slow', leak })
    using heard = hear('slow')

    const work = async (): Promise<void> => {
      await db.scalar('select 1')
      await leaked(heard)
      await idles()
    }
    await db.scope(work, { hold: true })

    expect(codes(heard)).toEqual(['connection-leak', 'connection-unleaked'])
    expect(heard.notices[0]?.places[0]).toContain(here)
    expect(heard.notices[0]?.places[1]).toContain('scope')
  })

  test('a scope whose connection the pool may take back is not told', async () => {
    const db = await driver.single({ name: 'lent', leak })
    using heard = hear('lent')

    await db.scope(async () => {
      await db.scalar('select 1')
      await idles()
    })

    expect(codes(heard)).toEqual([])
  })

  test('a transaction that waits for something else is told', async () => {
    const db = await driver.single({ name: 'waiting', leak })
    using heard = hear('waiting')

    await db.transaction(() => leaked(heard))

    expect(heard.notices[0]?.places).toEqual([
      expect.stringContaining(here),
      expect.stringContaining(`transaction begun at ${here}`),
    ])
  })

  test('a scope is told with its own place too, for an awaited query has none on Node 20', async () => {
    const db = await driver.single({ name: 'awaited', leak })
    using heard = hear('awaited')

    const work = async (): Promise<void> => {
      await db.sql`select ${1} + 1`
      await leaked(heard)
    }
    await db.scope(work, { hold: true })

    expect(heard.notices[0]?.places.at(-1)).toMatch(new RegExp(`^scope at ${here}:\\d+:\\d+$`))
  })

  test('a long statement, a busy scope, and whoever gave the connection back are not told', async () => {
    const db = await driver.single({ name: 'busy', leak })
    using heard = hear('busy')

    await db.scope(
      async () => {
        const long = db.scalar(driver.words.sleep(0.1))
        for (let i = 0; i < 3; i++) time.leap(leak.afterMs)
        await long
      },
      { hold: true },
    )
    await db.scope(
      async () => {
        for (let i = 0; i < 5; i++) {
          await db.scalar('select 1')
          time.leap(leak.afterMs * 0.9)
        }
      },
      { hold: true },
    )
    const lazy = await db.acquire({ lazy: true })
    const parked = await db.acquire()
    await parked.release({ permanent: false })
    await idles()
    await lazy.release()
    await parked.release()

    expect(codes(heard)).toEqual([])
  })

  test('code in idle() is not told, even if the connection had to be kept; its time begins after that', async () => {
    const db = await driver.single({ name: 'excused', leak })
    using heard = hear('excused')

    await db.transaction(async () => {
      await db.scalar('select 1')
      await db.idle(idles)
      expect(codes(heard)).toEqual(['held-while-idle'])
      await leaked(heard)
    })

    expect(heard.notices[1]?.details?.['idleMs']).toBeLessThan(leak.afterMs * 3)
  })

  test('a handle that is garbage-collected is told with its place, and its connection stays lent', async () => {
    const db = await driver.single({ name: 'collected', leak: { afterMs: 100_000 } })
    using heard = hear('collected')

    await forget(db)
    await until(() => {
      globalThis.gc?.()
      return heard.notices.length > 0
    })

    expect(codes(heard)).toEqual(['connection-leak'])
    expect(heard.notices[0]?.message).toContain('garbage-collected')
    expect(heard.notices[0]?.places[0]).toMatch(`${here}:`)
    expect(heard.notices[0]?.places[0]).toContain('(forget)')
    expect(doing(db)).toBe('1 lent, 0 idle, 0 waiting')
    await db.close({ timeoutMs: 0 })
  })
})

test('a leak warns on the process, once for each place', async () => {
  await using server = await fake({}, { name: 'warned', leak })
  using heard = hear('warned')

  for (let i = 0; i < 2; i++) {
    const held = await server.db.acquire()
    time.leap(leak.afterMs + 1_000)
    await until(() => codes(heard).length === 2 * i + 1)
    await held.release()
  }

  expect(codes(heard)).toHaveLength(4)
  expect(warnings.mock.calls).toEqual([
    [
      expect.stringContaining('has been held for'),
      expect.objectContaining({
        type: 'GeneverWarning',
        code: 'connection-leak',
        detail: expect.stringContaining(here),
      }),
    ],
  ])
})

test('a connection that is lost is not said to have come back', async () => {
  await using server = await fake({}, { name: 'lost', leak })
  using heard = hear('lost')

  const held = await server.db.acquire()
  await leaked(heard)
  server.driver.sessions[0]?.kill()
  await until(() => !held.borrowed)
  await held.release()

  expect(codes(heard)).toEqual(['connection-leak'])
})

test('it costs one timer for all leases, which keeps no process alive, and none without leases', async () => {
  await using server = await fake({}, { name: 'timers', leak, pool: { max: 100 } })
  time[Symbol.dispose]()
  const timers = vi.spyOn(clock, 'setTimeout')
  const mine = (): number => timers.mock.calls.filter(([, delay]) => delay === leak.afterMs).length
  try {
    const hold = gate()
    const scopes = Array.from({ length: 50 }, () =>
      server.db.scope((c) => c.scalar('select 1').then(() => hold.promise), { hold: true }),
    )
    await until(() => server.db.stats().reserved === 50)
    const armed = mine()
    hold.open()
    await Promise.all(scopes)

    expect(armed).toBe(1)
    for (const { value } of timers.mock.results.filter((_, i) => timers.mock.calls[i]?.[1] === leak.afterMs))
      expect((value as NodeJS.Timeout).hasRef()).toBe(false)
  } finally {
    timers.mockRestore()
  }
})

test('places are captured at every handle and borrow with the option, and at none without', async () => {
  const capture = vi.spyOn(Error, 'captureStackTrace')
  const captures = async (db: Db): Promise<number> => {
    await (await db.acquire()).release()
    capture.mockClear()
    for (let i = 0; i < 10; i++) await (await db.acquire()).release()
    return capture.mock.calls.length
  }
  try {
    await using watched = await fake({}, { leak: { afterMs: 1000 } })
    await using plain = await fake()

    expect([await captures(watched.db), await captures(plain.db)]).toEqual([20, 0])
  } finally {
    capture.mockRestore()
  }
})
