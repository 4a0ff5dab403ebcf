// A model query as one statement: how it begins is known, the rest is written for each call. Nothing runs here.
import type { Column, SQL } from 'drizzle-orm'
import { UsageError } from '../../../errors/index.ts'
import type { Statement } from '../../../sql/statement.ts'
import type { Assembly } from '../../load/assemble.ts'
import type { Joins } from '../../load/join-list.ts'
import { SqlText } from '../../meta/sql-text.ts'
import { modelName } from '../../meta/model-meta.ts'
import type { QueryState } from '../state.ts'
import { writeConditions } from './condition.ts'
import { headOf } from './head.ts'

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

const all: CompileOptions = {}

/** Where several rows make one object, a limit counts objects in the SQL: one of rows would cut lists. */
export function compileQuery(
  state: QueryState,
  { most = 0, beside, tieBreak = false }: CompileOptions = all,
): Compilation {
  const { text: begin, params, joins, spec, assembly, decode, lists } = headOf(state, beside)
  const text = new SqlText(begin, params)
  const limit = lists ? least(state.limit, most) : state.limit
  if (lists && (limit !== null || state.offset !== null)) limited(state, joins, text, limit, tieBreak)
  else tail(state, text, state.orderBy, lists ? null : limit, lists ? null : state.offset, tieBreak)
  if (state.lock !== null)
    text.add(` ${state.lock} of ${state.source.name}${state.lockWait === null ? '' : ` ${state.lockWait}`}`)
  const maxRows = assembly?.folds === true ? 0 : undefined
  return { statement: { sql: text.text, params: text.params, spec, decode, maxRows }, assembly }
}

/** `select count(*)` of the objects the query gives. */
export function compileCount(state: QueryState): Statement<number> {
  const text = new SqlText()
  if (state.limit !== null || state.offset !== null || state.groupBy.length > 0) {
    text.add('select count(*) from (')
    inner(state, text)
    return { sql: text.add(') as counted').text, params: text.params }
  }
  const { joins } = headOf(state)
  text.add('select count(')
  if (joins.lists === 0) text.add('*')
  else text.add('distinct (').expressions(keyOf(state)).add(')')
  text.add(')')
  joins.write(text)
  tail(state, text, [], null, null)
  return { sql: text.text, params: text.params }
}

export function compileExists(state: QueryState): Statement<boolean> {
  const text = new SqlText().add('select exists(')
  inner(state, text)
  return { sql: text.add(')').text, params: text.params }
}

/** The joins of the loader too: a condition may be on what it joins. */
function inner(state: QueryState, text: SqlText): void {
  headOf(state).joins.write(text.add('select 1'))
  tail(state, text, state.limit === null ? [] : state.orderBy, state.limit, state.offset)
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
  if (state.where.length > 0) writeConditions(text.add(' where '), state.where)
  if (state.groupBy.length > 0) text.add(' group by ').expressions(state.groupBy)
  if (state.having.length > 0) writeConditions(text.add(' having '), state.having)
  order(text, tieBreak ? [...orderBy, ...keyOf(state)] : orderBy)
  if (limit !== null) text.add(` limit ${limit}`)
  // A parameter, because each page has another one: they are one statement.
  if (offset !== null) text.add(' offset ').param(offset)
}

/** Some objects with all their rows: the limit counts keys in a subquery. */
function limited(state: QueryState, joins: Joins, text: SqlText, limit: number | null, tieBreak: boolean): void {
  const key = keyOf(state)
  text.add(' where (').expressions(key).add(') in (select ').expressions(key)
  const conditions = new SqlText()
  tail({ ...state, groupBy: [] }, conditions, state.orderBy, null, null)
  if (joins.given.length > 0 || joins.named(conditions.text)) {
    joins.write(text)
    tail({ ...state, groupBy: [...key, ...orderedBy(state)] }, text, state.orderBy, limit, state.offset)
  } else {
    text.add(' from ')
    state.source.write(text)
    tail(state, text, state.orderBy, limit, state.offset)
  }
  text.add(')')
  order(text, tieBreak ? [...state.orderBy, ...key] : state.orderBy)
}

/** Its columns in the order: the server knows that a key decides them only of the primary key of a table. */
function orderedBy({ meta, source, orderBy }: QueryState): Column[] {
  const written = new SqlText()
  order(written, orderBy)
  return meta.columns
    .filter(({ quoted }) => written.text.includes(`${source.id}.${quoted}`))
    .map(({ key }) => source.columns[key] as Column)
}

function order(text: SqlText, by: QueryState['orderBy']): void {
  if (by.length > 0) text.add(' order by ').expressions(by)
}

function keyOf({ meta, source, model }: QueryState): (Column | SQL)[] {
  if (meta.primaryKey.length === 0)
    throw new UsageError(`${modelName(model)} has no primary key, which this query needs.`)
  return meta.primaryKey.map(({ key }) => source.columns[key] as Column)
}

function least(limit: number | null, most: number): number | null {
  if (most === 0) return limit
  return limit === null ? most : Math.min(limit, most)
}
