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
import { describe, type PlanItem } from './item.ts'
import { planOf, statementsOf } from './plan.ts'
import { checkDialect } from '../sql/statement.ts'
import { alone, existingOf as existingOnMysql } from './mysql/run.ts'
import { collect, type Collected, collectOne } from './source/collect.ts'

/**
 * Makes every table of the schema with its keys, constraints and indexes. It also makes the schemas, roles, enums,
 * sequences, views and policies that are given with them or needed by them. Tables may refer to each other in any order. All
 * or nothing: it runs in one transaction, nested when `db` is in one. Objects that exist are left alone. (GINO:
 * `db.gino.create_all()`.)
 *
 * Names without a schema are made in the current schema, the first of `search_path`. Several processes may do it at once:
 * they wait for each other.
 *
 * Tables of `mysqlTable` are made on MySQL and MariaDB, each whole or not at all: DDL of MySQL cannot be taken back, so it does not run in a
 * transaction.
 *
 * @throws {UsageError} before anything is sent, when the schema holds nothing usable, an object of another database, or two
 *   objects of one name.
 * @throws {UsageError} before anything is sent, for something that SQL cannot express, and when drizzle-orm is older than
 *   0.45.4.
 * @throws {UsageError} when a name is taken by something of another kind.
 * @throws {TransactionStateError} on MySQL inside of a transaction.
 * @throws {QueryError} when the server refuses a statement. Nothing was made then; on MySQL what stood before it was.
 */
export async function createAll(db: Executor, schema: SchemaSource, given?: CreateOptions): Promise<CreateReport> {
  const options = callOptions<CreateOptions>(given, createChecks, 'createAll()')
  return make(needsExecutor(db, 'createAll()'), 'createAll()', collect(schema), options)
}

/**
 * Does the same as `createAll` for one table, model, enum, sequence or view, with the enums and the schema it needs. Tables
 * it refers to must exist. (GINO: `Model.gino.create()`.)
 *
 * @throws the errors of `createAll`.
 */
export async function create(db: Executor, object: SchemaSource, given?: CreateOptions): Promise<CreateReport> {
  const options = callOptions<CreateOptions>(given, createChecks, 'create()')
  return make(
    needsExecutor(db, 'create()'),
    'create()',
    collectOne(object),
    options,
    (item) => item.kind === 'schema' || item.kind === 'enum',
  )
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
  method: string,
  collected: Collected,
  options: CreateOptions,
  alwaysChecked: (item: PlanItem) => boolean = () => false,
): Promise<CreateReport> {
  const { checkFirst = true } = options
  const items = planOf(collected, options)
  const { dialect } = collected
  checkDialect(dialect, (await db.engineHere()).dialect)
  const existingIn = dialect === 'mysql' ? existingOnMysql : existingOf
  const work = async (tx: Executor): Promise<CreateReport> => {
    const looked = checkFirst ? items : items.filter((item) => alwaysChecked(item) && item !== items.at(-1))
    const existing = looked.length === 0 ? new Set<PlanItem>() : await existingIn(tx, looked)
    const missing = items.filter((item) => !existing.has(item))
    for (const statement of statementsOf(missing)) await tx.status(statement)
    return { created: missing.map(describe), existing: [...existing].map(describe) }
  }
  if (dialect === 'mysql') return alone(db, method, work)
  return db.transaction(async (tx) => {
    await oneAtATime(tx)
    return work(tx)
  })
}
