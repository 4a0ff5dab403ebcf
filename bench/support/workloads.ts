// What is measured: each workload as one operation for either side. Both send the same texts, prepared under a name, and
// read the same rows; `Side` hides nothing but who does it.
import { keys } from './keys.ts'

export const poolSize = 10
export const posts = 10_000

export const texts = {
  post: 'select id, author_id, title, body, published, score, created_at from posts where id = $1',
  page: 'select id, author_id, title, body, published, score, created_at from posts where id > $1 order by id limit 100',
  author: 'select id, name, email from authors where id = $1',
  score: 'update posts set score = $2 where id = $1',
  log: 'insert into log (post_id) values ($1)',
} as const

export type Text = keyof typeof texts
export type Send = (text: Text, values: unknown[]) => Promise<unknown>

/** One of those compared. */
export interface Side {
  /** A statement on any free connection. */
  readonly anywhere: Send
  /** Runs `work` with one connection for all its statements. */
  scope(work: (send: Send) => Promise<void>): Promise<void>
  /** The texts baked, on the connection of the scope around or any other; null where there is no such thing. */
  readonly baked: Send | null
  transaction(work: (send: Send) => Promise<void>): Promise<void>
  /** Takes a connection out of the pool and puts it back. */
  acquire(): Promise<void>
  /** The same, promising a connection only. */
  readonly acquireLazily: (() => Promise<void>) | null
  close(): Promise<void>
}

export interface Workload {
  readonly title: string
  /** Loops that run at the same time; each is inside a scope of its own if `inScope`. */
  readonly loops: number
  readonly inScope: boolean
  readonly operation: (side: Side, send: Send) => Promise<unknown>
  /** Goals of the ratio engine / node-postgres: processor time and time per operation. */
  readonly goal?: readonly [cpu: number, time: number]
}

const key = keys(posts)

const threeReads = async (_: Side, send: Send): Promise<void> => {
  await send('author', [key(100)])
  await send('post', [key()])
  await send('post', [key()])
}

export const workloads: Readonly<Record<string, Workload>> = {
  row: {
    title: 'one row by key, in a scope',
    loops: 1,
    inScope: true,
    operation: (_, send) => send('post', [key()]),
    goal: [1.1, 1.05],
  },
  implicit: {
    title: 'one row by key, any connection',
    loops: 1,
    inScope: false,
    operation: (side) => side.anywhere('post', [key()]),
    goal: [1.1, 1.05],
  },
  baked: {
    title: 'one row by key, baked, in a scope',
    loops: 1,
    inScope: true,
    operation: (side, send) => (side.baked ?? send)('post', [key()]),
    goal: [1.1, 1.05],
  },
  bakedImplicit: {
    title: 'one row by key, baked, any connection',
    loops: 1,
    inScope: false,
    operation: (side) => (side.baked ?? side.anywhere)('post', [key()]),
    goal: [1.1, 1.05],
  },
  concurrent: {
    title: `one row by key, 64 at once`,
    loops: 64,
    inScope: false,
    operation: (side) => side.anywhere('post', [key()]),
    goal: [1.1, 1.05],
  },
  page: {
    title: '100 rows, in a scope',
    loops: 1,
    inScope: true,
    operation: (_, send) => send('page', [key(posts - 100)]),
  },
  scope: {
    title: 'a scope with 3 statements',
    loops: 1,
    inScope: false,
    operation: (side) => side.scope((send) => threeReads(side, send)),
  },
  scopes: {
    title: 'a scope with 3 statements, 64 at once',
    loops: 64,
    inScope: false,
    operation: (side) => side.scope((send) => threeReads(side, send)),
  },
  transaction: {
    title: 'a transaction with 3 statements',
    loops: 1,
    inScope: false,
    operation: (side) =>
      side.transaction(async (send) => {
        await send('post', [key()])
        await send('score', [key(), key(1000)])
        await send('log', [key()])
      }),
  },
}
