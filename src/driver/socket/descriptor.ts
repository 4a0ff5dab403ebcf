// What is known of the driver `socket` before it is loaded.
import type { Descriptor } from '../descriptor.ts'
import { overNetwork } from '../postgres/parameters/over-network.ts'

export const socket: Descriptor = {
  ...overNetwork,
  name: 'socket',
  schemes: ['socket'],
  load: () => import('./driver.ts').then(({ socketDriver }) => socketDriver),
}
