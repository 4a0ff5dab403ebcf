// The type of a model: its statics, its instances, its aliases. Every static that yields instances takes `this: C`, so
// that a subclass gets its own instances; none is a getter, because a getter cannot say that.
import type { Column, SQL, Table } from 'drizzle-orm'
import type { Db } from '../../db/db.ts'
import type { Fragment } from '../../sql/tag.ts'
import type { Handle } from '../../engine/handle.ts'
import type { QueryOptions } from '../../engine/query/query-options.ts'
import type { Update } from '../crud/update.ts'
import type { Loaded, Loader, LoaderLike, Attach } from './loader.ts'
import type { ModelStatics } from './statics.ts'
import type { ColumnsAndProps, Id, InsertOf, JsonRow, RowOf, SetOf } from './values.ts'

export declare const modelTypes: unique symbol

interface ModelTypes {
  insert: object
  id: unknown
  set: object
  row: object
  names: string
}

/** Options of a call. A connection or a transaction in place of them is `{ on: handle }`. */
export interface CallOptions extends QueryOptions {}

/** The unique key that tells whether a row is there already. (PostgreSQL: ON CONFLICT.) */
export interface ConflictTarget<Keys extends string> {
  /** Its columns, or SQL for what an index has of expressions. */
  readonly target?: readonly (Keys | Column | SQL)[] | undefined
  /** The condition of a partial unique index; default the one that the table declares for these columns. */
  readonly targetWhere?: SQL | undefined
}

/** `target`: default the primary key. */
export interface UpsertOptions<Keys extends string, Set extends object = object>
  extends CallOptions, ConflictTarget<Keys> {
  /**
   * What changes in a row that is there already: keys of what was given, or other values, whose SQL may name the columns of
   * that row (`User.c.visits`). Default every key that the caller gave and that is not in the target.
   */
  readonly update?: readonly Keys[] | Set | undefined
}

/** `target`: default any unique key, and any exclusion constraint. */
export interface IgnoreOptions<Keys extends string> extends CallOptions, ConflictTarget<Keys> {}

// oxlint-disable typescript/no-explicit-any -- any constructor; positions that are not inferred
export interface AnyModel {
  new (...args: any[]): object
  readonly c: object
  readonly table: Table
  readonly [modelTypes]: ModelTypes
}

/** The conditions of an object: equal to the value, `null` is NULL, a list is any of its values. Undefined is refused. */
export type Filter<Row> = { readonly [K in keyof Row]?: Row[K] | readonly (Row[K] | null)[] | null }

/** The same table under another name, for self-joins. (GINO: `Model.alias()`.) */
export interface Aliased<C extends AnyModel> {
  readonly c: C['c']
  readonly of: C
  load<M extends Record<string, LoaderLike>>(map: M): Loader<InstanceType<C> & { [K in keyof M]: Attach<M[K]> }>
  on(condition: SQL | Fragment): Loader<InstanceType<C>>
  distinct(...by: Column[]): Distinct<InstanceType<C>>
}

export interface Distinct<Self> extends Loader<Self> {
  load<M extends Record<string, LoaderLike>>(map: M): Loader<Self & { [K in keyof M]: Attach<M[K]> }>
}

export interface ModelInstance<Row, Set, Json = Row> {
  /**
   * Changes columns and JSON properties: here at once, in the database when it is awaited or applied.
   * @throws {UnknownColumnError} for keys that there are not.
   */
  update(values: Set): Update<this, Set>
  /** Deletes the row of this instance. @throws {NoSuchRowError} when it is gone. */
  delete(options?: CallOptions | Handle): Promise<void>
  /** Reads the row again into this instance. @throws {NoSuchRowError} when it is gone. */
  reload(options?: CallOptions | Handle): Promise<this>
  /** The condition that finds the row of this instance: its primary key, unless a subclass says otherwise. */
  lookup(): SQL
  /**
   * A plain object of the columns and JSON properties, without what is hidden; loaded instances too. A column that keeps
   * JSON properties is replaced by them.
   * @throws {UnknownJsonPropertyError} when it holds a key that is none of them.
   */
  toJSON(): Json
}

export interface ModelClass<
  D,
  T extends Table,
  J,
  PK extends string | readonly string[],
  H extends string = never,
> extends ModelStatics {
  /** An instance in memory, with these values; it is no row yet. */
  new (
    values?: Partial<RowOf<T, J>>,
  ): RowOf<T, J> & ModelInstance<RowOf<T, J>, SetOf<T, J>, JsonRow<Omit<RowOf<T, J>, H | keyof J>>>
  readonly [modelTypes]: {
    insert: InsertOf<T, J>
    id: Id<T, PK>
    set: SetOf<T, J>
    row: RowOf<T, J>
    names: D extends Db<infer N> ? N : never
  }
  /** The table, or view, of Drizzle. */
  readonly table: T
  /** The columns by key, and an SQL expression for each JSON property: for conditions, orders and loaders. */
  readonly c: ColumnsAndProps<T, J>
}

export type { Loaded }
