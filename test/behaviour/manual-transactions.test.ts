/** `begin()`: transactions that are ended by hand, not ambient, on a connection of their own. */

import { TransactionAbortedError, TransactionEndedError, TransactionStateError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { noticesDuring } from '../support/gate.ts'
import { forEachDriver, pid } from '../support/matrix.ts'

forEachDriver((driver) => {
  test('commit() keeps the changes, rollback() takes them back', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    const kept = await db.begin()
    await kept.status(`insert into ${t} values (1)`)
    await kept.commit()
    const undone = await db.begin()
    await undone.status(`insert into ${t} values (2)`)
    await undone.rollback()

    expect(await db.all(`select n from ${t}`)).toEqual([{ n: 1 }])
  })

  test('leaving an await using block undecided rolls back and gives the connection back', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')
    {
      await using tx = await db.begin()
      await tx.status(`insert into ${t} values (1)`)
    }

    expect(db.stats().reserved).toBe(0)
    expect(await db.all(`select n from ${t}`)).toEqual([])
  })

  test('leaving an await using block after commit() changes nothing', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')
    {
      await using tx = await db.begin()
      await tx.status(`insert into ${t} values (1)`)
      await tx.commit()
    }

    expect(await db.all(`select n from ${t}`)).toEqual([{ n: 1 }])
  })

  test('on an acquired connection it is rolled back with a notice when that is released', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    const notices = await noticesDuring(async () => {
      const connection = await db.acquire()
      const tx = await connection.begin()
      await tx.status(`insert into ${t} values (1)`)
      await connection.release()
      expect(await caught(tx.commit())).toBeInstanceOf(TransactionStateError)
    })

    expect(notices.map(({ code }) => code)).toEqual(['manual-transaction-rolled-back'])
    expect(notices[0]?.places[0]).toMatch(/manual transaction begun at .*manual-transactions\.test\.ts/)
    expect(await db.all(`select n from ${t}`)).toEqual([])
  })

  test('statements of the acquired connection it was begun on run inside', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    await using connection = await db.acquire()
    const tx = await connection.begin()
    await connection.status(`insert into ${t} values (1)`)
    await tx.rollback()

    expect(await connection.all(`select n from ${t}`)).toEqual([])
  })

  test('tx.connection runs inside', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    await using tx = await db.begin()
    await tx.connection.status(`insert into ${t} values (1)`, [], { timeoutMs: 2000 })
    await tx.rollback()

    expect(await db.all(`select n from ${t}`)).toEqual([])
  })
})

/** Its connection is not taken back for whoever asks for one of their own. */
const held = { hold: true }

forEachDriver(
  (driver) => {
    test('has a connection of its own and changes nothing that is current', async () => {
      const db = await driver.db()
      const t = await driver.table('n int')

      await db.scope(async () => {
        const around = await pid(db)
        await using tx = await db.begin()
        await tx.status(`insert into ${t} values (1)`)
        expect(await pid(tx)).not.toBe(around)
        expect(await pid(db)).toBe(around)
        expect(await db.all(`select n from ${t}`)).toEqual([])
      }, held)
    })

    test('tx.run makes it ambient for a callback', async () => {
      const db = await driver.db()

      await using tx = await db.begin()
      const own = await pid(tx)
      await tx.run(async () => {
        expect(await pid(db)).toBe(own)
        expect(await db.transaction(() => pid(db))).toBe(own)
      })
      expect(await pid(db)).not.toBe(own)
    })

    test('an implicit statement beside it warns once, naming both places', async () => {
      const db = await driver.db()

      const notices = await noticesDuring(() =>
        db.scope(async () => {
          await using tx = await db.begin()
          await tx.scalar('select 1')
          await db.scalar('select 2')
          await db.scalar('select 3')
        }),
      )

      expect(notices.map(({ code }) => code)).toEqual(['manual-transaction-open'])
      expect(notices[0]?.places).toHaveLength(2)
      for (const place of notices[0]?.places ?? []) expect(place).toMatch(/manual-transactions\.test\.ts:\d+/)
    })
  },
  { connections: 2 },
)

describe('ended twice', () => {
  test.each([
    ['commit', 'commit', 'was committed'],
    ['commit', 'rollback', 'was committed'],
    ['rollback', 'commit', 'was rolled back'],
    ['rollback', 'rollback', 'was rolled back'],
  ] as const)('%s() and then %s() is a TransactionStateError that says where it ended', async (first, second, how) => {
    await using server = await fake()
    const tx = await server.db.begin()
    await tx.status('insert into t values (1)')
    await tx[first]()

    const error = await caught(tx[second]())

    expect(error).toBeInstanceOf(TransactionStateError)
    expect(error.message).toMatch(new RegExp(`begun at .*manual-transactions.* ${how} at .*manual-transactions`))
  })

  test('its statements throw TransactionEndedError', async () => {
    await using server = await fake()
    const tx = await server.db.begin()
    await tx.commit()

    expect(await caught(tx.scalar('select 1'))).toBeInstanceOf(TransactionEndedError)
    expect(await caught(tx.run(() => 1))).toBeInstanceOf(TransactionEndedError)
  })
})

