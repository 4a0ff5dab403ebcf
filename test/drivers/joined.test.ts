/** Operations of one statement that share a Sync because they were submitted together, on a session that gathers what it sends. */

import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { socketDriver } from '../../src/driver/socket/driver.ts'
import type { Compiled } from '../../src/sql/compiled.ts'
import { type FreshDatabase, freshDatabase, onServer, query } from '../support/database.ts'
import { until } from '../support/until.ts'
import { closeAll, connect, later, type TestConnection, type TestOp } from './test-connection.ts'

let database: Promise<FreshDatabase> | undefined

async function open(): Promise<TestConnection> {
  database ??= freshDatabase()
  const { hostname: host, port, username: user, password, pathname } = new URL((await database).url)
  const options = { host, port: Number(port || 5432), user, password: decodeURIComponent(password) || undefined }
  return connect(socketDriver, { ...options, database: pathname.slice(1) })
}

/** A statement that the server has parsed and described. */
async function known(c: TestConnection, text: string, params: readonly unknown[]): Promise<Compiled> {
  const stmt = c.named(text)
  expect((await c.run(stmt, params)).failure).toBeNull()
  return stmt
}

/** The first is submitted, the others join it. */
function joined(c: TestConnection, stmt: Compiled, ...params: readonly unknown[]): TestOp[] {
  return params.map((value, n) => {
    const op = c.op(stmt, [value])
    if (n === 0) c.raw.submit(op)
    else expect(c.raw.join?.(op)).toBe(true)
    return op
  })
}

const ends = async (ops: readonly TestOp[]): Promise<string[]> => {
  await Promise.all(ops.map(({ settled }) => settled))
  return ops.map(({ end }) => end)
}

