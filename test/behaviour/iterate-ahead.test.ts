/** Rows of a cursor come in parts, and the next parts are asked for while one is read: nobody can tell but by the time. */

import { AbortedError, createDb, type Cursor, type Db, QueryError, SerializationError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl, freshDatabase } from '../support/database.ts'
import { hear } from '../support/events.ts'
import { functionsKnown } from '../support/functions.ts'
import { doing } from '../support/matrix.ts'
import { until } from '../support/until.ts'

interface N {
  readonly n: number
}
const upTo = (last: number): string => `select n from generate_series(1, ${last}) as n`
/** The rows up to `last` come at once; behind them the server waits for an hour. */
const stuckBehind = (last: number): string =>
  `select n, pg_sleep(case when n > ${last} then 3600 else 0 end) from generate_series(1, 100) as n`

async function taken(rows: AsyncIterable<N>, most = Infinity): Promise<number[]> {
  const all: number[] = []
  for await (const { n } of rows) {
    all.push(n)
    if (all.length >= most) break
  }
  return all
}

const counted = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1)

describe.each(['pg', 'socket'] as const)('over %s', (driver) => {
  async function opened(url?: string): Promise<Db> {
    const db = await createDb(url ?? (await databaseUrl()), { driver, pool: { max: 1 } }).open()
    await functionsKnown(db)
    return db
  }

  test('all rows come, in order, whatever the size of the parts, and the connection is free behind them', async () => {
    await using db = await opened()
    for (const total of [0, 3, 10])
      for (const batchSize of [1, 3, 100]) {
        const cursor = (): Cursor<N> => db.iterate<N>(upTo(total), [], { batchSize })
        expect(await taken(cursor())).toEqual(counted(total))
        expect(await db.transaction(() => taken(cursor()))).toEqual(counted(total))
        expect(await taken(cursor(), 5)).toEqual(counted(Math.min(total, 5)))
      }
    expect(await taken(db.iterate<N>(upTo(1_000), [], { batchSize: 7 }))).toEqual(counted(1_000))
    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })

  test('the next parts are asked for while one is read, but not before the second, nor in a transaction of others', async () => {
    await using db = await createDb(await databaseUrl(), { driver, name: 'ahead', pool: { max: 1 } }).open()
    await functionsKnown(db)
    using heard = hear('ahead')
    const ended = async (most: number): Promise<number[]> => {
      const parts: number[] = []
      heard.statements.length = 0
      for await (const { n } of db.iterate<N>(upTo(100), [], { batchSize: 10 })) {
        if (n % 10 === 5) parts.push(heard.starts.length)
        if (n === most) break
      }
      return parts
    }
    heard.starts.length = 0
    expect(await ended(5)).toEqual([1])
    heard.starts.length = 0
    expect(await db.transaction(() => ended(25))).toEqual([1, 2, 3])
    const loop = db.iterate<N>(upTo(100), [], { batchSize: 10 })
    heard.statements.length = 0
    await loop.read(10)
    await loop.read()
    await until(() => heard.statements.length >= 10)
    await loop.close()
  })

  test('rows and lists that have come are given in the turn in which they are asked for, also those of the next part', async () => {
    await using db = await createDb(await databaseUrl(), { driver, name: 'here', pool: { max: 1 } }).open()
    await functionsKnown(db)
    using heard = hear('here')
    const loops = {
      rows: (cursor: Cursor<N>): AsyncIterator<unknown> => cursor[Symbol.asyncIterator](),
      lists: (cursor: Cursor<N>): AsyncIterator<unknown> => cursor.batches(),
    }
    for (const [kind, loopOf] of Object.entries(loops)) {
      heard.statements.length = 0
      const loop = loopOf(db.iterate<N>(upTo(400), [], { batchSize: 100 }))
      for (let before = kind === 'rows' ? 200 : 2; before > 0; before--) await loop.next()
      await until(() => heard.statements.length >= 10)
      const given: unknown[] = []
      void loop.next().then(({ value }) => given.push(kind === 'rows' ? value : (value as unknown[])[0]))
      await Promise.resolve()
      expect(given).toEqual([{ n: 201 }])
      await loop.return?.()
    }
    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })

  test('more is asked for at once for those who read on, so that it takes fewer packets', async () => {
    await using db = await createDb(await databaseUrl(), { driver, name: 'on', pool: { max: 1 } }).open()
    await functionsKnown(db)
    using heard = hear('on')
    const loop = db.iterate<N>(upTo(1_000), [], { batchSize: 10 }).batches()
    heard.statements.length = 0
    for (let list = 0; list < 64; list++) await loop.next()
    await until(() => heard.statements.length >= 64 + 16)
    await loop.return()
    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })

  test('a long loop that nothing was run before has the functions of the database read on another connection, and asks ahead', async () => {
    await using db = await createDb(await databaseUrl(), { driver, name: 'fresh', pool: { max: 2 } }).open()
    const { functions } = await db.engineHere()
    using heard = hear('fresh')
    heard.statements.length = 0
    const loop = db.iterate<N>(upTo(200_000), [], { batchSize: 10 }).batches()
    let lists = 0
    const next = async (): Promise<void> => {
      lists++
      await loop.next()
    }
    await next()
    expect(doing(db)).toBe('1 lent, 0 idle, 0 waiting')
    await until(async () => {
      await next()
      return functions.read
    })
    await next()
    await until(() => heard.statements.length >= lists + 4)
    expect(lists).toBeLessThan(20_000)
    await loop.return()
    expect(doing(db)).toBe('0 lent, 2 idle, 0 waiting')
  })

  test('values are those of a plain statement, in types that the engine meets for the first time too', async () => {
    await using database = await freshDatabase(`create type mood as enum ('good', 'bad'); create domain age as int`)
    await using db = await opened(database.url)
    const text = `select n, n::bigint as big, n / 4.0::float8 as float, timestamptz 'epoch' + n * interval '1 day' as at,
      '\\x00ff'::bytea as bytes, array[n, null]::int[] as list, array['good']::mood[] as moods, 'bad'::mood as mood,
      n::age as age, null::int as nothing, n::numeric(9, 2) as price, jsonb_build_object('n', n) as json
      from generate_series(1, $1::int) as n`
    const streamed: unknown[] = []
    for await (const row of db.iterate(text, [9], { batchSize: 2 })) streamed.push(row)
    expect(streamed).toEqual(await db.all(text, [9]))
  })

  test('parameters that need their types, and rows as arrays, come as with other statements', async () => {
    await using db = await opened()
    const rows: unknown[] = []
    const text = 'select x, $2::jsonb as json from unnest($1::int[]) as x'
    for await (const row of db.iterate(text, [[3, 1, 2], { a: [1] }], { batchSize: 1 })) rows.push(row)
    expect(rows).toEqual([3, 1, 2].map((x) => ({ x, json: { a: [1] } })))
  })

  test('an error comes behind the rows of the parts before it, and who has left does not hear of it', async () => {
    await using db = await opened()
    const failing = `select n, 1 / (7 - n) as x from generate_series(1, 20) as n`
    const seen: number[] = []
    const error = await caught(
      (async () => {
        for await (const { n } of db.iterate<N>(failing, [], { batchSize: 2 })) seen.push(n)
      })(),
    )
    expect([error.constructor, seen]).toEqual([QueryError, counted(6)])
    for (const most of [1, 2, 3, 4, 5, 6])
      expect(await taken(db.iterate<N>(failing, [], { batchSize: 2 }), most)).toEqual(counted(most))
    expect(await db.scalar('select 1')).toBe(1)
    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })

  const wide = `repeat('x', 300) as wide`

  test('rows are read while the rest of their part is still to come', async () => {
    await using db = await opened()
    const text = `select n, ${wide}, pg_sleep(case when n > 1900 then 3600 else 0 end) from generate_series(1, 3000) as n`
    expect(await taken(db.iterate<N>(text, [], { batchSize: 1_000 }), 1_500)).toEqual(counted(1_500))
    const cursor = db.iterate<N>(text, [], { batchSize: 1_000 })
    expect(await cursor.read(1_000)).toHaveLength(1_000)
    expect((await cursor.read(300)).map(({ n }) => n)).toEqual(counted(1_300).slice(1_000))
    expect(await cursor.skip(50)).toBe(50)
    expect(await cursor.read()).toMatchObject({ n: 1_351 })
    await cursor.close()
    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })

  test('an error within a part comes behind all rows before it, and who has left does not hear of it', async () => {
    await using db = await opened()
    const failing = `select n, ${wide}, 1 / (2500 - n) as x from generate_series(1, 4000) as n`
    const seen: number[] = []
    const error = await caught(
      (async () => {
        for await (const { n } of db.iterate<N>(failing, [], { batchSize: 1_000 })) seen.push(n)
      })(),
    )
    expect([error.constructor, seen]).toEqual([QueryError, counted(2_499)])
    expect(await taken(db.iterate<N>(failing, [], { batchSize: 1_000 }), 2_499)).toEqual(counted(2_499))
    expect(await db.scalar('select 1')).toBe(1)
    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })

  test('a statement in the loop that is refused for an error behind its rows names it, and the transaction may run again', async () => {
    await using database = await freshDatabase(`create function seen(n int) returns int language plpgsql as $$
        begin if n = 3 then raise exception 'lost' using errcode = '40001'; end if; return n; end $$`)
    await using db = await opened(database.url)
    let attempts = 0
    const refused: unknown[] = []
    const read = async (): Promise<number[]> => {
      const rows: number[] = []
      const what = attempts++ === 0 ? 'n' : '1'
      for await (const { n } of db.iterate<N>(`select seen(${what}) as n from generate_series(1, 4) as n`)) {
        rows.push(n)
        await db.scalar('select 1').catch((error: unknown) => {
          refused.push(error)
          throw error
        })
      }
      return rows
    }

    expect(await db.transaction(read, { retry: { limit: 1, intervalMs: 1 } })).toEqual([1, 1, 1, 1])
    expect(refused).toEqual([
      expect.objectContaining({ code: 'GENEVER_TRANSACTION_ABORTED', retryable: true, outcome: 'rolled_back' }),
    ])
    expect((refused[0] as Error).cause).toBeInstanceOf(SerializationError)
  })

  test('a value that cannot be read fails the loop behind all rows before it', async () => {
    await using db = await opened()
    const text = `select n, ${wide}, case when n = 2500 then 9223372036854775807 else n end as big from generate_series(1, 4000) as n`
    const seen: number[] = []
    const loop = async (): Promise<void> => {
      for await (const { n } of db.iterate<N>(text, [], { batchSize: 1_000 })) seen.push(n)
    }
    expect([(await caught(loop())).message, seen]).toEqual([expect.stringContaining('8-byte integer'), counted(2_499)])
    expect(await db.scalar('select 1')).toBe(1)
  })

  test('events count all rows of a part that was read before its end', async () => {
    await using db = await createDb(await databaseUrl(), { driver, name: 'pieces', pool: { max: 1 } }).open()
    await functionsKnown(db)
    using heard = hear('pieces')
    const text = `select n, ${wide} from generate_series(1, 4000) as n`
    expect(await taken(db.iterate<N>(text, [], { batchSize: 1_000 }))).toEqual(counted(4_000))
    const parts = heard.statements.filter(({ rowCount }) => rowCount > 0)
    expect(parts.map(({ rowCount, returnedRows }) => [rowCount, returnedRows])).toEqual([
      [1_000, 1_000],
      [1_000, 1_000],
      [2_000, 2_000],
    ])
  })

  test('a signal that aborts in the middle of a part ends the loop with the rows that it has', async () => {
    await using db = await opened()
    const stop = new AbortController()
    const seen: number[] = []
    const text = `select n, ${wide}, pg_sleep(case when n > 1900 then 3600 else 0 end) from generate_series(1, 3000) as n`
    const loop = async (): Promise<void> => {
      for await (const { n } of db.iterate<N>(text, [], { batchSize: 1_000, signal: stop.signal })) {
        seen.push(n)
        if (n === 1_200) stop.abort()
      }
    }
    expect(await caught(loop())).toBeInstanceOf(AbortedError)
    expect(seen).toEqual(counted(seen.length))
    expect(seen.length).toBeLessThan(1_901)
    expect(await db.scalar('select 1')).toBe(1)
  })

  test('in a transaction rows that nobody asked for cannot fail it', async () => {
    await using db = await opened()
    const failing = `select n, 1 / (5 - n) as x from generate_series(1, 20) as n`
    const seen = await db.transaction(async () => {
      const rows = await taken(db.iterate<N>(failing, [], { batchSize: 2 }), 3)
      await db.scalar('select 1')
      return rows
    })
    expect(seen).toEqual([1, 2, 3])
  })

  test('what a function of the statement does is done for the parts that were asked for alone, and kept', async () => {
    await using database = await freshDatabase(`create table calls (n int);
      create function note(n int) returns int language sql volatile as 'insert into calls values (n) returning n'`)
    await using db = await opened(database.url)
    const text = 'select note(n) as n from generate_series(1, 20) as n'
    expect(await taken(db.iterate<N>(text, [], { batchSize: 2 }), 5)).toEqual(counted(5))
    expect(await db.scalar('select count(*) from calls')).toBe(6)
  })

  test('what changes data is refused before it has run, also where it begins as a read', async () => {
    await using database = await freshDatabase('create table t (n int)')
    await using db = await opened(database.url)
    const texts = ['with x as (insert into t values (1) returning n) select n from x', 'select 1 as n into u']
    for (const text of texts)
      expect((await caught(taken(db.iterate<N>(text)))).message).toMatch(/data-modifying|INTO|iterate/i)
    expect(await db.scalar('select count(*) from t')).toBe(0)
  })

  test('who leaves while the server works on the next part does not wait for that', async () => {
    await using db = await opened()
    expect(await taken(db.iterate<N>(stuckBehind(6), [], { batchSize: 2 }), 5)).toEqual(counted(5))
    expect(await db.scalar('select 1')).toBe(1)
    const cursor = db.iterate<N>(stuckBehind(6), [], { batchSize: 2 })
    expect(await cursor.read(4)).toHaveLength(4)
    await cursor.close()
    expect(await db.scalar('select 2')).toBe(2)
  })

  test('a signal that aborts in the loop ends it there, whatever has come', async () => {
    await using db = await opened()
    const stop = new AbortController()
    const seen: number[] = []
    const loop = async (): Promise<void> => {
      for await (const { n } of db.iterate<N>(upTo(100), [], { batchSize: 2, signal: stop.signal })) {
        seen.push(n)
        if (n === 5) stop.abort()
      }
    }
    expect(await caught(loop())).toBeInstanceOf(AbortedError)
    expect(seen).toEqual(counted(6))
    expect(await db.scalar('select 1')).toBe(1)
  })

  test('skip() passes over what was asked for ahead and what was not', async () => {
    await using db = await opened()
    for (const skipped of [2, 3, 17]) {
      await using cursor = db.iterate<N>(upTo(40), [], { batchSize: 2 })
      expect(await cursor.read(2)).toHaveLength(2)
      expect(await cursor.read(3)).toHaveLength(3)
      expect(await cursor.skip(skipped)).toBe(skipped)
      expect(await cursor.read()).toEqual({ n: 6 + skipped })
      expect(await cursor.skip(100)).toBe(40 - 6 - skipped)
      expect(await cursor.read()).toBeUndefined()
    }
  })

  test('a connection that is lost in the loop ends it with an error', async () => {
    await using database = await freshDatabase()
    await using db = await opened(database.url)
    const loop = async (): Promise<void> => {
      for await (const { n } of db.iterate<N>(stuckBehind(6), [], { batchSize: 2 }))
        if (n === 5)
          await until(async () => {
            const ended = await database.query(`select pg_terminate_backend(pid) from pg_stat_activity
              where state = 'active' and wait_event = 'PgSleep' and datname = current_database()`)
            return ended.length > 0
          })
    }
    expect(await caught(loop())).toMatchObject({
      code: expect.stringMatching(/^GENEVER_(?:CONNECTION_LOST|TRANSACTION_ENDED)$/),
    })
    expect(await db.scalar('select 7')).toBe(7)
  })
})

