/** Transactions around a callback: what they commit, what they roll back, and which messages they cost. */

import {
  type Connection,
  createDb,
  type Db,
  ReadOnlyError,
  type Transaction,
  TransactionStateError,
  UsageError,
} from 'genever'
import { beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver, isolationOf, pid } from '../support/matrix.ts'

forEachDriver((driver) =>
  describe('on a server', () => {
    const alone = driver.most === 1
    let db = createDb()
    let table = ''

    beforeEach(async () => {
      table = await driver.table('n int')
      db = await driver.db()
    })

    const add = (on: Db | Transaction = db): Promise<unknown> => on.status(`insert into ${table} values (1)`)
    const numbers = async (): Promise<unknown[]> =>
      (await db.all(`select n from ${table} order by n`)).map(({ n }) => n)

    test('commits when its callback returns, and gives what that returned', async () => {
      const result = await db.transaction(async () => {
        await add()
        return 'done'
      })

      expect(result).toBe('done')
      expect(await numbers()).toEqual([1])
    })

    test.skipIf(alone)('its changes are visible inside and not outside before it ends', async () => {
      await db.transaction(async () => {
        await add()
        expect(await numbers()).toEqual([1])
        expect(await db.detached(numbers)).toEqual([])
      })
    })

    test('rolls back when its callback throws, and throws that very error', async () => {
      const reason = new TypeError('no')

      const error = await caught(
        db.transaction(async () => {
          await add()
          throw reason
        }),
      )

      expect(error).toBe(reason)
      expect(await numbers()).toEqual([])
    })

    test('rolls back when its callback throws before it is asynchronous', async () => {
      const error = await caught(
        db.transaction(() => {
          throw new TypeError('at once')
        }),
      )

      expect(error.message).toBe('at once')
      expect(db.stats().reserved).toBe(0)
    })

    test('takes a callback that is not asynchronous', async () => {
      expect(await db.transaction(() => 7)).toBe(7)
    })

    // MySQL shows the isolation of a transaction nowhere, and has none that is deferrable.
    test.skipIf(driver.name === 'mysql')('isolation, readOnly and deferrable reach the server', async () => {
      const shown = await db.transaction(
        () =>
          db.one(`select current_setting('transaction_isolation') as isolation,
          current_setting('transaction_read_only') as "readOnly", current_setting('transaction_deferrable') as deferrable`),
        { isolation: 'serializable', readOnly: true, deferrable: true },
      )

      expect(shown).toEqual({ isolation: 'serializable', readOnly: 'on', deferrable: 'on' })
    })

    test('the isolation that a session has stands unless asked', async () => {
      const onConnect = (connection: Connection): Promise<unknown> =>
        connection.status(driver.words.setIsolation('serializable'))
      const strict = await driver.db({ onConnect })

      expect(await strict.transaction(isolationOf)).toBe('serializable')
    })

    test("the engine's isolation is that of its transactions, however often the connection was used", async () => {
      const one = await driver.single({ isolation: 'serializable', reset: 'always' })
      const level = (): Promise<string> => one.transaction(isolationOf)

      expect([await level(), await level(), await level()]).toEqual(Array(3).fill('serializable'))
    })

    test('a write in a readOnly transaction is a ReadOnlyError', async () => {
      const error = await caught(db.transaction((tx) => add(tx), { readOnly: true }))

      expect(error).toBeInstanceOf(ReadOnlyError)
    })

    test.skipIf(alone)('in a scope it runs on the connection of the scope, elsewhere on one of its own', async () => {
      const here = (): Promise<number> => pid(db)

      await db.scope(
        async () => {
          const outside = await here()
          expect(await db.transaction(here)).toBe(outside)
          expect(await db.transaction(here, { reuse: false })).not.toBe(outside)
        },
        { hold: true },
      )
    })

    test('tx.connection is a handle on the same connection', async () => {
      await db.transaction(async (tx) => {
        const session = await pid(tx)
        expect(await pid(tx.connection)).toBe(session)
        expect(await pid(db.current!)).toBe(session)
      })
    })

    test('gives its connection back whatever its end', async () => {
      await db.transaction(() => db.scalar('select 1'))
      await caught(db.transaction(() => db.scalar('select exp(1000)')))

      expect(db.stats()).toMatchObject({ reserved: 0, serving: 0, waiting: 0 })
    })
  }),
)

