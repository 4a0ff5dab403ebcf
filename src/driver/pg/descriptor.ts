// The descriptors of the drivers `pg` and `postgres`, known before these are loaded.
import type { Descriptor } from '../descriptor.ts'
import { overNetwork } from '../postgres/parameters/over-network.ts'

export const pg: Descriptor = {
  ...overNetwork,
  name: 'pg',
  schemes: ['pg'],
  load: () => import('./driver.ts').then(({ pgDriver }) => pgDriver),
}

/** Until the engine speaks the protocol itself, node-postgres serves its scheme. */
export const postgres: Descriptor = {
  ...pg,
  name: 'postgres',
  schemes: ['postgres', 'postgresql'],
  also: [],
  servedBy: pg.name,
}
