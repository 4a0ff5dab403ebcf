// Instances of the values of a row that stand one after another, and how what belongs to them is put into them. Loaders of queries
// and of the option `into` read rows by it.
import { UsageError } from '../../errors/index.ts'
import { isModel, metaOf, type ModelLike, type ModelMeta, modelName } from '../meta/model-meta.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import { Row } from '../meta/row.ts'
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

export function attachCalled(key: string, call: (row: unknown, context: object) => unknown): Attach {
  return (instance, _values, shared) => {
    instance[key] = noModel(call(instance, shared.context), key)
  }
}

export function attachRead(key: string, read: Read): Attach {
  return (instance, values, shared) => {
    const value = read(values, shared)
    put(instance, key, value, value !== null)
  }
}

/** @throws {UsageError} for a model, which `() => Team` would give instead of a team. */
export function noModel(value: unknown, member: string | null): unknown {
  if (typeof value !== 'function' || !isModel(value)) return value
  const name = modelName(value)
  throw new UsageError(
    `A loader${member === null ? '' : ` of '${member}'`} is a function that gives the model ${name}, not an object. Give ${name} itself; where modules import each other, write the loader inside of the function that uses it.`,
  )
}

/** A method of the model is called with the value, as GINO's `add_child`; anything else is assigned. */
export function put(instance: Instance, key: string, value: unknown, call: boolean): void {
  const member = instance[key]
  if (typeof member === 'function') {
    if (call) (member as (this: object, value: unknown) => void).call(instance, value)
  } else instance[key] = value
}