test('commit() after a swallowed failure throws with the first failure as cause, and gives the connection back', async () => {
  await using server = await fake()
  const tx = await server.db.begin()
  const first = await caught(tx.status('fail 23505'))
  await caught(tx.status('insert into t values (1)'))

  const error = await caught(tx.commit())

  expect(error).toBeInstanceOf(TransactionAbortedError)
  expect(error.outcome).toBe('rolled_back')
  expect(error.cause).toMatchObject({ code: first.code })
  expect(server.db.stats().reserved).toBe(0)
})

test('options reach BEGIN, as with transaction()', async () => {
  await using server = await fake()
  await using tx = await server.db.begin({ isolation: 'repeatable read', readOnly: true })
  await tx.scalar('select 1')

  expect(server.sent()).toEqual(['BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; select 1'])
})

describe('savepoints by tx.begin()', () => {
  test('commit keeps and rollback undoes what was done since', async () => {
    await using server = await fake()
    await using tx = await server.db.begin()

    const kept = await tx.begin()
    await kept.status('insert into t values (1)')
    await kept.commit()
    const undone = await tx.begin()
    await undone.status('insert into t values (2)')
    await undone.rollback()
    await tx.commit()

    expect(server.driver.rows('t')).toEqual([{ v: 1 }])
  })

  test('can be taken inside of a managed transaction', async () => {
    await using server = await fake()

    await server.db.transaction(async (tx) => {
      const savepoint = await tx.begin()
      await savepoint.status('insert into t values (1)')
      await savepoint.rollback()
      await tx.status('insert into t values (2)')
    })

    expect(server.driver.rows('t')).toEqual([{ v: 2 }])
  })

  test('commit() of one that is not the innermost is refused and changes nothing', async () => {
    await using server = await fake()
    await using tx = await server.db.begin()
    const first = await tx.begin()
    const second = await first.begin()
    await second.status('insert into t values (1)')

    const error = await caught(first.commit())
    expect(error).toBeInstanceOf(TransactionStateError)
    expect(error.message).toMatch(/begun at .*manual-transactions.*still open inside/)

    await second.commit()
    await first.commit()
    await tx.commit()
    expect(server.driver.rows('t')).toEqual([{ v: 1 }])
  })

  test('rollback() ends all that is open inside', async () => {
    await using server = await fake()
    await using tx = await server.db.begin()
    const told: string[] = []
    await tx.status('insert into t values (1)')
    const first = await tx.begin()
    const second = await first.begin()
    second.afterRollback(() => told.push('second'))
    await second.status('insert into t values (2)')

    await first.rollback()

    expect((await caught(second.commit())).message).toContain('was rolled back with the transaction around it')
    await tx.commit()
    expect([server.driver.rows('t'), told]).toEqual([[{ v: 1 }], ['second']])
  })

  test('one left open makes the managed transaction around it roll back, naming its place', async () => {
    await using server = await fake()

    const error = await caught(
      server.db.transaction(async (tx) => {
        await tx.status('insert into t values (1)')
        await tx.begin()
      }),
    )

    expect(error).toBeInstanceOf(TransactionStateError)
    expect(error.message).toMatch(/manual transaction begun at .*manual-transactions.*still open/)
    expect(server.driver.rows('t')).toEqual([])
  })
})

describe('where others would wait for it unknowingly', () => {
  test('begin() on the ambient connection is refused and advises transaction()', async () => {
    await using server = await fake()

    await server.db.scope(async (connection) => {
      const error = await caught(connection.begin())
      expect(error).toBeInstanceOf(TransactionStateError)
      expect(error.message).toContain('transaction(work)')
      expect(await caught(server.db.begin({ reuse: true }))).toBeInstanceOf(TransactionStateError)
    })

    expect(server.sent()).toEqual([])
  })

  test('an implicit statement that needs the same connection is refused instead of waiting for itself', async () => {
    await using server = await fake()
    const { db } = server
    await using connection = await db.acquire()

    await using tx = await connection.begin()
    await tx.status('insert into t values (1)')
    const error = await caught(connection.run(() => db.status('insert into t values (2)')))

    expect(error).toBeInstanceOf(TransactionStateError)
    expect(error.message).toMatch(/begun at .*manual-transactions/)
  })
})

test('transaction(work) on a manual transaction is a savepoint inside of it', async () => {
  await using server = await fake()
  await using tx = await server.db.begin()

  await tx.transaction(() => server.db.status('insert into t values (1)'))
  await tx.rollback()

  expect(server.sent()).toEqual(['BEGIN; SAVEPOINT "genever_1"; insert into t values (1)', 'ROLLBACK'])
})
