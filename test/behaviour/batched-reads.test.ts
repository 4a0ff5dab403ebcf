/** Quick reads of one text that are issued together share a Sync where the driver can do that; each still fails alone. */

import { createDb, type Db, type EngineOptions } from 'genever'
import { expect, test } from 'vitest'
import type { ConnectionHooks, Op, RawConnection } from '../../src/driver/driver.ts'
import { FakeDriver } from '../support/fake/driver.ts'
import { databaseUrl } from '../support/database.ts'
import { postgres, quiet } from '../support/matrix.ts'
import { type Link, startProxy } from '../support/proxy.ts'
import { virtualTime, type VirtualTime } from '../support/virtual-time.ts'

const { words } = postgres
const one = words.placeholder(1)
const quick = words.integer
const other = `${words.integer} + 0`

/** What is submitted in one go and joined goes out as one unit. */
class GatheringDriver extends FakeDriver {
  override async open(
    options: Readonly<Record<string, unknown>>,
    hooks: ConnectionHooks,
    deadline: number,
  ): Promise<RawConnection> {
    const raw = await super.open(options, hooks, deadline)
    const send = raw.submitUnit.bind(raw)
    let gathered: Op[] | null = null
    raw.submitUnit = (unit) => {
      const ops = [...unit.ops]
      gathered = ops
      queueMicrotask(() => {
        if (gathered === ops) gathered = null
        send({ ops })
      })
    }
    raw.submit = (op) => raw.submitUnit({ ops: [op] })
    raw.join = (op, opening = false) => {
      if (gathered === null || (gathered[0]?.stmt !== op.stmt && !opening)) return false
      gathered.push(op)
      return true
    }
    return raw
  }
}

/** A db whose pool knows two quick reads, on one connection. */
async function place(time: VirtualTime, options: Omit<EngineOptions, 'driver'> = {}): Promise<[Db, GatheringDriver]> {
  const answer = (text: string): { rows: [] } | undefined =>
    text.includes('current_setting') ? { rows: [] } : undefined
  const driver = new GatheringDriver({ maxInFlight: 64, answer })
  const opening = createDb({
    driver,
    ...options,
    pool: { max: 2, shared: 1, idleTimeoutMs: Infinity, ...options.pool },
  }).open()
  await time.pass(1)
  const db = await opening
  for (let run = 0; run < 3; run++)
    for (const text of [quick, other]) {
      const answer = db.scalar(text, [run])
      await time.pass(5)
      await answer
    }
  return [db, driver]
}

/** How many statements each Sync had. */
async function unitsOf(driver: FakeDriver, time: VirtualTime, work: () => Promise<unknown>[]): Promise<number[]> {
  const before = driver.log.length
  const all = Promise.allSettled(work())
  await time.pass(50)
  await all
  return driver.log
    .slice(before)
    .filter((line) => line.includes(quick))
    .map((line) => line.split(quick).length - 1)
}

const answers = (db: Db, text: string, count: number): Promise<unknown>[] =>
  Array.from({ length: count }, (_, n) => db.scalar(text, [n]))

test('reads of one text that are issued together have one Sync; another text has its own', async () => {
  using time = virtualTime()
  const [db, driver] = await place(time)

  expect(await unitsOf(driver, time, () => answers(db, quick, 6))).toEqual([6])
  expect(
    await unitsOf(driver, time, () => [quick, quick, other, other, quick].map((text) => db.scalar(text, [1]))),
  ).toEqual([2, 2, 1])
  await Promise.all([db.close(), time.pass(200)])
})

test.each([
  ['with pool.batchReads: false', { pool: { batchReads: false } }],
  ['where the isolation level is another', { isolation: 'serializable' }],
] as const)('%s each has its own', async (_, options) => {
  using time = virtualTime()
  const [db, driver] = await place(time, options)

  expect(await unitsOf(driver, time, () => answers(db, quick, 4))).toEqual([1, 1, 1, 1])
  await Promise.all([db.close(), time.pass(200)])
})

test('when one of them fails the others are sent once more, alone, and their text has no Sync with others for a while', async () => {
  using time = virtualTime()
  const [db, driver] = await place(time)
  driver.faults.at({ text: quick, nth: 2 }, { error: '22012' })
  let told: PromiseSettledResult<unknown>[] = []

  const units = await unitsOf(driver, time, () => {
    const reads = answers(db, quick, 4)
    void Promise.allSettled(reads).then((all) => (told = all))
    return reads
  })

  expect(
    told.map((each) => (each.status === 'fulfilled' ? each.value : (each.reason as { sqlState: string }).sqlState)),
  ).toEqual([0, '22012', 2, 3])
  expect(units).toEqual([4, 1, 1, 1])
  expect(await unitsOf(driver, time, () => answers(db, quick, 3))).toEqual([1, 1, 1])
  expect(await unitsOf(driver, time, () => answers(db, other, 3))).toEqual([3])
  for (let n = 0; n < 70; n++) await unitsOf(driver, time, () => answers(db, quick, 1))
  expect(await unitsOf(driver, time, () => answers(db, quick, 3))).toEqual([3])
  await Promise.all([db.close(), time.pass(200)])
})

