/** The driver's own object is lent with the connection: neither side gets the answers of the other, and nothing of its use is left. */

import { type Connection, type Db, ReleasedConnectionError, UsageError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { doing, forEachDriver, pid, quiet, type TestedDriver } from '../support/matrix.ts'

/** What both `pg`'s client and PGlite have, and what PGlite has. */
interface Raw {
  query<T = Record<string, unknown>>(text: string, values?: unknown[]): Promise<{ rows: T[] }>
  transaction?(work: () => Promise<unknown>): Promise<unknown>
}

async function lent(connection: Connection): Promise<Raw> {
  return (await connection.rawConnection()) as Raw
}

/** The object is in use until `end()`. */
async function inUse(driver: TestedDriver, raw: Raw): Promise<{ over: Promise<unknown>; end: () => Promise<void> }> {
  if (raw.transaction !== undefined) {
    const open = gate()
    return { over: raw.transaction(() => open.promise), end: async () => open.open() }
  }
  const holder = await (await driver.single()).acquire()
  await holder.scalar('select pg_advisory_lock(4713)')
  return { over: raw.query('select pg_advisory_lock(4713)'), end: () => holder.release() }
}

const inOrder = async (db: Db): Promise<unknown[]> => {
  const seen: unknown[] = []
  for (let i = 1; i <= 4; i++) seen.push(await db.scalar(`select ${i}`))
  return seen
}

forEachDriver(
  (driver) => {
    test('a failed query of it is answered to the end before anybody else uses the connection', async () => {
      const db = await driver.single()
      for (let round = 0; round < 20; round++) {
        await caught(
          db.scope(async (connection) => {
            const raw = await lent(connection)
            await raw.query('create temp table t as select n from generate_series(1, 2000) n')
            await raw.query('select 1/0')
          }),
        )
        expect(await inOrder(db)).toEqual([1, 2, 3, 4])
      }
    })

    test('a query that nobody awaited is answered before the connection is lent again', async () => {
      const db = await driver.single()
      const connection = await db.acquire()
      const raw = await lent(connection)
      const late = [1, 2, 3].map((n) => raw.query(`select pg_sleep(0.02), ${n} as n`))
      await connection.release()

      expect((await Promise.all(late)).map(({ rows }) => rows[0]?.['n'])).toEqual([1, 2, 3])
      expect(await inOrder(db)).toEqual([1, 2, 3, 4])
    })

    test('its queries and statements of the connection each get their own answers', async () => {
      const db = await driver.single()
      const connection = await db.acquire()
      const raw = await lent(connection)

      const answers = await Promise.all(
        Array.from({ length: 30 }, (_, n) =>
          n % 3 === 0
            ? connection.scalar<number>('select $1::int', [n])
            : n % 3 === 1
              ? raw.query<{ n: number }>('select $1::int as n', [n]).then(({ rows }) => rows[0]?.n)
              : raw.query(`select ${n}/0`).catch((error: unknown) => (error as { code?: string }).code),
        ),
      )
      await connection.release()

      expect(answers).toEqual(Array.from({ length: 30 }, (_, n) => (n % 3 === 2 ? '22012' : n)))
      expect(await inOrder(db)).toEqual([1, 2, 3, 4])
    })

    test('what it does before the first statement of a transaction belongs to the transaction', async () => {
      const db = await driver.single()
      const table = await driver.table('what text')
      await caught(
        db.transaction(async (tx) => {
          await (await lent(tx.connection)).query(`insert into ${table} values ('raw')`)
          throw new Error('stop')
        }),
      )
      expect(await db.scalar(`select count(*)::int from ${table}`)).toBe(0)

      await db.transaction(async (tx) => {
        const raw = await lent(tx.connection)
        await caught(
          tx.transaction(async () => {
            await raw.query(`insert into ${table} values ('inner')`)
            throw new Error('stop')
          }),
        )
        await raw.query(`insert into ${table} values ('outer')`)
      })
      expect(await db.all(`select what from ${table}`)).toEqual([{ what: 'outer' }])
    })

    test('in a nested transaction without a statement of its own it belongs to that one', async () => {
      const db = await driver.single()
      const table = await driver.table('what text')
      await db.transaction(async (tx) => {
        await caught(
          tx.transaction(async (inner) => {
            await (await lent(inner.connection)).query(`insert into ${table} values ('inner')`)
            throw new Error('stop')
          }),
        )
      })
      expect(await db.scalar(`select count(*)::int from ${table}`)).toBe(0)
    })

    test('transactions that begin while it is lent hold what it does', async () => {
      const db = await driver.single()
      const table = await driver.table('what text')
      const connection = await db.acquire()
      const raw = await lent(connection)
      await caught(
        connection.transaction(async () => {
          await raw.query(`insert into ${table} values ('managed')`)
          throw new Error('stop')
        }),
      )
      const manual = await connection.begin()
      await raw.query(`insert into ${table} values ('manual')`)
      await manual.rollback()
      await connection.transaction(() => raw.query(`insert into ${table} values ('kept')`))
      await connection.release()

      expect(await db.all(`select what from ${table}`)).toEqual([{ what: 'kept' }])
    })

    test('a failure of it in a transaction is told by commit, and nothing is committed', async () => {
      const db = await driver.single()
      const table = await driver.table('what text')
      const failed = async (awaited: boolean): Promise<Error> =>
        caught(
          db.transaction(async (tx) => {
            await tx.status(`insert into ${table} values ('engine')`)
            const asked = (await lent(tx.connection)).query('select 1/0').catch(() => {})
            if (awaited) await asked
          }),
        )

      expect(await failed(true)).toMatchObject({ name: 'TransactionAbortedError', outcome: 'rolled_back' })
      expect(await failed(false)).toMatchObject({ name: 'TransactionAbortedError', outcome: 'rolled_back' })
      expect(await db.scalar(`select count(*)::int from ${table}`)).toBe(0)
    })

    test('when it ends the transaction, nothing more runs in its name', async () => {
      const db = await driver.single()
      const table = await driver.table('what text')
      const error = await caught(
        db.transaction(async (tx) => {
          const raw = await lent(tx.connection)
          await raw.query('rollback')
          await tx.status(`insert into ${table} values ('outside')`)
        }),
      )

      expect(error.name).toMatch(/^Transaction(State|Aborted)Error$/)
      expect(await db.scalar(`select count(*)::int from ${table}`)).toBe(0)
    })

    test('a transaction that it leaves open is rolled back with the release', async () => {
      const db = await driver.single()
      const table = await driver.table('what text')
      await db.scope(async (connection) => {
        const raw = await lent(connection)
        await raw.query('begin')
        await raw.query(`insert into ${table} values ('raw')`)
        // It is not the engine's to end, while somebody may go on with it.
        expect(await connection.scalar(`select count(*)::int from ${table}`)).toBe(1)
        expect((await raw.query(`select count(*)::int as n from ${table}`)).rows).toEqual([{ n: 1 }])
      })
      expect(await db.scalar(`select count(*)::int from ${table}`)).toBe(0)
    })

    test('the settings of the scope hold for it, also after a rollback', async () => {
      const db = await driver.single()
      const who = `select current_setting('app.who', true) as who`
      await db.scope(
        async (connection) => {
          await caught(
            connection.transaction(async (tx) => {
              expect((await (await lent(tx.connection)).query(who)).rows).toEqual([{ who: '7' }])
              throw new Error('stop')
            }),
          )
          expect((await (await lent(connection)).query(who)).rows).toEqual([{ who: '7' }])
        },
        { settings: { 'app.who': '7' } },
      )
      expect(await db.scalar(`select coalesce(current_setting('app.who', true), '')`)).toBe('')
    })

    test('settings, prepared statements, listeners and tables that it leaves are gone with the release', async () => {
      const db = await driver.single()
      await db.all('select 1 as known where $1::int = 1', [1])
      await db.scope(async (connection) => {
        const raw = await lent(connection)
        for (const text of [
          `set application_name = 'mine'`,
          'create temp table mine (n int)',
          'listen mine',
          'select pg_advisory_lock(4711)',
          'prepare mine as select 1',
          'declare mine cursor with hold for select 1',
        ])
          await raw.query(text)
      })
      expect(
        await db.one(`select current_setting('application_name') as name, to_regclass('pg_temp.mine') as temporary,
        (select count(*)::int from pg_listening_channels()) as channels,
        (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
        (select count(*)::int from pg_cursors where name = 'mine') as cursors,
        (select count(*)::int from pg_prepared_statements where name = 'mine') as prepared`),
      ).toMatchObject({ temporary: null, channels: 0, locks: 0, cursors: 0, prepared: 0 })
      expect(await db.all('select 1 as known where $1::int = 1', [1])).toEqual([{ known: 1 }])
    })

    test('statements that it has deallocated are prepared again', async () => {
      const db = await driver.single()
      const connection = await db.acquire()
      const ask = (): Promise<unknown> => connection.scalar('select $1::int + 1', [1])
      expect(await ask()).toBe(2)
      await (await lent(connection)).query('deallocate all')
      await connection.release()
      expect(await db.transaction(() => db.scalar('select $1::int + 1', [1]))).toBe(2)
    })

    test('after the release it is of no use, and with another loan it is another', async () => {
      const db = await driver.single()
      const first = await db.acquire()
      expect(() => (first.raw as Raw).query('select 1')).toThrow(UsageError)
      const raw = await lent(first)
      expect(await lent(first)).toBe(raw)
      expect(first.raw).toBe(raw)
      await first.release()
      const other = await db.acquire()
      const others = await lent(other)

      expect(() => raw.query('set role pg_monitor')).toThrow(ReleasedConnectionError)
      expect((await others.query('select 1 as n')).rows).toEqual([{ n: 1 }])
      await other.release()
    })

    test('a connection whose object does not come to an end is closed', async () => {
      const db = await driver.db({ pool: { max: 1 }, resetTimeoutMs: 300 })
      const connection = await db.acquire()
      const { over, end } = await inUse(driver, await lent(connection))
      const ended = over.then(
        () => 'answered',
        () => 'failed',
      )
      const since = performance.now()
      await connection.release()
      expect(performance.now() - since).toBeGreaterThan(250)
      await end()

      expect(await ended).toBe(driver.name === 'pg' ? 'failed' : 'answered')
      expect(await inOrder(db)).toEqual([1, 2, 3, 4])
    })

    test('a statement waits for it for the time of any wait, then it is refused without having been sent', async () => {
      const db = await driver.db({ pool: { max: 1, acquireTimeoutMs: 200 }, resetTimeoutMs: 10_000 })
      const connection = await db.acquire()
      const { over, end } = await inUse(driver, await lent(connection))

      expect(await caught(connection.scalar('select 1'))).toMatchObject({
        name: 'AcquireTimeoutError',
        outcome: 'not_started',
      })
      await end()
      await over
      expect(await connection.scalar('select 2')).toBe(2)
      await connection.release()
    })

    test('a statement whose own time runs out while it waits for it is not sent', async () => {
      const db = await driver.single()
      const table = await driver.table('what text')
      const connection = await db.acquire()
      const { over, end } = await inUse(driver, await lent(connection))
      const late = caught(connection.status(`insert into ${table} values ('late')`, [], { timeoutMs: 50 }))

      expect((await late).name).toBe('QueryTimeoutError')
      await end()
      await over
      await connection.release()
      expect(await db.scalar(`select count(*)::int from ${table}`)).toBe(0)
    })

    test('onConnect may use it, and what it sets is kept', async () => {
      const db = await driver.db({
        pool: { max: 1 },
        onConnect: async (connection) => {
          await (await lent(connection)).query(`set application_name = 'raw'`)
        },
      })
      expect(await db.scalar(`select current_setting('application_name')`)).toBe('raw')
      await db.scope(async (connection) => {
        await (await lent(connection)).query(`set application_name = 'other'`)
      })
      expect(await db.scalar(`select current_setting('application_name')`)).toBe('raw')
    })

    test('a connection whose object fails or ends it is lost, and the next one is another', async () => {
      if (driver.name === 'pglite') return
      const db = await driver.single()
      const before = await pid(db)
      const connection = await db.acquire()
      const raw = (await connection.rawConnection()) as Raw & { end(): Promise<void> }
      await raw.end()
      await quietly(() => connection.scalar('select 1'))
      await connection.release()

      expect(await pid(db)).not.toBe(before)
      await quiet(db)
      expect(doing(db)).toMatch(/^0 lent/)
    })
  },
  { lends: true },
)

async function quietly(work: () => Promise<unknown>): Promise<void> {
  await work().catch(() => {})
}
