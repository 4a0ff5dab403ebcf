// Making and dropping on a MySQL: each statement stands by itself, because DDL cannot be taken back there. Two processes that do it at once
// wait for each other.
import type { Executor } from '../../engine/query/executor.ts'
import { Source } from '../../engine/source.ts'
import { TransactionStateError, UsageError } from '../../errors/index.ts'
import type { PlanItem } from '../item.ts'

/** Runs the work on one connection, alone among all that make or drop. @throws {TransactionStateError} inside a transaction. */
export async function alone<T>(db: Executor, method: string, work: (on: Executor) => Promise<T>): Promise<T> {
  if (db.transactionHere()?.open === true)
    throw new TransactionStateError(
      `${method} on MySQL cannot run inside of a transaction: each of its statements would commit what was done before. Call it outside.`,
    )
  const locked = async (on: Executor): Promise<T> => {
    await on.scalar(`select get_lock('genever/schema', ${longest})`)
    try {
      return await work(on)
    } finally {
      await on.scalar("select release_lock('genever/schema')")
    }
  }
  return db instanceof Source ? db.scope(locked) : locked(db)
}

const longest = 31_536_000

/** The items that exist. @throws {UsageError} when a name is taken by something of another kind. */
export async function existingOf(on: Executor, items: readonly PlanItem[]): Promise<Set<PlanItem>> {
  const existing = new Set<PlanItem>()
  for (const item of items) {
    const found = await kindOf(on, item)
    if (found === null) continue
    if (found !== item.kind)
      throw new UsageError(`The schema has the ${item.kind} ${item.sqlName}, but in the database it is a ${found}.`)
    existing.add(item)
  }
  return existing
}

async function kindOf(on: Executor, { kind, schema, name }: PlanItem): Promise<string | null> {
  if (kind === 'schema') {
    const count = await on.scalar('select count(*) from information_schema.schemata where schema_name = ?', [name])
    return Number(count) > 0 ? 'schema' : null
  }
  const type = await on.scalar<string | undefined>(
    'select table_type from information_schema.tables where table_schema = coalesce(?, database()) and table_name = ?',
    [schema ?? null, name],
  )
  if (type === undefined || type === null) return null
  return type === 'BASE TABLE' ? 'table' : type.toLowerCase()
}

/** The first table that was not given and refers to one of these; null for none. */
export async function outsider(on: Executor, items: readonly PlanItem[]): Promise<string | null> {
  if (items.length === 0) return null
  const references = items.map(
    (_, index) =>
      `select ${index} as item, database() as here, constraint_schema as at, table_name as name
       from information_schema.referential_constraints
       where unique_constraint_schema = coalesce(?, database()) and referenced_table_name = ?`,
  )
  const rows = await on.all<{ item: number; here: string | null; at: string; name: string }>(
    `${references.join(' union all ')} order by item`,
    items.flatMap(({ schema, name }) => [schema ?? null, name]),
  )
  const other = rows.find(
    ({ here, at, name }) => !items.some((one) => (one.schema ?? here) === at && one.name === name),
  )
  return other === undefined ? null : `${other.at}.${other.name} refers to ${items[other.item]?.sqlName}`
}

/** Whether a database holds nothing: a routine or an event would go with it. */
export async function isEmpty(on: Executor, { name }: PlanItem): Promise<boolean> {
  const kinds = ['tables where table_schema', 'routines where routine_schema', 'events where event_schema']
  const counts = kinds.map((kind) => `(select count(*) from information_schema.${kind} = ?)`)
  const count = await on.scalar(`select ${counts.join(' + ')}`, [name, name, name])
  return Number(count) === 0
}
