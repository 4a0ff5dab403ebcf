import diagnostics from 'node:diagnostics_channel'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  statementChannel,
  type NoticeEvent,
  type StatementEvent,
  noticeChannel,
  notice,
} from '../../src/observe/channels.ts'
import { echo } from '../../src/observe/reports.ts'
import { capturePlace, type Place } from '../../src/observe/place.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean()
  vi.restoreAllMocks()
})

let places = 0
/** Notices warn once per place and process: every test has places of its own. */
const freshPlace = (): string => `place ${++places}`

const statement = (event: Partial<StatementEvent> = {}): StatementEvent => ({
  id: 1,
  engine: 'shop',
  server: { system: 'postgresql' },
  connection: 1,
  transaction: null,
  implicit: true,
  operation: 'SELECT',
  sql: 'select 1',
  parameters: 0,
  waitMs: 0,
  durationMs: 1.26,
  rowCount: 1,
  returnedRows: 1,
  ...event,
})

function heard(): NoticeEvent[] {
  const events: NoticeEvent[] = []
  const listen = (event: NoticeEvent): void => void events.push(event)
  noticeChannel.subscribe(listen)
  cleanups.push(() => noticeChannel.unsubscribe(listen))
  return events
}

describe('channels', () => {
  test('are those of node:diagnostics_channel, so that anybody can subscribe by name', () => {
    const events: unknown[] = []
    const listen = (event: unknown): void => void events.push(event)
    diagnostics.subscribe('genever:statement', listen)
    cleanups.push(() => diagnostics.unsubscribe('genever:statement', listen))

    statementChannel.publish(statement())

    expect(statementChannel.hasSubscribers).toBe(true)
    expect(events).toEqual([statement()])
  })

  test('say when nobody listens', () => {
    expect(statementChannel.hasSubscribers).toBe(false)
  })
})

describe('a notice', () => {
  const warnings = () => vi.spyOn(process, 'emitWarning').mockImplementation(() => {})

  test('is published every time and warned of once for each code and first place', () => {
    const emit = warnings()
    const events = heard()
    const place = freshPlace()

    notice('hook-failed', 'A hook failed.', { engine: 'shop', places: [place, 'one'] })
    notice('hook-failed', 'A hook failed.', { engine: 'shop', places: [place, 'two'] })
    notice('held-while-idle', 'Held.', { engine: 'shop', places: [place] })

    expect(events.map(({ code, places }) => [code, places])).toEqual([
      ['hook-failed', [place, 'one']],
      ['hook-failed', [place, 'two']],
      ['held-while-idle', [place]],
    ])
    expect(emit.mock.calls).toEqual([
      ['A hook failed.', { type: 'GeneverWarning', code: 'hook-failed', detail: `    at ${place}\n    at one` }],
      ['Held.', { type: 'GeneverWarning', code: 'held-while-idle', detail: `    at ${place}` }],
    ])
  })

  test('is only published when it asks for no warning', () => {
    const emit = warnings()
    const events = heard()

    notice('waiting-for-transaction', 'Waiting.', { places: [freshPlace()], warn: false })

    expect(events).toHaveLength(1)
    expect(emit).not.toHaveBeenCalled()
  })

  test('does not turn places into text when nobody is told', () => {
    const place = { toString: vi.fn(() => 'somewhere') }

    notice('waiting-for-transaction', 'Waiting.', { places: [place], warn: false })

    expect(place.toString).not.toHaveBeenCalled()
  })

  test('remembers only the thousand latest places', () => {
    const emit = warnings()
    const first = freshPlace()

    notice('hook-failed', 'A hook failed.', { places: [first] })
    for (let i = 0; i < 1_000; i++) notice('hook-failed', 'A hook failed.', { places: [freshPlace()] })
    notice('hook-failed', 'A hook failed.', { places: [first] })

    expect(emit).toHaveBeenCalledTimes(1_002)
  })
})

