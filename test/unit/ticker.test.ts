/** Deadlines of an engine: only waits that end by themselves are among them. */

import { expect, test } from 'vitest'
import { fake } from '../support/fake.ts'
import { virtualTime } from '../support/virtual-time.ts'

test('a wait without an end leaves nothing behind, however long it was', async () => {
  using time = virtualTime()
  const server = await fake({}, { pool: { max: 1, acquireTimeoutMs: Infinity } })
  const { ticker } = await server.db.engineHere()
  const held = await server.db.acquire()
  const waiting = server.db.scalar('select 1')
  await time.pass(1_100)
  await held.release()
  await time.pass(10)

  expect(await waiting).toBe(1)
  expect(ticker.size).toBe(0)
  const closed = server[Symbol.asyncDispose]()
  await time.pass(10)
  await closed
})
