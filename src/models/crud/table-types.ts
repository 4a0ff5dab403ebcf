// What the database says of a table's types, asked once per model before its first rows travel as JSON. Two kinds of column
// would be read otherwise than as parameters: one of a domain that is left to its default, whose constraints the missing
// member would be held against, and one of JSON that Drizzle does not know as such, whose text would become a JSON string.
import type { Executor } from '../../engine/query/executor.ts'
import { quoteText } from '../../builder/drizzle/core/render.ts'
import type { ModelMeta } from '../meta/model-meta.ts'
import { ready } from '../statement/ready.ts'
import type { Cell } from '../values/insert.ts'

/** Columns by their database names. */
interface TableTypes {
  readonly domains: readonly string[]
  /** Of json or jsonb, or a domain over them. */
  readonly json: ReadonlySet<string>
}

const known = new WeakMap<ModelMeta, TableTypes>()

/** Whether rows with these columns are read from JSON as they would be as parameters. */
export async function readsJson(meta: ModelMeta, executor: Executor, cells: readonly Cell[]): Promise<boolean> {
  const { domains, json } = known.get(meta) ?? (await ask(meta, executor))
  return (
    domains.every((name) => cells.some(({ column }) => column.name === name)) &&
    cells.every(({ column }) => column.isJson === json.has(column.name))
  )
}

async function ask(meta: ModelMeta, executor: Executor): Promise<TableTypes> {
  const text = `with recursive types (name, type, domain) as (
    select attname, atttypid, false from pg_catalog.pg_attribute
    where attrelid = ${quoteText(meta.sqlName)}::pg_catalog.regclass and attnum > 0 and not attisdropped
    union all select name, typbasetype, true from types join pg_catalog.pg_type on oid = type and typtype = 'd'
  ) select name::text, bool_or(domain), bool_or(type in (114, 3802)) from types
  group by name having bool_or(domain or type in (114, 3802))`
  const rows = await executor.all(ready<readonly [string, boolean, boolean]>(text, [], row))
  const types = {
    domains: rows.filter(([, domain]) => domain).map(([name]) => name),
    json: new Set(rows.filter(([, , json]) => json).map(([name]) => name)),
  }
  known.set(meta, types)
  return types
}

const row = { into: 'array', make: null, columns: null } as const
