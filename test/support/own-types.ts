/** A database with types that users make: an enum, a domain, a composite type and a range. */

import type { Db } from 'genever'
import type { TestedDriver } from './matrix.ts'

/** The types are called after `name`; `sql` may make more. */
export async function dbWithTypes(driver: TestedDriver, name: string, sql: string): Promise<Db> {
  const db = await driver.single()
  await db.status(`
    create type ${name}_mood as enum ('ok', 'so so');
    create domain ${name}_email as text;
    create type ${name}_pair as (id int, moods ${name}_mood[], at timestamptz);
    create type ${name}_floats as range (subtype = float8);
    ${sql}`)
  return db
}
