// Dropping what createAll made, in one transaction. CASCADE is written only when asked for.
import type { Executor } from '../engine/query/executor.ts'
import { quoteName } from '../builder/drizzle/core/render.ts'
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
import { describe, type PlanItem } from './item.ts'
import { planOf } from './plan.ts'
import { checkDialect } from '../sql/statement.ts'
import { UsageError } from '../errors/index.ts'
import { alone, existingOf as existingOnMysql, isEmpty, outsider } from './mysql/run.ts'
import { collect, type Collected, collectOne } from './source/collect.ts'
import type { DrizzleKind } from './source/drizzle.ts'
import { unconverted } from '../sql/conversions.ts'

/**
 * Drops the views, tables, sequences and enums of the schema, and policies linked to other tables. It drops roles and
 * schemas only by option. All or nothing, in one transaction. Objects that do not exist are ignored. (GINO:
 * `db.gino.drop_all()`.)
 *
 * @throws {UsageError} as `createAll`.
 * @throws {QueryError} when something that was not given depends on an object, unless `cascade` is set. Nothing was dropped
 *   then.
 */
export async function dropAll(db: Executor, schema: SchemaSource, given?: DropOptions): Promise<DropReport> {
  const options = callOptions<DropOptions>(given, dropChecks, 'dropAll()')
  const collected = collect(schema)
  return remove(needsExecutor(db, 'dropAll()'), 'dropAll()', collected.dialect, planOf(collected), options)
}

/**
 * Does the same as `dropAll` for one table, model, enum, sequence or view. The enums of its columns are kept, because others
 * may use them. (GINO: `Model.gino.drop()`.)
 *
 * @throws the errors of `dropAll`.
 */
export async function drop(db: Executor, object: SchemaSource, given?: DropOptions): Promise<DropReport> {
  const options = callOptions<DropOptions>(given, dropChecks, 'drop()')
  const collected = collectOne(object)
  const own = planOf(collected).at(-1)
  return remove(needsExecutor(db, 'drop()'), 'drop()', collected.dialect, own === undefined ? [] : [own], options)
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

async function remove(
  db: Executor,
  method: string,
  dialect: Collected['dialect'],
  items: readonly PlanItem[],
  options: DropOptions,
): Promise<DropReport> {
  const { checkFirst = true } = options
  const wanted = items.filter((item) => isWanted(item, options))
  checkDialect(dialect, (await db.engineHere()).dialect)
  if (dialect === 'mysql') return removeOnMysql(db, method, wanted, options)
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

/** One by one: a table that something else refers to is noticed before the first of them goes. */
async function removeOnMysql(
  db: Executor,
  method: string,
  wanted: readonly PlanItem[],
  { checkFirst = true, cascade = false }: DropOptions,
): Promise<DropReport> {
  if (cascade)
    throw new UsageError('MySQL drops nothing that depends on a table along with it: leave out the option cascade.')
  return alone(db, method, async (on) => {
    const existing = checkFirst ? await existingOnMysql(on, wanted) : new Set(wanted)
    const found = wanted.filter((item) => existing.has(item))
    const of = (kind: DrizzleKind): PlanItem[] => found.filter((item) => item.kind === kind).toReversed()
    const other = await outsider(on, of('table'))
    if (other !== null)
      throw new UsageError(
        `${method} would leave a foreign key without its table: ${other}. Drop that table as well, or first.`,
      )
    for (const { releases = [] } of of('table')) for (const statement of releases) await on.status(statement)
    const dropped = [...of('view'), ...of('table')]
    for (const { kind, sqlName } of dropped) await on.status(`drop ${kind} ${sqlName}`)
    for (const database of of('schema')) {
      if (checkFirst && !(await isEmpty(on, database))) continue
      await on.status(`drop database ${database.sqlName}`)
      dropped.push(database)
    }
    return {
      dropped: dropped.map(describe),
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
    ...items.flatMap(({ releases = [] }) => releases),
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
    unconverted,
  )
  const empty = new Set(rows.map(({ name }) => quoteName(name)))
  return schemas.filter(({ sqlName }) => empty.has(sqlName))
}
