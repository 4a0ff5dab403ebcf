// The types of rows, inserts, changes and keys, made of a Drizzle table and the options of a model. Types only;
// they hold on Drizzle 0.45 and 1.0, which erase different things (1.0 forgets primary keys, both hide composite ones).
import type { Column, InferInsertModel, InferSelectModel, SQL, Table, View } from 'drizzle-orm'

export type Simplify<T> = { [K in keyof T]: T[K] } & {}

/** The columns of a table by their TypeScript keys. */
export type Columns<T extends Table> = T['_']['columns']

export type Key<T extends Table> = keyof InferSelectModel<T> & string

/** The primary key as far as types know it: Drizzle 1.0 forgets it, and a composite one is nowhere. */
export type DefaultPk<T extends Table> = [PrimaryKey<T>] extends [never]
  ? 'id' extends Key<T>
    ? 'id'
    : never
  : PrimaryKey<T>

type PrimaryKey<T extends Table> = {
  [K in Key<T>]: Columns<T>[K]['_'] extends { readonly isPrimaryKey: true } ? K : never
}[Key<T>]

type Field<T extends Table, K> = InferSelectModel<T> extends infer R ? (K extends keyof R ? R[K] : never) : never

/** The argument of `get`: a value, or for a composite key an object or a tuple in the order of `pk`. */
export type Id<T extends Table, PK extends string | readonly string[]> = [PK] extends [never]
  ? { readonly __error: 'the types do not know the key of this table: pass { pk } to Model()' }
  : PK extends readonly []
    ? { readonly __error: 'this view was said to have no key' }
    : PK extends readonly [infer One extends string]
      ? Field<T, One>
      : PK extends readonly string[]
        ? Simplify<{ [K in PK[number]]: Field<T, K> }> | { readonly [I in keyof PK]: Field<T, PK[I]> }
        : Field<T, PK>

export type RowOf<T extends Table, J> = Simplify<InferSelectModel<T> & JsonOut<J>>

/** A value as in JSON: a bigint is text. */
export type JsonRow<R> = { [K in keyof R]: WithoutBigint<R[K]> } & {}

export type WithoutBigint<V> = V extends bigint
  ? string
  : V extends readonly (infer E)[]
    ? bigint extends E
      ? WithoutBigint<E>[]
      : V
    : V

type WithSql<R> = { [K in keyof R]: R[K] | SQL }

/** Never for a view, which is only read. */
export type InsertOf<T extends Table, J> = T extends ViewMark
  ? never
  : Simplify<WithSql<InferInsertModel<T> & JsonIn<J>>>

/** Without generated columns, which are never written. */
export type SetOf<T extends Table, J> = T extends ViewMark
  ? never
  : Simplify<{
      [K in keyof (InferInsertModel<T> & JsonOut<J>) & keyof (InferSelectModel<T> & JsonOut<J>)]?:
        | (InferSelectModel<T> & JsonOut<J>)[K]
        | SQL
        | undefined
    }>

interface ViewMark {
  readonly viewMark: true
}

/** A view as if it were a table, with the columns of the view. */
export type ViewTable<V extends View> = Omit<Table, '_'> & {
  readonly _: Omit<Table['_'], 'columns' | 'name'> & {
    readonly columns: OnlyColumns<V['_']['selectedFields']>
    readonly name: V['_']['name']
  }
} & ViewMark

type OnlyColumns<F> = { [K in keyof F as F[K] extends Column ? K : never]: Extract<F[K], Column> }

/** Columns by key, and an SQL expression for each JSON property. */
export type ColumnsAndProps<T extends Table, J> = Simplify<Columns<T> & JsonExprs<J>>

/** Names an instance may not take from a column. */
export type Reserved = 'update' | 'delete' | 'reload' | 'lookup' | 'toJSON'

/** `unknown` for a table a model can have, else an object whose only key is the reason. */
export type CheckColumns<T extends Table> =
  Extract<keyof Columns<T>, Reserved> extends never
    ? unknown
    : {
        readonly __error: `column '${Extract<keyof Columns<T>, Reserved> & string}' has a reserved name: rename the TypeScript key of the column`
      }

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
type JsonOut<J> = {
  -readonly [P in keyof Props<J>]: Props<J>[P] extends JsonProp<infer O, any, any> ? O : never
}
type JsonIn<J> = {
  -readonly [P in keyof Props<J>]?: Props<J>[P] extends JsonProp<any, infer I, any> ? I : never
}
type JsonExprs<J> = {
  readonly [P in keyof Props<J>]: Props<J>[P] extends JsonProp<infer O, any, any> ? SQL<O> : never
}

/**
 * A schema of Zod, Valibot, ArkType or another library that follows Standard Schema.
 *
 * @see https://standardschema.dev
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** The answer of a schema: the value, maybe changed, or its complaints. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

/** A complaint of a schema about a value. */
export interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** Functions of a model that see its values on their way in and its instances on their way out. */
export interface ModelHooks {
  /** Changes or refuses what is about to be inserted; may return other values. */
  readonly beforeCreate?: ((values: Record<string, unknown>) => unknown) | undefined
  /** The same for what an update sets. */
  readonly beforeUpdate?: ((values: Record<string, unknown>, instance: object | undefined) => unknown) | undefined
  /** Gets each instance that was read. */
  readonly afterLoad?: ((instance: object) => void) | undefined
  /** Checks what `create` and `createMany` are given, before anything else. */
  readonly validate?: StandardSchema | undefined
}
