/** A connection of the fake driver: units, cancels, resets and the end, as the contract of drivers says. */

import { inspect } from 'node:util'
import { AsyncLocalStorage } from 'node:async_hooks'
import { expect, test, vi } from 'vitest'
import { FakeDriver } from '../support/fake/driver.ts'
import { Dirty, type RowSpec } from '../../src/sql/compiled.ts'
import { connect, later, TestOp, turns } from './fake-driver-client.ts'

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
