/** What a transaction does when its connection dies. */

import { ConnectionLostError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake, sound } from '../support/fake.ts'
import { forEachDriver, pid } from '../support/matrix.ts'

const insert = 'insert into t values (1)'

describe('a connection lost inside', () => {
  test('fails the statement and all that follow as rolled_back, and no other connection is borrowed', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('update', { lost: '57P01' })

    const error = await caught(
      db.transaction(async () => {
        await db.status(insert)
        for (const text of ['update t set v = 2', 'insert into t values (2)', 'select 1']) {
          const failed = await caught(db.status(text))
          expect(failed).toBeInstanceOf(ConnectionLostError)
          expect(failed.outcome).toBe('rolled_back')
        }
        expect(await caught(db.transaction(() => db.status(insert)))).toBeInstanceOf(ConnectionLostError)
      }),
    )

    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error.outcome).toBe('rolled_back')
    expect(server.driver.sessions).toHaveLength(1)
    expect(server.driver.rows('t')).toEqual([])
    await sound(server)
  })

  test('between two statements is found out by the next', async () => {
    await using server = await fake()
    const { db } = server

    const error = await caught(
      db.transaction(async () => {
        await db.status(insert)
        server.driver.kill()
        await new Promise(setImmediate)
        await db.status('insert into t values (2)')
      }),
    )

    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(server.driver.rows('t')).toEqual([])
    await sound(server)
  })

  test('before a COMMIT that was not sent is known to be rolled back', async () => {
    await using server = await fake()

    const error = await caught(
      server.db.transaction(async (tx) => {
        await tx.status(insert)
        server.driver.kill()
        await new Promise(setImmediate)
        await new Promise(setImmediate)
      }),
    )

    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error.outcome).toBe('rolled_back')
  })

  test('does not replace the error of the callback', async () => {
    await using server = await fake()
    const reason = new TypeError('first')

    const error = await caught(
      server.db.transaction(async (tx) => {
        await tx.status(insert)
        server.driver.kill()
        await new Promise(setImmediate)
        throw reason
      }),
    )

    expect(error).toBe(reason)
    await sound(server)
  })

  test('in a scope: after the transaction the scope borrows another', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('insert', { lost: true })

    await db.scope(async () => {
      await caught(db.transaction(() => db.status(insert)))
      expect(await db.scalar('select 7')).toBe(7)
    })

    await sound(server)
  })
})

forEachDriver(
  (driver) => {
    test('a session that the server ends inside is a ConnectionLostError with the outcome rolled_back', async () => {
      const db = await driver.db()
      const table = await driver.table('n int')
      const add = (): Promise<unknown> => db.status(`insert into ${table} values (1)`)

      const error = await caught(
        db.transaction(async () => {
          await add()
          await driver.kill(await pid(db))
          await add()
        }),
      )

      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(error.outcome).toBe('rolled_back')
      expect(await db.scalar(driver.words.count(table))).toBe(0)
    })
  },
  { connections: 2 },
)
