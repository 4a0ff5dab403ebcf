/** `iterate()`: rows as they come, by a cursor on the server that borrows late and is always closed. */

import {
  type Cursor,
  type Db,
  ParameterError,
  QueryError,
  sql,
  SqlSyntaxError,
  TransactionStateError,
  UsageError,
} from 'genever'
import { expect, test } from 'vitest'
import { caught, thrownBy } from '../support/caught.ts'
import { doing, forEachDriver } from '../support/matrix.ts'

interface N {
  readonly n: number
}
const nobody = '0 lent, 1 idle, 0 waiting'
const here = /iterate\.test\.ts:\d+/

async function numbers(rows: AsyncIterable<N>): Promise<number[]> {
  const all: number[] = []
  for await (const { n } of rows) all.push(n)
  return all
}

forEachDriver((driver) => {
  const upTo = (last: number): string => driver.words.series(last)

  test('nothing is borrowed before the first pull, and all is given back after the last row', async () => {
    const db = await driver.single()
    await db.scope(async (connection) => {
      const cursor = db.iterate<N>(upTo(3), [], { batchSize: 2 })
      expect([connection.borrowed, cursor.open]).toEqual([false, false])

      expect(await cursor.read()).toEqual({ n: 1 })
      expect([connection.borrowed, cursor.open]).toEqual([true, true])
      await cursor.close()
    })

    const outside = db.iterate<N>(upTo(3), [], { batchSize: 2 })
    expect(await outside.read(2)).toEqual([{ n: 1 }, { n: 2 }])
    expect(doing(db)).toBe('1 lent, 0 idle, 0 waiting')
    expect(await outside.read(2)).toEqual([{ n: 3 }])
    expect([outside.open, doing(db)]).toEqual([false, nobody])
  })

  test('5,000 rows arrive in order, whatever the size of a batch', async () => {
    const db = await driver.single()
    const expected = Array.from({ length: 5000 }, (_, index) => index + 1)
    const batches = [1000, undefined, 4999, 5000, 5001]

    const seen: number[][] = []
    for (const batchSize of batches) seen.push(await numbers(db.iterate<N>(upTo(5000), [], { batchSize })))

    expect(seen).toEqual(batches.map(() => expected))
  })

  test('parameters by number and by name, templates with their methods, and WITH are streamed', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    await db.status(`insert into ${table} values (1), (2), (3), (4), (5)`)
    const [from, to] = [1, 2].map((index) => driver.words.placeholder(index))
    const text = (a = ':a', b = ':b'): string => `select n from ${table} where n >= ${a} and n <= ${b} order by n`

    expect(await numbers(db.iterate<N>(text(from, to), [2, 4]))).toEqual([2, 3, 4])
    expect(await numbers(db.iterate<N>(text(), { a: 2, b: 4 }))).toEqual([2, 3, 4])
    const query = db.sql<N>`select n from ${sql.identifier(table)} where n >= ${1} and n <= ${3} order by n`
    expect(await numbers(query.iterate())).toEqual([1, 2, 3])
    expect(await numbers(db.iterate(query, { batchSize: 1 }))).toEqual([1, 2, 3])
    expect(await numbers(db.iterate<N>(`with w as (${upTo(2)}) select n from w`))).toEqual([1, 2])
  })

  test('read() at the end is undefined, read(n) and skip(n) say how much there was', async () => {
    const db = await driver.single()
    await db.transaction(async () => {
      const cursor = db.iterate<N>(upTo(10), [], { batchSize: 3 })
      expect([await cursor.read(), await cursor.read(4), await cursor.skip(2)]).toEqual([
        { n: 1 },
        [{ n: 2 }, { n: 3 }, { n: 4 }, { n: 5 }],
        2,
      ])
      expect([await cursor.read(50), await cursor.read(), await cursor.read(5)]).toEqual([
        [{ n: 8 }, { n: 9 }, { n: 10 }],
        undefined,
        [],
      ])
      expect(cursor.open).toBe(false)
    })

    await using first = db.iterate<N>(upTo(5), [], { batchSize: 2 })
    expect([await first.skip(3), await first.read(), await first.skip(9), await first.read()]).toEqual([
      3,
      { n: 4 },
      1,
      undefined,
    ])
  })

  test('pulls that are issued together take their turns', async () => {
    const db = await driver.single()
    const cursor = db.iterate<N>(upTo(6), [], { batchSize: 1 })

    expect(await Promise.all([cursor.read(), cursor.read(2), cursor.skip(1), cursor.read(), cursor.close()])).toEqual([
      { n: 1 },
      [{ n: 2 }, { n: 3 }],
      1,
      { n: 5 },
      undefined,
    ])
    expect(doing(db)).toBe(nobody)
  })

  // MySQL sends rows as they come, and nothing else until they end.
  test.skipIf(driver.name === 'mysql')(
    'in a transaction the body of the loop runs statements on the same connection, and two cursors alternate',
    async () => {
      const db = await driver.single()
      const table = await driver.table('n int')
      await db.transaction(async () => {
        for await (const { n } of db.iterate<N>(upTo(5), [], { batchSize: 2 }))
          await db.status(`insert into ${table} values (:n)`, { n })
        const [a, b] = [1, 2].map(() => db.iterate<N>(`${upTo(4)} order by n`, [], { batchSize: 1 })) as [
          Cursor<N>,
          Cursor<N>,
        ]
        expect([await a.read(), await b.read(), await a.read()]).toEqual([{ n: 1 }, { n: 1 }, { n: 2 }])
        await Promise.all([a.close(), b.close()])
      })

      expect(await db.scalar(`select sum(n) from ${table}`)).toBe(15)
    },
  )

  test('outside of a transaction other statements on its connection are refused, naming the cursor', async () => {
    const db = await driver.single()
    await using connection = await db.acquire()
    const cursor = connection.iterate<N>(upTo(3), [], { batchSize: 1 })
    await cursor.read()
    const refused = [
      await caught(connection.scalar('select 1')),
      await caught(connection.transaction(() => 1)),
      await caught(connection.begin()),
      await caught(connection.iterate('select 1').read()),
      await connection.run(() => caught(db.scalar('select 1'))),
    ]

    for (const error of refused)
      expect([error.code, error.message]).toEqual(['GENEVER_TRANSACTION_STATE', expect.stringMatching(here)])
    expect(await cursor.read()).toEqual({ n: 2 })
    await cursor.close()
    expect(await connection.scalar('select 1')).toBe(1)
  })

  const endings: Readonly<Record<string, (cursor: Cursor<N>) => Promise<unknown>>> = {
    end: (cursor) => numbers(cursor),
    break: async (cursor) => {
      for await (const _ of cursor) break
    },
    return: (cursor) =>
      (async () => {
        for await (const { n } of cursor) return n
        return 0
      })(),
    throw: async (cursor) => {
      const loop = async (): Promise<void> => {
        for await (const _ of cursor) throw new TypeError('mine')
      }
      expect(await caught(loop())).toBeInstanceOf(TypeError)
    },
    'close()': async (cursor) => {
      await cursor.read()
      await Promise.all([cursor.close(), cursor.close()])
    },
    disposal: async (cursor) => {
      await using _ = cursor
      await cursor.read()
    },
    'disposal before the first pull': async (cursor) => {
      await using _ = cursor
    },
  }

  test.each(Object.entries(endings))('it is closed and the connection free after: %s', async (name, end) => {
    const db = await driver.single()
    const { cursors } = driver.words
    const plain = db.iterate<N>(upTo(9), [], { batchSize: 2 })
    await end(plain)
    expect([plain.open, doing(db)]).toEqual([false, nobody])

    await db.scope(async () => {
      await end(db.iterate<N>(upTo(9), [], { batchSize: 2 }))
      expect(cursors === null ? 0 : await db.scalar(cursors)).toBe(0)
    })
    await db.transaction(async () => {
      await end(db.iterate<N>(upTo(9), [], { batchSize: 2 }))
      expect(cursors === null ? 0 : await db.scalar(cursors)).toBe(0)
    })

    if (name === 'end') expect(await plain.read()).toBeUndefined()
    else
      expect((await caught(plain.read())).message).toMatch(
        /^The cursor opened at .*iterate\.test\.ts:\d+.* has been closed/,
      )
    expect(doing(db)).toBe(nobody)
  })

  test('the end of a scope closes what is still open', async () => {
    const db = await driver.single()
    const cursor = await db.scope(async () => {
      const open = db.iterate<N>(upTo(9), [], { batchSize: 1 })
      await open.read()
      return open
    })

    expect(await db.scalar('select 1')).toBe(1)
    expect([cursor.open, doing(db)]).toEqual([false, nobody])
    expect(await caught(cursor.read())).toBeInstanceOf(TransactionStateError)
  })

  test('the frame is that in which it was made, not that of who pulls', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    await db.transaction(async () => {
      await db.status(`insert into ${table} values (7)`)
      const cursor = db.iterate<N>(`select n from ${table}`)
      expect(await db.detached(() => numbers(cursor))).toEqual([7])
    })

    const outside = db.iterate<N>(`select n from ${table}`)
    await db.scope(async (connection) => {
      expect(await outside.read()).toEqual({ n: 7 })
      expect(connection.borrowed).toBe(false)
    })
  })

  const refusals: readonly (readonly [string, (db: Db) => Cursor<unknown>, new (message: string) => Error])[] = [
    ['an unknown table', (db) => db.iterate('select * from nowhere'), SqlSyntaxError],
    ['no SQL', (db) => db.iterate('select from from'), SqlSyntaxError],
    [
      'a row that fails',
      (db) => db.iterate(`select exp(n * 300) from (${upTo(5)}) r`, [], { batchSize: 1 }),
      QueryError,
    ],
    ['a value that fails', (db) => db.iterate('select exp(1 * :n)', { n: 1000 }), QueryError],
    ['a missing parameter', (db) => db.iterate(driver.words.integer), ParameterError],
    ['an INSERT', (db) => db.iterate('insert into t values (1) returning n'), UsageError],
    ['an UPDATE', (db) => db.iterate('update t set n = 1'), UsageError],
    ['several statements', (db) => db.iterate('select 1; select 2'), UsageError],
    ['no statement', (db) => db.iterate(''), UsageError],
  ]

  test.each(refusals)(
    'what is refused rejects with just that error, and nothing stays lent: %s',
    async (_, make, kind) => {
      const db = await driver.single()
      expect(await caught(numbers(make(db) as Cursor<N>))).toBeInstanceOf(kind)
      expect(doing(db)).toMatch(/^0 lent/)

      const error = await caught(db.transaction(() => numbers(make(db) as Cursor<N>)))
      expect(error).toBeInstanceOf(kind)
      await db.scope(async () => {
        const failed = make(db) as Cursor<N>
        expect(await caught(numbers(failed))).toBeInstanceOf(kind)
        expect([failed.open, await db.scalar('select 1')]).toEqual([false, 1])
      })
    },
  )

  test('a batch size that is none is refused at once', async () => {
    const db = await driver.single()

    for (const batchSize of [0, -1, 1.5, NaN, Infinity, '5' as unknown as number])
      expect(thrownBy(() => db.iterate('select 1', [], { batchSize }))).toBeInstanceOf(UsageError)
  })
})
