/** Drizzles that models cannot be made on: they are refused where a model is defined. */

import { pgTable, serial } from 'drizzle-orm/pg-core'
import { createDb } from 'genever'
import type * as Models from 'genever/models'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { thrownBy } from '../support/caught.ts'

const db = createDb()
const table = pgTable('t', { id: serial().primaryKey() })

/** The subpath as it is beside a drizzle-orm that says it is of that version. */
async function beside(npmVersion: string): Promise<typeof Models> {
  vi.resetModules()
  vi.doMock('drizzle-orm/version', () => ({ npmVersion }))
  return import('genever/models')
}

afterEach(() => {
  vi.doUnmock('drizzle-orm/version')
  vi.resetModules()
})

describe('drizzle-orm', () => {
  test.each(['0.30.10', '0.36.4', '0.45.3', '1.0.0-beta.22', '1.0.0-rc.4'])(
    '%s is refused by name',
    async (version) => {
      const { Model } = await beside(version)

      const error = thrownBy(() => Model(db, table))

      expect(error.name).toBe('UsageError')
      expect(error.message).toBe(
        `genever/models needs drizzle-orm 0.45.4 or newer, or 1.0, and found ${version}: upgrade it.`,
      )
    },
  )

  test.each(['0.45.4', '1.0.0-rc.5', '1.0.0-rc.12', '1.0.0', '1.2.3'])('%s is taken', async (version) => {
    const { Model } = await beside(version)

    expect(Model(db, table).table).toBe(table)
  })
})
