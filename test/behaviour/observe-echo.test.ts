/** The option echo: every statement in a line, and never a value of a parameter. */

import { type EngineOptions } from 'genever'
import { expect, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { noticesDuring } from '../support/gate.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

const canary = 'correct horse battery staple'

/** What is left of a line without its time. */
const timeless = (line: string): string => line.replace(/\d+\.\d ms/, '… ms')

forEachDriver((driver) => {
  const echoing = async (
    work: (db: Awaited<ReturnType<TestedDriver['db']>>) => Promise<unknown>,
    options?: EngineOptions,
  ): Promise<string[]> => {
    const lines: string[] = []
    const db = await driver.db({ name: 'shop', ...options, echo: (line) => void lines.push(timeless(line)) })
    lines.length = 0
    await work(db)
    return lines
  }

  const one = driver.words.placeholder(1)

  test('prints implicit statements and those of scopes, handles, transactions and cursors', async () => {
    const table = await driver.table('n int, s text')

    const lines = await echoing(async (db) => {
      await db.status(`insert into ${table} values (1, ${one})`, [canary])
      await db.status(driver.words.text, [canary])
      await db.scope(() => db.all(`select s from ${table} where s = :s`, { s: canary }))
      await db.transaction(async (tx) => {
        await tx.scalar('select 1')
        await db.transaction(() => db.scalar('select 2'))
      })
      await caught(db.transaction(() => db.all('select exp(1000)')))
      const handle = await db.acquire()
      await handle.status('begin')
      await handle.status('rollback')
      await handle.release()
      for await (const _row of db.iterate(`select * from ${table} where s = ${one}`, [canary]));
    })

    expect(lines).toEqual([
      `[shop] … ms, 1 row: insert into ${table} values (1, ${one})`,
      `[shop] … ms, 1 row: ${driver.words.text}`,
      `[shop] … ms, 1 row: select s from ${table} where s = ${one}`,
      '[shop] … ms, begin',
      '[shop] … ms, 1 row: select 1',
      '[shop] … ms, begin savepoint',
      '[shop] … ms, 1 row: select 2',
      '[shop] … ms, commit savepoint',
      '[shop] … ms, commit',
      '[shop] … ms, begin',
      `[shop] … ms, failed (${driver.name === 'mysql' ? '1690' : '22003'}): select exp(1000)`,
      '[shop] … ms, rollback',
      '[shop] … ms, 0 rows: begin',
      '[shop] … ms, 0 rows: rollback',
      '[shop] … ms, begin',
      `[shop] … ms, 1 row: select * from ${table} where s = ${one}`,
      '[shop] … ms, commit',
    ])
  })

  test('never prints a parameter, not even of a statement that fails over it', async () => {
    const table = await driver.table('s varchar(80) unique, n int')
    const lines = await echoing(async (db) => {
      await db.status(`insert into ${table} (s) values (${one})`, [canary])
      await caught(db.status(`insert into ${table} (s) values (${one})`, [canary]))
      await caught(
        db.status(`insert into ${table} (n) values (cast(${one} as ${driver.name === 'mysql' ? 'date' : 'int'}))`, [
          canary,
        ]),
      )
      await db.scope(() => db.scalar('select 1'), { settings: { 'app.secret': canary } })
    })

    expect(lines).toHaveLength(4)
    expect(lines.join('\n')).not.toContain(canary)
  })

  test('prints to standard error with true, until the engine is closed', async () => {
    const write = vi.spyOn(process.stderr, 'write').mockImplementation(() => true)
    try {
      const db = await driver.db({ name: 'to stderr', echo: true })
      write.mockClear()
      await db.scalar('select 1')
      await db.close()

      expect(write.mock.calls.map(([text]) => timeless(String(text)))).toEqual(['[to stderr] … ms, 1 row: select 1\n'])
    } finally {
      write.mockRestore()
    }
  })
})

forEachDriver((driver) => {
  test('is told of its own engine only, also where another has the same name and database', async () => {
    const heard: Record<'loud' | 'other', string[]> = { loud: [], other: [] }
    const loud = await driver.db({ name: 'shop', echo: (line) => void heard.loud.push(line) })
    const other = await driver.db({ name: 'shop', echo: (line) => void heard.other.push(line) })
    const quiet = await driver.db({ name: 'shop' })
    heard.loud.length = heard.other.length = 0

    for (const [text, db] of [
      ['loud one', loud],
      ['other one', other],
      ['quiet one', quiet],
    ] as const)
      await db.transaction((tx) => tx.scalar(`select '${text}'`))

    expect(heard.loud.map((line) => line.replace(/.*ms, /, ''))).toEqual([
      'begin',
      "1 row: select 'loud one'",
      'commit',
    ])
    expect(heard.other.map((line) => line.replace(/.*ms, /, ''))).toEqual([
      'begin',
      "1 row: select 'other one'",
      'commit',
    ])
  })

  test('ends with its engine and not with another of the same name', async () => {
    const lines: string[] = []
    const loud = await driver.db({ name: 'shop', echo: (line) => void lines.push(line) })
    const other = await driver.db({ name: 'shop', echo: () => {} })
    await other.close()
    lines.length = 0

    await loud.scalar('select 1')

    expect(lines).toHaveLength(1)
  })

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new RangeError('disk full')
      },
    ],
    [
      'rejects',
      async () => {
        throw new RangeError('disk full')
      },
    ],
    [
      'gives a thenable that rejects',
      () => ({ then: (_: unknown, reject: (error: unknown) => void) => reject(new RangeError('disk full')) }),
    ],
    [
      'gives an object whose then throws',
      () => ({
        get then(): unknown {
          throw new RangeError('disk full')
        },
      }),
    ],
  ])('a function that %s stops nothing, and is told as a notice', async (_, write) => {
    const name = `echo ${_} ${driver.name}`
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const notices = await noticesDuring(async () => {
      const db = await driver.single({ name, echo: write })

      expect(await db.scalar('select 1')).toBe(1)
      expect(await db.transaction((tx) => tx.scalar('select 2'))).toBe(2)
      await db.close()
    })
    warn.mockRestore()

    expect(notices.length).toBeGreaterThanOrEqual(4)
    for (const notice of notices)
      expect(notice).toMatchObject({ code: 'hook-failed', engine: name, error: 'RangeError: disk full' })
  })
})