describe('echo', () => {
  const lines = (engine = 'shop'): string[] => {
    const written: string[] = []
    cleanups.push(echo(engine, (line) => void written.push(line)))
    return written
  }

  test('prints one line for each statement of its engine', () => {
    const written = lines()

    statementChannel.publish(statement({ sql: 'select *\n\tfrom   users ' }))
    statementChannel.publish(statement({ sql: 'delete from users', rowCount: 12 }))
    statementChannel.publish(statement({ sql: 'bad', error: '42601', outcome: 'rolled_back' }))
    statementChannel.publish(statement({ engine: 'other' }))

    expect(written).toEqual([
      '[shop] 1.3 ms, 1 row: select * from users',
      '[shop] 1.3 ms, 12 rows: delete from users',
      '[shop] 1.3 ms, failed (42601): bad',
    ])
  })

  test('lets no text move the cursor of a terminal, and cuts long ones', () => {
    const written = lines()

    statementChannel.publish(statement({ sql: 'select \u001B[2J\r\u009B1A' }))
    statementChannel.publish(statement({ sql: 'x'.repeat(1_000_000) }))

    expect(written[0]).toBe('[shop] 1.3 ms, 1 row: select [2J 1A')
    expect(written[1]?.length).toBeLessThan(2_100)
  })

  test('stops when told to, twice without harm', () => {
    const written: string[] = []
    const stop = echo('shop', (line) => void written.push(line))

    stop()
    stop()
    statementChannel.publish(statement())

    expect(written).toEqual([])
    expect(statementChannel.hasSubscribers).toBe(false)
  })

  test('writes to standard error unless told otherwise', () => {
    const write = vi.spyOn(process.stderr, 'write').mockImplementation(() => true)
    cleanups.push(echo('shop'))

    statementChannel.publish(statement())

    expect(write).toHaveBeenCalledWith('[shop] 1.3 ms, 1 row: select 1\n')
  })

  test('goes on when its function throws, and tells it', () => {
    const emit = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const engine = freshPlace()
    let calls = 0
    cleanups.push(
      echo(engine, () => {
        calls++
        throw new Error('disk full')
      }),
    )

    statementChannel.publish(statement({ engine }))
    statementChannel.publish(statement({ engine }))

    expect(calls).toBe(2)
    expect(emit).toHaveBeenCalledTimes(1)
  })
})

describe('a place', () => {
  const here = 'test/unit/observe.test.ts'
  function begin(): Place {
    return capturePlace(begin)
  }
  function user(): Place {
    return begin()
  }

  test('is the first frame outside of the package, with the name of its function', () => {
    expect(String(user())).toMatch(new RegExp(`^${here}:\\d+:\\d+ \\(user\\)$`))
    expect(String(capturePlace())).toMatch(new RegExp(`^${here}:\\d+:\\d+$`))
  })

  test('is found through an await, a constructor and a built-in', async () => {
    class Job {
      readonly place = begin()
    }
    async function later(): Promise<Place> {
      await Promise.resolve()
      return begin()
    }

    expect(String(new Job().place)).toContain(`${here}:`)
    expect(String(await later())).toMatch(/\(later\)$/)
    expect([1].map(begin).map(String)[0]).toContain(`${here}:`)
  })

  test('prints itself wherever it lands', () => {
    const place = user()

    expect(inspect(place)).toBe(String(place))
    expect(JSON.stringify({ place })).toBe(JSON.stringify({ place: String(place) }))
  })

  test('is unknown when no frame is known', () => {
    expect(String(capturePlace(class Never {}))).toBe('an unknown place')
  })

  test('leaves the limit of stack traces as it was', () => {
    const limit = Error.stackTraceLimit
    try {
      Error.stackTraceLimit = 0
      const place = user()

      expect(Error.stackTraceLimit).toBe(0)
      expect(String(place)).toContain(here)
    } finally {
      Error.stackTraceLimit = limit
    }
  })

  test('is unknown when a formatter of stack traces gives no text', () => {
    const before = Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace')
    try {
      Error.prepareStackTrace = (_error, frames) => frames
      expect(String(user())).toBe('an unknown place')
    } finally {
      if (before === undefined) Reflect.deleteProperty(Error, 'prepareStackTrace')
      else Object.defineProperty(Error, 'prepareStackTrace', before)
    }
  })

  test('is captured where the limit of stack traces cannot be set', () => {
    const before = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit') ?? {}
    try {
      Object.defineProperty(Error, 'stackTraceLimit', { ...before, writable: false })
      expect(String(user())).toContain(here)
    } finally {
      Object.defineProperty(Error, 'stackTraceLimit', before)
    }
  })

  test('is an absolute path outside of the working directory', () => {
    vi.spyOn(process, 'cwd').mockReturnValue('/elsewhere/entirely')

    expect(String(user()).startsWith(fileURLToPath(import.meta.url))).toBe(true)
  })
})
