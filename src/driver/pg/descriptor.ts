// The descriptor of the driver `pg`.
import type { Descriptor } from '../descriptor.ts'
import { networkDescriptor } from '../postgres/parameters/network-descriptor.ts'

export const pg: Descriptor = {
  ...networkDescriptor,
  name: 'pg',
  schemes: ['pg'],
  load: () => import('./driver.ts').then(({ pgDriver }) => pgDriver),
}
