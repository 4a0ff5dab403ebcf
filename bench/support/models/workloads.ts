// What `bench/models.ts` measures: six operations that every library offers, on the same rows. Sides may leave some out.
import { keys } from '../keys.ts'
import { posts as most } from '../workloads.ts'

export interface NewNote {
  readonly authorId: number
  readonly title: string
  readonly body: string
  readonly published: boolean
  readonly score: number
  readonly createdAt: Date
}

/** What a library does, in its own words and with objects of its own. */
export interface Operations {
  /** A post by its key. */
  get(id: number): PromiseLike<unknown>
  /** A hundred posts after that one. */
  page(after: number): PromiseLike<readonly unknown[]>
  /** An author with `posts`, a hundred in any order. */
  author(id: number): PromiseLike<unknown>
  /** Inserts a note and gives its key. */
  create(values: NewNote): PromiseLike<unknown>
  update(id: number, score: number): PromiseLike<unknown>
  /** Inserts a thousand notes by one call, has them back as objects, and gives their keys in the order of the rows. */
  createMany(rows: readonly NewNote[]): PromiseLike<readonly unknown[]>
}

type Name = keyof Operations

export interface ModelSide {
  readonly name: string
  /** What it is compared as: the base, one of ours, one to be ahead of, or only shown. */
  readonly kind: 'raw' | 'genever' | 'orm' | 'engine'
  readonly operations: Partial<Operations>
}

export interface ModelSides {
  readonly sides: readonly ModelSide[]
  readonly close: () => Promise<unknown>
}

export interface ModelWorkload {
  readonly name: Name
  readonly title: string
  readonly run: (operations: Partial<Operations>) => PromiseLike<unknown> | undefined
}

/** Posts that are read; those after them are updated, so that pages stay as they are. */
export const readable: number = most - 1_000
const key = keys(readable)

export function note(n: number): NewNote {
  return {
    authorId: 1 + (n % 100),
    title: `Note ${n}`,
    body: `${'The quick brown fox jumps over it. '.repeat(8)}${n}`,
    published: n % 3 !== 0,
    score: n % 1_000,
    createdAt: new Date(Date.UTC(2025, 0, 1) + n * 1_000),
  }
}

export const thousand: readonly NewNote[] = Array.from({ length: 1_000 }, (_, n) => note(n))

export const modelWorkloads: readonly ModelWorkload[] = [
  { name: 'get', title: 'get by id', run: ({ get }) => get?.(key(readable)) },
  { name: 'page', title: '100 rows', run: ({ page }) => page?.(key(readable - 100)) },
  { name: 'author', title: 'an author with 100 posts', run: ({ author }) => author?.(key(100)) },
  { name: 'create', title: 'create one', run: ({ create }) => create?.(note(key(readable))) },
  { name: 'update', title: 'update one', run: ({ update }) => update?.(readable + key(1_000), key(1_000)) },
  { name: 'createMany', title: 'create 1000 by one call', run: ({ createMany }) => createMany?.(thousand) },
]
