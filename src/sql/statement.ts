// What every producer of SQL hands to the engine, and how the engine gets it from whatever the user passed: our own
// queries by a symbol, foreign builders through adapters that register themselves. Called by executors for everything
// that is not text. It names no builder package and runs nothing.
import { UsageError } from '../errors/index.ts'
import type { Compiled, RowSpec } from './compiled.ts'
import type { Dialect, TextWithParams } from './dialect.ts'
import { describeType } from '../util/options.ts'

/** Carries the type of a row through a query; it is never a property at run time. */
export const row: unique symbol = Symbol('genever.row')

/** The method that makes an object a query. A registered symbol: two copies of Genever agree on it, JSON cannot forge it. */
export const toStatement: unique symbol = Symbol.for('genever.toStatement')

/** How a transaction ended. `rollback` also applies to a savepoint. */
export type Fate = 'commit' | 'rollback' | 'unknown'

/** Takes back the values that a statement had put into objects. It must not throw. */
export type Follower = (fate: Fate) => void

/** The transaction a statement ran in. */
export interface Within {
  /** Reports how it ended, once, before the code around it goes on. If it has already ended, it reports at once. */
  follow(follower: Follower): void
}

/** Session settings by name. */
export type MadeWith = Readonly<Record<string, string>>

export interface MadeOn {
  runsOn(engine: object): boolean
}

/** One statement ready to run. */
export interface Statement<Row = unknown> extends TextWithParams {
  /** How rows are decoded; goes to the driver. */
  readonly spec?: RowSpec<Row> | undefined
  /**
   * Turns a page of decoded rows into what a foreign builder promises. Called page by page, after `spec`, with the
   * transaction the statement ran in; null for none.
   */
  readonly decode?: ((rows: readonly unknown[], within: Within | null) => Row[]) | undefined
  /**
   * How the first column is read, for `scalar`, where more is known of it than its type. A function makes it of rows read by `spec`, and is
   * called with at least one.
   */
  readonly value?: RowSpec | ((rows: readonly unknown[]) => unknown) | undefined
  /** 0: all rows are needed whatever the caller asked for, because several of them make one result in `decode`. */
  readonly maxRows?: 0 | undefined
  /** @internal The settings of the scope it was made in: it runs only where they are the same. */
  readonly madeWith?: MadeWith | undefined
  /** @internal The database that was meant where it was made: it runs on no other. */
  readonly madeOn?: MadeOn | undefined
  /** @internal The name of the dialect it is written in, where that is fixed: it runs on no other. */
  readonly dialect?: string | undefined
  /** @internal It is written in other ways for other callers, or once more is known of the database. */
  readonly forms?: Forms<Row> | undefined
  /** @internal It says what its rows become, by a loader or the option `into`. */
  readonly loaded?: true | undefined
  /** @internal What it was baked to: `sql` need not be looked up, and `params` are checked. */
  readonly plan?: Planned | undefined
  readonly [row]?: Row
}

/** A text that is ready to be compiled, once for each engine. */
export interface Planned {
  readonly dialect: Dialect
  on(statements: Statements): Compiled
}

/** The statements of an engine. */
export interface Statements {
  bake(sql: string): Compiled
}

/** The ways in which one query is written. */
export interface Forms<Row = unknown> {
  /** For a caller that can use so many results, 0 for all, and reads them all at once or not. */
  of(most: number, atOnce: boolean): Statement<Row>
  /** Another one once more is known: they are then written in other ways. */
  version(): number
}

/** A query of ours: models, baked statements, `` sql`…` ``. */
export interface ToStatement<Row = unknown> {
  /**
   * `most` is how many results the caller can use, 0 for all: a hint that may become a LIMIT. `dialect` is that of the database.
   * `atOnce`: all rows are read before any is given, and nothing but what they become is asked for.
   */
  [toStatement](most?: number, dialect?: Dialect, atOnce?: boolean): Statement<Row>
}

/** A statement as a query that gives it. */
export function asQuery<Row>(statement: Statement<Row>): ToStatement<Row> {
  return { [toStatement]: () => statement }
}

