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

interface Shared {
  projects: number
  readonly prefix: string
  readonly server: Promise<Server>
}

/** Each project of a run loads this file for itself, side by side: they find the one server here. */
const place = globalThis as { [shared]?: Shared | undefined }
const shared = Symbol.for('genever.tests.server')

export async function setup(project: TestProject): Promise<void> {
  const { server, prefix } = (place[shared] ??= start())
  place[shared].projects++
  project.provide('serverUrl', (await server).url)
  project.provide('databasePrefix', prefix)
}

export async function teardown(): Promise<void> {
  const used = place[shared]
  if (used === undefined || --used.projects > 0) return
  place[shared] = undefined
  await (await used.server).stop()
}

function start(): Shared {
  const given = process.env['DATABASE_URL']
  const prefix = `genever_${process.pid}_${Date.now().toString(36)}_`
  const foreign = (url: string): Server => ({ url, stop: () => dropDatabases(url, prefix) })
  return { projects: 0, prefix, server: given === undefined ? startServer() : Promise.resolve(foreign(given)) }
}

/** On a server of somebody else nothing of ours may stay. */
async function dropDatabases(url: string, prefix: string): Promise<void> {
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
