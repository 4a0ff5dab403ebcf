/** A primary and its replica, each behind PgBouncer in transaction mode, which says nothing of who is the primary. */

import { createDb, type Db } from 'genever'
import { describe, expect, test } from 'vitest'
import type { Caught } from '../support/caught.ts'
import { hasPgBouncer, startPgBouncer } from '../support/pooler.ts'
import { cluster, type Node, replicationServer } from '../support/replication.ts'
import { until } from '../support/until.ts'

const where = "select current_setting('in_hot_standby') = 'on' as replica"
const onReplica = (db: Db): Promise<boolean | undefined> => db.scalar<boolean>(where)

interface Pooled {
  readonly primary: Node
  readonly standby: Node
  /** Its replica is used. */
  readonly db: Db
  /** Another one. */
  readonly make: () => Db
}

function pooled(work: (set: Pooled) => Promise<void>, maxLagMs = 60_000): () => Promise<void> {
  return async () => {
    await using servers = await cluster()
    const { primary } = servers
    await primary.start()
    const standby = await servers.follow()
    await standby.start()
    await primary.query('create table t (n int)')
    await using main = await startPgBouncer(primary.url, 2)
    await using copy = await startPgBouncer(standby.url, 2)
    const make = (): Db =>
      createDb(main.url, {
        pooler: 'transaction',
        closeTimeoutMs: 1_000,
        pool: { max: 3 },
        replicas: { urls: [copy.url], maxLagMs },
      })
    await using db = make()
    await until(() => db.scope(() => onReplica(db)), { what: 'the replica is used' })
    await work({ primary, standby, db, make })
  }
}

describe.skipIf(replicationServer === undefined || !hasPgBouncer)('replicas behind PgBouncer', () => {
  test(
    'plain reads run on the replica, a write on the primary, and what its scope reads after that too',
    pooled(async ({ db }) => {
      expect(db.stats().hosts?.map(({ role }) => role)).toEqual(['primary', 'replica'])
      await db.scope(async () => {
        expect(await onReplica(db)).toBe(true)
        await db.status('insert into t values (1)')
        expect(await db.one(`select n, (${where}) as replica from t`)).toEqual({ n: 1, replica: false })
      })
      await db.transaction(async () => expect(await onReplica(db)).toBe(false))
    }),
  )

  test(
    'settings of a scope hold on the replica, and for nobody else',
    pooled(async ({ db }) => {
      const read = (): Promise<unknown> =>
        db.one(`select coalesce(current_setting('app.tenant', true), '') as tenant, (${where}) as replica`)
      const tenants = await Promise.all(
        ['a', 'b', 'c', 'd'].map((tenant) => db.scope(read, { settings: { 'app.tenant': tenant } })),
      )
      expect(tenants).toEqual(['a', 'b', 'c', 'd'].map((tenant) => ({ tenant, replica: true })))
      expect(await db.scope(read)).toEqual({ tenant: '', replica: true })
    }),
  )

  test(
    'position() and after: nobody reads less than what was written before, though the replay stands still',
    pooled(async ({ db, standby }) => {
      await standby.query('select pg_wal_replay_pause()')
      await db.status('insert into t values (2)')
      const after = await db.position()
      const seen = await db.scope(() => db.one(`select n, (${where}) as replica from t`), { after })
      expect(seen).toEqual({ n: 2, replica: false })
      await standby.query('select pg_wal_replay_resume()')
      await until(() => db.scope(() => onReplica(db), { after }), { what: 'the replica has come so far' })
    }),
  )

  test(
    'a primary that is killed: what its pooler holds is lost or runs on the new primary, and no outcome is false',
    pooled(async ({ db, primary, standby }) => {
      await primary.kill()
      const write = (n: number): Promise<string | null | undefined> =>
        db.status('insert into t values ($1)', [n], { timeoutMs: 2_000 }).then(
          () => 'done',
          (error: unknown) => (error as Caught).outcome,
        )
      const sent = Promise.all([11, 12, 13].map(write))
      await standby.promote()
      await until(async () => (await write(14)) === 'done', {
        what: 'a write runs on the new primary',
        timeoutMs: 30_000,
      })
      const outcomes = await sent
      const of = (...wanted: readonly unknown[]): number[] =>
        [11, 12, 13].filter((_, at) => wanted.includes(outcomes[at]))
      expect(of('done', 'unknown', 'not_started', 'rolled_back')).toEqual([11, 12, 13])
      const rows = (await standby.query('select distinct n from t')).map(({ n }) => n)
      expect(rows).toEqual(expect.arrayContaining([14, ...of('done')]))
      for (const n of of('not_started', 'rolled_back')) expect(rows).not.toContain(n)
    }, 2_000),
  )

  test(
    'what the pooler of a killed primary holds is told when another one takes its place, with nothing else sent and any maxLagMs',
    pooled(async ({ make, primary, standby }) => {
      // Nothing has been read there, and so nobody asks who is the primary.
      await using db = await make().open()
      const outcome = (sent: Promise<unknown>): Promise<unknown> =>
        sent.then(
          () => 'done',
          (error: unknown) => (error as Caught).outcome,
        )
      await primary.kill()
      const alone = outcome(db.status('insert into t values (21)'))
      await standby.promote()
      // Its pooler would keep it for two minutes.
      expect(['unknown', 'not_started', 'rolled_back', 'done']).toContain(await alone)
      expect(db.stats().hosts?.map(({ role }) => role)).toEqual(['out', 'primary'])
      expect(await outcome(db.status('insert into t values (22)'))).toBe('done')
    }, 3_600_000),
  )
})
