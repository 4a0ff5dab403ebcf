// The key of one row as it was given: its shape, and whether any row can have it. What comes out of a URL is text of a stranger,
// which is "not found" and no error of the database.
import { ParameterError, UsageError } from '../../errors/index.ts'
import { textRefusal } from '../../sql/parameters.ts'
import { describeType, isPlain } from '../../util/checks.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import { type ModelLike, type ModelMeta, modelName } from '../meta/model-meta.ts'
import { unknownKeys } from '../query/compile/condition.ts'

/**
 * The parameters of a key: a value, or for a composite key an object or a list in the order of `pk`. Null when no row can
 * have it, as with what a stranger writes into a URL.
 * @throws {UsageError} for a key of another shape.
 */
export function keyOf(model: ModelLike, meta: ModelMeta, id: unknown): unknown[] | null {
  const values = valuesOf(model, meta, id)
  const params: unknown[] = []
  for (let i = 0; i < values.length; i++) {
    const column = meta.primaryKey[i] as ModelColumn
    const value = values[i]
    if (typeof value === 'string' && textRefusal(value) !== undefined) return null
    if (judges[column.column.columnType]?.(value) === false) return null
    const param = encoded(column, value)
    if (param === undefined) return null
    params.push(param)
  }
  return params
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

type Judge = (value: unknown) => boolean

/** What the server may read as a whole number, and what it reads in digits is within the bounds. */
function whole(bits: bigint): Judge {
  const [least, most] = [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n]
  return (value) => {
    if (typeof value === 'number') return Number.isInteger(value) && value >= Number(least) && value <= Number(most)
    if (typeof value === 'bigint') return value >= least && value <= most
    if (typeof value !== 'string') return false
    if (!/^\s*[+-]?\d+\s*$/.test(value)) return /^\s*[+-]?(\d|0[box])[\da-f_]*\s*$/i.test(value)
    if (value.length > 100) return false
    const number = BigInt(value.trim().replace(/^\+/, ''))
    return number >= least && number <= most
  }
}

const uuid = /^\{?(?:[\da-f]{4}-?){8}\}?$/i
const isText: Judge = (value) => typeof value !== 'object'
const [two, four, eight] = [whole(16n), whole(32n), whole(64n)]

/** False: no row can have that. By the kind of the column, for those whose values are told apart without the server. */
const judges: Readonly<Record<string, Judge | undefined>> = {
  PgSmallInt: two,
  PgSmallSerial: two,
  PgInteger: four,
  PgSerial: four,
  PgBigInt53: eight,
  PgBigSerial53: eight,
  PgBigInt64: eight,
  PgBigSerial64: eight,
  PgBigIntString: eight,
  PgUUID: (value) => typeof value === 'string' && uuid.test(value),
  PgText: isText,
  PgVarchar: isText,
}

/** Whether everything that the server could refuse is known before. */
export function isJudged({ column }: ModelColumn): boolean {
  return judges[column.columnType] !== undefined
}

function valuesOf(model: ModelLike, meta: ModelMeta, id: unknown): unknown[] {
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

/** Objects would come from a request body where a string was expected. */
function single(model: ModelLike, column: ModelColumn, id: unknown): unknown {
  if (typeof id === 'object' && !(id instanceof Date) && !ArrayBuffer.isView(id) && !column.isCustom)
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

export function noKey(name: string): UsageError {
  return new UsageError(
    `${name} has no primary key: pass { pk } to Model(), or override lookup() for updates of instances.`,
  )
}
