/**
 * Three hundred tenants on four connections, at random: throws, aborts, timeouts, recalls, tenants inside of tenants, savepoints that
 * are rolled back, directly and behind PgBouncer. Row-level security tells rows apart; none of another tenant is read or written.
 */

import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import { createRegistry } from 'genever/registry'
import { describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase, query } from '../support/database.ts'
import { sample, sampleSeed } from '../support/extent.ts'
import { random } from '../support/junk.ts'
import { hasPgBouncer, type Pooler, startPgBouncer } from '../support/pooler.ts'
import { until } from '../support/until.ts'

const tenants = 300
const connections = 4
const atOnce = 16
const statements = sample({ once: 1_000, matrix: 8_000, soak: 100_000 })
const member = 'genever_stress_member'

const schema = `
  do $$ begin create role ${member}; exception when duplicate_object or unique_violation then null; end $$;
  create table notes (tenant text not null default current_setting('app.tenant'), writer text not null);
  create index on notes (tenant);
  insert into notes select 't' || n, 't' || n from generate_series(0, ${tenants - 1}) n;
  alter table notes enable row level security;
  create policy own on notes using (tenant = current_setting('app.tenant', true)) with check (tenant = current_setting('app.tenant', true));
  grant all on notes to ${member}`

const see = `select current_setting('app.tenant', true) as tenant, current_user::text as role,
  (select string_agg(distinct tenant, ',') from notes) as rows from pg_sleep($1)`

interface Seen {
  readonly tenant: string | null
  readonly role: string
  readonly rows: string
}

class Stress {
  ran = 0
  readonly wrong: string[] = []
  readonly #db
  readonly #pooled: boolean

  constructor(url: string, pooled: boolean) {
    this.#pooled = pooled
    this.#db = createRegistry({
      main: {
        url,
        pool: { max: connections, acquireTimeoutMs: 60_000 },
        // A connection whose statement cannot be stopped in time is broken off, and its transaction is lost.
        cancelTimeoutMs: 60_000,
        resetTimeoutMs: 60_000,
        ...(pooled ? { pooler: 'transaction' } : {}),
      },
      tenancy: { settings: (id: string) => ({ role: member, 'app.tenant': id }), optional: true },
    })
  }

  async run(): Promise<void> {
    let next = sampleSeed(1) * 1_000_000
    const worker = async (): Promise<void> => {
      while (this.ran < statements && this.wrong.length < 10) {
        const below = random(next++)
        await this.#tenant(below, 0).catch((error: unknown) => this.wrong.push(String(error)))
        await this.#outside()
      }
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
    const idle = (): boolean => this.#db.stats().waiting === 0 && this.#db.stats().reserved === 0
    await until(idle, { what: 'every connection is back' })
    await this.#db.close({ force: true })
  }

  /** As a tenant at random; in half of the cases in a scope. */
  #tenant(below: (n: number) => number, depth: number): Promise<void> {
    const id = `t${below(tenants)}`
    return this.#db.withTenant(id, () => {
      const work = (): Promise<void> => this.#steps(id, below, depth)
      return below(2) === 0 ? this.#db.scope(work) : work()
    })
  }

  async #steps(id: string, below: (n: number) => number, depth: number): Promise<void> {
    for (let i = 1 + below(4); i > 0; i--) await this.#step(id, below, depth)
  }

  async #step(id: string, below: (n: number) => number, depth: number): Promise<void> {
    const db = this.#db
    switch (below(9)) {
      case 0:
        return void (await Promise.all(Array.from({ length: 1 + below(3) }, () => this.#look(id))))
      case 1:
        return this.#write(id)
      case 2:
        return below(2) === 0 ? immediate() : sleep(below(3))
      case 3:
        return depth > 2 ? undefined : this.#tenant(below, depth + 1)
      case 4:
        this.ran++
        return void (await db.scalar('select 1 / 0').catch(() => {}))
      case 5:
        this.ran++
        return void (await db.scalar('select pg_sleep(1)', [], { timeoutMs: 1 + below(3) }).catch(() => {}))
      case 6: {
        this.ran++
        const signal = AbortSignal.timeout(1 + below(3))
        return void (await db.scalar('select pg_sleep(1)', [], { signal }).catch(() => {}))
      }
      case 7:
        for await (const row of db.iterate<Seen>(see, [0], { batchSize: 1 })) this.#judge(id, row)
        this.ran++
        return
      default:
        return depth > 2 ? undefined : this.#transaction(id, below, depth + 1)
    }
  }

  /** Committed, thrown out of, rolled back, or inside of another; what it does may fail. */
  async #transaction(id: string, below: (n: number) => number, depth: number): Promise<void> {
    const out = new RangeError('out')
    const work = this.#db.transaction(async (tx) => {
      await this.#look(id)
      for (let i = below(3); i > 0; i--) {
        if (below(3) > 0) await this.#tenant(below, depth)
        else await this.#write(id)
        await this.#look(id)
      }
      if (below(4) === 0) throw out
      if (below(4) === 0) tx.raiseRollback()
    })
    // A step inside that has failed fails all of it, as it should.
    await work.catch((error: unknown) => {
      if (error !== out && (error as { code?: string }).code !== 'GENEVER_TRANSACTION_ABORTED') throw error
    })
  }

  async #look(id: string): Promise<void> {
    this.ran++
    const row = await this.#db.first<Seen>(see, [0]).catch(aborted)
    if (row !== null && row !== undefined) this.#judge(id, row)
  }

  #judge(id: string, { tenant, role, rows }: Seen): void {
    if (tenant !== id || role !== member || rows !== id)
      this.wrong.push(`${id} saw ${rows} as ${String(tenant)}, ${role}`)
  }

  async #write(id: string): Promise<void> {
    this.ran++
    await this.#db.status('insert into notes (writer) values ($1)', [id]).catch(aborted)
  }

  async #outside(): Promise<void> {
    this.ran++
    const who = await this.#db.scalar(
      "select concat(current_setting('app.tenant', true), nullif(current_user, session_user))",
    )
    if (who !== '') this.wrong.push(`nobody ran as ${String(who)}${this.#pooled ? ', behind the pooler' : ''}`)
  }
}

/** In a transaction in which something has failed. */
function aborted(error: unknown): null {
  if ((error as { code?: string }).code === 'GENEVER_TRANSACTION_ABORTED') return null
  throw error
}

const ways: readonly (readonly [string, boolean, (database: FreshDatabase) => Promise<Pooler | null>])[] = [
  ['directly', true, () => Promise.resolve(null)],
  ['behind PgBouncer', hasPgBouncer, ({ url }) => startPgBouncer(url, connections)],
]

for (const [way, there, start] of ways)
  describe.skipIf(!there)(way, () => {
    test(`${tenants} tenants on ${connections} connections never meet`, { timeout: 3_600_000 }, async () => {
      const database = await freshDatabase(schema)
      const pooler = await start(database)
      try {
        const stress = new Stress(pooler?.url ?? database.url, pooler !== null)
        await stress.run()

        expect(stress.wrong).toEqual([])
        expect(stress.ran).toBeGreaterThanOrEqual(statements)
        expect(await query(database.url, 'select count(*)::int as n from notes where tenant <> writer')).toEqual([
          { n: 0 },
        ])
      } finally {
        await pooler?.[Symbol.asyncDispose]()
        await database.drop()
      }
    })
  })
