// Making tables and what belongs to them, all of it in one transaction.
import type { Executor } from '../engine/query/executor.ts'
import { existingOf, oneAtATime } from './existing.ts'
import { callOptions, needsExecutor } from '../engine/handle.ts'
import {
  createChecks,
  type CreateOptions,
  type CreateReport,
  type SchemaSource,
  statementChecks,
  type StatementOptions,
} from './options.ts'
import { type PlanItem, planOf, statementsOf } from './plan.ts'
import { collect, collectOne } from './source/collect.ts'

/**
 * Makes every table of the schema with its keys, constraints and indexes, and the schemas, roles, enums, sequences, views
 * and policies given with them or needed by them. Tables may refer to each other in any order. All or nothing: in one
 * transaction, nested when `db` is in one. What exists is left alone. (GINO: `db.gino.create_all()`.)
 *
 * Names without a schema are made in the current schema, the first of `search_path`. Several processes may do it at
 * once: they wait for each other.
 *
 * @throws {UsageError} before anything is sent, when the schema holds nothing usable, an object of another database, two
 *   objects of one name, or something that SQL cannot say, and when drizzle-orm is older than 0.45.4; and when a name is
 *   taken by something of another kind.
 * @throws {QueryError} what the server refuses; nothing was made then.
 */
export async function createAll(db: Executor, schema: SchemaSource, given?: CreateOptions): Promise<CreateReport> {
  const options = callOptions<CreateOptions>(given, createChecks, 'createAll()')
  return make(needsExecutor(db, 'createAll()'), planOf(collect(schema), options), options)
}

/**
 * As `createAll` for one table, model, enum, sequence or view, with the enums and the schema it needs. Tables it refers to
 * must be there. (GINO: `Model.gino.create()`.)
 *
 * @throws as `createAll`.
 */
export async function create(db: Executor, object: SchemaSource, given?: CreateOptions): Promise<CreateReport> {
  const options = callOptions<CreateOptions>(given, createChecks, 'create()')
  const items = planOf(collectOne(object), options)
  return make(needsExecutor(db, 'create()'), items, options, (item) => item.kind === 'schema' || item.kind === 'enum')
}

/**
 * The statements of `createAll` on an empty database, in order, without running any. None ends in a semicolon.
 *
 * @throws {UsageError} as `createAll` before anything is sent.
 */
export function createStatements(schema: SchemaSource, given?: StatementOptions): string[] {
  const options = callOptions<StatementOptions>(given, statementChecks, 'createStatements()')
  return statementsOf(planOf(collect(schema), options))
}

async function make(
  db: Executor,
  items: readonly PlanItem[],
  { checkFirst = true }: CreateOptions,
  alwaysChecked: (item: PlanItem) => boolean = () => false,
): Promise<CreateReport> {
  return db.transaction(async (tx) => {
    await oneAtATime(tx)
    const looked = checkFirst ? items : items.filter((item) => alwaysChecked(item) && item !== items.at(-1))
    const existing = looked.length === 0 ? new Set<PlanItem>() : await existingOf(tx, looked)
    const missing = items.filter((item) => !existing.has(item))
    for (const statement of statementsOf(missing)) await tx.status(statement)
    return { created: missing.map(describe), existing: [...existing].map(describe) }
  })
}

/** `table "shop"."orders"`. */
export const describe = ({ kind, sqlName }: PlanItem): string => `${kind} ${sqlName}`
