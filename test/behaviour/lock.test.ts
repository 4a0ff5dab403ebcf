/** Locks that programs agree on by name: held while work runs, or until a transaction has ended; free again whatever happens. */

import { AbortedError, createDb, QueryTimeoutError, UsageError } from 'genever'
import { describe, expect, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl } from '../support/database.ts'
import { gate } from '../support/gate.ts'
import { wantedDrivers } from '../support/extent.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const count = "select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"

forEachDriver((driver) => {
  describe('a lock', () => {
    test('is held while work runs and gives what it gives, by every kind of key', async () => {
      const db = await driver.db()
      for (const key of ['jobs', '', 7, -7n, 2n ** 63n - 1n, [1, -2] as const])
        expect(await db.lock(key, () => db.scalar(count))).toBe(1)
      await db.scope(async () => {
        await db.lock('a', () => db.lock('b', async () => expect(await db.scalar(count)).toBe(2)))
        expect(await db.scalar(count)).toBe(0)
      })
    })

    test('is asked for before what is issued behind lock()', async () => {
      const db = await driver.db()
      await db.scope(async () => {
        const [, seen] = await Promise.all([db.lock('issued', () => {}), db.scalar(count)])
        expect(seen).toBe(1)
      })
    })

    test('is free again when work throws, which goes to the caller', async () => {
      const db = await driver.db()
      await db.scope(async () => {
        const mine = new Error('mine')
        expect(await caught(db.lock('a', () => Promise.reject(mine)))).toBe(mine)
        expect(await caught(db.lock('a', () => db.all('select nonsense')))).toMatchObject({ sqlState: '42703' })
        expect(await db.scalar(count)).toBe(0)
      })
    })

    test('keeps code of one scope apart, but lets in what runs inside of its work', async () => {
      const db = await driver.db()
      const order: string[] = []
      await db.scope(async () => {
        const first = gate()
        const one = db.lock('a', async () => {
          order.push('one')
          await first.promise
          await db.lock('a', () => order.push('inside'))
          order.push('one ends')
        })
        await until(() => order.length === 1)
        const two = db.lock('a', () => order.push('two'))
        const other = db.lock('b', () => order.push('other'))
        expect(await db.lock('a', () => 'in', { try: true })).toBeUndefined()
        await other
        first.open()
        await Promise.all([one, two])
        expect(order).toEqual(['one', 'other', 'inside', 'one ends', 'two'])
        expect(await db.scalar(count)).toBe(0)
      })
    })

    test('may be shared, in the order of those who ask', async () => {
      const db = await driver.db()
      await db.scope(async () => {
        const first = gate()
        const order: string[] = []
        const holder = (what: string, shared: boolean, wait?: Promise<unknown>): Promise<unknown> =>
          db.lock('a', async () => (order.push(what), await wait), { shared })
        const sharers = [holder('s1', true, first.promise), holder('s2', true, first.promise)]
        await until(() => order.length === 2)
        const alone = holder('alone', false)
        const late = holder('s3', true)
        expect(order).toEqual(['s1', 's2'])
        first.open()
        await Promise.all([...sharers, alone, late])
        expect(order).toEqual(['s1', 's2', 'alone', 's3'])
      })
    })

    test('that is shared cannot be had alone inside of its own work', async () => {
      const db = await driver.db()
      await db.scope(async () => {
        const inside = (shared: boolean): Promise<unknown> =>
          db.lock('a', () => caught(db.lock('a', () => 'in', { shared })), { shared: true })
        expect(await db.lock('a', () => db.lock('a', () => 'in', { shared: true }), { shared: true })).toBe('in')
        expect(await inside(false)).toBeInstanceOf(UsageError)
        expect(await db.scalar(count)).toBe(0)
      })
    })

    test('of a transaction is held until that has ended', async () => {
      const db = await driver.db()
      await db.transaction(async () => {
        expect(await db.lock('a', () => 'done')).toBe('done')
        expect(await db.scalar(count)).toBe(1)
      })
      await db.scope(async () => {
        const inside = await db.lock(
          'a',
          async () => [await db.scalar('select now() = statement_timestamp()'), await db.scalar(count)],
          {
            until: 'transaction',
          },
        )
        expect(inside[1]).toBe(1)
        expect(await db.scalar(count)).toBe(0)
        expect(
          await caught(db.lock('a', () => Promise.reject(new Error('back')), { until: 'transaction' })),
        ).toMatchObject({
          message: 'back',
        })
        await db.transaction(async () => {
          await db.lock('a', () => {}, { until: 'work' })
          expect(await db.scalar(count)).toBe(0)
        })
      })
    })

    test('is left to the session where a failed transaction cannot free it', async () => {
      const db = await driver.db()
      const failing = db.transaction(async () => {
        await db.lock('a', () => db.all('select 1/0'), { until: 'work' })
      })
      expect(await caught(failing)).toMatchObject({ sqlState: '22012' })
      expect(await db.scope(() => db.scalar(count))).toBe(0)
    })

    test('is refused for what is no key', async () => {
      for (const key of [null, 1.5, 2 ** 60, 2n ** 63n, [1], [1, 2 ** 31], 'a\0', new Date()]) {
        const db = await driver.db()
        expect(await caught(db.lock(key as unknown as string, () => {}))).toBeInstanceOf(UsageError)
        expect(await caught(db.lock('a', 'work' as unknown as () => void))).toBeInstanceOf(UsageError)
      }
    })

    test('lets go of a signal when the wait has ended', async () => {
      const db = await driver.db()
      const { signal } = new AbortController()
      const watching = vi.spyOn(signal, 'addEventListener')
      await db.scope(async () => {
        await Promise.all(Array.from({ length: 5 }, () => db.lock('a', () => db.scalar('select 1'), { signal })))
        expect(await db.scalar(count)).toBe(0)
      })
      expect(watching.mock.calls.length).toBeLessThanOrEqual(1)
    })

    test('waits no longer than it may, and is not left behind', async () => {
      const db = await driver.db()
      await db.scope(async () => {
        const first = gate()
        const holder = db.lock('a', () => first.promise)
        expect(await caught(db.lock('a', () => {}, { timeoutMs: 1_000 }))).toBeInstanceOf(QueryTimeoutError)
        const stop = new AbortController()
        const waiting = caught(db.lock('a', () => {}, { signal: stop.signal }))
        stop.abort()
        expect(await waiting).toBeInstanceOf(AbortedError)
        first.open()
        await holder
        expect(await db.scalar(count)).toBe(0)
      })
    })
  })
})

