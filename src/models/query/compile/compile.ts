// A model query as one statement: how it begins is known, the rest is written for each call. Nothing runs here.
import { type Column, type SQL, sql } from 'drizzle-orm'
import { UsageError } from '../../../errors/index.ts'
import type { RowSpec } from '../../../sql/compiled.ts'
import type { Statement } from '../../../sql/statement.ts'
import type { Assembly } from '../../load/assemble.ts'
import { SqlText } from '../../meta/sql-text.ts'
import { orderKeyOf } from '../keyset.ts'
import type { QueryState } from '../state.ts'
import type { Shape } from '../../statement/ready.ts'
import { addParams, shapeOfConditions, writeConditions } from './condition.ts'
import { type Head, headOf, type ListFacts } from './head.ts'
import { isEqualKey } from './of-key.ts'
import { columnsIn } from '../../load/columns.ts'
import { type ByKey, writeArms } from '../../load/list-rows.ts'
import { everyRow } from '../../load/list-sql.ts'
import { qualifierOf } from '../../load/source.ts'
import { modelName } from '../../meta/model-meta.ts'

/** How rows are read, and how they become what the query promises. */
export interface Compilation {
  readonly statement: Statement
  /** Null when the driver makes the rows in one step. */
  readonly assembly: Assembly | null
  /** Makes of all rows that came what the assembly takes; null: it takes these. */
  readonly objects: ((rows: readonly unknown[]) => readonly unknown[]) | null
}

export interface CompileOptions {
  /** How many objects are wanted; 0 for all. */
  readonly most?: number | undefined
  /** Selected beside the rows: they then come as arrays, for the assembly. */
  readonly beside?: readonly SQL[] | undefined
  /** Known facts about its lists. */
  readonly facts?: ListFacts | null | undefined
  /** All rows are read at once, and none of them is an object by itself. */
  readonly whole?: boolean | undefined
}

const all: CompileOptions = {}

export function compileQuery(
  state: QueryState,
  { most = 0, beside, facts = null, whole = false }: CompileOptions = all,
): Compilation {
  const single = (most > 0 && most <= 2) || state.limit === 1
  if (state.lock !== null && (state.groupBy.length > 0 || state.having.length > 0))
    throw new UsageError(
      'forUpdate() and groupBy() are not possible together: a group is no row that could be locked. Lock them by a query of their keys.',
    )
  const head = headOf(state, { facts, single, whole, beside, keyed: () => keyOfOne(state) })
  const shape = shapeOfQuery(state, most)
  const known = shape === undefined ? undefined : head.texts.peek(shape)
  if (known !== undefined) {
    const params = [...head.params]
    addParams(params, state.where)
    return compilation(known, params, head, state, facts)
  }
  const { text, params } = head.byKey === null ? write(state, head, most) : writeKeyed(state, head)
  if (shape !== undefined) head.texts.keep(shape, text)
  return compilation(text, params, head, state, facts)
}

function write(state: QueryState, head: Head, most: number): SqlText {
  const { assembly, close } = head
  assembly?.checkGroups(state.groupBy)
  const text = new SqlText(state.source.dialect, head.open, head.params)
  const lists = assembly?.hasLists === true
  if (lists) checkScope(state, assembly)
  const limit = lists ? least(state.limit, most) : state.limit
  writeRows(state, head, text, limit)
  if (lists && limit === null && state.orderBy.length > 0 && state.lock === null) text.add(` limit ${everyRow}`)
  if (state.lock !== null)
    text.add(
      state.source.dialect.models.lock({ name: state.source.name, wait: state.lockWait, joined: head.joins.any }),
    )
  return text.add(close)
}

/** Limits up to this have a shape without a text. */
const mostInShape = 1_000

/** Identifies the text of a query among those of its head; undefined where it depends on more than columns, an order and a limit. */
function shapeOfQuery(state: QueryState, most: number): Shape | undefined {
  const { where, groupBy, having, orderBy, limit, offset, lock, source } = state
  if (groupBy.length > 0 || having.length > 0 || offset !== null || lock !== null) return undefined
  const conditions = shapeOfConditions(where)
  if (conditions === undefined || (limit ?? 0) > mostInShape || most > 2) return undefined
  const shape = ((limit === null ? 0 : limit + 1) * 3 + most) * 2 ** 20 + conditions
  if (orderBy.length === 0) return shape
  const { text, params } = new SqlText(source.dialect).expressions(orderBy)
  return params.length > 0 ? undefined : `${shape} ${text}`
}

