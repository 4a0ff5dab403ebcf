/** What can go wrong on the fake driver, message by message, and what everybody is told then. */

import { afterEach, expect, test, vi } from 'vitest'
import { FakeDriver } from '../support/fake/driver.ts'
import { until } from '../support/until.ts'
import type { Failure } from '../../src/driver/driver.ts'
import { connect, later, TestOp } from './fake-driver-client.ts'

afterEach(() => {
  vi.useRealTimers()
})

const refusal = async (driver: FakeDriver): Promise<Failure> =>
  connect(driver).then(
    () => expect.fail(),
    (failure: unknown) => failure as Failure,
  )

test('a planted error strikes the nth match, as often as it should', async () => {
  const driver = new FakeDriver()
  const { run } = await connect(driver)
  const planted = driver.faults.at(
    { text: /into\s+t/, nth: 2, times: 2 },
    { error: '23505', fields: { constraint: 't_pk' } },
  )
  const insert = '  INSERT into\n t values (1)'

  const ends = await run(insert, insert, 'select 1', insert, insert)

  expect(ends).toEqual(['INSERT 1', 'server 23505 rolled_back', 'SELECT 1', 'server 23505 rolled_back', 'INSERT 1'])
  expect([planted.hits, driver.faults.pending]).toEqual([2, 0])
})

test('a text matches what starts with it, a session only its own statements, and a fault can be removed', async () => {
  const driver = new FakeDriver()
  const [a, b] = [await connect(driver), await connect(driver)]
  driver.faults.at({ text: 'select', session: 2 }, { error: '22012' })
  driver.faults.at('SAVEPOINT', { error: '53200' }).remove()

  expect(await a.run('select 1', 'begin', 'savepoint a')).toEqual(['SELECT 1', 'BEGIN', 'SAVEPOINT'])
  expect(await b.run('insert into select_t values (1)', 'select 1')).toEqual(['INSERT 1', 'server 22012 rolled_back'])
})

test('a COMMIT that fails has rolled back', async () => {
  const driver = new FakeDriver()
  const { run, raw } = await connect(driver)
  driver.faults.at('COMMIT', { error: '40001' })

  expect(await run('BEGIN', 'insert into t values (1)', 'COMMIT')).toEqual([
    'BEGIN',
    'INSERT 1',
    'server 40001 rolled_back',
  ])
  expect([raw.status, driver.rows('t').length]).toEqual(['idle', 0])
})

test('a BEGIN that fails lets nothing of its unit run', async () => {
  const driver = new FakeDriver()
  const { unit, raw } = await connect(driver)
  driver.faults.at('BEGIN', { error: '53200' })

  expect(await unit('BEGIN', 'insert into t values (1)')).toEqual(['server 53200 rolled_back', 'skipped not_started'])
  expect([raw.status, driver.rows('t').length]).toEqual(['idle', 0])
})

test.each([
  ['before COMMIT ran', 'send', 0],
  ['after COMMIT ran', 'answer', 1],
] as const)('a connection lost %s leaves its outcome unknown', async (_, phase, kept) => {
  const driver = new FakeDriver()
  const { run, raw, events } = await connect(driver)
  driver.faults.at({ text: 'COMMIT', phase }, { lost: true })

  const ends = await run('BEGIN', 'insert into t values (1)', 'COMMIT')

  expect(ends[2]).toBe('lost unknown')
  expect(driver.rows('t')).toHaveLength(kept)
  expect([raw.alive, raw.status, driver.openCount]).toEqual([false, 'unknown', 0])
  expect(events.filter((event) => event.startsWith('lost'))).toEqual(['lost lost'])
})

