/** The fake driver as a server: sessions, transactions, the fake SQL, and the contract of its connections. */

import { inspect } from 'node:util'
import { AsyncLocalStorage } from 'node:async_hooks'
import { expect, test, vi } from 'vitest'
import { FakeDriver } from '../support/fake/driver.ts'
import { Dirty, type RowSpec } from '../../src/sql/compiled.ts'
import { connect, later, TestOp } from './fake-driver-client.ts'

/** The fake driver answers in macrotasks: all that is due has happened. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setImmediate(resolve))
}

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

test('BEGIN and its first statement share one Sync, and the log shows it', async () => {
  const driver = new FakeDriver()
  const { unit, run } = await connect(driver)

  await unit('BEGIN', 'insert into t values (1)')
  await run('COMMIT')

  expect(driver.log).toEqual(['1: BEGIN; insert into t values (1)', '1: COMMIT'])
})

test('a failure in a unit skips the rest of it', async () => {
  const driver = new FakeDriver()
  const { unit, raw } = await connect(driver)

  const ends = await unit('BEGIN', 'insert into t values (1)', 'fail 23505', 'select 1', 'COMMIT')

  expect(ends).toEqual(['BEGIN', 'INSERT 1', 'server 23505 rolled_back', 'skipped not_started', 'skipped not_started'])
  expect(raw.status).toBe('failed')
})

test('a failure outside of a transaction block undoes its unit, back to the last COMMIT', async () => {
  const driver = new FakeDriver()
  const { unit } = await connect(driver)

  const ends = await unit('insert into t values (1)', 'COMMIT', 'insert into t values (2)', 'fail 23505', 'select 1')

  expect(ends).toEqual(['INSERT 1', 'COMMIT', 'skipped rolled_back', 'server 23505 rolled_back', 'skipped not_started'])
  expect(driver.rows('t')).toEqual([{ v: 1 }])
})

test('operations of a unit are told only when the whole unit was answered', async () => {
  const { raw } = await connect(new FakeDriver())
  const [first, second] = [new TestOp('insert into t values (1)'), new TestOp('sleep')]

  raw.submitUnit({ ops: [first, second] })
  const end = raw.cancel(second, later(20_000))

  expect(first.end).toBe('pending')
  expect(await end).toBe('cancelled')
  expect([first.end, second.end]).toEqual(['skipped rolled_back', 'server 57014 rolled_back'])
})

test('up to maxInFlight units are in flight and answered in order; room and idle are told', async () => {
  const driver = new FakeDriver({ maxInFlight: 3 })
  const { raw, events } = await connect(driver)
  const ended: string[] = []
  const ops = ['select 1', 'fail 22012', 'select 3'].map((text) => new TestOp(text))
  for (const op of ops) void op.settled.then(() => ended.push(op.stmt.text))

  for (const op of ops) raw.submit(op)
  const during = [raw.inFlight, raw.status]
  await Promise.all(ops.map((op) => op.settled))
  await ops[2]?.settled

  expect(during).toEqual([3, 'unknown'])
  expect(ended).toEqual(['select 1', 'fail 22012', 'select 3'])
  expect(events).toEqual(['room', 'idle'])
  expect([raw.inFlight, raw.status]).toEqual([0, 'idle'])
})

test('a broken rule of the contract throws and is recorded', async () => {
  const driver = new FakeDriver()
  const { raw, run } = await connect(driver)
  const op = new TestOp('sleep')
  const rules = (): string[] => driver.violations.map((rule) => rule.replace(/^#1: /, ''))

  raw.submit(op)
  expect(() => raw.submit(new TestOp('select 1'))).toThrow('submit beyond 1 in flight: select 1')
  void raw.cancel(op, later(20_000))
  expect(() => raw.submit(new TestOp('select 2'))).toThrow('submit in quarantine: select 2')
  await op.settled
  await run('select 3').catch(() => [])
  await new Promise((resolve) => setImmediate(resolve))
  expect(() => raw.submit(op)).toThrow('submit of a statement that is over: sleep')
  expect(() => raw.submitUnit({ ops: [] })).toThrow('submit of an empty unit')
  raw.dirty = 1
  raw.epoch++
  raw.dirty = 0
  expect(() => raw.submit(new TestOp('select 4'))).toThrow(
    'submit for a new lease without a reset in between: select 4',
  )
  expect(() => (raw.epoch = 0)).toThrow('epoch set back from 1 to 0')
  raw.destroy({ kind: 'closed', outcome: 'unknown' })
  expect(() => raw.submit(new TestOp('select 5'))).toThrow('submit on a connection that has ended: select 5')

  expect(rules()).toHaveLength(8)
})

test('the same operation cannot be sent twice, nor anything behind a statement be cancelled', async () => {
  const driver = new FakeDriver({ maxInFlight: 4 })
  const { raw } = await connect(driver)
  const [head, behind] = [new TestOp('sleep'), new TestOp('select 1')]

  raw.submit(head)
  raw.submit(behind)

  expect(() => raw.submit(behind)).toThrow('for the second time')
  expect(() => raw.cancel(behind, later(20_000))).toThrow('not at the head')
  raw.destroy({ kind: 'closed', outcome: 'unknown' })
})

test('cancel quarantines the connection until everything is answered', async () => {
  const driver = new FakeDriver()
  const { raw, events, run } = await connect(driver)
  const op = new TestOp('sleep')

  raw.submit(op)
  const end = raw.cancel(op, later(20_000))
  const during = raw.quarantined
  await op.settled

  expect([during, raw.quarantined]).toEqual([true, true])
  expect(events).toEqual([])
  expect(await end).toBe('cancelled')
  expect(op.end).toBe('server 57014 rolled_back')
  expect(events).toEqual(['room', 'idle'])
  expect(await run('select 1')).toEqual(['SELECT 1'])
  expect(driver.log).toEqual(['1: <cancel>', '1: sleep', '1: select 1'])
})

test('a cancel that comes too late is completed and can hit the neighbour', async () => {
  const driver = new FakeDriver({ maxInFlight: 2 })
  driver.faults.at({ text: 'select 1', phase: 'answer' }, { delayMs: 20 })
  const { raw } = await connect(driver)
  const [op, neighbour] = [new TestOp('select 1'), new TestOp('sleep')]

  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  raw.submit(op)
  raw.submit(neighbour)
  await turns()
  const end = raw.cancel(op, later(20_000))
  await turns()
  vi.advanceTimersByTime(20)
  vi.useRealTimers()

  expect(await end).toBe('completed')
  expect([op.end, neighbour.end]).toEqual(['SELECT 1', 'server 57014 rolled_back'])
})

test('a cancel of what is answered already does nothing', async () => {
  const driver = new FakeDriver()
  const { raw } = await connect(driver)
  const op = new TestOp('select 1')

  raw.submit(op)
  await op.settled

  expect(await raw.cancel(op, later(20_000))).toBe('completed')
  expect([raw.quarantined, driver.violations.length]).toEqual([false, 0])
})

test('a reset undoes exactly what its bits say, rolls back and replays the baseline', async () => {
  const driver = new FakeDriver()
  const { raw, run } = await connect(driver)
  raw.setBaseline("select set_config('search_path', 'app', false)")
  await run(
    'set statement_timeout = 5',
    'set role evil',
    'listen news',
    'select pg_advisory_lock(1)',
    'create temp table x (a int)',
  )
  await run('begin', 'insert into t values (1)')

  const ok = await raw.reset(Dirty.settings | Dirty.listen, later(20_000))

  expect([ok, raw.status]).toEqual([true, 'idle'])
  expect(driver.log.at(-1)).toBe(
    "1: <reset settings listen + rollback + select set_config('search_path', 'app', false)>",
  )
  expect(inspect(driver.sessions[0])).toBe('FakeSession 1 { idle, role=evil, search_path=app, temp: x, locks: 1 }')
  expect(driver.rows('t')).toEqual([])
  await raw.reset(Dirty.unknown, later(20_000))
  expect(inspect(driver.sessions[0])).toBe('FakeSession 1 { idle, search_path=app }')
})

test('dirty bits are gathered when a statement is sent and cleared by a reset', async () => {
  const driver = new FakeDriver()
  const { raw } = await connect(driver)
  const op = new TestOp('set a = b', [], { dirties: Dirty.settings })

  raw.submit(op)
  const before = raw.dirty
  await Promise.resolve()
  const sent = raw.dirty
  await op.settled
  raw.epoch++
  await raw.reset(raw.dirty, later(20_000))

  expect([before, sent, raw.dirty]).toEqual([0, Dirty.settings, 0])
  expect(driver.violations).toEqual([])
})

test('what was made the baseline needs no reset before the first lease', async () => {
  const driver = new FakeDriver()
  const { raw, run } = await connect(driver)
  raw.dirty = Dirty.settings

  raw.setBaseline('set a.b = c')
  raw.epoch++
  raw.dirty = 0

  expect(await run('select 1')).toEqual(['SELECT 1'])
  expect(driver.violations).toEqual([])
})

test('destroy is synchronous, fails what is in flight in order on a later microtask, and tells lost once', async () => {
  const driver = new FakeDriver({ maxInFlight: 3 })
  const { raw, events, unit } = await connect(driver)
  await unit('BEGIN', 'insert into t values (1)')
  events.length = 0
  const ops = ['sleep', 'COMMIT', 'select 1'].map((text) => new TestOp(text))
  raw.submit(ops[0]!)
  raw.submit(ops[1]!)
  await Promise.resolve()
  raw.submit(ops[2]!)

  raw.destroy({ kind: 'timeout', outcome: 'unknown' })
  raw.destroy({ kind: 'closed', outcome: 'unknown' })
  const atOnce = [raw.alive, ops[0]!.end]
  await Promise.all(ops.map((op) => op.settled))

  expect(atOnce).toEqual([false, 'pending'])
  expect(ops.map((op) => op.end)).toEqual(['timeout unknown', 'timeout unknown', 'timeout not_started'])
  expect(events).toEqual(['lost timeout'])
  expect([driver.openCount, driver.rows('t').length]).toEqual([0, 0])
})

test('close ends the session, tells lost, and is idempotent', async () => {
  const driver = new FakeDriver()
  const { raw, events } = await connect(driver)

  const closing = raw.close(later(20_000))
  const alive = raw.alive
  await Promise.all([closing, raw.close(later(20_000))])

  expect([alive, raw.alive, driver.openCount]).toEqual([false, false, 0])
  expect(events).toEqual(['lost closed'])
  expect(await raw.ping(later(20_000))).toBe(false)
})

test('the row limit, row specs and abandoned operations are honoured', async () => {
  const { raw } = await connect(new FakeDriver())
  const spec = (more: Partial<RowSpec>): RowSpec => ({ into: 'object', make: null, columns: null, ...more })
  const column = { mode: 'default', path: ['n'] } as const
  const rows = async (
    text: string,
    more: ConstructorParameters<typeof TestOp>[2],
    state: 0 | 2 = 0,
  ): Promise<unknown[]> => {
    const op = new TestOp(text, [], more)
    raw.submit(op)
    op.state = state
    await op.settled
    return op.rows
  }
  class User {
    n = 0
  }

  expect(await rows('select generate_series(1, 9)', { maxRows: 2 })).toHaveLength(2)
  expect(await rows('select 1, 2', { spec: spec({ into: 'array' }) })).toEqual([[1, 2]])
  expect(await rows('select 1, 2', { spec: spec({ into: 'scalar' }) })).toEqual([1])
  expect(await rows('select 5', { spec: spec({ make: () => new User(), columns: [column] }) })).toEqual([
    Object.assign(new User(), { n: 5 }),
  ])
  expect(
    await rows('select 1, null, null', {
      spec: spec({
        columns: [
          { path: ['id'], mode: 'string' },
          { path: ['team', 'id'], mode: 'default', nullGroup: 1 },
          { path: ['team', 'name'], mode: 'default', nullGroup: 1 },
        ],
      }),
    }),
  ).toEqual([{ id: '1', team: null }])
  const mapped = { path: ['team', 'id'], mode: 'default', nullGroup: 1, map: () => null } as const
  const teams = spec({ columns: [{ path: ['id'], mode: 'default' }, mapped] })
  expect(await rows('select 1, 2', { spec: teams })).toEqual([{ id: 1, team: { id: null } }])
  expect(await rows('select 1, null', { spec: teams })).toEqual([{ id: 1, team: null }])
  expect(await rows('select 1', {}, 2)).toEqual([])
})

test('callbacks run in the root context, not in that of the caller', async () => {
  const context = new AsyncLocalStorage<string>()
  const { raw } = await connect(new FakeDriver())
  const op = new TestOp('select 1')
  let seen: string | undefined = 'never'
  const done = op.done.bind(op)
  op.done = () => {
    seen = context.getStore()
    done()
  }

  context.run('request', () => raw.submit(op))
  await op.settled

  expect(seen).toBeUndefined()
})

test('open connections are counted and printed', async () => {
  const driver = new FakeDriver({ maxConnections: 2 })
  const { raw } = await connect(driver)
  await connect(driver)

  await expect(connect(driver)).rejects.toMatchObject({
    kind: 'server',
    outcome: 'not_started',
    fields: { code: '53300' },
  })
  await raw.close(later(20_000))

  expect([driver.openCount, driver.maxOpen]).toEqual([1, 2])
  expect(inspect(driver)).toBe('FakeDriver { 1 open, at most 2, 2 in all }')
  expect(inspect(raw)).toBe('FakeConnection 1 { ended, 0/1 in flight }')
})

test('unknown connection options are refused together', () => {
  const driver = new FakeDriver()

  expect(driver.parse({ host: 'h', password: 'p' })).toEqual({ host: 'h', password: 'p' })
  expect(() => driver.parse({ hots: 'h', prot: 1 })).toThrow('"hots", "prot"')
})
