// What every producer of SQL hands to the engine, and how the engine gets it from whatever the user passed: our own
// queries by a symbol, foreign builders through adapters that register themselves. Called by executors for everything
// that is not text. It names no builder package and runs nothing.
import { UsageError } from '../errors/index.ts'
import type { Plan } from './baked/plan.ts'
import type { RowSpec } from './compiled.ts'
import { builderOf, hasMethod, isPlain, type Builder } from './foreign.ts'
import { describeType } from '../util/checks.ts'

/** Carries the type of a row through a query; it is never a property at run time. */
export const row: unique symbol = Symbol('genever.row')

/** The method that makes an object a query. A registered symbol: two copies of Genever agree on it, JSON cannot forge it. */
export const toStatement: unique symbol = Symbol.for('genever.toStatement')

/** What became of a transaction; `rollback` also of a savepoint. */
export type Fate = 'commit' | 'rollback' | 'unknown'

/** Puts values back that a statement had put into objects. It must not throw. */
export type Follower = (fate: Fate) => void

/** The transaction a statement ran in. */
export interface Within {
  /** Tells what becomes of it, once, before the code around it goes on; at once when it has ended. */
  follow(follower: Follower): void
}

/** One statement ready to run: text with `$1` placeholders and a value for each. */
export interface Statement<Row = unknown> {
  readonly sql: string
  readonly params: readonly unknown[]
  /** How rows are decoded; goes to the driver. */
  readonly spec?: RowSpec<Row> | undefined
  /**
   * Turns a page of decoded rows into what a foreign builder promises. Called page by page, after `spec`, with the
   * transaction the statement ran in; null for none.
   */
  readonly decode?: ((rows: readonly unknown[], within: Within | null) => Row[]) | undefined
  /** The first column of the first row, for `scalar`, where it takes `decode` to know it. Called with at least one row. */
  readonly value?: ((rows: readonly unknown[]) => unknown) | undefined
  /** 0: all rows are needed whatever the caller asked for, because several of them make one result in `decode`. */
  readonly maxRows?: 0 | undefined
  /** @internal What it was baked to: `sql` need not be looked up, and `params` are checked. */
  readonly plan?: Plan | undefined
  readonly [row]?: Row
}

/** A query of ours: models, baked statements, `` sql`…` ``. */
export interface ToStatement<Row = unknown> {
  /** `most` is how many results the caller can use, 0 for all: a hint that may become a LIMIT. */
  [toStatement](most?: number): Statement<Row>
}

/** A statement as a query that gives it. */
export function asQuery<Row>(statement: Statement<Row>): ToStatement<Row> {
  return { [toStatement]: () => statement }
}

/** Structural: a Drizzle builder that returns rows, either version. Drizzle is not imported. */
export interface DrizzleQuery<Row> extends PromiseLike<Row[]> {
  toSQL(): { sql: string; params: unknown[] }
}

/** Structural: a statement written with Drizzle's `` sql`…` ``. What its rows are only the caller knows. */
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

/** Whatever an executor accepts besides text. */
export type Query<Row> = ToStatement<Row> | DrizzleQuery<Row> | DrizzleSql | KyselyQuery<Row>

/** Values for `$1 …` as an array, or for `:name …` as an object. */
export type Params = readonly unknown[] | Readonly<Record<string, unknown>>

/** Makes statements of one foreign builder's queries. Never asked about plain objects and arrays: JSON is no query. */
export interface Adapter {
  /** The builder's name; registering the same name again replaces the adapter. */
  readonly name: string
  match(query: object): boolean
  toStatement(query: object): Statement
  /**
   * As `toStatement`, for a query that runs later with values of its own: among the parameters `Placeholder`s stand for
   * them. Default: `toStatement`, which then must leave placeholders of ours where it finds them.
   */
  bake?(query: object): Statement
  /**
   * The SQL of an object interpolated in `` sql`…` `` (a query, table, column, condition), with placeholders counted
   * from `$1`; `undefined` when the object is none of the builder's.
   */
  compileEmbedded?(value: object): Pick<Statement, 'sql' | 'params'> | undefined
}

/** Adapters by name, in order of registration. Only `registerAdapter` writes. */
const registered = new Map<string, Adapter>()

/** Teaches every engine of the process the queries of a builder. Called by a builder's subpath when it is imported. */
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
export function adapt<Row>(query: Query<Row>, most?: number): Statement<Row>
export function adapt(query: unknown, most?: number): Statement
export function adapt(query: unknown, most = 0): Statement {
  if (isQuery(query)) return query[toStatement](most)
  return adapterOf(query).toStatement(query as object)
}

/**
 * The statement of a query that is baked, with `Placeholder`s among its parameters; a function is called with
 * placeholders for its argument and gives the query. Throws as `adapt` does.
 */
export function adaptBaked(given: unknown, placeholders: () => object): Statement {
  const query: unknown = typeof given === 'function' && !isQuery(given) ? given(placeholders()) : given
  if (typeof query === 'string')
    throw new UsageError('The function of a baked query gives a query, as sql`…`: text alone has no values.')
  if (isQuery(query)) return query[toStatement]()
  const adapter = adapterOf(query)
  return adapter.bake === undefined ? adapter.toStatement(query as object) : adapter.bake(query as object)
}

function adapterOf(query: unknown): Adapter {
  if (typeof query !== 'object' || query === null) throw new UsageError(unusable(query, undefined))
  if (!isPlain(query)) for (const adapter of registered.values()) if (adapter.match(query)) return adapter
  throw new UsageError(unusable(query, builderOf(query)))
}

/** The SQL of an object interpolated in a fragment by the first adapter that knows it. */
export function embed(value: object): Pick<Statement, 'sql' | 'params'> | undefined {
  if (isPlain(value) || ArrayBuffer.isView(value) || value instanceof Date) return undefined
  for (const adapter of registered.values()) {
    const made = adapter.compileEmbedded?.(value)
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
