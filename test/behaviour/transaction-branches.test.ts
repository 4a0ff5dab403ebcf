/** Branches of a transaction when one of them fails: what the others may still do. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { TransactionEndedError, UniqueViolationError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake, sound } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'

describe('when one branch fails', () => {
  test('the transaction throws its error, and a branch that comes later writes nothing, not even in autocommit', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('update', { error: '23505' })
    const ended = gate()
    const late: unknown[] = []
    let slow: Promise<void> | undefined

    const error = await caught(
      db.transaction(async (tx) => {
        slow = ended.promise.then(async () => {
          late.push(await caught(db.status("insert into t values ('orphan')")))
          late.push(await caught(tx.status("insert into t values ('orphan')")))
          late.push(await caught(db.transaction(() => db.status("insert into t values ('orphan')"))))
          late.push(await caught(db.sql`insert into t values ('orphan')`))
        })
        await Promise.all([slow, db.status('update t set v = 1')])
      }),
    )
    ended.open()
    await slow

    expect(error).toBeInstanceOf(UniqueViolationError)
    expect(late).toHaveLength(4)
    for (const each of late) expect(each).toBeInstanceOf(TransactionEndedError)
    expect(server.sent()).toEqual(['BEGIN; update t set v = 1', 'ROLLBACK'])
    expect(server.driver.rows('t')).toEqual([])
  })

  test('what was not sent yet is rejected, what is on the wire is awaited, then comes ROLLBACK', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('insert into t values (1)', { delayMs: 30 })
    const branches: Promise<unknown>[] = []

    await caught(
      db.transaction(async () => {
        await db.scalar('select 1')
        branches.push(db.status('insert into t values (1)'), caught(db.status('insert into t values (2)')))
        throw new TypeError('no')
      }),
    )

    expect(await branches[0]).toMatchObject({ command: 'INSERT' })
    expect(await branches[1]).toBeInstanceOf(TransactionEndedError)
    expect(server.sent()).toEqual(['BEGIN; select 1', 'insert into t values (1)', 'ROLLBACK'])
    await sound(server)
  })

  test('what is on the wire for too long is cancelled', async () => {
    using time = leapingTime()
    await using server = await fake({}, { cancelTimeoutMs: 20_000 })
    const { db } = server
    let branch: Promise<unknown> | undefined
    let timers = Infinity

    const ended = caught(
      db.transaction(async () => {
        await db.scalar('select 1')
        branch = caught(db.scalar(server.words.sleep(60)))
        timers = time.pending
        throw new TypeError('no')
      }),
    )
    await until(() => time.pending > timers, { what: 'it waits for what is on the wire' })
    time.leap(20_000)
    await ended

    expect(await branch).toBeInstanceOf(TransactionEndedError)
    expect(server.sent()).toEqual(['BEGIN; select 1', server.words.sleep(60), '<cancel>', 'ROLLBACK'])
    await sound(server)
  })

  test('a nested transaction of another branch that has not begun is rejected', async () => {
    await using server = await fake()
    const { db } = server
    let waiting: Promise<unknown> | undefined

    await caught(
      db.transaction(async () => {
        await db.scalar('select 1')
        const outside = AsyncLocalStorage.bind(() => db.transaction(() => db.status('insert into t values (1)')))
        await db.transaction(async () => {
          waiting = caught(outside())
          await db.status('fail 23505')
        })
      }),
    )

    expect(await waiting).toBeInstanceOf(TransactionEndedError)
    expect(server.driver.rows('t')).toEqual([])
    await sound(server)
  })

  test('a statement that waited for a nested transaction meanwhile is rejected, not sent in autocommit', async () => {
    await using server = await fake()
    const { db } = server
    const nested = gate()
    let waiting: Promise<unknown> | undefined

    await caught(
      db.transaction(async () => {
        await db.scalar('select 1')
        const branch = db.transaction(async () => {
          waiting = nested.promise.then(() => caught(db.status("insert into t values ('orphan')")))
          await db.transaction(async () => {
            await db.scalar('select 2')
            nested.open()
            await waiting
          })
        })
        branch.catch(() => {})
        await nested.promise
        throw new TypeError('outer')
      }),
    )

    expect(await waiting).toBeInstanceOf(TransactionEndedError)
    expect(server.driver.rows('t')).toEqual([])
    await sound(server)
  })

  test('code of it that uses the connection by an explicit handle is refused too', async () => {
    await using server = await fake()
    const ended = gate()
    let late: Promise<unknown> | undefined

    await using connection = await server.db.acquire()
    await caught(
      connection.transaction(async () => {
        late = ended.promise.then(() => caught(connection.status("insert into t values ('orphan')")))
        throw new TypeError('no')
      }),
    )
    ended.open()

    expect(await late).toBeInstanceOf(TransactionEndedError)
    expect(server.driver.rows('t')).toEqual([])
  })

  test('the others may go on inside a nested transaction of their own until the outermost ends', async () => {
    await using server = await fake()
    const { db } = server

    const results = await db.transaction(() =>
      Promise.allSettled([
        db.transaction(() => db.status('fail 23505')),
        db.transaction(() => db.status('insert into t values (1)')),
      ]),
    )

    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
    expect(server.driver.rows('t')).toEqual([{ v: 1 }])
  })
})
