/** Quick reads that wait for a connection leave together on the one that gets free, on drivers that take several statements at once. */

import { expect, test } from 'vitest'
import { during, end, place, quick, reads, slow } from '../support/lanes.ts'
import { virtualTime } from '../support/virtual-time.ts'

test('on the only connection of a pool: the first alone, then as many as the driver takes', async () => {
  using time = virtualTime()
  const server = await place(time, { max: 1 }, { maxInFlight: 2 })
  for (const nth of [1, 2, 4]) server.driver.faults.at({ text: quick, nth }, { delayMs: 2 })
  const answers = reads(server.db, 7)

  const sent: number[] = []
  for (const _ of [1, 2, 3]) {
    await time.pass(1)
    sent.push(server.sent().length)
    await time.pass(1)
  }
  expect(sent).toEqual([1, 2, 2])
  expect(await during(time, answers, 10)).toEqual([0, 1, 2, 3, 4, 5, 6])
  await end(server)
})

test('on each connection beyond the shared ones', async () => {
  using time = virtualTime()
  const server = await place(time, { max: 2, shared: 1 }, { maxInFlight: 2 })
  await during(time, Promise.all([server.db.scalar(slow, [1]), server.db.scalar(slow, [2])]), 100)
  expect(server.db.stats()).toMatchObject({ open: 2, idle: 2 })
  server.sent()
  // The shared one is full for long, the other one has a single read at first.
  server.driver.faults.at({ text: quick, nth: 1 }, { delayMs: 20 })
  for (const nth of [2, 3, 5]) server.driver.faults.at({ text: quick, nth }, { delayMs: 2 })
  const answers = reads(server.db, 8)

  const sent: number[] = []
  for (const _ of [1, 2, 3]) {
    await time.pass(1)
    sent.push(server.sent().length)
    await time.pass(1)
  }
  expect(sent).toEqual([3, 2, 2])
  expect(await during(time, answers, 30)).toHaveLength(8)
  await end(server)
})

test('not past somebody who came before them and wants the connection for itself', async () => {
  using time = virtualTime()
  const server = await place(time, { max: 1 })
  const { db } = server
  for (const nth of [1, 2]) server.driver.faults.at({ text: quick, nth }, { delayMs: 2 })
  const answers = Promise.all([reads(db, 3), db.status('insert into t values (1)'), reads(db, 2)])

  await time.pass(3)
  expect(server.sent()).toEqual([quick, quick, quick])
  await during(time, answers, 20)
  expect(server.sent()).toEqual(['insert into t values (1)', quick, quick])
  await end(server)
})

test('and a slow read of the only connection keeps its turn', async () => {
  using time = virtualTime()
  const server = await place(time, { max: 1 })
  const { db } = server
  const order: unknown[] = []
  const answers = [slow, slow, quick].map((text, n) => db.scalar(text, [n]).then((answer) => order.push(answer)))

  await during(time, Promise.all(answers), 100)
  expect(order).toEqual([0, 1, 2])
  await end(server)
})

test('one of them that fails, or is given up, leaves the others alone', async () => {
  using time = virtualTime()
  const server = await place(time, { max: 1 })
  const { db } = server
  server.driver.faults.at({ text: quick, nth: 3 }, { error: '22012' })
  server.driver.faults.at({ text: quick, nth: 4 }, { hang: true })
  const settled = Promise.allSettled(
    [0, 1, 2, 3, 4, 5].map((n) => db.scalar(quick, [n], n === 3 ? { timeoutMs: 20 } : {})),
  )

  await time.pass(200)
  const outcomes = (await settled).map((each) => (each.status === 'fulfilled' ? each.value : each.reason.code))
  expect(outcomes).toEqual([0, 1, 'GENEVER_QUERY', 'GENEVER_QUERY_TIMEOUT', 4, 5])
  await end(server)
})
