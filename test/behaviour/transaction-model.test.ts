/**
 * Random programs of transactions inside of each other over parallel branches, in random order of events, with and
 * without faults. The model is one sentence: what is there at the end is exactly what was acknowledged as committed.
 */

import fc from 'fast-check'
import { CommitOutcomeUnknownError, createDb, type Db, type Executor } from 'genever'
import { expect, test } from 'vitest'
import { FakeDriver } from '../../src/driver/fake/driver.ts'

interface Transaction {
  readonly kind: 'transaction'
  readonly steps: readonly Step[]
  readonly parallel: boolean
  /** False: a connection of its own. */
  readonly reuse: boolean
  readonly end: 'return' | 'throw' | 'raiseCommit' | 'raiseRollback'
  /** Whether an error of it is caught by the code around it. */
  readonly caught: boolean
}
type Step =
  | { readonly kind: 'insert' }
  /** Through the handle of the transaction instead of the db. */
  | { readonly kind: 'insert by handle' }
  | { readonly kind: 'failure'; readonly caught: boolean }
  /** Lets other things happen. */
  | { readonly kind: 'pause' }
  | Transaction

interface Program {
  readonly roots: readonly Transaction[]
  /** All roots on one connection. */
  readonly scope: boolean
}

interface Fault {
  readonly text: string
  readonly nth: number
  readonly phase: 'send' | 'answer'
  readonly lost: boolean
}

const { program } = fc.letrec<{ step: Step; transaction: Transaction; program: Program }>((tie) => ({
  step: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    {
      arbitrary: fc.constantFrom<Step>({ kind: 'insert' }, { kind: 'insert by handle' }, { kind: 'pause' }),
      weight: 4,
    },
    { arbitrary: fc.record({ kind: fc.constant('failure' as const), caught: fc.boolean() }), weight: 1 },
    { arbitrary: tie('transaction'), weight: 3 },
  ),
  transaction: fc.record({
    kind: fc.constant('transaction' as const),
    steps: fc.array(tie('step'), { maxLength: 4 }),
    parallel: fc.boolean(),
    reuse: fc.oneof({ arbitrary: fc.constant(true), weight: 5 }, { arbitrary: fc.constant(false), weight: 1 }),
    end: fc.oneof(
      { arbitrary: fc.constant('return' as const), weight: 6 },
      { arbitrary: fc.constantFrom('throw' as const, 'raiseCommit' as const, 'raiseRollback' as const), weight: 2 },
    ),
    caught: fc.boolean(),
  }),
  program: fc.record({ roots: fc.array(tie('transaction'), { minLength: 1, maxLength: 3 }), scope: fc.boolean() }),
}))

const fault: fc.Arbitrary<Fault> = fc.record({
  text: fc.constantFrom('BEGIN', 'COMMIT', 'SAVEPOINT', 'RELEASE', 'ROLLBACK', 'ROLLBACK TO', 'insert'),
  nth: fc.integer({ min: 1, max: 4 }),
  phase: fc.constantFrom('send', 'answer'),
  lost: fc.boolean(),
})

/** One transaction that was run. */
class Entry {
  readonly outer: Entry | null
  readonly acknowledged: number[] = []
  result: 'committed' | 'rolled back' | 'unknown' = 'rolled back'

  constructor(outer: Entry | null) {
    this.outer = outer
  }

  /** Its own, and that of every transaction whose savepoint it is. */
  get fate(): 'committed' | 'rolled back' | 'unknown' {
    const around = this.outer?.fate ?? 'committed'
    return this.result !== 'committed' ? this.result : around
  }
}

class Run {
  readonly entries: Entry[] = []
  readonly #db: Db
  readonly #pause: () => Promise<unknown>
  /** Branches that nobody waits for any more. */
  readonly #strays: Promise<unknown>[] = []
  #ids = 0

  constructor(db: Db, pause: () => Promise<unknown>) {
    this.#db = db
    this.#pause = pause
  }

