/** The sandbox: what runs in it is seen inside, behaves as it would outside, and is gone afterwards. */

import {
  createDb,
  type Db,
  type QueryError,
  ReadOnlyError,
  TransactionAbortedError,
  TransactionStateError,
  UniqueViolationError,
  UnsafeIntegerError,
} from 'genever'
import { sandboxed } from 'genever/testing'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { postgres } from '../support/matrix.ts'
import { until } from '../support/until.ts'

let database: FreshDatabase
let db: Db

beforeAll(async () => {
  database = await freshDatabase(`
    create table users (id int primary key);
    create procedure add_user(n int) language sql as 'insert into users values (n)';
  `)
  db = createDb(database.url, { pool: { max: 4 } })
})

afterAll(async () => {
  await db.close()
  await database.drop()
})

afterEach(async () => {
  expect(await committed(), 'left behind in the database').toEqual([])
  expect(db.stats()).toMatchObject({ reserved: 0, waiting: 0 })
  // The engine may be reading the catalogue, which it does beside everything else.
  await until(() => db.stats().serving === 0)
})

const idsOf = (rows: Record<string, unknown>[]): unknown[] => rows.map(({ id }) => id)

/** What everybody else sees. */
const committed = async (): Promise<unknown[]> => idsOf(await database.query('select id from users order by id'))

/** What is seen inside. */
const ids = async (): Promise<unknown[]> => idsOf(await db.all('select id from users order by id'))

const insert = (id: number): Promise<unknown> => db.status('insert into users values (:id)', { id })

