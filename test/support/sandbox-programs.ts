/** Programs at random, which must have the same results, errors and rows in a sandbox as outside of one. */

import { type Db, type Executor, isGeneverError, type Transaction } from 'genever'
import { sandboxed } from 'genever/testing'
import { expect } from 'vitest'
import { sample } from './extent.ts'
import { fc } from './fast-check.ts'

/** What programs say to a database that has the tables `users`, `parents` and `children`, each with one column of numbers. */
export interface ProgramTexts {
  /** With one parameter. */
  insert(table: string): string
  /** The rows 1 to 4, in a column `n`. */
  readonly four: string
  /** All rows of the three tables, and the setting `app.tenant`. */
  readonly seen: string
  /** Statements that change the session, each with one parameter. */
  readonly setters: readonly string[]
  /** Whether the body of a loop may run statements outside of a sandbox too. */
  readonly inLoops: boolean
}

/** What a test has of its database. */
export interface Tested {
  readonly db: Db
  /** Runs a statement on a connection apart from those under test. */
  readonly query: (sql: string) => Promise<unknown>
}

/** Runs programs in a sandbox, in which they leave nothing, and then outside of one. */
export async function expectSameInSandbox({ db, query }: Tested, texts: ProgramTexts): Promise<void> {
  const trace = async (program: readonly Step[]): Promise<string[]> => {
    const run = new Run(db, texts)
    await run.all([...program, { kind: 'look' }], db, false)
    return run.log
  }
  await fc.assert(
    fc.asyncProperty(programs(texts), async (steps) => {
      const inside = await sandboxed(db, () => trace(steps))
      expect(await query('select id from users union all select id from parents')).toEqual([])
      const outside = await trace(steps)
      for (const table of ['users', 'children', 'parents']) await query(`delete from ${table}`)

      expect(inside).toEqual(outside)
    }),
    { numRuns: sample({ once: 40, matrix: 200, soak: 2000 }) },
  )
}

type Step =
  | { readonly kind: 'insert' | 'child' | 'parent'; readonly id: number }
  | { readonly kind: 'look' | 'broken' | 'several' | 'unread' }
  | { readonly kind: 'set'; readonly text: string; readonly value: number }
  | { readonly kind: 'loop'; readonly rows: number; readonly body: readonly Step[] }
  | ({ readonly kind: 'transaction' | 'manual' } & Unit)
  | { readonly kind: 'scope'; readonly tenant: number; readonly body: readonly Step[] }
  | { readonly kind: 'text'; readonly end: 'commit' | 'rollback'; readonly body: readonly Step[] }
type End = 'return' | 'throw' | 'commit' | 'rollback'
interface Unit {
  readonly end: End
  readonly readOnly: boolean
  readonly body: readonly Step[]
}

function programs({ setters, inLoops }: ProgramTexts): fc.Arbitrary<Step[]> {
  const id = fc.integer({ min: 1, max: 4 })
  const { program } = fc.letrec<{ program: Step[]; step: Step; leaf: Step }>((tie) => ({
    program: fc.array(tie('step'), { maxLength: 4 }),
    step: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      { arbitrary: tie('leaf'), weight: 4 },
      {
        arbitrary: fc.record({
          kind: fc.constantFrom('transaction' as const, 'manual' as const),
          readOnly: fc.constantFrom(false, false, true),
          end: fc.constantFrom<End>('return', 'throw', 'commit', 'rollback'),
          body: tie('program'),
        }),
        weight: 3,
      },
      { arbitrary: fc.record({ kind: fc.constant('scope' as const), tenant: id, body: tie('program') }), weight: 1 },
      {
        arbitrary: fc.record({
          kind: fc.constant('loop' as const),
          rows: id,
          body: inLoops ? tie('program') : fc.constant([]),
        }),
        weight: 1,
      },
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
        text: fc.constantFrom(...setters),
        value: id,
      }),
    ),
  }))
  return program
}

/** Runs programs and writes down everything they find. */
class Run {
  readonly log: string[] = []
  readonly #db: Db
  readonly #texts: ProgramTexts

  constructor(db: Db, texts: ProgramTexts) {
    this.#db = db
    this.#texts = texts
  }

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
        return say(String(await on.status(this.#texts.insert('users'), [step.id])))
      case 'parent':
        return say(String(await on.status(this.#texts.insert('parents'), [step.id])))
      case 'child':
        return say(String(await on.status(this.#texts.insert('children'), [step.id])))
      case 'look':
        return say(await on.all(this.#texts.seen))
      case 'broken':
        return say(await on.all('select nothing'))
      case 'several':
        if (!inside) say(String(await on.status('insert into users values (7); insert into users values (8)')))
        return
      case 'unread':
        return say(await on.all('insert into users values (9) returning 9007199254740993'))
      case 'set':
        return say(await on.all(step.text, [String(step.value)]))
      case 'scope':
        if (!(on as object as { scope?: unknown }).scope) return
        return this.#db.scope(
          (connection) => this.all(step.body, connection, inside),
          inside ? {} : { settings: { 'app.tenant': String(step.tenant) } },
        )
      case 'loop':
        for await (const { n } of on.iterate<{ n: number }>(this.#texts.four, [], { batchSize: 2 })) {
          say(n)
          if (inside) await this.all(step.body, on, inside)
          if (n === step.rows) break
        }
        return
      case 'transaction':
        return say(await on.transaction((tx) => this.#within(step, tx), readOnly(step, inside)))
      case 'manual':
        return inside ? undefined : this.#manual(step)
      case 'text':
        return inside ? undefined : this.#text(step)
    }
  }

  async #within({ body, end }: Unit, tx: Transaction): Promise<string> {
    await this.all(body, tx, true)
    if (end === 'throw') throw new TypeError('thrown')
    if (end === 'commit') tx.raiseCommit('early')
    if (end === 'rollback') tx.raiseRollback('undone')
    return 'returned'
  }

  /** On a connection of its own; what is inside a transaction already would have to wait for it. */
  async #manual(unit: Unit): Promise<void> {
    if (this.#db.current !== undefined) return
    const { body, end } = unit
    await using tx = await this.#db.begin(readOnly(unit, false))
    await this.all(body, tx, true)
    if (end === 'commit' || end === 'return') await tx.commit()
    else await tx.rollback()
  }

  async #text({ body, end }: { readonly body: readonly Step[]; readonly end: string }): Promise<void> {
    if (this.#db.current !== undefined) return
    await using connection = await this.#db.acquire()
    this.log.push(String(await connection.status('begin')))
    await this.all(body, connection, true)
    this.log.push(String(await connection.status(end)))
  }
}

/** A nested one has what the one around it has. */
function readOnly(unit: Unit, inside: boolean): { readOnly?: true } {
  return unit.readOnly && !inside ? { readOnly: true } : {}
}

function describe(error: unknown): string {
  if (!isGeneverError(error)) return String(error)
  const { code, outcome, cause } = error
  const { sqlState = '', errno = '' } = error as { sqlState?: string; errno?: number }
  return `${code} ${errno} ${sqlState} ${outcome}${isGeneverError(cause) ? ` (${describe(cause)})` : ''}`
}
