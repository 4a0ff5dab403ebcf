// The type of what `scalar()` gives: of the one column that is selected, where types know which it is.
declare const firstOf: unique symbol

/** Names the type of the first column of the rows of a query. No object has such a member. */
export interface ToValue<V> {
  readonly [firstOf]?: V
}

/** Whether a type of keys is that of one alone. */
type IsOne<K, All = K> = [K] extends [never] ? false : K extends unknown ? ([All] extends [K] ? true : false) : never

/** The member of rows that have one; unknown for all others. */
export type OnlyMember<Row> = [Row] extends [object]
  ? IsOne<keyof Row> extends true
    ? Row[keyof Row]
    : unknown
  : unknown

/** The same for rows of a builder. What is an object there may be a column of JSON, or hold the columns of a table. */
export type OnlyColumn<Row> =
  OnlyMember<Row> extends infer V
    ? NonNullable<V> extends Date | readonly unknown[]
      ? V
      : NonNullable<V> extends object
        ? unknown
        : V
    : never
