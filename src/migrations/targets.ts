// Which schemas a run of migrations is for, and the search path in each.
import type { Db } from '../db/db.ts'
import { MigrationError } from '../errors/index.ts'
import type { MigrateOptions } from './options.ts'
import { quoteSchema as quote } from './statements.ts'

/** `[null]` where none are named. @throws {MigrationError} for one that is not there, or cannot be a tenant's. */
export async function targetsOf(db: Db, { schemas }: MigrateOptions): Promise<(string | null)[]> {
  if (schemas === undefined) return [null]
  const there = await db.all<{ name: string }>('select nspname as name from pg_namespace')
  const names = new Set(there.map(({ name }) => name))
  if (schemas instanceof RegExp)
    return [...names].filter((name) => refusal(name) === null && name.search(schemas) !== -1).toSorted()
  const wanted = typeof schemas === 'function' ? await schemas() : schemas
  for (const name of wanted) {
    const wrong = refusal(name) ?? (names.has(name) ? null : 'is not there: a search path would pass it over')
    if (wrong !== null)
      throw new MigrationError(`The schema ${JSON.stringify(name)} ${wrong}. Nothing was applied.`, {
        outcome: 'not_started',
      })
  }
  return [...new Set(wanted)]
}

/** A schema that is missing in a search path is passed over in silence, and temporary tables would come first. */
export function pathOf(schema: string, shared: readonly string[]): string {
  return [schema, ...shared].map(quote).concat('pg_temp').join(', ')
}

/** Why a name is none of a tenant's schema. PostgreSQL cuts longer ones. */
function refusal(name: string): string | null {
  if (name === '') return 'has no name'
  if (Buffer.byteLength(name) > 63) return 'has a name of more than 63 bytes'
  if (name.startsWith('pg_') || name === 'information_schema' || name === '$user') return "is PostgreSQL's own"
  return name === 'public' ? 'is not that of a tenant' : null
}
