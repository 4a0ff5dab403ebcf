/** A host name with addresses of the loopback, for tests of how a name is looked up. */

import dns from 'node:dns'
import { vi } from 'vitest'

export interface Zone {
  /** The addresses of the name, as of now. */
  addresses: readonly string[]
  /** How often the name was looked up. */
  asked: number
}

/** Looks the name up as the system would, if its zone had these addresses. `vi.restoreAllMocks()` ends it. */
export function zone(name: string, ...addresses: readonly string[]): Zone {
  const entry: Zone = { addresses, asked: 0 }
  const lookup = dns.lookup
  vi.spyOn(dns, 'lookup').mockImplementation(((
    host: string,
    options: { all?: boolean },
    done: (...args: unknown[]) => void,
  ) => {
    if (host !== name) return lookup(host, options as never, done as never)
    entry.asked++
    const found = entry.addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    setImmediate(() => (options.all === true ? done(null, found) : done(null, found[0]?.address, found[0]?.family)))
  }) as never)
  return entry
}
