/**
 * The PostgreSQL server of a whole test run, embedded; `DATABASE_URL` names another one instead.
 * Loaded by vitest as its global setup: it lives in the main process, the workers learn the address by `inject`.
 */

import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { startServer, type Server } from './embedded-postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The server of this run: a URL of its maintenance database, as a superuser. */
    serverUrl: string
    /** Every database made in this run has a name that starts so. */
    databasePrefix: string
  }
}

let server: Server | undefined
let prefix = ''

export async function setup(project: TestProject): Promise<void> {
  const given = process.env['DATABASE_URL']
  prefix = `genever_${process.pid}_${Date.now().toString(36)}_`
  server = given === undefined ? await startServer() : { url: given, stop: dropDatabases.bind(undefined, given) }
  project.provide('serverUrl', server.url)
  project.provide('databasePrefix', prefix)
}

export async function teardown(): Promise<void> {
  await server?.stop()
  server = undefined
}

/** On a server of somebody else nothing of ours may stay. */
async function dropDatabases(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query<{ name: string }>(
    'select datname as name from pg_database where starts_with(datname, $1)',
    [prefix],
  )
  for (const { name } of rows)
    await client.query(`drop database if exists ${client.escapeIdentifier(name)} with (force)`)
  await client.end()
}
