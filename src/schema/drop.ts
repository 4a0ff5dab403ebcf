// Dropping what createAll made, in one transaction. CASCADE is written only when asked for.
import type { Executor } from '../engine/query/executor.ts'
import { quoteName } from '../builder/drizzle/core/render.ts'
import { describe } from './create.ts'
import { existingOf, oneAtATime } from './existing.ts'
import { callOptions, needsExecutor } from '../engine/handle.ts'
import {
  dropChecks,
  type DropOptions,
  type DropReport,
  dropStatementChecks,
  type DropStatementOptions,
  type SchemaSource,
} from './options.ts'
import { type PlanItem, planOf } from './plan.ts'
import { collect, collectOne } from './source/collect.ts'
import type { DrizzleKind } from './source/drizzle.ts'

/**
 * Drops the views, tables, sequences and enums of the schema, and policies linked to other tables; roles and schemas only
 * by option. All or nothing, in one transaction. What is not there is passed over. (GINO: `db.gino.drop_all()`.)
 *
 * @throws {UsageError} as `createAll`.
 * @throws {QueryError} when something that was not given depends on it, unless `cascade` is set; nothing was dropped then.
 */
export async function dropAll(db: Executor, schema: SchemaSource, given?: DropOptions): Promise<DropReport> {
  const options = callOptions<DropOptions>(given, dropChecks, 'dropAll()')
  return remove(needsExecutor(db, 'dropAll()'), planOf(collect(schema)), options)
}

/**
 * As `dropAll` for one table, model, enum, sequence or view: only that, not the enums of its columns, which others may use.
 * (GINO: `Model.gino.drop()`.)
 *
 * @throws as `dropAll`.
 */
export async function drop(db: Executor, object: SchemaSource, given?: DropOptions): Promise<DropReport> {
  const options = callOptions<DropOptions>(given, dropChecks, 'drop()')
  const own = planOf(collectOne(object)).at(-1)
  return remove(needsExecutor(db, 'drop()'), own === undefined ? [] : [own], options)
}

/**
 * The statements of `dropAll` on a database that has everything, in order, without running any.
 *
 * @throws {UsageError} as `createAll` before anything is sent.
 */
export function dropStatements(schema: SchemaSource, given?: DropStatementOptions): string[] {
  const options = callOptions<DropStatementOptions>(given, dropStatementChecks, 'dropStatements()')
  const items = planOf(collect(schema)).filter((item) => isWanted(item, options))
  return statementsOf(items, options)
}

async function remove(db: Executor, items: readonly PlanItem[], options: DropOptions): Promise<DropReport> {
  const { checkFirst = true } = options
  const wanted = items.filter((item) => isWanted(item, options))
  return db.transaction(async (tx) => {
    await oneAtATime(tx)
    const existing = checkFirst ? await existingOf(tx, wanted) : new Set(wanted)
    const found = wanted.filter((item) => existing.has(item))
    const schemas = found.filter(({ kind }) => kind === 'schema')
    const others = found.filter(({ kind }) => kind !== 'schema')
    for (const statement of statementsOf(others, options)) await tx.status(statement)
    const empty = checkFirst ? await emptyOf(tx, schemas) : schemas
    for (const statement of statementsOf(empty, {})) await tx.status(statement)
    return {
      dropped: [...others, ...empty].map(describe),
      missing: wanted.filter((item) => !existing.has(item)).map(describe),
    }
  })
}

function isWanted({ kind }: PlanItem, { roles = false, schemas = false }: DropStatementOptions): boolean {
  return kind === 'schema' ? schemas : kind === 'role' ? roles : true
}

const words: Readonly<Record<DrizzleKind, string>> = {
  'materialized view': 'materialized view',
  enum: 'type',
  policy: 'policy',
  role: 'role',
  schema: 'schema',
  sequence: 'sequence',
  table: 'table',
  view: 'view',
}

/** Tables go by one statement, in which they may refer to each other in circles. */
function statementsOf(items: readonly PlanItem[], { cascade = false }: DropStatementOptions): string[] {
  const of = (...kinds: DrizzleKind[]): PlanItem[] => items.filter(({ kind }) => kinds.includes(kind)).toReversed()
  const end = cascade ? ' cascade' : ''
  const each = (item: PlanItem): string => `drop ${words[item.kind]} ${item.sqlName}`
  const tables = of('table').map(({ sqlName }) => sqlName)
  return [
    ...of('policy').map(each),
    ...of('view', 'materialized view').map((item) => each(item) + end),
    ...(tables.length === 0 ? [] : [`drop table ${tables.join(', ')}${end}`]),
    ...of('sequence', 'enum').map((item) => each(item) + end),
    ...of('role', 'schema').map(each),
  ]
}

/** Schemas nothing is in any more; the catalogue notes for whatever is in a schema that it depends on it. */
async function emptyOf(on: Executor, schemas: readonly PlanItem[]): Promise<PlanItem[]> {
  if (schemas.length === 0) return []
  const rows = await on.all<{ name: string }>(
    `select nspname as name from pg_catalog.pg_namespace n where nspname = any($1::text[]) and not exists (
       select from pg_catalog.pg_depend d
       where d.refclassid = 'pg_catalog.pg_namespace'::regclass and d.refobjid = n.oid and d.deptype = 'n')`,
    [schemas.map(({ name }) => name)],
  )
  const empty = new Set(rows.map(({ name }) => quoteName(name)))
  return schemas.filter(({ sqlName }) => empty.has(sqlName))
}
