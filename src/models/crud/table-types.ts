// The types of a table's columns. A model asks the database for them before its first rows travel as lists or as JSON, and again when an
// error shows that they may have changed. Each engine, search path and role has its own: the same name may be of another table there.
import type { Executor } from '../../engine/query/executor.ts'
import { QueryError } from '../../errors/index.ts'
import { unconverted } from '../../sql/conversions.ts'
import type { RowsAtOnce } from '../../sql/model-words.ts'
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

/** Found by the engine, then by the place. */
const known = new WeakMap<ModelMeta, WeakMap<object, Map<string, TableTypes>>>()

/** Places that are remembered of one engine: one that was forgotten is asked for again. */
const mostPlaces = 2_000

export async function tableTypes(meta: ModelMeta, executor: Executor): Promise<TableTypes> {
  return typesHere(meta, executor)?.get(placeOf(executor)) ?? (await ask(meta, executor))
}

/** The types on the engine that the code around means, by place. Undefined while it is not open. */
function typesHere(meta: ModelMeta, executor: Executor): Map<string, TableTypes> | undefined {
  const engine = executor.engineQuietly()
  if (engine === null) return undefined
  const engines = known.get(meta) ?? new WeakMap<object, Map<string, TableTypes>>()
  known.set(meta, engines)
  const places = engines.get(engine) ?? new Map<string, TableTypes>()
  engines.set(engine, places)
  return places
}

/** Under which names of tables are looked up. */
function placeOf(executor: Executor): string {
  const settings = executor.settingsHere()
  return JSON.stringify([settings?.['search_path'] ?? null, settings?.['role'] ?? null])
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

/** Whether a statement that failed has another text now, and can run again. In a transaction it cannot; the next one has the new text. */
export async function haveChanged(meta: ModelMeta, executor: Executor, error: unknown): Promise<boolean> {
  const types = typesHere(meta, executor)
  const place = placeOf(executor)
  const before = types?.get(place)
  if (types === undefined || before === undefined || !(error instanceof QueryError)) return false
  // It was written for types which a column may have lost: a value does not fit, or a cast is missing.
  const { about, prepared } = meta.dialect.explain(error.fields)
  if (about !== 'value' && prepared !== 'types') return false
  types.delete(place)
  return executor.transactionHere() === null && (await tableTypes(meta, executor)).key !== before.key
}

async function ask(meta: ModelMeta, executor: Executor): Promise<TableTypes> {
  const words = meta.dialect.models.rowsAtOnce as RowsAtOnce
  const rows = await executor.all(ready<Found>(meta, words.types(meta.sqlName), [], row), unconverted)
  const types = {
    domains: rows.filter(([, domain]) => domain).map(([name]) => name),
    json: new Set(rows.filter(([, , json]) => json).map(([name]) => name)),
    lists: new Map(
      rows.filter(([, , , , , listed]) => listed).map(([name, , , schema, type]) => [name, words.listOf(schema, type)]),
    ),
    key: JSON.stringify(rows),
  }
  const places = typesHere(meta, executor)
  if (places !== undefined && places.size >= mostPlaces) places.clear()
  places?.set(placeOf(executor), types)
  return types
}

type Found = readonly [name: string, domain: boolean, json: boolean, schema: string, type: string, listed: boolean]

const row = { into: 'array', make: null, columns: null } as const
