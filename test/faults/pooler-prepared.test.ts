/**
 * Statements prepared by name behind a transaction pooler, with `pooler: 'transaction'` and `prepare: true`: through PgBouncer 1.21 and
 * newer, which keeps them for its clients, and with older ones, which do not. PGBOUNCER names another program than that of the system.
 */

import {
  ConnectionLostError,
  createDb,
  type Db,
  type EngineOptions,
  InvalidOptionError,
  QueryError,
  SqlSyntaxError,
  StalePlanError,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { behind, type Behind } from '../support/behind.ts'
import { caught } from '../support/caught.ts'
import { freshDatabase, type FreshDatabase, onServer } from '../support/database.ts'
import { hear } from '../support/events.ts'
import {
  hasPgBouncer,
  keepsStatements,
  pgBouncerVersion,
  type PgBouncer,
  type Pooler,
  startPgBouncer,
  startPooler,
  wrongAnswers,
} from '../support/pooler.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'

const sessions = 2

interface Place<P extends Pooler> extends Behind {
  readonly pooler: P
}

let names = 0

async function placeOf<P extends Pooler>(
  start: (target: string) => Promise<P>,
  options: EngineOptions,
): Promise<Place<P>> {
  const direct = await freshDatabase('create table t (n int, who text)')
  const pooler = await start(direct.url)
  return { ...behind(direct, pooler, { pooler: 'transaction', prepare: true, ...options }), pooler }
}

/** The texts that the sessions of the server have prepared: of each session, as the pooler hands them out. */
async function preparedBehind(db: Db): Promise<string[]> {
  const seen = new Set<string>()
  await Promise.all(
    Array.from({ length: sessions }, () =>
      db.transaction(async (tx) => {
        for (const { name, text } of await tx.all<{ name: string; text: string }>(
          'select name, statement as text from pg_prepared_statements',
        ))
          seen.add(`${name.replace(/_.*/, '')}: ${text.trim()}`)
      }),
    ),
  )
  return [...seen]
}

/** A scope issues a read of a locked table, a loop and a read, which goes out before the first was answered, or does not. */
async function issueTogether({ url, name }: FreshDatabase, pooler: Pooler, together: boolean): Promise<void> {
  await using proxy = await startProxy(pooler.url)
  await using db = createDb(proxy.url, { driver: 'socket', pooler: 'transaction', prepare: true, pool: { max: 1 } })
  await using holder = createDb(url)
  await using holding = await holder.acquire()
  const lock = await holding.begin()
  await lock.status('lock table t')
  const last = proxy.on({ to: 'server', text: 'as last', when: 'after' }, () => {})
  await db.scope(async (connection) => {
    const loop = async (): Promise<unknown[]> => {
      const rows: unknown[] = []
      // Only the server knows the type of the parameter.
      for await (const { n } of connection.iterate('select n from numbers where n < $1', [3])) rows.push(n)
      return rows
    }
    const answers = Promise.all([connection.all('select n from t'), connection.scalar('select 3 as last'), loop()])
    await until(async () => (await waitingFor(name)) === 1, { what: 'the first waits for the lock' })
    if (together) await until(() => last.link !== null, { what: 'the last went out' })
    else expect(last.link).toBeNull()
    await lock.rollback()

    expect(await answers).toEqual([[], 3, [1, 2]])
    expect(await connection.scalar('select 7')).toBe(7)
  })
}

async function waitingFor(database: string): Promise<number> {
  return (await onServer(`select from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'`, [database]))
    .length
}

for (const driver of ['pg', 'socket'] as const) {
  const place = (options: EngineOptions = {}, kept = 100): Promise<Place<PgBouncer>> =>
    placeOf((target) => startPgBouncer(target, sessions, kept), { driver, pool: { max: 10 }, ...options })

  const title = keepsStatements
    ? `PgBouncer ${pgBouncerVersion}, by ${driver}`
    : `PgBouncer 1.21 or newer, by ${driver}: not here, set PGBOUNCER to run it`
  describe.skipIf(!keepsStatements)(title, () => {
    test('statements of many callers on two sessions are prepared, and each is answered by its own parameters', async () => {
      await using at = await place()

      expect(await wrongAnswers(at.db, 20)).toEqual([])
      expect(await at.direct.query(`select count(*)::int as n from t where who = 'b'`)).toEqual([{ n: 400 }])
      expect(await preparedBehind(at.db)).toEqual(
        expect.arrayContaining([
          'PGBOUNCER: select $1::int + 0',
          'PGBOUNCER: select who from t where n = $1',
          'PGBOUNCER: insert into t values ($1, $2)',
        ]),
      )
    })

    test('nothing is told, and the probe stays nowhere', async () => {
      const name = `kept ${++names}`
      using heard = hear(name)
      await using at = await place({ name })
      await at.db.open()
      expect(await at.db.scalar('select 1')).toBe(1)
      expect(heard.notices).toEqual([])
      expect((await preparedBehind(at.db)).filter((text) => !text.startsWith('PGBOUNCER'))).toEqual([])
    })

    test('a table that is altered: no wrong row and no error outside of a transaction, and it is prepared again', async () => {
      await using at = await place()
      await at.direct.query(`insert into t values (1, 'a')`)
      const read = (): Promise<unknown> => at.db.all('select * from t')
      const many = (): Promise<unknown[]> => Promise.all(Array.from({ length: 8 }, read))
      await many()
      await many()
      for (const [change, row] of [
        ['add column x int default 5', { n: 1, who: 'a', x: 5 }],
        ['alter column n type text', { n: '1', who: 'a', x: 5 }],
        ['drop column who', { n: '1', x: 5 }],
        ['alter column x type bigint', { n: '1', x: 5 }],
        ['alter column n type bytea using n::bytea', { n: Buffer.from('1'), x: 5 }],
      ] as const) {
        await at.direct.query(`alter table t ${change}`)
        for (let round = 0; round < 4; round++) expect(await many()).toEqual(Array.from({ length: 8 }, () => [row]))
      }
      await many()
      expect(await preparedBehind(at.db)).toContain('PGBOUNCER: select * from t')
    })

    test('a session that parses it after a change gives other columns without an error: they are read as they come', async () => {
      await using at = await place()
      await at.direct.query(`insert into t values (1, 'a')`)
      await using reader = await at.db.acquire()
      await using other = await at.db.acquire()
      const read = 'select n from t'
      const session = 'select pg_backend_pid()'
      const home = await reader.transaction(async (tx) => {
        expect(await tx.scalar(read)).toBe(1)
        return tx.scalar(session)
      })
      await at.direct.query(`alter table t alter column n type text using '7' || n`)
      // The session that has it is taken, so another one has to answer.
      const held = await until(
        async () => {
          const tx = await other.begin()
          if ((await tx.scalar(session)) === home) return tx
          await tx.rollback()
          return null
        },
        { what: 'the other one has the session' },
      )
      expect(await reader.scalar(read)).toBe('71')
      expect(await reader.scalar(read)).toBe('71')
      await held.rollback()
      expect(await Promise.all([1, 2, 3].map(() => at.db.scalar(read)))).toEqual(['71', '71', '71'])
    })

    test('inside a transaction a stale plan is a StalePlanError, and the transaction can be run again', async () => {
      await using at = await place()
      await at.direct.query(`insert into t values (1, 'a')`)
      const work = (): Promise<unknown> => at.db.transaction((tx) => tx.all('select * from t'))
      await Promise.all([work(), work(), work(), work()])
      await at.direct.query('alter table t add column x int')
      const failed: unknown[] = []
      await until(
        async () => {
          const error = await work().then(
            () => null,
            (thrown: unknown) => thrown,
          )
          if (error !== null) failed.push(error)
          return error === null
        },
        { what: 'it runs' },
      )
      expect(failed.length).toBeLessThanOrEqual(sessions)
      for (const error of failed) expect(error).toBeInstanceOf(StalePlanError)
      expect(await at.db.transaction((tx) => tx.all('select * from t'), { retry: 3 })).toEqual([
        { n: 1, who: 'a', x: null },
      ])
    })

    test('behind DDL in a transaction, committed or rolled back, statements mean what is there', async () => {
      await using at = await place()
      await at.direct.query(`insert into t values (1, 'a')`)
      const read = 'select * from t'
      for (let n = 0; n < 3; n++) expect(await at.db.all(read)).toEqual([{ n: 1, who: 'a' }])
      for (let n = 0; n < 3; n++)
        await at.db.transaction(async (tx) => {
          expect(await tx.all(read)).toEqual([{ n: 1, who: 'a' }])
          await tx.status('alter table t add column x int')
          expect(await tx.all(read)).toEqual([{ n: 1, who: 'a', x: null }])
          tx.raiseRollback()
        })
      expect(await at.db.transaction((tx) => tx.all(read))).toEqual([{ n: 1, who: 'a' }])
      for (const columns of ['5 as n', `'x'::text as n, 1 as m`])
        await at.db.transaction(async (tx) => {
          await tx.status(`create temporary table mine on commit drop as select ${columns}`)
          expect(await tx.all('select * from mine')).toHaveLength(1)
        })
    })

    test('a search_path of a scope and a role of a transaction have their own meaning, with other columns too', async () => {
      await using at = await place()
      await at.direct.query(
        `create schema a; create table a.t as select 'a' as x; create schema b; create table b.t as select 1 as y`,
      )
      await at.direct.query(`insert into t values (1, 'a')`)
      const seen = async (path: string): Promise<unknown> =>
        at.db.scope(
          async () => [await at.db.all('select * from t'), await at.db.transaction((tx) => tx.all('select * from t'))],
          { settings: { search_path: path } },
        )
      const wanted: Record<string, unknown> = { a: [{ x: 'a' }], b: [{ y: 1 }], public: [{ n: 1, who: 'a' }] }
      const paths = Array.from({ length: 30 }, (_, n) => ['a', 'b', 'public'][n % 3] as string)
      const rows = await Promise.all(paths.map(seen))
      expect(rows).toEqual(paths.map((path) => [wanted[path], wanted[path]]))
      expect(await at.db.all('select * from t')).toEqual(wanted['public'])
    })

    test('a text that the server refuses is refused again and again, and runs once it can', async () => {
      await using at = await place({ pool: { max: 1 } })
      for (let n = 0; n < 3; n++) {
        expect(await caught(at.db.all('select * from missing where n = $1', [n]))).toBeInstanceOf(SqlSyntaxError)
        const both = [1, 2, 3].map(() => caught(at.db.all('select * from missing where n = $1', [n])))
        for (const error of await Promise.all(both)) expect(error).toBeInstanceOf(SqlSyntaxError)
      }
      const connection = await at.db.scalar('select pg_backend_pid() > 0')
      expect(connection).toBe(true)
      await at.direct.query('create table missing as select 2 as n')
      for (let n = 0; n < 3; n++) expect(await at.db.all('select * from missing where n = $1', [2])).toEqual([{ n: 2 }])
      await at.direct.query('drop table missing')
      for (let n = 0; n < 3; n++) {
        const all = [1, 2, 3, 4].map(() => caught(at.db.all('select * from missing where n = $1', [2])))
        for (const error of await Promise.all(all)) expect(error).toMatchObject({ sqlState: '42P01' })
      }
      await at.direct.query('create table missing as select 2 as n')
      expect(await at.db.all('select * from missing where n = $1', [2])).toEqual([{ n: 2 }])
      expect(await preparedBehind(at.db)).toContain('PGBOUNCER: select * from missing where n = $1')
    })

    test('a unit that fails in its middle takes nothing with it that the pooler still believes in', async () => {
      await using at = await place({ pool: { max: 1 } })
      for (let n = 0; n < 3; n++) {
        await at.db
          .transaction(async (tx) => {
            await Promise.allSettled([
              tx.scalar('select 1 as first'),
              tx.scalar('select 1 / $1::int', [0]),
              tx.scalar(`select ${n} as third`),
              tx.scalar('select 4 as fourth'),
            ])
          })
          .catch(() => {})
        await caught(at.db.executeMany('select 1 / $1::int as each', [[1], [0], [2]]))
        expect(await at.db.scalar('select 4 as fourth')).toBe(4)
        expect(await at.db.scalar('select 1 / $1::int as each', [1])).toBe(1)
      }
    })

    test('parameters whose types the server has to say: lists, objects, enums, with NULL before and behind', async () => {
      await using at = await place()
      await at.direct.query(
        `create type mood as enum ('sad', 'fine'); create table m (id int, moods mood[], tags int[], data jsonb)`,
      )
      const insert = 'insert into m values ($1, $2, $3, $4)'
      const rows: unknown[][] = [
        [1, null, null, null],
        [2, ['sad'], [1, 2], { a: [1] }],
        [3, [], [], []],
        [4, null, [3], { b: 2 }],
        [5, ['fine', 'sad'], null, null],
      ]
      for (let round = 0; round < 2; round++) {
        await at.db.executeMany(insert, rows)
        await Promise.all(rows.map((row) => at.db.status(insert, row)))
      }
      const wanted = rows.map(([id, moods, tags, data]) => ({ id, moods, tags, data, times: 4 }))
      const read =
        'select id, moods::text[] as moods, tags, data, count(*)::int as times from m group by 1, 2, 3, 4 order by 1'
      expect(await at.db.all(read)).toEqual(wanted)
      expect(await at.db.all('select id from m where id = any($1) group by id order by id', [[2, 4]])).toEqual([
        { id: 2 },
        { id: 4 },
      ])
      await at.direct.query('alter table m alter column tags type jsonb using to_jsonb(tags)')
      await at.db.status(insert, [6, null, [], []])
      await at.db.status(insert, [7, null, [1], null])
      await at.db.executeMany(insert, [[8, null, [], null]])
      expect(await at.db.all('select id, tags from m where id > 5 order by id')).toEqual([
        { id: 6, tags: [] },
        { id: 7, tags: [1] },
        { id: 8, tags: [] },
      ])
    })

    test('a column whose type is altered: parameters are read as of the new type, and a bad value changes nothing', async () => {
      await using at = await place({ pool: { max: 1 } })
      const insert = 'insert into t (n) values ($1)'
      for (let n = 0; n < 3; n++) await at.db.status(insert, [n])
      for (let n = 0; n < 3; n++) expect(await caught(at.db.status(insert, ['x']))).toMatchObject({ sqlState: '22P02' })
      await at.db.status(insert, [3])
      expect((await preparedBehind(at.db)).filter((text) => text.includes('insert'))).toEqual([`PGBOUNCER: ${insert}`])
      expect(
        await at.db.transaction((tx) => tx.all('select statement from pg_prepared_statements')),
      ).not.toContainEqual({
        statement: `${insert}\n`,
      })
      await at.direct.query('alter table t alter column n type text')
      for (const value of ['x', 'y', 'z']) await at.db.status(insert, [value])
      await at.db.transaction((tx) => tx.status(insert, ['in a transaction']))
      await at.direct.query('alter table t alter column n type jsonb using to_jsonb(n)')
      for (let n = 0; n < 3; n++) await at.db.status(insert, [n])
      await at.db.transaction((tx) => tx.status(insert, ['5']))
      expect(await at.direct.query('select count(*)::int as n from t')).toEqual([{ n: 12 }])
    })

    test('more texts than are kept, here and by the pooler', async () => {
      await using at = await place({ statementCacheSize: 3 }, 2)
      const ask = async (n: number): Promise<unknown> => [
        await at.db.scalar(`select $1::int + ${n % 9}`, [n]),
        await at.db.transaction((tx) =>
          Promise.all([tx.scalar(`select $1::int * ${n % 7}`, [n]), tx.scalar(`select $1::int - ${n % 5}`, [n])]),
        ),
      ]
      const asked = Array.from({ length: 120 }, (_, n) => n)
      expect(await Promise.all(asked.map(ask))).toEqual(asked.map((n) => [n + (n % 9), [n * (n % 7), n - (n % 5)]]))
    })

    test('cursors, several statements in one text and nested transactions stand beside it', async () => {
      await using at = await place()
      for (let n = 0; n < 3; n++) {
        const rows: unknown[] = []
        for await (const row of at.db.iterate('select n from generate_series(1, $1::int) as s (n)', [7], {
          batchSize: 3,
        }))
          rows.push(row['n'])
        expect(rows).toEqual([1, 2, 3, 4, 5, 6, 7])
        expect((await at.db.status('select 1; select 2 as n')).rows).toEqual([{ n: 2 }])
        await at.db.transaction(async (tx) => {
          await tx.transaction(async (inner) => {
            await inner.scalar('select $1::int', [n])
            inner.raiseRollback()
          })
          expect(await tx.scalar('select $1::int', [n])).toBe(n)
          expect(await tx.first('select n from generate_series(1, 3) as s (n)')).toEqual({ n: 1 })
        })
      }
    })

    test('prebake prepares what was baked, and tells what the server refuses', async () => {
      const name = `prebaked ${++names}`
      using heard = hear(name)
      await using at = await place({ name, prebake: true, pool: { max: 1 } })
      const one = at.db.bake<{ n: number }, [number]>(`select $1::int as n, 'prebaked'`)
      const list = at.db.bake<{ n: boolean }, [number[]]>('select 1 = any($1::int[]) as n')
      const missing = at.db.bake<{ n: number }>('select n from later')
      await at.db.open()
      expect(await preparedBehind(at.db)).toContain(`PGBOUNCER: select $1::int as n, 'prebaked'`)
      expect(heard.notices.map(({ code }) => code)).toEqual(['prebake-failed'])
      for (let n = 0; n < 3; n++) {
        expect(await one.scalar([n])).toBe(n)
        expect(await list.scalar([[n]])).toBe(n === 1)
        expect(await caught(missing.all())).toMatchObject({ sqlState: '42P01' })
      }
      await at.direct.query('create table later as select 1 as n')
      expect(await missing.scalar()).toBe(1)
    })

    test('DEALLOCATE ALL takes all away, and they are prepared again', async () => {
      const name = `taken ${++names}`
      using heard = hear(name)
      await using at = await place({ name, pool: { max: 2 } })
      for (let n = 0; n < 4; n++) {
        expect(await Promise.all([1, 2].map((each) => at.db.scalar('select $1::int + 1', [each])))).toEqual([2, 3])
        await at.db.status(n % 2 === 0 ? 'deallocate all' : 'discard all')
      }
      expect(await Promise.all([1, 2].map((each) => at.db.scalar('select $1::int + 1', [each])))).toEqual([2, 3])
      // PgBouncer 1.21 does not see that they are gone.
      if (!pgBouncerVersion.startsWith('1.21.')) expect(heard.notices).toEqual([])
    })

    const text = 'select $1::int + 1'

    test('a pooler that stops keeping them: what runs alone goes on, unnamed, and it is told once', async () => {
      const name = `stopped ${++names}`
      using heard = hear(name)
      await using at = await place({ name, pool: { max: 1 } })
      expect(await at.db.scalar(text, [1])).toBe(2)
      await at.pooler.keep(0)
      expect(await Promise.all([1, 2, 3].map((n) => at.db.scalar(text, [n])))).toEqual([2, 3, 4])
      for (let n = 0; n < 5; n++) expect(await at.db.transaction((tx) => tx.scalar(text, [1]))).toBe(2)
      expect(heard.notices.map(({ code }) => code)).toEqual(['statements-unprepared'])
    })

    test.runIf(driver === 'socket')(
      'what a scope issues outside of a transaction goes out without waiting for the answer in front of it',
      async () => {
        await using at = await place()
        await at.direct.query('create table numbers as select n from generate_series(1, 5) as s (n)')
        await issueTogether(at.direct, at.pooler, true)
      },
    )

    test('a pooler that stops keeping them inside a transaction: it fails with the advice, the next runs unnamed', async () => {
      const name = `stopped ${++names}`
      using heard = hear(name)
      await using at = await place({ name, pool: { max: 1 } })
      const work = (between: () => Promise<void>): Promise<unknown> =>
        at.db.transaction(async (tx) => {
          await tx.status('insert into t values (1)')
          await between()
          return tx.scalar(text, [1])
        })
      const nothing = async (): Promise<void> => {}
      expect(await work(nothing)).toBe(2)
      const error = await caught(work(() => at.pooler.keep(0)))
      expect(error).toBeInstanceOf(QueryError)
      expect(error).toMatchObject({ sqlState: '26000', outcome: 'rolled_back' })
      expect(error.message).toContain('prepare: true only if')
      for (let n = 0; n < 3; n++) expect(await work(nothing)).toBe(2)
      expect(await at.direct.query('select count(*)::int as n from t')).toEqual([{ n: 4 }])
      expect(heard.notices.map(({ code }) => code)).toEqual(['statements-unprepared'])
    })

    test('a pooler that stops keeping them between two transactions: the next one begins again, unnamed', async () => {
      const name = `stopped ${++names}`
      using heard = hear(name)
      await using at = await place({ name, pool: { max: 1 } })
      const work = (): Promise<unknown> =>
        at.db.transaction(async (tx) => {
          await tx.status('insert into t values (1)')
          return tx.scalar(text, [1])
        })
      expect(await work()).toBe(2)
      await at.pooler.keep(0)
      for (let n = 0; n < 3; n++) expect(await work()).toBe(2)
      expect(await at.direct.query('select count(*)::int as n from t')).toEqual([{ n: 4 }])
      expect(heard.notices.map(({ code }) => code)).toEqual(['statements-unprepared'])
    })
  })

  describe.skipIf(!hasPgBouncer)(`a PgBouncer that keeps none, ${pgBouncerVersion}, by ${driver}`, () => {
    test('is noticed before anything runs: statements run unnamed, none is refused, and it is told once', async () => {
      const name = `old ${++names}`
      using heard = hear(name)
      await using at = await place({ name }, 0)
      const baked = at.db.bake<{ n: number }, [number]>('select $1::int as n')
      const ask = async (n: number): Promise<unknown> => [
        await at.db.scalar('select $1::int + 1', [n]),
        await at.db.transaction(async (tx) => [
          await tx.scalar('select $1::int + 1', [n]),
          await tx.scalar('select 7'),
        ]),
        await baked.scalar([n]),
      ]
      const asked = Array.from({ length: 60 }, (_, n) => n)
      expect(await Promise.all(asked.map(ask))).toEqual(asked.map((n) => [n + 1, [n + 1, 7], n]))

      expect(heard.notices.map(({ code, places }) => [code, places.length])).toEqual([['statements-unprepared', 1]])
      expect(heard.notices[0]?.message).toContain('max_prepared_statements')
      expect(await preparedBehind(at.db)).toEqual([])
    })

    test.runIf(driver === 'socket')(
      'is not known to hold its session, so what a scope issues waits for the answer in front of it',
      async () => {
        await using at = await place({}, 0)
        await at.direct.query('create table numbers as select n from generate_series(1, 5) as s (n)')
        await issueTogether(at.direct, at.pooler, false)
      },
    )

    test('prebake prepares nothing there', async () => {
      await using at = await place({ prebake: true }, 0)
      const baked = at.db.bake<{ n: number }, [number]>('select $1::int as n')
      expect(await baked.scalar([1])).toBe(1)
      expect(await preparedBehind(at.db)).toEqual([])
    })
  })

  describe(`a pooler that ends connections over names, by ${driver}`, () => {
    test('is noticed when the first connection is opened, which is opened again', async () => {
      const name = `refusing ${++names}`
      using heard = hear(name)
      await using at = await placeOf((target) => startPooler(target, sessions), { driver, name, pool: { max: 3 } })
      await at.db.open()
      const ask = (): Promise<unknown> => at.db.scalar('select $1::int + 1', [1])
      expect(await Promise.all([ask(), ask(), ask()])).toEqual([2, 2, 2])
      expect(heard.notices.map(({ code }) => code)).toEqual(['statements-unprepared'])
    })
  })
}

test('a server without a pooler says the same, because it has the names as they were given', async () => {
  const name = `direct ${++names}`
  using heard = hear(name)
  await using direct = await freshDatabase()
  await using db = createDb(direct.url, { name, pooler: 'transaction', prepare: true })
  expect(await db.scalar('select 1')).toBe(1)
  expect(heard.notices.map(({ code }) => code)).toEqual(['statements-unprepared'])
  expect(await db.scalar('select count(*)::int from pg_prepared_statements')).toBe(0)
})

test('a lost server is no pooler that keeps nothing', async () => {
  const name = `gone ${++names}`
  using heard = hear(name)
  await using direct = await freshDatabase()
  const pooler = await startPooler(direct.url, 1)
  await pooler[Symbol.asyncDispose]()
  await using db = createDb(pooler.url, { name, pooler: 'transaction', prepare: true })
  expect(await caught(db.open())).not.toBeInstanceOf(ConnectionLostError)
  expect(heard.notices).toEqual([])
})

test('it is refused where nothing can be prepared by name, and prebake without it', async () => {
  const refusal = async (options: EngineOptions): Promise<string> => {
    const error = await caught(createDb({ pooler: 'transaction', ...options }).open())
    expect(error).toBeInstanceOf(InvalidOptionError)
    return error.message
  }
  expect(await refusal({ prebake: true })).toContain('"prebake" of the engine contradicts pooler without prepare: true')
  expect(await refusal({ prepare: true, memory: true })).toContain(
    '"prepare" of the engine is not possible with pooler',
  )
})
