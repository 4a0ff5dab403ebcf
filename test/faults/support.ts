/** A database reached through a proxy, and what its server says of it by another way. */

import { createDb, type Db, type EngineOptions } from 'genever'
import { expect, vi } from 'vitest'
import { idleChecks } from '../../src/pool/member.ts'
import { clock } from '../../src/util/clock.ts'
import { freshDatabase, onServer, type FreshDatabase } from '../support/database.ts'
import { isAtRest } from '../support/matrix.ts'
import { startProxy, type Proxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'

export interface Site extends AsyncDisposable {
  readonly db: Db
  readonly proxy: Proxy
  /** The same database without the proxy. */
  readonly direct: FreshDatabase
  /** The rows of the table `t`, in order. */
  rows(): Promise<unknown[]>
  /** How many statements the server is running for the db. */
  running(): Promise<number>
  /** How many of them sleep there. */
  sleeping(): Promise<number>
  /** Opens so many connections, one after the other: all are idle afterwards, and those opened last are taken first. */
  warm(connections: number): Promise<void>
}

/** One for each test file: files may share a process. */
const databases = new Map<string, Promise<FreshDatabase>>()

function database(): Promise<FreshDatabase> {
  const { testPath = '' } = expect.getState()
  const known = databases.get(testPath) ?? freshDatabase('create table t (n int)')
  databases.set(testPath, known)
  return known
}

/** Limits of what never happens in a test; it is as short as they are. */
export const short = { resetTimeoutMs: 300, cancelTimeoutMs: 300 } as const

/** Longer than any machine stands still. */
const longMs = 50_000

/** Open, with an empty table `t (n int)`; one at a time in a file. Its limits are never reached where the test does not say `short`. */
export async function site(options: EngineOptions = {}): Promise<Site> {
  const direct = await database()
  await killBackends(direct.name)
  await direct.query('truncate t')
  const proxy = await startProxy(direct.url)
  const db = createDb(proxy.url, {
    closeTimeoutMs: 200,
    resetTimeoutMs: longMs,
    cancelTimeoutMs: longMs,
    ...options,
    applicationName: 'genever-site',
    pool: { acquireTimeoutMs: longMs, connectTimeoutMs: longMs, ...options.pool },
  })
  await db.open()
  return {
    db,
    proxy,
    direct,
    rows: async () => (await direct.query('select n from t order by n')).map(({ n }) => n),
    running: () => backends(direct.name, `state = 'active'`),
    sleeping: () => backends(direct.name, `wait_event = 'PgSleep'`),
    async warm(connections) {
      const held = []
      for (let n = 0; n < connections; n++) held.push(await db.acquire({ timeoutMs: longMs }))
      for (const connection of held) await connection.release()
      await until(() => db.stats().idle >= connections)
    },
    async [Symbol.asyncDispose]() {
      await db.close()
      await proxy[Symbol.asyncDispose]()
      // What runs behind a way that died goes on until it wants to answer.
      await killBackends(direct.name)
    },
  }
}

/** How many backends of that database are so, but those of the test itself. */
async function backends(database: string, condition: string): Promise<number> {
  const [row] = await onServer(
    `select count(*)::int as n from pg_stat_activity
      where datname = $1 and ${condition} and application_name = 'genever-site'`,
    [database],
  )
  return Number(row?.['n'])
}

/** Nothing is lent, waiting or running, and the next statements are served. */
export async function sound(place: Site): Promise<void> {
  const { db } = place
  await until(() => isAtRest(db))
  await until(async () => (await place.running()) === 0, { what: 'the server runs nothing any more' })
  expect(await Promise.all([db.scalar('select 7'), db.transaction((tx) => tx.scalar('select 8'))])).toEqual([7, 8])
}

/** The clock of the library goes forward at once: what was idle has been idle for so long that it is asked before it is used. */
export function passTime(): void {
  const { now } = clock
  const ms = 1.5 * idleChecks.freshMs
  vi.spyOn(clock, 'now').mockImplementation(() => now() + ms)
}

/** Until its `using` block ends, connections that are asked whether they are alive have a time for it that only a leap of the clock reaches. */
export function patientChecks(): Disposable {
  const { pingMs, suspectMs } = idleChecks
  Object.assign(idleChecks, { pingMs: longMs, suspectMs: longMs })
  return { [Symbol.dispose]: () => void Object.assign(idleChecks, { pingMs, suspectMs }) }
}

/** Ends the backends of a database that serve the code under test. */
export async function killBackends(database: string, count = 1000): Promise<void> {
  await onServer(
    `select pg_terminate_backend(pid) from
      (select pid from pg_stat_activity where datname = $1 and application_name = 'genever-site' limit $2) as site`,
    [database, count],
  )
}

/** What became of a promise, without waiting for it. */
export function watch<T>(promise: Promise<T>): { state: 'pending' | 'resolved' | 'rejected'; value: unknown } {
  const seen: { state: 'pending' | 'resolved' | 'rejected'; value: unknown } = { state: 'pending', value: undefined }
  promise.then(
    (value) => Object.assign(seen, { state: 'resolved', value }),
    (error: unknown) => Object.assign(seen, { state: 'rejected', value: error }),
  )
  return seen
}
