/** A ledger under load while primaries are killed. `bench/replicas.ts` is its long form. */

import { createDb } from 'genever'
import { describe, expect, test } from 'vitest'
import { compare, keepLedger, ledgerTable } from '../support/ledger.ts'
import { cluster, replicationServer } from '../support/replication.ts'
import { until } from '../support/until.ts'

describe.skipIf(replicationServer === undefined)('a ledger under load (PostgreSQL 15 of this machine)', () => {
  test('a primary that waits for its replica is killed: no acknowledged commit is lost, no outcome is false', async () => {
    await using servers = await cluster()
    const { primary } = servers
    // On the primary alone: a base backup copies the configuration.
    await primary.start({ synchronous_standby_names: '*' })
    await primary.query(`set synchronous_commit = local; ${ledgerTable}`)
    const standby = await servers.follow()
    await standby.start()
    await using db = createDb(primary.url, { pool: { max: 4 }, replicas: { urls: [standby.url] } })
    const ledger = keepLedger(db, 9)
    const grows = (by: number): Promise<boolean> => {
      const enough = ledger.acknowledged.length + by
      return until(() => ledger.acknowledged.length >= enough, { what: `${by} more are written`, timeoutMs: 30_000 })
    }
    await grows(200)
    await primary.kill()
    await standby.promote()
    await grows(200)
    await ledger.stop()
    expect(compare(ledger, await standby.query('select n from ledger'))).toEqual({ lost: [], denied: [] })
    expect(await db.scalar('select pg_is_in_recovery()')).toBe(false)
  })
})
