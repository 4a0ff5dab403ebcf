// Instances of the values of a row that stand one after another, and how what belongs to them is put into them. Loaders of queries
// and of the option `into` read rows by it.
import { Column, is, SQL } from 'drizzle-orm'
import { isSqlLike, render } from '../../builder/drizzle/core/render.ts'
import { UsageError } from '../../errors/index.ts'
import type { Expression } from '../meta/expressions.ts'
import { isModel, metaOf, type ModelLike, type ModelMeta, modelName } from '../meta/model-meta.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import { Row } from '../meta/row.ts'
import type { Call } from '../../sql/statement.ts'
import type { Shared } from './shared.ts'

export type Values = readonly unknown[]
export type Instance = Record<string, unknown>
/** Makes the object of one row. */
export type Read<R = unknown> = (values: Values, shared: Shared) => R
/** Puts a member into the object of one row. */
export type Attach = (instance: Instance, values: Values, shared: Shared) => void

/** The values of the columns of the model begin at `start`. `loaded`: the names of what is attached. */
export function instances(
  model: ModelLike,
  start: number,
  loaded: readonly string[],
  attach: readonly Attach[],
): Read<Instance> {
  const meta = metaOf(model)
  const keys = meta.columns.map(({ key }) => key)
  const end = start + keys.length
  const { afterLoad } = meta.hooks
  const blank = meta.specOf(model).make as () => Instance
  const { keep } = meta
  return (values, shared) => {
    const instance = blank()
    for (let at = start; at < end; at++) instance[keys[at - start] as string] = values[at]
    keep?.(instance)
    if (loaded.length > 0) Row.setLoaded(instance, loaded)
    afterLoad?.(instance)
    for (let at = 0; at < attach.length; at++) (attach[at] as Attach)(instance, values, shared)
    return instance
  }
}

/** Columns of the key whose values are null only where the server's are: a custom type may read a value as null. */
export function plainKey({ primaryKey }: ModelMeta): readonly ModelColumn[] {
  return primaryKey.filter(({ isCustom, isJson }) => !isCustom && !isJson)
}

/** Null where a join found nothing: without a key, or without any value if the model has no key that tells. */
export function unlessMissing(read: Read, meta: ModelMeta, start: number): Read {
  const { columns } = meta
  const key = plainKey(meta)
  const identity = (key.length > 0 ? key : columns).map((column) => start + columns.indexOf(column))
  return (values, shared) => (identity.every((at) => values[at] === null) ? null : read(values, shared))
}

/** The same by a value of the row that says whether it is there. */
export function ifThere(read: Read, at: number): Read {
  return (values, shared) => (values[at] ? read(values, shared) : null)
}

/** `places` are those of the values of the row. */
export function attachCalled(key: string, call: Call, places: Places): Attach {
  return (instance, values, shared) => {
    instance[key] = noModel(call(instance, shared.context, new WholeRow(places, values)), key)
  }
}

/** Where the values of expressions are in a row. */
export class Places {
  readonly #items: readonly Expression[]
  readonly #known = new Map<unknown, number>()

  constructor(items: readonly Expression[]) {
    this.#items = items
  }

  /** -1: it was not read. */
  of(expression: unknown): number {
    const known = this.#known.get(expression)
    if (known !== undefined) return known
    const at = this.#items.indexOf(expression as Expression)
    const found = at < 0 ? this.#equalTo(expression) : at
    // A function may write the same expression again for each row. Not all of them are kept.
    if (this.#known.size < 100) this.#known.set(expression, found)
    return found
  }

  #equalTo(expression: unknown): number {
    if (!is(expression, Column) && !is(expression, SQL) && !is(expression, SQL.Aliased)) return -1
    const text = textOf(expression)
    return this.#items.findIndex((item) => textOf(item) === text)
  }
}

function textOf(expression: Expression): string {
  const { sql, params } = render(is(expression, SQL.Aliased) ? expression.sql : expression)
  return JSON.stringify([sql, is(expression, SQL.Aliased) ? expression.fieldAlias : null, params.map(String)])
}

/** All that was read of a row. (GINO: the row of a `CallableLoader`.) */
abstract class ReadRow {
  /** Undefined for what was not read. */
  abstract find(expression: unknown): unknown

  get(expression: unknown): unknown {
    const value = this.find(expression)
    if (value === undefined) throw notRead(expression)
    return value
  }
}

/** A row that came by one statement. */
export class WholeRow extends ReadRow {
  readonly #places: Places
  readonly #values: Values

  constructor(places: Places, values: Values) {
    super()
    this.#places = places
    this.#values = values
  }

  override find(expression: unknown): unknown {
    const at = this.#places.of(expression)
    return at < 0 ? undefined : this.#values[at]
  }
}

/** Of objects that others have, while these are loaded. */
export const wholeRows: WeakMap<object, SeparateRow> = new WeakMap()

/** The part of a row that came by this statement, and by those of the single objects that belong to it. */
export class SeparateRow extends ReadRow {
  readonly #own: WholeRow
  readonly #ones: readonly ((expression: unknown) => unknown)[]

  constructor(own: WholeRow, ones: readonly ((expression: unknown) => unknown)[]) {
    super()
    this.#own = own
    this.#ones = ones
  }

  override find(expression: unknown): unknown {
    let value = this.#own.find(expression)
    for (const one of this.#ones) if (value === undefined) value = one(expression)
    return value
  }
}

function notRead(expression: unknown): UsageError {
  const isColumn = is(expression, Column)
  const what = isColumn
    ? `The column ${render(expression).sql}`
    : isSqlLike(expression)
      ? 'The expression'
      : 'A value that is no column and no expression'
  return new UsageError(
    `${what} is not in the row: a function of load() has the columns of the tables that are loaded or joined, and the expressions of the loader. Load it beside the function.`,
  )
}

export function attachRead(key: string, read: Read): Attach {
  return (instance, values, shared) => put(instance, key, read(values, shared))
}

/** @throws {UsageError} for a model, which `() => Team` would give instead of a team. */
export function noModel(value: unknown, member: string | null): unknown {
  if (typeof value !== 'function' || !isModel(value)) return value
  const name = modelName(value)
  throw new UsageError(
    `A loader${member === null ? '' : ` of '${member}'`} is a function that gives the model ${name}, not an object. Give ${name} itself; where modules import each other, write the loader inside of the function that uses it.`,
  )
}

/** A method of the model is called with the value, as GINO's `add_child`, unless that is null. Anything else is assigned. */
export function put(instance: Instance, key: string, value: unknown): void {
  const member = instance[key]
  if (typeof member === 'function') {
    if (value !== null) (member as (this: object, value: unknown) => void).call(instance, value)
  } else instance[key] = value
}
