// What `bench/workloads.ts` measures: eleven things that programs do, each in the words of the library that does it, on the
// same rows. A side leaves out what it cannot do. It is also run by Bun, so it imports no package.
import { type Cost, costOf } from '../cost.ts'
import { keys } from '../keys.ts'
import { type NewNote, note, readable, thousand } from '../models/workloads.ts'

/** What can be done inside of a transaction or on one connection. */
export interface Within {
  get(id: number): PromiseLike<unknown>
  update(id: number, score: number): PromiseLike<unknown>
  create(values: NewNote): PromiseLike<unknown>
}

export interface Work extends Within {
  /** Posts after that one, so many. */
  rows(after: number, limit: number): PromiseLike<readonly unknown[]>
  /** An author with `posts`, a hundred in any order. */
  author(id: number): PromiseLike<unknown>
  /** Inserts a thousand notes by one call and gives their keys. */
  createMany(rows: readonly NewNote[]): PromiseLike<readonly unknown[]>
  transaction(work: (within: Within) => Promise<void>): PromiseLike<unknown>
  /** Runs `work` on one connection, without a transaction. */
  checkout(work: (within: Within) => Promise<void>): PromiseLike<unknown>
  /** Every post ten times, as a stream; gives how many there were. */
  stream(): PromiseLike<number>
}

export interface WorkSide {
  readonly name: string
  readonly work: Partial<Work>
}

export interface WorkSides {
  readonly sides: readonly WorkSide[]
  readonly close: () => Promise<unknown>
}

export interface Workload {
  readonly title: string
  /** How many run at the same time. */
  readonly loops: number
  readonly needs: keyof Work
  /** Gives how often it was done; undefined: once. */
  readonly run: (work: Work) => PromiseLike<unknown>
  /** It takes so long that a block is one run. */
  readonly long?: boolean
}

const key = keys(readable)

const updated = (): number => readable + key(1_000)

async function threeReads(within: Within): Promise<void> {
  await within.get(key(readable))
  await within.get(key(readable))
  await within.get(key(readable))
}

async function threeStatements(within: Within): Promise<void> {
  await within.get(key(readable))
  await within.update(updated(), key(1_000))
  await within.create(note(key(readable)))
}

export const inFlight = 64

export const workloads: Readonly<Record<string, Workload>> = {
  W1: { title: 'one row by key', loops: 1, needs: 'get', run: (work) => work.get(key(readable)) },
  W2: { title: '100 rows', loops: 1, needs: 'rows', run: (work) => work.rows(key(readable - 100), 100) },
  W3: { title: '1,000 rows', loops: 1, needs: 'rows', run: (work) => work.rows(key(readable - 1_000), 1_000) },
  W4: { title: 'an author with 100 posts', loops: 1, needs: 'author', run: (work) => work.author(key(100)) },
  W5: { title: 'an insert', loops: 1, needs: 'create', run: (work) => work.create(note(key(readable))) },
  W6: { title: '1,000 inserts in one call', loops: 1, needs: 'createMany', run: (work) => work.createMany(thousand) },
  W7: { title: 'an update', loops: 1, needs: 'update', run: (work) => work.update(updated(), key(1_000)) },
  W8: {
    title: 'a transaction of a read, an update and an insert',
    loops: 1,
    needs: 'transaction',
    run: (work) => work.transaction(threeStatements),
  },
  W9: {
    title: `one row by key, ${inFlight} at a time on 10 connections`,
    loops: inFlight,
    needs: 'get',
    run: (work) => work.get(key(readable)),
  },
  W10a: {
    title: `a transaction of three reads, ${inFlight} at a time`,
    loops: inFlight,
    needs: 'transaction',
    run: (work) => work.transaction(threeReads),
  },
  W10b: {
    title: `three reads without one, ${inFlight} at a time`,
    loops: inFlight,
    needs: 'get',
    run: (work) => threeReads(work),
  },
  W10c: {
    title: `three reads on one connection, ${inFlight} at a time`,
    loops: inFlight,
    needs: 'checkout',
    run: (work) => work.checkout(threeReads),
  },
  W11: {
    title: '100,000 rows as a stream, in batches of 1,000 where a library has them',
    loops: 1,
    needs: 'stream',
    long: true,
    async run(work) {
      const rows = await work.stream()
      if (rows !== 100_000) throw new Error(`${rows} rows instead of 100,000`)
    },
  },
}

/** Runs a workload for so long, and at least once. */
export function block(work: Work, { loops, run }: Workload, ms: number): Promise<Cost> {
  return costOf(() => run(work), ms, loops)
}
