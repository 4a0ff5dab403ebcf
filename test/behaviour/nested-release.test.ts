/** RELEASE and ROLLBACK TO of a nested transaction: when they are sent, and what becomes of them where they cannot be. */

import { CommitOutcomeUnknownError, ConnectionLostError, createDb, type Db } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl, freshDatabase } from '../support/database.ts'
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
      `ROLLBACK TO SAVEPOINT "genever_1"; RELEASE SAVEPOINT "genever_1"; SAVEPOINT "genever_3"; ${insert(4)}`,
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

describe('ROLLBACK TO', () => {
  const insert = (n: number): string => `insert into t values (${n})`
  const undo = (n: number): string => `ROLLBACK TO SAVEPOINT "genever_${n}"; RELEASE SAVEPOINT "genever_${n}"`
  /** A nested transaction that throws behind its statement. */
  const thrown = (db: Db, sql: string): Promise<Error> =>
    caught(
      db.transaction(async () => {
        await db.status(sql)
        throw new TypeError('inner')
      }),
    )

  test('goes with the next statement, with the next savepoint, and with COMMIT', async () => {
    await using server = await fake()
    const { db } = server

    await db.transaction(async () => {
      await db.status(insert(1))
      expect((await thrown(db, insert(2))).message).toBe('inner')
      await db.status(insert(3))
      for (const n of [4, 5]) await thrown(db, insert(n))
    })

    expect(server.sent()).toEqual([
      `BEGIN; ${insert(1)}`,
      `SAVEPOINT "genever_1"; ${insert(2)}`,
      `${undo(1)}; ${insert(3)}`,
      `SAVEPOINT "genever_2"; ${insert(4)}`,
      `${undo(2)}; SAVEPOINT "genever_3"; ${insert(5)}`,
      `${undo(3)}; COMMIT`,
    ])
    expect(server.driver.rows('t')).toEqual([{ v: 1 }, { v: 3 }])
  })

  test('goes before the RELEASE of those around it that are kept, and not at all where they are not', async () => {
    await using server = await fake()
    const { db } = server
    const inside = (n: number, kept: boolean): Promise<unknown> =>
      db.transaction(async () => {
        await db.status(insert(n))
        await thrown(db, insert(n + 1))
        if (!kept) throw new TypeError('middle')
      })

    await db.transaction(async () => {
      await db.transaction(() => inside(1, true))
      await caught(db.transaction(() => inside(3, false)))
      await db.status(insert(5))
    })

    expect(server.sent()).toEqual([
      `BEGIN; SAVEPOINT "genever_1"; SAVEPOINT "genever_2"; ${insert(1)}`,
      `SAVEPOINT "genever_3"; ${insert(2)}`,
      `ROLLBACK TO SAVEPOINT "genever_3"; RELEASE SAVEPOINT "genever_1"; SAVEPOINT "genever_4"; SAVEPOINT "genever_5"; ${insert(3)}`,
      `SAVEPOINT "genever_6"; ${insert(4)}`,
      `${undo(4)}; ${insert(5)}`,
      'COMMIT',
    ])
    expect(server.driver.rows('t')).toEqual([{ v: 1 }, { v: 5 }])
  })

  test('goes alone at the end of the turn, and what comes later waits for it', async () => {
    await using server = await fake()
    const { db } = server

    await db.transaction(async () => {
      await thrown(db, insert(1))
      await new Promise(setImmediate)
      expect(server.sent().at(-1)).toBe(undo(1))
      await db.status(insert(2))
    })

    expect(server.sent()).toEqual([insert(2), 'COMMIT'])
  })

  test('is not forgotten with a statement that cannot be written', async () => {
    await using server = await fake()
    const { db } = server

    await db.transaction(async () => {
      await thrown(db, insert(1))
      await caught(db.status('insert into t values (:value)', { value: Symbol('no value') }))
      await db.status(insert(2))
    })

    expect(server.sent()).toEqual([`BEGIN; SAVEPOINT "genever_1"; ${insert(1)}`, `${undo(1)}; ${insert(2)}`, 'COMMIT'])
  })

  test('goes at once while the client is lent', async () => {
    await using server = await fake()
    const { db } = server

    await db.transaction(async (tx) => {
      await tx.connection.rawConnection()
      await thrown(db, insert(1))
      expect(server.sent().at(-1)).toBe(undo(1))
    })
  })

  test.each([
    ['a statement', async (db: Db) => void (await db.status(insert(2)))],
    ['COMMIT', async () => {}],
    ['nothing', () => new Promise<void>((resolve) => setImmediate(resolve))],
  ])('that fails with %s behind it is the end of the connection, and all is rolled back', async (_, then) => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('ROLLBACK TO', { error: 'XX000' })

    const error = await caught(
      db.transaction(async () => {
        await thrown(db, insert(1))
        await then(db)
      }),
    )

    expect([error.constructor, error.outcome]).toEqual([ConnectionLostError, 'rolled_back'])
    expect(server.driver.rows('t')).toEqual([])
    expect(await db.scalar('select 7')).toBe(7)
  })

  test('in front of a COMMIT whose answer does not come does not say that nothing was committed', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('COMMIT', { lost: true })

    const error = await caught(
      db.transaction(async () => {
        await db.status(insert(1))
        await thrown(db, 'select no_such_thing(')
      }),
    )

    expect([error.constructor, error.outcome]).toEqual([CommitOutcomeUnknownError, 'unknown'])
  })
})

describe.each(['pg', 'socket'] as const)('ROLLBACK TO of a server: %s', (driver) => {
  test('costs no trip: statements and COMMIT alone do', async () => {
    await using proxy = await startProxy(await databaseUrl())
    await using db = createDb(proxy.url, { driver, pool: { max: 1 } })
    const work = (): Promise<unknown> =>
      db.transaction(async () => {
        for (let n = 0; n < 3; n++) await caught(db.transaction(() => db.scalar('select 1 / 0 as n')))
        expect(await db.scalar('select 1 as n')).toBe(1)
        await caught(db.transaction(() => db.scalar('select 1 / 0 as n')))
      })
    await work()
    const { toServer } = proxy.open[0] as Link
    const before = toServer.types.length

    await work()

    // Five statements, COMMIT.
    expect(toServer.types.slice(before).replaceAll(/[^SQ]/g, '')).toHaveLength(6)
  })

  test('lets go of its rows while the transaction waits for something else', async () => {
    await using database = await freshDatabase('create table held (id int primary key); insert into held values (1)')
    await using db = createDb(database.url, { driver, pool: { max: 2 } })

    await db.transaction(async () => {
      await db.scalar('select 1')
      await caught(
        db.transaction(async () => {
          await db.status('update held set id = 1')
          throw new TypeError('inner')
        }),
      )
      expect(await db.detached(() => db.scalar('update held set id = 2 returning id'))).toBe(2)
    })
  })

  test('that COMMIT follows keeps what was done before, whatever failed inside', async () => {
    await using database = await freshDatabase('create table kept (id int primary key)')
    await using db = createDb(database.url, { driver, pool: { max: 1 } })

    for (const n of [1, 2])
      await db.transaction(async () => {
        await db.status(`insert into kept values (${n})`)
        await caught(db.transaction(() => db.status(`insert into kept values (${n + 10}), (${n})`)))
      })

    expect(await db.all('select id from kept order by id')).toEqual([{ id: 1 }, { id: 2 }])
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
