// The type of a model: its statics, its instances, its aliases. Every static that yields instances takes `this: C`, so
// that a subclass gets its own instances; none is a getter, because a getter cannot say that.
import type { Column, SQL, Table } from 'drizzle-orm'
import type { databaseNames, databaseTenants } from '../../db/places.ts'
import type { Fragment } from '../../sql/tag.ts'
import type { Handle } from '../../engine/context/frame.ts'
import type { QueryOptions } from '../../engine/query/query-options.ts'
import type { Update } from './writes.ts'
import type { AliasColumns, AliasName, Attach, Loaded, Loader, LoaderLike, OfTable } from './loader.ts'
import type { Attached, Shown } from './plain.ts'
import type { ModelStatics } from './statics.ts'
import type { ColumnsAndProps, Id, InsertOf, JsonRow, RowOf, SetOf } from './values.ts'

export declare const modelTypes: unique symbol

interface ModelTypes {
  insert: object
  id: unknown
  set: object
  row: object
  places: unknown
}

/** Options of a call. A connection or transaction in place of them means `{ on: handle }`. */
export interface CallOptions extends QueryOptions {}

/** The unique key that decides whether a row already exists. (PostgreSQL: ON CONFLICT.) */
export interface ConflictTarget<Keys extends string> {
  /** Its columns, or SQL for the expressions of an index. */
  readonly target?: readonly (Keys | Column | SQL)[] | undefined
  /** The condition of a partial unique index. Default: the one that the table declares for these columns. */
  readonly targetWhere?: SQL | undefined
}

/** Default of `target`: the primary key. */
export interface UpsertOptions<Keys extends string, Set extends object = object>
  extends CallOptions, ConflictTarget<Keys> {
  /**
   * The changes to an existing row: keys of the given values, or other values. Their SQL may use the columns of the existing
   * row (`User.c.visits`). Default: every given key that is not in the target.
   */
  readonly update?: readonly Keys[] | Set | undefined
}

/** Default of `target`: any unique key and any exclusion constraint. */
export interface IgnoreOptions<Keys extends string> extends CallOptions, ConflictTarget<Keys> {}

// oxlint-disable typescript/no-explicit-any -- any constructor; positions that are not inferred
/** Any class that was made by `Model()`. */
export interface AnyModel {
  new (...args: any[]): object
  /** Its columns, by their keys. */
  readonly c: object
  readonly table: Table
  readonly [modelTypes]: ModelTypes
}

/**
 * Conditions as an object: a value means equal, `null` means IS NULL, a list means any of its values, but for columns whose values are
 * lists. Undefined is refused.
 */
export type Filter<Row> = {
  readonly [K in keyof Row]?: NonNullable<Row[K]> extends readonly unknown[]
    ? Row[K] | null
    : Row[K] | readonly (Row[K] | null)[] | null
}

/** The same table under another name, for self-joins. (GINO: `Model.alias()`.) */
export interface Aliased<C extends AnyModel> {
  /** Its columns. */
  readonly c: AliasColumns<C['c']>
  /** The model. */
  readonly of: C
  /** A loader with further members, as `load()` of a model. */
  load<M extends Record<string, LoaderLike>>(
    map: M,
  ): Loader<InstanceType<C> & { [K in keyof M]: Attach<M[K], OfTable<AliasName<InstanceType<C>>>> } & Attached<keyof M>>
  /** A loader that is joined by this condition. */
  on(condition: SQL | Fragment): Loader<InstanceType<C>>
  /** A loader whose objects are told apart by these columns. */
  distinct(...by: Column[]): Distinct<InstanceType<C>>
}

/** A loader whose objects are told apart by columns, as `distinct()` gives it. */
export interface Distinct<Self> extends Loader<Self> {
  load<M extends Record<string, LoaderLike>>(
    map: M,
  ): Loader<Self & { [K in keyof M]: Attach<M[K], Self> } & Attached<keyof M>>
}

/** The methods of every instance. An instance stands for one row. */
export interface ModelInstance<Row, Set, Json = Row> {
  /**
   * Changes columns and JSON properties. The instance changes at once, the database when it is awaited or applied.
   * @throws {UnknownColumnError} for unknown keys.
   */
  update(values: Set): Update<this, Set>
  /** Deletes the row of this instance. @throws {NoSuchRowError} when it is gone. */
  delete(options?: CallOptions | Handle): Promise<void>
  /** Reads the row again into this instance. @throws {NoSuchRowError} when it is gone. */
  reload(options?: CallOptions | Handle): Promise<this>
  /** The condition that finds the row of this instance. Default: its primary key. A subclass may override it. */
  lookup(): SQL
  /**
   * A plain object of the columns and JSON properties, without hidden ones, and of what a loader attached. A column
   * that stores JSON properties is replaced by them.
   * @throws {UnknownJsonPropertyError} when such a column holds a key that is not a declared property.
   */
  toJSON(): Shown<this, Json>
}

/** The argument of `using()`: a name, or a place with more. */
type PlacesOf<D> = D extends { readonly [databaseNames]: infer N; readonly [databaseTenants]: infer T }
  ? N | 'main' | ModelPlace<N | 'main', T>
  : never

/** A database by name, and optionally a schema or a tenant in it. */
export interface ModelPlace<Names, Tenant> {
  readonly database?: Names | undefined
  readonly schema?: string
  /** Schemas after it in the search path. Default: as in `tenancy`. */
  readonly shared?: readonly string[] | undefined
  /** Null: explicitly none. */
  readonly tenant?: Tenant | null
  /** With replicas: where its reads go. Writes go to the primary. */
  readonly from?: 'primary' | 'replica' | undefined
}

/**
 * The class that `Model()` returns, which you extend.
 *
 * @typeParam D The database or its type.
 * @typeParam T The table.
 * @typeParam J Its JSON properties.
 * @typeParam PK The keys of the columns of its key.
 * @typeParam H The keys of its hidden columns.
 */
export interface ModelClass<
  D,
  T extends Table,
  J,
  PK extends string | readonly string[],
  H extends string = never,
> extends ModelStatics {
  /** Makes an instance in memory with these values. It is not a row yet. */
  new (
    values?: Partial<RowOf<T, J>>,
  ): RowOf<T, J> &
    ModelInstance<RowOf<T, J>, SetOf<T, J>, JsonRow<Omit<RowOf<T, J>, H | keyof J>>> &
    OfTable<T['_']['name']>
  readonly [modelTypes]: {
    insert: InsertOf<T, J>
    id: Id<T, PK>
    set: SetOf<T, J>
    row: RowOf<T, J>
    places: PlacesOf<D>
  }
  /** The Drizzle table or view. */
  readonly table: T
  /** The columns by key, and an SQL expression for each JSON property: for conditions, orders and loaders. */
  readonly c: ColumnsAndProps<T, J>
}

export type { Loaded }
