/** `iterate().batches()`: the rows of a cursor in lists, with the life cycle of a loop over rows. */

import { AbortedError, type Cursor, QueryError, sql, TransactionEndedError, TransactionStateError } from 'genever'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { sample, sampleSeed } from '../support/extent.ts'
import { fc } from '../support/fast-check.ts'
import { doing, forEachDriver, quiet } from '../support/matrix.ts'

interface N {
  readonly n: number
}
const nobody = '0 lent, 1 idle, 0 waiting'

async function batchesOf(cursor: { batches(): AsyncIterable<N[]> }): Promise<number[][]> {
  const all: number[][] = []
  for await (const rows of cursor.batches()) all.push(rows.map(({ n }) => n))
  return all
}

/** 1 up to `last`, in lists. */
function counted(last: number, size: number): number[][] {
  const all = Array.from({ length: last }, (_, at) => at + 1)
  return Array.from({ length: Math.ceil(last / size) }, (_, at) => all.slice(at * size, (at + 1) * size))
}

forEachDriver((driver) => {
  // A series has one number at least.
  const upTo = (last: number): string =>
    last === 0 ? `select n from (${driver.words.series(1)}) r where n > 1` : driver.words.series(last)

  test('each has batchSize rows, the last may be shorter, and none is empty', async () => {
    const db = await driver.single()
    for (const [last, batchSize] of [
      [0, 3],
      [5, 2],
      [6, 3],
      [2, 7],
      [2_500, 1_000],
    ] as const) {
      const cursor = (): Cursor<N> => db.iterate<N>(upTo(last), [], { batchSize })
      expect(await batchesOf(cursor())).toEqual(counted(last, batchSize))
      expect(await db.transaction(() => batchesOf(cursor()))).toEqual(counted(last, batchSize))
    }
    expect(await batchesOf(db.iterate<N>(upTo(250)))).toEqual(counted(250, 100))
  })

  test('every door that has iterate() has them, with the type of its rows', async () => {
    const db = await driver.single()
    const options = { batchSize: 2 }
    const byText = db.bake<N>(upTo(3))
    class Row {
      readonly double: number
      constructor({ n }: N) {
        this.double = n * 2
      }
    }

    expect(await batchesOf(db.sql<N>`${sql.raw(upTo(3))}`.iterate(options))).toEqual([[1, 2], [3]])
    expect(await batchesOf(byText.iterate({}, options))).toEqual([[1, 2], [3]])
    await using connection = await db.acquire()
    expect(await batchesOf(connection.iterate<N>(upTo(3), [], options))).toEqual([[1, 2], [3]])
    expect(await connection.transaction((tx) => batchesOf(tx.iterate<N>(upTo(3), [], options)))).toEqual([[1, 2], [3]])
    const made = connection.iterate(upTo(3), [], { ...options, into: Row }).batches()
    expectTypeOf(made).toEqualTypeOf<AsyncGenerator<Row[], void, undefined>>()
    expectTypeOf(db.iterate<N>(upTo(3)).batches()).toEqualTypeOf<AsyncGenerator<N[], void, undefined>>()
    const doubles: number[][] = []
    for await (const rows of made) doubles.push(rows.map(({ double }) => double))
    expect(doubles).toEqual([[2, 4], [6]])
  })

  test('nothing is borrowed before the first pull, and all is given back at the end', async () => {
    const db = await driver.single()
    const loop = db.iterate<N>(upTo(3), [], { batchSize: 2 }).batches()
    expect(doing(db)).toBe(nobody)
    expect(await loop.next()).toEqual({ value: [{ n: 1 }, { n: 2 }], done: false })
    expect(doing(db)).toBe('1 lent, 0 idle, 0 waiting')
    expect(await loop.next()).toEqual({ value: [{ n: 3 }], done: false })
    expect(await loop.next()).toEqual({ value: undefined, done: true })
    expect(doing(db)).toBe(nobody)
  })

  test('the frame is that in which iterate() was called', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    await db.transaction(async () => {
      await db.status(`insert into ${table} values (7)`)
      const cursor = db.iterate<N>(`select n from ${table}`)
      expect(await db.detached(() => batchesOf(cursor))).toEqual([[7]])
    })
  })

  test('a list is for whoever got it: changing one changes no other', async () => {
    const db = await driver.single()
    const kept: N[][] = []
    for await (const rows of db.iterate<N>(upTo(6), [], { batchSize: 2 }).batches()) {
      kept.push([...rows])
      rows.length = 0
    }
    expect(kept.map((rows) => rows.map(({ n }) => n))).toEqual(counted(6, 2))
  })

  const endings: Readonly<Record<string, (cursor: Cursor<N>) => Promise<unknown>>> = {
    end: (cursor) => batchesOf(cursor),
    break: async (cursor) => {
      for await (const _ of cursor.batches()) break
    },
    return: (cursor) =>
      (async () => {
        for await (const rows of cursor.batches()) return rows
        return []
      })(),
    throw: async (cursor) => {
      const loop = async (): Promise<void> => {
        for await (const _ of cursor.batches()) throw new TypeError('mine')
      }
      expect(await caught(loop())).toBeInstanceOf(TypeError)
    },
    'close() in the loop': async (cursor) => {
      const loop = cursor.batches()
      await loop.next()
      await cursor.close()
      expect(await caught(loop.next())).toBeInstanceOf(TransactionStateError)
    },
    'disposal of the loop': async (cursor) => {
      await using loop = cursor.batches()
      await loop.next()
    },
    'disposal before the first pull': async (cursor) => {
      await using _ = cursor.batches()
    },
  }

  test.each(Object.entries(endings))('the cursor is closed and the connection free after: %s', async (name, end) => {
    const db = await driver.single()
    const { cursors } = driver.words
    const plain = db.iterate<N>(upTo(9), [], { batchSize: 2 })
    await end(plain)
    expect([plain.open, doing(db)]).toEqual([false, nobody])
    for (const around of ['scope', 'transaction'] as const)
      await db[around](async () => {
        await end(db.iterate<N>(upTo(9), [], { batchSize: 2 }))
        expect(cursors === null ? 0 : await db.scalar(cursors)).toBe(0)
      })

    // A cursor is read once.
    if (name === 'end') expect(await batchesOf(plain)).toEqual([])
    else expect(await caught(batchesOf(plain))).toBeInstanceOf(TransactionStateError)
    expect(doing(db)).toBe(nobody)
  })

  test('rows that read() and skip() took are not in them, and a loop over rows goes on behind them', async () => {
    const db = await driver.single()
    await db.transaction(async () => {
      const cursor = db.iterate<N>(upTo(12), [], { batchSize: 3 })
      expect([await cursor.read(), await cursor.skip(1)]).toEqual([{ n: 1 }, 1])
      const batches = cursor.batches()
      expect((await batches.next()).value).toEqual([{ n: 3 }, { n: 4 }, { n: 5 }])
      expect(await cursor.read(2)).toEqual([{ n: 6 }, { n: 7 }])
      const rest: number[] = []
      for await (const { n } of cursor) rest.push(n)
      expect(rest).toEqual([8, 9, 10, 11, 12])
      expect(await batches.next()).toEqual({ value: undefined, done: true })
    })
  })

  test('an error comes behind all rows before it, wherever it stands in its batch and whatever is around', async () => {
    const db = await driver.single()
    const failing = (n: number): string =>
      `select n, exp(case when n = ${n} then 1000 else 0 end) as x from (${upTo(9)}) r`
    for (const around of ['nothing', 'scope', 'transaction'] as const)
      for (const [n, batchSize, lists] of [
        [5, 2, [2, 2]],
        [5, 3, [3, 1]],
        [3, 100, [2]],
        [1, 2, []],
      ] as const) {
        const cursor = (): Cursor<N> => db.iterate<N>(failing(n), [], { batchSize })
        const rows: number[] = []
        const sizes: number[] = []
        const byRow = async (): Promise<void> => {
          for await (const row of cursor()) rows.push(row.n)
        }
        const byList = async (): Promise<void> => {
          for await (const list of cursor().batches()) sizes.push(list.length)
        }
        for (const loop of [byRow, byList])
          expect(await caught(around === 'nothing' ? loop() : db[around](loop))).toBeInstanceOf(QueryError)
        expect([rows, sizes]).toEqual([counted(n - 1, n).flat(), lists])
        expect([await db.scalar('select 1'), doing(db)]).toEqual([1, nobody])
      }
  })

  test('read() fails in place of a list with an error in it, because a short one would be the last', async () => {
    const db = await driver.single()
    const failing = `select n, exp(case when n = 5 then 1000 else 0 end) as x from (${upTo(9)}) r`
    for (const batchSize of [2, 100])
      await db.scope(async () => {
        const cursor = db.iterate<N>(failing, [], { batchSize })
        expect((await cursor.read(3)).map(({ n }) => n)).toEqual([1, 2, 3])
        expect(await caught(cursor.read(3))).toBeInstanceOf(QueryError)
        expect([cursor.open, await db.scalar('select 1')]).toEqual([false, 1])
      })
  })

  test('a signal that aborts in the loop ends it, and frees the connection', async () => {
    const db = await driver.single()
    const stop = new AbortController()
    let batches = 0
    const loop = async (): Promise<void> => {
      for await (const _ of db.iterate<N>(upTo(5_000), [], { batchSize: 10, signal: stop.signal }).batches())
        if (++batches === 3) stop.abort()
    }
    expect([await caught(loop()), batches]).toEqual([expect.any(AbortedError), 3])
    await quiet(db)
    expect(await db.scalar('select 1')).toBe(1)
  })

  test('the end of its transaction ends it with that error, and the end of its scope closes it', async () => {
    const db = await driver.single()
    const left = await db.transaction<{ loop: AsyncGenerator<N[]> }>(async (tx) => {
      const loop = db.iterate<N>(upTo(9), [], { batchSize: 2 }).batches()
      await loop.next()
      return tx.raiseRollback({ loop })
    })
    expect(await caught(left.loop.next())).toBeInstanceOf(TransactionEndedError)
    const late = await db.scope(async () => {
      const loop = db.iterate<N>(upTo(9), [], { batchSize: 2 }).batches()
      await loop.next()
      return { loop }
    })
    expect(await caught(late.loop.next())).toBeInstanceOf(TransactionStateError)
    await quiet(db)
  })

  test('outside of a transaction other statements on its connection are refused, naming the cursor', async () => {
    const db = await driver.single()
    await db.scope(async () => {
      for await (const _ of db.iterate<N>(upTo(9), [], { batchSize: 2 }).batches())
        expect((await caught(db.scalar('select 1'))).message).toMatch(
          /^The cursor opened at .*iterate-batches\.test\.ts/,
        )
      expect(await db.scalar('select 1')).toBe(1)
    })
  })

  // MySQL sends rows as they come, and nothing else until they end.
  test.skipIf(driver.name === 'mysql')('in a transaction the body of the loop writes what it has read', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    await db.transaction(async () => {
      for await (const rows of db.iterate<N>(upTo(5), [], { batchSize: 2 }).batches())
        await db.executeMany(`insert into ${table} values (:n)`, rows as unknown as Record<string, unknown>[])
    })
    expect(Number(await db.scalar(`select sum(n) from ${table}`))).toBe(15)
  })

  describe('in any order of calls', () => {
    const count = fc.integer({ min: 0, max: 5 })
    const call = fc.oneof(
      { weight: 6, arbitrary: fc.record({ on: fc.constantFrom('batches', 'rows'), does: fc.constant('next') }) },
      {
        weight: 2,
        arbitrary: fc.record({ on: fc.constant('cursor'), does: fc.constantFrom('read', 'skip'), count }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ on: fc.constantFrom('batches', 'rows'), does: fc.constantFrom('return', 'throw') }),
      },
      { weight: 1, arbitrary: fc.record({ on: fc.constant('cursor'), does: fc.constantFrom('close', 'abort') }) },
    ) as fc.Arbitrary<Call>
    const program = fc.record({
      total: fc.integer({ min: 0, max: 14 }),
      batchSize: fc.integer({ min: 1, max: 6 }),
      around: fc.constantFrom('nothing', 'scope', 'transaction'),
      /** Calls of a list are made at once, on one object. */
      calls: fc.array(fc.tuple(call, fc.boolean()), { maxLength: 10 }),
    })

    test('rows come once and in order, in whole lists, and no connection stays lent', async () => {
      const db = await driver.single()
      await fc.assert(
        fc.asyncProperty(program, async ({ total, batchSize, around, calls }) => {
          const stop = new AbortController()
          const run = async (): Promise<Seen> => {
            const cursor = db.iterate<N>(upTo(total), [], { batchSize, signal: stop.signal })
            const seen = await perform(cursor, calls, stop)
            await cursor.close()
            return seen
          }
          const seen = around === 'nothing' ? await run() : await caughtOr(db[around](run))
          await quiet(db)
          expect(await db.scalar('select 1')).toBe(1)
          if (seen !== null) check(seen, total, batchSize)
        }),
        { numRuns: sample({ once: 25, matrix: 100, soak: 1_000 }), seed: sampleSeed(7) },
      )
    })
  })
})

