/** What every PostgreSQL driver does with units: their order, their ends, the state that is left. */

import { describe, expect, test } from 'vitest'
import { OpState } from '../../../src/driver/driver.ts'
import type { ContractTest } from './contract.ts'

export function units({ name, open, table }: ContractTest): void {
  describe(`${name}: units`, () => {
    test('an operation has its rows, tag and count when it is done, and the connection is free', async () => {
      const c = await open()
      const op = c.op('select 1 as a, null as b')
      c.raw.submit(op)

      expect([c.raw.inFlight, c.raw.status, op.state, c.told]).toEqual([1, 'unknown', OpState.sent, []])
      await op.settled
      expect([op.rows, op.end]).toEqual([[{ a: 1, b: null }], 'SELECT 1'])
      expect([c.raw.inFlight, c.raw.status, c.told]).toEqual([0, 'idle', ['room', 'idle']])
    })

    test('every kind of statement has its tag and count', async () => {
      const c = await open()
      const t = table()
      const ends: string[] = []
      for (const text of [
        `create table ${t} (a int)`,
        `insert into ${t} select generate_series(1,3)`,
        `update ${t} set a = a where a < 3`,
        `delete from ${t} where a = 1`,
        `create table ${t}_copy as select * from ${t}`,
        `values (1),(2)`,
        'begin',
        'savepoint one',
        'release savepoint one',
        'commit',
        "set application_name to 'x'",
        '',
        '-- nothing',
      ])
        ends.push((await c.run(text)).end)

      expect(ends).toEqual([
        ...[
          'CREATE TABLE',
          'INSERT 3',
          'UPDATE 2',
          'DELETE 1',
          'SELECT 2',
          'SELECT 2',
          'BEGIN',
          'SAVEPOINT',
          'RELEASE',
        ],
        ...['COMMIT', 'SET', '', ''],
      ])
    })

    test('the status is that of the last answer', async () => {
      const c = await open()
      const seen: string[] = []
      for (const text of ['begin', 'select 1', 'select 1/0', 'rollback']) {
        await c.run(text)
        seen.push(c.raw.status)
      }

      expect(seen).toEqual(['tx', 'tx', 'failed', 'idle'])
    })

    test('BEGIN and the first statement travel together', async () => {
      const c = await open()

      expect(await c.unit('begin', 'savepoint one', 'select 1')).toEqual(['BEGIN', 'SAVEPOINT', 'SELECT 1'])
      expect(c.raw.status).toBe('tx')
      expect(c.told).toEqual(['room', 'idle'])
    })

    test('a BEGIN that fails keeps the statement behind it from running', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int)`)

      expect(await c.unit('begin isolation level none', `insert into ${t} values (1)`)).toEqual([
        'server 42601 rolled_back',
        'skipped not_started',
      ])
      expect(await c.value(`select count(*) from ${t}`)).toBe(0)
    })

    test('without a transaction an error takes back what stood before it in the unit', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int)`)

      expect(await c.unit(`insert into ${t} values (1)`, 'select 1/0', 'select 1')).toEqual([
        'skipped rolled_back',
        'server 22012 rolled_back',
        'skipped not_started',
      ])
      expect(await c.value(`select count(*) from ${t}`)).toBe(0)
    })

    test('in a transaction an error leaves what stood before it to the transaction', async () => {
      const c = await open()

      expect(await c.unit('begin', 'select 1', 'select 1/0', 'select 2')).toEqual([
        'BEGIN',
        'SELECT 1',
        'server 22012 rolled_back',
        'skipped not_started',
      ])
      expect(c.raw.status).toBe('failed')
    })

    test('what was committed within the unit stays committed', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int)`)

      expect(
        await c.unit('begin', `insert into ${t} values (1)`, 'commit', `insert into ${t} values (2)`, 'select 1/0'),
      ).toEqual(['BEGIN', 'INSERT 1', 'COMMIT', 'skipped rolled_back', 'server 22012 rolled_back'])
      expect(await c.rows(`select * from ${t}`)).toEqual([{ a: 1 }])
    })

    test('a constraint that is checked at the end fails the statement after its tag', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int primary key, b int references ${t} deferrable initially deferred)`)

      expect((await c.run(`insert into ${t} values (1, 2)`)).end).toBe('server 23503 rolled_back')
      expect(await c.unit('begin', `insert into ${t} values (1, 2)`, 'commit')).toEqual([
        'BEGIN',
        'INSERT 1',
        'server 23503 rolled_back',
      ])
      expect(c.raw.status).toBe('idle')
    })

    test('an error has the fields of the server', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int constraint positive check (a > 0))`)
      const { failure } = await c.run(`insert into ${t} values (-1)`)

      expect(failure?.fields).toMatchObject({ code: '23514', constraint: 'positive', table: t, schema: 'public' })
      expect(failure?.fields?.['message']).toContain('violates check constraint')
    })

    test('a row limit ends a query early and lets a write run to its end', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int)`)
      const first = await c.run('select generate_series(1,10) as a', [], { maxRows: 1 })
      const two = await c.run(c.named('select generate_series(1,10) as a'), [], { maxRows: 2 })
      const none = await c.run('select 1 where false', [], { maxRows: 2 })
      const write = await c.run(`insert into ${t} select generate_series(1,3) returning a`, [], { maxRows: 1 })

      expect([first, two, none, write].map(({ rows, end }) => [rows.length, end])).toEqual([
        [1, '1'],
        [2, '2'],
        [0, 'SELECT 0'],
        [1, '1'],
      ])
      expect(await c.value(`select count(*) from ${t}`)).toBe(3)
    })

    test('several statements in one text have the result of the last', async () => {
      const c = await open()
      const both = await c.run('select 1 as a; select 2 as b, 3 as c')
      const last = await c.run("select 1 as a; set application_name to 'x'")
      const failed = await c.run('select 1 as a; select 1/0')

      expect([both.rows, both.end]).toEqual([[{ b: 2, c: 3 }], 'SELECT 1'])
      expect([last.rows, last.end]).toEqual([[], 'SET'])
      expect(failed.end).toBe('server 22012 rolled_back')
      expect((await c.run('begin; commit; select 1/0')).end).toBe('server 22012 unknown')
    })

    test('several statements in one text have the results of each, for an operation that wants them', async () => {
      const c = await open()
      const text =
        "select 1 as a; select 2 as b, 3 as c; select 4 as d where false; set application_name to 'x'; select 5 as a"
      const op = await c.run(text, [], { results: [] })
      const failed = await c.run('select 1 as a; select 1/0', [], { results: [] })

      expect(
        op.results?.map(({ tag, count, rows, fields }) => [tag, count, rows, fields.map(({ name }) => name)]),
      ).toEqual([
        ['SELECT', 1, [{ a: 1 }], ['a']],
        ['SELECT', 1, [{ b: 2, c: 3 }], ['b', 'c']],
        ['SELECT', 0, [], ['d']],
        ['SET', -1, [], []],
        ['SELECT', 1, [{ a: 5 }], ['a']],
      ])
      expect([op.rows, op.end]).toEqual([[{ a: 5 }], 'SELECT 1'])
      expect(failed.end).toBe('server 22012 rolled_back')
    })

    test('a connection that is busy refuses more without harm', async () => {
      const c = await open()
      const running = Array.from({ length: c.raw.maxInFlight }, () => c.op('select 1'))
      for (const op of running) c.raw.submit(op)
      const more = c.op('select 2')
      c.raw.submit(more)

      expect(more.end).toBe('pending')
      expect((await more.settled).end).toBe('closed not_started')
      for (const op of running) expect((await op.settled).end).toBe('SELECT 1')
    })

    test('rows of an abandoned operation are thrown away, the connection stays usable', async () => {
      const c = await open()
      const op = c.op('select generate_series(1,100)')
      c.raw.submit(op)
      op.state = OpState.abandoned
      await op.settled

      expect(op.rows).toEqual([])
      expect(await c.value('select 1')).toBe(1)
    })

    test('COPY from and to the client fails, the connection stays usable', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int)`)
      const ends = [await c.run(`copy ${t} from stdin`), await c.run(`copy (select 1) to stdout`)].map(
        ({ failure }) => failure,
      )

      expect(ends.map((failure) => failure !== null)).toEqual([true, true])
      expect(await c.value('select 1')).toBe(1)
    })

    test('notices and notifications reach their hooks', async () => {
      const c = await open()
      await c.run("do $$ begin raise notice 'hello'; end $$")
      await c.run('listen harbour')
      await c.run("notify harbour, 'ship'")

      const told = c.told.filter((what) => !/^(idle|room)$/.test(what))
      expect(told).toEqual(['notice hello', 'notification harbour ship'])
    })
  })
}
