// The descriptors of the drivers `socket` and `postgres`, known before these are loaded.
import type { Descriptor } from '../descriptor.ts'
import { networkDescriptor } from '../postgres/parameters/network-descriptor.ts'

export const socket: Descriptor = {
  ...networkDescriptor,
  name: 'socket',
  schemes: ['socket'],
  load: () => import('./driver.ts').then(({ socketDriver }) => socketDriver),
}

/** The schemes that most URLs have: this driver serves them, as it needs no package. */
export const postgres: Descriptor = {
  ...socket,
  name: 'postgres',
  schemes: ['postgres', 'postgresql'],
  also: [],
  servedBy: socket.name,
}
