// The types of the objects that a loader makes of the rows of a query.
import type { Column, SQL } from 'drizzle-orm'
import type { loads } from '../../sql/into.ts'
import type { Fragment } from '../../sql/tag.ts'
import type { Aliased, AnyModel } from './model.ts'

/** Turns rows into objects. Made by `Model.load`, `distinct`, `on`, `many` and `literal`. Immutable. */
export interface Loader<R> {
  readonly [loads]: R
  /** Joins by this condition instead of the foreign key. (GINO: `load(…).on()`.) */
  on(condition: SQL | Fragment): Loader<R>
}

/** A list of all the rows of the many side. */
export interface Many<R> {
  readonly many: R
  /** Joins by this condition instead of the foreign key. */
  on(condition: SQL | Fragment): Many<R>
}

/** Options of `many()`. */
export interface ManyOptions {
  /** For many-to-many: the model of the table between the two, which has the foreign keys to both. */
  readonly through?: AnyModel | Aliased<AnyModel> | undefined
}

/** All that a query has read of one row. A function in `load()` gets it as its third argument. */
export interface LoadedRow {
  /**
   * The value of a column of any table or alias in the row, or of an expression that the loader has. Null where a join found nothing.
   * @throws {UsageError} for what was not read.
   */
  get<L extends Column | SQL | SQL.Aliased>(of: L): Loaded<L> | null
}

// The members by which types know a loader. They are few, because a comparison of whole interfaces would compare everything a model has.
interface HasRow<R> {
  readonly [loads]: R
}
interface HasModel<C extends AnyModel> {
  readonly of: C
}
interface HasList<R> {
  readonly many: R
}

// oxlint-disable typescript/no-explicit-any -- positions that are not inferred
/**
 * A value that makes something of a row: a model, a loader, a list, a column, an expression of SQL, a function, or a list of these for a
 * tuple.
 */
export type LoaderLike =
  | AnyModel
  | HasRow<any>
  | HasModel<any>
  | HasList<any>
  | Column
  | SQL<any>
  | SQL.Aliased<any>
  | readonly LoaderLike[]
  | ((row: any, context: any, whole: LoadedRow) => unknown)
  | (new (row: any, context: any, whole: LoadedRow) => object)

declare const ofTable: unique symbol

/** Names the table whose rows instances stand for. No object has such a member. */
export interface OfTable<Name> {
  readonly [ofTable]?: Name
}

declare const ofAlias: unique symbol

/** A column of an alias. No object has such a member. */
export interface OfAlias {
  readonly [ofAlias]?: true
}

/** The columns of an alias. */
export type AliasColumns<Columns> = {
  readonly [K in keyof Columns]: Columns[K] extends Column ? Columns[K] & OfAlias : Columns[K]
}

/** The name of the rows of an alias. */
export type AliasName<Instance> = Instance extends OfTable<infer N extends string> ? `alias of ${N}` : unknown

type TableOf<L extends Column> = typeof ofAlias extends keyof L
  ? `alias of ${L['_']['tableName']}`
  : L['_']['tableName']

/** A column of another table is null where its row is missing (LEFT JOIN), as a model is. */
type Value<L extends Column, Row> = L['_']['notNull'] extends true
  ? Row extends OfTable<infer N>
    ? TableOf<L> extends N
      ? L['_']['data']
      : L['_']['data'] | null
    : L['_']['data']
  : L['_']['data'] | null

/** The type of the value that a loader makes of a row. `Row` is the instance of that row alone. */
export type Loaded<L, Row = unknown> = L extends AnyModel
  ? InstanceType<L>
  : L extends HasRow<infer R>
    ? R
    : L extends HasModel<infer C>
      ? InstanceType<C>
      : L extends HasList<infer R>
        ? R[]
        : L extends Column
          ? Value<L, Row>
          : L extends SQL<infer V>
            ? V
            : L extends SQL.Aliased<infer V>
              ? V
              : L extends (...a: any[]) => infer R
                ? R
                : L extends new (...a: any[]) => infer R
                  ? R
                  : L extends readonly LoaderLike[]
                    ? { -readonly [I in keyof L]: Loaded<L[I], Row> }
                    : never

/** The type of the first column that a loader selects, as far as types know it. */
export type FirstLoaded<L, Row> = L extends Column | SQL<any> | SQL.Aliased<any>
  ? Loaded<L, Row>
  : L extends readonly [infer First, ...(readonly unknown[])]
    ? FirstLoaded<First, Row>
    : unknown

/** A nested model is null when its row is missing (LEFT JOIN). A `many` is then `[]`. */
export type Attach<L, Row = unknown> = L extends AnyModel | HasRow<any> | HasModel<any>
  ? Loaded<L> | null
  : Loaded<L, Row>
