/** How cursors end before their rows do, and what they send. */

import {
  AbortedError,
  AcquireTimeoutError,
  ConnectionLostError,
  type Cursor,
  QueryTimeoutError,
  TransactionEndedError,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake, sound } from '../support/fake.ts'
import { doing, forEachDriver, pid } from '../support/matrix.ts'

interface N {
  readonly n: number
}
const nobody = '0 lent, 1 idle, 0 waiting'
const here = /iterate-ends\.test\.ts:\d+/

async function numbers(rows: AsyncIterable<N>): Promise<number[]> {
  const all: number[] = []
  for await (const { n } of rows) all.push(n)
  return all
}

forEachDriver((driver) => {
  const upTo = (last: number): string => driver.words.series(last)

  test('closed by hand it says so, also in an open transaction, and gives no row it had fetched', async () => {
    const db = await driver.single()
    const closed = /^The cursor opened at .* has been closed\. Call iterate\(\) again/
    await db.transaction(async () => {
      for (const batchSize of [2, 100]) {
        const cursor = db.iterate<N>(upTo(3), [], { batchSize })
        await cursor.read()
        await cursor.close()
        expect(await caught(cursor.read())).toMatchObject({ code: 'GENEVER_TRANSACTION_STATE', message: closed })
      }
    })
  })

  // MySQL sends rows as they come, and makes no savepoint before they end.
  test.skipIf(driver.name === 'mysql')('it dies with its savepoint and with its transaction', async () => {
    const db = await driver.single()
    const cursor = (): Cursor<N> => db.iterate<N>(upTo(3), [], { batchSize: 1 })
    const outer = await db.transaction<Cursor<N>>(async (tx) => {
      const early = cursor()
      await early.read()
      const inner: Cursor<N>[] = []
      await db.transaction(async (nested) => {
        inner.push(cursor())
        await inner[0]?.read()
        return nested.raiseRollback()
      })
      expect(inner[0]?.open).toBe(false)
      expect(await caught((inner[0] as Cursor<N>).read())).toBeInstanceOf(TransactionEndedError)
      await inner[0]?.close()
      expect(await early.read()).toEqual({ n: 2 })
      return tx.raiseRollback(early)
    })

    expect(outer.open).toBe(false)
    const error = await caught(outer.read())
    expect([error.code, error.message]).toEqual(['GENEVER_TRANSACTION_ENDED', expect.stringMatching(here)])
    await outer.close()
  })

  test('still open when its transaction returns, it rolls that back with an error naming its place', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    const error = await caught(
      db.transaction(async () => {
        await db.status(`insert into ${table} values (1)`)
        await db.iterate(upTo(3), [], { batchSize: 1 }).read()
      }),
    )

    expect([error.code, error.message]).toEqual(['GENEVER_TRANSACTION_STATE', expect.stringMatching(here)])
    expect(await db.scalar(`select count(*) from ${table}`)).toBe(0)
  })

  test('a statement that waits for the only connection names the cursor when its time is over', async () => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 100 } })
    await using cursor = db.iterate<N>(upTo(3), [], { batchSize: 1 })
    await cursor.read()
    const error = await caught(db.scalar('select 1'))

    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error.phase).toBe('cursor')
    expect(error.message).toMatch(/cursor opened at .*iterate-ends\.test\.ts:\d+/)
    const waiting = db.scalar('select 2', [], { timeoutMs: 20_000 })
    await cursor.close()
    expect(await waiting).toBe(2)
  })
})

forEachDriver(
  (driver) => {
    // Rows that are too many, or too wide, to be on their way already.
    const padded = (more: string, last: number): string =>
      `select n, repeat('x', 100000) as pad${more} from (${driver.words.series(last)}) r`

    test('a session that dies ends the stream with ConnectionLostError, and the next statement borrows another', async () => {
      const db = await driver.single()
      const error = await caught(
        db.scope(async () => {
          const own = await pid(db)
          for await (const { n } of db.iterate<N>(padded('', 500), [], { batchSize: 2 }))
            if (n === 2) await driver.kill(own)
        }),
      )

      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(await db.scalar('select 7')).toBe(7)
      expect(doing(db)).toBe(nobody)
    })

    test('a pull that takes too long, or is aborted, ends the cursor and frees the connection', async () => {
      const db = await driver.single()
      const sleep = driver.words.sleep('case when n = 2 then 60 else 0 end').replace('select ', ', ')
      const slow = padded(sleep, 3)
      const cursor = db.iterate<N>(slow, [], { batchSize: 1, timeoutMs: 2_000 })
      expect(await cursor.read()).toMatchObject({ n: 1 })
      expect(await caught(cursor.read())).toBeInstanceOf(QueryTimeoutError)
      expect([cursor.open, await db.scalar('select 1'), doing(db)]).toEqual([false, 1, nobody])

      const stop = new AbortController()
      const aborted = db.iterate<N>(slow, [], { batchSize: 1, signal: stop.signal })
      await aborted.read()
      const error = caught(aborted.read())
      stop.abort()
      expect(await error).toBeInstanceOf(AbortedError)
      expect([await db.scalar('select 1'), doing(db)]).toEqual([1, nobody])
    })
  },
  { connections: 2 },
)

describe('on the wire', () => {
  test('a batch is one FETCH of batchSize rows, and what a cursor opened itself is committed', async () => {
    await using server = await fake()
    const { db } = server

    await numbers(db.iterate<N>('select generate_series(1, 5) as n', [], { batchSize: 2 }))
    const sent = server.sent().map((line) => line.replaceAll(/genever_c\d+/g, 'c'))
    expect(sent).toEqual([
      expect.stringMatching(/^BEGIN.*; DECLARE c NO SCROLL CURSOR FOR select generate_series\(1, 5\) as n$/),
      ...Array<string>(3).fill('FETCH FORWARD 2 FROM c'),
      'COMMIT',
    ])
    await sound(server)
  })

  test('read(n) asks for more than a batch only when more is wanted, and skip(n) fetches nothing', async () => {
    await using server = await fake()
    const { db } = server
    await db.transaction(async () => {
      await using cursor = db.iterate<N>('select generate_series(1, 500) as n')
      await cursor.skip(3)
      await cursor.read(150)
    })

    expect(
      server
        .sent()
        .filter((line) => /^(?:FETCH|MOVE|CLOSE)/.test(line))
        .map((line) => line.replace(/ (?:FROM )?genever.*/, '')),
    ).toEqual(['MOVE FORWARD 3', 'FETCH FORWARD 150', 'CLOSE'])
    await sound(server)
  })
})
