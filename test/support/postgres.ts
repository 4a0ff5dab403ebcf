/**
 * The PostgreSQL server of a whole test run, embedded; `DATABASE_URL` names another one instead.
 * Loaded by vitest as its global setup: it lives in the main process, the workers learn the address by `inject`.
 */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { installedServer, startServer, type Server } from './embedded-postgres.ts'
import { installedMariadb, startMariadb } from './mariadb.ts'
import { root } from './source.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The server of this run: a URL of its maintenance database, as a superuser. */
    serverUrl: string
    /** Every database made in this run has a name that starts so. */
    databasePrefix: string
    /** The MariaDB or MySQL of this run: a URL as a superuser; `''` where there is none. */
    mysqlUrl: string
    /** Where the first file of this run that needs it builds the package. */
    builtPackage: string
  }
}

interface Shared {
  projects: number
  readonly prefix: string
  readonly server: Promise<Server>
  readonly mysql: Promise<Server | null>
}

/** Each project of a run loads this file for itself, side by side: they find the server of each version here. */
const place = globalThis as { [shared]?: Map<number, Shared> | undefined }
const shared = Symbol.for('genever.tests.server')

/** A project named `postgres-15` gets a server of that version, all others the usual one. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const version = Number(/^postgres-(\d+)$/.exec(project.name)?.[1] ?? 0)
  const servers = (place[shared] ??= new Map<number, Shared>())
  const used = servers.get(version) ?? start(version)
  servers.set(version, used)
  used.projects++
  const { server, prefix, mysql } = used
  project.provide('serverUrl', (await server).url)
  project.provide('databasePrefix', prefix)
  project.provide('mysqlUrl', (await mysql)?.url ?? '')
  const built = join(root, '.build', `package-${process.pid}`)
  const removeBuilt = (): Promise<void> => rm(built, { recursive: true, force: true })
  project.provide('builtPackage', built)
  project.onTestsRerun(removeBuilt)
  return async () => {
    if (--used.projects > 0) return
    servers.delete(version)
    await Promise.all([(await server).stop(), mysql.then((each) => each?.stop()), removeBuilt()])
  }
}

function start(version: number): Shared {
  const given = version === 0 ? process.env['DATABASE_URL'] : undefined
  const prefix = `genever_${process.pid}_${Date.now().toString(36)}_`
  const foreign = (url: string): Server => ({ url, stop: () => dropDatabases(url, prefix) })
  const own = (): Promise<Server> => startServer(version === 0 ? undefined : installedServer(version))
  const mysql = version === 0 ? startMysql() : Promise.resolve(null)
  return { projects: 0, prefix, server: given === undefined ? own() : Promise.resolve(foreign(given)), mysql }
}

/** `MYSQL_URL`, else a MariaDB that is installed. A server that `REQUIRE_DRIVERS` names has to be there. */
async function startMysql(): Promise<Server | null> {
  const given = process.env['MYSQL_URL']
  if (given !== undefined) return { url: given, stop: () => Promise.resolve() }
  if ((await installedMariadb()) !== undefined) return startMariadb()
  if (process.env['REQUIRE_DRIVERS']?.split(',').includes('mysql') === true)
    throw new Error('REQUIRE_DRIVERS names mysql, but MariaDB is not installed: apt-get install mariadb-server-core')
  console.log('MariaDB is not installed, and MYSQL_URL is not set: the tests of the driver mysql are left out.')
  return null
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