interface Call {
  readonly on: 'batches' | 'rows' | 'cursor'
  readonly does: 'next' | 'return' | 'throw' | 'read' | 'skip' | 'close' | 'abort'
  readonly count?: number
}

/** What calls gave, in their order: lists of numbers, how many were passed over, or nothing. */
interface Seen {
  readonly took: readonly { readonly call: Call; readonly rows: readonly number[]; readonly skipped: number }[]
  readonly aborted: boolean
}

const mine = new TypeError('mine')

/** Makes the calls one after another; those marked are made together with the next, where that is on the same object. */
async function perform(
  cursor: Cursor<N>,
  calls: readonly (readonly [Call, boolean])[],
  stop: AbortController,
): Promise<Seen> {
  const [batches, rows] = [cursor.batches(), cursor[Symbol.asyncIterator]()]
  const took: { call: Call; rows: readonly number[]; skipped: number }[] = []
  let together: Promise<void>[] = []
  let on: Call['on'] | null = null
  for (const [call, isTogether] of calls) {
    if (on !== call.on) together = (await Promise.all(together), [])
    on = call.on
    const entry = { call, rows: [] as readonly number[], skipped: 0 }
    took.push(entry)
    together.push(
      answerOf(call, { batches, rows, cursor, stop }).then(
        ({ rows: given = [], skipped = 0 }) => void Object.assign(entry, { rows: given, skipped }),
        (error: unknown) => {
          if (error === mine || error instanceof TransactionStateError || stop.signal.aborted) return
          throw error
        },
      ),
    )
    if (!isTogether) together = (await Promise.all(together), [])
  }
  await Promise.all(together)
  return { took, aborted: stop.signal.aborted }
}

