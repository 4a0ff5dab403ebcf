// Text and parameters of Drizzle's SQL objects, on both versions: the same structural call serves 0.45 and 1.0, and
// Drizzle itself is not imported. Used by the adapter, by DDL and by models. It runs nothing and decodes nothing.
import { literal as quoteText } from '../../../postgres/session-sql.ts'
import { ParameterError, UsageError } from '../../../errors/index.ts'
import { mysql } from '../../../mysql/dialect.ts'
import { postgres } from '../../../postgres/dialect.ts'
import type { Dialect } from '../../../sql/dialect.ts'
import { jsonText } from '../../../sql/parameters.ts'
import { findDeclared, isOfMysql, kindOf } from './kinds.ts'

/** Structural: `SQL`, a column, a builder, a subquery. Drizzle calls it SQLWrapper; tables are none in 1.0. */
export interface SqlLike {
  getSQL(): unknown
}

export interface Rendered {
  readonly sql: string
  readonly params: readonly unknown[]
}

export interface RenderOptions {
  /** How many parameters stand before it; default 0. */
  readonly before?: number | undefined
  /** `indexes` leaves the table's name off its columns, as in DDL of an index. */
  readonly source?: 'indexes' | undefined
  /** Default: that of the value. */
  readonly dialect?: Dialect | undefined
}

/** What Drizzle asks of a dialect; each version reads its part. */
interface BuildConfig {
  readonly escapeName: (name: string) => string
  readonly escapeParam: (index: number) => string
  readonly escapeString: (text: string) => string
  readonly casing: { getColumnCasing(column: { readonly name: string }): string }
  readonly codecs: { codecsOf(column: SqlColumn): ParamCodec | undefined }
  readonly paramStartIndex: { value: number }
  readonly inlineParams: false
  readonly invokeSource: 'indexes' | undefined
}

interface SqlColumn {
  readonly columnType?: string
  readonly dimensions?: number
}

interface ParamCodec {
  readonly normalizeParam: (value: unknown) => unknown
}

const json: ParamCodec = {
  normalizeParam: (value) =>
    jsonText(value, (what) => {
      throw new ParameterError(`A value of a JSON column ${what}.`)
    }),
}

/** 1.0 leaves JSON to the driver, which cannot tell a JSON string from JSON text; 0.45 writes it itself. */
const codecs: BuildConfig['codecs'] = {
  codecsOf: ({ columnType, dimensions }) => (isJsonType(columnType) && !dimensions ? json : undefined),
}

/** Whether Drizzle's kind of column is one of JSON. */
export function isJsonType(columnType: string | undefined): boolean {
  return columnType === 'PgJsonb' || columnType === 'PgJson' || columnType === 'MySqlJson'
}

/** The dialect that a table, view or column is declared in; PostgreSQL's for everything else. */
export function dialectOf(value: object): Dialect {
  return isOfMysql(value) ? mysql : postgres
}

/**
 * The dialect of an expression: the wanted one, else that of the first column, table or view in it.
 * @throws {UsageError} for a column, table or view that is declared for another dialect.
 */
export function checkDeclared(value: unknown, wanted?: Dialect): Dialect {
  let dialect = wanted
  const other = findDeclared(value, (declared) => {
    const own = dialectOf(declared)
    dialect ??= own
    return own.family !== dialect.family
  })
  dialect ??= postgres
  if (other !== undefined) throw declaredElsewhere(other, dialect)
  return dialect
}

/** The family that the first table or column in it is declared for; undefined where it has none. */
export function declaredFamily(value: unknown): string | undefined {
  let family: string | undefined
  findDeclared(value, (declared) => {
    ;({ family } = dialectOf(declared))
    return true
  })
  return family
}

export function declaredElsewhere(declared: object, dialect: Dialect): UsageError {
  const { name } = declared as { readonly name?: unknown }
  const what = kindOf(declared) === 'Column' && typeof name === 'string' ? `The column '${name}'` : 'A table or view'
  return new UsageError(
    `${what} in this expression is declared for ${dialectOf(declared).title}, and the expression is for ${dialect.title}. Use the tables ` +
      `that are declared for ${dialect.title}.`,
  )
}

const casing: BuildConfig['casing'] = { getColumnCasing: ({ name }) => name }

/** Placeholders count from `$1`, or on from `before`. */
export function render(value: SqlLike, { before = 0, source, dialect: wanted }: RenderOptions = {}): Rendered {
  const dialect = checkDeclared(value, wanted ?? (kindOf(value) === 'SQL' ? undefined : dialectOf(value)))
  const built = value.getSQL() as { toQuery(config: BuildConfig): Rendered }
  return built.toQuery({
    escapeName: (name) => dialect.quote(name),
    escapeParam: (index) => dialect.placeholder.text(index),
    escapeString: quoteText,
    casing,
    codecs,
    paramStartIndex: { value: before },
    inlineParams: false,
    invokeSource: source,
  })
}

/** Whether the value is one of Drizzle's, or anything else that gives SQL. Data from JSON never has methods. */
export function isSqlLike(value: unknown): value is SqlLike {
  return typeof value === 'object' && value !== null && typeof (value as Partial<SqlLike>).getSQL === 'function'
}

const nameOf = Symbol.for('drizzle:Name')
const schemaOf = Symbol.for('drizzle:Schema')
const aliased = Symbol.for('drizzle:IsAlias')

/** `"schema"."table"`, or the alias; undefined when the object is no table of Drizzle's. */
export function tableName(value: object): string | undefined {
  const { [nameOf]: name, [schemaOf]: schema, [aliased]: alias } = value as Readonly<Record<symbol, unknown>>
  if (typeof name !== 'string') return undefined
  const dialect = dialectOf(value)
  return typeof schema === 'string' && alias !== true
    ? `${dialect.quote(schema)}.${dialect.quote(name)}`
    : dialect.quote(name)
}

/** Where Drizzle keeps what it knows of a view. */
const viewConfig = Symbol.for('drizzle:ViewBaseConfig')

export interface ViewConfig {
  readonly name: string
  readonly schema?: string | undefined
  readonly isAlias?: boolean
  /** By their TypeScript keys. */
  readonly selectedFields: Readonly<Record<string, object>>
}

/** Of a view of Drizzle's; undefined for everything else. */
export function viewConfigOf(value: object): ViewConfig | undefined {
  return (value as Readonly<Record<symbol, ViewConfig | undefined>>)[viewConfig]
}

/** `"schema"."view"`, or the alias; undefined when the object is no view of Drizzle's. */
export function viewName(value: object): string | undefined {
  const config = viewConfigOf(value)
  if (config === undefined) return undefined
  const { name, schema, isAlias } = config
  const dialect = dialectOf(value)
  return schema === undefined || isAlias === true
    ? dialect.quote(name)
    : `${dialect.quote(schema)}.${dialect.quote(name)}`
}

export function quoteName(name: string): string {
  return postgres.quote(name)
}

export { quoteText }
