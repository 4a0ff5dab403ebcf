// `json.string()` and the other kinds: descriptions of JSON properties, given to `Model()` by the column that keeps them.
import type { SQL } from 'drizzle-orm'
import { callback, must, type Checks, readOptions } from '../../util/options.ts'
import type { JsonProp } from '../types/values.ts'
import { type JsonKind, kinds } from './kinds.ts'
import type { PropertyOptions } from './property.ts'

/** Options of a JSON property. */
export interface PropOptions<V> {
  /**
   * The value that is read when the property is missing, or a function that makes it. New rows store it, unless there is an
   * `afterGet`.
   */
  readonly default?: V | (() => V)
  /** Its key in the JSON; default: its name. */
  readonly prop?: string | undefined
  /** Changes what is stored; gets what was assigned. (GINO: `before_set`.) */
  readonly beforeSet?: ((value: V | null) => V | null) | undefined
  /** Changes what is read; gets what is stored, or the default. (GINO: `after_get`.) */
  readonly afterGet?: ((value: V | null) => V | null) | undefined
  /** Changes what `Model.c` has of it. (GINO: `expression`.) */
  readonly expression?: ((expression: SQL<V | null>) => SQL) | undefined
}

/** Makes a property of one kind. With a default it is never null. */
export interface PropFn<V> {
  (): JsonProp<V | null>
  (options: PropOptions<V> & { readonly default: V | (() => V) }): JsonProp<V>
  (options: PropOptions<V>): JsonProp<V | null>
}

/** Kinds of JSON properties, for the option `json` of a model. */
export interface Json {
  readonly string: PropFn<string>
  /** A whole number that a `number` holds exactly; `bigint` in SQL. */
  readonly integer: PropFn<number>
  /** A finite number; `double precision` in SQL. */
  readonly number: PropFn<number>
  readonly boolean: PropFn<boolean>
  /** A `Date`, kept as ISO 8601 in UTC; `timestamptz` in SQL. */
  readonly dateTime: PropFn<Date>
  /** An object; an update merges its members into those that are stored, to any depth. */
  object<V extends object>(options: PropOptions<V> & { readonly default: V | (() => V) }): JsonProp<V>
  object<V extends object>(options?: PropOptions<V>): JsonProp<V | null>
  /** A list, replaced as a whole. */
  array<V>(options: PropOptions<V[]> & { readonly default: V[] | (() => V[]) }): JsonProp<V[]>
  array<V>(options?: PropOptions<V[]>): JsonProp<V[] | null>
}

/** A property before it has a name. */
export class PropertyDraft {
  readonly kind: JsonKind
  readonly options: PropertyOptions

  constructor(kind: JsonKind, options: PropertyOptions) {
    this.kind = kind
    this.options = options
  }
}

const checks: Checks<PropOptions<unknown>> = {
  // Which values it may have depends on the kind.
  default: () => undefined,
  prop: must('a text', (value) => typeof value === 'string'),
  beforeSet: callback,
  afterGet: callback,
  expression: callback,
}

function maker(kind: JsonKind, name: string): (options?: unknown) => never {
  return (options) => new PropertyDraft(kind, readOptions<PropertyOptions>(options, checks, name)) as never
}

/** Properties kept in a json or jsonb column: `{ json: { profile: { nickname: json.string() } } }`. (GINO: `JSONProperty`.) */
export const json: Json = {
  string: maker(kinds.string, 'json.string()'),
  integer: maker(kinds.integer, 'json.integer()'),
  number: maker(kinds.number, 'json.number()'),
  boolean: maker(kinds.boolean, 'json.boolean()'),
  dateTime: maker(kinds.dateTime, 'json.dateTime()'),
  object: maker(kinds.object, 'json.object()'),
  array: maker(kinds.array, 'json.array()'),
}
