/** The fake driver as a server: sessions, transactions and the fake SQL. */

import { expect, test } from 'vitest'
import { FakeDriver } from '../support/fake/driver.ts'
import { connect, TestOp } from './fake-driver-client.ts'

test('a statement is answered in a later macrotask with rows, tag and count', async () => {
  const driver = new FakeDriver()
  const { raw } = await connect(driver)
  const op = new TestOp("select 1, 'x' as a, $1::int as b", [7])

  raw.submit(op)
  await Promise.resolve()
  const early = op.end
  await op.settled

  expect(early).toBe('pending')
  expect(op.rows).toEqual([{ '?column?': 1, a: 'x', b: 7 }])
  expect(op.end).toBe('SELECT 1')
})

test('what is committed is seen by all, what is not only by its session', async () => {
  const driver = new FakeDriver({ tables: { t: [{ v: 0 }] } })
  const [a, b] = [await connect(driver), await connect(driver)]

  await a.run('begin', 'insert into t values (1), (2)')
  const own = await a.rows('select * from t')
  const others = await b.rows('select count(*) from t')
  await a.run('commit')

  expect(own).toEqual([{ v: 0 }, { v: 1 }, { v: 2 }])
  expect(others).toEqual([{ count: 1 }])
  expect(await b.rows('select * from t where v = $1', 2)).toEqual([{ v: 2 }])
  expect(driver.rows('t')).toHaveLength(3)
})

test('insert, update and delete change rows and give them back', async () => {
  const { rows, run } = await connect(new FakeDriver())

  expect(await rows('insert into "t" (id, n) values ($1, $2), (2, 20) returning *', 1, 10)).toEqual([
    { id: 1, n: 10 },
    { id: 2, n: 20 },
  ])
  expect(await rows('update t set n = n + 5 where id = $1 returning n', 1)).toEqual([{ n: 15 }])
  expect(await run('delete from t where id = 2', 'delete from t where id = 2')).toEqual(['DELETE 1', 'DELETE 0'])
  expect(await rows('select id, n as total from public.t order by id desc limit 1')).toEqual([{ id: 1, total: 15 }])
})

test('the status follows the transaction: idle, tx, failed', async () => {
  const { raw, run } = await connect(new FakeDriver())
  const seen: string[] = [raw.status]

  for (const text of ['begin', 'select 1', 'fail 23505', 'rollback']) {
    await run(text)
    seen.push(raw.status)
  }

  expect(seen).toEqual(['idle', 'tx', 'tx', 'failed', 'idle'])
})

test('a failed transaction refuses everything but its end, and COMMIT is answered ROLLBACK', async () => {
  const driver = new FakeDriver()
  const { run } = await connect(driver)

  const ends = await run('begin', 'insert into t values (1)', 'fail 23505', 'select 1', 'commit', 'select 1')

  expect(ends).toEqual([
    'BEGIN',
    'INSERT 1',
    'server 23505 rolled_back',
    'server 25P02 rolled_back',
    'ROLLBACK',
    'SELECT 1',
  ])
  expect(driver.rows('t')).toEqual([])
})

test('savepoints nest, undo what came after them and repair a failed transaction', async () => {
  const driver = new FakeDriver()
  const { run } = await connect(driver)

  const ends = await run(
    'BEGIN',
    'insert into t values (1)',
    'SAVEPOINT "A"',
    'insert into t values (2)',
    'SAVEPOINT b',
    'fail 40001',
    'ROLLBACK TO SAVEPOINT "A"',
    'RELEASE SAVEPOINT b',
    'ROLLBACK TO "A"',
    'RELEASE "A"',
    'COMMIT',
  )

  expect(ends.slice(6)).toEqual(['ROLLBACK', 'server 3B001 rolled_back', 'ROLLBACK', 'RELEASE', 'COMMIT'])
  expect(driver.rows('t')).toEqual([{ v: 1 }])
})

test('a savepoint needs a transaction, and a stray COMMIT is only a notice', async () => {
  const { run, events } = await connect(new FakeDriver())

  expect(await run('savepoint a', 'commit')).toEqual(['server 25P01 rolled_back', 'COMMIT'])
  expect(events).toContain('notice 25P01')
})

