/** The drivers that behaviour tests run on: `DRIVERS=pg` narrows them. Databases are closed, and looked at, after each test. */

import { createDb, type Db, type EngineOptions, type Executor } from 'genever'
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest'
import { databaseUrl } from './database.ts'
import { until } from './until.ts'

export interface TestedDriver {
  readonly name: 'pg' | 'pglite'
  /** The most connections one of its pools can have. */
  readonly most: number
  /** Of a database for this file, or for this worker: tables are made by `table`. */
  url(): Promise<string>
  /** An open database. At the end of the test nothing may be lent or waiting any more; then it is closed. */
  db(options?: EngineOptions): Promise<Db>
  /** As `db`, with a single connection. */
  single(options?: EngineOptions): Promise<Db>
  /** The name of a new, empty table. */
  table(columns: string): Promise<string>
}

export interface MatrixOptions {
  /** Leaves out drivers whose pools can have fewer connections. Default 1. */
  readonly connections?: number | undefined
}

const names = ['pg', 'pglite'] as const

/** Tables of this worker, whose databases files share. */
let made = 0

/** Declares the suite once for every driver that is wanted and can do it. */
export function forEachDriver(suite: (driver: TestedDriver) => void, options: MatrixOptions = {}): void {
  const wanted = process.env['DRIVERS']?.split(',') ?? names
  const unknown = wanted.filter((name) => !names.some((known) => known === name))
  if (unknown.length > 0) throw new Error(`DRIVERS names ${unknown.join(', ')}; there are ${names.join(', ')}`)
  for (const name of names) {
    const most = name === 'pglite' ? 1 : Infinity
    const reason = wanted.includes(name) ? '' : 'not in DRIVERS'
    if (most < (options.connections ?? 1)) continue
    describe.skipIf(reason !== '')(name, () => suite(tested(name, most)))
  }
}

/** The server's process: the same number twice is the same connection. */
export async function pid(executor: Executor): Promise<number> {
  return Number(await executor.scalar('select pg_backend_pid()'))
}

/** `2 lent, 1 idle, 0 waiting`: what a pool is doing. */
export function doing(db: Db): string {
  const { reserved, idle, waiting } = db.stats()
  return `${reserved} lent, ${idle} idle, ${waiting} waiting`
}

/** Waits until nothing is lent and nobody waits: a connection comes back shortly after what had it has ended. */
export async function quiet(db: Db): Promise<void> {
  const isQuiet = (): boolean => {
    if (!/^0 lent.* 0 waiting$/.test(doing(db))) throw new Error(doing(db))
    return true
  }
  await until(isQuiet, { what: 'nothing is lent and nobody waits' })
}

function tested(name: TestedDriver['name'], most: number): TestedDriver {
  const opened = new Set<Db>()
  let keeper: Promise<Db> | undefined

  /** Keeps the database of PGlite alive between tests, and makes tables. */
  const keep = (): Promise<Db> => {
    keeper ??= url().then((source) =>
      createDb(source, { pool: { max: 1, idleTimeoutMs: Infinity, maxLifetimeMs: Infinity } }).open(),
    )
    return keeper
  }
  const url = (): Promise<string> => (name === 'pg' ? databaseUrl() : Promise.resolve(`pglite://memory/${process.pid}`))
  const db = async (options?: EngineOptions): Promise<Db> => {
    await keep()
    const fresh = createDb(await url(), options)
    opened.add(fresh)
    return fresh.open()
  }

  beforeAll(async () => {
    await keep()
  })
  afterEach(async () => {
    const leaks: string[] = []
    for (const each of opened) leaks.push(...(await leaksOf(each)))
    opened.clear()
    expect(leaks, 'connections left behind by this test').toEqual([])
  })
  afterAll(async () => {
    await (await keeper)?.close()
    keeper = undefined
  })

  return {
    name,
    most,
    url,
    db,
    single: (options) => db({ ...options, pool: { ...options?.pool, max: 1 } }),
    async table(columns) {
      const table = `t_${process.pid}_${name}_${++made}`
      await (await keep()).status(`create table ${table} (${columns})`)
      return table
    },
  }
}

async function leaksOf(db: Db): Promise<readonly string[]> {
  if (String(db) === 'Db { closed }' || !db.bound) return []
  const quiet = (): boolean => {
    const { reserved, serving, draining, waiting } = db.stats()
    return reserved + serving + draining + waiting === 0
  }
  await until(quiet, { timeoutMs: 1000 }).catch(() => {})
  const leak = quiet() ? [] : [String(db)]
  const { broken } = await db.close({ timeoutMs: 2000 })
  return [...leak, ...broken]
}
