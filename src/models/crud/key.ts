// The key of one row as it was given: its shape, and whether any row can have it. A key from a URL is text of a stranger: a
// wrong one is "not found", not an error of the database.
import { ParameterError, UsageError } from '../../errors/index.ts'
import { textRefusal } from '../../sql/parameters.ts'
import { describeType, isPlain } from '../../util/options.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import { type ModelLike, type ModelMeta, modelName } from '../meta/model-meta.ts'
import { unknownKeys } from '../query/compile/condition.ts'

/**
 * The parameters of a key: a value, or for a composite key an object or a list in the order of `pk`. Null when no row can
 * have it, as with what a stranger writes into a URL.
 * @throws {UsageError} for a key of another shape.
 */
export function paramsOfKey(model: ModelLike, meta: ModelMeta, id: unknown): unknown[] | null {
  const { primaryKey } = meta
  const [only] = primaryKey
  if (only === undefined) throw noKey(modelName(model))
  if (primaryKey.length === 1) {
    const param = paramOf(only, single(model, only, id))
    return param === undefined ? null : [param]
  }
  const params = valuesOf(model, meta, id).map((value, index) => paramOf(primaryKey[index] as ModelColumn, value))
  return params.includes(undefined) ? null : params
}

/** Undefined where no row can have it. */
function paramOf(column: ModelColumn, value: unknown): unknown {
  if (typeof value === 'string' && textRefusal(value) !== undefined) return undefined
  return column.judge?.(value) === false ? undefined : encoded(column, value)
}

/** Undefined for what is no value of the column at all. */
function encoded(column: ModelColumn, value: unknown): unknown {
  try {
    return column.encode(value)
  } catch (error) {
    if (error instanceof ParameterError) return undefined
    throw error
  }
}

function valuesOf(model: ModelLike, meta: ModelMeta, id: unknown): unknown[] {
  const { primaryKey } = meta
  if (Array.isArray(id)) {
    if (id.length !== primaryKey.length)
      throw new UsageError(
        `The key of ${modelName(model)} has ${primaryKey.length} values (${names(primaryKey)}), not ${id.length}.`,
      )
    return primaryKey.map((column, index) => part(model, column, id[index]))
  }
  if (!isPlain(id))
    throw new UsageError(
      `The key of ${modelName(model)} is an object or a list of ${names(primaryKey)}, not ${describeType(id)}.`,
    )
  const given = id
  const unknown = Object.keys(given).filter((key) => !primaryKey.some((column) => column.key === key))
  const keys = primaryKey.map(({ key }) => key)
  if (unknown.length > 0) throw unknownKeys(meta, unknown, keys)
  return primaryKey.map((column) =>
    part(model, column, Object.hasOwn(given, column.key) ? given[column.key] : undefined),
  )
}

/** Objects would come from a request body where a string was expected, but for columns that hold them. */
function single(model: ModelLike, column: ModelColumn, id: unknown): unknown {
  const holdsIt = column.isCustom || column.isJson || (column.isArray && Array.isArray(id))
  if (typeof id === 'object' && !(id instanceof Date) && !ArrayBuffer.isView(id) && !holdsIt)
    throw new UsageError(`The key of ${modelName(model)} is one value (${column.key}), not ${describeType(id)}.`, {
      clientError: true,
    })
  return id
}

function part(model: ModelLike, column: ModelColumn, value: unknown): unknown {
  if (value === null || value === undefined)
    throw new UsageError(`The key of ${modelName(model)} needs a value for ${column.key}.`)
  return single(model, column, value)
}

function names(columns: readonly ModelColumn[]): string {
  return columns.map(({ key }) => key).join(', ')
}

function noKey(name: string): UsageError {
  return new UsageError(
    `${name} has no primary key: pass { pk } to Model(), or override lookup() for updates of instances.`,
  )
}
