// The types of a table's columns. A model asks the database for them before its first rows travel as lists or as JSON, and again when an
// error shows that they may have changed.
import type { Executor } from '../../engine/query/executor.ts'
import { QueryError } from '../../errors/index.ts'
import { quoteText } from '../../builder/drizzle/core/render.ts'
import type { ModelMeta } from '../meta/model-meta.ts'
import { ready } from '../statement/ready.ts'
import type { Cell } from '../values/insert.ts'

/** Columns by their database names. */
export interface TableTypes {
  readonly domains: readonly string[]
  /** Of json or jsonb, or a domain over them. */
  readonly json: ReadonlySet<string>
  /** The types of lists that are inserted into them. Lists and records have none: they would be taken apart. */
  readonly lists: ReadonlyMap<string, string>
  /** Equal for equal types. */
  readonly key: string
}

const known = new WeakMap<ModelMeta, TableTypes>()

export async function tableTypes(meta: ModelMeta, executor: Executor): Promise<TableTypes> {
  return known.get(meta) ?? (await ask(meta, executor))
}

/**
 * Whether rows with these columns are read from JSON as they would be as parameters. Two kinds of column would not. A domain that is
 * left to its default: the server would check its constraints against the missing member. A column of JSON that Drizzle does not know
 * as JSON: its text would become a JSON string.
 */
export function readsJson({ domains, json }: TableTypes, cells: readonly Cell[]): boolean {
  return (
    domains.every((name) => cells.some(({ column }) => column.name === name)) &&
    cells.every(({ column }) => column.isJson === json.has(column.name))
  )
}

/** Errors of a statement that was written for types which a column may have lost: a value that does not fit, or a missing cast. */
const doubting = /^(?:22|42804$|42704$)/

/** Whether a statement that failed has another text now, and can run again. In a transaction it cannot; the next one has the new text. */
export async function haveChanged(meta: ModelMeta, executor: Executor, error: unknown): Promise<boolean> {
  const before = known.get(meta)
  if (before === undefined || !(error instanceof QueryError) || !doubting.test(error.sqlState)) return false
  known.delete(meta)
  return executor.transactionHere() === null && (await tableTypes(meta, executor)).key !== before.key
}

/** The lists have the widest type of its kind: they still fit when another program has widened the column. */
const kin: Readonly<Record<string, string>> = {
  int2: 'int8',
  int4: 'int8',
  varchar: 'text',
  bpchar: 'text',
}

async function ask(meta: ModelMeta, executor: Executor): Promise<TableTypes> {
  const text = `with recursive types (name, type, domain) as (
    select attname, atttypid, false from pg_catalog.pg_attribute
    where attrelid = ${quoteText(meta.sqlName)}::pg_catalog.regclass and attnum > 0 and not attisdropped
    union all select name, typbasetype, true from types join pg_catalog.pg_type on oid = type and typtype = 'd'
  ) select name::text, domain, t.oid in (114, 3802), n.nspname::text, t.typname::text, t.typarray <> 0 and t.typcategory <> 'A' and t.typtype <> 'c'
  from types join pg_catalog.pg_type t on t.oid = type and t.typtype <> 'd'
  join pg_catalog.pg_namespace n on n.oid = t.typnamespace`
  const rows = await executor.all(ready<Found>(meta, text, [], row))
  const { dialect } = meta
  const types = {
    domains: rows.filter(([, domain]) => domain).map(([name]) => name),
    json: new Set(rows.filter(([, , json]) => json).map(([name]) => name)),
    lists: new Map(
      rows
        .filter(([, , , , , listed]) => listed)
        .map(([name, , , schema, type]) => [
          name,
          `${dialect.quote(schema)}.${dialect.quote(schema === 'pg_catalog' ? (kin[type] ?? type) : type)}[]`,
        ]),
    ),
    key: JSON.stringify(rows),
  }
  known.set(meta, types)
  return types
}

type Found = readonly [name: string, domain: boolean, json: boolean, schema: string, type: string, listed: boolean]

const row = { into: 'array', make: null, columns: null } as const
