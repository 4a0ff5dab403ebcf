// A database for one run of a program: on a PostgreSQL that is started for it and taken away afterwards, or on the server
// that DATABASE_URL names. Only demo and benchmarks need this; an application has its URL from its configuration.
import { createEngine, sql } from 'genever'
import { startMariadb } from '../../test/support/mariadb.ts'
import { startServer, type Server } from '../../test/support/embedded-postgres.ts'

export interface Database extends AsyncDisposable {
  readonly url: string
}

/** An empty database; leaving its `await using` block drops it, with the server if that was started here. */
export function temporaryDatabase(): Promise<Database> {
  const given = process.env['DATABASE_URL']
  return databaseOn(given, startServer, { create: '', drop: ' with (force)' })
}

/** As `temporaryDatabase`, on a MariaDB that is started for it, or on the server that MYSQL_URL names. */
export function temporaryMariadb(): Promise<Database> {
  return databaseOn(process.env['MYSQL_URL'], startMariadb, { create: ' character set utf8mb4', drop: '' })
}

/** `words`: what stands behind the name when it is made and dropped. */
async function databaseOn(
  given: string | undefined,
  start: () => Promise<Server>,
  words: { readonly create: string; readonly drop: string },
): Promise<Database> {
  const server: Server = given === undefined ? await start() : { url: given, stop: async () => {} }
  const name = `genever_${process.pid}_${Date.now().toString(36)}`
  try {
    await onServer(server, `create database ${name}${words.create}`)
  } catch (error) {
    await server.stop()
    throw error
  }
  const url = new URL(server.url)
  url.pathname = `/${name}`
  return {
    url: url.href,
    async [Symbol.asyncDispose](): Promise<void> {
      if (given !== undefined) await onServer(server, `drop database ${name}${words.drop}`)
      await server.stop()
    },
  }
}

async function onServer(server: Server, command: string): Promise<void> {
  await using engine = await createEngine(server.url)
  await engine.status(sql.raw(command))
}
