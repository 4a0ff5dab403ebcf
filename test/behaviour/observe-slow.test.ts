/** Slow statements and repeated ones are told, with the line of the caller, and nothing is told that was not asked for. */

import { type Db, type EngineOptions, type NoticeEvent, sql } from 'genever'
import { afterEach, expect, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { type Heard, hear } from '../support/events.ts'
import { forEachDriver } from '../support/matrix.ts'

const here = 'test/behaviour/observe-slow.test.ts'

/** Every warning of the process is swallowed. */
const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
afterEach(() => void warnings.mockClear())

/** Others may tell of functions that other files have left in the database. */
const told = ({ notices }: Heard): readonly NoticeEvent[] => notices.filter(({ code }) => code.endsWith('-statement'))
const codes = (heard: Heard): string[] => told(heard).map(({ code }) => code)
const line = (place: string | undefined): number => Number(/:(\d+):\d+/.exec(place ?? '')?.[1])

forEachDriver((driver) => {
  const open = (name: string, options: EngineOptions): Promise<Db> => driver.single({ name, ...options })

  test('a statement that took longer than slow.afterMs is told with its text, its time and the line of its caller', async () => {
    const db = await open('slow', { slow: { afterMs: 5 } })
    using heard = hear('slow')
    const work = async (): Promise<void> => {
      await db.scalar(driver.words.sleep(0.02))
    }

    await work()
    await db.sql`${sql.raw(driver.words.sleep(0.02))}`

    const [text, template] = told(heard)
    expect(codes(heard)).toEqual(['slow-statement', 'slow-statement'])
    expect(text?.message).toMatch(/^A statement took \d+ ms \(slow\.afterMs is 5\): select \w*sleep\(\?\)$/)
    expect(text?.places[0]).toMatch(new RegExp(`^${here}:\\d+:\\d+`))
    expect(text?.details?.['durationMs']).toBeGreaterThanOrEqual(5)
    expect(template?.places[0]).toMatch(new RegExp(`^${here}:\\d+:\\d+`))
    expect(line(template?.places[0])).toBeGreaterThan(line(text?.places[0]))
  })

  test('a quick statement is not told', async () => {
    const db = await open('quick', { slow: { afterMs: 60_000 } })
    using heard = hear('quick')

    await db.all(driver.words.sleep(0.02))

    expect(codes(heard)).toEqual([])
  })

  test('a text that one scope sends more often than repeats.afterTimes is told once, with the line of its caller', async () => {
    const db = await open('n+1', { repeats: { afterTimes: 3 } })
    using heard = hear('n+1')

    await db.scope(async () => {
      for (let id = 0; id < 10; id++) await db.scalar(driver.words.integer, [id])
      for (let id = 0; id < 10; id++) await db.scalar('select 7')
    })

    const [n, same] = told(heard)
    expect(codes(heard)).toEqual(['repeated-statement', 'repeated-statement'])
    expect(n?.message).toMatch(/^One scope has sent the same statement 4 times, with other values\..*$/)
    expect(same?.message).toMatch(
      /^One scope has sent the same statement 4 times, each time with the same values\..*select \?$/,
    )
    expect(n?.details).toEqual({ times: 4 })
    expect(n?.places[0]).toMatch(new RegExp(`^${here}:\\d+:\\d+`))
    expect(line(same?.places[0])).toBe(line(n?.places[0]) + 1)
  })

  test('scopes are counted apart, a batch is one call, and handles are not counted', async () => {
    const db = await open('apart', { repeats: { afterTimes: 3 } })
    const table = await driver.table('n int')
    using heard = hear('apart')

    for (let i = 0; i < 10; i++) await db.scalar('select 1')
    for (let i = 0; i < 10; i++) await db.scope(() => db.scalar('select 1'))
    for (let i = 0; i < 10; i++) await db.transaction(() => db.scalar('select 1'))
    await db.scope(() =>
      db.executeMany(
        `insert into ${table} values (${driver.words.placeholder(1)})`,
        Array.from({ length: 10 }, (_, n) => [n]),
      ),
    )
    await db.scope(async () => {
      for await (const _row of db.iterate(driver.words.series(10), [], { batchSize: 1 }));
    })
    const handle = await db.acquire()
    for (let i = 0; i < 10; i++) await handle.scalar('select 1')
    await handle.release()

    expect(codes(heard)).toEqual([])
  })

  test('a transaction is counted as a scope is, and so are statements with other tags', async () => {
    const db = await open('inside', { repeats: { afterTimes: 3 } })
    using heard = hear('inside')

    await db.transaction(async () => {
      for (let i = 0; i < 4; i++) await db.scope(() => db.scalar('select 1'), { query: { tags: { step: String(i) } } })
    })

    expect(codes(heard)).toEqual(['repeated-statement'])
  })
})

forEachDriver(
  (driver) => {
    test('a slow statement that fails is told too', async () => {
      const db = await driver.db({ name: 'failing', slow: { afterMs: 5 } })
      using heard = hear('failing')

      await caught(db.all(driver.words.sleep(60), [], { timeoutMs: 300 }))

      expect(codes(heard)).toEqual(['slow-statement'])
    })
  },
  { connections: 2 },
)
