// Loading by further statements instead of joins: one for each relation, for the keys of the objects that are there. Named
// as the field names it, selectin loading. (SQLAlchemy: `selectinload`; MikroORM: `select-in`.)
import { type Column, type SQL, sql } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import type { Executor } from '../../engine/query/executor.ts'
import type { QueryOptions } from '../../engine/query/query-options.ts'
import { Source as EngineSource } from '../../engine/source.ts'
import { asQuery } from '../../sql/statement.ts'
import { compileQuery } from '../query/compile/compile.ts'
import { everything, type QueryState } from '../query/state.ts'
import { noModel } from './assemble.ts'
import { Row } from '../meta/row.ts'
import { relationOf, relationOfOne } from './joins.ts'
import type { ChildNode, LoadNode, ModelNode } from './node.ts'
import type { Source } from './source.ts'

type Instance = Record<string, unknown>

/** Keys asked for in one statement. */
const most = 5000

/** The objects of a query, then what belongs to them; on one connection. */
export async function loadSeparately<R>(
  executor: Executor,
  state: QueryState,
  limit: number,
  options: QueryOptions,
): Promise<R[]> {
  const { statement } = compileQuery(limit === 0 ? state : { ...state, limit: Math.min(limit, state.limit ?? limit) })
  return together(executor, async () => {
    const objects = await executor.all(asQuery(statement), options)
    await attachSeparately(executor, state.loader, objects as object[], options)
    return objects as R[]
  })
}

/** @throws {UsageError} for a loader whose parts do not hang on foreign keys. */
export async function attachSeparately(
  executor: Executor,
  loader: LoadNode | null,
  objects: readonly object[],
  options: QueryOptions,
): Promise<void> {
  if (loader === null) return
  if (loader.kind !== 'model') throw new UsageError("The strategy 'select-in' loads a model with load({ … }).")
  const { children, source } = loader
  const context = {}
  const loaded = children.map(({ key }) => key)
  for (const object of objects) Row.setLoaded(object, loaded)
  const separate = children.filter(({ node }) => node.kind === 'model')
  await Promise.all(separate.map((child) => attach(executor, child, source, objects as Instance[], options)))
  for (const { key, node } of children) {
    if (node.kind === 'model') continue
    if (node.kind !== 'call' && node.kind !== 'constant')
      throw new UsageError(`load({ ${key} }) selects a value, which needs the strategy 'joined'.`)
    for (const object of objects as Instance[])
      object[key] = node.kind === 'call' ? noModel(node.call(object, context), key) : node.value
  }
}

async function attach(
  executor: Executor,
  { key, node, many }: ChildNode,
  parent: Source,
  objects: readonly Instance[],
  options: QueryOptions,
): Promise<void> {
  const { source, on } = node as ModelNode
  if (on !== null || source.meta === null || source.model === null)
    throw new UsageError(`load({ ${key} }) is joined by a condition, which needs the strategy 'joined'.`)
  const relation = many ? relationOf(parent, source, true) : relationOfOne(parent, source, key)
  const parentKeys = relation.parent.map((column) => keyNamed(parent, column))
  const childKeys = relation.child.map((column) => keyNamed(source, column))
  const wanted = new Map<string, readonly unknown[]>()
  for (const object of objects) {
    const values = parentKeys.map((name) => object[name])
    if (!values.includes(null)) wanted.set(mapKey(values), values)
  }
  const found = await childrenOf(executor, node as ModelNode, relation.child, [...wanted.values()], options)
  await attachSeparately(executor, node, found, options)
  const groups = grouped(found, childKeys)
  for (const object of objects) {
    const group = groups.get(mapKey(parentKeys.map((name) => object[name]))) ?? []
    const member = object[key]
    if (typeof member === 'function') for (const each of many ? group : group.slice(0, 1)) member.call(object, each)
    else object[key] = many ? [...group] : (group[0] ?? null)
  }
}

async function childrenOf(
  executor: Executor,
  node: ModelNode,
  columns: readonly Column[],
  keys: readonly (readonly unknown[])[],
  options: QueryOptions,
): Promise<Instance[]> {
  const found: Instance[] = []
  for (let at = 0; at < keys.length; at += most) {
    const where = [among(node.source, columns, keys.slice(at, at + most))]
    const { statement } = compileQuery({ ...everything(node.source), where })
    found.push(...((await executor.all(asQuery(statement), options)) as Instance[]))
  }
  return found
}

/** A list is one parameter, so that there is one statement however many keys there are. */
function among(source: Source, columns: readonly Column[], keys: readonly (readonly unknown[])[]): SQL {
  const [only] = columns
  if (columns.length === 1) {
    const column = source.meta?.columnOf(keyNamed(source, only as Column))
    return sql`${only} = any(${sql.param(keys.map(([value]) => column?.encode(value)))})`
  }
  const tuples = keys.map(
    (values) =>
      sql`(${sql.join(
        values.map((value, index) => sql.param(value, columns[index] as Column)),
        sql`, `,
      )})`,
  )
  return sql`(${sql.join([...columns], sql`, `)}) in (${sql.join(tuples, sql`, `)})`
}

/** All statements on one connection: that of the scope or transaction around, else one borrowed for them. */
function together<T>(executor: Executor, work: () => Promise<T>): Promise<T> {
  return executor instanceof EngineSource ? executor.scope(work) : work()
}

function keyNamed({ columns }: Source, column: Column): string {
  return Object.keys(columns).find((key) => columns[key] === column) as string
}

function grouped(objects: readonly Instance[], keys: readonly string[]): Map<string, Instance[]> {
  const groups = new Map<string, Instance[]>()
  for (const object of objects) {
    const key = mapKey(keys.map((name) => object[name]))
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [object])
    else group.push(object)
  }
  return groups
}

function mapKey(values: readonly unknown[]): string {
  return JSON.stringify(values.map((value) => (value instanceof Date ? value.getTime() : String(value))))
}