test('a connection lost inside a transaction has rolled back; COMMIT in flight makes all of it unknown', async () => {
  const lose = async (...units: string[][]): Promise<string[]> => {
    const driver = new FakeDriver({ maxInFlight: 9 })
    const { raw } = await connect(driver)
    driver.faults.at('select', { lost: '57P01' })
    const ops = units.map((texts) => texts.map((text) => new TestOp(text)))
    for (const unit of ops) raw.submitUnit({ ops: unit })
    await Promise.all(ops.flat().map((op) => op.settled))
    return ops.flat().map((op) => op.end)
  }

  expect(await lose(['BEGIN', 'select 1'], ['insert into t values (1)'])).toEqual([
    'lost 57P01 rolled_back',
    'lost 57P01 rolled_back',
    'lost 57P01 rolled_back',
  ])
  expect((await lose(['BEGIN', 'select 1', 'COMMIT'])).every((end) => end === 'lost 57P01 unknown')).toBe(true)
  expect(await lose(['select 1'], ['BEGIN', 'insert into t values (1)'])).toEqual([
    'lost 57P01 unknown',
    'lost 57P01 rolled_back',
    'lost 57P01 rolled_back',
  ])
})

test('a connection lost between two statements tells lost and rolls back', async () => {
  const driver = new FakeDriver()
  const { run, events, raw } = await connect(driver)
  driver.faults.at({ text: 'insert', phase: 'after-answer' }, { lost: true })

  await run('BEGIN', 'insert into t values (1)')
  const alive = raw.alive
  await until(() => !raw.alive)

  expect(alive).toBe(true)
  expect(events.at(-1)).toBe('lost lost')
})

test('a killed session is found out in a later step', async () => {
  const driver = new FakeDriver()
  const { run, events, raw } = await connect(driver)
  await run('BEGIN', 'insert into t values (1)')

  driver.kill(1)
  const alive = raw.alive
  await until(() => !raw.alive)

  expect([alive, driver.openCount]).toEqual([true, 0])
  expect(events.at(-1)).toBe('lost 57P01')
})

test('a statement that hangs ends by cancel, or by destroy', async () => {
  const driver = new FakeDriver()
  const { raw, run, events } = await connect(driver)
  driver.faults.at('select', { hang: true })
  const first = new TestOp('select 1')
  raw.submit(first)
  await new Promise((resolve) => setTimeout(resolve, 5))

  const end = await raw.cancel(first, later(20_000))
  driver.faults.at('insert', { hang: true })
  const second = new TestOp('insert into t values (1)')
  raw.submit(second)
  await new Promise((resolve) => setTimeout(resolve, 5))
  raw.destroy({ kind: 'closed', outcome: 'unknown' })
  await second.settled

  expect([end, first.end, second.end]).toEqual(['cancelled', 'server 57014 rolled_back', 'closed unknown'])
  expect(events.at(-1)).toBe('lost closed')
  await expect(run('select 1')).rejects.toThrow('has ended')
})

test('an answer that never comes makes cancel end broken at its deadline', async () => {
  const driver = new FakeDriver()
  const { raw } = await connect(driver)
  driver.faults.at({ text: 'insert', phase: 'answer' }, { hang: true })
  const op = new TestOp('insert into t values (1)')
  raw.submit(op)
  await until(() => driver.rows('t').length > 0)

  expect(await raw.cancel(op, later(10))).toBe('broken')

  expect([op.end, raw.status, driver.rows('t').length]).toEqual(['pending', 'unknown', 1])
  expect(() => raw.submit(new TestOp('select 1'))).toThrow('after a cancel that ended broken')
  raw.destroy({ kind: 'lost', outcome: 'unknown' })
  await op.settled
  expect(op.end).toBe('lost unknown')
})

test.each(['completed', 'broken'] as const)('a cancel can be made to end %s', async (planned) => {
  const driver = new FakeDriver()
  const { raw, events } = await connect(driver)
  driver.faults.at('sleep', { cancel: planned })
  const op = new TestOp('sleep 5')
  raw.submit(op)

  const end = await raw.cancel(op, later(20_000))

  expect([end, op.end]).toEqual([planned, planned === 'completed' ? 'SLEEP' : 'pending'])
  expect(events).toEqual(planned === 'completed' ? ['room', 'idle'] : [])
})

