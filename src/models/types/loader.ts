// What a loader makes of the rows of a query, as types.
import type { Column, SQL } from 'drizzle-orm'
import type { Aliased, AnyModel } from './model.ts'

export declare const loads: unique symbol

/** How rows become objects: made by `Model.load`, `distinct`, `on`, `many` and `literal`. Immutable. */
export interface Loader<R> {
  readonly [loads]: R
  /** Joins by this condition instead of the foreign key. (GINO: `load(…).on()`.) */
  on(condition: SQL): Loader<R>
}

/** A list: all the rows of the many side. */
export interface Many<R> {
  readonly many: R
  /** Joins by this condition instead of the foreign key. */
  on(condition: SQL): Many<R>
}

// oxlint-disable typescript/no-explicit-any -- positions that are not inferred
export type LoaderLike =
  | Loader<any>
  | AnyModel
  | Aliased<any>
  | Column
  | SQL<any>
  | SQL.Aliased<any>
  | Many<any>
  | readonly LoaderLike[]
  | ((row: any, context: any) => unknown)
  | (new (row: any, context?: any) => object)

/** Models first: they are what is loaded mostly, and each further test is a level of depth for the compiler. */
export type Loaded<L> = L extends AnyModel
  ? InstanceType<L>
  : L extends Loader<infer R>
    ? R
    : L extends Aliased<infer C>
      ? InstanceType<C>
      : L extends Many<infer R>
        ? R[]
        : LoadedValue<L>

type LoadedValue<L> = L extends Column
  ? L['_']['notNull'] extends true
    ? L['_']['data']
    : L['_']['data'] | null
  : L extends SQL<infer V>
    ? V
    : L extends SQL.Aliased<infer V>
      ? V
      : L extends (...a: any[]) => infer R
        ? R
        : L extends new (...a: any[]) => infer R
          ? R
          : L extends readonly LoaderLike[]
            ? { -readonly [I in keyof L]: Loaded<L[I]> }
            : never

/** A nested model may be missing (LEFT JOIN): null. A `many` is `[]`. */
type Attach<L> = L extends AnyModel
  ? InstanceType<L> | null
  : L extends Loader<infer R>
    ? R | null
    : L extends Aliased<infer C>
      ? InstanceType<C> | null
      : Loaded<L>

export type With<Self, M> = Self & { [K in keyof M]: Attach<M[K]> }
