/** Calls of every kind that are issued together on one connection: each runs, or is refused, where it was issued. */

import { type Connection, type Db, TransactionStateError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

/** Statements in front of what a test is about, so that its turn comes later where a connection takes one at a time. */
const front = [1, 2, 3]

async function logged(driver: TestedDriver, db: Db, table: string): Promise<readonly number[]> {
  const rows = await db.all<{ step: number }>(`select step from ${table} order by ${driver.words.id.split(' ')[0]}`)
  return rows.map(({ step }) => step)
}

forEachDriver((driver) => {
  const copies = driver.name === 'socket' || driver.name === 'pg'
  const values = (table: string): string => `insert into ${table} (step) values (${driver.words.placeholder(1)})`
  const made = async (): Promise<{
    db: Db
    table: string
    log: (on: Pick<Db, 'status'>, step: number) => Promise<unknown>
  }> => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 20_000 } })
    const table = await driver.table(`${driver.words.id}, step int`)
    return { db, table, log: (on, step) => on.status(values(table), [step]) }
  }
  const onHandle = async (db: Db, work: (handle: Connection) => Promise<unknown>): Promise<void> => {
    await using handle = await db.acquire({ lazy: true })
    await work(handle)
  }

  describe.each(['a handle', 'a scope', 'a transaction', 'a manual transaction'] as const)('on %s', (place) => {
    const run = async (
      db: Db,
      work: (on: Pick<Db, 'status' | 'executeMany' | 'transaction' | 'scalar' | 'iterate'>) => Promise<unknown>,
    ): Promise<void> => {
      if (place === 'a handle') await onHandle(db, work)
      else if (place === 'a scope') await db.scope(() => work(db))
      else if (place === 'a transaction') await db.transaction(work)
      else {
        await using tx = await db.begin()
        await work(tx)
        await tx.commit()
      }
    }

    test('a statement issued behind executeMany() runs behind it', async () => {
      const { db, table, log } = await made()

      await run(db, (on) =>
        Promise.all([...front.map((step) => log(on, step)), on.executeMany(values(table), [[4], [5]]), log(on, 6)]),
      )

      expect(await logged(driver, db, table)).toEqual([1, 2, 3, 4, 5, 6])
    })

    test('a statement issued behind transaction() runs behind its end, and is not undone with it', async () => {
      const { db, table, log } = await made()

      await run(db, async (on) => {
        const before = front.map((step) => log(on, step))
        const undone = on.transaction(async (tx) => {
          await log(tx, 7)
          throw new Error('undone')
        })
        const kept = on.transaction(async (tx) => {
          await log(tx, 4)
          await log(tx, 5)
        })
        await Promise.all([...before, caught(undone), kept, log(on, 6)])
      })

      expect(await logged(driver, db, table)).toEqual([1, 2, 3, 4, 5, 6])
    })

    test('a cursor sees what was issued before its first read, and not what comes behind that', async () => {
      const { db, table, log } = await made()
      const inside = place !== 'a handle' && place !== 'a scope'
      let behind: unknown

      await run(db, async (on) => {
        const before = front.map((step) => log(on, step))
        const read = on.iterate<{ n: number }>(`select count(*) as n from ${table}`).read(2)
        const after = log(on, 4).catch((error: unknown) => (behind = error))
        await Promise.all([...before, after])
        expect(await read).toEqual([{ n: 3 }])
      })

      // A cursor holds its connection outside of transactions, and everywhere on a database that has none on its server.
      if (inside && driver.name !== 'mysql') expect(behind).toBeUndefined()
      else {
        expect(behind).toBeInstanceOf(TransactionStateError)
        expect(String(behind)).toContain('The cursor opened at')
      }
      expect(await logged(driver, db, table)).toEqual(behind === undefined ? [1, 2, 3, 4] : [1, 2, 3])
    })
  })

  test('a statement issued behind begin() on a handle belongs to that transaction', async () => {
    const { db, table, log } = await made()

    await onHandle(db, async (handle) => {
      const [tx] = await Promise.all([handle.begin(), log(handle, 9)])
      await tx.rollback()
      const before = front.map((step) => log(handle, step))
      const [second] = await Promise.all([handle.begin(), log(handle, 9), ...before])
      await second.rollback()
    })

    expect(await logged(driver, db, table)).toEqual([1, 2, 3])
  })

  test('a transaction that was issued inside and has not begun is open inside for commit()', async () => {
    const { db, table, log } = await made()

    await onHandle(db, async (handle) => {
      const tx = await handle.begin()
      const before = front.map((step) => log(tx, step))
      const nested = tx.transaction((inner) => log(inner, 4))
      const error = await caught(tx.commit())

      expect(error).toBeInstanceOf(TransactionStateError)
      expect(error.message).toMatch(/commit\(\): the .*transaction begun at .* is still open inside/)
      await Promise.all([...before, nested])
      await tx.commit()
    })

    expect(await logged(driver, db, table)).toEqual([1, 2, 3, 4])
  })

  test('a transaction left behind by one that returns takes that one back, begun or not', async () => {
    const { db, table, log } = await made()
    let nested: Promise<unknown> | undefined
    const error = await caught(
      db.transaction((tx) => {
        for (const step of front) void log(tx, step)
        nested = Promise.allSettled([tx.transaction((inner) => log(inner, 4))])
      }),
    )

    expect(error).toBeInstanceOf(TransactionStateError)
    expect(error.message).toMatch(/returned while the .*transaction begun at .* was still open/)
    await nested
    expect(await logged(driver, db, table)).toEqual([])
  })

  test('commit() and rollback() take with them what was issued before', async () => {
    const { db, table, log } = await made()
    const tx = await db.begin()
    await Promise.all([
      ...front.map((step) => log(tx, step)),
      tx.executeMany(values(table), [[4], [5]]),
      log(tx, 6),
      tx.commit(),
    ])
    const other = await db.begin()
    await Promise.allSettled([
      log(other, 7),
      other.executeMany(values(table), [[8], [9]]),
      log(other, 10),
      other.rollback(),
    ])

    expect(await logged(driver, db, table)).toEqual([1, 2, 3, 4, 5, 6])
  })

  test('release({ permanent: false }) waits for an executeMany() that was issued before', async () => {
    const { db, table, log } = await made()

    await onHandle(db, async (handle) => {
      await log(handle, 1)
      const many = handle.executeMany(values(table), [[2], [3]])
      await Promise.all([many, handle.release({ permanent: false })])
      expect(handle.borrowed).toBe(false)
      await log(handle, 4)
    })

    expect(await logged(driver, db, table)).toEqual([1, 2, 3, 4])
  })

  test('release({ permanent: false }) behind a transaction that was issued is refused, begun or not', async () => {
    const { db, table, log } = await made()

    await onHandle(db, async (handle) => {
      await log(handle, 1)
      const before = [2, 3].map((step) => log(handle, step))
      const open = handle.transaction((tx) => log(tx, 4))
      const error = await caught(handle.release({ permanent: false }))

      expect(error).toBeInstanceOf(TransactionStateError)
      expect(error.message).toContain('transaction begun at')
      await Promise.all([...before, open])
    })

    expect(await logged(driver, db, table)).toEqual([1, 2, 3, 4])
  })

  test('release() runs what was issued before', async () => {
    const { db, table, log } = await made()
    const handle = await db.acquire()
    await Promise.all([
      ...front.map((step) => log(handle, step)),
      handle.executeMany(values(table), [[4], [5]]),
      handle.transaction(async (tx) => {
        await log(tx, 6)
        await log(tx, 7)
      }),
      log(handle, 8),
      handle.release(),
    ])

    expect(await logged(driver, db, table)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  })

  if (driver.name === 'mysql')
    test('a second cursor in a transaction is refused by name while the first is open, however many rows it has', async () => {
      const { db } = await made()

      for (const count of [5, 100_000])
        await db.transaction(async () => {
          for await (const _row of db.iterate(driver.words.series(count), [], { batchSize: 1 })) {
            const error = await caught(db.iterate(driver.words.series(3)).read())
            expect(error).toBeInstanceOf(TransactionStateError)
            expect(error.message).toContain('reads its rows as they come')
            expect((await caught(db.scalar('select 1'))).message).toContain('reads its rows as they come')
            break
          }
          expect(await db.scalar('select 2')).toBe(2)
        })
    })

  if (!copies) return

  const read = async (rows: AsyncIterable<Uint8Array>): Promise<number> => {
    const pieces: Uint8Array[] = []
    for await (const piece of rows) pieces.push(piece)
    return Number(Buffer.concat(pieces).toString())
  }

  describe.each(['a scope', 'a transaction'] as const)('a COPY in %s', (place) => {
    const run = (db: Db, work: () => Promise<unknown>): Promise<unknown> =>
      place === 'a scope' ? db.scope(work) : db.transaction(work)

    test('everything issued before copyTo() runs before it', async () => {
      const { db, table, log } = await made()

      await run(db, async () => {
        const before = [
          ...front.map((step) => log(db, step)),
          db.executeMany(values(table), [[4], [5]]),
          db.transaction(async (tx) => {
            await Promise.all([log(tx, 6), tx.transaction((inner) => log(inner, 7)), log(tx, 8)])
            await log(tx, 9)
          }),
          log(db, 10),
        ]
        const count = read(db.copyTo(`select count(*) from ${table}`))
        const behind = caught(log(db, 11))
        await Promise.all(before)

        expect(await count).toBe(10)
        expect(await behind).toBeInstanceOf(TransactionStateError)
        expect((await behind).message).toContain('copyTo() at')
        await log(db, 12)
      })

      expect(await logged(driver, db, table)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12])
    })

    test('copyFrom() runs behind what was issued before, and before what comes behind', async () => {
      const { db, table, log } = await made()

      await run(db, () =>
        Promise.all([
          ...front.map((step) => log(db, step)),
          db.executeMany(values(table), [[4], [5]]),
          db.copyFrom(`${table} (step)`).from('6\n7\n'),
          db.executeMany(values(table), [[8]]),
          log(db, 9),
        ]),
      )

      expect(await logged(driver, db, table)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    })

    test('a statement in the loop over a COPY that waited for another COPY is refused by name', async () => {
      const { db, table, log } = await made()

      await run(db, async () => {
        const first = db.copyFrom(`${table} (step)`).from('1\n2\n')
        const errors: Error[] = []
        const loop = async (): Promise<void> => {
          for await (const _piece of db.copyTo(table)) errors.push(await caught(log(db, 3)))
        }
        await Promise.all([first, loop()])

        expect(errors).not.toEqual([])
        for (const error of errors) expect(error.message).toContain('copyTo() at')
      })

      expect(await logged(driver, db, table)).toEqual([1, 2])
    })
  })
})