forEachDriver(
  (driver) => {
    test('a lock keeps other connections out, and an attempt goes on without', async () => {
      const db = await driver.db()
      const [first, held] = [gate(), gate()]
      const holder = db.lock('a', async () => {
        held.open()
        await first.promise
      })
      await held.promise
      expect(await db.lock('a', () => 'in', { try: true })).toBeUndefined()
      expect(await db.lock('a', () => 'in', { try: true, until: 'transaction' })).toBeUndefined()
      expect(await db.lock('other', () => 'in', { try: true })).toBe('in')
      expect(await caught(db.lock('a', () => {}, { timeoutMs: 1_000 }))).toBeInstanceOf(QueryTimeoutError)
      let went = false
      const next = db.lock('a', () => (went = true))
      await until(
        async () =>
          (await db.scalar(`select count(*)::int from pg_locks where locktype = 'advisory' and not granted
            and pid in (select pid from pg_stat_activity where datname = current_database())`)) === 1,
      )
      expect(went).toBe(false)
      first.open()
      await Promise.all([holder, next])
      expect(await db.lock('a', () => 'in', { try: true })).toBe('in')
    })

    test('a lock whose connection dies says so, although its work was done', async () => {
      const db = await driver.db()
      const error = await caught(
        db.lock('a', async () => {
          const pid = await db.scalar('select pg_backend_pid()')
          await db.detached(() => db.scalar('select pg_terminate_backend($1)', [pid]))
          await until(() =>
            db.detached(
              async () => (await db.scalar('select count(*)::int from pg_stat_activity where pid = $1', [pid])) === 0,
            ),
          )
        }),
      )
      // The work has run: nobody may take it for a statement that can be sent again.
      expect(error).toMatchObject({ name: 'ConnectionLostError', outcome: 'unknown', retryable: false })
      expect(error.message).toContain('while the work of lock() ran')
    })
  },
  { connections: 3 },
)

test.skipIf(!wantedDrivers().includes('socket'))(
  'behind a transaction pooler a lock is one of a transaction, or refused',
  async () => {
    await using db = createDb(await databaseUrl(), { pooler: 'transaction' })

    expect(await db.lock('a', () => db.scalar(count), { until: 'transaction' })).toBe(1)
    expect(await db.transaction(() => db.lock('a', () => 'in'))).toBe('in')
    const refused = await caught(db.lock('a', () => {}))
    expect(refused).toBeInstanceOf(UsageError)
    expect((refused as Error).message).toContain("Use until: 'transaction'")
  },
)
