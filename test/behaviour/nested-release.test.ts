/** RELEASE of a nested transaction: when it is sent, and what becomes of it where it cannot be. */

import { ConnectionLostError, createDb } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl } from '../support/database.ts'
import { fake } from '../support/fake.ts'
import { type Link, startProxy } from '../support/proxy.ts'

describe('RELEASE', () => {
  const insert = (n: number): string => `insert into t values (${n})`

  test('has no trip: the end of what is around it does the same', async () => {
    await using server = await fake()
    const { db } = server

    await db.transaction(async (tx) => {
      await db.transaction(async () => {
        await db.transaction(() => db.transaction(() => db.status(insert(1))))
      })
      await using savepoint = await tx.begin()
      await savepoint.transaction(() => savepoint.status(insert(2)))
      await savepoint.commit()
      await tx.transaction(() => 1)
    })
    await caught(
      db.transaction(async () => {
        await caught(
          db.transaction(async () => {
            await db.transaction(() => db.status(insert(3)))
            throw new TypeError('middle')
          }),
        )
        await db.transaction(() => db.status(insert(4)))
        throw new TypeError('outer')
      }),
    )

    expect(server.sent()).toEqual([
      `BEGIN; SAVEPOINT "genever_1"; SAVEPOINT "genever_2"; SAVEPOINT "genever_3"; ${insert(1)}`,
      `RELEASE SAVEPOINT "genever_1"; SAVEPOINT "genever_4"; SAVEPOINT "genever_5"; ${insert(2)}`,
      'COMMIT',
      `BEGIN; SAVEPOINT "genever_1"; SAVEPOINT "genever_2"; ${insert(3)}`,
      'ROLLBACK TO SAVEPOINT "genever_1"; RELEASE SAVEPOINT "genever_1"',
      `SAVEPOINT "genever_3"; ${insert(4)}`,
      'ROLLBACK',
    ])
    expect(server.driver.rows('t')).toEqual([{ v: 1 }, { v: 2 }])
  })

  test('waits for the next statement, whatever ends in between without one', async () => {
    await using server = await fake()
    const { db } = server

    await db.transaction(async () => {
      await db.transaction(() => db.status(insert(1)))
      await caught(
        db.transaction(() => {
          throw new TypeError('nothing was sent')
        }),
      )
      await db.transaction(() => 1)
      await caught(db.status(`insert into t values (${server.words.placeholder(1)})`, [Symbol('no value')]))
      await db.status(`${insert(2)}; ${insert(3)}`)
    })

    expect(server.sent()).toEqual([
      `BEGIN; SAVEPOINT "genever_1"; ${insert(1)}`,
      'RELEASE SAVEPOINT "genever_1"; select 1',
      `${insert(2)}; ${insert(3)}`,
      'COMMIT',
    ])
  })

  test('goes before the client is lent, and by itself from then on', async () => {
    await using server = await fake()
    const { db } = server

    await db.transaction(async (tx) => {
      await db.transaction(() => db.status(insert(1)))
      await tx.connection.rawConnection()
      await db.transaction(() => db.status(insert(2)))
    })

    expect(server.sent()).toEqual([
      `BEGIN; SAVEPOINT "genever_1"; ${insert(1)}`,
      'RELEASE SAVEPOINT "genever_1"; select 1',
      'SAVEPOINT "genever_2"; select 1',
      insert(2),
      'RELEASE SAVEPOINT "genever_2"',
      'COMMIT',
      '<reset unknown>',
    ])
  })

  test('goes before the client that is asked for while a nested transaction ends', async () => {
    await using server = await fake()
    const { db } = server

    await db.transaction(async (tx) => {
      await tx.scalar('select 0')
      await Promise.all([db.transaction(() => db.status(insert(1))), tx.connection.rawConnection()])
      expect(server.sent().at(-1)).toBe('RELEASE SAVEPOINT "genever_1"; select 1')
    })
  })

  test('is not owed to the next transaction when the connection is lost, nor after a COMMIT', async () => {
    await using server = await fake()
    const { db } = server
    const nested = (): Promise<unknown> => db.transaction(() => db.status(insert(1)))

    await db.scope(async () => {
      const lost = db.transaction(async () => {
        await nested()
        server.driver.kill()
        await new Promise(setImmediate)
        await db.scalar('select 1')
      })
      expect(await caught(lost)).toBeInstanceOf(ConnectionLostError)
      await db.scalar('select 2')
      await db.transaction(nested)
      await db.scalar('select 3')
    })

    const opened = `BEGIN; SAVEPOINT "genever_1"; ${insert(1)}`
    expect(server.sent()).toEqual([opened, 'select 2', opened, 'COMMIT', 'select 3'])
  })
})

test.each(['pg', 'socket'] as const)(
  'levels inside of each other cost their statements and COMMIT: %s',
  async (driver) => {
    await using proxy = await startProxy(await databaseUrl())
    await using db = createDb(proxy.url, { driver, pool: { max: 1 } })
    const [one, other] = ['select 1 as n', 'select 2 as n']
    const levels = (depth: number): Promise<unknown> =>
      db.transaction(() => (depth === 0 ? db.scalar(one) : levels(depth - 1)))
    const work = async (): Promise<void> => {
      await levels(3)
      await db.transaction(async () => {
        await levels(3)
        await Promise.all([db.scalar(one), db.scalar(other)])
      })
    }
    await work()
    const { toServer } = proxy.open[0] as Link
    const before = toServer.types.length

    await work()

    // One packet each: the levels, COMMIT; the levels, RELEASE with both reads, COMMIT.
    expect(toServer.types.slice(before).replaceAll(/[^SQ]/g, '')).toHaveLength(driver === 'socket' ? 5 : 6)
  },
)
