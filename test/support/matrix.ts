/** The drivers that behaviour tests run on, by `wantedDrivers()`. Databases are closed, and looked at, after each test. */

import { createDb, type Db, type EngineOptions, type Executor } from 'genever'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { databaseUrl, freshDatabase, onServer, sessionsIn } from './database.ts'
import { mysqlWords, postgresWords, type Words } from './dialect-words.ts'
import { type DriverName, mysqlSuites, wantedDrivers } from './extent.ts'
import { freshMysql, mysqlUrl, mysqlWorkerUrl, onMysql } from './mysql.ts'
import { pgliteStart } from './patience.ts'
import { until } from './until.ts'

/** A server from outside. */
export interface TestedServer {
  /** How its database says what tests need. */
  readonly words: Words
  /** The sessions that run a text with this mark now. */
  runners(mark: string): Promise<readonly number[]>
  /** How many they are. */
  running(mark: string): Promise<number>
  /** Ends a session from outside, and waits until it is gone. */
  kill(session: number): Promise<void>
  /** An empty database nobody else uses, with these statements run in it; leaving its `await using` block drops it. */
  fresh(...statements: readonly string[]): Promise<TestedDatabase>
}

export interface TestedDatabase extends AsyncDisposable {
  readonly url: string
  /** Runs one text on a connection made for it, apart from the code under test. */
  query(sql: string): Promise<Record<string, unknown>[]>
  /** How many sessions clients have there. */
  sessions(): Promise<number>
}

/** What is about its server is for those that have one: PGlite has none. */
export interface TestedDriver extends TestedServer {
  readonly name: DriverName
  /** The most connections one of its pools can have. */
  readonly most: number
  /** Whether `rawConnection()` has anything to give. */
  readonly lends: boolean
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
  /** Takes node-postgres in place of the driver `socket`, for which `rawConnection()` has nothing to give. Default false. */
  readonly lends?: boolean | undefined
}

function served(words: Words, ask: typeof onServer, fresh: TestedServer['fresh']): TestedServer {
  const runners = async (mark: string): Promise<readonly number[]> =>
    (await ask(words.runners, [`%${mark}%`])).map(({ id }) => Number(id))
  return {
    words,
    fresh,
    runners,
    running: async (mark) => (await runners(mark)).length,
    async kill(session) {
      const gone = async (): Promise<boolean> => {
        if ((await ask(words.listed(session))).length === 0) return true
        // It may go by itself meanwhile.
        await ask(words.kill(session)).catch(() => {})
        return false
      }
      await until(gone, { what: `session ${session} is gone` })
    },
  }
}

/** The one of files that run on it alone. */
export const postgres: TestedServer = served(postgresWords, onServer, async (...statements) => {
  const database = await freshDatabase(statements.join(';'))
  return { ...database, sessions: async () => (await sessionsIn(database.name)).length }
})
const mysql = served(mysqlWords, onMysql, async (...statements) => {
  const database = await freshMysql(...statements)
  const listed = 'select 1 from information_schema.processlist where db = ?'
  return { ...database, sessions: async () => (await onMysql(listed, [database.name])).length }
})

/** Tables of this worker, whose databases files share. */
let made = 0

/** Declares the suite once for every driver that is wanted and has enough connections. */
export function forEachDriver(suite: (driver: TestedDriver) => void, options: MatrixOptions = {}): void {
  let declared = false
  for (const name of options.lends === true ? lending() : wantedDrivers()) {
    const most = name === 'pglite' ? 1 : Infinity
    if (most < (options.connections ?? 1)) continue
    if (name === 'mysql' && (!isForMysql() || mysqlUrl() === '')) continue
    declared = true
    describe(name, () => suite(tested(name, most)))
  }
  if (!declared) test.skip('no driver that is wanted has so many connections', () => {})
}

/** `socket` has nothing to lend: node-postgres stands in for it. */
function lending(): readonly DriverName[] {
  return [...new Set(wantedDrivers().map((name) => (name === 'socket' ? 'pg' : name)))]
}

/** `MYSQL_ALL=1` tries every suite there. */
function isForMysql(): boolean {
  const path = (expect.getState().testPath ?? '').replaceAll('\\', '/')
  return process.env['MYSQL_ALL'] !== undefined || mysqlSuites.some((suite) => path.endsWith(suite))
}

/** The server's process: the same number twice is the same connection. */
export async function pid(executor: Executor): Promise<number> {
  return Number(await executor.scalar(wordsFor(executor).session))
}

/** The isolation level there, as the engine spells it. */
export async function isolationOf(executor: Executor): Promise<string> {
  const [row = {}] = await executor.all(wordsFor(executor).isolation)
  return String(Object.values(row).at(-1)).toLowerCase().replace('-', ' ')
}

/** Those of its database. */
export function wordsFor(executor: Executor): Words {
  const { name } = (executor as unknown as { dialectHere(): { name: string } }).dialectHere()
  return name === 'mysql' ? mysqlWords : postgresWords
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
    const pool = { max: 1, idleTimeoutMs: Infinity, maxLifetimeMs: Infinity, ...pgliteStart }
    keeper ??= url().then((source) => createDb(source, { pool }).open())
    return keeper
  }
  const url = (): Promise<string> =>
    name === 'pglite' ? Promise.resolve(`pglite://memory/${process.pid}`) : urlBy(name)
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
    ...(name === 'mysql' ? mysql : postgres),
    async fresh(...statements) {
      const database = await (name === 'mysql' ? mysql : postgres).fresh(...statements)
      return { ...database, url: withScheme(database.url, name) }
    },
    lends: name !== 'socket',
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

/** The database of this worker, by the scheme of a driver that reaches servers. */
async function urlBy(name: DriverName): Promise<string> {
  if (name === 'mysql') return mysqlWorkerUrl()
  return withScheme(await databaseUrl(), name)
}

/** The driver `socket` has the URLs that name no other. */
function withScheme(url: string, name: DriverName): string {
  return url.replace(/^\w+:/, name === 'socket' ? 'postgres:' : `${name}:`)
}

/** Nothing is lent, runs, is being cleaned or closed, or waits. */
export function isAtRest(db: Db): boolean {
  const { reserved, serving, draining, waiting } = db.stats()
  return reserved + serving + draining + waiting === 0
}

async function leaksOf(db: Db): Promise<readonly string[]> {
  if (String(db) === 'Db { closed }' || !db.bound) return []
  await until(() => isAtRest(db)).catch(() => {})
  const leak = isAtRest(db) ? [] : [String(db)]
  const { broken } = await db.close({ timeoutMs: 2000 })
  return [...leak, ...broken]
}
