/** Behind a pooler that lends sessions for one transaction at a time, with `pooler: 'transaction'`. */

import {
  type Connection,
  createDb,
  type Db,
  type EngineOptions,
  InvalidOptionError,
  QueryTimeoutError,
  TransactionStateError,
  TransactionTimeoutError,
  UsageError,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { behind, type Behind } from '../support/behind.ts'
import { caught } from '../support/caught.ts'
import { freshDatabase, onServer } from '../support/database.ts'
import { fake } from '../support/fake.ts'
import { hasOdyssey, startOdyssey } from '../support/odyssey.ts'
import { hasPgBouncer, pgBouncerVersion, startPgBouncer, startPooler, wrongAnswers } from '../support/pooler.ts'
import { until } from '../support/until.ts'

const sessions = 2
const who = `select coalesce(current_setting('app.who', true), '')`

interface Place extends Behind {
  /** The URL by way of the pooler. */
  readonly pooled: string
}

const kinds = [
  ['the pooler of this file', true, startPooler],
  ['PgBouncer', hasPgBouncer, startPgBouncer],
  ['Odyssey', hasOdyssey, startOdyssey],
] as const

for (const [name, there, start] of kinds) {
  const place = async (options: EngineOptions = {}): Promise<Place> => {
    const direct = await freshDatabase('create table t (n int, who text)')
    const pooler = await start(direct.url, sessions)
    const at = behind(direct, pooler, { pooler: 'transaction', ...options, pool: { max: 10, ...options.pool } })
    await at.db.open()
    return { ...at, pooled: pooler.url }
  }

  describe.skipIf(!there)(name, () => {
    test.skipIf(name !== 'PgBouncer')(
      'a start-up parameter it does not know is refused with the option to use',
      async () => {
        await using at = await place()
        const error = await caught(createDb(at.pooled, { settings: { work_mem: '1MB' } }).open())

        expect(error.message).toContain("set the option pooler: 'transaction'")
      },
    )

    test('whoever does not say so learns it from the first error that only a pooler explains', async () => {
      await using at = await place()
      await using unaware = createDb(at.pooled, { pool: { max: 3 } })
      const refused: string[] = []
      const ask = (client: Connection): Promise<unknown> =>
        client.scalar('select $1::int + 1', [1]).catch((error: unknown) => refused.push(String(error)))
      await using first = await unaware.acquire()
      await using second = await unaware.acquire()
      await using third = await unaware.acquire()
      await ask(first)
      // The two sessions are in the hands of the others, and in one of them the statement has been prepared by `first`.
      const open = [await second.begin(), await third.begin()]
      await Promise.all([ask(second), ask(third)])
      for (const tx of open) await tx.rollback()

      expect(refused.length).toBeGreaterThan(0)
      for (const message of refused) expect(message).toContain("set the option pooler: 'transaction'")
      await using told = createDb(`${at.pooled}?pgbouncer=true`)
      expect(await told.scalar('select $1::int + 1', [1])).toBe(2)
    })

    test('without the option what needs a session is refused, so nothing reaches others', async () => {
      await using at = await place()
      await using unaware = createDb(at.pooled, { prepare: false, pool: { max: 5 } })
      const asked = Array.from({ length: 20 }, (_, n) => async () => {
        const error = await caught(unaware.scope(() => unaware.scalar(who), { settings: { 'app.who': `${n}` } }))
        expect(error).toBeInstanceOf(UsageError)
        expect(error.message).toContain("Set the option pooler: 'transaction'")
        expect(await unaware.scalar(who)).toBe('')
      })
      await Promise.all(asked.map((ask) => ask()))
      expect(await Promise.all([1, 2, 3, 4].map(() => at.db.scalar(who)))).toEqual(['', '', '', ''])
    })

    test('fifty workers on two sessions: every statement is answered, and by its own parameters', async () => {
      await using at = await place()

      expect(await wrongAnswers(at.db, 50)).toEqual([])
      expect(await at.direct.query(`select count(*)::int as n from t where who = 'b'`)).toEqual([{ n: 1000 }])
      expect(await at.direct.query('select count(*)::int as n from pg_prepared_statements')).toEqual([{ n: 0 }])
    })

    test('settings of a scope hold for each of its statements and transactions, and for nobody else', async () => {
      await using at = await place()
      const leaks: unknown[] = []
      const wrong: unknown[] = []
      const tenant = async (id: string): Promise<void> => {
        for (let n = 0; n < 5; n++)
          await at.db.scope(
            async (connection) => {
              const see = async (value: Promise<unknown>): Promise<void> => {
                const seen = await value
                if (seen !== id) wrong.push([id, seen])
              }
              await see(at.db.scalar(who))
              await see(connection.scalar(who))
              await Promise.all([see(at.db.scalar(who)), see(at.db.scalar(who))])
              await at.db.transaction(async (tx) => {
                await see(tx.scalar(who))
                await tx.transaction(async (inner) => {
                  await see(inner.scalar(who))
                  inner.raiseRollback()
                })
                await see(tx.scalar(who))
              })
              await at.db.transaction((tx) => tx.transaction((inner) => see(inner.scalar(who))))
              await at.db.transaction((tx) => see(tx.status(`select 1; ${who} as who`).then((s) => s.rows[0]?.['who'])))
              await at.db.status('insert into t select 1, current_setting($1)', ['app.who'])
              await see(at.db.executeMany('select $1::int', [[1], [2]]).then(() => at.db.scalar(who)))
              for await (const row of at.db.iterate(`${who} as who from generate_series(1, 3)`, [], { batchSize: 1 }))
                await see(Promise.resolve(row['who']))
              await using own = await at.db.acquire()
              await see(own.scalar(who))
              await own.status('begin')
              await see(own.scalar(who))
              await own.status('rollback')
              await using manual = await own.begin()
              await see(manual.scalar(who))
            },
            { settings: { 'app.who': id } },
          )
      }
      const nobody = async (): Promise<void> => {
        for (let n = 0; n < 40; n++) {
          const seen = await at.db.scalar(who)
          if (seen !== '') leaks.push(seen)
        }
      }
      await Promise.all([...['1', '2', '3', '4', '5'].map(tenant), nobody(), nobody()])

      expect(wrong).toEqual([])
      expect(leaks).toEqual([])
      expect(await at.direct.query('select who, count(*)::int as n from t group by who order by who')).toEqual(
        ['1', '2', '3', '4', '5'].map((each) => ({ who: each, n: 5 })),
      )
    })

    test('several statements in one text have no settings outside of a transaction, and are refused', async () => {
      await using at = await place()
      await at.db.scope(
        async () => {
          const error = await caught(at.db.status(`select 1; ${who}`))
          expect(error).toBeInstanceOf(TransactionStateError)
          expect(await at.db.scalar(who)).toBe('7')
        },
        { settings: { 'app.who': '7' } },
      )
      expect((await at.db.status('select 1; select 2 as n')).rows).toEqual([{ n: 2 }])
    })

    test.each([
      `set app.who = '7'`,
      `select 1; set app.who = '7'`,
      'set role pg_monitor',
      `select set_config('app.who', '7', false)`,
      'create temporary table mine (n int)',
      'listen news',
      'select pg_advisory_lock(4711)',
      'declare held cursor with hold for select 1',
      'prepare mine as select 1',
    ])('what would stay with a session is refused everywhere: %s', async (text) => {
      await using at = await place()
      const refused = async (run: Pick<Db, 'status'>): Promise<void> => {
        const error = await caught(run.status(text))
        expect(error).toBeInstanceOf(UsageError)
        expect(error.message).toContain('pooler')
      }
      await refused(at.db)
      await at.db.scope(refused)
      await at.db.transaction(async (tx) => {
        await refused(tx)
        expect(await tx.scalar('select 7')).toBe(7)
      })
      await using connection = await at.db.acquire()
      await refused(connection)
    })

    test('what ends with its transaction is allowed', async () => {
      await using at = await place()
      await at.db.transaction(async (tx) => {
        await tx.status(`set local app.who = '7'`)
        await tx.scalar('select pg_advisory_xact_lock(4711)')
        await tx.status('create temporary table mine on commit drop as select 5 as n')
        expect(await tx.all(`select n, ${who.slice('select '.length)} as who from mine`)).toEqual([{ n: 5, who: '7' }])
      })
      expect(await Promise.all([1, 2, 3, 4].map(() => at.db.scalar(who)))).toEqual(['', '', '', ''])
    })

    test('a cursor behind a statement that is not answered yet does not lose the session of the server', async () => {
      await using at = await place({ pool: { max: 1 } })
      await at.direct.query('create table later (n int); insert into later values (1), (2), (3)')
      await using direct = createDb(at.direct.url)
      await using one = await direct.acquire()
      await using two = await direct.acquire()
      const [first, second] = [await one.begin(), await two.begin()]
      await first.status('lock table t')
      await second.status('lock table later')
      const waits = (): Promise<boolean> =>
        until(
          async () =>
            (
              await onServer(`select from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'`, [
                at.direct.name,
              ])
            ).length === 1,
        )
      const cursor = async (connection: Connection): Promise<unknown[]> => {
        const read: unknown[] = []
        // Only the server knows the type of the parameter.
        for await (const { n } of connection.iterate('select n from later where n < $1', [3])) read.push(n)
        return read
      }
      await at.db.scope(async (connection) => {
        const answer = connection.all('select n from t')
        const rows = cursor(connection)
        await waits()
        await first.rollback()

        expect(await answer).toEqual([])

        await waits()
        await second.rollback()

        expect(await rows).toEqual([1, 2])
        expect(await connection.scalar('select 7')).toBe(7)
      })
    })

    test('a COPY gives its session back when it has ended', async () => {
      await using at = await place()
      const copies = async (): Promise<void> => {
        expect(await at.db.copyFrom('t').from('1\ta\n')).toBe(1)
        await at.db.scope(async () => {
          expect(await at.db.copyFrom('t').from(['1\ta\n', '2\ta\n'])).toBe(2)
          expect(await at.db.scalar('select 7')).toBe(7)
        })
        await at.db.transaction(async () => {
          expect(await at.db.copyFrom('t').from('1\ta\n')).toBe(1)
          expect(await at.db.scalar('select 7')).toBe(7)
        })
        expect(await caught(at.db.copyFrom('missing').from('1\ta\n'))).toMatchObject({ sqlState: '42P01' })
        let bytes = 0
        for await (const piece of at.db.copyTo('t')) bytes += piece.length
        expect(bytes).toBeGreaterThan(0)
      }
      // More connections than sessions.
      await Promise.all(Array.from({ length: 4 }, copies))
      expect(await at.direct.query('select who, count(*)::int as n from t group by who')).toEqual([{ who: 'a', n: 16 }])
    })

    // These never take the session back from a client whose COPY has failed.
    const forgetful = start === startPgBouncer && ['1.21.0', '1.22.0'].includes(pgBouncerVersion)
    test.skipIf(forgetful)('a COPY that fails while it is sent gives its session back too', async () => {
      await using at = await place()
      const failing = function* (): Iterable<string> {
        yield '1\tb\n'
        throw new RangeError('no more')
      }
      const copies = async (): Promise<void> => {
        expect(await caught(at.db.copyFrom('t').from('x\ta\n'))).toMatchObject({ sqlState: '22P02' })
        expect(await caught(at.db.copyFrom('t').from(failing()))).toBeInstanceOf(RangeError)
        expect(await at.db.scalar('select count(*)::int from t')).toBe(0)
      }
      await Promise.all(Array.from({ length: 4 }, copies))
    })

    test('the isolation of the engine and the limit of idle transactions are set in each of them', async () => {
      await using at = await place({ isolation: 'serializable', transactionIdleTimeoutMs: 61_000 })
      const read = `select current_setting('transaction_isolation') || ' ' || current_setting('idle_in_transaction_session_timeout')`
      for (let n = 0; n < 4; n++) {
        expect(await at.db.transaction((tx) => tx.scalar(read))).toBe('serializable 61s')
        expect(await at.db.transaction((tx) => tx.scalar(read), { isolation: 'repeatable read' })).toBe(
          'repeatable read 61s',
        )
        expect(await at.db.scalar(read)).not.toContain('61s')
      }
    })

    test('a transaction that nobody ended is rolled back when its connection returns', async () => {
      await using at = await place()
      {
        await using connection = await at.db.acquire()
        await connection.status('begin')
        await connection.status('insert into t values (1)')
      }
      expect(await at.direct.query('select n from t')).toEqual([])
      expect(await Promise.all([1, 2, 3].map(() => at.db.scalar('select count(*)::int from t')))).toEqual([0, 0, 0])
    })

    test.skipIf(start === startPooler)(
      'a transaction that is idle for too long is told as such through it',
      async () => {
        await using at = await place()
        const error = await caught(
          at.db.transaction(
            async (tx) => {
              // A machine that stands still hears the answer and the end at once.
              const aborted = new Promise((resolve) => tx.signal.addEventListener('abort', resolve))
              await tx.status('insert into t values (1)')
              await aborted
              await tx.scalar('select 1')
            },
            { idleTimeoutMs: 80 },
          ),
        )
        expect(error).toBeInstanceOf(TransactionTimeoutError)
        expect(await at.db.scalar('select count(*)::int from t')).toBe(0)
      },
    )

    test('a connection that asked for a cancel is not used again', async () => {
      await using at = await place({ pool: { max: 1 } })
      expect(await caught(at.db.scalar('select 1 from pg_sleep(2)', [], { timeoutMs: 200 }))).toBeInstanceOf(
        QueryTimeoutError,
      )
      expect(await at.db.scalar('select 7')).toBe(7)
      await at.db.scope(async (connection) => {
        expect(await caught(connection.scalar('select 1 from pg_sleep(2)', [], { timeoutMs: 200 }))).toBeInstanceOf(
          QueryTimeoutError,
        )
      })
      expect(await at.db.scalar('select 8')).toBe(8)
      await until(() => at.db.stats().open === 1)
    })
  })
}

test('DDL and the like cost no reset, and settings travel with the statement', async () => {
  await using server = await fake({ tables: { t: [] } }, { pooler: 'transaction' })
  await server.db.status('alter table t add column n int')
  await server.db.scope(() => server.db.status('select 1'), { settings: { 'app.who': '7' } })
  await server.db.transaction(() => server.db.status('select 2'))

  expect(server.sent()).toEqual([
    'alter table t add column n int',
    'select set_config($1, $2, true); select 1',
    'BEGIN; select 2',
    'COMMIT',
  ])
})

test.each<[string, EngineOptions]>([
  ['settings', { settings: { search_path: 'x' } }],
  ['onConnect', { onConnect: () => {} }],
  ['prepare', { prepare: true, memory: true }],
  ['prebake', { prebake: true }],
  ['reset', { reset: 'always' }],
  ['pooler', { memory: true }],
  ['pooler', { pooler: 'statement' as 'transaction' }],
])('the option %s contradicts it', async (name, options) => {
  const error = await caught(createDb({ pooler: 'transaction', ...options }).open())
  expect(error).toBeInstanceOf(InvalidOptionError)
  expect(error.message).toContain(`"${name}"`)
})

test('so do options of the start-up packet in the URL', async () => {
  const db = createDb('postgres://a@localhost/b?options=-c%20role%3Dx', { pooler: 'transaction' })
  expect((await caught(db.open())).message).toContain('"options of the URL, or PGOPTIONS"')
})
