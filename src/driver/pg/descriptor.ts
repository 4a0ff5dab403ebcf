// The descriptors of the drivers `pg` and `postgres`, known before these are loaded.
import type { Descriptor } from '../descriptor.ts'
import { overNetwork } from '../postgres/parameters/over-network.ts'

export const pg: Descriptor = {
  ...overNetwork,
  name: 'pg',
  schemes: ['pg'],
  load: () => import('./driver.ts').then(({ pgDriver }) => pgDriver),
}

/** The scheme that most URLs have: node-postgres serves it, as the older of the drivers over the network. */
export const postgres: Descriptor = {
  ...pg,
  name: 'postgres',
  schemes: ['postgres', 'postgresql'],
  also: [],
  servedBy: pg.name,
}
