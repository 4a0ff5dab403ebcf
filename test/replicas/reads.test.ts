/** Where statements run on a database with a replica, on real streaming replication. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { ConnectError, createDb, type Db, type EngineOptions, sql, TransactionStateError, UsageError } from 'genever'
import { genever } from 'genever/http'
import { Model } from 'genever/models'
import { createRegistry } from 'genever/registry'
import { sandboxed } from 'genever/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { serverUrl } from '../support/database.ts'
import { type Cluster, cluster, type Node, replicationServer } from '../support/replication.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'

const where = "select current_setting('in_hot_standby') = 'on' as replica"

/** Longer than any test takes, on a machine that is busy too. */
const maxLagMs = 60_000
const shortMs = 400

describe.skipIf(replicationServer === undefined)('a database with a replica (PostgreSQL 15 of this machine)', () => {
  let servers: Cluster
  let primary: Node
  let standby: Node

  beforeAll(async () => {
    servers = await cluster()
    primary = servers.primary
    await primary.start()
    standby = await servers.follow()
    await standby.start()
    await primary.query('create table t (n int)')
    await primary.query(
      'create function bump() returns int language sql volatile as $$insert into t values (0) returning n$$',
    )
    await primary.query('create function quiet() returns int language sql stable as $$select 1$$')
  })

  beforeEach(async () => {
    await standby.query('select pg_wal_replay_resume()')
    await primary.query('truncate t')
  })

  afterAll(async () => {
    await servers[Symbol.asyncDispose]()
  })

  /** Open; its replica is used. */
  async function open(options: EngineOptions = {}, wanted: Partial<EngineOptions['replicas']> = {}): Promise<Db> {
    const urls = [standby.url]
    const db = createDb(primary.url, { pool: { max: 3 }, ...options, replicas: { urls, maxLagMs, ...wanted } })
    await until(() => db.scope(() => db.scalar(where), { from: 'replica' }), { what: 'the replica is used' })
    return db
  }

  const onReplica = (db: Db): Promise<boolean | undefined> => db.scalar<boolean>(where)
  const reserved = (db: Db): number[] => (db.stats().hosts ?? []).map((each) => each.reserved)

  test('a plain read outside of scopes runs on the replica, a write on the primary', async () => {
    await using db = await open()
    expect(await onReplica(db)).toBe(true)
    expect(await db.scalar('insert into t values (1) returning pg_is_in_recovery()')).toBe(false)
  })

  test('reads outside of scopes go to the primary for maxLagMs after a write of this engine', async () => {
    using time = leapingTime()
    const longMs = 1_000_000
    await using db = await open({}, { maxLagMs: longMs })
    await db.status('insert into t values (1)')
    for (let part = 0; part < 4; part++) {
      await until(() => db.scope(() => onReplica(db)), { what: 'scopes use the replica' })
      expect(await onReplica(db)).toBe(false)
      time.leap(longMs / 5)
    }
    time.leap(longMs / 5)
    await until(() => onReplica(db), { what: 'the replica is used again' })
  })

  test('a function that nobody knows may write, so it runs on the primary; one that is stable runs on the replica', async () => {
    await using db = await open()
    await until(() => db.scalar('select pg_is_in_recovery() from (select quiet()) as q', [], { from: 'replica' }))
    expect(await db.scalar('select bump()')).toBe(0)
    expect(await primary.query('select count(*)::int as n from t')).toEqual([{ n: 1 }])
  })

  test('a scope reads from the replica until it writes, and from the primary after that, with one connection at a time', async () => {
    await using db = await open()
    await db.scope(async () => {
      expect(await onReplica(db)).toBe(true)
      expect(reserved(db)).toEqual([0, 1])
      await db.status('insert into t values (7)')
      expect(reserved(db)).toEqual([1, 0])
      expect(await db.scalar('select n from t')).toBe(7)
      expect(await onReplica(db)).toBe(false)
      expect(reserved(db)).toEqual([1, 0])
    })
    expect(reserved(db)).toEqual([0, 0])
  })

  test('a write that is issued beside reads waits for those on the replica, and what follows sees it', async () => {
    await using db = await open()
    await db.scope(async () => {
      const [, first, , second] = await Promise.all([
        db.scalar('select pg_sleep(0.05)'),
        onReplica(db),
        db.status('insert into t values (8)'),
        db.one(`select n, (${where}) as replica from t`),
      ])
      expect(first).toBe(true)
      expect(second).toEqual({ n: 8, replica: false })
    })
  })

  test.each([
    ['a transaction', (db: Db) => db.transaction(() => db.scalar('select 1'))],
    ['a setting of the session', (db: Db) => db.status("set application_name = 'x'")],
    ['a lock', (db: Db) => db.status('select pg_advisory_lock(4711)')],
    ['rows that are locked', (db: Db) => db.all('select n from t for update')],
    ['from: primary', (db: Db) => db.scalar('select 1', [], { from: 'primary' })],
    ['a function that nobody knows', (db: Db) => db.scalar('select bump()')],
    ['the session that it asks for', (db: Db) => db.scalar('select pg_backend_pid()')],
  ])('a scope stays on the primary after %s', async (_what, work) => {
    await using db = await open()
    await db.scope(async () => {
      expect(await onReplica(db)).toBe(true)
      await work(db)
      expect(await onReplica(db)).toBe(false)
    })
  })

  test('iterate() outside of transactions reads from the replica, inside of one where that runs', async () => {
    await using db = await open()
    const read = async (): Promise<unknown[]> => {
      const rows: unknown[] = []
      for await (const row of db.iterate(`${where} from generate_series(1, 3)`, [], { batchSize: 2 })) rows.push(row)
      return rows
    }
    const on = Array.from({ length: 3 }, () => ({ replica: true }))
    expect(await read()).toEqual(on)
    await db.scope(async () => {
      expect(await read()).toEqual(on)
      expect(await onReplica(db)).toBe(true)
      await db.transaction(async () => expect(await read()).toEqual(on.map(() => ({ replica: false }))))
    })
  })

  test('reads: primary keeps all on the primary but what says from: replica', async () => {
    await using db = await open({}, { reads: 'primary' })
    expect(await onReplica(db)).toBe(false)
    expect(await db.scalar(where, [], { from: 'replica' })).toBe(true)
    await db.scope(async () => expect(await onReplica(db)).toBe(false))
    await db.scope(async () => expect(await onReplica(db)).toBe(true), { from: 'replica' })
    for await (const row of db.iterate<{ replica: boolean }>(where)) expect(row.replica).toBe(false)
    for await (const row of db.iterate<{ replica: boolean }>(where, [], { from: 'replica' }))
      expect(row.replica).toBe(true)
  })

  test('a scope from the primary reads there, an inner one too', async () => {
    await using db = await open()
    await db.scope(async () => expect(await onReplica(db)).toBe(false), { from: 'primary' })
    await db.scope(async () => {
      expect(await onReplica(db)).toBe(true)
      await db.scope(async () => expect(await onReplica(db)).toBe(false), { from: 'primary' })
    })
    await db.scope(async () => expect(reserved(db)).toEqual([0, 1]), { from: 'replica', lazy: false })
  })

  test('settings of a scope and of detached() hold on the replica', async () => {
    await using db = await open()
    const read = (): Promise<unknown> => db.one(`select current_setting('app.tenant') as tenant, (${where}) as replica`)
    const settings = { 'app.tenant': '7' }
    await db.scope(async () => expect(await read()).toEqual({ tenant: '7', replica: true }), { settings })
    await db.detached(async () => expect(await read()).toEqual({ tenant: '7', replica: true }), { settings })
    expect(await db.scalar("select coalesce(current_setting('app.tenant', true), '')")).toBe('')
  })

  test('from: replica is refused for what no replica can do, and inside of transactions', async () => {
    await using db = await open()
    const from = 'replica'
    for (const text of ['insert into t values (1)', 'select pg_advisory_lock(1)', 'select n from t for update'])
      expect(await caught(db.status(text, [], { from }))).toBeInstanceOf(UsageError)
    expect(await caught(db.iterate('select pg_advisory_lock(1)', [], { from }).read())).toBeInstanceOf(UsageError)
    expect(await caught(db.executeMany('insert into t values ($1)', [[1]], { from }))).toBeInstanceOf(UsageError)
    await db.transaction(async () =>
      expect(await caught(db.scalar('select 1', [], { from }))).toBeInstanceOf(UsageError),
    )
    expect(await db.scalar('select count(*) from t')).toBe(0)
  })

  test('a read that the replica refuses runs on the primary, at once from the second time on', async () => {
    await using db = await open()
    for (const _ of [1, 2]) expect(await db.scalar('select bump()', [], { from: 'replica' })).toBe(0)
    await db.scope(async () => expect(await db.scalar('select bump()', [], { from: 'replica' })).toBe(0))
    expect(await primary.query('select count(*)::int as n from t')).toEqual([{ n: 3 }])
  })

  test('a read whose connection to the replica dies runs on the primary', async () => {
    await using db = await open()
    const ended = primaryOnly(db)
    await until(() =>
      standby
        .query("select 1 from pg_stat_activity where query like '%pg_sleep(30)%' and pid <> pg_backend_pid()")
        .then((rows) => rows.length > 0),
    )
    await standby.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(30)%' and pid <> pg_backend_pid()",
    )
    expect(await ended).toBe(false)
  })

  test('a read that the replica stops for its replay runs on the primary', async () => {
    await using db = await open()
    await standby.query("alter system set max_standby_streaming_delay = '10ms'")
    await standby.query('select pg_reload_conf()')
    await primary.query('create table if not exists busy as select 1 as n')
    await until(async () => (await standby.query("select to_regclass('busy') as t"))[0]?.['t'] !== null)
    const slow = `select case when (${where}) then pg_sleep(30) is null else false end from busy`
    const inScope = db.scope(() => db.scalar(slow))
    const running = "select 1 from pg_stat_activity where wait_event = 'PgSleep'"
    await until(async () => (await standby.query(running)).length === 1, { what: 'it runs on the replica' })
    await primary.query('alter table busy add column if not exists m int')
    expect(await inScope).toBe(false)
    await standby.query('alter system reset max_standby_streaming_delay')
    await standby.query('select pg_reload_conf()')
  })

  test.each(['40001', '40P01'])(
    'a read that the replica ends with %s, for its replay, runs on the primary',
    async (code) => {
      await primary.query(
        `create or replace function ends() returns text language plpgsql stable as $$
       begin
         if pg_is_in_recovery() then
           raise exception 'canceling statement due to conflict with recovery' using errcode = '${code}';
         end if;
         return '${code}';
       end $$`,
      )
      const body = "select prosrc from pg_proc where proname = 'ends'"
      await until(async () => JSON.stringify(await standby.query(body)).includes(code), {
        what: 'it has come there',
      })
      await using db = await open()
      expect(await db.scalar('select ends()', [], { from: 'replica' })).toBe(code)
      expect(await db.scope(() => db.scalar('select ends()', [], { from: 'replica' }))).toBe(code)
    },
  )

  test('a replica that falls silent is left out, and the reads that hang there run on the primary', async () => {
    await using proxy = await startProxy(standby.url)
    await using db = await open({ closeTimeoutMs: 300 }, { urls: [proxy.url], maxLagMs: shortMs })
    const slow = `select case when (${where}) then pg_sleep(30) is null else false end`
    const running = "select 1 from pg_stat_activity where wait_event = 'PgSleep'"
    const endAll = async (): Promise<void> => {
      await standby.query(running.replace('select 1', 'select pg_terminate_backend(pid)'))
      await until(async () => (await standby.query(running)).length === 0)
    }
    /** Null: the replica was slow to say who it is, and is left out for a while. */
    const begin = async (): Promise<readonly Promise<boolean | undefined>[] | null> => {
      await endAll()
      const reads = [db.scope(() => db.scalar<boolean>(slow)), db.scalar<boolean>(slow)]
      let answered = false
      for (const read of reads) void read.then(() => (answered = true))
      await until(async () => answered || (await standby.query(running)).length === 2)
      if (!answered) return reads
      await endAll()
      await Promise.all(reads)
      return null
    }
    const hanging = await until(begin, { what: 'both run on the replica' })
    for (const link of proxy.links) link.break('blackhole')
    await proxy.accept('silent')
    const out = until(() => db.scalar(where).then(() => db.stats().hosts?.[1]?.role === 'out'), {
      what: 'it is out',
      timeoutMs: 30_000,
    })
    expect(await Promise.all([...hanging, out])).toEqual([false, false, true])
    // The server does not know that nobody waits for them any more.
    await endAll()
  })

  test('scopes that wait for something else lend their connection of the replica to others', async () => {
    await using db = await open({ pool: { max: 1 } })
    const both = await Promise.all(
      [1, 2, 3].map((n) =>
        db.scope(async () => {
          const first = await onReplica(db)
          await until(() => db.stats().hosts?.[1]?.recalls !== 0 || n === 3)
          const second = await onReplica(db)
          await db.status('insert into t values ($1)', [n])
          return [first, second, await onReplica(db)]
        }),
      ),
    )
    expect(both).toEqual([1, 2, 3].map(() => [true, true, false]))
    expect(db.stats().hosts?.[1]?.recalls).toBeGreaterThan(0)
  })

  test('which of them is the primary is asked, whatever the options say', async () => {
    // The beginning waits until both have answered.
    using _time = leapingTime(1_000)
    await using db = createDb(standby.url, { replicas: { urls: [primary.url], maxLagMs } })
    await db.status('insert into t values (1)')
    expect(db.stats().hosts?.map(({ role }) => role)).toEqual(['replica', 'primary'])
    await until(() => db.scope(() => onReplica(db)), { what: 'the replica is used' })
  })

  /** Whether a read was answered by the replica that takes long there and none of the primary's time. */
  function primaryOnly(db: Db): Promise<boolean | undefined> {
    return db.scalar<boolean>(`select case when (${where}) then pg_sleep(30) is null else false end`)
  }

  test('position() and after: nobody reads less than what was written before, though the replay stands still', async () => {
    await using db = await open()
    await db.status('insert into t values (1)')
    const after = await db.position()
    expect(after).toMatch(/^1:[0-9A-F]+\/[0-9A-F]+$/)
    await until(() => db.scope(() => onReplica(db), { after }), { what: 'the replica has come so far' })
    await standby.query('select pg_wal_replay_pause()')
    await db.status('insert into t values (2)')
    const later = await db.position()
    const seen = await db.scope(() => db.one(`select count(*) as n, (${where}) as replica from t`), { after: later })
    expect(seen).toEqual({ n: 2, replica: false })
    expect(await db.scope(() => onReplica(db), { after })).toBe(true)
    await standby.query('select pg_wal_replay_resume()')
    await until(() => db.scope(() => onReplica(db), { after: later }), { what: 'the replica has come so far' })
  })

  test('a position of another history is read at the primary; what is no position is refused', async () => {
    await using db = await open()
    const after = (await db.position()).replace('1:', '2:')
    expect(await db.scope(() => onReplica(db), { after })).toBe(false)
    expect(String(await caught(db.scope(() => 1, { after: 'yesterday' })))).toContain('"after"')
    await db.transaction(async () => expect(await caught(db.position())).toBeInstanceOf(TransactionStateError))
  })

  test('a replica that is too far behind gets no reads', async () => {
    await using db = await open({}, { maxLagMs: shortMs })
    await standby.query('select pg_wal_replay_pause()')
    await primary.query('insert into t values (1)')
    await until(async () => !(await onReplica(db)), { what: 'it is left alone' })
    expect(await db.scalar('select count(*) from t')).toBe(1)
    expect(db.stats().hosts?.[1]?.lagMs).toBeGreaterThan(shortMs)
    await standby.query('select pg_wal_replay_resume()')
    await until(() => onReplica(db), { what: 'it is used again' })
  })

  test('none of many reads after writes is stale, with positions', async () => {
    await using db = await open()
    await db.status('insert into t values (0)')
    let replicas = 0
    for (let n = 1; n <= 60; n++) {
      await db.status('update t set n = $1', [n])
      const after = await db.position()
      // Of every other one the replica has it already.
      if (n % 2 === 0) await until(() => db.scope(() => onReplica(db), { after }))
      const read = (): Promise<{ seen: number; replica: boolean }> =>
        db.one(`select n as seen, (${where}) as replica from t`)
      const { seen, replica } = await db.scope(read, { after })
      expect(seen).toBe(n)
      if (replica) replicas++
    }
    expect(replicas).toBeGreaterThanOrEqual(30)
  })

  test('stats() names the servers, and close() closes all of them', async () => {
    const db = await open({ applicationName: 'closes all' })
    const { hosts = [], open: opened } = db.stats()
    expect(hosts.map(({ name, role }) => [name, role])).toEqual([
      [`127.0.0.1:${primary.port}`, 'primary'],
      [`127.0.0.1:${standby.port}`, 'replica'],
    ])
    expect(opened).toBe(hosts.reduce((sum, host) => sum + host.open, 0))
    await db.close()
    const left = "select 1 from pg_stat_activity where application_name = 'closes all'"
    for (const node of [primary, standby])
      await until(async () => (await node.query(left)).length === 0, { what: 'nobody is connected' })
  })

  test('a registry and its models say it by using({ from })', async () => {
    await using open = createRegistry({
      main: { url: primary.url, replicas: { urls: [standby.url], maxLagMs, reads: 'primary' } },
      extra: { same: primary.url },
    })
    class Entry extends Model(open, pgTable('entries', { id: integer().primaryKey(), replica: text() })) {}
    await primary.query('create table entries (id int primary key, replica text)')
    const from = 'replica'
    await until(() => open.using({ from }).scalar(where), { what: 'the replica is used' })
    expect(await open.scalar(where)).toBe(false)
    expect(await open.using({ from }).scalar(where)).toBe(true)
    expect(await open.using({ database: 'same', from }).scalar(where)).toBe(false)
    await open.using({ from }, async (db) => {
      expect([await open.scalar(where), await db.scalar(where)]).toEqual([true, true])
      expect(await open.scalar(where, [], { from: 'primary' })).toBe(false)
      await open.scope(async () => {
        expect(await onReplica(open)).toBe(true)
        await open.using({ from: 'primary' }, async () => expect(await onReplica(open)).toBe(false))
      })
    })
    const made = await Entry.using({ from }).create({ id: 1, replica: 'a' })
    await until(() => Entry.using({ from }).get(1), { what: 'the replica has it' })
    const read = await Entry.using({ from }).getOr404(1)
    await read.update({ replica: 'b' }).apply()
    expect(await Entry.get(made.id)).toMatchObject({ replica: 'b' })
    expect(() => open.using({ from: 'both' as 'replica' })).toThrow(UsageError)
    await open.status('drop table entries')
  })

  test('a sandbox has one connection, and everything runs there', async () => {
    await using db = await open()
    await sandboxed(db, async () => {
      await db.status('insert into t values (1)')
      expect(await db.scalar('select count(*) from t')).toBe(1)
      await db.scope(async () => expect(await onReplica(db)).toBe(false))
    })
    expect(await db.scalar('select count(*) from t', [], { from: 'primary' })).toBe(0)
  })

  test('a request reads from the replica, and from the primary once it has written', async () => {
    await using db = await open()
    const web = genever(db)
    const handler = web.handler(async (request, response) => {
      const seen = [await request.db.scalar(where)]
      if (request.url === '/write') await db.status('insert into t values (1)')
      seen.push(await onReplica(db))
      response.end(JSON.stringify([seen, reserved(db)]))
    })
    const server = createServer(handler).listen(0)
    const { port } = server.address() as AddressInfo
    const get = async (path: string): Promise<unknown> => (await fetch(`http://127.0.0.1:${port}${path}`)).json()
    try {
      expect([await get('/'), await get('/write')]).toEqual([
        [
          [true, true],
          [0, 1],
        ],
        [
          [true, false],
          [1, 0],
        ],
      ])
    } finally {
      server.close()
    }
  })

  test('a server with other data is refused', async () => {
    // The beginning waits until it has answered.
    using _time = leapingTime(1_000)
    const db = createDb(primary.url, { replicas: { urls: [standby.url, serverUrl()] } })
    const error = await caught(db.open())
    expect(error).toBeInstanceOf(ConnectError)
    expect(error.message).toContain('system_identifier')
  })

  test('templates and built queries go where texts go', async () => {
    await using db = await open()
    expect(await db.scalar(sql`select current_setting('in_hot_standby')`)).toBe('on')
    expect(await db.sql`select current_setting('in_hot_standby') as on`.scalar()).toBe('on')
    expect(await db.bake(where).scalar({})).toBe(true)
  })
})
