// The one place that asks Drizzle what an object is and what it holds. Kinds are told by Drizzle's own registered
// symbols, so objects of another copy of drizzle-orm are known too.
import { is, type Table as DrizzleTable, Table, View } from 'drizzle-orm'
// Imported as a whole: a Drizzle that lacks a name is too old, and a message has to say so. An import by name would fail while loading.
import * as pg from 'drizzle-orm/pg-core'
import { UsageError } from '../../errors/index.ts'
import { isA, isOfMysql } from '../../builder/drizzle/core/kinds.ts'
import { viewConfigOf } from '../../builder/drizzle/core/render.ts'
import { tableConfigOf } from '../../builder/drizzle/core/table-config.ts'
import type { TableParts, ViewParts } from './parts.ts'

export type DrizzleKind = 'schema' | 'role' | 'enum' | 'sequence' | 'table' | 'view' | 'materialized view' | 'policy'

/** Whether a part of a schema is one of MySQL. */
export function isMysql(part: object): boolean {
  return isOfMysql(part) || isA(part, 'MySqlSchema')
}

/** Undefined for what is no part of a schema. @throws {UsageError} for tables and views of another database. */
export function kindOf(value: unknown): DrizzleKind | undefined {
  if (pg.isPgEnum(value)) return 'enum'
  if (typeof value !== 'object' || value === null) return undefined
  // A module is without a prototype, which `is` of 0.45 does not bear.
  if (Object.getPrototypeOf(value) === null) return undefined
  if (isMysql(value))
    return is(value, Table) ? 'table' : is(value, View) ? 'view' : isA(value, 'MySqlSchema') ? 'schema' : undefined
  if (is(value, pg.PgTable)) return 'table'
  if (is(value, pg.PgView)) return 'view'
  if (is(value, pg.PgMaterializedView)) return 'materialized view'
  if (is(value, pg.PgSequence)) return 'sequence'
  if (is(value, pg.PgSchema)) return 'schema'
  if (is(value, pg.PgRole)) return 'role'
  if (is(value, pg.PgPolicy)) return 'policy'
  if (is(value, Table) || is(value, View))
    throw new UsageError(
      'A table or view of the schema is neither one of PostgreSQL nor of MySQL: declare it with drizzle-orm/pg-core or mysql-core.',
    )
  return undefined
}

/** Whether it is anything of Drizzle's: a column, a relation. Such objects may have a `table`, and are no models. */
export function isEntity(value: object): boolean {
  const made = (value as { constructor?: unknown }).constructor
  return typeof made === 'function' && Symbol.for('drizzle:entityKind') in made
}

const nameOf = Symbol.for('drizzle:Name')
const schemaOf = Symbol.for('drizzle:Schema')
const optionsOfMysql = Symbol.for('drizzle:MySqlViewConfig')

export function tableParts(table: object): TableParts {
  if (isMysql(table)) {
    const { [nameOf]: name, [schemaOf]: schema } = table as Readonly<Record<symbol, string | undefined>>
    return {
      ...tableConfigOf(table as DrizzleTable),
      name,
      schema,
      policies: [],
      enableRLS: false,
    } as unknown as TableParts
  }
  const parts = pg.getTableConfig(table as pg.PgTable) as unknown as TableParts
  return { ...parts, schema: parts.schema === '' ? undefined : parts.schema }
}

export function viewParts(view: object): ViewParts {
  if (isMysql(view)) {
    const options = (view as Readonly<Record<symbol, object | undefined>>)[optionsOfMysql]
    return { ...options, ...viewConfigOf(view) } as unknown as ViewParts
  }
  const parts = is(view, pg.PgMaterializedView)
    ? pg.getMaterializedViewConfig(view)
    : pg.getViewConfig(view as pg.PgView)
  const { isExisting, query } = parts as { isExisting?: boolean; query: unknown }
  return { ...parts, query: isExisting === true ? undefined : query } as unknown as ViewParts
}
