// `Model.get`: one row by its primary key, with a text that is written once per model.
import { NotFoundError, UsageError } from '../../errors/index.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import { metaOf, type ModelLike, type ModelMeta, modelName } from '../meta/model-meta.ts'
import { ready } from '../statement/ready.ts'
import type { CallOptions } from '../types/model.ts'
import { unknownKeys } from '../query/compile/condition.ts'
import { describeType } from '../../util/checks.ts'

/** Undefined for a row that is not there, and without a statement for an id that is null or undefined. */
export function getById(model: ModelLike, id: unknown, options?: CallOptions): Promise<object | undefined> {
  const meta = metaOf(model)
  if (id === null || id === undefined) return Promise.resolve(undefined)
  const params = keyOf(model, meta, id)
  const text = meta.texts.get('get', () => `select ${meta.list()} from ${meta.sqlName} where ${keyCondition(meta)}`)
  return meta.executor(options?.on).first(ready(text, params, meta.specOf(model), meta.loaded), options) as Promise<
    object | undefined
  >
}

export async function getOrThrow(model: ModelLike, id: unknown, options?: CallOptions): Promise<object> {
  const found = await getById(model, id, options)
  if (found === undefined) throw notFound(model)
  return found
}

export function notFound(model: ModelLike): NotFoundError {
  return new NotFoundError(`${modelName(model)} is not found.`)
}

/** `"id" = $1 and …`, with placeholders after those that stand before it. */
export function keyCondition({ primaryKey }: ModelMeta, before = 0): string {
  return primaryKey.map(({ quoted }, index) => `${quoted} = $${before + index + 1}`).join(' and ')
}

/** The parameters of a key: a value, or for a composite key an object or a list in the order of `pk`. */
function keyOf(model: ModelLike, meta: ModelMeta, id: unknown): unknown[] {
  const { primaryKey } = meta
  const [only] = primaryKey
  if (only === undefined) throw noKey(modelName(model))
  if (primaryKey.length === 1) return [single(model, only, id)]
  if (Array.isArray(id)) {
    if (id.length !== primaryKey.length)
      throw new UsageError(
        `The key of ${modelName(model)} has ${primaryKey.length} values (${names(primaryKey)}), not ${id.length}.`,
      )
    return primaryKey.map((column, index) => part(model, column, id[index]))
  }
  if (typeof id !== 'object' || id === null)
    throw new UsageError(
      `The key of ${modelName(model)} is an object or a list of ${names(primaryKey)}, not ${describeType(id)}.`,
    )
  const given = id as Readonly<Record<string, unknown>>
  const unknown = Object.keys(given).filter((key) => !primaryKey.some((column) => column.key === key))
  const keys = primaryKey.map(({ key }) => key)
  if (unknown.length > 0) throw unknownKeys(meta, unknown, keys)
  return primaryKey.map((column) =>
    part(model, column, Object.hasOwn(given, column.key) ? given[column.key] : undefined),
  )
}

/** Objects would come from a request body where a string was expected. */
function single(model: ModelLike, column: ModelColumn, id: unknown): unknown {
  if (typeof id === 'object' && !(id instanceof Date) && !ArrayBuffer.isView(id) && !column.isCustom)
    throw new UsageError(`The key of ${modelName(model)} is one value (${column.key}), not ${describeType(id)}.`)
  return column.encode(id)
}

function part(model: ModelLike, column: ModelColumn, value: unknown): unknown {
  if (value === null || value === undefined)
    throw new UsageError(`The key of ${modelName(model)} needs a value for ${column.key}.`)
  return single(model, column, value)
}

function names(columns: readonly ModelColumn[]): string {
  return columns.map(({ key }) => key).join(', ')
}

export function noKey(name: string): UsageError {
  return new UsageError(
    `${name} has no primary key: pass { pk } to Model(), or override lookup() for updates of instances.`,
  )
}
