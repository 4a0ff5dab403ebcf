// The registry of drivers, by scheme and by name. Those that ship come from `shipped.ts`; programs add their own.
import { UsageError } from '../errors/index.ts'
import { postgres as postgresDialect } from '../postgres/dialect.ts'
import type { Descriptor, Registry } from './descriptor.ts'
import type { Driver } from './driver.ts'
import { anyPlaceOptions } from './option-checks.ts'
import * as shipped from './shipped.ts'

/** The names that the option `driver` has from the start. */
export type DriverName = keyof typeof shipped

const { postgres, ...others } = shipped

/** The first one is taken where nothing names a driver. */
export const drivers: Registry = createRegistry([
  postgres,
  ...Object.values(others).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
])

/** A registry with these drivers. */
export function createRegistry(built: readonly Descriptor[]): Registry {
  const all: Descriptor[] = []
  const find = (fits: (each: Descriptor) => boolean): Descriptor | undefined => all.find(fits)
  const registry: Registry = {
    all,
    byName: (name) => find((each) => each.name === name),
    byScheme: (scheme) => find((each) => each.schemes.includes(scheme)),
    add(descriptor) {
      const { name, schemes, load } = descriptor
      if (name === '' || schemes.some((scheme) => !/^[a-z][a-z0-9]*$/.test(scheme)))
        throw new UsageError('A driver needs a name, and schemes of lower-case letters and digits.')
      // A scheme without a driver waits for one.
      const taken = all.filter((each) => each.name === name || schemes.some((scheme) => each.schemes.includes(scheme)))
      const served = taken.find((each) => each.load !== null)
      if (served !== undefined)
        throw new UsageError(
          served.name === name
            ? `There is a driver called "${name}" already.`
            : `The driver "${served.name}" serves one of the schemes ${schemes.join(', ')} already.`,
        )
      if (load === null && taken.length > 0) return
      for (const each of taken) all.splice(all.indexOf(each), 1)
      all.push(Object.freeze({ ...descriptor }))
    },
  }
  for (const descriptor of built) registry.add(descriptor)
  return registry
}

/** The descriptor of a driver that was given as an object: the one registered under its name, or the one it has itself. */
export function describeDriver(driver: Driver): Descriptor {
  const { name, dialect = postgresDialect, poolLimit = Infinity } = driver as Partial<Driver> & Pick<Driver, 'name'>
  const known = drivers.byName(name)
  const load = (): Driver => driver
  if (known !== undefined && known.load !== null) return { ...known, load }
  return {
    name,
    schemes: [],
    where: 'server',
    options: anyPlaceOptions,
    url: null,
    environment: null,
    defaults: {},
    dialect,
    poolLimit,
    pooler: true,
    load,
  }
}
