/** A database for each tenant, which has a replica. */

import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { UsageError } from 'genever'
import { Model } from 'genever/models'
import { createRegistry } from 'genever/registry'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { type Cluster, cluster, type Node, replicationServer } from '../support/replication.ts'
import { until } from '../support/until.ts'

const where =
  "select current_database() || case current_setting('in_hot_standby') when 'on' then ' replica' else '' end"
/** Longer than any test takes, on a machine that is busy too. */
const maxLagMs = 60_000
const from = 'replica'

describe.skipIf(replicationServer === undefined)('tenants with replicas (PostgreSQL 15 of this machine)', () => {
  let servers: Cluster
  let primary: Node
  let standby: Node

  beforeAll(async () => {
    servers = await cluster()
    primary = servers.primary
    await primary.start()
    standby = await servers.follow()
    await standby.start()
    for (const name of ['a', 'b']) await primary.query(`create database ${name}`)
    await until(async () => (await standby.query("select 1 from pg_database where datname = 'b'")).length === 1)
  })
  afterAll(() => servers[Symbol.asyncDispose]())

  const at = (node: Node, name: string): string => node.url.replace(/postgres$/, name)
  const open = (reads: 'primary' | 'replica', more: object = {}) =>
    createRegistry({
      main: primary.url,
      tenancy: {
        database: (tenant: string) => ({
          url: at(primary, tenant),
          pool: { max: 2 },
          replicas: { urls: [at(standby, tenant)], maxLagMs, reads },
        }),
        ...more,
      },
    })

  test('using({ tenant, from }) reads there, as a db, a callback and a model, and writes go to the primary', async () => {
    await using db = open('primary')
    class Note extends Model(db, pgTable('notes', { id: integer().primaryKey(), body: text() })) {}
    for (const tenant of ['a', 'b']) {
      const view = db.using({ tenant, from })
      await until(async () => (await view.scalar(where)) === `${tenant} replica`, { what: 'the replica is used' })
      expect(db.using({ tenant, from })).toBe(view)
      expect(await db.using({ tenant }).scalar(where)).toBe(tenant)
      expect(await db.using({ tenant, from: 'primary' }).scalar(where)).toBe(tenant)
      // A replica that is slow to answer is left out for a while.
      await until(
        async () => {
          const seen = await db.using({ tenant, from }, async (there) => [
            await db.scalar(where),
            await there.scalar(where),
            await db.scope(() => db.scalar(where)),
          ])
          return seen.every((each) => each === `${tenant} replica`)
        },
        { what: 'all of them read there' },
      )
      const seen = await db.using({ tenant, from }, async () => [
        db.tenant,
        await db.scalar(where, [], { from: 'primary' }),
      ])
      expect(seen).toEqual([tenant, tenant])

      await view.status('create table notes (id int primary key, body text)')
      const made = await Note.using({ tenant, from }).create({ id: 1, body: tenant })
      await made.update({ body: `${tenant} new` }).apply()
      const read = await until(
        () =>
          Note.using({ tenant, from })
            .get(1)
            .catch(() => undefined)
            .then((note) => (note?.body === `${tenant} new` ? note : undefined)),
        { what: 'the replica has it' },
      )
      await read.update({ body: 'last' }).apply()
      expect(await db.using({ tenant }).scalar('select body from notes')).toBe('last')
    }
  })

  test('inside of withTenant, using({ from }) and the option from mean the servers of that tenant', async () => {
    await using db = open('replica')
    await db.withTenant('a', async () => {
      await until(async () => (await db.scalar(where)) === 'a replica', { what: 'the replica is used' })
      expect(await db.scalar(where, [], { from: 'primary' })).toBe('a')
      expect(await db.using({ from: 'primary' }, () => db.scalar(where))).toBe('a')
      await until(async () => (await db.using({ from }, () => db.scalar(where))) === 'a replica')
      expect(await db.using({ tenant: 'b', from: 'primary' }, () => db.scalar(where))).toBe('b')
    })
    expect(() => db.using({ tenant: 'a', from: 'both' as 'replica' })).toThrow(UsageError)
    expect(await caught(db.using({ tenant: 'a', from }).close())).toBeInstanceOf(UsageError)
  })

  test('all connections to all servers count, those that ask them too, and are closed for other tenants', async () => {
    const maxConnections = 4
    await using db = open('replica', { maxConnections })
    const count =
      "select count(*)::int as n from pg_stat_activity where backend_type = 'client backend' and application_name not like 'genever-test%' and datname in ('a', 'b')"
    for (let round = 0; round < 6; round++) {
      const tenant = round % 2 === 0 ? 'a' : 'b'
      expect(await db.using({ tenant, from: 'primary' }).scalar(where)).toBe(tenant)
      expect(await db.using({ tenant }).scalar('select current_database()')).toBe(tenant)
      // What was broken off is there until the server has noticed it.
      await until(
        async () => {
          const rows = await Promise.all([primary, standby].map((node) => node.query(count)))
          return rows.reduce((sum, [row]) => sum + (row?.['n'] as number), 0) <= maxConnections
        },
        { what: 'no more than there may be' },
      )
    }
    await using small = open('replica', { maxConnections: 2 })
    expect(String(await caught(small.using({ tenant: 'a' }).scalar('select 1')))).toContain('maxConnections: 2')
  })
})
