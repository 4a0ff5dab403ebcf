/** What every PostgreSQL driver does, as sentences; tests of a driver declare them, and they run on real servers. */

import { afterAll, afterEach, beforeAll } from 'vitest'
import type { Driver } from '../../../src/driver/driver.ts'
import { closeAll, connect, keep, later, type TestConnection } from '../test-connection.ts'
import { ends } from './end.ts'
import { parameters } from './parameters.ts'
import { preparedStatements } from './prepared.ts'
import { resets } from './reset.ts'
import { rows } from './rows.ts'
import { units } from './units.ts'

export interface Contract {
  readonly name: string
  readonly driver: Driver
  /** Connection options of one database that lives as long as the file's tests. */
  readonly options: () => Promise<Record<string, unknown>>
}

/** What the parts of the contract run on. */
export interface ContractTest {
  readonly name: string
  readonly driver: Driver
  /** An open connection; closed after the test. */
  readonly open: (more?: Record<string, unknown>) => Promise<TestConnection>
  /** The name of a table that nobody else uses. */
  readonly table: () => string
}

export function driverContract({ name, driver, options }: Contract): void {
  let tables = 0
  let keeper: TestConnection
  const tested: ContractTest = {
    name,
    driver,
    open: async (more = {}) => connect(driver, { ...(await options()), ...more }),
    table: () => `t_${++tables}`,
  }

  // Held open throughout, because some servers live as long as their last connection.
  beforeAll(async () => {
    keeper = await keep(driver, await options())
  })
  afterAll(() => keeper.raw.close(later()))
  afterEach(closeAll)

  units(tested)
  rows(tested)
  parameters(tested)
  preparedStatements(tested)
  resets(tested)
  ends(tested)
}
