// A table: what is made with it, and what can only be made when others are there.
import type { Table } from '../source/collect.ts'
import { columnSql } from '../column/column.ts'
import { qualified } from '../text/names.ts'
import { constraintsSql, foreignKeySql } from './constraints.ts'
import { indexSql } from './indexes.ts'
import { policySql } from './policy.ts'

/** CREATE TABLE, its indexes, and row level security if it has policies. */
export function tableSql({ parts, policies }: Table): string[] {
  const lines = [...parts.columns.map((column) => columnSql(parts, column)), ...constraintsSql(parts)]
  const name = qualified(parts.schema, parts.name)
  const statements = [`create table ${name} (${lines.map((line) => `\n  ${line}`).join(',')}\n)`]
  for (const index of parts.indexes) statements.push(indexSql(parts, index))
  if (parts.enableRLS || policies.length > 0) statements.push(`alter table ${name} enable row level security`)
  return statements
}

export function foreignKeysSql({ parts }: Table): string[] {
  return parts.foreignKeys.map((key) => foreignKeySql(parts, key))
}

export function policiesSql({ parts, policies }: Table): string[] {
  return policies.map((policy) => policySql(parts, policy))
}