/** Structural: a Drizzle builder that returns rows, either version. Drizzle is not imported. */
export interface DrizzleQuery<Row> extends PromiseLike<Row[]> {
  toSQL(): { sql: string; params: unknown[] }
}

/** Structural: a statement written with Drizzle's `` sql`…` ``. Only the caller knows the type of its rows. */
export interface DrizzleSql {
  readonly queryChunks: readonly unknown[]
  getSQL(): unknown
}

/** Structural: a Drizzle builder that returns no rows, as an insert without `returning()`. */
export interface DrizzleCommand {
  toSQL(): { sql: string; params: unknown[] }
}

/** Structural: a Kysely builder. */
export interface KyselyQuery<Row> {
  compile(): { readonly sql: string; readonly parameters: readonly unknown[]; readonly query: object }
  execute(): Promise<Row[]>
}

/** A query of a builder that is not ours. */
export type Built<Row> = DrizzleQuery<Row> | KyselyQuery<Row>

/** Everything an executor accepts besides text. */
export type Query<Row> = ToStatement<Row> | DrizzleQuery<Row> | DrizzleSql | KyselyQuery<Row>

/** Values for `$1 …` as an array, or for `:name …` as an object. */
export type Params = readonly unknown[] | Readonly<Record<string, unknown>>

/** Makes statements from the queries of a foreign builder. It never gets plain objects and arrays: JSON is not a query. */
export interface Adapter {
  /** The builder's name; registering the same name again replaces the adapter. */
  readonly name: string
  match(query: object): boolean
  /** `dialect` is that of the database. */
  toStatement(query: object, dialect?: Dialect): Statement
  /**
   * Like `toStatement`, for a query that gets its values later. `Placeholder`s stand for them among the parameters.
   * Default: `toStatement`, which must then keep every `Placeholder` in its place.
   */
  bake?(query: object, dialect?: Dialect): Statement
  /**
   * The SQL of an object interpolated in `` sql`…` `` (a query, table, column, condition), with placeholders counted
   * from `$1` where the dialect has numbers; `undefined` when the object is none of the builder's.
   */
  compileEmbedded?(value: object, dialect: Dialect): TextWithParams | undefined
}

/** Adapters by name, in order of registration. Only `registerAdapter` writes. */
const registered = new Map<string, Adapter>()

/** Registers the adapter of a builder for every engine of the process. The builder's subpath calls it when imported. */
export function registerAdapter(adapter: Adapter): void {
  registered.set(adapter.name, adapter)
}

/** Whether the value is a query of ours, or of another copy of Genever. */
export function isQuery(value: unknown): value is ToStatement {
  return ((typeof value === 'object' && value !== null) || typeof value === 'function') && hasMethod(value, toStatement)
}

/**
 * The statement of a built query.
 *
 * @throws {UsageError} for anything else: it says what was given by type, never by content, and which import is missing
 *   when the value is a Drizzle or Kysely builder.
 */
export function adapt<Row>(query: Query<Row>, most?: number, dialect?: Dialect, atOnce?: boolean): Statement<Row>
export function adapt(query: unknown, most?: number, dialect?: Dialect, atOnce?: boolean): Statement
export function adapt(query: unknown, most = 0, dialect?: Dialect, atOnce = false): Statement {
  const statement = isQuery(query)
    ? query[toStatement](most, dialect, atOnce)
    : adapterOf(query).toStatement(query as object, dialect)
  checkDialect(statement.dialect, dialect)
  return statement
}

/** @throws {UsageError} for what is written in another dialect than the database speaks. */
export function checkDialect(written: string | undefined, dialect: Dialect | undefined): void {
  if (written !== undefined && dialect !== undefined && written !== dialect.family) throw wrongDialect(written, dialect)
}

/** Nothing of it is sent: what it means there is not known. */
function wrongDialect(written: string, { title }: Dialect): UsageError {
  return new UsageError(
    `This is written for the dialect "${written}", and the database is ${title}. Declare tables and build queries for ${title}; where ` +
      `there is nothing for it yet, use SQL text and db.sql\`…\`.`,
  )
}

