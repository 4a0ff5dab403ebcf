/** A resolver of names that never answers: looking the name up belongs to the time a connection may take to open. */

import dns from 'node:dns'
import { AcquireTimeoutError, ConnectError, createDb, createEngine } from 'genever'
import { afterEach, expect, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { serverUrl } from '../support/database.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'

const url = new URL(serverUrl())
url.hostname = 'db.genever.test'

afterEach(() => {
  vi.restoreAllMocks()
})

/** Answers so many questions, by this machine, and no more. */
function resolver(answers: number): { asked: number } {
  const state = { asked: 0 }
  vi.spyOn(dns, 'lookup').mockImplementation(((
    _: string,
    options: { all?: boolean },
    done: (...args: unknown[]) => void,
  ) => {
    if (++state.asked > answers) return
    const address = '127.0.0.1'
    setImmediate(() => (options.all === true ? done(null, [{ address, family: 4 }]) : done(null, address, 4)))
  }) as never)
  return state
}

test('ends the opening at the connect timeout', async () => {
  const names = resolver(0)

  const error = await caught(createEngine(url.href, { pool: { connectTimeoutMs: 300 } }))

  expect(error).toBeInstanceOf(ConnectError)
  expect(error).toMatchObject({ outcome: 'not_started', retryable: true })
  expect(names.asked).toBe(1)
})

test('ends each wait for a further connection at the deadline of who waits', async () => {
  using time = leapingTime()
  const names = resolver(1)
  const db = createDb(url.href, { pool: { max: 2, acquireTimeoutMs: 200_000, connectTimeoutMs: 3_600_000 } })
  const held = await db.acquire()
  const order: string[] = []

  const waits = Promise.all([
    caught(db.acquire()).finally(() => order.push('acquire')),
    caught(db.status('select 1', [], { timeoutMs: 100_000 })).finally(() => order.push('statement')),
  ])
  for (let told = 1; told <= 2; told++) {
    time.leap(100_000)
    await until(() => order.length === told)
  }
  const errors = await waits

  expect(order).toEqual(['statement', 'acquire'])
  for (const error of errors) {
    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error).toMatchObject({ outcome: 'not_started', phase: 'connect' })
  }
  expect(names.asked).toBeGreaterThan(1)
  await held.release()
  await db.close({ timeoutMs: 200 })
})
