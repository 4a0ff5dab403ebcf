/** A database reached through a proxy, and what its server says of it by another way. */

import { createDb, type Db, type EngineOptions } from 'genever'
import { expect, vi } from 'vitest'
import { clock } from '../../src/util/clock.ts'
import { freshDatabase, onServer, type FreshDatabase } from '../support/database.ts'
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
  /** Opens so many connections at least, all idle afterwards. */
  warm(connections: number): Promise<void>
}

let database: Promise<FreshDatabase> | undefined

/** Open, with an empty table `t (n int)`; one at a time in a file. Limits are short, so that a test is not. */
export async function site(options: EngineOptions = {}): Promise<Site> {
  const direct = await (database ??= freshDatabase('create table t (n int)'))
  await killBackends(direct.name)
  await direct.query('truncate t')
  const proxy = await startProxy(direct.url)
  const db = createDb(proxy.url, {
    closeTimeoutMs: 200,
    resetTimeoutMs: 300,
    cancelTimeoutMs: 300,
    ...options,
    applicationName: 'genever-site',
    pool: { acquireTimeoutMs: 5000, ...options.pool },
  })
  await db.open()
  return {
    db,
    proxy,
    direct,
    rows: async () => (await direct.query('select n from t order by n')).map(({ n }) => n),
    running: () => running(direct.name),
    async warm(connections) {
      await Promise.all(Array.from({ length: connections }, () => db.acquire())).then((held) =>
        Promise.all(held.map((connection) => connection.release())),
      )
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

/** The backends of that database that are running something, but those of the test itself. */
async function running(database: string): Promise<number> {
  const [row] = await onServer(
    `select count(*)::int as n from pg_stat_activity
      where datname = $1 and state = 'active' and application_name = 'genever-site'`,
    [database],
  )
  return Number(row?.['n'])
}

/** Nothing is lent, waiting or running, and the next statements are served. */
export async function sound(place: Site): Promise<void> {
  const { db } = place
  await until(() => {
    const { reserved, serving, draining, waiting } = db.stats()
    return reserved + serving + draining + waiting === 0
  })
  await until(async () => (await place.running()) === 0, { what: 'the server runs nothing any more' })
  expect(await Promise.all([db.scalar('select 7'), db.transaction((tx) => tx.scalar('select 8'))])).toEqual([7, 8])
}

/** The clock of the library goes forward by so much at once: what was idle has been idle for so much longer. */
export function passTime(ms: number): void {
  const { now } = clock
  vi.spyOn(clock, 'now').mockImplementation(() => now() + ms)
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
