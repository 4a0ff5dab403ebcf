// Which row an instance stands for: its primary key, or what a `lookup()` of its class says. Captured when it is asked for, so
// that a change of the key finds the row under the old one.
import { and, eq, is, SQL } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import type { ModelMeta } from '../meta/model-meta.ts'
import type { Sink } from './sink.ts'

/** The primary key as parameters, which has a text per model, or SQL. */
export type RowCondition = { readonly key: readonly unknown[] } | { readonly sql: SQL }

interface HasLookup {
  lookup(): SQL
}

/** @throws {UsageError} when there is no key, or the instance has no value for it. */
export function conditionOfRow(meta: ModelMeta, instance: object, standard: unknown): RowCondition {
  if ((instance as { readonly lookup: unknown }).lookup === standard) return { key: keyValues(meta, instance) }
  const sql: unknown = (instance as HasLookup).lookup()
  if (!is(sql, SQL))
    throw new UsageError(
      `lookup() of ${instance.constructor.name} gave no condition: return SQL, such as eq(User.c.name, this.name).`,
    )
  return { sql }
}

/** The condition by primary key as SQL, for `lookup()`. */
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
  condition.key.forEach((value, index) => {
    sink.add(`${index === 0 ? '' : ' and '}${String(meta.primaryKey[index]?.quoted)} = `)
    sink.add(sink.place(value))
  })
}

function keyValues(meta: ModelMeta, instance: object): unknown[] {
  return keyGiven(meta, instance).map((value, index) => meta.primaryKey[index]?.encode(value))
}

function keyGiven(meta: ModelMeta, instance: object): unknown[] {
  const { name } = instance.constructor
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
