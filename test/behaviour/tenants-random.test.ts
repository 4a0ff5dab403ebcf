/**
 * Random programs of many tenants on few connections, directly and behind a transaction pooler: scopes, transactions and
 * savepoints that fail, time out or are rolled back, tenants inside of tenants. No row of another tenant is read or written.
 */

import { fc } from '../support/fast-check.ts'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { AbortedError } from 'genever'
import { Model } from 'genever/models'
import { createRegistry, type Registry } from 'genever/registry'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { postgresWords as words } from '../support/dialect-words.ts'
import { until } from '../support/until.ts'
import { sample, sampleSeed } from '../support/extent.ts'
import { hasPgBouncer, keepsStatements, startPgBouncer, startPooler } from '../support/pooler.ts'

const many = sample({ once: 40, matrix: 300, soak: 300 })
const programs = sample({ once: 25, matrix: 300, soak: 20_000 })
const table = pgTable('rows', { id: integer().primaryKey(), tenant: text(), hits: integer() })
const nameOf = (n: number): string => `tenant ${n}`

let database: FreshDatabase
beforeAll(async () => {
  database =
    await freshDatabase(`create table rows (id int primary key, tenant text, hits int); insert into rows values (1, 'public', 0);
    do $$ begin for n in 0..${many - 1} loop
      execute format('create schema %I', 'tenant ' || n);
      execute format('create table %I.rows (id int primary key, tenant text, hits int)', 'tenant ' || n);
      execute format('insert into %I.rows values (1, %L, 0)', 'tenant ' || n, 'tenant ' || n);
    end loop; end $$`)
})
afterAll(() => database.drop())

type Step =
  | { readonly kind: 'read' | 'write' | 'sql' | 'fail' | 'cancel' | 'idle' | 'throw' }
  | {
      readonly kind: 'tenant' | 'scope' | 'transaction' | 'beside'
      readonly tenant: number
      readonly steps: readonly Step[]
    }

const { step } = fc.letrec<{ step: Step; steps: readonly Step[] }>((tie) => ({
  step: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({
      kind: fc.constantFrom('read', 'read', 'write', 'write', 'sql', 'fail', 'cancel', 'idle', 'throw'),
    }) as fc.Arbitrary<Step>,
    fc.record({
      kind: fc.constantFrom('tenant', 'tenant', 'scope', 'transaction', 'transaction', 'beside'),
      tenant: fc.nat(many - 1),
      steps: tie('steps'),
    }) as fc.Arbitrary<Step>,
  ),
  steps: fc.array(tie('step'), { maxLength: 5 }),
}))

class Thrown extends Error {}

interface World {
  readonly db: Registry<never, string>
  readonly Row: ReturnType<typeof rowOf>
  readonly wrong: string[]
}

function rowOf(db: Registry<never, string>) {
  return class Row extends Model(db, table) {}
}

/** Failures in it are those it asks for. */
async function run(world: World, tenant: string, step: Step): Promise<void> {
  const { db, Row, wrong } = world
  const note = (seen: unknown, how: string): void => {
    if (seen !== tenant) wrong.push(`${how} at ${tenant} saw ${String(seen)}`)
  }
  const all = async (steps: readonly Step[]): Promise<void> => {
    for (const each of steps) await run(world, tenant, each)
  }
  switch (step.kind) {
    case 'read':
      return note((await Row.getOr404(1)).tenant, 'a read')
    case 'sql':
      return note(await db.scalar('select tenant from rows'), 'text')
    case 'write':
      return note((await Row.update({ hits: 1 }).where({ id: 1 }).returning())[0]?.tenant, 'a write')
    case 'fail':
      await db.all('select 1 / 0').catch(() => {})
      return
    case 'cancel':
      await db.all(words.sleep(0.3), [], { signal: AbortSignal.timeout(2) }).catch((error: unknown) => {
        if (error instanceof AbortedError) return
      })
      return
    case 'idle':
      return db.idle(() => {})
    case 'throw':
      throw new Thrown()
    case 'tenant': {
      const inner = nameOf(step.tenant)
      return db.withTenant(inner, async () => {
        for (const each of step.steps) await run(world, inner, each)
      })
    }
    case 'scope':
      return db.scope(() => all(step.steps))
    case 'transaction':
      return db.transaction(() => all(step.steps))
    case 'beside': {
      const inner = nameOf(step.tenant)
      const other = db.withTenant(inner, async () => {
        for (const each of step.steps) await run(world, inner, each)
      })
      const results = await Promise.allSettled([other, all(step.steps)])
      for (const result of results) if (result.status === 'rejected') throw result.reason
    }
  }
}

async function campaign(url: string, options: object, seed: number): Promise<void> {
  const db = createRegistry({
    main: { url, ...options, pool: { max: 4 } },
    tenancy: { schema: (id: string) => id },
  })
  const world: World = { db, Row: rowOf(db), wrong: [] }
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(many - 1), step), { minLength: 1, maxLength: 6 }), async (sides) => {
        await Promise.all(
          sides.map(([tenant, each]) =>
            db.withTenant(nameOf(tenant), () => run(world, nameOf(tenant), each)).catch(() => {}),
          ),
        )
        expect(world.wrong).toEqual([])
        expect(await db.scalar('select tenant || hits from rows')).toBe('public0')
      }),
      { numRuns: programs, seed, endOnFailure: true },
    )
    await until(() => db.stats().reserved === 0)
  } finally {
    await db.close({ force: true })
  }
  const strays = await database.query(
    `select n from generate_series(0, ${many - 1}) n where cast((xpath('/row/t/text()', query_to_xml(format('select tenant as t from %I.rows', 'tenant ' || n), false, true, '')))[1] as text) <> 'tenant ' || n`,
  )
  expect(strays).toEqual([])
}

test('directly', { timeout: 300_000 }, () => campaign(database.url, {}, sampleSeed(15)))

test('behind a pooler of this process', { timeout: 300_000 }, async () => {
  await using pooler = await startPooler(database.url, 2)
  await campaign(pooler.url, { pooler: 'transaction' }, sampleSeed(16))
})

test.skipIf(!hasPgBouncer)('behind PgBouncer', { timeout: 300_000 }, async () => {
  await using pooler = await startPgBouncer(database.url, 2)
  await campaign(pooler.url, { pooler: 'transaction' }, sampleSeed(17))
})

test.skipIf(!keepsStatements)('behind PgBouncer, prepared', { timeout: 300_000 }, async () => {
  await using pooler = await startPgBouncer(database.url, 2, 100)
  await campaign(pooler.url, { pooler: 'transaction', prepare: true }, sampleSeed(18))
})
