/** Quick reads share a connection on drivers that take several statements at once; nothing else ever does. */

import { QueryTimeoutError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { postgresWords as words } from '../support/dialect-words.ts'
import type { Fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { during, end, place, quick, reads, slow } from '../support/lanes.ts'
import { virtualTime } from '../support/virtual-time.ts'

const one = words.placeholder(1)

/** How many of these are on the wire before anything is answered. */
async function sentAtOnce(server: Fake, count = 6): Promise<number> {
  const answers = reads(server.db, count)
  await Promise.resolve()
  const lines = server.sent().length
  expect(await answers).toEqual(Array.from({ length: count }, (_, n) => n))
  return lines
}

describe('reads that ran three times and are quick', () => {
  test('go out together on one connection, and each gets its answer', async () => {
    using time = virtualTime()
    const server = await place(time)

    expect(await sentAtOnce(server)).toBe(6)

    expect(server.db.stats()).toMatchObject({ open: 1, idle: 1 })
    await end(server)
  })

  test('are never more than the driver takes at once', async () => {
    using time = virtualTime()
    const server = await place(time, { shared: 1 }, { maxInFlight: 3 })

    expect(await sentAtOnce(server)).toBe(3)

    await end(server)
  })

  test('wait for a free connection each with shared: 0, with a driver that takes one at a time, or with reset: always', async () => {
    for (const [pool, more] of [
      [{ shared: 0 }, {}],
      [{}, { maxInFlight: 1 }],
      [{}, { reset: 'always' }],
    ] as const) {
      using time = virtualTime()
      const server = await place(time, pool, more)

      expect(await sentAtOnce(server)).toBe(1)

      await end(server)
    }
  })

  test('have a Sync each: one that fails leaves the others alone', async () => {
    using time = virtualTime()
    const server = await place(time)
    server.driver.faults.at({ text: quick, nth: 2 }, { error: '22012' })

    const [first, second, third] = [1, 2, 3].map((n) => server.db.scalar(quick, [n]))

    expect([await first, (await caught(second!)).sqlState, await third]).toEqual([1, '22012', 3])
    await end(server)
  })

  test('are not joined by one whose caller has a connection: what is in front may wait for its transaction', async () => {
    using time = virtualTime()
    const server = await place(time, { max: 3, shared: 1 })
    const order: unknown[] = []
    const asks = gate()
    const transaction = server.db.transaction(async (tx) => {
      await tx.scalar(quick, [0])
      await asks.promise
      order.push(await server.db.detached(() => server.db.scalar(quick, [1])))
    })
    await time.pass(2)
    server.driver.faults.at(quick, { delayMs: 40 })
    const stuck = server.db.scalar(quick, [2]).then((n) => order.push(n))

    asks.open()
    await time.pass(60)
    await Promise.all([transaction, stuck])

    expect(order).toEqual([1, 2])
    await end(server)
  })

  test('do not join one that has been at the head for longer than five milliseconds', async () => {
    using time = virtualTime()
    const server = await place(time, { max: 2, shared: 1 })
    server.driver.faults.at(quick, { delayMs: 40 })
    const stuck = server.db.scalar(quick, [0])
    await time.pass(3)
    const behind = server.db.scalar(quick, [1])
    await time.pass(3)

    const later = server.db.scalar(quick, [2])
    await time.pass(1)

    // It gets a connection that is opened for it, and is answered before those it did not join.
    expect(server.driver.log.at(-1)).toBe(`2: ${quick}`)
    expect(await Promise.race([stuck, behind, later])).toBe(2)
    await time.pass(40)
    expect(await Promise.all([stuck, behind])).toEqual([0, 1])
    await end(server)
  })
})

describe('nothing else shares', () => {
  test.each([
    [`select book(${one})`, 1],
    [`select upper(public.book(${one}))`, 1],
    [`select upper(${one})`, 3],
  ])(
    'of calls only those of harmless functions of PostgreSQL do: three times %s has %i in flight',
    async (text, most) => {
      using time = virtualTime()
      const answer = (asked: string): { rows: { n: string }[] } | undefined =>
        asked === text ? { rows: [{ n: '1' }] } : undefined
      const server = await place(time, { max: 2, shared: 1 }, { answer })
      for (let run = 0; run < 3; run++) await during(time, server.db.scalar(text, [run]))
      server.sent()

      const answers = Promise.all([1, 2, 3].map((n) => server.db.scalar(text, [n])))
      await Promise.resolve()
      expect(server.sent().length).toBe(most)

      await during(time, answers)
      await end(server)
    },
  )

  test.each([
    ['a write', 'insert into t values (1)'],
    ['a read that is new', 'select 5'],
    ['a read that leaves something behind', "select set_config('search_path', 'x', false)"],
  ])('%s waits until nothing is in flight', async (_, text) => {
    using time = virtualTime()
    const server = await place(time, { max: 2, shared: 1 })
    const held = await during(time, server.db.acquire())
    const lane = reads(server.db, 2)
    await time.pass(8)
    await lane

    const busy = reads(server.db, 3)
    const alone = Promise.allSettled([server.db.status(text)])
    await Promise.resolve()
    const early = server.sent()
    await busy
    await alone

    expect(early.filter((line) => line === text)).toEqual([])
    await held.release()
    await end(server)
  })

  test('a scope, a handle or a transaction never gets a shared connection', async () => {
    using time = virtualTime()
    const server = await place(time, { max: 2, shared: 2 })
    const { db } = server

    const all = Promise.all([
      reads(db, 4),
      db.transaction((tx) => tx.scalar(quick, [5])),
      reads(db, 4),
      db.scope(() => db.scalar(quick, [6])),
      reads(db, 4),
    ])
    await time.pass(100)

    expect((await all).flat()).toHaveLength(14)
    await end(server)
  })

  test('nor does a read whose caller holds a connection of its own', async () => {
    using time = virtualTime()
    const server = await place(time, { max: 2, shared: 2 })
    const { db } = server
    // Inside of a scope that is not ambient every statement takes a connection of the pool.
    const work = db.scope(
      async (own) => {
        await own.scalar('select 1')
        server.sent()
        const others = reads(db, 2)
        await Promise.resolve()
        const lines = server.sent()
        await others
        return lines.length
      },
      { reusable: false },
    )

    expect(await during(time, work, 60)).toBeLessThan(2)
    await end(server)
  })
})

describe('who waits for a connection of their own', () => {
  test('gets one of the shared ones, however many reads come', async () => {
    using time = virtualTime()
    const server = await place(time, { max: 2, shared: 2 })
    const { db } = server
    const held = await during(time, db.acquire())
    const reading = { on: true }
    const readers = Array.from({ length: 4 }, async () => {
      for (let n = 0; reading.on; n++) await db.scalar(quick, [n])
    })
    await time.pass(20)
    expect(db.stats()).toMatchObject({ open: 2, reserved: 1 })

    const waiting = db.acquire()
    await time.pass(60)

    const got = await waiting
    expect(db.stats().reserved).toBe(2)
    await got.release()
    await held.release()
    await time.pass(10)
    reading.on = false
    await Promise.all(readers)
    await end(server)
  })

  test('is not overtaken by somebody who wants the same and came later', async () => {
    using time = virtualTime()
    const server = await place(time, { max: 2, shared: 1 })
    const { db } = server
    const held = await during(time, db.acquire())
    const order: string[] = []
    const busy = reads(db, 3)
    const waiting = ['a', 'b', 'c'].map(async (name) => {
      await db.status('insert into t values (1)')
      order.push(name)
    })

    await during(time, Promise.all([busy, ...waiting]), 100)

    expect(order).toEqual(['a', 'b', 'c'])
    await held.release()
    await end(server)
  })
})

test('slow reads take half of the pool at most, so that the quick ones have a connection', async () => {
  using time = virtualTime()
  const server = await place(time, { max: 4 })
  const { db } = server
  const held = await during(time, Promise.all([1, 2, 3, 4].map(() => db.acquire())), 50)
  for (const connection of held) await connection.release()

  const slowOnes = Promise.all([1, 2, 3, 4, 5].map((n) => db.scalar(slow, [n])))
  await time.pass(3)
  const meanwhile = db.stats()
  const answer = await during(time, db.scalar(quick, [7]), 1)

  expect([meanwhile.serving, meanwhile.idle, meanwhile.waiting, answer]).toEqual([2, 2, 3, 7])
  expect(await during(time, slowOnes, 120)).toEqual([1, 2, 3, 4, 5])
  await end(server)
})

describe('when something happens to a shared connection', () => {
  test('a statement that is given up is stopped, and those beside it are answered all the same', async () => {
    using time = virtualTime()
    const server = await place(time, { max: 2, shared: 1 })
    server.driver.faults.at({ text: quick, nth: 2 }, { hang: true })
    const before = server.db.scalar(quick, [0])
    const stuck = caught(server.db.scalar(quick, [1], { timeoutMs: 20 }))
    const behind = [2, 3].map((n) => server.db.scalar(quick, [n]))

    await time.pass(200)

    expect(await stuck).toBeInstanceOf(QueryTimeoutError)
    expect(await Promise.all([before, ...behind])).toEqual([0, 2, 3])
    expect(server.sent().filter((line) => line === '<cancel>')).toHaveLength(1)
    await end(server)
  })

  test('one given up behind others is stopped when its turn comes, and hits nobody', async () => {
    using time = virtualTime()
    const server = await place(time, { max: 2, shared: 1 })
    server.driver.faults.at({ text: quick, nth: 1 }, { delayMs: 30 })
    server.driver.faults.at({ text: quick, nth: 2 }, { hang: true })
    const first = server.db.scalar(quick, [0])
    const second = caught(server.db.scalar(quick, [1], { timeoutMs: 10 }))
    const third = server.db.scalar(quick, [2])

    await time.pass(200)

    expect(await second).toBeInstanceOf(QueryTimeoutError)
    expect(await Promise.all([first, third])).toEqual([0, 2])
    await end(server)
  })

  test('a statement that is hit in place of one that was given up is sent once more', async () => {
    using time = virtualTime()
    const server = await place(time, { max: 2, shared: 1 })
    server.driver.faults.at({ text: quick, nth: 1, phase: 'answer' }, { delayMs: 20 })
    server.driver.faults.at({ text: quick, nth: 2 }, { hang: true })
    const first = caught(server.db.scalar(quick, [0], { timeoutMs: 10 }))
    const neighbour = server.db.scalar(quick, [1])

    await time.pass(200)

    expect(await first).toBeInstanceOf(QueryTimeoutError)
    expect(await neighbour).toBe(1)
    expect(server.sent().filter((line) => line === quick)).toHaveLength(3)
    await end(server)
  })

  test('that is lost its reads are sent once more, elsewhere', async () => {
    using time = virtualTime()
    const server = await place(time, { max: 3, shared: 1 })
    server.driver.faults.at({ text: quick, nth: 2 }, { lost: true })

    const answers = reads(server.db, 5)
    await time.pass(100)

    expect(await answers).toEqual([0, 1, 2, 3, 4])
    await end(server)
  })

  test('… and fail if that is lost too', async () => {
    using time = virtualTime()
    const server = await place(time, { max: 3, shared: 1 })
    server.driver.faults.at({ text: quick, times: Infinity }, { lost: true })

    const error = caught(server.db.scalar(quick, [1]))
    await time.pass(100)

    expect([(await error).name, (await error).outcome]).toEqual(['ConnectionLostError', 'unknown'])
    expect(server.sent().filter((line) => line === quick)).toHaveLength(2)
    server.driver.faults.clear()
    await end(server)
  })

  test('close() waits for what is in flight, and refuses what is not', async () => {
    using time = virtualTime()
    const server = await place(time)
    server.driver.faults.at({ text: quick, nth: 1 }, { delayMs: 20 })
    const answers = reads(server.db, 3)
    await Promise.resolve()

    const closing = server.db.close({ timeoutMs: 1000 })
    await time.pass(300)

    expect(await answers).toEqual([0, 1, 2])
    expect(await closing).toEqual({ drained: 1, broken: [] })
    expect(server.driver.violations).toEqual([])
  })
})
