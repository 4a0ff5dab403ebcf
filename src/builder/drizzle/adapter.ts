// Drizzle's objects as queries of an executor and as parts of `` db.sql`…` ``. Registered when `genever/drizzle` is
// imported. A builder is asked to prepare itself on its session, which is ours and hands over text, values and decoder
// instead; nothing is sent, and a builder that does not come to us belongs to another pool.
import { UsageError } from '../../errors/index.ts'
import { builderOf, hasMethod, isPlain, type Adapter, registerAdapter, type Statement } from '../../sql/statement.ts'
import {
  checkDeclared,
  declaredFamily,
  isSqlLike,
  render,
  type Rendered,
  type SqlLike,
  tableName,
  viewName,
} from './core/render.ts'
import { mapperOf, type Mapper, returnsRows } from './rows.ts'
import { type Capture, captureOf } from './session.ts'
import { mysqlRows, nodePgRows, pgliteRows, type Rows } from './values.ts'
import { isA } from './core/kinds.ts'
import type { Dialect, TextWithParams } from '../../sql/dialect.ts'
import { describeType } from '../../util/options.ts'
import { Placeholder } from '../../sql/baked.ts'

interface Builder {
  prepare(name: string): unknown
  getSelectedFields?(): object | undefined
}

const adapter: Adapter = {
  name: 'drizzle',
  match: (query) => builderOf(query) === 'Drizzle',
  toStatement: (query, dialect) => statementOf(query, dialect, checked),
  bake: (query, dialect) => statementOf(query, dialect, baked),
  compileEmbedded: embedded,
}

registerAdapter(adapter)

type Rewrite = (statement: TextWithParams) => TextWithParams

function statementOf(query: object, dialect: Dialect | undefined, rewrite: Rewrite): Statement {
  if (hasMethod(query, 'prepare')) return built(query as Builder, rewrite)
  if (hasMethod(query, 'toSQL')) throw foreign(query)
  // q.execute(…), which is built already.
  if (hasMethod(query, 'getQuery') && hasMethod(query, 'getSQL'))
    return {
      ...rewrite((query as { getQuery(): Statement }).getQuery()),
      dialect: isA(query, 'MySqlRaw') ? 'mysql' : 'postgres',
    }
  if (isA(query, 'SQL'))
    return {
      ...rewrite(render(query as SqlLike, { dialect })),
      ...(dialect === undefined ? { dialect: declaredFamily(query) } : {}),
    }
  throw noQuery(query)
}

function baked({ sql, params }: TextWithParams): TextWithParams {
  return { sql, params: withPlaceholders(params) }
}

function built(builder: Builder, rewrite: Rewrite): Statement {
  const capture = captured(builder)
  if (capture === null) throw foreign(builder)
  const { sql, params } = rewrite(capture.query)
  const { dialect } = capture
  if (!returnsRows(capture)) {
    if (capture.returnsIds) throw needsAwait()
    return { sql, params, dialect }
  }
  const spec = rowsFor(capture).arrays
  const mapper = mapperOf(capture)
  if (mapper === null) return { sql, params, spec, dialect }
  const decode = pageOf(mapper)
  return { sql, params, spec, dialect, decode, value: (rows) => firstColumn(decode(rows.slice(0, 1))[0], builder) }
}

function rowsFor({ dialect, session }: Capture): Rows {
  if (dialect === 'mysql') return mysqlRows
  return isA(session, 'PgliteSession') ? pgliteRows : nodePgRows
}

/** Its ids are made of the answer of the INSERT, which has no rows. */
function needsAwait(): UsageError {
  return new UsageError(
    'An insert of Drizzle with $returningId() gives its ids only where it is awaited itself: `await q.insert(…).$returningId()`. ' +
      'For db.status() leave $returningId() out; the status has insertId.',
  )
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
function embedded(value: object, dialect: Dialect): Rendered | undefined {
  if (builderOf(value) !== 'Drizzle') return undefined
  if (isA(value, 'Subquery')) return subquery(value as Subquery, dialect)
  // Views and subqueries are proxies, which in 0.45 hide their `getSQL`.
  const name = tableName(value) ?? (isA(value, 'View') ? viewName(value) : undefined)
  if (name !== undefined) {
    checkDeclared(value, dialect)
    return { sql: name, params: [] }
  }
  return isSqlLike(value) ? render(value, { dialect }) : undefined
}

interface Subquery {
  readonly _: { readonly sql: SqlLike; readonly alias: string; readonly isWith?: boolean }
}

function subquery({ _: { sql: query, alias, isWith } }: Subquery, dialect: Dialect): Rendered {
  if (isWith === true) return { sql: dialect.quote(alias), params: [] }
  const { sql, params } = render(query, { dialect })
  return { sql: `(${sql}) ${dialect.quote(alias)}`, params }
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
    `A Drizzle object (${describeType(query)}) was passed that is not a query. Pass a builder, or sql\`…\`. The result of ` +
      'prepare() runs by its own execute().',
  )
}

// Drizzle's placeholders, among the parameters of a query that is baked: each becomes one of ours, with what its column does
// to a value. The same structural reading serves 0.45 and 1.0.

/** A value on its way to a column. */
interface Param {
  readonly value: unknown
  readonly encoder: { mapToDriverValue(value: unknown): unknown }
  /** 1.0 only. */
  readonly codec?: ((value: unknown) => unknown) | undefined
}

/** The parameters with placeholders of ours; `undefined` is NULL, as Drizzle has it. */
function withPlaceholders(params: readonly unknown[]): unknown[] {
  return params.map((value) => {
    if (typeof value !== 'object' || value === null) return value ?? null
    if (isPlaceholder(value)) return new Placeholder(value.name)
    if (!isA(value, 'Param')) return value
    const { value: inner, encoder, codec } = value as Param
    if (typeof inner !== 'object' || inner === null || !isPlaceholder(inner)) return value
    return new Placeholder(inner.name, (given) => {
      const mapped = encoder.mapToDriverValue(given)
      return codec === undefined ? mapped : codec(mapped)
    })
  })
}

/** Drizzle's, or one of ours that it took for its own. */
function isPlaceholder(value: object): value is { readonly name: string } {
  return isA(value, 'Placeholder')
}