test('an isolation level there is not is refused before anything is sent', async () => {
  await using server = await fake()

  const error = await caught(server.db.transaction(() => 1, { isolation: 'chaos' as never }))

  expect(error).toBeInstanceOf(UsageError)
  expect(error.message).toContain('"read committed"')
  expect(server.sent()).toEqual([])
})

test('a transaction without a function is refused', async () => {
  await using server = await fake()

  expect(await caught(server.db.transaction(undefined as never))).toBeInstanceOf(UsageError)
})

test('BEGIN travels in one Sync with the first statement, and COMMIT goes alone', async () => {
  await using server = await fake()

  await server.db.transaction(async (tx) => {
    await tx.status('insert into t values (1)')
    await tx.status('insert into t values (2)')
  })

  expect(server.sent()).toEqual(['BEGIN; insert into t values (1)', 'insert into t values (2)', 'COMMIT'])
})

test('without a statement there is no BEGIN', async () => {
  await using server = await fake()

  await server.db.transaction(() => 'nothing')
  await caught(
    server.db.transaction(() => {
      throw new TypeError('nothing either')
    }),
  )

  expect(server.sent()).toEqual([])
})

test('the options of a transaction are in its BEGIN', async () => {
  await using server = await fake()

  await server.db.transaction((tx) => tx.scalar('select 1'), {
    isolation: 'serializable',
    readOnly: true,
    deferrable: true,
  })

  expect(server.sent()[0]).toBe('BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE; select 1')
})

test('borrows its connection at entry', async () => {
  await using server = await fake()

  await server.db.transaction(() => {
    expect(server.db.stats().reserved).toBe(1)
  })

  expect(server.db.stats().reserved).toBe(0)
})

test('a clean transaction costs no reset', async () => {
  await using server = await fake()

  await server.db.transaction((tx) => tx.status('insert into t values (1)'))

  expect(server.sent().some((line) => line.includes('reset'))).toBe(false)
})

test('statements of transactions never pass the BEGIN they need, however many are issued together', async () => {
  await using server = await fake({ maxInFlight: 8 })
  const given = `insert into t values (${server.words.placeholder(1)})`

  await server.db.transaction((tx) => Promise.all([1, 2, 3].map((n) => tx.status(given, [n]))))

  expect(server.sent()).toEqual([`BEGIN; ${given}`, given, given, 'COMMIT'])
  expect(server.driver.rows('t').length).toBe(3)
})

test.each(['BEGIN', 'commit', 'ROLLBACK', 'savepoint a', 'release a', 'set transaction read only', 'select 1; commit'])(
  'the text %s is refused on a transaction, which goes on',
  async (text) => {
    await using server = await fake()

    await server.db.transaction(async (tx) => {
      await tx.status('insert into t values (1)')
      for (const run of [tx, tx.connection, server.db])
        expect(await caught(run.status(text))).toBeInstanceOf(TransactionStateError)
    })

    expect(server.sent()).toEqual(['BEGIN; insert into t values (1)', 'COMMIT'])
  },
)

test('a transaction begun by text on the connection is not begun again by the engine', async () => {
  await using server = await fake()
  await using connection = await server.db.acquire()
  await connection.status('begin')

  expect(await caught(connection.transaction(() => 1))).toBeInstanceOf(TransactionStateError)
  expect(await caught(connection.begin())).toBeInstanceOf(TransactionStateError)

  await connection.status('rollback')
  await connection.transaction((tx) => tx.status('insert into t values (1)'))
  expect(server.driver.rows('t').length).toBe(1)
})

test('tx.run makes the transaction ambient again where its frame was lost', async () => {
  await using server = await fake()
  const { db } = server

  await db.transaction(async (tx) => {
    await db.detached(async () => {
      await tx.run(() => db.status('insert into t values (1)'))
    })
  })

  expect(server.sent()).toEqual(['BEGIN; insert into t values (1)', 'COMMIT'])
})

test('a transaction prints its state and where it began', async () => {
  await using server = await fake()

  await server.db.transaction(async (tx) => {
    expect(String(tx)).toMatch(
      /^Transaction \{ open, outermost, begun at test\/behaviour\/transactions\.test\.ts:\d+:\d+/,
    )
    await tx.transaction((inner) => expect(String(inner)).toContain('open, genever_1'))
  })
})
