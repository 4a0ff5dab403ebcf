// JSON properties as types: what `{ json: { profile: { nickname: json.string() } } }` adds to rows, inserts and columns.
import type { SQL, Table } from 'drizzle-orm'

/** One property kept in a json or jsonb column. Made by the functions of `json`. */
export interface JsonProp<Out, In = Out, Optional extends boolean = true> {
  readonly out: Out
  readonly in: In
  readonly optional: Optional
}

/** Properties by the column that stores them: only json and jsonb columns can. */
export type JsonMap<T extends Table> = { readonly [K in JsonColumn<T>]?: Record<string, JsonProp<unknown>> }

type JsonColumn<T extends Table> = {
  [K in keyof T['_']['columns'] & string]: T['_']['columns'][K]['_']['dataType'] extends 'json' | 'object json'
    ? K
    : never
}[keyof T['_']['columns'] & string]

type UnionToIntersection<U> = (U extends unknown ? (x: U) => void : never) extends (x: infer I) => void ? I : never
// eslint-disable-next-line typescript/ban-types -- no properties
type Props<J> = [keyof J] extends [never] ? {} : UnionToIntersection<{ [K in keyof J]: J[K] }[keyof J]>

// oxlint-disable typescript/no-explicit-any -- a position that is not inferred
export type JsonOut<J> = {
  -readonly [P in keyof Props<J>]: Props<J>[P] extends JsonProp<infer O, any, any> ? O : never
}
export type JsonIn<J> = {
  -readonly [P in keyof Props<J>]?: Props<J>[P] extends JsonProp<any, infer I, any> ? I : never
}
export type JsonExprs<J> = {
  readonly [P in keyof Props<J>]: Props<J>[P] extends JsonProp<infer O, any, any> ? SQL<O> : never
}
