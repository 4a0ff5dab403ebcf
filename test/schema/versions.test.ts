/** Drizzles that no table and no model can be made of: they are refused before anything is read or sent. */

import { pgTable, serial } from 'drizzle-orm/pg-core'
import { createDb } from 'genever'
import type * as Models from 'genever/models'
import type * as Schema from 'genever/schema'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { thrownBy } from '../support/caught.ts'

const db = createDb()
const table = pgTable('t', { id: serial().primaryKey() })

/** The subpath as it is beside a drizzle-orm that says it is of that version. */
async function beside<M>(npmVersion: string, load: () => Promise<M>): Promise<M> {
  vi.resetModules()
  vi.doMock('drizzle-orm/version', () => ({ npmVersion }))
  return load()
}

const schema = (version: string): Promise<typeof Schema> => beside(version, () => import('genever/schema'))
const models = (version: string): Promise<typeof Models> => beside(version, () => import('genever/models'))

afterEach(() => {
  vi.doUnmock('drizzle-orm/version')
  vi.resetModules()
})

describe('drizzle-orm', () => {
  test.each(['0.30.10', '0.36.4', '0.45.3', '1.0.0-beta.22', '1.0.0-rc.4'])(
    '%s is refused by name',
    async (version) => {
      const { createStatements, dropStatements } = await schema(version)
      const { Model } = await models(version)

      for (const [subpath, use] of [
        ['schema', () => createStatements([table])],
        ['schema', () => dropStatements(table)],
        ['models', () => Model(db, table)],
      ] as const) {
        const error = thrownBy(use)
        expect(error.name).toBe('UsageError')
        expect(error.message).toBe(
          `genever/${subpath} needs drizzle-orm 0.45.4 or newer, or 1.0, and found ${version}: upgrade it.`,
        )
      }
    },
  )

  test.each(['0.45.4', '1.0.0-rc.5', '1.0.0-rc.12', '1.0.0', '1.2.3'])('%s is taken', async (version) => {
    const { createStatements } = await schema(version)
    const { Model } = await models(version)

    expect(createStatements([table])).toEqual([expect.stringMatching('^create table "t"')])
    expect(Model(db, table).table).toBe(table)
  })
})