/** The query that is baked: a function is called with placeholders for its argument, and gives it. */
export function queryOf(given: unknown, placeholders: () => object): unknown {
  return typeof given === 'function' && !isQuery(given) ? given(placeholders()) : given
}

/** The statement of such a query, with `Placeholder`s among its parameters. Throws as `adapt` does. */
export function adaptBaked(query: unknown, dialect?: Dialect): Statement {
  if (typeof query === 'string')
    throw new UsageError('The function of a baked query gives a query, as sql`…`: text alone has no values.')
  if (isQuery(query)) return adapt(query, 0, dialect)
  const adapter = adapterOf(query)
  const statement =
    adapter.bake === undefined ? adapter.toStatement(query as object, dialect) : adapter.bake(query as object, dialect)
  checkDialect(statement.dialect, dialect)
  return statement
}

function adapterOf(query: unknown): Adapter {
  if (typeof query !== 'object' || query === null) throw new UsageError(unusable(query, undefined))
  if (!isPlain(query)) for (const adapter of registered.values()) if (adapter.match(query)) return adapter
  throw new UsageError(unusable(query, builderOf(query)))
}

/** The SQL of an object interpolated in a fragment by the first adapter that knows it. */
export function embed(value: object, dialect: Dialect): TextWithParams | undefined {
  if (isPlain(value) || ArrayBuffer.isView(value) || value instanceof Date) return undefined
  for (const adapter of registered.values()) {
    const made = adapter.compileEmbedded?.(value, dialect)
    if (made !== undefined) return made
  }
  return undefined
}

/** Why a builder's object was not understood, and what helps. */
export function missingImport(builder: Builder): string {
  const name = builder.toLowerCase()
  if (registered.has(name)) return `${builder} objects of this kind cannot be used here`
  if (builder === 'unknown') return 'no adapter is registered for its library'
  return `add \`import 'genever/${name}'\` so that ${builder} objects are understood`
}

function unusable(query: unknown, builder: Builder | undefined): string {
  const given = describeType(query)
  if (builder !== undefined && builder !== 'unknown')
    return `A ${builder} query (${given}) was passed that Genever cannot read: ${missingImport(builder)}.`
  return `A query was expected (SQL text, db.sql\`…\`, a model query, a baked statement, a Drizzle or Kysely builder), not ${given}.`
}

// Recognises values by what they are, never by what they hold: plain data, query builders of other libraries, promises.
// Used where a value could be taken for a parameter or for a query. Data parsed from JSON is always plain data, whatever
// keys it has, because only functions and symbols count here. It imports no builder.
const entityKind = Symbol.for('drizzle:entityKind')

type Builder = 'Drizzle' | 'Kysely' | 'unknown'

const constructorOf = (value: object): unknown => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return typeof prototype === 'object' && prototype !== null ? prototype.constructor : undefined
}

/** Whether the object is what a literal or `JSON.parse` makes: an object without a class, or an array. */
export function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null || prototype === Array.prototype
}

/** Whether the object has a method of this name, its own or inherited. */
export function hasMethod(value: object, name: PropertyKey): boolean {
  return typeof (value as Record<PropertyKey, unknown>)[name] === 'function'
}

/** The builder library an object seems to come from: a query, table, column, condition or expression. */
export function builderOf(value: object): Builder | undefined {
  const made = constructorOf(value)
  // Read from the prototype: some of Drizzle's objects are proxies that answer for any property.
  if (typeof made === 'function' && entityKind in made) return 'Drizzle'
  if (hasMethod(value, 'toOperationNode') || (hasMethod(value, 'compile') && hasMethod(value, 'execute')))
    return 'Kysely'
  if (hasMethod(value, 'getSQL') || hasMethod(value, 'toSQL')) return 'Drizzle'
  if (Array.isArray((value as { queryChunks?: unknown }).queryChunks) && !isPlain(value)) return 'Drizzle'
  return hasMethod(value, 'compile') ? 'unknown' : undefined
}

// The option `into`: what rows become that their statement says nothing of. Functions and classes are known here; models say
// what they and their loaders make of rows.
/** Makes results of rows. */
export type Decode<R = unknown> = (rows: readonly unknown[], within: Within | null) => readonly R[]

