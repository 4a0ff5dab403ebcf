import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type NoticeEvent, noticeChannel, enrol, openEngines } from '../../src/observe/channels.ts'
import { type Holder, LeakWatch } from '../../src/observe/reports.ts'
import { until } from '../support/until.ts'
import { fakeClock, realClock } from '../support/virtual-time.ts'

describe('a leak report', () => {
  const notices: NoticeEvent[] = []
  const keep = (notice: NoticeEvent): void => void notices.push(notice)
  const codes = (): string[] => notices.map(({ code }) => code)
  let watch: LeakWatch
  beforeEach(() => {
    fakeClock()
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    noticeChannel.subscribe(keep)
    watch = new LeakWatch('shop', 1_000)
  })
  afterEach(() => {
    watch.stop()
    noticeChannel.unsubscribe(keep)
    notices.length = 0
    realClock()
    vi.restoreAllMocks()
  })

  type Mutable = { -readonly [K in keyof Holder]: Holder[K] }
  const holder = (place = 'src/jobs.ts:1:1'): Mutable => ({
    lease: { since: performance.now() },
    leakingSince: performance.now(),
    place,
    describeOwner: () => 'acquire()',
  })

  test('tells who held a connection for the time without using it, once', () => {
    watch.lent(holder())

    vi.advanceTimersByTime(999)
    expect(notices).toEqual([])
    vi.advanceTimersByTime(10_000)

    expect(notices).toEqual([
      {
        code: 'connection-leak',
        message:
          'A connection has been held for 1000 ms, the last 1000 ms without a statement (leak.afterMs is 1000). Release it, ' +
          'use scope(work), or wrap slow calls in idle(work).',
        engine: 'shop',
        places: ['src/jobs.ts:1:1', 'acquire()'],
        details: { heldMs: 1000, idleMs: 1000 },
      },
    ])
  })

  test('counts from the last statement, and not while one runs', () => {
    const busy = holder()
    busy.leakingSince = null
    const used = holder()
    watch.lent(busy)
    watch.lent(used)
    vi.advanceTimersByTime(600)
    used.leakingSince = performance.now()

    vi.advanceTimersByTime(900)
    expect(notices).toEqual([])
    vi.advanceTimersByTime(200)
    expect(notices.map(({ details }) => details)).toEqual([{ heldMs: 1600, idleMs: 1000 }])
    vi.advanceTimersByTime(10_000)
    expect(notices).toHaveLength(1)
  })

  test('tells that it came back, unless it is gone or was never told of', () => {
    const [back, gone, early] = [holder(), holder(), holder()]
    for (const each of [back, gone, early]) watch.lent(each)
    vi.advanceTimersByTime(900)
    watch.returned(early)
    vi.advanceTimersByTime(600)

    watch.returned(back)
    watch.returned(gone, true)
    watch.returned(back)

    expect(codes()).toEqual(['connection-leak', 'connection-leak', 'connection-unleaked'])
    expect(notices[2]?.details).toEqual({ heldMs: 1500, idleMs: 1500 })
  })

  test('tells the same holder again when it borrows again', () => {
    const again = holder()
    for (let i = 0; i < 2; i++) {
      watch.lent(again)
      vi.advanceTimersByTime(2_000)
      watch.returned(again)
      Object.assign(again, { lease: { since: performance.now() }, leakingSince: performance.now() })
    }

    expect(codes()).toEqual(['connection-leak', 'connection-unleaked', 'connection-leak', 'connection-unleaked'])
  })

  test('has one timer, and none when there is nothing left to tell', () => {
    for (let i = 0; i < 100; i++) watch.lent(holder(`src/jobs.ts:${i}:1`))
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(1_000)
    expect(notices).toHaveLength(100)
    expect(vi.getTimerCount()).toBe(0)

    const quick = holder()
    watch.lent(quick)
    watch.returned(quick)
    vi.advanceTimersByTime(1_000)
    expect(vi.getTimerCount()).toBe(0)
    watch.lent(holder())
    watch.stop()
    expect(vi.getTimerCount()).toBe(0)
  })

  test('forgets a holder that lost its connection without a word', () => {
    const setup = holder()
    watch.lent(setup)
    setup.lease = null
    vi.advanceTimersByTime(10_000)

    expect(notices).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('the engines that are open', () => {
  const engine = (name: string) => ({ name, stats: () => ({ open: 1, idle: 1, max: 10, waiting: 0 }) })
  const names = (): string[] => openEngines().map(({ name }) => name)

  test('are known until they leave', () => {
    const [shop, other] = [engine('shop'), engine('other')]
    const leave = enrol(shop)
    const leaveToo = enrol(other)

    expect(names()).toEqual(['shop', 'other'])
    leave()
    leave()
    expect(names()).toEqual(['other'])
    leaveToo()
    expect(names()).toEqual([])
  })

  test('are not kept alive', async () => {
    enrol(engine('dropped'))

    await until(() => {
      globalThis.gc?.()
      return names().length === 0
    })
  })
})
