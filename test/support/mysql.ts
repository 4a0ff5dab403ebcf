/** Databases for tests on the MariaDB or MySQL of this run. Suites on it are declared by `describeMysql`, and left out where there is none. */

import { createDb, type Db, type EngineOptions } from 'genever'
import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, describe, inject, onTestFinished } from 'vitest'

let made = 0

/** The server's URL, as a superuser; `''` where there is none. */
export function mysqlUrl(): string {
  return inject('mysqlUrl')
}

/** A suite that needs the server: left out where there is none, which the run says. */
export const describeMysql: (name: string, suite: () => void) => void = (name, suite) =>
  describe.skipIf(mysqlUrl() === '')(name, suite)

export interface FreshMysql extends AsyncDisposable {
  readonly name: string
  readonly url: string
  /** Runs one text on a connection made for it, apart from the code under test. */
  query(sql: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]>
}

/** On one connection; closed when the test ends. */
export function dbOfTest(url: string, options: EngineOptions): Db {
  const db = createDb(url, { pool: { max: 1 }, ...options })
  onTestFinished(async () => void (await db.close({ timeoutMs: 5_000 })))
  return db
}

/** An empty database nobody else uses, with the given statements run in it. */
export async function freshMysql(...statements: readonly string[]): Promise<FreshMysql> {
  const name = `${inject('databasePrefix')}${process.pid}_${++made}`
  await onMysql(`create database \`${name}\` character set utf8mb4`)
  const url = new URL(mysqlUrl())
  url.pathname = `/${name}`
  const query: FreshMysql['query'] = (sql, params) => run(url, sql, params)
  for (const statement of statements) await query(statement)
  return {
    name,
    url: url.href,
    query,
    [Symbol.asyncDispose]: async () => {
      await onMysql(`drop database if exists \`${name}\``)
    },
  }
}

interface SuiteDatabase {
  readonly server: FreshMysql
  readonly db: Db
}

/** Gives the suite a database with these statements run in it, and a `Db` on it, from before its first test until behind its last one. */
export function onFreshMysql(
  statements: readonly string[],
  take: (made: SuiteDatabase) => void,
  options?: EngineOptions,
): void {
  let made: SuiteDatabase | undefined
  beforeAll(async () => {
    const server = await freshMysql(...statements)
    made = { server, db: createDb(server.url, options) }
    take(made)
  })
  afterAll(async () => {
    await made?.db.close()
    await made?.server[Symbol.asyncDispose]()
  })
}

let ofWorker: Promise<string> | undefined

/** The database of this vitest worker, as `databaseUrl` has one. */
export function mysqlWorkerUrl(): Promise<string> {
  ofWorker ??= (async () => {
    const name = `${inject('databasePrefix')}worker_${process.env['VITEST_POOL_ID'] ?? '0'}`
    await onMysql(`create database if not exists \`${name}\` character set utf8mb4`)
    const url = new URL(mysqlUrl())
    url.pathname = `/${name}`
    return url.href
  })()
  return ofWorker
}

/** Runs one statement on the server, outside of every database of tests. */
export function onMysql(sql: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]> {
  const url = new URL(mysqlUrl())
  url.pathname = ''
  return run(url, sql, params)
}

/**
 * True when the transaction of that session waits for a lock, as InnoDB's status says. `information_schema.innodb_trx`
 * does not do: it is a copy that is made anew only when nobody has read it for 0.1 s, so whoever asks it more often sees
 * the same for ever.
 */
export async function waitsForLock(session: number): Promise<boolean> {
  const [row] = await onMysql('show engine innodb status')
  const transactions = String(row?.['Status']).split('---TRANSACTION').slice(1)
  return transactions.some((each) => each.includes('LOCK WAIT') && each.includes(` thread id ${session},`))
}

async function run(url: URL, sql: string, params: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
  const connection = await createConnection({
    host: url.hostname,
    port: Number(url.port || 3306),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: url.pathname.slice(1) || undefined,
    charset: 'utf8mb4',
    supportBigNumbers: true,
    bigNumberStrings: true,
    dateStrings: true,
  } as never)
  try {
    const [rows] = await connection.query(sql, params as never)
    return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : []
  } finally {
    await connection.end()
  }
}
