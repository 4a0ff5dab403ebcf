// A model query as one statement: what it selects, from where, and what rows become. Nothing runs here.
import { and, type Column, type SQL } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import type { RowSpec } from '../../sql/compiled.ts'
import type { Statement } from '../../sql/statement.ts'
import { Assembly, decodeExpression } from '../load/assemble.ts'
import { Joins } from '../load/join-list.ts'
import { modelNode } from '../load/node.ts'
import type { QueryState } from './state.ts'
import { SqlText } from '../meta/sql-text.ts'

/** How rows are read, and how they become what the query promises. */
export interface Compilation {
  readonly statement: Statement
  /** Null when the driver makes the rows in one step. */
  readonly assembly: Assembly | null
}

/** What a page selects beside its rows, and what an iteration needs of the order. */
export interface CompileOptions {
  /** How many objects are wanted; 0 for all. */
  readonly most?: number | undefined
  /** Selected beside the rows: they then come as arrays, for the assembly. */
  readonly beside?: readonly SQL[] | undefined
  /** Orders by the primary key at last. */
  readonly tieBreak?: boolean | undefined
}

/** Where several rows make one object, a limit counts objects in the SQL: one of rows would cut lists. */
export function compileQuery(
  state: QueryState,
  { most = 0, beside = [], tieBreak = false }: CompileOptions = {},
): Compilation {
  const joins = new Joins(state.source, state.joins)
  const text = new SqlText().add('select ')
  const { assembly, spec } = selection(state, joins, text, beside)
  joins.write(text)
  const objects = assembly !== null && assembly.folds && joins.lists > 0
  const limit = objects ? least(state.limit, most) : state.limit
  if (objects && (limit !== null || state.offset !== null)) limited(state, joins, text, limit, tieBreak)
  else tail(state, text, state.orderBy, objects ? null : limit, objects ? null : state.offset, tieBreak)
  if (state.lock !== null)
    text.add(` ${state.lock} of ${state.source.name}${state.lockWait === null ? '' : ` ${state.lockWait}`}`)
  const folds = assembly?.folds === true
  const statement = {
    sql: text.text,
    params: text.params,
    spec,
    decode: assembly === null ? undefined : (rows: readonly unknown[]): unknown[] => assembly.rows(rows),
    ...(folds ? { maxRows: 0 as const } : undefined),
  }
  return { statement, assembly }
}

/** `select count(*)` of the objects the query gives. */
export function compileCount(state: QueryState): Statement<number> {
  const text = new SqlText()
  if (state.limit !== null || state.offset !== null || state.groupBy.length > 0) {
    text.add('select count(*) from (')
    inner(state, text, () => text.add('1'))
    return { sql: text.add(') as counted').text, params: text.params }
  }
  const joins = joinsOf(state)
  text.add('select count(')
  if (joins.lists === 0) text.add('*')
  else text.add('distinct (').list(keyOf(state).map(column), ', ').add(')')
  text.add(')')
  joins.write(text)
  tail(state, text, [], null, null)
  return { sql: text.text, params: text.params }
}

export function compileExists(state: QueryState): Statement<boolean> {
  const text = new SqlText().add('select exists(')
  inner(state, text, () => text.add('1'))
  return { sql: text.add(')').text, params: text.params }
}

function inner(state: QueryState, text: SqlText, select: () => void): void {
  text.add('select ')
  select()
  joinsOf(state).write(text)
  tail(state, text, state.limit === null ? [] : state.orderBy, state.limit, state.offset)
}

/** The joins of the loader too: a condition may be on what it joins. */
function joinsOf(state: QueryState): Joins {
  const joins = new Joins(state.source, state.joins)
  if (state.loader !== null && !state.selectIn) new Assembly(state.loader, state.source, joins).select(new SqlText())
  return joins
}

function selection(
  state: QueryState,
  joins: Joins,
  text: SqlText,
  beside: readonly SQL[],
): { assembly: Assembly | null; spec: RowSpec } {
  const { keys, source, meta, model } = state
  const loader = state.selectIn ? null : state.loader
  if (keys !== null && beside.length === 0) {
    const expressions = keys.map((key) => source.columns[key] as Column | SQL)
    text.list(expressions.map(column), ', ')
    const columns = keys.map((key, index) => ({ path: [key], ...decodeExpression(expressions[index] as Column | SQL) }))
    return { assembly: null, spec: { into: 'object', make: null, columns } }
  }
  if (loader !== null || beside.length > 0) {
    const assembly = new Assembly(loader ?? modelNode(source), source, joins)
    for (const expression of beside) assembly.beside(expression)
    assembly.select(text)
    return { assembly, spec: assembly.spec }
  }
  text.add(meta.list(source.id))
  return { assembly: null, spec: meta.specOf(model) }
}

/** WHERE, GROUP BY, HAVING, ORDER BY, LIMIT and OFFSET. */
function tail(
  state: QueryState,
  text: SqlText,
  orderBy: QueryState['orderBy'],
  limit: number | null,
  offset: number | null,
  tieBreak = false,
): void {
  const where = and(...state.where)
  if (where !== undefined) text.add(' where ').sql(where)
  if (state.groupBy.length > 0) text.add(' group by ').list(state.groupBy.map(column), ', ')
  const having = and(...state.having)
  if (having !== undefined) text.add(' having ').sql(having)
  order(text, tieBreak ? [...orderBy, ...keyOf(state)] : orderBy)
  if (limit !== null) text.add(` limit ${limit}`)
  if (offset !== null) text.add(` offset ${offset}`)
}

/** Some objects with all their rows: the limit counts keys in a subquery. */
function limited(state: QueryState, joins: Joins, text: SqlText, limit: number | null, tieBreak: boolean): void {
  const key = keyOf(state)
  text.add(' where (').list(key.map(column), ', ').add(') in (select ').list(key.map(column), ', ')
  const conditions = new SqlText()
  tail({ ...state, groupBy: [] }, conditions, state.orderBy, null, null)
  if (joins.given.length > 0 || joins.named(conditions.text)) {
    joins.write(text)
    tail({ ...state, groupBy: key }, text, state.orderBy, limit, state.offset)
  } else {
    text.add(' from ')
    state.source.write(text)
    tail(state, text, state.orderBy, limit, state.offset)
  }
  text.add(')')
  order(text, tieBreak ? [...state.orderBy, ...key] : state.orderBy)
}

function order(text: SqlText, by: QueryState['orderBy']): void {
  if (by.length > 0) text.add(' order by ').list(by.map(column), ', ')
}

function keyOf({ meta, source, model }: QueryState): (Column | SQL)[] {
  if (meta.primaryKey.length === 0) throw new UsageError(`${model.name} has no primary key, which this query needs.`)
  return meta.primaryKey.map(({ key }) => source.columns[key] as Column)
}

const column =
  (expression: Column | SQL) =>
  (text: SqlText): void => {
    text.sql(expression)
  }

function least(limit: number | null, most: number): number | null {
  if (most === 0) return limit
  return limit === null ? most : Math.min(limit, most)
}