interface Objects {
  readonly batches: AsyncGenerator<N[]>
  readonly rows: AsyncGenerator<N>
  readonly cursor: Cursor<N>
  readonly stop: AbortController
}

async function answerOf(
  { on, does, count = 0 }: Call,
  { batches, rows, cursor, stop }: Objects,
): Promise<{ rows?: readonly number[]; skipped?: number }> {
  const numbers = (given: readonly N[]): { rows: number[] } => ({ rows: given.map(({ n }) => n) })
  if (does === 'abort') stop.abort()
  else if (does === 'read') return numbers(await cursor.read(count))
  else if (does === 'skip') return { skipped: await cursor.skip(count) }
  else if (does === 'close') await cursor.close()
  else {
    const loop: AsyncGenerator<N | N[]> = on === 'batches' ? batches : rows
    const { value, done } = await (does === 'next'
      ? loop.next()
      : does === 'return'
        ? loop.return(undefined)
        : loop.throw(mine))
    if (done !== true) return numbers(Array.isArray(value) ? value : [value])
  }
  return {}
}

/** A loop over rows has taken a batch when it gives its first row: others go on behind that. */
function check({ took, aborted }: Seen, total: number, batchSize: number): void {
  const ofRows = took.filter(({ call }) => call.on === 'rows').flatMap(({ rows }) => rows)
  const ofOthers = took.filter(({ call }) => call.on !== 'rows').flatMap(({ rows }) => rows)
  for (const seen of [ofRows, ofOthers]) expect(seen).toEqual([...new Set(seen)].toSorted((a, b) => a - b))
  expect(ofRows.filter((n) => ofOthers.includes(n))).toEqual([])
  for (const { call, rows } of took) {
    const first = rows[0] ?? 0
    expect(rows).toEqual(rows.map((_, at) => first + at))
    expect(rows.every((n) => n >= 1 && n <= total)).toBe(true)
    if (call.on === 'batches' && rows.length > 0 && rows.length !== batchSize) expect(rows.at(-1)).toBe(total)
  }
  const skipped = took.reduce((all, each) => all + each.skipped, 0)
  expect(ofRows.length + ofOthers.length + skipped).toBeLessThanOrEqual(total)
  // Who reads with nothing in between gets all.
  const whole = took.every(({ call }) => call.does === 'next' && call.on === 'batches')
  if (whole && !aborted) expect(ofOthers.length).toBe(Math.min(total, took.length * batchSize))
}

/** Null where the transaction has failed by an abort. */
async function caughtOr<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work
  } catch (error) {
    expect(error).toHaveProperty('code')
    return null
  }
}
