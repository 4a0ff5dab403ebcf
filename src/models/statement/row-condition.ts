// The row that an instance stands for: the key of the row as the database has it, whatever its fields say, or the condition that a `lookup()`
// of its class says.
import { and, eq, is, SQL } from 'drizzle-orm'
import { NoSuchRowError, UsageError } from '../../errors/index.ts'
import { type ModelMeta, modelName } from '../meta/model-meta.ts'
import { noKey, Row } from '../meta/row.ts'
import type { Sink } from './sink.ts'

/** The key as parameters, which has a text per model, or SQL. */
export type RowCondition = { readonly key: readonly unknown[] } | { readonly sql: SQL }

interface HasLookup {
  lookup(): SQL
}

/**
 * @throws {UsageError} when there is no key, the instance has no value for it, or it is not known which it is.
 * @throws {NoSuchRowError} when the transaction that created the row was rolled back.
 */
export function conditionOfRow(meta: ModelMeta, instance: object, standard: unknown): RowCondition {
  if ((instance as { readonly lookup: unknown }).lookup === standard) return { key: keyValues(meta, instance) }
  const sql: unknown = (instance as HasLookup).lookup()
  if (!is(sql, SQL))
    throw new UsageError(
      `lookup() of ${modelName(instance.constructor)} gave no condition: return SQL, such as eq(User.c.name, this.name).`,
    )
  return { sql }
}

/** The condition by key as SQL, for `lookup()`. */
export function keyCondition(meta: ModelMeta, instance: object): SQL {
  const given = keyGiven(meta, instance)
  return and(...meta.primaryKey.map(({ column }, index) => eq(column, given[index]))) as SQL
}

/** Writes what stands behind WHERE. */
export function writeCondition(sink: Sink, meta: ModelMeta, condition: RowCondition): void {
  if ('sql' in condition) {
    sink.expression(condition.sql)
    return
  }
  for (let i = 0; i < condition.key.length; i++) {
    if (i > 0) sink.add(' and ')
    sink.add(meta.primaryKey[i]?.quoted ?? '')
    sink.add(' = ')
    sink.add(sink.place(condition.key[i]))
  }
}

function keyValues(meta: ModelMeta, instance: object): unknown[] {
  const given = keyGiven(meta, instance)
  const [only] = meta.primaryKey
  if (only !== undefined && given.length === 1) return [only.encode(given[0])]
  return given.map((value, index) => meta.primaryKey[index]?.encode(value))
}

function keyGiven(meta: ModelMeta, instance: object): readonly unknown[] {
  const key = Row.keyOf(instance)
  if (key === undefined || key === null) return keyOfFields(meta, instance)
  const name = modelName(instance.constructor)
  if (key === noKey.uncreated)
    throw new NoSuchRowError(`The row of this ${name} does not exist: the transaction that created it was rolled back.`)
  if (key === noKey.uncertain)
    throw new UsageError(
      `Genever does not know the row of this ${name}: the outcome of the change of its key is unknown. Get it again with ${name}.get().`,
    )
  return meta.primaryKey.length === 1 ? [key] : (key as readonly unknown[])
}

/** The key of an instance that was made by hand. */
function keyOfFields(meta: ModelMeta, instance: object): readonly unknown[] {
  const name = modelName(instance.constructor)
  if (meta.primaryKey.length === 0)
    throw new UsageError(
      `${name} has no primary key, so nothing finds the row of an instance: pass { pk } to Model(), or override lookup().`,
    )
  return meta.primaryKey.map(({ key }) => {
    const value = (instance as Readonly<Record<string, unknown>>)[key]
    if (value === undefined || value === null)
      throw new UsageError(`This ${name} has no ${key}, so it is no row yet: use ${name}.create().`)
    return value
  })
}
