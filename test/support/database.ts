/** Databases for tests on the server of this run, made when first asked for. Callers need not remove them. */

import type { Socket } from 'node:net'
import pg from 'pg'
import { inject } from 'vitest'
import { byScheme } from './extent.ts'

/** A database nobody else uses; leaving its `await using` block drops it, else the end of the run does. */
export interface FreshDatabase extends AsyncDisposable {
  readonly name: string
  readonly url: string
  /** Runs text on a connection made for it, apart from the code under test; several statements if there are no parameters. */
  query(sql: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]>
  drop(): Promise<void>
}

let made = 0
let ofWorker: Promise<string> | undefined

/** The server itself: the URL of its maintenance database, as a superuser. */
export function serverUrl(): string {
  return byScheme(inject('serverUrl'))
}

/** As node-postgres reads it. */
export function urlForPg(url: string): string {
  return url.replace(/^pg:/, 'postgres:')
}

/** The database of this vitest worker. Files that run one after the other in one worker find each other's tables in it. */
export function databaseUrl(): Promise<string> {
  ofWorker ??= make(`${inject('databasePrefix')}worker_${process.env['VITEST_POOL_ID'] ?? '0'}`)
  return ofWorker
}

/** An empty database for one file or one test, with the given statements run in it. */
export async function freshDatabase(sql?: string): Promise<FreshDatabase> {
  const name = `${inject('databasePrefix')}${process.pid}_${++made}`
  const url = await make(name)
  const drop = (): Promise<void> =>
    maintaining(async (client) => {
      await client.query(goodbyes(name))
      await client.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`)
    })
  if (sql !== undefined) await query(url, sql)
  return { name, url, query: (text, params) => query(url, text, params), drop, [Symbol.asyncDispose]: drop }
}

/** Runs one statement in the maintenance database: look at `pg_stat_activity`, end a backend, make a role. */
export function onServer(sql: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]> {
  return maintaining((client) => rowsOf(client, sql, params))
}

/** The sessions that clients have in these databases, those of the tests themselves apart. */
export function sessionsIn(...databases: readonly string[]): Promise<Record<string, unknown>[]> {
  return onServer(
    `select pid, datname, application_name, backend_start::text, state, query from pg_stat_activity
      where datname = any($1) and backend_type = 'client backend' and application_name <> 'genever-test-support'`,
    [databases],
  )
}

/**
 * Waits a moment for the sessions of a database whose clients have closed them: a client of node-postgres throws when it is ended by
 * the server while it says goodbye.
 */
function goodbyes(name: string): string {
  return `do $$ begin for i in 1..20 loop
    exit when not exists (select from pg_stat_activity where datname = ${pg.escapeLiteral(name)});
    perform pg_sleep(0.01), pg_stat_clear_snapshot();
  end loop; end $$`
}

/** Runs text on a connection made for it, in the database of that URL. */
export function query(url: string, sql: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]> {
  return connected(url, (client) => rowsOf(client, sql, params))
}

async function rowsOf(client: pg.Client, sql: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]> {
  return (await client.query<Record<string, unknown>>(sql, params && [...params])).rows
}

async function connected<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connect(url)
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: urlForPg(url), application_name: 'genever-test-support' })
  // What it runs says so too; between two statements nobody else would hear it.
  client.on('error', () => {})
  await client.connect()
  return client
}

/** Clean sessions of the maintenance database: a new one takes more processor time than most of what is asked there. */
const rested = new Set<pg.Client>()

async function maintaining<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const [known] = rested
  const client = known ?? (await connect(serverUrl()))
  if (known === undefined) {
    client.on('end', () => rested.delete(client))
    // A test process ends with its tests.
    ;(client as unknown as { connection: { stream: Socket } }).connection.stream.unref()
  }
  rested.delete(client)
  try {
    const result = await work(client)
    await client.query('discard all')
    rested.add(client)
    return result
  } catch (error) {
    await client.end()
    throw error
  }
}

async function make(name: string): Promise<string> {
  const url = new URL(serverUrl())
  url.pathname = `/${name}`
  await maintaining(async (client) => {
    const { rows } = await client.query<{ known: boolean; version: number }>(
      `select exists (select from pg_database where datname = $1) as known, current_setting('server_version_num')::int as version`,
      [name],
    )
    const { known, version } = rows[0] as { known: boolean; version: number }
    // Copied as files it takes a third of the processor time.
    if (!known)
      await client.query(
        `create database ${pg.escapeIdentifier(name)}${version >= 150_000 ? ' strategy file_copy' : ''}`,
      )
  })
  return url.href
}