test('statements that are issued together with the first of a transaction go out with BEGIN', async () => {
  using time = virtualTime()
  const [db, driver] = await place(time)
  const before = driver.log.length

  const work = db.transaction(async (tx) => {
    const first = await Promise.all([tx.scalar(quick, [1]), tx.scalar(other, [2]), tx.scalar(quick, [3])])
    return [...first, ...(await Promise.all([tx.scalar(quick, [4]), tx.scalar(other, [5])]))]
  })
  await time.pass(50)

  expect(await work).toEqual([1, 2, 3, 4, 5])
  const lines = driver.log.slice(before).map((line) => line.replace(/^\d+: /, ''))
  expect(lines).toEqual([`BEGIN; ${quick}; ${other}; ${quick}`, quick, other, 'COMMIT'])
  await Promise.all([db.close(), time.pass(200)])
})

test('they do so where their texts are new to the session, unless types have to be asked for', async () => {
  await using proxy = await startProxy(await databaseUrl())
  await using db = createDb(proxy.url, { driver: 'socket', pool: { max: 1 } })
  await db.scalar('select 1')
  const { toServer } = (proxy.open as [Link])[0]
  const trips = async (expected: readonly unknown[], work: () => Promise<unknown>[]): Promise<number> => {
    const before = toServer.types.length
    expect(await db.transaction(() => Promise.all(work()))).toEqual(expected)
    return toServer.types.slice(before).replaceAll(/[^HSQ]/g, '').length - 1
  }
  const same = (): Promise<unknown>[] => [1, 2].map((n) => db.scalar(`${words.integer} + 70`, [n]))
  const several = (): Promise<unknown>[] => [
    db.all('select 71 as n'),
    db.scalar(words.text, ['72']),
    db.scalar(`select 73 where ${one}`, [true]),
    ...same(),
  ]
  const answers = [[{ n: 71 }], '72', 73, 71, 72]

  expect(await trips(answers, several)).toBe(1)
  expect(await trips(answers, several)).toBe(1)
  const asks = (): Promise<unknown>[] => [db.scalar('select 74'), db.scalar(`select 75 = any(${one})`, [[75]])]
  expect(await trips([74, true], asks)).toBeGreaterThan(1)
  expect(await trips([74, true], asks)).toBe(1)
})

test('one of them that cannot be parsed keeps those behind it from running, and all are known afterwards', async () => {
  await using db = createDb(await databaseUrl(), { driver: 'socket', pool: { max: 1 } })
  await db.scalar('select 1')
  const texts = ['select 81', 'select from nowhere', 'select 82']

  const told = await db.transaction(async (tx) => {
    const all = await Promise.allSettled(texts.map((text) => tx.scalar(text)))
    tx.raiseRollback(all.map((each) => (each.status === 'fulfilled' ? each.value : (each.reason as Error).name)))
  })

  expect(told).toEqual([81, 'SqlSyntaxError', 'TransactionAbortedError'])
  for (let i = 0; i < 2; i++)
    expect(
      await db.transaction((tx) => Promise.all(['select 81', 'select 82'].map((text) => tx.scalar(text)))),
    ).toEqual([81, 82])
})

test.each(['pg', 'socket'] as const)(
  'one that fails at the head of a transaction keeps the others from running: %s',
  async (driver) => {
    await using db = createDb(await databaseUrl(), { driver, pool: { max: 2 } })
    await db.open()
    const text = `select 10 / cast(${one} as int)`
    for (let n = 0; n < 3; n++) await db.scalar(text, [1])

    const told = await db
      .transaction((tx) => Promise.allSettled([1, 0, 2].map((n) => tx.scalar(text, [n]))))
      .catch((error: unknown) => (error as Error).name)
    const inside = await db.transaction(async (tx) => {
      const all = await Promise.allSettled([5, 0, 2].map((n) => tx.scalar(text, [n])))
      tx.raiseRollback(all.map((each) => (each.status === 'fulfilled' ? each.value : (each.reason as Error).name)))
    })

    expect(told).toBe('TransactionAbortedError')
    expect(inside).toEqual([2, 'QueryError', 'TransactionAbortedError'])
    expect(await db.transaction((tx) => Promise.all([1, 2, 5].map((n) => tx.scalar(text, [n]))))).toEqual([10, 5, 2])
  },
)

test('on a server each has its own answer or its own failure, whatever they share', async () => {
  await using db = createDb(await databaseUrl(), { driver: 'socket', pool: { max: 2, shared: 1 } })
  await db.open()
  const text = `select 10 / cast(${one} as int)`
  for (let n = 0; n < 5; n++) await db.scalar(text, [1])
  const numbers = Array.from({ length: 400 }, (_, n) => n % 7)

  const told = await Promise.all(
    numbers.map((n) => db.scalar(text, [n]).catch((error: unknown) => (error as { sqlState: string }).sqlState)),
  )

  expect(told).toEqual(numbers.map((n) => (n === 0 ? '22012' : Math.trunc(10 / n))))
  await quiet(db)
})
