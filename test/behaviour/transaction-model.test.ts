/**
 * Random programs of transactions inside of each other over parallel branches, in random order of events, with and
 * without faults, on both fake servers. The model is one sentence: what is there at the end is exactly what was acknowledged inside of
 * transactions that said to be committed.
 */

import { fc } from '../support/fast-check.ts'
import {
  CommitOutcomeUnknownError,
  createDb,
  type Db,
  type Executor,
  type Transaction as GeneverTransaction,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { sample } from '../support/extent.ts'
import { type FakeFamily, fakes } from '../support/fakes.ts'

interface Transaction {
  readonly kind: 'transaction'
  readonly steps: readonly Step[]
  readonly parallel: boolean
  /** False: a connection of its own. */
  readonly reuse: boolean
  readonly end: 'return' | 'throw' | 'raiseCommit' | 'raiseRollback'
  /** What becomes of an error of it, and whether it is awaited at all. */
  readonly after: 'throw' | 'catch' | 'forget'
}
type Step =
  /** By the handle of the transaction, or by the db; awaited or not. */
  | { readonly kind: 'insert'; readonly handle: boolean; readonly forgotten: boolean }
  | { readonly kind: 'failure'; readonly caught: boolean }
  /** A cursor whose loop inserts; it is read to its end, left by `break`, or left open. */
  | { readonly kind: 'cursor'; readonly end: 'end' | 'break' | 'left' }
  /** Ends the outermost transaction of the code. */
  | { readonly kind: 'raise'; readonly commit: boolean }
  /** The signal of the innermost transaction aborts. */
  | { readonly kind: 'abort' }
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
  /**
   * Where a server takes the whole transaction back only for some errors: whether it does, and whether its code says so (`known`) or the
   * state of the transaction alone.
   */
  readonly ends: 'no' | 'known' | 'unknown'
}

const rarely = <T>(usual: T, ...rare: T[]): fc.Arbitrary<T> =>
  fc.oneof({ arbitrary: fc.constant(usual), weight: 6 }, { arbitrary: fc.constantFrom(...rare), weight: 2 })

const { program } = fc.letrec<{ step: Step; transaction: Transaction; program: Program }>((tie) => ({
  step: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { arbitrary: fc.constant<Step>({ kind: 'pause' }), weight: 2 },
    {
      arbitrary: fc.record({
        kind: fc.constant('insert' as const),
        handle: fc.boolean(),
        forgotten: rarely<boolean>(false, true),
      }),
      weight: 4,
    },
    { arbitrary: fc.record({ kind: fc.constant('failure' as const), caught: fc.boolean() }), weight: 1 },
    {
      arbitrary: fc.record({
        kind: fc.constant('cursor' as const),
        end: rarely<'end' | 'break' | 'left'>('end', 'break', 'left'),
      }),
      weight: 1,
    },
    { arbitrary: fc.record({ kind: fc.constant('raise' as const), commit: fc.boolean() }), weight: 1 },
    { arbitrary: fc.constant<Step>({ kind: 'abort' }), weight: 1 },
    { arbitrary: tie('transaction'), weight: 4 },
  ),
  transaction: fc.record({
    kind: fc.constant('transaction' as const),
    steps: fc.array(tie('step'), { maxLength: 4 }),
    parallel: fc.boolean(),
    reuse: rarely<boolean>(true, false),
    end: rarely<Transaction['end']>('return', 'throw', 'raiseCommit', 'raiseRollback'),
    after: rarely<Transaction['after']>('throw', 'catch', 'catch', 'forget'),
  }),
  program: fc.record({ roots: fc.array(tie('transaction'), { minLength: 1, maxLength: 3 }), scope: fc.boolean() }),
}))

const fault: fc.Arbitrary<Fault> = fc.record({
  text: fc.constantFrom('BEGIN', 'COMMIT', 'SAVEPOINT', 'RELEASE', 'ROLLBACK', 'ROLLBACK TO', 'insert'),
  nth: fc.integer({ min: 1, max: 4 }),
  phase: fc.constantFrom('send', 'answer'),
  lost: fc.boolean(),
  ends: fc.constantFrom('no', 'known', 'unknown'),
})

/** One transaction that was run. */
class Entry {
  /** What its hooks were told; null: none ran. */
  fate: 'committed' | 'rolled back' | null = null
  /** Its commit was lost. */
  unknown = false
  readonly acknowledged: number[] = []
  readonly outer: Entry | null
  readonly tx: GeneverTransaction
  readonly controller: AbortController
  readonly separate: boolean

  constructor(outer: Entry | null, tx: GeneverTransaction, controller: AbortController, separate: boolean) {
    this.outer = outer
    this.separate = separate
    this.tx = tx
    this.controller = controller
    tx.afterCommit(() => void (this.fate = 'committed'))
    tx.afterRollback(() => void (this.fate = 'rolled back'))
  }

  get outermost(): Entry {
    return this.outer?.outermost ?? this
  }

  /** The one whose savepoint it is, if it is one. */
  get home(): Entry {
    return this.separate ? this : (this.outer?.home ?? this)
  }
}

