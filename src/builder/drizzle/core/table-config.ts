// The declarations of a table beside its columns: keys, indexes, checks. Drizzle exports a function for each family of databases. The
// one for MySQL is written here, by the shape of the objects it reads, so that Drizzle's part for MySQL is not loaded for PostgreSQL.
import { getTableColumns, type Column, type SQL, type Table } from 'drizzle-orm'
import { getTableConfig } from 'drizzle-orm/pg-core'
import { isOfMysql, namesOf } from './kinds.ts'

export interface TableConfig {
  readonly columns: readonly Column[]
  readonly indexes: readonly { readonly config: IndexConfig }[]
  readonly foreignKeys: readonly { reference(): Reference }[]
  readonly primaryKeys: readonly { readonly columns: readonly Column[] }[]
  readonly uniqueConstraints: readonly { readonly columns: readonly Column[] }[]
  readonly checks: readonly { readonly name: string; readonly value: SQL }[]
}

interface IndexConfig {
  readonly unique?: boolean | undefined
  readonly where?: SQL | undefined
  /** Columns and SQL. */
  readonly columns: readonly object[]
}

interface Reference {
  readonly columns: readonly Column[]
  readonly foreignColumns: readonly Column[]
  readonly foreignTable: Table
}

/** Throws what the table's own declarations throw: they may name a table of a module that has not been loaded so far. */
export function tableConfigOf(table: Table): TableConfig {
  return isOfMysql(table) ? configOfMysql(table) : getTableConfig(table)
}

const inlineForeignKeys = Symbol.for('drizzle:MySqlInlineForeignKeys')
const extraConfig = Symbol.for('drizzle:ExtraConfigBuilder')

interface Declared {
  readonly [inlineForeignKeys]?: Readonly<Record<string, TableConfig['foreignKeys'][number]>>
  readonly [extraConfig]?: (columns: object) => object
}

interface Builder {
  build(table: Table): object
}

function configOfMysql(table: Table): TableConfig {
  const declared = table as unknown as Declared
  const extra = declared[extraConfig]?.(getTableColumns(table)) ?? []
  const builders = Array.isArray(extra) ? (extra as unknown[]).flat() : Object.values(extra as Record<string, unknown>)
  const built = (kind: string): never[] =>
    builders
      .filter((each) => namesOf((each as object).constructor).includes(kind))
      .map((each) => (each as Builder).build(table) as never)
  return {
    columns: Object.values(getTableColumns(table)),
    indexes: built('MySqlIndexBuilder'),
    foreignKeys: [...Object.values(declared[inlineForeignKeys] ?? {}), ...built('MySqlForeignKeyBuilder')],
    primaryKeys: built('MySqlPrimaryKeyBuilder'),
    uniqueConstraints: built('MySqlUniqueConstraintBuilder'),
    checks: built('MySqlCheckBuilder'),
  }
}
