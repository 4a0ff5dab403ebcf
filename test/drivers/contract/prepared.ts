/** What every PostgreSQL driver prepares: how often, how much, and what happens when it is stale or gone. */

import { describe, expect, test } from 'vitest'
import type { ContractTest } from './contract.ts'

export function preparedStatements({ name, open, table }: ContractTest): void {
  describe(`${name}: prepared statements`, () => {
    const known = 'select count(*) from pg_prepared_statements'

    test('a named statement is parsed once', async () => {
      const c = await open()
      const statement = c.named('select $1::int as a')
      for (let i = 0; i < 3; i++) expect(await c.rows(statement, [i])).toEqual([{ a: i }])

      expect(await c.value(`${known} where statement = 'select $1::int as a'`)).toBe(1)
    })

    test('one unit may use a new statement twice', async () => {
      const c = await open()
      const statement = c.named('select $1::int as a')

      expect(await c.unit(c.op(statement, [1]), c.op(statement, [2]))).toEqual(['SELECT 1', 'SELECT 1'])
      expect(await c.value(`${known} where statement = 'select $1::int as a'`)).toBe(1)
    })

    test('one that could not be parsed is not remembered', async () => {
      const c = await open()
      const t = table()
      const statement = c.named(`select * from ${t}`)

      expect((await c.run(statement)).end).toBe('server 42P01 rolled_back')
      await c.run(`create table ${t} (a int)`)
      expect((await c.run(statement)).end).toBe('SELECT 0')
    })

    test('one whose result has changed runs again by itself outside a transaction', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} as select 1 as a`)
      const statement = c.named(`select * from ${t}`)
      await c.run(statement)
      await c.run(`alter table ${t} add b text default 'new'`)

      expect(await c.rows(statement)).toEqual([{ a: 1, b: 'new' }])
      await c.run(`alter table ${t} alter a type text`)
      expect(await c.rows(statement)).toEqual([{ a: '1', b: 'new' }])
      expect(c.told.filter((what) => what === 'idle').length).toBe(6)
    })

    test('one whose parameters have become of other types runs again by itself outside a transaction', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int)`)
      await c.run(`create function ${t}_alter() returns trigger language plpgsql as $$ begin
        execute 'alter table ${t} alter a type ' || new.wanted; return new; end $$`)
      await c.run(`create table ${t}_fired (wanted text)`)
      await c.run(`create trigger alters after insert on ${t}_fired for each row execute function ${t}_alter()`)
      // Nobody can see that it alters anything.
      const becomes = (type: string): Promise<unknown> => c.run(`insert into ${t}_fired values ('${type}')`)
      const insert = c.named(`insert into ${t} values ($1)`)
      const find = c.named(`select count(*) from ${t} where a = any($1)`)
      const unnamed = c.plain(`insert into ${t} values ($1) `)
      const all = async (value: unknown): Promise<string[]> =>
        [await c.run(insert, [value]), await c.run(unnamed, [value]), await c.run(find, [[value]])].map(
          ({ end }) => end,
        )
      const well = ['INSERT 1', 'INSERT 1', 'SELECT 1']
      expect(await all(7)).toEqual(well)
      await becomes('bigint')
      expect(await all(5_000_000_000)).toEqual(well)
      await becomes('numeric')
      expect(await all('1.5')).toEqual(well)
      await becomes('text')
      expect(await all('x')).toEqual(well)
      expect(await all('y')).toEqual(well)

      await becomes('int using 1')
      expect(await all('z')).toEqual(Array(3).fill('server 22P02 rolled_back'))
      expect(await all(8)).toEqual(well)
      await becomes('bigint')
      expect(await c.unit('begin', c.op(insert, [5_000_000_001]))).toEqual(['BEGIN', 'server 22003 rolled_back'])
      await c.run('rollback')
      expect(await c.unit('begin', c.op(insert, [5_000_000_001]), 'commit')).toEqual(['BEGIN', 'INSERT 1', 'COMMIT'])
    })

    test('inside a transaction it fails, and works in the next', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} as select 1 as a`)
      await c.run(`create function ${t}_alter() returns trigger language plpgsql as $$ begin
        alter table ${t} add b int default 2; return new; end $$`)
      await c.run(`create table ${t}_fired (n int)`)
      await c.run(`create trigger alters after insert on ${t}_fired for each row execute function ${t}_alter()`)
      const statement = c.named(`select * from ${t}`)
      await c.run(statement)
      // Nobody can see that it alters anything.
      await c.run(`insert into ${t}_fired values (1)`)

      expect(await c.unit('begin', c.op(statement))).toEqual(['BEGIN', 'server 0A000 rolled_back'])
      expect(c.raw.status).toBe('failed')
      await c.run('rollback')
      expect(await c.unit('begin', c.op(statement))).toEqual(['BEGIN', 'SELECT 1'])
    })

    test('sessions that see other tables under one name keep their own results', async () => {
      const c = await open()
      const t = table()
      await c.run(
        `create schema other_${t}; create table ${t} as select 1 as a; create table other_${t}.${t} as select 'x' as b`,
      )
      const statement = c.named(`select * from ${t}`)

      expect(await c.rows(statement)).toEqual([{ a: 1 }])
      await c.run(`set search_path to other_${t}`)
      expect(await c.rows(statement)).toEqual([{ b: 'x' }])
      await c.run(`set search_path to public`)
      expect(await c.rows(statement)).toEqual([{ a: 1 }])
    })

    test('there are never more than the limit, and all go on working', async () => {
      const c = await open({ statementCacheSize: 5 })
      const ours = await c.value(known)
      const statements = Array.from({ length: 20 }, (_, i) => c.named(`select ${i} as a, $1::int as b`))
      for (let round = 0; round < 2; round++)
        for (const [i, statement] of statements.entries())
          expect(await c.rows(statement, [7])).toEqual([{ a: i, b: 7 }])
      const many = await c.unit(...statements.map((statement) => c.op(statement, [1])))

      expect(await c.value(known)).toBeLessThanOrEqual(Number(ours) + 5)
      expect(new Set(many)).toEqual(new Set(['SELECT 1']))
    })

    test('beyond the limit they run unnamed once, and take the place of others when they come again soon', async () => {
      const c = await open({ statementCacheSize: 3 })
      const prepared = async (): Promise<string[]> => {
        const texts = (await c.rows(
          "select statement as v from pg_prepared_statements where statement like 'select % as kept'",
        )) as { v: string }[]
        return texts.map(({ v }) => v.split(' ')[1] as string).toSorted()
      }
      const run = async (...numbers: number[]): Promise<void> => {
        for (const n of numbers) expect(await c.rows(c.named(`select ${n} as kept`))).toEqual([{ kept: n }])
      }

      await run(1, 2, 3, 1, 2, 3)
      await run(...Array.from({ length: 20 }, (_, n) => n + 10))
      expect(await prepared()).toEqual(['1', '2', '3'])
      await run(40, 41, 40)
      expect(await prepared()).toContain('40')
      expect(await prepared()).toHaveLength(3)
    })

    test('a limit of 0 prepares nothing', async () => {
      const c = await open({ statementCacheSize: 0 })
      const ours = await c.value(known)

      expect(await c.rows(c.named('select $1::int as a'), [1])).toEqual([{ a: 1 }])
      expect(await c.value(known)).toBe(ours)
    })

    test.each(['deallocate all', 'discard all', "do $$ begin execute 'deallocate all'; end $$"])(
      '%s does no harm',
      async (text) => {
        const c = await open()
        const statement = c.named('select $1::int as a')
        await c.run(statement, [1])
        await c.run(text)

        expect(await c.rows(statement, [2])).toEqual([{ a: 2 }])
      },
    )

    test('the columns of a FETCH are asked for every time', async () => {
      const c = await open()
      const statement = { ...c.named('fetch 1 from c'), name: 'fetched' }
      await c.run('begin')
      await c.run('declare c cursor for select 1 as a')
      expect(await c.rows(statement)).toEqual([{ a: 1 }])
      await c.run('close c')
      await c.run("declare c cursor for select 'x' as b")
      expect(await c.rows(statement)).toEqual([{ b: 'x' }])
    })
  })
}