test('a cancel can hang, lose the connection or be late', async () => {
  const driver = new FakeDriver()
  const cancel = async (ms = 20_000): Promise<[string, string]> => {
    const { raw } = await connect(driver)
    const op = new TestOp('sleep')
    raw.submit(op)
    return [await raw.cancel(op, later(ms)), op.end]
  }
  driver.faults.at({ phase: 'cancel' }, { hang: true })
  driver.faults.at({ phase: 'cancel', nth: 2 }, { lost: true })
  driver.faults.at({ phase: 'cancel', nth: 3 }, { delayMs: 2 })

  expect(await cancel(15)).toEqual(['broken', 'pending'])
  expect(await cancel()).toEqual(['broken', 'lost unknown'])
  expect(await cancel()).toEqual(['cancelled', 'server 57014 rolled_back'])
})

test('delays and latency follow the clock of the test', async () => {
  const { setImmediate: soon } = globalThis
  vi.useFakeTimers()
  const driver = new FakeDriver({ latencyMs: (text) => (text.startsWith('select') ? 100 : 0) })
  const { run } = await connect(driver)
  driver.faults.at('select', { delayMs: 50 })
  const done: string[] = []
  const pass = async (ms: number): Promise<number> => {
    vi.advanceTimersByTime(ms)
    for (let i = 0; i < 5; i++) await new Promise<void>((resolve) => soon(() => resolve()))
    return done.length
  }

  void run('insert into t values (1)', 'select 1').then((ends) => done.push(...ends))
  const seen = [await pass(0), await pass(49), await pass(1), await pass(99), await pass(1)]

  expect(seen).toEqual([0, 0, 0, 0, 2])
})

test('an answer that cannot be read fails its operation alone', async () => {
  const driver = new FakeDriver()
  const { run, raw } = await connect(driver)
  driver.faults.at({ text: 'insert', times: 2 }, { decode: 'not a number' })

  const ends = await run('insert into t values (1)', 'BEGIN', 'insert into t values (2)', 'COMMIT')

  expect(ends).toEqual(['decode committed', 'BEGIN', 'decode rolled_back', 'COMMIT'])
  expect([raw.status, driver.rows('t').length]).toEqual(['idle', 2])
})

test('what may have committed by itself before it failed is unknown', async () => {
  const driver = new FakeDriver()
  const { raw } = await connect(driver)
  const op = new TestOp('insert into t values (1); commit; fail 22012')
  Object.assign(op.stmt, { cls: 'multi', hasControl: true })

  raw.submit(op)
  await op.settled

  expect([op.end, driver.rows('t').length]).toEqual(['server 22012 unknown', 1])
})

test('a decoder that throws is an answer that cannot be read, to a statement that changed nothing', async () => {
  const { raw } = await connect(new FakeDriver())
  const map = (): never => {
    throw new RangeError('no')
  }
  const op = new TestOp('select 1', [], {
    spec: { into: 'object', make: null, columns: [{ path: ['a'], mode: 'default', map }] },
  })

  raw.submit(op)
  await op.settled

  expect([op.end, op.failure?.cause]).toEqual(['decode rolled_back', new RangeError('no')])
})

test('a parameter that cannot be written fails on a microtask and leaves the stream untouched', async () => {
  const driver = new FakeDriver()
  const { raw, run, events } = await connect(driver)
  const ops = [new TestOp('BEGIN'), new TestOp('insert into t values ($1)', [() => 1]), new TestOp('select 1')]

  raw.submitUnit({ ops })
  const during = [raw.inFlight, ops[1]?.end]
  await Promise.all(ops.map((op) => op.settled))

  expect(during).toEqual([1, 'pending'])
  expect(ops.map((op) => op.end)).toEqual(['skipped not_started', 'encode not_started', 'skipped not_started'])
  expect([raw.inFlight, raw.status, ...events]).toEqual([0, 'idle', 'room', 'idle'])
  driver.faults.at('select', { encode: 'planted' })
  expect(await run('select 1', 'select 1')).toEqual(['encode not_started', 'SELECT 1'])
  expect(driver.log).toEqual(['1: select 1'])
})

