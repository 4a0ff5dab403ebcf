/** Programs at random have the same results, errors and rows in a sandbox as outside of one. */

import { createDb, type Db, isGeneverError, type Executor, type Transaction } from 'genever'
import { sandboxed } from 'genever/testing'
import { fc } from '../support/fast-check.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { postgresWords as words } from '../support/dialect-words.ts'
import { sample } from '../support/extent.ts'

const tables = `
  create table users (id int primary key);
  create table parents (id int primary key);
  create table children (parent int references parents deferrable initially deferred);
`
const runs = sample({ once: 40, matrix: 200, soak: 2000 })

let database: FreshDatabase
let db: Db

beforeAll(async () => {
  database = await freshDatabase(tables)
  db = createDb(database.url, { pool: { max: 4 } })
})

afterAll(async () => {
  await db.close()
  await database.drop()
})

type Step =
  | { readonly kind: 'insert' | 'child' | 'parent'; readonly id: number }
  | { readonly kind: 'look' | 'broken' | 'several' | 'unread' }
  | { readonly kind: 'set'; readonly how: 'local' | 'session' | 'config'; readonly value: number }
  | { readonly kind: 'loop'; readonly rows: number; readonly body: readonly Step[] }
  | { readonly kind: 'transaction' | 'manual'; readonly end: End; readonly body: readonly Step[] }
  | { readonly kind: 'scope'; readonly tenant: number; readonly body: readonly Step[] }
  | { readonly kind: 'text'; readonly end: 'commit' | 'rollback'; readonly body: readonly Step[] }
type End = 'return' | 'throw' | 'commit' | 'rollback'

const id = fc.integer({ min: 1, max: 4 })
const { program } = fc.letrec<{ program: Step[]; step: Step; leaf: Step }>((tie) => ({
  program: fc.array(tie('step'), { maxLength: 4 }),
  step: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { arbitrary: tie('leaf'), weight: 4 },
    {
      arbitrary: fc.record({
        kind: fc.constantFrom('transaction' as const, 'manual' as const),
        end: fc.constantFrom<End>('return', 'throw', 'commit', 'rollback'),
        body: tie('program'),
      }),
      weight: 3,
    },
    { arbitrary: fc.record({ kind: fc.constant('scope' as const), tenant: id, body: tie('program') }), weight: 1 },
    { arbitrary: fc.record({ kind: fc.constant('loop' as const), rows: id, body: tie('program') }), weight: 1 },
    {
      arbitrary: fc.record({
        kind: fc.constant('text' as const),
        end: fc.constantFrom('commit' as const, 'rollback' as const),
        body: fc.array(tie('leaf'), { maxLength: 3 }),
      }),
      weight: 1,
    },
  ),
  leaf: fc.oneof(
    fc.record({ kind: fc.constantFrom('insert' as const, 'child' as const, 'parent' as const), id }),
    fc.record({ kind: fc.constantFrom('look' as const, 'broken' as const, 'several' as const, 'unread' as const) }),
    fc.record({
      kind: fc.constant('set' as const),
      how: fc.constantFrom('local' as const, 'session' as const, 'config' as const),
      value: id,
    }),
  ),
}))

/** Runs programs and writes down everything they find. */
class Run {
  readonly log: string[] = []

  async all(steps: readonly Step[], on: Executor, inside: boolean): Promise<void> {
    for (const step of steps) {
      try {
        await this.#one(step, on, inside)
      } catch (error) {
        this.log.push(`${step.kind} failed: ${describe(error)}`)
      }
    }
  }

  async #one(step: Step, on: Executor, inside: boolean): Promise<void> {
    const say = (what: unknown): void => void this.log.push(`${step.kind}: ${JSON.stringify(what)}`)
    switch (step.kind) {
      case 'insert':
        return say(String(await on.status('insert into users values (:id)', { id: step.id })))
      case 'parent':
        return say(String(await on.status('insert into parents values (:id)', { id: step.id })))
      case 'child':
        return say(String(await on.status('insert into children values (:id)', { id: step.id })))
      case 'look':
        return say(await on.all(seen))
      case 'broken':
        return say(await on.all('select nothing'))
      case 'several':
        if (!inside) say(String(await on.status('insert into users values (7); insert into users values (8)')))
        return
      case 'unread':
        return say(await on.all('insert into users values (9) returning 9007199254740993'))
      case 'set':
        return say(await on.all(setters[step.how], { value: String(step.value) }))
      case 'scope':
        if (!(on as object as { scope?: unknown }).scope) return
        return db.scope(
          (connection) => this.all(step.body, connection, inside),
          inside ? {} : { settings: { 'app.tenant': String(step.tenant) } },
        )
      case 'loop':
        for await (const { n } of on.iterate<{ n: number }>('select n from generate_series(1, 4) n', [], {
          batchSize: 2,
        })) {
          say(n)
          if (inside) await this.all(step.body, on, inside)
          if (n === step.rows) break
        }
        return
      case 'transaction':
        return say(await on.transaction((tx) => this.#within(step, tx)))
      case 'manual':
        return inside ? undefined : this.#manual(step)
      case 'text':
        return inside ? undefined : this.#text(step)
    }
  }

  async #within(
    { body, end }: { readonly body: readonly Step[]; readonly end: End },
    tx: Transaction,
  ): Promise<string> {
    await this.all(body, tx, true)
    if (end === 'throw') throw new TypeError('thrown')
    if (end === 'commit') tx.raiseCommit('early')
    if (end === 'rollback') tx.raiseRollback('undone')
    return 'returned'
  }

  /** On a connection of its own; what is inside a transaction already would have to wait for it. */
  async #manual({ body, end }: { readonly body: readonly Step[]; readonly end: End }): Promise<void> {
    if (db.current !== undefined) return
    await using tx = await db.begin()
    await this.all(body, tx, true)
    if (end === 'commit' || end === 'return') await tx.commit()
    else await tx.rollback()
  }

  async #text({ body, end }: { readonly body: readonly Step[]; readonly end: string }): Promise<void> {
    if (db.current !== undefined) return
    await using connection = await db.acquire()
    this.log.push(String(await connection.status('begin')))
    await this.all(body, connection, true)
    this.log.push(String(await connection.status(end)))
  }
}

const seen = `
  select array(select id from users order by id) as users, array(select id from parents order by id) as parents,
    array(select parent from children order by parent) as children, coalesce(current_setting('app.tenant', true), '') as tenant`
const setters = {
  local: "select set_config('app.tenant', :value, true)",
  session: "select set_config('app.tenant', :value, false)",
  config: `select set_config('app.tenant', :value, true), (${words.sleep(0)})`,
}

function describe(error: unknown): string {
  if (!isGeneverError(error)) return String(error)
  const { code, outcome, cause } = error
  const { sqlState = '' } = error as { sqlState?: string }
  return `${code} ${sqlState} ${outcome}${isGeneverError(cause) ? ` (${describe(cause)})` : ''}`
}

async function trace(program: readonly Step[]): Promise<string[]> {
  const run = new Run()
  await run.all(program, db, false)
  await run.all([{ kind: 'look' }], db, false)
  return run.log
}

test('what a program does in a sandbox is what it does outside', { timeout: 600_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(program, async (steps) => {
      const inside = await sandboxed(db, () => trace(steps))
      expect(await database.query('select id from users union all select id from parents')).toEqual([])
      const outside = await trace(steps)
      await database.query('truncate users, parents, children')

      expect(inside).toEqual(outside)
    }),
    { numRuns: runs },
  )
})
