// Instances out of the process, as types: the results of their `toJSON`, with all that a loader attached.
import type { SQL } from 'drizzle-orm'
import type { Simplify, WithoutBigint } from './values.ts'

declare const attached: unique symbol

/** Names what a loader has attached, for the type of `plain()`. No object has such a member. */
export interface Attached<K> {
  readonly [attached]?: K
}

/** The names of what a loader has attached. */
type AttachedTo<T> = typeof attached extends keyof T
  ? Extract<NonNullable<T[typeof attached & keyof T]>, keyof T>
  : never

// oxlint-disable typescript/no-explicit-any -- what is only looked at is not inferred
type Method = (...args: never) => any

/** The least that tells an instance. */
interface Instance {
  lookup(): SQL
  toJSON(): any
}

/** The names of what a loader has attached, but for methods, which were called with it. */
type Loaded<T> = { [K in AttachedTo<T>]-?: T[K] extends Method ? never : K }[AttachedTo<T>]

/** The names of other fields of the class that may hold instances. */
type Held<T> = {
  [K in keyof T]-?: T[K] extends Method ? never : NonNullable<T[K]> extends Instance | readonly Instance[] ? K : never
}[keyof T]

/**
 * Never for an instance that has more than its row. Within a class, where `this` may be anything, compilers do not take it for never. So
 * an override of `toJSON` there needs only the members of the row.
 */
type Bare<T, Row> = [AttachedTo<T>] extends [never]
  ? [Exclude<Held<T>, keyof Row>] extends [never]
    ? 'bare'
    : never
  : never

/** A field of the class is left out while it holds no instance. */
type More<T, Row> = { [K in Loaded<T>]: WithoutBigint<Plain<T[K]>> } & {
  [K in Exclude<Held<T>, Loaded<T> | keyof Row>]?: Plain<NonNullable<T[K]>>
}

/** The result of `toJSON` of an instance, whose columns and properties are those of `Row`. */
export type Shown<T, Row> = [Bare<T, Row>] extends [never] ? Simplify<Row & More<T, Row>> : Row

/** Instances become what their `toJSON` gives, with what is loaded into them; lists and plain objects of them too. */
export type Plain<T> = T extends Date | Method
  ? T
  : T extends Instance
    ? ReturnType<T['toJSON']>
    : T extends readonly (infer E)[]
      ? Plain<E>[]
      : T extends object
        ? { [K in keyof T]: Plain<T[K]> }
        : T
