// The drivers by name. A driver object given as an option is taken as it is.
import type { Driver } from '../../driver/driver.ts'
import { pgDriver } from '../../driver/pg/driver.ts'
import { pgliteDriver } from '../../driver/pglite/driver.ts'
import type { ResolvedOptions } from '../../options/options.ts'

const drivers: Readonly<Record<string, Driver>> = {
  // Until the engine speaks the protocol itself, node-postgres serves its scheme.
  postgres: pgDriver,
  pg: pgDriver,
  pglite: pgliteDriver,
}

export function driverOf(options: ResolvedOptions): Driver {
  return typeof options.driver === 'string'
    ? (drivers[options.driver] as Driver)
    : (options.driver as unknown as Driver)
}
