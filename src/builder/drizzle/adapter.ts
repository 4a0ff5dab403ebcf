// Drizzle's objects as queries of an executor and as parts of `` db.sql`…` ``. Registered when `genever/drizzle` is
// imported. A builder is asked to prepare itself on its session, which is ours and hands over text, values and decoder
// instead; nothing is sent, and a builder that does not come to us belongs to another pool.
import { UsageError } from '../../errors/index.ts'
import { builderOf, hasMethod, isPlain } from '../../sql/foreign.ts'
import { type Adapter, registerAdapter, type Statement } from '../../sql/statement.ts'
import { withPlaceholders } from './core/placeholders.ts'
import { isSqlLike, quoteName, render, type Rendered, type SqlLike, tableName, viewName } from './core/render.ts'
import { isA, mapperOf, type Mapper, returnsRows } from './rows.ts'
import { type Capture, captureOf } from './session.ts'
import { nodePgRows, pgliteRows } from './values.ts'
import { describeType } from '../../util/checks.ts'

interface Builder {
  prepare(name: string): unknown
  getSelectedFields?(): object | undefined
}

const adapter: Adapter = {
  name: 'drizzle',
  match: (query) => builderOf(query) === 'Drizzle',
  toStatement: (query) => statementOf(query, checked),
  bake: (query) => statementOf(query, baked),
  compileEmbedded: embedded,
}

registerAdapter(adapter)

type Rewrite = (statement: Pick<Statement, 'sql' | 'params'>) => Pick<Statement, 'sql' | 'params'>

function statementOf(query: object, rewrite: Rewrite): Statement {
  if (hasMethod(query, 'prepare')) return built(query as Builder, rewrite)
  if (hasMethod(query, 'toSQL')) throw foreign(query)
  // q.execute(…), which is built already.
  if (hasMethod(query, 'getQuery') && hasMethod(query, 'getSQL'))
    return rewrite((query as { getQuery(): Statement }).getQuery())
  if (isA(query, 'SQL')) return rewrite(render(query as SqlLike))
  throw noQuery(query)
}

function baked({ sql, params }: Pick<Statement, 'sql' | 'params'>): Pick<Statement, 'sql' | 'params'> {
  return { sql, params: withPlaceholders(params) }
}

function built(builder: Builder, rewrite: Rewrite): Statement {
  const capture = captured(builder)
  if (capture === null) throw foreign(builder)
  const { sql, params } = rewrite(capture.query)
  if (!returnsRows(capture)) return { sql, params }
  const spec = isA(capture.session, 'PgliteSession') ? pgliteRows.arrays : nodePgRows.arrays
  const mapper = mapperOf(capture)
  if (mapper === null) return { sql, params, spec }
  const decode = pageOf(mapper)
  return { sql, params, spec, decode, value: (rows) => firstColumn(decode(rows.slice(0, 1))[0], builder) }
}

function captured(builder: Builder): Capture | null {
  try {
    return captureOf(builder)
  } catch (error) {
    // A builder of QueryBuilder has no session to prepare itself on.
    if ((builder as { session?: unknown }).session === undefined) throw foreign(builder)
    throw error
  }
}

/** findFirst gives a row or undefined instead of rows. */
function pageOf(mapper: Mapper): (rows: readonly unknown[]) => unknown[] {
  return (rows) => {
    const page = mapper(rows)
    if (Array.isArray(page)) return page
    return page === undefined || page === null ? [] : [page]
  }
}

/** Follows the selection to its first column: `{ user: users }` gives rows with the column one level down. */
function firstColumn(row: unknown, builder: Builder): unknown {
  let value = row
  let fields: unknown = builder.getSelectedFields?.() ?? { '': null }
  while (typeof fields === 'object' && fields !== null && (isPlain(fields) || tableName(fields) !== undefined)) {
    if (typeof value !== 'object' || value === null) return value
    const [key] = Object.keys(value)
    if (key === undefined) return undefined
    fields = isPlain(fields) ? (fields as Record<string, unknown>)[key] : null
    value = (value as Record<string, unknown>)[key]
  }
  return value
}

/** Tables, views, columns, conditions, subqueries and builders; undefined for what has no SQL. */
function embedded(value: object): Rendered | undefined {
  if (builderOf(value) !== 'Drizzle') return undefined
  if (isA(value, 'Subquery')) return subquery(value as Subquery)
  // Views and subqueries are proxies, which in 0.45 hide their `getSQL`.
  const name = tableName(value) ?? (isA(value, 'View') ? viewName(value) : undefined)
  if (name !== undefined) return { sql: name, params: [] }
  return isSqlLike(value) ? render(value) : undefined
}

interface Subquery {
  readonly _: { readonly sql: SqlLike; readonly alias: string; readonly isWith?: boolean }
}

function subquery({ _: { sql: query, alias, isWith } }: Subquery): Rendered {
  if (isWith === true) return { sql: quoteName(alias), params: [] }
  const { sql, params } = render(query)
  return { sql: `(${sql}) ${quoteName(alias)}`, params }
}

/** @throws {UsageError} for placeholders without a value. */
function checked(statement: Rendered): Rendered {
  const { sql, params } = statement
  for (const value of params)
    if (typeof value === 'object' && value !== null && !isPlain(value) && builderOf(value) === 'Drizzle')
      throw new UsageError(
        'This Drizzle query has placeholders: bake it, db.bake(query), or prepare it, and run it with values.',
      )
  return { sql, params: params.includes(undefined) ? params.map((value) => value ?? null) : params }
}

function foreign(query: object): UsageError {
  return new UsageError(
    `This Drizzle query (${describeType(query)}) was built on another client than one of Genever's. Build it with the ` +
      'Drizzle that ambient(db, make) returned.',
  )
}

function noQuery(query: object): UsageError {
  return new UsageError(
    `A Drizzle object (${describeType(query)}) was passed that is no query. Pass a builder, or sql\`…\`; what prepare() ` +
      'returned runs by its own execute().',
  )
}
