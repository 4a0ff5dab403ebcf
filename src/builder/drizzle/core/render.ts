// Text and parameters of Drizzle's SQL objects, on both versions: the same structural call serves 0.45 and 1.0, and
// Drizzle itself is not imported. Used by the adapter, by DDL and by models. It runs nothing and decodes nothing.
import { ParameterError } from '../../../errors/index.ts'
import { postgres } from '../../../sql/dialect.ts'
import { jsonText } from '../../../sql/json.ts'

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
  codecsOf: ({ columnType, dimensions }) =>
    (columnType === 'PgJsonb' || columnType === 'PgJson') && !dimensions ? json : undefined,
}

const casing: BuildConfig['casing'] = { getColumnCasing: ({ name }) => name }

/** Placeholders count from `$1`, or on from `before`. */
export function render(value: SqlLike, { before = 0, source }: RenderOptions = {}): Rendered {
  const built = value.getSQL() as { toQuery(config: BuildConfig): Rendered }
  return built.toQuery({
    escapeName: quoteName,
    escapeParam: (index) => `$${index + 1}`,
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
  return typeof schema === 'string' && alias !== true ? `${quoteName(schema)}.${quoteName(name)}` : quoteName(name)
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
  return schema === undefined || isAlias === true ? quoteName(name) : `${quoteName(schema)}.${quoteName(name)}`
}

export function quoteName(name: string): string {
  return postgres.quoteIdentifier(name)
}

/** A string literal whatever `standard_conforming_strings` says. (PostgreSQL manual 4.1.2.2.) */
export function quoteText(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted
}