test('settings follow SET, set_config, SET LOCAL, rollback and RESET ALL, which keeps the role', async () => {
  const { run, rows } = await connect(new FakeDriver())
  const show = async (name: string): Promise<unknown> => (await rows('select current_setting($1, true) as v', name))[0]

  await run("set application_name to 'a'", 'begin', 'set local app.tenant = t1')
  const inside = await show('app.tenant')
  await run("select set_config('application_name', 'b', false)", 'rollback')

  expect(inside).toEqual({ v: 't1' })
  expect(await show('app.tenant')).toEqual({ v: '' })
  expect(await show('application_name')).toEqual({ v: 'a' })
  await run('set role evil', 'reset all')
  expect(await show('application_name')).toEqual({ v: '' })
  expect(await rows('select current_user')).toEqual([{ current_user: 'evil' }])
})

test('the settings of the session can be asked for, and set again', async () => {
  const { run, rows } = await connect(new FakeDriver())
  await run("select set_config('a.b', E'it''s \\\\', false)", 'set role app')

  expect(
    await rows(
      "select name, current_setting(name) as setting from pg_settings where source = 'session' and name <> 'role' order by name",
    ),
  ).toEqual([{ name: 'a.b', setting: "it's \\" }])
  expect(await rows("select current_setting('role') as role, session_user as login, current_user as current")).toEqual([
    { role: 'app', login: 'fake', current: 'app' },
  ])
  expect(await rows('select')).toEqual([{}])
})

test('a read-only transaction refuses to write, and VACUUM refuses a transaction', async () => {
  const { run } = await connect(new FakeDriver())

  expect(await run('begin isolation level serializable read only', 'insert into t values (1)', 'rollback')).toEqual([
    'BEGIN',
    'server 25006 rolled_back',
    'ROLLBACK',
  ])
  expect(await run('vacuum', 'begin', 'vacuum')).toEqual(['VACUUM', 'BEGIN', 'server 25001 rolled_back'])
})

test('cursors give rows by and by, and end with their savepoint', async () => {
  const { run, rows } = await connect(new FakeDriver())

  await run('begin', 'savepoint a', 'declare "c" no scroll cursor for select generate_series(1, 5)')
  const first = await rows('fetch forward 2 from "c"')
  const moved = await run('move 1 from "c"')
  const rest = await rows('fetch all from "c"')
  const gone = await run('rollback to a', 'fetch 1 from "c"')

  expect(first).toEqual([{ generate_series: 1 }, { generate_series: 2 }])
  expect(moved).toEqual(['MOVE 1'])
  expect(rest).toEqual([{ generate_series: 4 }, { generate_series: 5 }])
  expect(gone).toEqual(['ROLLBACK', 'server 34000 rolled_back'])
})

test('notifications arrive after COMMIT', async () => {
  const driver = new FakeDriver()
  const [a, b] = [await connect(driver), await connect(driver)]

  await b.run('listen news')
  await a.run('begin', "notify news, 'x'")
  const before = [...b.events]
  await a.run('commit')
  await b.run('select 1')

  expect(before).not.toContain('notification news x 1')
  expect(b.events).toContain('notification news x 1')
})

test('text that is no fake SQL goes to the answer function, and else is a syntax error', async () => {
  const driver = new FakeDriver({
    answer: (text, params) => {
      if (text.startsWith('select a.b')) return [{ b: params[0] }]
      if (text.startsWith('merge')) return { tag: 'MERGE', count: 3 }
      return text.startsWith('call') ? undefined : { error: '42P01', message: 'no such relation' }
    },
  })
  const { run, rows } = await connect(driver)

  expect(await rows('select a.b from a join b using (id)', 1)).toEqual([{ b: 1 }])
  expect(await run('merge into t using s', 'table x')).toEqual(['MERGE 3', 'server 42P01 rolled_back'])
  expect(await (await connect(new FakeDriver())).run('table x')).toEqual(['server 42601 rolled_back'])
})

test('several statements in one text are one implicit transaction', async () => {
  const driver = new FakeDriver()
  const { run } = await connect(driver)

  expect(
    await run("insert into t values (1); insert into t values ('a;b')", 'insert into t values (2); fail 22012'),
  ).toEqual(['INSERT 1', 'server 22012 rolled_back'])
  expect(driver.rows('t')).toEqual([{ v: 1 }, { v: 'a;b' }])
})
