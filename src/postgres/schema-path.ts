// A schema as the place of statements: which names can be one, the search path that leads there and nowhere else, and the
// questions whether it is there. PostgreSQL passes over a schema that is missing or may not be used, and over what is behind byte 63.
import { mostNameBytes } from '../sql/settings.ts'
import { describeType, isWellFormed } from '../util/options.ts'

/** Why a name is none of a schema that can be used, as the end of a sentence about it; null: it is one. */
export function schemaRefusal(name: unknown): string | null {
  if (typeof name !== 'string') return `is ${describeType(name)}, not a string`
  if (name === '') return 'is empty'
  if (name.includes('\0')) return 'holds a NUL character'
  if (!isWellFormed(name)) return 'holds half a surrogate pair'
  if (Buffer.byteLength(name) > mostNameBytes)
    return `has ${Buffer.byteLength(name)} bytes, more than the ${mostNameBytes} that PostgreSQL keeps: longer names would be one`
  if (name.normalize('NFC') !== name) return 'is not in the form NFC: it looks like another name, and is not that'
  if (name.startsWith('pg_') || name === 'information_schema') return "is one of PostgreSQL's own"
  return name === '$user' ? 'stands for the name of the role in a search path, even in quotes' : null
}

/** As `schemaRefusal`, for the schema of one tenant. */
export function tenantSchemaRefusal(name: unknown): string | null {
  return schemaRefusal(name) ?? (name === 'public' ? 'belongs to all, and not to a tenant' : null)
}

/** Exactly these, in this order. Without `pg_temp` at the end temporary tables would come first. */
export function searchPath(schemas: readonly string[]): string {
  return [...schemas.map((schema) => `"${schema.replaceAll('"', '""')}"`), 'pg_temp'].join(', ')
}

/** Of the schemas of a path: which are missing, which may not be used, and what of extensions is not on the path. */
export const pathQuestion: string = `
  select 'missing' as what, w.name as schema, null as extension
    from unnest($1::text[]) as w (name) where not exists (select from pg_catalog.pg_namespace n where n.nspname = w.name)
  union all
  select 'forbidden', n.nspname::text, null
    from pg_catalog.pg_namespace n where n.nspname = any($1::text[]) and not has_schema_privilege(n.oid, 'USAGE')
  union all
  select distinct 'extension', n.nspname::text, e.extname::text
    from pg_catalog.pg_extension e
    join pg_catalog.pg_depend d
      on d.refclassid = 'pg_catalog.pg_extension'::regclass and d.refobjid = e.oid and d.deptype = 'e'
    left join pg_catalog.pg_type t on d.classid = 'pg_catalog.pg_type'::regclass and t.oid = d.objid
    left join pg_catalog.pg_operator o on d.classid = 'pg_catalog.pg_operator'::regclass and o.oid = d.objid
    join pg_catalog.pg_namespace n on n.oid = coalesce(t.typnamespace, o.oprnamespace)
    where n.nspname <> 'pg_catalog' and n.nspname <> all($1::text[])`
