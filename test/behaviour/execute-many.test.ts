/** `executeMany`: one statement with many sets of parameters, all or nothing. */

import { AcquireTimeoutError, type Params, TransactionStateError, UniqueViolationError, UsageError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  const one = driver.words.placeholder(1)

  test('runs the statement with each set, positional or named', async () => {
    const db = await driver.db()
    const t = await driver.table('n int, s text')

    const first = await db.executeMany(`insert into ${t} values (${one}, ${driver.words.placeholder(2)})`, [
      [1, 'a'],
      [2, null],
    ])
    const second = await db.executeMany(`insert into ${t} values (:n, :s)`, [{ n: 3, s: 'c' }])

    expect([first, second]).toMatchObject([
      { command: 'INSERT', rowCount: 2 },
      { command: 'INSERT', rowCount: 1 },
    ])
    expect(await db.all(`select * from ${t} order by n`)).toEqual([
      { n: 1, s: 'a' },
      { n: 2, s: null },
      { n: 3, s: 'c' },
    ])
  })

  test('counts what all of them changed together', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')
    await db.status(`insert into ${t} ${driver.words.series(10)}`)

    const status = await db.executeMany(`update ${t} set n = n where n > ${one}`, [[8], [5], [99]])

    expect(status).toMatchObject({ command: 'UPDATE', rowCount: 7 })
  })

  test('loads no rows, even with RETURNING', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    const status = await db.executeMany(`insert into ${t} values (${one}) returning n`, [[1], [2]])

    expect(status.rows).toEqual([])
    expect(status.rowCount).toBe(2)
  })

  test('no set is no statement: nothing is inserted, not even a row of defaults', async () => {
    const db = await driver.db()
    const t = await driver.table('n int default 7')

    const status = await db.executeMany(`insert into ${t} values (default)`, [])

    expect(status).toMatchObject({ rowCount: 0, rows: [] })
    expect(await db.scalar(`select count(*) from ${t}`)).toBe(0)
  })

  test('one that fails takes all back and is the error', async () => {
    const db = await driver.db()
    const t = await driver.table('n int primary key')

    const error = await caught(db.executeMany(`insert into ${t} values (${one})`, [[1], [2], [1], [3]]))

    expect(error).toBeInstanceOf(UniqueViolationError)
    expect(error.outcome).toBe('rolled_back')
    expect(await db.scalar(`select count(*) from ${t}`)).toBe(0)
  })

  test('the error says which set failed, and where the call was', async () => {
    const db = await driver.db()
    const t = await driver.table('n int primary key')
    const insert = `insert into ${t} values (${one})`
    const many = Array.from({ length: 300 }, (_, n) => [n])
    const calls: readonly (readonly [at: number, call: () => Promise<unknown>])[] = [
      [0, () => db.executeMany(`insert into ${t} values (1 / ${one})`, [['x'], [1]])],
      [2, () => db.executeMany(insert, [[1], [2], [1], [3], [1]])],
      [300, () => db.executeMany(insert, [...many, [7], ...many])],
      [1, () => db.transaction(() => db.transaction((tx) => tx.executeMany(insert, [[1], [1]])))],
      [1, () => db.executeMany(insert, [[1], [undefined]])],
      [2, () => db.transaction(() => db.scope(() => db.executeMany(insert, [[1], [2], [3, 4]])))],
      [1, () => db.executeMany(`insert into ${t} values (:n)`, [{ n: 1 }, { m: 2 }])],
      [1, () => db.bake<never, { n: number }>(`insert into ${t} values (:n)`).executeMany([{ n: 1 }, { n: 1 }])],
    ]
    for (const [at, call] of calls) {
      const error = await caught((async () => void (await call()))())
      expect([String(call), error.parameterSet]).toEqual([String(call), at])
      expect(error.stack).toContain('execute-many.test.ts')
    }
    expect(await caught(db.status('select 1 +'))).not.toHaveProperty('parameterSet')
  })

  test('inside a transaction it is a savepoint: what fails leaves the transaction usable', async () => {
    const db = await driver.db()
    const t = await driver.table('n int primary key')

    await db.transaction(async (tx) => {
      await tx.executeMany(`insert into ${t} values (${one})`, [[1], [2]])
      expect(await caught(tx.executeMany(`insert into ${t} values (${one})`, [[3], [1]]))).toBeInstanceOf(
        UniqueViolationError,
      )
      await tx.executeMany(`insert into ${t} values (${one})`, [[4]])
    })

    expect((await db.all(`select n from ${t} order by n`)).map(({ n }) => n)).toEqual([1, 2, 4])
  })

  test('ten thousand sets', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    const status = await db.executeMany(
      `insert into ${t} values (${one})`,
      Array.from({ length: 10_000 }, (_, n) => [n]),
    )

    expect(status.rowCount).toBe(10_000)
  })
})

