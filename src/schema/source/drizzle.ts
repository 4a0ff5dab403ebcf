// The one place that asks Drizzle what an object is and what it holds. Kinds are told by Drizzle's own registered
// symbols, so objects of another copy of drizzle-orm are known too.
import { is, Table, View } from 'drizzle-orm'
// As a whole: where a name is missing, Drizzle is too old, which is to be said and not to fail while loading.
import * as pg from 'drizzle-orm/pg-core'
import { UsageError } from '../../errors/index.ts'
import type { TableParts, ViewParts } from './parts.ts'

export type DrizzleKind = 'schema' | 'role' | 'enum' | 'sequence' | 'table' | 'view' | 'materialized view' | 'policy'

/** Undefined for what is no part of a schema. @throws {UsageError} for tables and views of another database. */
export function kindOf(value: unknown): DrizzleKind | undefined {
  if (pg.isPgEnum(value)) return 'enum'
  if (typeof value !== 'object' || value === null) return undefined
  // A module is without a prototype, which `is` of 0.45 does not bear.
  if (Object.getPrototypeOf(value) === null) return undefined
  if (is(value, pg.PgTable)) return 'table'
  if (is(value, pg.PgView)) return 'view'
  if (is(value, pg.PgMaterializedView)) return 'materialized view'
  if (is(value, pg.PgSequence)) return 'sequence'
  if (is(value, pg.PgSchema)) return 'schema'
  if (is(value, pg.PgRole)) return 'role'
  if (is(value, pg.PgPolicy)) return 'policy'
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
  const parts = pg.getTableConfig(table as pg.PgTable) as unknown as TableParts
  return { ...parts, schema: parts.schema === '' ? undefined : parts.schema }
}

export function viewParts(view: object): ViewParts {
  const parts = is(view, pg.PgMaterializedView)
    ? pg.getMaterializedViewConfig(view)
    : pg.getViewConfig(view as pg.PgView)
  const { isExisting, query } = parts as { isExisting?: boolean; query: unknown }
  return { ...parts, query: isExisting === true ? undefined : query } as unknown as ViewParts
}
