/**
 * How far the tests go. `npm test` keeps every promise once, on one PostgreSQL; `npm run test:matrix` goes over the other
 * drivers and versions and takes longer samples; `npm run soak` takes samples for as long as it is given.
 */

export type Extent = 'once' | 'matrix' | 'soak'
export type DriverName = 'socket' | 'pg' | 'pglite' | 'mysql'

const names: readonly DriverName[] = ['socket', 'pg', 'pglite', 'mysql']

export const extent: Extent = (process.env['EXTENT'] as Extent | undefined) ?? 'once'

/** The size of a random sample: `RUNS=500` says it for all. */
export function sample(sizes: Readonly<Record<Extent, number>>): number {
  return Number(process.env['RUNS'] ?? sizes[extent])
}

/** Of a random sample: always the same, unless `SEED` says another or the tests soak. */
export function sampleSeed(usual: number): number {
  return Number(process.env['SEED'] ?? usual)
}

/** Behaviour tests for every driver that run on MySQL as well: their statements are words of the driver, or the same everywhere. */
export const mysqlSuites: readonly string[] = [
  'acquire-release',
  'ambient-hooks',
  'arguments',
  'baked',
  'binding',
  'borrowing',
  'cardinality',
  'close-inside',
  'close-served',
  'close-stops',
  'context-isolation',
  'context-root',
  'current',
  'detached',
  'detached-awaited',
  'errors-secrets',
  'errors-stack',
  'errors-stack-doors',
  'every-door',
  'execute-many',
  'fake-timers',
  'first-opening',
  'global-db',
  'idle',
  'into',
  'issue-order',
  'issue-order-random',
  'issue-order-raw',
  'iterate',
  'iterate-alone',
  'iterate-batches',
  'iterate-ends',
  'left-behind',
  'manual-transactions',
  'many-at-once',
  'many-nested',
  'nested-transactions',
  'nesting',
  'observe-echo',
  'observe-leaks',
  'observe-otel',
  'observe-pool',
  'observe-slow',
  'observe-statements',
  'on-connect',
  'opening',
  'overlays',
  'parameters',
  'pool-close',
  'process-exit',
  'promise',
  'query-defaults',
  'query-options',
  'query-tags',
  'raise-elsewhere',
  'recall',
  'recall-deadlocks',
  'recall-edges',
  'recall-moments',
  'registry',
  'release',
  'release-for-now',
  'release-queued',
  'reuse-and-lazy',
  'rows-as-arrays',
  'sandbox-drivers',
  'sandbox-end',
  'sandbox-http',
  'sandbox-reuse',
  'sandbox-turns',
  'script',
  'self-deadlock',
  'serve',
  'settings-ended',
  'settings-kept',
  'settings-not-reusable',
  'settings-refused',
  'sql-tag',
  'sync',
  'transaction-admission',
  'transaction-concurrency',
  'transaction-ends',
  'transaction-losses',
  'transaction-retry',
  'transaction-rules',
  'transaction-swallowed',
  'transaction-timeouts',
  'transactions',
  'unread-columns',
  'upkeep',
  'user-code',
  'with-bind',
].map((name) => `test/behaviour/${name}.test.ts`)

/** The drivers that suites for every driver run on: `DRIVERS=socket,pglite` says which. */
export function wantedDrivers(): readonly DriverName[] {
  const wanted = process.env['DRIVERS']?.split(',') ?? ['socket']
  const unknown = wanted.filter((name) => !names.some((known) => known === name))
  if (unknown.length > 0) throw new Error(`DRIVERS names ${unknown.join(', ')}; there are ${names.join(', ')}`)
  return names.filter((name) => wanted.includes(name))
}

/** Suites that name no driver run on node-postgres where no other is wanted, else on the driver that `postgres:` URLs have. */
export const isOnPg: boolean = wantedDrivers().every((name) => name === 'pg')

/** The drivers that reach a server, for tests that name their driver: the URL of a run on node-postgres names it too. */
export const onServers: readonly ('pg' | 'socket')[] = isOnPg ? ['pg'] : ['socket', 'pg']

/** With the scheme of the driver that suites run on which name none. */
export function byScheme(url: string): string {
  return url.replace(/^\w+:/, isOnPg ? 'pg:' : 'postgres:')
}