describe('what is done in the callback', () => {
  test('is seen inside, by nobody else, and is gone afterwards', async () => {
    const result = await sandboxed(db, async () => {
      await insert(1)
      expect(await ids()).toEqual([1])
      expect(await committed()).toEqual([])
      return 'done'
    })

    expect(result).toBe('done')
    expect(await ids()).toEqual([])
  })

  test('is gone when the callback throws, and the error is that very one', async () => {
    const reason = new TypeError('no')

    const error = await caught(
      sandboxed(db, async () => {
        await insert(1)
        throw reason
      }),
    )

    expect(error).toBe(reason)
    expect(await ids()).toEqual([])
  })

  test('goes on after a statement that failed by itself', async () => {
    await sandboxed(db, async () => {
      await insert(1)
      expect(await caught(insert(1))).toBeInstanceOf(UniqueViolationError)
      expect(await caught(db.all('select nothing'))).toMatchObject({ sqlState: '42703' })
      await insert(2)
      expect(await ids()).toEqual([1, 2])
    })
  })

  test('goes on after an answer that could not be read, and keeps what was written', async () => {
    await sandboxed(db, async () => {
      const error = await caught(db.all('insert into users values (1) returning 9007199254740993'))

      expect(error).toBeInstanceOf(UnsafeIntegerError)
      expect(error).toMatchObject({ outcome: 'committed' })
      expect(await ids()).toEqual([1])
    })
  })

  test('may be a scope, a connection, statements at the same time, many sets of parameters, several statements in one text', async () => {
    await sandboxed(db, async () => {
      await db.scope(() => insert(1))
      const connection = await db.acquire()
      await connection.status('insert into users values (2)')
      await connection.release()
      await Promise.all([3, 4, 5, 6, 7].map(insert))
      await db.executeMany('insert into users values (:id)', [{ id: 8 }, { id: 9 }])
      const { results } = await db.status('insert into users values (10) returning id; insert into users values (11)')
      expect(results.map((result) => [String(result), result.rows])).toEqual([
        ['INSERT 0 1', [{ id: 10 }]],
        ['INSERT 0 1', []],
      ])
      await db.status('call add_user(12)')
      await caught(db.status('insert into users values (13); insert into users values (1)'))

      expect(await ids()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    })
  })

  test('may be tables: they are gone too, and no plan made for them outlives them', async () => {
    const columns = async (definition: string): Promise<unknown> =>
      sandboxed(db, async () => {
        await db.status(`create table things (${definition})`)
        await db.status('insert into things default values')
        await db.all('select * from things')
        await db.status('alter table things add column later int')
        return db.one('select * from things')
      })

    expect(await columns('a int')).toEqual({ a: null, later: null })
    expect(await columns('a text, b int')).toEqual({ a: null, b: null, later: null })
    expect(await caught(db.all('select * from things'))).toMatchObject({ sqlState: '42P01' })
  })
})

describe('a transaction in the sandbox', () => {
  test('keeps what it commits, and takes back what it rolls back', async () => {
    await sandboxed(db, async () => {
      await db.transaction(() => insert(1))
      const error = await caught(
        db.transaction(async () => {
          await insert(2)
          throw new TypeError('no')
        }),
      )

      expect(error).toBeInstanceOf(TypeError)
      expect(await ids()).toEqual([1])
    })
  })

  test('has nested ones with fates of their own', async () => {
    await sandboxed(db, async () => {
      await db.transaction(async () => {
        await insert(1)
        await caught(db.transaction(async () => void (await insert(2), await insert(1))))
        await db.transaction(() => insert(3))
        await db.transaction(async (tx) => {
          await insert(4)
          tx.raiseRollback()
        })
      })

      expect(await ids()).toEqual([1, 3])
    })
  })

  test('ends early by raiseCommit and raiseRollback', async () => {
    await sandboxed(db, async () => {
      const kept = await db.transaction(async (tx) => {
        await insert(1)
        tx.raiseCommit('kept')
      })
      const lost = await db.transaction(async (tx) => {
        await db.transaction(() => insert(2))
        tx.raiseRollback('lost')
      })

      expect([kept, lost]).toEqual(['kept', 'lost'])
      expect(await ids()).toEqual([1])
    })
  })

  test('is not committed after a failure that was swallowed', async () => {
    await sandboxed(db, async () => {
      const error = await caught(
        db.transaction(async () => {
          await insert(1)
          await caught(insert(1))
          expect((await caught(db.all('select 1'))).cause).toBeInstanceOf(UniqueViolationError)
        }),
      )

      expect(error).toBeInstanceOf(TransactionAbortedError)
      expect(error.cause).toBeInstanceOf(UniqueViolationError)
      expect(await ids()).toEqual([])
    })
  })

  test('runs its hooks, because for the application it has ended', async () => {
    const told: string[] = []

    await sandboxed(db, async () => {
      await db.transaction(async (tx) => {
        await insert(1)
        tx.afterCommit(async () => told.push(`committed ${String(await ids())}`))
      })
      await db.transaction(async (tx) => {
        tx.afterRollback(() => told.push('rolled back'))
        tx.raiseRollback()
      })
    })

    expect(told).toEqual(['committed 1', 'rolled back'])
  })

  test('that reads only refuses to write, and those after it do not', async () => {
    await sandboxed(db, async () => {
      expect(await caught(db.transaction(() => insert(1), { readOnly: true }))).toBeInstanceOf(ReadOnlyError)
      await db.transaction(() => ids(), { readOnly: true, deferrable: true })
      await db.transaction(() => insert(2))

      expect(await ids()).toEqual([2])
    })
  })

  test('has at most the isolation of the sandbox, and says how to give that more', async () => {
    const serializable = (): Promise<unknown> =>
      db.transaction(() => db.scalar("select current_setting('transaction_isolation')"), { isolation: 'serializable' })
    const weaker = (): Promise<unknown> => db.transaction(() => insert(1), { isolation: 'read committed' })

    const error = await caught(sandboxed(db, serializable))

    expect(error).toBeInstanceOf(TransactionStateError)
    expect(error.message).toContain("Open the sandbox with { isolation: 'serializable' }")
    expect(await sandboxed(db, serializable, { isolation: 'serializable' })).toBe('serializable')
    await sandboxed(db, weaker, { isolation: 'repeatable read' })
    await sandboxed(db, weaker)
  })

  test.each(['savepoint x', 'release savepoint x', 'rollback to savepoint x'])(
    'is needed for %s, which is refused outside of one in the words of the server',
    async (text) => {
      const refused = async (): Promise<object> => {
        await using connection = await db.acquire()
        const { message, sqlState } = (await caught(connection.status(text))) as QueryError
        return { message, sqlState }
      }
      const outside = await refused()

      expect(outside).toMatchObject({ sqlState: '25P01' })
      expect(await sandboxed(db, refused)).toEqual(outside)
    },
  )

  test('may be typed as text on a connection of its own', async () => {
    await sandboxed(db, async () => {
      await using connection = await db.acquire()
      const run = async (text: string): Promise<string> => (await connection.status(text)).toString()

      expect(await run('begin')).toBe('BEGIN')
      await run('insert into users values (1)')
      expect(await run('savepoint "A b"')).toBe('SAVEPOINT')
      await caught(run('insert into users values (1)'))
      expect((await caught(run('select 1'))).cause).toBeInstanceOf(UniqueViolationError)
      expect(await run('rollback to "A b"')).toBe('ROLLBACK')
      await run('insert into users values (2)')
      expect(await run('release savepoint "A b"')).toBe('RELEASE')
      expect(await run('commit')).toBe('COMMIT')
      expect(await caught(run('savepoint x'))).toMatchObject({ sqlState: '25P01' })
      await run('start transaction read only')
      expect(await caught(run('insert into users values (3)'))).toMatchObject({ sqlState: '25006' })
      expect(await run('end')).toBe('ROLLBACK')
      expect(await run('rollback')).toBe('ROLLBACK')
      expect(await ids()).toEqual([1, 2])
    })
  })

  test('that a released connection leaves open is rolled back', async () => {
    await sandboxed(db, async () => {
      const connection = await db.acquire()
      await connection.status('begin')
      await connection.status('insert into users values (1)')
      await connection.release()

      expect(await ids()).toEqual([])
    })
  })

  test('is opened by hand as well', async () => {
    await sandboxed(db, async () => {
      const kept = await db.begin()
      await kept.status('insert into users values (1)')
      const inner = await kept.begin()
      await inner.status('insert into users values (2)')
      await inner.rollback()
      await kept.commit()
      const lost = await db.begin()
      await lost.status('insert into users values (3)')
      await lost.rollback()

      expect(await ids()).toEqual([1])
    })
  })
})

describe('rows as they come', () => {
  test('leave the loop free to run statements and transactions, in a transaction and outside', async () => {
    const loop = async (base: number): Promise<void> => {
      for await (const { n } of db.iterate<{ n: number }>('select n from generate_series(1, 5) n', [], {
        batchSize: 2,
      })) {
        if (n === 2) await caught(db.transaction(() => insert(base + 1)))
        else await db.transaction(() => insert(base + n))
        if (n === 4) break
      }
    }

    await sandboxed(db, async () => {
      await loop(0)
      await db.transaction(() => loop(10))

      expect(await ids()).toEqual([1, 3, 4, 11, 13, 14])
      expect(await db.scalar(postgres.words.cursors ?? '')).toBe(0)
    })
  })

  test('that fail leave nothing behind', async () => {
    await sandboxed(db, async () => {
      const rows = db.iterate('select 1 / (3 - n) from generate_series(1, 5) n', [], { batchSize: 2 })

      expect(await rows.read(2)).toHaveLength(2)
      expect(await caught(rows.read(2))).toMatchObject({ sqlState: '22012' })
      await rows.close()
      await insert(1)
      expect(await ids()).toEqual([1])
    })
  })
})

describe('a COPY', () => {
  const copyIn = (text: string): Promise<number> => db.copyFrom('users').from(text)
  const copyOut = async (): Promise<string> => {
    let text = ''
    for await (const bytes of db.copyTo('select id from users order by id')) text += String(bytes)
    return text
  }

  test('goes in and out, in a transaction and outside, and one that fails takes back itself alone', async () => {
    await sandboxed(db, async () => {
      expect(await copyIn('1\n2\n')).toBe(2)
      expect(await caught(copyIn('3\n1\n'))).toBeInstanceOf(UniqueViolationError)
      await db.transaction(async () => {
        expect(await copyIn('4\n')).toBe(1)
        expect(await caught(db.transaction(() => copyIn('5\n1\n')))).toBeInstanceOf(UniqueViolationError)
        await db.transaction(async (tx) => {
          await copyIn('6\n')
          tx.raiseRollback()
        })
        expect(await copyOut()).toBe('1\n2\n4\n')
      })
      expect(await copyOut()).toBe('1\n2\n4\n')
    })
  })
})

describe('what no transaction can do', () => {
  test.each(['vacuum', 'create database never', 'create index concurrently on users (id)', 'discard all'])(
    'is refused with advice: %s',
    async (text) => {
      await sandboxed(db, async () => {
        const error = await caught(db.scope(() => db.status(text)))

        expect(error).toBeInstanceOf(TransactionStateError)
        expect(error.message).toMatch(
          /cannot run inside a transaction.*Run it outside of the sandbox\. .*sandbox\.test\.ts/,
        )
        await insert(1)
      })
    },
  )

  test.each(["prepare transaction 'x'", 'commit and chain', "commit prepared 'x'", 'begin; select 1'])(
    'is refused as text: %s',
    async (text) => {
      await sandboxed(db, async () => {
        await using connection = await db.acquire()
        await connection.status('begin')
        await connection.status('insert into users values (1)')

        expect(await caught(connection.status(text))).toBeInstanceOf(TransactionStateError)
        await connection.status('commit')
        expect(await ids()).toEqual([1])
      })
    },
  )
})
