/** Cursors that are made in one transaction and pulled while another is open inside of it. */

import { type Cursor, type Db, ReleasedConnectionError, TransactionEndedError, TransactionStateError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake, sound } from '../support/fake.ts'
import { gate } from '../support/gate.ts'

const rows = (db: Db): Cursor<{ n: number }> => db.iterate('select generate_series(1, 5) as n', [], { batchSize: 2 })

test('the body of a loop may open nested transactions, kept or rolled back', async () => {
  await using server = await fake()
  const { db } = server

  await db.transaction(async () => {
    for await (const { n } of rows(db))
      await db
        .transaction(async () => {
          await db.status('insert into t values (:n)', { n })
          if (n % 2 === 0) throw new TypeError('even')
        })
        .catch(() => {})
  })

  expect(server.driver.rows('t').map(({ v }) => v)).toEqual([1, 3, 5])
  await sound(server)
})

test('a pull of another branch waits for a nested transaction, and the cursor lives in the outer one', async () => {
  await using server = await fake()
  const { db } = server
  const [entered, held] = [gate(), gate()]

  await db.transaction(async () => {
    const cursor = rows(db)
    const nested = db
      .transaction(async () => {
        await db.scalar('select 1')
        entered.open()
        await held.promise
        throw new TypeError('nested')
      })
      .catch(() => {})
    await entered.promise
    const first = cursor.read()
    held.open()
    await nested
    expect(await first).toEqual({ n: 1 })
    await db.status('insert into t values (1)')
    expect(await cursor.read(9)).toHaveLength(4)
  })

  expect(server.driver.rows('t')).toEqual([{ v: 1 }])
  await sound(server)
})

test('a cursor of the outer transaction is pulled inside of a nested one, as any statement of the outer handle', async () => {
  await using server = await fake()
  const { db } = server

  await db.transaction(async () => {
    const early = db.iterate('select generate_series(1, 9) as n', [], { batchSize: 1 })
    const late = db.iterate('select generate_series(1, 9) as n', [], { batchSize: 1 })
    expect(await early.read()).toEqual({ n: 1 })
    await db.transaction(async () => {
      await db.scalar('select 1')
      expect([await early.read(), await late.read()]).toEqual([{ n: 2 }, { n: 1 }])
    })
    expect([await early.read(), await late.read()]).toEqual([{ n: 3 }, { n: 2 }])
    await Promise.all([early.close(), late.close()])
    await db.status('insert into t values (1)')
  })

  expect(server.driver.rows('t')).toEqual([{ v: 1 }])
  await sound(server)
})

test('one opened in a savepoint that is rolled back is gone with that, whoever made it', async () => {
  await using server = await fake()
  const { db } = server

  await db.transaction(async () => {
    const cursor = db.iterate('select generate_series(1, 9) as n', [], { batchSize: 1 })
    await db.transaction(async (nested) => {
      await cursor.read()
      nested.raiseRollback()
    })
    expect(cursor.open).toBe(false)
    expect(await caught(cursor.read())).toBeInstanceOf(TransactionEndedError)
  })
  await sound(server)
})

test('one made in a scope and first pulled in a transaction of it runs there, and ends with it', async () => {
  await using server = await fake()
  const { db } = server

  await db.scope(async () => {
    const cursor = db.iterate('select generate_series(1, 9) as n', [], { batchSize: 1 })
    await db.transaction(async () => {
      expect(await cursor.read()).toEqual({ n: 1 })
      await db.status('insert into t values (1)')
      await cursor.close()
    })
    const left = db.iterate('select generate_series(1, 9) as n', [], { batchSize: 1 })
    const error = await caught(db.transaction(() => left.read()))
    expect(error.message).toMatch(/the cursor opened at .* was still open/)
    expect(await caught(left.read())).toBeInstanceOf(TransactionEndedError)
  })
  await sound(server)
})

test('one made in a scope that has ended throws, read before or not', async () => {
  await using server = await fake()
  const { db } = server

  const made = await db.scope(() => ({ cursor: db.iterate('select 1') }))
  expect(await caught(made.cursor.read())).toBeInstanceOf(ReleasedConnectionError)
  const opened = await db.scope(async () => {
    const cursor = db.iterate('select generate_series(1, 9) as n', [], { batchSize: 1 })
    await cursor.read()
    return { cursor }
  })
  expect(await caught(opened.cursor.read())).toBeInstanceOf(TransactionStateError)
  await sound(server)
})

test.each([1, 2, 100])(
  'in a scope a loop owns the connection until it has ended, with batches of %i',
  async (batchSize) => {
    await using server = await fake()
    const { db } = server

    await db.scope(async () => {
      for await (const _ of db.iterate('select generate_series(1, 3) as n', [], { batchSize })) {
        const error = await caught(db.scalar('select 1'))
        expect(error.message).toMatch(/^The cursor opened at .*iterate-nesting\.test\.ts/)
      }
      expect(await db.scalar('select 7')).toBe(7)
    })
    await sound(server)
  },
)

test('in a scope two cursors outside of a transaction are one after the other', async () => {
  await using server = await fake()
  const { db } = server

  await db.scope(async () => {
    for await (const { n } of rows(db)) if (n === 3) break
    for await (const { n } of rows(db)) if (n === 3) break
    expect(await db.scalar('select 7')).toBe(7)
  })

  expect(server.driver.sessions).toHaveLength(1)
  await sound(server)
})

test.each(['timeoutMs', 'signal'] as const)('%s covers the wait for a connection of its own', async (option) => {
  await using server = await fake({}, { pool: { max: 1 } })
  const { db } = server
  const holder = await db.acquire()
  const options = option === 'signal' ? { signal: AbortSignal.timeout(30) } : { timeoutMs: 30 }

  const error = await caught(db.iterate('select generate_series(1, 5) as n', [], options).read())

  expect(error.code).toBe(option === 'signal' ? 'GENEVER_ABORTED' : 'GENEVER_ACQUIRE_TIMEOUT')
  expect(error.outcome).toBe('not_started')
  await holder.release()
  await sound(server)
})
