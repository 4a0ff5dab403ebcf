/** A table of people for the suites on Kysely, on whichever driver. */

import type { Db, EngineOptions } from 'genever'
import { kysely } from 'genever/kysely'
import type { Generated, Kysely } from 'kysely'
import type { TestedDriver } from '../support/matrix.ts'

export interface Tables {
  person: {
    id: Generated<number>
    name: string
    age: number | null
    born_on: string | null
    seen_at: Date | null
    extra: unknown
  }
}

export interface People {
  readonly db: Db
  readonly k: Kysely<Tables>
  /** The real name of the table, with the type of the one in `Tables`. */
  readonly person: 'person'
  /** What another connection, or a statement after all, sees: the names, in order. */
  readonly names: () => Promise<string[]>
}

export async function people(driver: TestedDriver, options?: EngineOptions): Promise<People> {
  const table = await driver.table(
    'id serial primary key, name text unique not null, age int, born_on date, seen_at timestamptz, extra jsonb',
  )
  const db = await driver.db(options)
  const names = (): Promise<string[]> =>
    db.detached(async () => {
      const rows = await db.all<{ name: string }>(`select name from ${table} order by name`)
      return rows.map(({ name }) => name)
    })
  return { db, k: kysely<Tables>(db), person: table as 'person', names }
}
