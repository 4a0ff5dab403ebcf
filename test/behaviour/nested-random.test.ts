/**
 * Random programs of transactions inside of each other, in branches too, that are kept, undone or fail: what is there at the end is what
 * was kept, and statements see the settings of their own code.
 */

import { createDb, type Db, type EngineOptions, GeneverError } from 'genever'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { postgresWords as words } from '../support/dialect-words.ts'
import { sample } from '../support/extent.ts'
import { fc } from '../support/fast-check.ts'
import { within } from '../support/overlay.ts'
import { hasPgBouncer, keepsStatements, startPgBouncer } from '../support/pooler.ts'

const numRuns = sample({ once: 30, matrix: 200, soak: 20_000 })

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase('create table kept (id int primary key)')
})
afterAll(() => database.drop())

type Step =
  | { readonly kind: 'insert' | 'list' | 'setting' | 'fail' | 'refused' | 'turn' | 'tick' }
  | { readonly kind: 'nested' | 'undone' | 'framed' | 'beside' | 'cursor'; readonly steps: readonly Step[] }

const { steps } = fc.letrec<{ step: Step; steps: readonly Step[] }>((tie) => ({
  step: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({
      kind: fc.constantFrom('insert', 'insert', 'insert', 'list', 'setting', 'fail', 'refused', 'turn', 'tick'),
    }) as fc.Arbitrary<Step>,
    fc.record({
      kind: fc.constantFrom('nested', 'nested', 'nested', 'undone', 'undone', 'framed', 'beside', 'cursor'),
      steps: tie('steps'),
    }) as fc.Arbitrary<Step>,
  ),
  steps: fc.array(tie('step'), { maxLength: 5 }),
}))

class Undone extends Error {}

let ids = 0

/** Runs steps one after the other. Ids that are kept so far are in `kept`; `setting` is what their code has set. */
async function run(db: Db, all: readonly Step[], kept: Set<number>, setting: string): Promise<void> {
  for (const step of all) await runOne(db, step, kept, setting)
}

async function runOne(db: Db, step: Step, kept: Set<number>, setting: string): Promise<void> {
  switch (step.kind) {
    case 'insert': {
      const id = ++ids
      await db.status('insert into kept values (:id)', { id })
      kept.add(id)
      return
    }
    case 'list': {
      const list = [++ids, ++ids]
      await db.status('insert into kept select unnest(cast(:list as int[]))', { list })
      for (const id of list) kept.add(id)
      return
    }
    case 'setting':
      expect(await db.scalar(`select current_setting('app.of', true)`)).toBe(setting)
      return
    case 'fail':
      await db.scalar('select 1 / 0')
      return
    case 'refused':
      await db.scalar(words.integer, [Symbol('no value')])
      return
    case 'turn':
      return new Promise((resolve) => setImmediate(resolve))
    case 'tick':
      return Promise.resolve()
    case 'framed': {
      const other = `of ${++ids}`
      return within(db, { 'app.of': other }, () => run(db, step.steps, kept, other))
    }
    case 'beside':
      return beside(step.steps.map((each) => runOne(db, each, kept, setting)))
    case 'cursor': {
      const left = [...step.steps]
      const read: unknown[] = []
      for await (const { g } of db.iterate<{ g: number }>('select g from generate_series(1, 9) as g', [], {
        batchSize: 2,
      })) {
        read.push(g)
        const next = left.shift()
        if (next !== undefined) await runOne(db, next, kept, setting)
      }
      expect(read).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
      return
    }
    case 'nested':
    case 'undone':
      return nested(db, step.steps, step.kind === 'undone', kept, setting)
  }
}

/** Its code goes on, whatever became of it. */
async function nested(
  db: Db,
  all: readonly Step[],
  undone: boolean,
  kept: Set<number>,
  setting: string,
): Promise<void> {
  const own = new Set<number>()
  try {
    await db.transaction(async () => {
      await run(db, all, own, setting)
      if (undone) throw new Undone()
    })
  } catch (error) {
    if (error instanceof Undone || error instanceof GeneverError) return
    throw error
  }
  for (const id of own) kept.add(id)
}

/** Waits for all of them. */
async function beside(all: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(all)) if (result.status === 'rejected') throw result.reason as unknown
}

/** What a step does without a transaction around it. A loop there holds the connection that its body would wait for. */
function alone(step: Step): Step {
  if (!('steps' in step) || step.kind === 'nested' || step.kind === 'undone') return step
  return { kind: step.kind, steps: step.kind === 'cursor' ? [] : step.steps.map(alone) }
}

/** Issues all of them at once, in no transaction. */
async function together(db: Db, all: readonly Step[], kept: Set<number>, setting: string): Promise<void> {
  try {
    await beside(all.map((step) => runOne(db, alone(step), kept, setting)))
  } catch (error) {
    if (!(error instanceof GeneverError)) throw error
  }
}

/** Its settings are those of the engine. */
async function check(db: Db, all: readonly Step[], how: 'kept' | 'undone' | 'together'): Promise<void> {
  const kept = new Set<number>()
  if (how === 'together') await together(db, all, kept, 'all')
  else await nested(db, all, how === 'undone', kept, 'all')
  const rows = await db.all<{ id: number }>('delete from kept returning id')
  expect(rows.map(({ id }) => id).toSorted((a, b) => a - b)).toEqual([...kept].toSorted((a, b) => a - b))
}

const engines: Readonly<Record<string, EngineOptions>> = {
  'on a session': { settings: { 'app.of': 'all' } },
  'with few prepared statements': { settings: { 'app.of': 'all' }, statementCacheSize: 3 },
}
const poolers: Readonly<Record<string, EngineOptions & { readonly kept: number }>> = {
  'behind PgBouncer': { kept: 0 },
  'behind PgBouncer, prepared': { kept: 100, prepare: true },
  'behind PgBouncer, with few prepared statements': { kept: 2, prepare: true, statementCacheSize: 3 },
}
const hows = fc.constantFrom('kept', 'undone', 'together')

describe.each(['pg', 'socket'] as const)('%s', (driver) => {
  test.each(Object.entries(engines))('%s what is there is what was kept', async (_, options) => {
    await using db = createDb(database.url, { driver, pool: { max: 1 }, ...options })

    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom('kept', 'undone'), (all, how) => check(db, all, how)),
      { numRuns },
    )
  })

  for (const [name, { kept, ...options }] of Object.entries(poolers))
    test.skipIf(!hasPgBouncer || (kept > 0 && !keepsStatements))(`${name} what is there is what was kept`, async () => {
      await using pooler = await startPgBouncer(database.url, 1, kept)
      await using db = createDb(pooler.url, { driver, pooler: 'transaction', pool: { max: 2 }, ...options })

      await fc.assert(
        fc.asyncProperty(steps, hows, (all, how) =>
          db.scope(() => check(db, all, how), { settings: { 'app.of': 'all' } }),
        ),
        { numRuns },
      )
    })
})
