// `npm run bench -- context`: how deep and how wide the context may be nested on a pool of one connection, where anything
// but sharing would wait for ever. Counts are what the engine and the server said; a benchmark fails nothing.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createDb } from 'genever'
import { temporaryDatabase } from '../demo/support/database.ts'
import { duration, say, table, type Cell } from '../demo/support/table.ts'

type Nest = (work: () => Promise<void>) => Promise<unknown>

await using database = await temporaryDatabase()
await using db = createDb(database.url, { pool: { max: 1 } })
await db.open()

const inScope: Nest = (work) => db.scope(work)
const inTransaction: Nest = (work) => db.transaction(work)
const mixed: Nest = (work) => db.scope(() => db.transaction(work))

say('Every level runs a statement, all on a pool of one.', '')
const rows = [
  await measure('scopes, 64 deep', 1, 64, inScope),
  await measure('transactions, 64 deep (savepoints)', 1, 64, inTransaction),
  await measure('1,000 contexts at once, scopes 8 deep', 1000, 8, inScope),
  await measure('1,000 contexts at once, a transaction in a scope, 4 times', 1000, 4, mixed),
]
const figures = ['statements', 'connections', 'checkouts', 'time', 'per statement', 'kept in memory']
say(table(['', ...figures], rows, figures))

async function measure(title: string, contexts: number, depth: number, nest: Nest): Promise<Cell[]> {
  await run(contexts, Math.min(depth, 4), nest)
  const before = memory()
  let checkouts = 0
  const count = (message: unknown): void => {
    if ((message as { event: string }).event === 'acquire') checkouts++
  }
  subscribe('genever:lease', count)
  const start = performance.now()
  const { statements, backends } = await run(contexts, depth, nest)
  const took = performance.now() - start
  unsubscribe('genever:lease', count)
  const kept = Math.max(0, memory() - before)
  return [
    title,
    statements,
    backends.size,
    checkouts,
    duration(took),
    `${((took / statements) * 1000).toFixed(0)} µs`,
    `${(kept / 1024).toFixed(0)} kB`,
  ]
}

async function run(
  contexts: number,
  depth: number,
  nest: Nest,
): Promise<{ readonly statements: number; readonly backends: ReadonlySet<unknown> }> {
  const backends = new Set<unknown>()
  let statements = 0
  const level = async (left: number): Promise<void> => {
    backends.add(await db.scalar('select pg_backend_pid()'))
    statements++
    if (left > 1) await nest(() => level(left - 1))
  }
  await Promise.all(Array.from({ length: contexts }, () => nest(() => level(depth))))
  return { statements, backends }
}

/** The heap after a collection; `npm run bench` exposes it. */
function memory(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
