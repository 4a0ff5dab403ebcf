/** The two fake servers, for tests of what holds on any database. */

import { FakeDriver, type FakeDriverOptions } from './fake/driver.ts'
import type { Driver } from '../../src/driver/driver.ts'
import { SecondDriver } from './second/driver.ts'

export interface FakeServer {
  /** Given to an engine. */
  readonly driver: Driver<Readonly<Record<string, unknown>>>
  /** Has the rows, the faults, and the log of what was sent in PostgreSQL's SQL. */
  readonly server: FakeDriver
  /** Rules that the engine broke. */
  readonly violations: () => readonly string[]
}

export interface FakeFamily {
  readonly name: string
  /** A placeholder for value `n`, from 1. */
  readonly place: (n: number) => string
  make(options?: FakeDriverOptions): FakeServer
}

export const fakes: readonly FakeFamily[] = [
  {
    name: 'PostgreSQL',
    place: (n) => `$${n}`,
    make(options) {
      const server = new FakeDriver(options)
      return { driver: server, server, violations: () => server.violations }
    },
  },
  {
    name: 'the second fake',
    place: () => '?',
    make(options) {
      const server = new FakeDriver(options)
      const driver = new SecondDriver(server)
      driver.server.timeoutEnds = true
      return { driver, server, violations: () => [...server.violations, ...driver.violations] }
    },
  },
]