function compilation(
  text: string,
  params: readonly unknown[],
  head: Head,
  { source }: QueryState,
  facts: ListFacts | null,
): Compilation {
  const { spec, value, assembly, decode, pairs } = head
  const statement: Statement = { sql: text, params, spec, value, decode, dialect: source.dialect.family }
  if (!head.asRows || assembly === null) return { statement, assembly, objects: null }
  const objects = (rows: readonly unknown[]): readonly unknown[] => {
    if (pairs !== null && rows[0] === null && facts !== null) throw facts.unpaired(assembly.lists)
    return assembly.gather(rows, pairs)
  }
  return { statement: { ...statement, decode: (rows) => assembly.rows(objects(rows)), maxRows: 0 }, assembly, objects }
}

/** Whether the query gives a row for each of its table that fulfils the conditions, and locks none. */
function isEveryRow(state: QueryState): boolean {
  const { limit, offset, lock, joins, groupBy, having } = state
  const isWhole = limit === null && offset === null && lock === null && joins.length === 0
  return isWhole && groupBy.length === 0 && having.length === 0 && distinctBy(state) === null
}

/** The key, where the condition of the query is its equality with a value; else null. */
function keyOfOne(state: QueryState): Column | null {
  const { meta, source, where } = state
  const [first, second] = meta.primaryKey
  if (first === undefined || second !== undefined || !isEveryRow(state)) return null
  const key = source.columns[first.key] as Column
  return isEqualKey(where, key) ? key : null
}

/** An object, and rows of lists that its key finds: the condition stands in each part. */
function writeKeyed(state: QueryState, head: Head): SqlText {
  const { open, close, items, from, params } = head
  const [assembly, byKey] = [head.assembly as Assembly, head.byKey as ByKey]
  assembly.checkGroups(state.groupBy)
  checkScope(state, assembly)
  const text = new SqlText(state.source.dialect, open, params).add(`select ${items}${from}`)
  const start = text.text.length
  if (state.where.length > 0) writeConditions(text.add(' where '), state.where)
  const where = text.text.slice(start)
  order(text, state.orderBy)
  if (state.orderBy.length > 0) text.add(` limit ${everyRow}`)
  text.add(close)
  writeArms(text, byKey, where)
  return text
}

/** `select count(*)` of the objects the query gives. @throws {UsageError} for a query that locks them. */
export function compileCount(state: QueryState): Statement<number> {
  refuseLock(state, 'count()')
  const text = new SqlText(state.source.dialect)
  const grouped = state.groupBy.length > 0 || state.having.length > 0
  if (state.limit !== null || state.offset !== null || grouped || distinctBy(state) !== null) {
    text.add('select count(*) from (')
    inner(state, text)
    return answering(text.add(') as counted'))
  }
  text.add('select count(*)')
  writeFrom(state, text)
  tail(state, text, [], null, null)
  return answering(text)
}

/** @throws {UsageError} for a query that locks its objects. */
export function compileExists(state: QueryState): Statement<boolean> {
  refuseLock(state, 'exists()')
  const text = new SqlText(state.source.dialect).add('select exists(')
  inner(state, text)
  return answering(text.add(')'))
}

/** Its value is for the model alone: what the engine makes of the type in SQL text does not count. */
function answering<V>({ text, params, dialect }: SqlText): Statement<V> {
  return { sql: text, params, value: asItIs, dialect: dialect.family }
}

const asItIs: RowSpec = { into: 'scalar', make: null, columns: [{ path: [], mode: 'default' }] }

function refuseLock({ lock }: QueryState, method: string): void {
  if (lock === null) return
  throw new UsageError(
    `${method} of a query with forUpdate() would lock nothing, for it reads no row. Ask without forUpdate(), or lock the rows by all() or first().`,
  )
}

/** The joins of the loader too: a condition may be on what it joins. */
function inner(state: QueryState, text: SqlText): void {
  const by = distinctBy(state)
  text.add('select ')
  if (by === null) text.add('1')
  else text.add('distinct on (').expressions(by).add(') 1')
  writeFrom(state, text)
  tail(state, text, state.limit === null || by !== null ? [] : state.orderBy, state.limit, state.offset)
}

const unknown = { facts: null, single: false, whole: false, beside: undefined, keyed: () => null }

