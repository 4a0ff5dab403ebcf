/** `afterCommit` and `afterRollback` hooks that throw. */

import { inspect } from 'node:util'
import { AfterCommitError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { noticesDuring } from '../support/gate.ts'

test('hooks that throw do not stop the others, and become an AfterCommitError with the result and all that was thrown', async () => {
  await using server = await fake()
  const [first, second] = [new TypeError('one'), new RangeError('two')]
  const log: string[] = []

  const error = await caught(
    server.db.transaction(async (tx) => {
      tx.afterCommit(() => {
        throw first
      })
      tx.afterCommit(() => log.push('ran'))
      tx.afterCommit(() => Promise.reject(second))
      await tx.status('insert into t values (1)')
      return 'result'
    }),
  )

  expect(error).toBeInstanceOf(AfterCommitError)
  expect(error).toMatchObject({ outcome: 'committed', result: 'result', errors: [first, second], cause: first })
  expect(log).toEqual(['ran'])
  expect(server.driver.rows('t')).toEqual([{ v: 1 }])
})

test('the error after raiseCommit carries its value', async () => {
  await using server = await fake()

  const error = await caught(
    server.db.transaction((tx) => {
      tx.afterCommit(() => Promise.reject(new TypeError('one')))
      tx.raiseCommit('value')
    }),
  )

  expect(error).toMatchObject({ outcome: 'committed', result: 'value' })
})

test('the result is not printed with the error', async () => {
  await using server = await fake()

  const error = await caught(
    server.db.transaction((tx) => {
      tx.afterCommit(() => Promise.reject(new TypeError('one')))
      return 'canary-value'
    }),
  )

  expect(inspect(error, { depth: 9 }) + JSON.stringify(error)).not.toContain('canary-value')
})

test('hooks that throw after a rollback hide nothing: the first error stays and a notice tells of the hook', async () => {
  await using server = await fake()
  const reason = new TypeError('first')
  let error: unknown

  const notices = await noticesDuring(async () => {
    error = await caught(
      server.db.transaction((tx) => {
        tx.afterRollback(() => Promise.reject(new TypeError('hook')))
        throw reason
      }),
    )
  })

  expect(error).toBe(reason)
  expect(notices.map(({ code }) => code)).toEqual(['hook-failed'])
})

test('hooks of a nested transaction that throw reject the outermost, not the nested one', async () => {
  await using server = await fake()
  const seen: string[] = []

  const error = await caught(
    server.db.transaction(async (outer) => {
      await outer.transaction((inner) => inner.afterCommit(() => Promise.reject(new TypeError('hook'))))
      seen.push('nested resolved')
    }),
  )

  expect(error).toBeInstanceOf(AfterCommitError)
  expect(seen).toEqual(['nested resolved'])
})

test('a hook of a manual transaction that throws makes commit() reject with AfterCommitError', async () => {
  await using server = await fake()
  const tx = await server.db.begin()
  await tx.status('insert into t values (1)')
  tx.afterCommit(() => Promise.reject(new TypeError('hook')))

  expect(await caught(tx.commit())).toBeInstanceOf(AfterCommitError)
  expect(server.driver.rows('t')).toEqual([{ v: 1 }])
})