  async run({ roots, scope }: Program): Promise<void> {
    const all = async (): Promise<void> => {
      await Promise.all(roots.map((root) => this.#transaction(root, null).catch(() => {})))
      while (this.#strays.length > 0) await Promise.all(this.#strays.splice(0))
    }
    await (scope ? this.#db.scope(all) : all())
  }

  async #transaction({ steps, parallel, reuse, end }: Transaction, outer: Entry | null): Promise<void> {
    const entry = new Entry(reuse ? outer : null)
    this.entries.push(entry)
    try {
      const value: unknown = await this.#db.transaction<unknown>(
        async (tx) => {
          if (parallel) await Promise.all(steps.map((step) => this.#stray(this.#step(step, entry, tx))))
          else for (const step of steps) await this.#step(step, entry, tx)
          if (end === 'throw') throw new TypeError('end')
          if (end !== 'return') tx[end](end)
        },
        { reuse },
      )
      entry.result = value === 'raiseRollback' ? 'rolled back' : 'committed'
    } catch (error) {
      if (error instanceof CommitOutcomeUnknownError) entry.result = 'unknown'
      throw error
    }
  }

  #stray(branch: Promise<void>): Promise<void> {
    this.#strays.push(branch.catch(() => {}))
    return branch
  }

  async #step(step: Step, entry: Entry, tx: Executor): Promise<void> {
    if (step.kind === 'pause') await this.#pause()
    else if (step.kind === 'transaction') await this.#transaction(step, entry).catch(swallow(step.caught))
    else if (step.kind === 'failure') await this.#db.status('fail 23505').then(() => {}, swallow(step.caught))
    else {
      const id = ++this.#ids
      await (step.kind === 'insert' ? this.#db : tx).status(`insert into t values (${id})`)
      entry.acknowledged.push(id)
    }
  }
}

const swallow =
  (caught: boolean) =>
  (error: unknown): void => {
    // oxlint-disable-next-line typescript/only-throw-error -- as it came
    if (!caught) throw error
  }

/** What went to the server outside of any transaction block, by the messages of each session in order. */
function autocommitted(log: readonly string[]): string[] {
  const open = new Set<string>()
  const found: string[] = []
  for (const line of log) {
    const [, session = '', texts = ''] = /^(\d+): (.*)$/.exec(line) ?? []
    for (const text of texts.split('; ')) {
      if (text.startsWith('BEGIN')) open.add(session)
      else if (text.startsWith('insert') && !open.has(session)) found.push(line)
      else if (/^(?:COMMIT|ROLLBACK)$/.test(text)) open.delete(session)
    }
  }
  return found
}

async function check(
  program: Program,
  maxInFlight: number,
  faults: readonly Fault[],
  scheduler: fc.Scheduler,
): Promise<void> {
  const driver = new FakeDriver({ schedule: scheduler, maxInFlight })
  const db = createDb({ driver, pool: { max: 100 }, closeTimeoutMs: 100 })
  const run = new Run(db, () => scheduler.schedule(Promise.resolve('pause'), 'pause'))
  await scheduler.waitFor(
    (async () => {
      await db.open()
      for (const { text, nth, phase, lost } of faults)
        if (lost) driver.faults.at({ text, nth, phase }, { lost: true })
        else driver.faults.at({ text, nth, phase: 'send' }, { error: text === 'insert' ? '23505' : '53200' })
      await run.run(program)
      driver.faults.clear()
      while (db.stats().reserved + db.stats().draining > 0) await scheduler.schedule(Promise.resolve(), 'settling')
      await db.close()
    })(),
  )

  const ids = (fate: string): number[] =>
    run.entries.filter((entry) => entry.fate === fate).flatMap((entry) => entry.acknowledged)
  const visible = driver.rows('t').map(({ v }) => v as number)
  const unknown = new Set(ids('unknown'))
  expect(visible.filter((id) => !unknown.has(id)).toSorted((a, b) => a - b)).toEqual(
    ids('committed').toSorted((a, b) => a - b),
  )
  expect(autocommitted(driver.log)).toEqual([])
  expect(driver.violations).toEqual([])
  expect(driver.openCount).toBe(0)
}

const numRuns = Number(process.env['RUNS'] ?? 200)

test('what is there at the end is what was acknowledged as committed', async () => {
  await fc.assert(
    fc.asyncProperty(program, fc.integer({ min: 1, max: 4 }), fc.scheduler(), (program, maxInFlight, scheduler) =>
      check(program, maxInFlight, [], scheduler),
    ),
    { numRuns },
  )
})

test('also when messages fail and connections die', async () => {
  await fc.assert(
    fc.asyncProperty(
      program,
      fc.integer({ min: 1, max: 4 }),
      fc.array(fault, { minLength: 1, maxLength: 2 }),
      fc.scheduler(),
      check,
    ),
    { numRuns },
  )
})