describe('operations that join the unit submitted last', () => {
  afterEach(closeAll)

  test('are one unit in flight, in one transaction, and each has its own rows', async () => {
    const c = await open()
    const stmt = await known(c, 'select $1::int as n, now()::text as at', [0])

    const ops = joined(c, stmt, 1, 2, 3, 4, 5)

    expect(c.raw.inFlight).toBe(1)
    expect(await ends(ops)).toEqual(ops.map(() => 'SELECT 1'))
    expect(ops.map(({ rows }) => rows[0].n)).toEqual([1, 2, 3, 4, 5])
    expect(new Set(ops.map(({ rows }) => rows[0].at)).size).toBe(1)
    expect([c.raw.inFlight, c.raw.status]).toEqual([0, 'idle'])
  })

  test('have their own limit of rows, and their own parameters, text or bytes', async () => {
    const c = await open()
    const stmt = await known(c, 'select $1::bytea as b from generate_series(1, 9)', [Buffer.of(0)])
    const ops = [1, 2].map((n) => c.op(stmt, [Buffer.of(n, 255)], { maxRows: n }))
    c.raw.submit(ops[0] as TestOp)
    expect(c.raw.join?.(ops[1] as TestOp)).toBe(true)

    await ends(ops)

    expect(ops.map(({ rows }) => rows.map(({ b }) => [...b]))).toEqual([
      [[1, 255]],
      [
        [2, 255],
        [2, 255],
      ],
    ])
  })

  test('are skipped behind one that fails, and what ran before it counts as rolled back', async () => {
    const c = await open()
    const stmt = await known(c, 'select 10 / $1::int as n', [1])

    expect(await ends(joined(c, stmt, 1, 2, 0, 5))).toEqual([
      'skipped rolled_back',
      'skipped rolled_back',
      'server 22012 rolled_back',
      'skipped not_started',
    ])
    expect(await c.value('select 1')).toBe(1)
  })

  test('are all sent again when their plan is stale', async () => {
    const c = await open()
    const t = `joined_${process.pid}`
    await c.run(`create table ${t} as select 1 as a`)
    const stmt = await known(c, `select * from ${t} where a = $1`, [1])
    await query((await database)?.url ?? '', `alter table ${t} add column b text default 'new'`)

    const ops = joined(c, stmt, 1, 2, 1)

    expect(await ends(ops)).toEqual(['SELECT 1', 'SELECT 0', 'SELECT 1'])
    expect(ops.map(({ rows }) => rows)).toEqual([[{ a: 1, b: 'new' }], [], [{ a: 1, b: 'new' }]])
  })

  test('fail with the connection', async () => {
    const c = await open()
    const stmt = await known(c, 'select $1::int as n', [0])
    const ops = joined(c, stmt, 1, 2)

    c.raw.destroy({ kind: 'lost', outcome: 'unknown' })

    expect(await ends(ops)).toEqual(['lost unknown', 'lost unknown'])
  })

  test('can be stopped, any of them', async () => {
    const c = await open()
    const stmt = await known(c, 'select $1::int as n from pg_sleep($1)', [0])
    const ops = joined(c, stmt, 0, 60, 0)
    const sleeps = `select 1 from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'`
    await until(async () => (await onServer(sleeps, [c.raw.id])).length > 0)

    expect(await c.raw.cancel(ops[1] as TestOp, later())).toBe('cancelled')

    expect(await ends(ops)).toEqual(['skipped rolled_back', 'server 57014 rolled_back', 'skipped not_started'])
  })

  test('are only those of the same statement, known to the server, while nothing of the unit has gone out', async () => {
    const c = await open()
    const stmt = await known(c, 'select $1::int as n', [0])
    const other = await known(c, 'select $1::int as m', [0])
    const fresh = c.named('select $1::int as fresh')
    const refused = (of: Compiled, params: readonly unknown[] = [0]): void =>
      expect(c.raw.join?.(c.op(of, params))).toBe(false)

    refused(stmt)
    const first = c.op(stmt, [1])
    c.raw.submit(first)
    refused(other)
    refused(stmt, [Symbol('no value')])
    const between = c.op(other, [2])
    c.raw.submit(between)
    refused(stmt)
    const last = c.op(stmt, [3])
    c.raw.submit(last)
    await turn()
    refused(stmt)
    await ends([first, between, last])
    const parsing = c.op(fresh, [4])
    c.raw.submit(parsing)
    refused(fresh)
    await parsing.settled

    expect([first, between, last, parsing].map(({ rows }) => Object.values(rows[0] as object)[0])).toEqual([1, 2, 3, 4])
  })

  test('are others too, behind BEGIN or SAVEPOINT: they do not run when that fails', async () => {
    const c = await open()
    const stmt = await known(c, 'select $1::int as n', [0])
    const opened = async (...texts: readonly string[]): Promise<string[]> => {
      const ops = [...texts.map((text) => c.op(text)), c.op('select 7 as n')]
      c.raw.submitUnit({ ops })
      const behind = c.op(stmt, [1])
      expect([c.raw.join?.(behind), c.raw.join?.(behind, true)]).toEqual([false, true])
      return ends([...ops, behind])
    }

    expect(await opened('begin')).toEqual(['BEGIN', 'SELECT 1', 'SELECT 1'])
    expect(c.raw.status).toBe('tx')
    expect(await opened('savepoint a')).toEqual(['SAVEPOINT', 'SELECT 1', 'SELECT 1'])
    await c.unit('rollback')
    expect(await opened('begin isolation level none')).toEqual([
      'server 42601 rolled_back',
      'skipped not_started',
      'skipped not_started',
    ])
    expect(c.raw.status).toBe('idle')
  })

  test('are none behind settings', async () => {
    const c = await open()
    const stmt = await known(c, 'select $1::int as n', [0])
    c.raw.submitUnit({ ops: [c.op('begin'), c.op('set local search_path to public'), c.op(stmt, [1])] })

    expect(c.raw.join?.(c.op(stmt, [2]), true)).toBe(false)
  })

  test('are none that write COPY data or change the session', async () => {
    const c = await open()
    const set = await known(c, `set statement_timeout = 0`, [])
    c.raw.submit(c.op(set))

    expect(c.raw.join?.(c.op(set))).toBe(false)
  })
})
