/** `signal` of one statement, before it is sent, while it waits, and after. While it runs: query-options.test.ts. */

import { AbortedError, type Executor, type QueryOptions } from 'genever'
import { expect, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { until } from '../support/until.ts'

const each = async (executor: Executor, options: QueryOptions): Promise<unknown[]> => [
  await caught(executor.all('select 1', [], options)),
  await caught(executor.first('select 1', [], options)),
  await caught(executor.one('select 1', [], options)),
  await caught(executor.oneOrNone('select 1', [], options)),
  await caught(executor.scalar('select 1', [], options)),
  await caught(executor.status('select 1', [], options)),
  await caught(executor.sql`select 1`.all(options)),
  await caught(executor.iterate('select 1', [], options).read()),
]

test('a signal that is aborted already refuses every method before anything is sent', async () => {
  await using server = await fake()
  const { db } = server
  const signal = AbortSignal.abort(new TypeError('why'))

  const errors = [...(await each(db, { signal })), ...(await db.scope((connection) => each(connection, { signal })))]

  for (const error of errors) {
    expect(error).toBeInstanceOf(AbortedError)
    expect(error).toMatchObject({ outcome: 'not_started' })
  }
  expect(server.sent().filter((line) => line.includes('select 1'))).toEqual([])
})

test('a signal that aborts while the statement waits takes it out of the queue', async () => {
  await using server = await fake({}, { pool: { max: 1 } })
  const { db } = server
  const holder = await db.acquire()
  const controller = new AbortController()

  const waiting = caught(db.scalar('select 1', [], { signal: controller.signal }))
  await until(() => db.stats().waiting === 1)
  controller.abort()

  expect(await waiting).toBeInstanceOf(AbortedError)
  expect(db.stats().waiting).toBe(0)
  await holder.release()
  expect(server.sent()).toEqual([])
})

test('a signal that aborts after the answer changes nothing', async () => {
  await using server = await fake()
  const controller = new AbortController()

  expect(await server.db.scalar('select 7', [], { signal: controller.signal })).toBe(7)
  controller.abort()

  expect(await server.db.scalar('select 7')).toBe(7)
  expect(server.sent()).not.toContain('<cancel>')
})

test('a signal shared by a thousand statements has one listener', async () => {
  await using server = await fake({}, { pool: { max: 1 } })
  const controller = new AbortController()
  const { signal } = controller
  const listen = vi.spyOn(signal, 'addEventListener')

  await Promise.all(Array.from({ length: 1000 }, () => server.db.scalar('select 1', [], { signal })))

  expect(listen.mock.calls.length).toBeLessThanOrEqual(1)
})
