/** `iterate()` on MySQL: the rows of the statement as they come, held back by the connection. */

import { int, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import {
  createDb,
  type Db,
  QueryError,
  TransactionAbortedError,
  TransactionStateError,
  UnsafeIntegerError,
  UsageError,
} from 'genever'
import { Model } from 'genever/models'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, freshMysql, type FreshMysql, onMysql } from '../support/mysql.ts'
import { until } from '../support/until.ts'

interface N {
  readonly n: number
}

describeMysql('iterate() on MySQL', () => {
  let server: FreshMysql
  let db: Db
  const here = /iterate\.test\.ts:\d+/
  const few = 'select n from t order by n'
  /** A million rows of 1 kB. */
  const endless = "select a.n, repeat('x', 1000) as pad from t a, t b, t c"

  beforeAll(async () => {
    server = await freshMysql(
      'create table t (n int primary key)',
      `insert into t values ${Array.from({ length: 100 }, (_, i) => `(${i + 1})`).join(', ')}`,
      'create table w (n int primary key)',
    )
  })
  beforeEach(async () => {
    await server.query('delete from w')
    db = await createDb(server.url, { pool: { max: 1 }, cancelTimeoutMs: 50_000 }).open()
  })
  afterEach(async () => {
    expect((await db.close({ timeoutMs: 5_000 })).broken).toEqual([])
  })
  afterAll(() => server[Symbol.asyncDispose]())

  test('rows that nobody reads stay with the server, and leaving the loop stops it there', async () => {
    const cursor = db.iterate<N>(endless)
    expect(await cursor.read()).toMatchObject({ n: 1 })
    const sending = async (): Promise<boolean> => {
      const running = await onMysql('select state from information_schema.processlist where db = ? and state <> ?', [
        server.name,
        '',
      ])
      return running.some(({ state }) => /writing to net|sending/i.test(String(state)))
    }
    await until(sending, { what: 'the server waits for a reader' })

    await cursor.close()
    // The server answers first, and takes the state from its list after that.
    await until(async () => !(await sending()), { what: 'the server has stopped' })
    expect(await db.all('select 1 as one')).toEqual([{ one: 1 }])
  })

  test('the stop never reaches the next statement', async () => {
    const session = await db.scalar('select connection_id()')
    for (let turn = 0; turn < 20; turn++) {
      for await (const { n } of db.iterate<N>(endless, [], { batchSize: 1 + turn })) if (n > 0) break
      expect(await db.scalar('select sum(n) + sleep(0.001) from t')).toBe('5050')
    }
    expect(await db.scalar('select connection_id()')).toBe(session)
  })

  test('in a transaction the body may not query: that is refused, naming the cursor, and the loop goes on', async () => {
    const seen: number[] = []
    await db.transaction(async (tx) => {
      await tx.status('insert into w values (1)')
      for await (const { n } of tx.iterate<N>(few, [], { batchSize: 10 })) {
        seen.push(n)
        if (n !== 5) continue
        for (const refused of [
          db.all('select 1'),
          tx.status('insert into w values (2)'),
          tx.transaction(async () => {}),
        ]) {
          const error = await caught(refused)
          expect(error).toBeInstanceOf(TransactionStateError)
          expect(error.message).toMatch(here)
          expect(error.message).toContain('reads its rows as they come')
        }
      }
      await tx.status('insert into w values (3)')
    })
    expect([seen.length, await db.all('select n from w')]).toEqual([100, [{ n: 1 }, { n: 3 }]])
  })

  test('leaving the loop early keeps the transaction, which commits', async () => {
    await db.transaction(async (tx) => {
      await tx.status('insert into w values (1)')
      for await (const { n } of tx.iterate<N>(endless)) if (n > 0) break
      await tx.transaction(async (inner) => {
        for await (const { n } of inner.iterate<N>(endless)) if (n > 0) break
        await inner.status('insert into w values (2)')
      })
    })
    expect(await db.all('select n from w')).toEqual([{ n: 1 }, { n: 2 }])
  })

  test('a transaction that throws, and a savepoint, take it with them', async () => {
    const boom = new Error('boom')
    const outer = db.transaction(async (tx) => {
      const inner = tx.transaction(async (savepoint) => {
        await savepoint.status('insert into w values (1)')
        await savepoint.iterate<N>(endless).read()
        throw boom
      })
      expect(await caught(inner)).toBe(boom)
      await tx.status('insert into w values (2)')
    })
    await outer
    expect(await db.all('select n from w')).toEqual([{ n: 2 }])
  })

  const unreadable = 'select n, if(n = 35, 9007199254740993, n) as big from t order by n'

  test.each([
    ['a row that cannot be read', unreadable, UnsafeIntegerError],
    [
      'an error of the server',
      'select n, if(n = 35, (select w.n from t w where w.n >= t.n), 1) as x from t',
      QueryError,
    ],
  ])('%s comes behind all rows before it, whatever the size of a batch, in a transaction too', async (_, text, why) => {
    for (const batchSize of [1, 10, 100])
      for (const inside of [false, true]) {
        const seen: number[] = []
        const loop = async (): Promise<void> => {
          for await (const { n } of db.iterate<N>(text, [], { batchSize })) seen.push(n)
        }
        expect(await caught(inside ? db.transaction(loop) : loop())).toBeInstanceOf(why)
        expect(seen).toEqual(Array.from({ length: 34 }, (__, i) => i + 1))
      }
    await using cursor = db.iterate<N>(text, [], { batchSize: 10 })
    expect(await cursor.read(20)).toHaveLength(20)
    expect(await caught(cursor.read(20))).toBeInstanceOf(why)
    expect(cursor.open).toBe(false)
  })

  test('rows that stand before one which cannot be read are passed over one by one', async () => {
    const cursor = db.iterate<N>(unreadable, [], { batchSize: 10 })
    expect(await cursor.skip(34)).toBe(34)
    expect(await caught(cursor.read())).toBeInstanceOf(UnsafeIntegerError)
    expect(cursor.open).toBe(false)
  })

  test('a row that cannot be read stops the statement on the server, on the session that goes on', async () => {
    const session = await db.scalar('select connection_id()')
    // A hundred million rows: nobody reads to their end.
    const from = "repeat('x', 1000) as pad from t a, t b, t c, t d"
    class Named extends Model(db, mysqlTable('t', { n: int().primaryKey(), name: varchar({ length: 40 }) })) {}
    for (let turn = 0; turn < 2; turn++) {
      const error = await caught(db.iterate(`select 9007199254740993 as big, ${from}`).read())
      expect(error).toBeInstanceOf(UnsafeIntegerError)
      expect(error).toMatchObject({ outcome: 'rolled_back' })
      const misfit = db.iterate(`select a.n, ${from}`, [], { into: Named })
      expect(await caught(misfit.read())).toBeInstanceOf(UsageError)
    }
    expect(await db.scalar('select connection_id()')).toBe(session)
  })

  test('in a transaction it counts as a failure when it is read, and not if the loop was left before', async () => {
    await db.transaction(async (tx) => {
      for await (const { n } of tx.iterate<N>(unreadable, [], { batchSize: 1 })) if (n === 30) break
      await tx.status('insert into w values (1)')
    })
    const swallowed = db.transaction(async (tx) => {
      await tx.status('insert into w values (2)')
      expect(await caught(tx.iterate<N>(unreadable).read(50))).toBeInstanceOf(UnsafeIntegerError)
    })
    expect(await caught(swallowed)).toBeInstanceOf(TransactionAbortedError)
    expect(await db.all('select n from w')).toEqual([{ n: 1 }])
  })

  test('rows that cannot be streamed are refused', async () => {
    expect((await caught(db.iterate('insert into w values (1)').read())).message).toMatch(
      /^iterate\(\) streams one SELECT/,
    )
  })
})
