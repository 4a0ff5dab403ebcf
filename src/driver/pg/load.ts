// Loads node-postgres when the first connection is opened. The only place that names the package at run time.
import { DriverNotInstalledError } from '../../errors/index.ts'
import type { PgModule } from './client.ts'

/** @throws {DriverNotInstalledError} */
export async function loadPg(): Promise<PgModule> {
  const pg = (await importPg()) as Partial<PgModule> & { readonly default: PgModule }
  // Older ones are CommonJS, whose names are those of the default export.
  return pg.Client === undefined ? pg.default : { Client: pg.Client }
}

async function importPg(): Promise<unknown> {
  try {
    return await import('pg')
  } catch (cause) {
    const text =
      'The driver "pg" needs the package "pg". Install it: npm install pg. A postgres: URL without the option driver needs no package.'
    throw new DriverNotInstalledError(text, { cause })
  }
}