function writeFrom(state: QueryState, text: SqlText): void {
  const { joins, assembly } = headOf(state, unknown)
  assembly?.checkGroups(state.groupBy)
  if (assembly?.hasLists === true) checkScope(state, assembly)
  joins.write(text)
}

function writeRows(state: QueryState, { items, from, assembly }: Head, text: SqlText, limit: number | null): void {
  const by = distinctBy(state)
  if (by === null || assembly === null) {
    text.add('select ').add(items).add(from)
    tail(state, text, state.orderBy, limit, state.offset)
    return
  }
  if (state.lock !== null)
    throw new UsageError('forUpdate() and distinct() are not possible together: no row of a DISTINCT can be locked.')
  const keys = state.orderBy.map((each) => orderKeyOf(each, state.source))
  text.add(`select ${assembly.root.items.map((_, at) => `d.${assembly.root.name(at)}`).join(', ')} from (`)
  text.add('select distinct on (').expressions(by).add(') ')
  if (assembly.hasLists) text.add(items)
  else assembly.selectNamed(text)
  keys.forEach((key, at) => text.add(', ').sql(key.by).add(` as "genever o${at}"`))
  text.add(from)
  tail(state, text, [...by, ...state.orderBy], null, null)
  text.add(') as d')
  order(
    text,
    keys.map(({ descending, nullsFirst }, at) =>
      sql.raw(`d."genever o${at}"${descending ? ' desc' : ''} nulls ${nullsFirst ? 'first' : 'last'}`),
    ),
  )
  range(text, limit, state.offset)
}

/** The columns that `distinct()` named to tell the objects of the query apart; null without it. */
function distinctBy({ loader, source }: QueryState): readonly Column[] | null {
  const by = loader?.kind === 'model' ? loader.by : null
  if (by !== null && !source.dialect.models.distinctOn)
    throw new UsageError(
      `${source.dialect.title} has no DISTINCT ON, which distinct() needs. Use groupBy(), or list the others by many().`,
    )
  return by
}

/** WHERE, GROUP BY, HAVING, ORDER BY, LIMIT and OFFSET. */
function tail(
  state: QueryState,
  text: SqlText,
  orderBy: QueryState['orderBy'],
  limit: number | null,
  offset: number | null,
): void {
  if (state.where.length > 0) writeConditions(text.add(' where '), state.where)
  if (state.groupBy.length > 0) text.add(' group by ').expressions(state.groupBy)
  if (state.having.length > 0) writeConditions(text.add(' having '), state.having)
  order(text, orderBy)
  range(text, limit, offset)
}

function order(text: SqlText, by: QueryState['orderBy']): void {
  if (by.length > 0) text.add(' order by ').expressions(by)
}

function range(text: SqlText, limit: number | null, offset: number | null): void {
  if (limit !== null) text.add(` limit ${limit}`)
  else if (offset !== null && text.dialect.models.everyRow !== null) text.add(` limit ${text.dialect.models.everyRow}`)
  // A parameter, because each page has another one: they are one statement.
  if (offset !== null) text.add(' offset ').param(offset)
}

function least(limit: number | null, most: number): number | null {
  if (most === 0) return limit
  return limit === null ? most : Math.min(limit, most)
}

/** @throws {UsageError} for a condition or an order by a column of a list. */
function checkScope({ where, having, orderBy, groupBy }: QueryState, { lists, root }: Assembly): void {
  const found = (of: readonly unknown[]): string | undefined => {
    if (of.length === 0) return undefined
    const ids = columnsIn(of)
      .map(qualifierOf)
      .filter((id) => !root.has(id))
    const list = lists.find(({ level }) => ids.some((id) => level.has(id)))
    return list === undefined ? undefined : modelName(list.level.source.model)
  }
  // The members of an object are columns and properties of the query's own rows.
  const conditioned = found([...where.filter((each) => !('members' in each)), ...having])
  if (conditioned !== undefined)
    throw new UsageError(
      `A condition of the query is on ${conditioned}, which is loaded as a list: a list is whole, and no row of the query. Ask for objects that have some by where(some(…)), and give the list its condition by many(${conditioned}.where(…)).`,
    )
  const ordered = found([...orderBy, ...groupBy])
  if (ordered !== undefined)
    throw new UsageError(
      `The query is ordered by ${ordered}, which is loaded as a list: an object may have several. Order by one value of them, as sql\`(select max(…) from … where …)\`, and the list by many(${ordered}.query().orderBy(…)).`,
    )
}
