/** Code that nobody awaited and that still runs when what it was started in has ended. */

import { EventEmitter, on } from 'node:events'
import {
  type Connection,
  type Db,
  ReleasedConnectionError,
  type Transaction,
  TransactionEndedError,
  TransactionStateError,
} from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { doing, forEachDriver } from '../support/matrix.ts'

/** Starts code in a frame that ends at once, and lets it go on after that. */
async function leftBehind(
  enter: (start: () => void) => Promise<unknown>,
  late: () => Promise<unknown>,
): Promise<unknown> {
  const ended = gate()
  let left: Promise<unknown> | undefined
  await enter(() => {
    left = ended.promise.then(late)
    left.catch(() => {})
  })
  ended.open()
  return left
}

/** Each way to run a statement; inside, what came of it. */
const ways: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
  statement: (db) => db.scalar('select 1'),
  scope: (db) => db.scope(() => db.scalar('select 1')),
  transaction: (db) => db.transaction(() => db.scalar('select 1')),
  cursor: (db) =>
    db
      .iterate<{ n: number }>('select 1 as n')
      .read()
      .then((row) => row?.n),
  'reusing handle': async (db) => {
    await using connection = await db.acquire({ reuse: true })
    return await connection.scalar('select 1')
  },
}

forEachDriver((driver) => {
  test.each(Object.entries(ways))('after a scope it runs alone: %s', async (_, way) => {
    const db = await driver.single()

    const end = await leftBehind(
      (start) => db.scope(start),
      async () => {
        expect(db.current).toBeUndefined()
        return way(db)
      },
    )

    expect(end).toBe(1)
  })

  test.each(Object.entries(ways))('after conn.run() it runs alone: %s', async (_, way) => {
    const db = await driver.single()
    const connection = await db.acquire()

    const end = await leftBehind(
      (start) => connection.run(start).then(() => connection.release()),
      () => way(db),
    )

    expect(end).toBe(1)
  })

  test.each(Object.entries(ways))(
    'after a scope that shared the connection of an outer one it still shares that: %s',
    async (_, way) => {
      const db = await driver.single()

      await db.scope(async (outer) => {
        const end = await leftBehind(
          (start) => db.scope(start),
          async () => {
            expect(db.current).toBe(outer)
            return way(db)
          },
        )
        expect([end, outer.borrowed]).toEqual([1, true])
      })
    },
  )

  test.each(Object.entries(ways))(
    'after a scope of its own inside of another it does not fall back to the outer one: %s',
    async (_, way) => {
      const db = await driver.single()

      await db.scope(async (outer) => {
        const end = await leftBehind(
          (start) => db.scope(start, { reuse: false }),
          async () => {
            expect(db.current).toBeUndefined()
            return way(db)
          },
        )
        expect([end, outer.borrowed]).toEqual([1, false])
      })
    },
  )

  test.each(Object.entries(ways))('after a transaction it is refused: %s', async (_, way) => {
    const db = await driver.single()

    const error = await caught(
      leftBehind(
        (start) => db.transaction(start),
        () => way(db),
      ),
    )

    expect(error).toBeInstanceOf(TransactionEndedError)
    expect(error.message).toMatch(/begun at .*left-behind\.test\.ts:\d+.*detached\(\)/)
  })

  test.each(Object.entries(ways))(
    'after a nested transaction it does not fall back to the outer one: %s',
    async (_, way) => {
      const db = await driver.single()

      await db.transaction(async (tx) => {
        await expect(
          leftBehind(
            (start) => db.transaction(start),
            () => way(db),
          ),
        ).rejects.toThrow(TransactionEndedError)
        expect(await tx.scalar('select 2')).toBe(2)
      })
    },
  )

  test.each(Object.entries(ways))(
    'after a transaction inside of a scope it does not fall back to the scope: %s',
    async (_, way) => {
      const db = await driver.single()

      await db.scope(async () => {
        await expect(
          leftBehind(
            (start) => db.transaction(start),
            () => way(db),
          ),
        ).rejects.toThrow(TransactionEndedError)
      })
    },
  )

  test.each(Object.entries(ways))('after a scope with settings it is refused: %s', async (_, way) => {
    const db = await driver.single()
    const settings = { 'app.tenant': '7' }

    const late = leftBehind(
      (start) => db.scope(start, { settings }),
      () => way(db),
    )

    await expect(late).rejects.toThrow(TransactionStateError)
  })

  test('after a scope in which it opened its own one it keeps that', async () => {
    const db = await driver.single()
    const ended = gate()
    let left: Promise<unknown> | undefined

    await db.scope(() => {
      left = db.scope(
        async (own) => {
          await ended.promise
          return [await own.scalar('select 1'), db.current === own]
        },
        { reuse: false },
      )
    })
    ended.open()

    expect(await left).toEqual([1, true])
  })

  test('handles that were kept are refused after their end', async () => {
    const db = await driver.single()
    const kept: { scope?: Connection; reusing?: Connection; tx?: Transaction } = {}
    await db.scope(async (connection) => {
      kept.scope = connection
      kept.reusing = await db.acquire({ reuse: true, lazy: true })
    })
    await db.transaction((tx) => {
      kept.tx = tx
    })

    const errors = [
      await caught(Promise.resolve(kept.scope?.all('select 1'))),
      await caught(Promise.resolve(kept.reusing?.all('select 1'))),
      await caught(Promise.resolve(kept.tx?.all('select 1'))),
      await caught(Promise.resolve(kept.tx?.transaction(() => {}))),
      await caught(Promise.resolve(kept.tx?.run(() => {}))),
      await caught(Promise.resolve(kept.tx?.connection.all('select 1'))),
    ]

    expect(errors.map(({ name }) => name)).toEqual([
      'ReleasedConnectionError',
      'ReleasedConnectionError',
      'TransactionEndedError',
      'TransactionEndedError',
      'TransactionEndedError',
      'ReleasedConnectionError',
    ])
  })

  test('what was issued before the end of its scope still runs, and only then the connection goes back', async () => {
    const db = await driver.single()
    let left: Promise<unknown>[] = []

    await db.scope(() => {
      left = [db.scalar('select 1 from pg_sleep(0.01)'), db.scalar('select 2')]
    })
    const lent = doing(db)

    expect(await Promise.all(left)).toEqual([1, 2])
    expect([lent, doing(db)]).toEqual(['1 lent, 0 idle, 0 waiting', '0 lent, 1 idle, 0 waiting'])
  })

  test('a statement that had no connection yet when its scope ended is refused', async () => {
    const db = await driver.single()
    const held = await db.acquire()
    let left: Promise<unknown> | undefined

    await db.scope(() => {
      left = caught(db.scalar('select 1'))
    })

    expect(await left).toBeInstanceOf(ReleasedConnectionError)
    await held.release()
  })

  test('a queue made by the first request serves the others without its connection', async () => {
    const db = await driver.single()
    const jobs = new EventEmitter()
    const stop = new AbortController()
    let queue: Promise<void> | undefined
    const worker = async (): Promise<void> => {
      for await (const [done] of on(jobs, 'job', { signal: stop.signal }))
        (done as (answer: unknown) => void)(await db.scalar('select 1'))
    }
    const request = (): Promise<unknown> =>
      db.scope(async (connection) => {
        queue ??= worker()
        await connection.scalar('select 2')
        await connection.release({ permanent: false })
        return new Promise((resolve) => jobs.emit('job', resolve))
      })

    const answers = [await request(), await request(), await Promise.all([request(), request()])]
    stop.abort()
    await caught(Promise.resolve(queue))

    expect(answers).toEqual([1, 1, [1, 1]])
    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })
})
