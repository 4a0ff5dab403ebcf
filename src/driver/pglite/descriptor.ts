// The descriptor of the driver `pglite`.
import { postgres } from '../../postgres/dialect.ts'
import type { Descriptor } from '../descriptor.ts'
import { directoryOptions } from '../option-checks.ts'

export const pglite: Descriptor = {
  name: 'pglite',
  schemes: ['pglite'],
  where: 'directory',
  options: directoryOptions,
  url: null,
  environment: null,
  defaults: { memory: true, int8: 'number' },
  dialect: postgres,
  poolLimit: 1,
  pooler: false,
  load: () => import('./driver.ts').then(({ pgliteDriver }) => pgliteDriver),
}