/** What `into` was read to. Made once for each value. */
export interface Loading {
  /** How rows are read that nothing else says anything of; null: as plain objects. */
  readonly spec: RowSpec | null
  /** How plain objects are read of which a builder makes its own, by the columns that have the names of their fields; null: as usual. */
  readonly named: RowSpec | null
  /** Makes what was asked for of rows of that specification. */
  readonly decode: Decode
  /** Makes it of rows that their builder has made. */
  readonly objects: Decode
  /** The dialect that its models and columns are declared in; null: there are none. */
  readonly dialect: Dialect | null
}

/** Null: it is a function or a class, and no model. */
type Loaders = (given: unknown) => Loading | null

let loaders: Loaders = (given) => {
  if (typeof given === 'function') return null
  throw new UsageError(
    `The option into is a model, a loader of it, a function of a row or a class, not ${describeType(given)}. Columns, expressions and ` +
      'tuples can be given when the program has made a model by Model().',
  )
}

/** Called by `Model()`: only code that has a model can have loaders. */
export function registerLoaders(known: Loaders): void {
  loaders = known
}

const read = new WeakMap<object, Loading>()

/** @throws {UsageError} for what makes nothing of a row. */
export function loadingOf(given: unknown): Loading {
  const key = Object(given) as object
  let loading = read.get(key)
  if (loading === undefined) {
    loading = loaders(given) ?? calling(callOf(given as Callable))
    read.set(key, loading)
  }
  return loading
}

/** `whole`: all that was read of the row, where `row` is a part of it. */
export type Call = (row: unknown, context: object, whole?: object) => unknown

export type Callable = Call & (new (row: unknown, context: object, whole?: object) => unknown)

/** A class is called with `new`. */
export function callOf(given: Callable): Call {
  const isClass = Function.prototype.toString.call(given).startsWith('class')
  return isClass
    ? (one, context, whole) => new given(one, context, whole)
    : (one, context, whole) => given(one, context, whole)
}

/** Each row as it comes, through a function; the context is one object for a result. */
function calling(call: Call): Loading {
  const decode: Decode = (rows) => {
    const context = {}
    return rows.map((each) => call(each, context))
  }
  return { spec: null, named: null, decode, objects: decode, dialect: null }
}

/** What a statement says of its rows. */
export interface Rows {
  readonly spec?: RowSpec | null | undefined
  readonly decode?: Decode | null | undefined
  readonly value?: Statement['value']
  readonly maxRows?: 0 | undefined
  readonly dialect?: string | undefined
  readonly loaded?: true | undefined
}

/**
 * What rows of a statement become by the option. `dialect`: of the database, where it is known. `asked`: what else the call asks for.
 * @throws {UsageError} for a statement that says itself what its rows become, and for models of another dialect.
 */
export function rowsInto(
  { spec, named, decode, objects, dialect: declared }: Loading,
  of: Rows | null,
  dialect?: Dialect,
  asked: RowSpec | null = null,
): Rows {
  if (declared !== null && dialect !== undefined && declared.family !== dialect.family)
    throw new UsageError(
      `The option into has models or columns that are declared for ${declared.title}, and the database is ${dialect.title}: their values ` +
        `are written in another way. Declare them for ${dialect.title}.`,
    )
  if (asked !== null)
    throw new UsageError("The options into and rows: 'array' say different things of the rows. Leave one out.")
  const made = of?.decode ?? null
  const own = of?.spec ?? null
  if (of?.loaded === true || (own !== null && own.columns !== null))
    throw new UsageError(
      'The option into is for SQL text, db.sql`…` and queries of other builders. This query says by its own load() ' +
        'or loader, or an option into that it was baked with, what its rows become.',
    )
  const family = declared?.family ?? of?.dialect
  if (made === null && own === null) return { spec, decode, dialect: family, loaded: true }
  const after: Decode = made === null ? objects : (rows, within) => objects(made(rows, within), within)
  // What a builder makes of plain objects has their names, and its values are those of the driver.
  return { spec: own ?? named, decode: after, maxRows: of?.maxRows, dialect: family, loaded: true }
}
