/** Statements prepared by name through PgBouncer after something has changed: tables, types, the search_path and roles. No row is wrong. */

import { SqlSyntaxError, StalePlanError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { keepsStatements, pgBouncerVersion } from '../support/pooler.ts'
import { until } from '../support/until.ts'
import { placeBehind, preparedBehind, sessions } from './prepared-behind.ts'

for (const driver of ['pg', 'socket'] as const) {
  const title = keepsStatements
    ? `PgBouncer ${pgBouncerVersion}, by ${driver}`
    : `PgBouncer 1.21 or newer, by ${driver}: not here, set PGBOUNCER to run it`
  describe.skipIf(!keepsStatements)(title, () => {
    test('a table that is altered: no wrong row and no error outside of a transaction, and it is prepared again', async () => {
      await using at = await placeBehind(driver)
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
      await using at = await placeBehind(driver)
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
      await using at = await placeBehind(driver)
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
      await using at = await placeBehind(driver)
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
      await using at = await placeBehind(driver)
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
      await using at = await placeBehind(driver, { pool: { max: 1 } })
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
      await using at = await placeBehind(driver, { pool: { max: 1 } })
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
      await using at = await placeBehind(driver)
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
      await using at = await placeBehind(driver, { pool: { max: 1 } })
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
  })
}