test('all share one transaction, begun with the first', async () => {
  await using server = await fake()

  const insert = `insert into t values (${server.words.placeholder(1)})`

  await server.db.executeMany(insert, [[1], [2], [3]])

  expect(server.sent()).toEqual([`BEGIN; ${insert}`, insert, insert, 'COMMIT'])
})

test.each<[string, readonly Params[]]>([
  ['of another number', [[1], [1, 2]]],
  ['undefined', [[1], [undefined]]],
  ['of another kind', [[1], { n: 1 }]],
])('parameters %s in any set are refused, and nothing of it is kept', async (_, sets) => {
  await using server = await fake()

  const insert = `insert into t values (${server.words.placeholder(1)})`
  const error = await caught(server.db.executeMany(insert, sets))

  expect(error.code).toBe('GENEVER_PARAMETER')
  expect(server.driver.rows('t')).toEqual([])
  expect(server.db.stats().reserved).toBe(0)
})

test.each([
  ['nothing', undefined],
  ['an object', { n: 1 }],
  ['text', 'abc'],
])('%s instead of a list of sets is a UsageError', async (_, sets: unknown) => {
  await using server = await fake()

  expect(await caught(server.db.executeMany('insert into t values (:n)', sets as never))).toBeInstanceOf(UsageError)
  expect(server.sent()).toEqual([])
})

test('transaction control and several statements are refused', async () => {
  await using server = await fake()

  expect(await caught(server.db.executeMany('commit', [[]]))).toBeInstanceOf(TransactionStateError)
  expect(await caught(server.db.executeMany('select :n; select 1', [{ n: 1 }]))).toBeInstanceOf(UsageError)
  expect(server.sent()).toEqual([])
})

test('its timeoutMs covers the wait for a connection', async () => {
  await using server = await fake({}, { pool: { max: 1 } })
  await using _ = await server.db.acquire()

  const error = await caught(server.db.executeMany('insert into t values (:n)', [{ n: 1 }], { timeoutMs: 30 }))

  expect(error).toBeInstanceOf(AcquireTimeoutError)
})

test('its timeoutMs covers all sets together', async () => {
  await using server = await fake({ latencyMs: 20 })

  const error = await caught(
    server.db.executeMany(
      'insert into t values (:n)',
      Array.from({ length: 50 }, () => ({ n: 1 })),
      { timeoutMs: 80 },
    ),
  )

  expect(error.code).toMatch(/TIMEOUT/)
  expect(error.outcome).toBe('rolled_back')
  expect(server.driver.rows('t')).toEqual([])
})

test('its signal stops it, before and while it runs', async () => {
  await using server = await fake({ latencyMs: 10 })
  const insert = 'insert into t values (:n)'
  const sets = Array.from({ length: 50 }, () => ({ n: 1 }))
  const controller = new AbortController()

  const before = await caught(server.db.executeMany(insert, sets, { signal: AbortSignal.abort() }))
  setTimeout(() => controller.abort(), 50)
  const during = await caught(server.db.executeMany(insert, sets, { signal: controller.signal }))

  expect([before.code, during.code]).toEqual(['GENEVER_ABORTED', 'GENEVER_ABORTED'])
  expect(server.driver.rows('t')).toEqual([])
})
