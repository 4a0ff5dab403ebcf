/**
 * Random programs in one transaction: statements, nested transactions, cursors, COPY both ways, locks and `executeMany()`, some of which
 * fail, are stopped or are left early. Each call ends as the documentation says, and what is there at the end is what was kept.
 */

import { type Db, GeneverError, TransactionAbortedError } from 'genever'
import { expect, test } from 'vitest'
import { sample } from '../support/extent.ts'
import { fc } from '../support/fast-check.ts'
import { forEachDriver } from '../support/matrix.ts'

const numRuns = sample({ once: 40, matrix: 250, soak: 20_000 })

/** One call of the database. */
type Call =
  | { readonly kind: 'insert' | 'count' | 'fail' | 'stop' | 'copy out' | 'copy out in part' }
  | { readonly kind: 'copy in' | 'many'; readonly rows: number; readonly wrong: number }

/** Steps with others inside. */
type Block =
  | { readonly kind: 'nested' | 'undone' | 'scope' | 'lock' | 'together'; readonly steps: readonly Step[] }
  | { readonly kind: 'cursor'; readonly rows: number; readonly taken: number; readonly steps: readonly Step[] }

type Step = Call | Block

const isBlock = (step: Step): step is Block => 'steps' in step

const rows = fc.nat(4)

const { steps } = fc.letrec<{ step: Step; steps: readonly Step[] }>((tie) => ({
  step: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({
      kind: fc.constantFrom('insert', 'insert', 'insert', 'count', 'fail', 'stop', 'copy out', 'copy out in part'),
    }) as fc.Arbitrary<Step>,
    fc.record({ kind: fc.constantFrom('copy in', 'many'), rows, wrong: fc.nat(12) }) as fc.Arbitrary<Step>,
    fc.record({
      kind: fc.constantFrom('nested', 'nested', 'undone', 'scope', 'lock', 'together'),
      steps: tie('steps'),
    }) as fc.Arbitrary<Step>,
    fc.record({ kind: fc.constant('cursor'), rows: fc.nat(8), taken: fc.nat(9), steps: tie('steps') }),
  ),
  steps: fc.array(tie('step'), { maxLength: 5 }),
}))

/** Thrown by the programs themselves. */
class Own extends Error {}

/** A transaction, nested or not: how many rows it sees, and whether a statement in it has failed. */
interface Level {
  rows: number
  failed: boolean
}

interface End {
  readonly value?: unknown
  readonly error?: unknown
}

async function endOf(work: () => PromiseLike<unknown>): Promise<End> {
  try {
    return { value: await work() }
  } catch (error) {
    return { error }
  }
}

/** Lines of COPY, one of which the source fails to give. */
function* lines({ rows: count, wrong }: { readonly rows: number; readonly wrong: number }): Iterable<string> {
  for (let row = 0; row < count; row++) {
    if (row === wrong) throw new Own('the source fails')
    yield `${row}\n`
  }
}

/** Sends a step that is one call. */
async function call(db: Db, t: string, step: Call): Promise<unknown> {
  switch (step.kind) {
    case 'insert':
      return db.status(`insert into ${t} values (1)`)
    case 'count':
      return db.scalar(`select count(*)::int from ${t}`)
    case 'fail':
      return db.scalar('select 1 / 0')
    case 'stop':
      return db.scalar('select pg_sleep(60)', [], { timeoutMs: 10 })
    case 'copy in':
      return db.copyFrom(`${t} (n)`).from(lines(step))
    case 'copy out': {
      let text = ''
      for await (const chunk of db.copyTo(t)) text += new TextDecoder().decode(chunk)
      return text.split('\n').length - 1
    }
    case 'copy out in part':
      for await (const _ of db.copyTo('(select generate_series(1, 20000))')) break
      return undefined
    case 'many': {
      const sets = Array.from({ length: step.rows }, (_, row) => [row === step.wrong ? 'x' : String(row)])
      return db.executeMany(`insert into ${t} values ($1::text::int)`, sets)
    }
  }
}

