// `plain(value)`: what leaves the process of the models, such as the props of a client component.
import type { ModelInstance } from '../types/model.ts'
import { plainOf } from './plain.ts'

// oxlint-disable typescript/no-explicit-any -- positions that are not inferred
type Instance = ModelInstance<any, any, any>

/** The keys of what a loader has attached to an instance. */
type Loaded<T> = { [K in keyof T]: NonNullable<T[K]> extends Instance | readonly Instance[] ? K : never }[keyof T]

/** Instances become what their `toJSON` gives, with what is loaded into them; lists and plain objects of them too. */
export type Plain<T> = T extends Date | ((...args: never) => unknown)
  ? T
  : T extends Instance
    ? ReturnType<T['toJSON']> & { [K in Loaded<T>]: Plain<T[K]> }
    : T extends readonly (infer E)[]
      ? Plain<E>[]
      : T extends object
        ? { [K in keyof T]: Plain<T[K]> }
        : T

/**
 * Instances as plain objects, which frameworks can hand from server to client components: an instance, a list of them, or an
 * object that holds some. Dates stay dates. A function and no method, because a method would take the name of a column.
 * @throws {UnknownJsonPropertyError} as `toJSON()`.
 */
export function plain<T>(value: T): Plain<T> {
  return plainOf(value) as Plain<T>
}
