/** Rows of a cursor wait as the server sent them, and become objects when somebody asks for them. */

import { AbortedError, createDb, type Cursor, type Db, type EngineOptions, TransactionStateError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl } from '../support/database.ts'
import { functionsKnown } from '../support/functions.ts'
import { doing } from '../support/matrix.ts'

interface N {
  readonly n: number
}

const counted = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1)
const free = '0 lent, 1 idle, 0 waiting'

describe.each(['pg', 'socket'] as const)('over %s', (driver) => {
  async function opened(options: EngineOptions = {}): Promise<Db> {
    const db = await createDb(await databaseUrl(), { ...options, driver, pool: { max: 1 } }).open()
    await functionsKnown(db)
    return db
  }

  const wide = `repeat('x', 300) as wide`
  const upTo = (last: number): string => `select n, ${wide} from generate_series(1, ${last}) as n`
  /** A value of the row `n` cannot be read as a number. */
  const unreadable = (n: number, last: number): string =>
    `select n, ${wide}, case when n = ${n} then 9223372036854775807 else n end as big from generate_series(1, ${last}) as n`

  /** Every number that was read, by the reader of its type. */
  const noted = (read: number[], also: (n: number) => void = () => {}): EngineOptions => ({
    types: {
      int4: (text) => {
        read.push(Number(text))
        also(Number(text))
        return Number(text)
      },
    },
  })

  test.each(['outside of a transaction', 'in a transaction'])(
    'a loop over rows reads few of a part before they are asked for, and all in the end, %s',
    async (place) => {
      const read: number[] = []
      await using db = await opened(noted(read))
      const loop = async (): Promise<void> => {
        const seen: number[] = []
        let most = 0
        for await (const { n } of db.iterate<N>(upTo(3_000), [], { batchSize: 1_000 })) {
          seen.push(n)
          most = Math.max(most, read.length - seen.length)
        }
        expect(most).toBeLessThan(100)
        expect([seen, read]).toEqual([counted(3_000), counted(3_000)])
      }
      await (place === 'in a transaction' ? db.transaction(loop) : loop())
      read.length = 0
      await using batches = db.iterate<N>(upTo(3_000), [], { batchSize: 1_000 }).batches()
      await batches.next()
      expect(read).toEqual(counted(1_000))
    },
  )

  test('read() reads what it gives, also of a part that has come whole', async () => {
    const read: number[] = []
    await using db = await opened(noted(read))
    await using cursor = db.iterate<N>(upTo(3_000), [], { batchSize: 1_000 })
    expect((await cursor.read(10)).map(({ n }) => n)).toEqual(counted(10))
    expect(read).toEqual(counted(10))
    expect((await cursor.read(1_500)).map(({ n }) => n)).toEqual(counted(1_510).slice(10))
    expect(read).toEqual(counted(1_510))
  })

  test('a value that cannot be read fails the loop behind the rows before it, also in the first part', async () => {
    await using db = await opened()
    for (const at of [1, 2, 500, 1_000, 1_001, 2_999]) {
      const seen: number[] = []
      const loop = async (): Promise<void> => {
        for await (const { n } of db.iterate<N>(unreadable(at, 3_000), [], { batchSize: 1_000 })) seen.push(n)
      }
      expect([(await caught(loop())).message, seen]).toEqual([
        expect.stringContaining('8-byte integer'),
        counted(at - 1),
      ])
      expect(doing(db)).toBe(free)
    }
  })

  test('in a transaction such a value is its end, and nothing for those who have left before it', async () => {
    await using db = await opened()
    const text = unreadable(500, 1_000)
    await db.transaction(async () => {
      const seen: number[] = []
      for await (const { n } of db.iterate<N>(text, [], { batchSize: 1_000 })) if (seen.push(n) === 499) break
      expect([seen, await db.scalar('select 1')]).toEqual([counted(499), 1])
    })
    const seen: number[] = []
    const work = db.transaction(async () => {
      await caught(
        (async () => {
          for await (const { n } of db.iterate<N>(text, [], { batchSize: 1_000 })) seen.push(n)
        })(),
      )
      await db.scalar('select 1')
    })
    expect([(await caught(work)).code, seen]).toEqual(['GENEVER_TRANSACTION_ABORTED', counted(499)])
    expect([await db.scalar('select 1'), doing(db)]).toEqual([1, free])
  })

  test('a list in which a value cannot be read has the rows before it, and the error comes behind them', async () => {
    await using db = await opened()
    const seen: number[] = []
    const loop = async (): Promise<void> => {
      for await (const rows of db.iterate<N>(unreadable(2_500, 4_000), [], { batchSize: 1_000 }).batches())
        seen.push(...rows.map(({ n }) => n))
    }
    expect([(await caught(loop())).message, seen]).toEqual([expect.stringContaining('8-byte integer'), counted(2_499)])
    expect([await db.scalar('select 1'), doing(db)]).toEqual([1, free])
  })

  test('the body of a loop in a transaction runs statements between rows that have come', async () => {
    await using db = await opened()
    await db.transaction(async () => {
      const seen: number[] = []
      for await (const { n } of db.iterate<N>(upTo(250), [], { batchSize: 100 }))
        seen.push((await db.scalar<number>('select $1::int', [n])) as number)
      expect(seen).toEqual(counted(250))
    })
  })

  test('calls that are made at once are answered in their order, whoever asks for rows that are here', async () => {
    await using db = await opened()
    await using cursor = db.iterate<N>(upTo(2_000), [], { batchSize: 1_000 })
    const rows = cursor[Symbol.asyncIterator]()
    const numbers = (given: unknown): number[] => [given].flat(2).map((row) => (row as N).n)
    expect(numbers((await rows.next()).value)).toEqual([1])
    const all = [1, 2, 3].map(() => rows.next().then(({ value }) => numbers(value)))
    expect(await Promise.all(all)).toEqual([[2], [3], [4]])
    const seen = new Set(counted(4))
    const asked = [cursor.read(30), rows.next(), cursor.read(1), rows.next()] as const
    for (const answer of await Promise.all(asked))
      for (const n of numbers('value' in answer ? answer.value : answer)) {
        expect(seen.has(n)).toBe(false)
        seen.add(n)
      }
    expect(await cursor.skip(5)).toBe(5)
    for await (const { n } of rows) seen.add(n)
    expect(seen.size).toBe(1_995)
  })

  test('who reads a value may ask for the next row: each comes once, in order', async () => {
    const read: number[] = []
    const more: Promise<IteratorResult<N>>[] = []
    let rows: AsyncIterator<N> | null = null
    await using db = await opened(
      noted(read, (n) => {
        if (rows !== null && n % 50 === 0) more.push(rows.next())
      }),
    )
    rows = db.iterate<N>(upTo(400), [], { batchSize: 200 })[Symbol.asyncIterator]()
    const seen: number[] = []
    for (let next = await rows.next(); next.done !== true; next = await rows.next()) seen.push(next.value.n)
    for (const next of await Promise.all(more)) if (next.done !== true) seen.push(next.value.n)
    expect(seen.toSorted((a, b) => a - b)).toEqual(counted(400))
    expect(read).toEqual(counted(400))
  })

  const endings: Readonly<Record<string, (cursor: Cursor<N>, stop: AbortController) => Promise<unknown>>> = {
    close: (cursor) => cursor.close(),
    abort: (_cursor, stop) => Promise.resolve(stop.abort()),
  }

  test.each(Object.entries(endings))('rows that have come are gone after: %s', async (name, end) => {
    await using db = await opened()
    const stop = new AbortController()
    const cursor = db.iterate<N>(upTo(3_000), [], { batchSize: 1_000, signal: stop.signal })
    const seen: number[] = []
    const loop = async (): Promise<void> => {
      for await (const { n } of cursor) if (seen.push(n) === 1_100) await end(cursor, stop)
    }
    const error = await caught(loop())
    expect(error).toBeInstanceOf(name === 'abort' ? AbortedError : TransactionStateError)
    expect(seen).toEqual(counted(seen.length))
    expect(seen.length).toBeLessThan(1_200)
    expect([await db.scalar('select 1'), doing(db)]).toEqual([1, free])
  })

  test('the rows of many loops at once are each their own, in whatever order they are read', async () => {
    await using db = await createDb(await databaseUrl(), { driver, pool: { max: 4 } }).open()
    await functionsKnown(db)
    const loops = [0, 1, 2, 3].map(async (which) => {
      const seen: string[] = []
      const text = `select n, repeat(n || 'of${which} ', 60) as text from generate_series(1, 2000) as n`
      for await (const { n, text: of } of db.iterate<N & { readonly text: string }>(text, [], { batchSize: 400 })) {
        if (n % (which * 7 + 3) === 0) await Promise.resolve()
        seen.push(of)
      }
      expect(seen).toEqual(counted(2_000).map((n) => `${n}of${which} `.repeat(60)))
    })
    await Promise.all(loops)
  })
})