/** Compares the end of a call with what it should be, and says what the level is from then on. */
function note(level: Level, step: Call, { value, error }: End): void {
  const where = JSON.stringify(step)
  if (level.failed) {
    // A source may be read before the server has refused the statement.
    if (!(step.kind === 'copy in' && error instanceof Own) && !(step.kind === 'many' && step.rows === 0))
      expect(error, where).toBeInstanceOf(TransactionAbortedError)
    return
  }
  const isWrong = 'wrong' in step && step.wrong < step.rows
  if (step.kind === 'fail' || step.kind === 'stop' || isWrong) {
    expect(error, where).toBeInstanceOf(Error)
    // `executeMany()` has a savepoint.
    const wasSent = !(error instanceof GeneverError) || error.outcome !== 'not_started'
    level.failed = step.kind !== 'many' && wasSent
    return
  }
  expect(error, where).toBeUndefined()
  if (step.kind === 'count' || step.kind === 'copy out') expect(value, where).toBe(level.rows)
  if (step.kind === 'insert') level.rows++
  if ('wrong' in step) level.rows += step.rows
}

forEachDriver((driver) => {
  test(
    'what was kept is there, each call ends as it should, and nothing is held at the end',
    { timeout: 600_000 },
    async () => {
      const db = await driver.db()
      const t = await driver.table('n int')
      // PGlite has no COPY, and nothing can stop what it runs.
      const runsOn = ({ kind }: Call): boolean => driver.name !== 'pglite' || !/^(?:stop|copy)/.test(kind)

      async function run(all: readonly Step[], level: Level): Promise<void> {
        for (const step of all)
          if (isBlock(step)) await runBlock(step, level)
          else if (runsOn(step)) note(level, step, await endOf(() => call(db, t, step)))
      }

      async function runBlock(step: Block, level: Level): Promise<void> {
        switch (step.kind) {
          case 'nested':
          case 'undone': {
            const inner = { ...level }
            const { error } = await endOf(() =>
              db.transaction(async () => {
                await run(step.steps, inner)
                if (step.kind === 'undone') throw new Own()
              }),
            )
            if (level.failed) return
            if (step.kind === 'undone') expect(error).toBeInstanceOf(Own)
            else if (inner.failed) expect(error).toBeInstanceOf(TransactionAbortedError)
            else {
              expect(error).toBeUndefined()
              level.rows = inner.rows
            }
            return
          }
          case 'scope':
            return db.scope(() => run(step.steps, level))
          case 'lock': {
            const { error } = await endOf(() => db.lock('a', () => run(step.steps, level)))
            if (!level.failed) expect(error).toBeUndefined()
            return
          }
          case 'cursor': {
            const { failed } = level
            let seen = 0
            const { error } = await endOf(async () => {
              const cursor = db.iterate<{ n: number }>('select generate_series(1, $1::int) as n', [step.rows], {
                batchSize: 3,
              })
              for await (const { n } of cursor) {
                expect(n).toBe(++seen)
                await run(step.steps, level)
                if (seen >= step.taken) break
              }
            })
            if (failed) expect(error).toBeInstanceOf(TransactionAbortedError)
            else if (!level.failed)
              expect([error, seen]).toEqual([undefined, Math.min(step.rows, Math.max(1, step.taken))])
            return
          }
          case 'together': {
            // A COPY whose loop runs meanwhile lets nothing be issued behind it.
            const calls = step.steps.filter((each): each is Call => /^(?:insert|count|fail|many)$/.test(each.kind))
            const ends = await Promise.all(calls.map((each) => endOf(() => call(db, t, each))))
            calls.forEach((each, at) => note(level, each, ends[at] as End))
            return
          }
        }
      }

      const program = async (all: readonly Step[], isUndone: boolean): Promise<void> => {
        await db.status(`truncate ${t}`)
        const level = { rows: 0, failed: false }
        const { error } = await endOf(() =>
          db.transaction(async () => {
            await run(all, level)
            if (isUndone) throw new Own()
          }),
        )
        if (isUndone) expect(error).toBeInstanceOf(Own)
        else if (level.failed) expect(error).toBeInstanceOf(TransactionAbortedError)
        else expect(error).toBeUndefined()
        expect(await db.scalar(`select count(*)::int from ${t}`)).toBe(isUndone || level.failed ? 0 : level.rows)
        expect(
          await db.scalar("select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"),
        ).toBe(0)
        expect(db.stats()).toMatchObject({ reserved: 0, waiting: 0 })
      }

      await fc.assert(fc.asyncProperty(steps, fc.boolean(), program), { numRuns })
    },
  )
})
