/** A primary is killed and another server takes its place, on real streaming replication. */

import { CommitOutcomeUnknownError, createDb, type Db, type EngineOptions, type Heard } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { type Cluster, cluster, type Node, replicationServer } from '../support/replication.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'

const name = 'failover'

interface Pair extends AsyncDisposable {
  readonly servers: Cluster
  readonly primary: Node
  readonly standby: Node
  /** Not open yet. */
  db(options?: EngineOptions): Db
}

async function pair(settings: Readonly<Record<string, string>> = {}): Promise<Pair> {
  const servers = await cluster()
  const { primary } = servers
  await primary.start(settings)
  const standby = await servers.follow()
  await standby.start()
  return {
    servers,
    primary,
    standby,
    db: (options = {}) =>
      createDb(primary.url, {
        name,
        pool: { max: 3 },
        replicas: { urls: [standby.url], maxLagMs: 20_000 },
        ...options,
      }),
    [Symbol.asyncDispose]: () => servers[Symbol.asyncDispose](),
  }
}

describe.skipIf(replicationServer === undefined)('failover (PostgreSQL 15 of this machine)', () => {
  test('statements wait for the new primary, of two that take writes the newest is meant, and a program that starts later finds it', async () => {
    await using both = await pair()
    const { primary, standby } = both
    await using heard = disposable(hear(name))
    await using db = both.db()
    await db.status('create table t (n int)')
    const open = await db.begin()
    await open.status('insert into t values (-1)')
    await until(async () => (await standby.query("select to_regclass('t') as t"))[0]?.['t'] !== null)

    await primary.kill()
    const lost = await caught(open.status('insert into t values (-2)'))
    expect(lost.outcome).toMatch(/rolled_back|not_started/)
    await open.rollback()
    const waiting = [1, 2, 3, 4, 5].map((n) => db.status('insert into t values ($1)', [n]))
    const scope = db.scope(async () => {
      await db.transaction(() => db.status('insert into t values (6)'))
      return db.scalar('select count(*) from t where n = 6')
    })
    await standby.promote()
    await Promise.all(waiting)
    expect(await scope).toBe(1)
    expect(await db.scalar('select array_agg(n order by n) from t')).toEqual([1, 2, 3, 4, 5, 6])
    expect(heard.notices.map(({ code }) => code)).toContain('primary-changed')
    expect(db.stats().hosts?.map(({ role }) => role)).toEqual(['out', 'primary'])

    // It knows nothing of that, and takes writes.
    await primary.start()
    await using later = both.db({ name: 'later' })
    {
      // It waits until both have answered.
      using _time = leapingTime(1_000)
      await later.open()
    }
    expect(await later.scalar('select count(*) from t', [], { from: 'primary' })).toBe(6)
    expect(later.stats().hosts?.[0]).toMatchObject({ role: 'out', why: expect.stringContaining('newer') as string })
    expect(await primary.query('select 1 as one from t')).toEqual([])
    await until(() => db.scope(() => db.scalar('select 1')).then(() => db.stats().hosts?.[0]?.why?.includes('newer')))
  })

  test('connections to a primary that was replaced while it lives are closed, and its transactions are lost', async () => {
    await using both = await pair()
    await using db = both.db()
    await db.status('create table t (n int)')
    await until(async () => (await both.standby.query("select to_regclass('t') as t"))[0]?.['t'] !== null)
    const open = await db.begin()
    await open.status('insert into t values (1)')
    const told: Heard[] = []
    await using _listening = await db.listen('news', (each) => void told.push(each))
    await both.standby.promote()
    await until(() => db.scope(() => db.scalar('select 1')).then(() => db.stats().hosts?.[1]?.role === 'primary'), {
      what: 'the new primary is known',
    })
    expect((await caught(open.commit())).outcome).toBe('rolled_back')
    await db.status('insert into t values (2)')
    expect(await both.standby.query('select n from t')).toEqual([{ n: 2 }])
    expect(await both.primary.query('select n from t')).toEqual([])
    await until(() => told.length > 0, { what: 'a gap is told' })
    await db.notify('news', 'from the new primary')
    await until(() => told.length > 1)
    expect(told).toMatchObject([{ gap: true }, { gap: false, payload: 'from the new primary' }])
  })

  test('a replica that cannot be reached is left out, and used when it is there', async () => {
    await using both = await pair()
    await both.standby.kill()
    await using heard = disposable(hear(name))
    await using db = both.db()
    const codes = (): string => heard.notices.map(({ code }) => code).join(' ')
    expect(await db.scalar('select 1')).toBe(1)
    await until(() => codes() === 'replica-left-out')
    expect(db.stats().hosts?.[1]?.role).toBe('out')
    await both.standby.start()
    const on = (): Promise<unknown> => db.scalar("select current_setting('in_hot_standby')")
    await until(async () => (await on()) === 'on', { what: 'the replica is used' })
    // Reads that were about to go there when it died go to the primary.
    await both.standby.kill()
    expect(await Promise.all(Array.from({ length: 10 }, on))).toEqual(Array.from({ length: 10 }, () => 'off'))
    // One that is slow to answer is left out for a while as well.
    await until(() => /^replica-left-out( replica-back replica-left-out)+$/.test(codes()), { what: codes() })
  })

  test('a COMMIT for which the server gives up waiting for its replica is neither committed nor rolled back', async () => {
    await using both = await pair({ synchronous_standby_names: '*' })
    await using db = both.db({ resolveCommitMs: 2_000 })
    await db.status('create table t (n int)')
    await both.standby.kill()
    const waits = "select pid from pg_stat_activity where wait_event = 'SyncRep'"
    const cancel = async (): Promise<void> => {
      const [row] = await until(() => both.primary.query(waits).then((rows) => (rows.length > 0 ? rows : null)))
      await both.primary.query('select pg_cancel_backend($1)', [row?.['pid']])
    }
    const committing = caught(db.transaction(() => db.status('insert into t values (1)')))
    await cancel()
    expect(await committing).toBeInstanceOf(CommitOutcomeUnknownError)
    const alone = caught(db.status('insert into t values (2)'))
    await cancel()
    expect((await alone).outcome).toBe('unknown')
    expect(await both.primary.query('select n from t order by n')).toEqual([{ n: 1 }, { n: 2 }])
  })
})

function disposable<T extends Disposable>(value: T): T & AsyncDisposable {
  return Object.assign(value, { [Symbol.asyncDispose]: async () => value[Symbol.dispose]() })
}