test('a peer that breaks the protocol ends the connection', async () => {
  const driver = new FakeDriver()
  const { run, events } = await connect(driver)
  driver.faults.at('select', { protocol: 'unexpected message' })

  expect(await run('select 1')).toEqual(['protocol unknown'])
  expect(events).toEqual(['lost protocol'])
})

test.each([
  [{ error: '53300' }, { kind: 'server', fields: { code: '53300', severity: 'FATAL' } }, 'full'],
  [{ error: '28P01' }, { kind: 'server', fields: { code: '28P01' } }, 'config'],
  [{ error: '57P03' }, { kind: 'server', fields: { code: '57P03' } }, 'endpoint'],
  [{ refuse: 'ECONNREFUSED' }, { kind: 'lost', cause: { code: 'ECONNREFUSED' } }, 'endpoint'],
  [{ lost: true }, { kind: 'lost' }, 'endpoint'],
  [{ protocol: 'HTTP' }, { kind: 'protocol' }, 'connection'],
] as const)('opening fails by %j and is classified', async (fault, expected, verdict) => {
  const driver = new FakeDriver()
  driver.faults.at({ phase: 'open' }, fault)

  const failure = await refusal(driver)

  expect(failure).toMatchObject({ ...expected, outcome: 'not_started' })
  expect(driver.classify(failure)).toBe(verdict)
  expect((await connect(driver)).raw.id).toBe(1)
})

test('opening that hangs ends at its deadline', async () => {
  const driver = new FakeDriver()
  driver.faults.at({ phase: 'open' }, { hang: true })
  const hooks = { idle() {}, room() {}, lost() {}, notice() {}, notification() {} }

  await expect(driver.open({}, hooks, later(5))).rejects.toEqual({ kind: 'timeout', outcome: 'not_started' })
  expect(driver.openCount).toBe(0)
})

test('a reset that fails, hangs or loses the connection is false, and nothing may follow it', async () => {
  const driver = new FakeDriver()
  const results: unknown[] = []
  for (const fault of [{ error: 'XX000' }, { hang: true }, { lost: true }] as const) {
    driver.faults.at({ phase: 'reset' }, fault).hits satisfies number
    const { raw } = await connect(driver)
    results.push(await raw.reset(1, later(5)), raw.status)
    expect(() => raw.submit(new TestOp('select 1'))).toThrow()
    driver.faults.clear()
  }

  expect(results).toEqual([false, 'unknown', false, 'unknown', false, 'unknown'])
})

test('a ping is true unless it fails, hangs or stands behind what hangs', async () => {
  const driver = new FakeDriver({ maxInFlight: 2 })
  const { raw } = await connect(driver)
  const results = [await raw.ping(later(20_000))]
  driver.faults.at({ phase: 'ping' }, { error: 'XX000' })
  results.push(await raw.ping(later(20_000)))
  raw.submit(new TestOp('sleep'))
  results.push(await raw.ping(later(5)))

  expect(results).toEqual([true, false, false])
  expect(driver.log).toEqual(['1: <ping>', '1: <ping>', '1: <ping>', '1: sleep'])
})

test('a close that hangs settles at its deadline', async () => {
  const driver = new FakeDriver()
  const { raw, events } = await connect(driver)
  driver.faults.at({ phase: 'close' }, { hang: true })
  const op = new TestOp('sleep')
  raw.submit(op)

  await raw.close(later(5))

  expect([op.end, driver.openCount, ...events]).toEqual(['closed unknown', 0, 'lost closed'])
})

test('a fault that cannot happen in a phase is refused', () => {
  const { faults } = new FakeDriver()

  expect(() => faults.at({ phase: 'reset' }, { decode: 'x' })).toThrow('no fault { decode } in phase reset: use answer')
})