test('an iterator answers calls in their order, and is over once it was returned', async () => {
  await using db = await createDb(await databaseUrl(), { driver: 'socket', pool: { max: 1 } }).open()
  await functionsKnown(db)
  const rows = db.iterate<N>(upTo(7), [], { batchSize: 3 })[Symbol.asyncIterator]()
  const answers = await Promise.all(Array.from({ length: 9 }, () => rows.next()))
  expect(answers.map(({ value }) => (value as N | undefined)?.n)).toEqual([1, 2, 3, 4, 5, 6, 7, undefined, undefined])
  expect(answers.map(({ done }) => done)).toEqual([...Array<boolean>(7).fill(false), true, true])

  const left = db.iterate<N>(upTo(7), [], { batchSize: 3 })[Symbol.asyncIterator]()
  const [first, end, late] = await Promise.all([left.next(), left.return(undefined), left.next()])
  expect([first.value, end.done, late.done]).toEqual([{ n: 1 }, true, true])
  const mine = new TypeError('mine')
  const thrown = db.iterate<N>(upTo(7))[Symbol.asyncIterator]()
  await thrown.next()
  expect(await caught(thrown.throw(mine))).toBe(mine)
  expect(await thrown.next()).toEqual({ value: undefined, done: true })
  expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
})