class Run {
  readonly entries: Entry[] = []
  /** Transactions that resolved although their hooks say that they were not committed. */
  readonly lies: Entry[] = []
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
    const controller = new AbortController()
    const entries: Entry[] = []
    try {
      const value = await this.#db.transaction<unknown>(
        async (tx) => {
          const entry = new Entry(outer, tx, controller, !reuse)
          entries.push(entry)
          if (parallel) await Promise.all(steps.map((step) => this.#stray(this.#step(step, entry))))
          else for (const step of steps) await this.#step(step, entry)
          if (end === 'throw') throw new TypeError('end')
          if (end !== 'return') tx[end](end)
        },
        { reuse, signal: controller.signal },
      )
      const separate = outer === null || !reuse
      if (separate && value === undefined) this.lies.push(...entries.filter(({ fate }) => fate !== 'committed'))
    } catch (error) {
      for (const entry of entries) entry.unknown = error instanceof CommitOutcomeUnknownError
      throw error
    } finally {
      this.entries.push(...entries)
    }
  }

  #stray(branch: Promise<void>): Promise<void> {
    this.#strays.push(branch.catch(() => {}))
    return branch
  }

  async #step(step: Step, entry: Entry): Promise<void> {
    switch (step.kind) {
      case 'pause':
        return void (await this.#pause())
      case 'transaction': {
        const running = this.#stray(this.#transaction(step, entry))
        if (step.after === 'forget') return
        return running.catch(swallow(step.after === 'catch'))
      }
      case 'failure':
        return this.#db.status('fail 23505').then(() => {}, swallow(step.caught))
      case 'raise':
        return step.commit ? entry.outermost.tx.raiseCommit('raised') : entry.outermost.tx.raiseRollback('raised')
      case 'abort':
        return entry.controller.abort()
      case 'cursor':
        return this.#cursor(step.end, entry)
      case 'insert': {
        const inserted = this.#stray(this.#insert(step.handle ? entry.tx : this.#db, entry))
        if (!step.forgotten) await inserted
      }
    }
  }

  async #cursor(end: 'end' | 'break' | 'left', entry: Entry): Promise<void> {
    const cursor = this.#db.iterate('select generate_series(1, 3) as n', [], { batchSize: 1 })
    if (end === 'left') return void (await cursor.read())
    for await (const _ of cursor) {
      await this.#insert(this.#db, entry)
      if (end === 'break') break
    }
  }

  async #insert(executor: Executor, entry: Entry): Promise<void> {
    const id = ++this.#ids
    await executor.status(`insert into t values (${id})`)
    entry.acknowledged.push(id)
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
  family: FakeFamily,
  program: Program,
  maxInFlight: number,
  faults: readonly Fault[],
  scheduler: fc.Scheduler,
): Promise<void> {
  const { driver, server, violations } = family.make({ schedule: scheduler, maxInFlight })
  const db = createDb({ driver, pool: { max: 100 }, closeTimeoutMs: 100 })
  const run = new Run(db, () => scheduler.schedule(Promise.resolve('pause'), 'pause'))
  await scheduler.waitFor(
    (async () => {
      await db.open()
      for (const { text, nth, phase, lost, ends } of faults)
        if (lost) server.faults.at({ text, nth, phase }, { lost: true })
        else
          server.faults.at(
            { text, nth, phase: 'send' },
            { error: { known: '40001', unknown: '55P03', no: text === 'insert' ? '23505' : '53200' }[ends] },
          )
      await run.run(program)
      server.faults.clear()
      while (db.stats().reserved + db.stats().draining > 0) await scheduler.schedule(Promise.resolve(), 'settling')
      await db.close()
    })(),
  )

  const ids = (of: (entry: Entry) => boolean): number[] => run.entries.filter(of).flatMap((entry) => entry.acknowledged)
  const visible = server.rows('t').map(({ v }) => v as number)
  const uncertain = new Set(ids((entry) => entry.home.unknown))
  const sorted = (numbers: readonly number[]): number[] =>
    numbers.filter((id) => !uncertain.has(id)).toSorted((a, b) => a - b)
  expect(sorted(visible)).toEqual(sorted(ids(({ fate }) => fate === 'committed')))
  expect(run.lies).toEqual([])
  expect(autocommitted(server.log)).toEqual([])
  expect(violations()).toEqual([])
  expect(server.openCount).toBe(0)
}

const numRuns = sample({ once: 100, matrix: 500, soak: 20_000 })

describe.each(fakes)('on $name', (family) => {
  test.each([
    ['what is there at the end is what was acknowledged as committed', 0, 0],
    ['also when messages fail and connections die', 1, 2],
  ])('%s', async (_, minLength, maxLength) => {
    const faults = fc.array(fault, { minLength, maxLength })
    await fc.assert(
      fc.asyncProperty(program, fc.integer({ min: 1, max: 4 }), faults, fc.scheduler(), (...given) =>
        check(family, ...given),
      ),
      { numRuns },
    )
  })
})
