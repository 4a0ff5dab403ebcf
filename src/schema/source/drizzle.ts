// The one place that asks Drizzle what an object is and what it holds. Kinds are told by Drizzle's own registered
// symbols, so objects of another copy of drizzle-orm are known too.
import { is, Table, View } from 'drizzle-orm'
import {
  getMaterializedViewConfig,
  getTableConfig,
  getViewConfig,
  isPgEnum,
  PgMaterializedView,
  PgPolicy,
  PgRole,
  PgSchema,
  PgSequence,
  PgTable,
  PgView,
} from 'drizzle-orm/pg-core'
import { UsageError } from '../../errors/index.ts'
import type { TableParts, ViewParts } from './parts.ts'

export type DrizzleKind = 'schema' | 'role' | 'enum' | 'sequence' | 'table' | 'view' | 'materialized view' | 'policy'

/** Undefined for what is no part of a schema. @throws {UsageError} for tables and views of another database. */
export function kindOf(value: unknown): DrizzleKind | undefined {
  if (isPgEnum(value)) return 'enum'
  if (typeof value !== 'object' || value === null) return undefined
  // A module is without a prototype, which `is` of 0.45 does not bear.
  if (Object.getPrototypeOf(value) === null) return undefined
  if (is(value, PgTable)) return 'table'
  if (is(value, PgView)) return 'view'
  if (is(value, PgMaterializedView)) return 'materialized view'
  if (is(value, PgSequence)) return 'sequence'
  if (is(value, PgSchema)) return 'schema'
  if (is(value, PgRole)) return 'role'
  if (is(value, PgPolicy)) return 'policy'
  if (is(value, Table) || is(value, View))
    throw new UsageError('A table or view of the schema is not one of PostgreSQL: declare it with drizzle-orm/pg-core.')
  return undefined
}

/** Whether it is anything of Drizzle's: a column, a relation. Such objects may have a `table`, and are no models. */
export function isEntity(value: object): boolean {
  const made = (value as { constructor?: unknown }).constructor
  return typeof made === 'function' && Symbol.for('drizzle:entityKind') in made
}

export function tableParts(table: object): TableParts {
  const parts = getTableConfig(table as PgTable) as unknown as TableParts
  return { ...parts, schema: parts.schema === '' ? undefined : parts.schema }
}

export function viewParts(view: object): ViewParts {
  const parts = is(view, PgMaterializedView) ? getMaterializedViewConfig(view) : getViewConfig(view as PgView)
  const { isExisting, query } = parts as { isExisting?: boolean; query: unknown }
  return { ...parts, query: isExisting === true ? undefined : query } as unknown as ViewParts
}
