// What is known of the driver `pg` before it is loaded.
import type { Descriptor } from '../descriptor.ts'
import { overNetwork } from '../postgres/parameters/over-network.ts'

export const pg: Descriptor = {
  ...overNetwork,
  name: 'pg',
  schemes: ['pg'],
  load: () => import('./driver.ts').then(({ pgDriver }) => pgDriver),
}
