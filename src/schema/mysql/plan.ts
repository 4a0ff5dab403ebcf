// The objects of a schema of MySQL with their statements, in the order in which they are made: databases, tables behind those that they
// refer to, views. It asks no database.
import { mysql } from '../../mysql/dialect.ts'
import { UsageError } from '../../errors/index.ts'
import type { StatementOptions } from '../options.ts'
import type { PlanItem } from '../item.ts'
import type { Collected, Table } from '../source/collect.ts'
import { tableParts } from '../source/drizzle.ts'
import type { ForeignKeyParts, ViewParts } from '../source/parts.ts'
import { expression } from '../text/literal.ts'
import { keyword } from '../text/names.ts'
import { inOrder } from '../ddl/view.ts'
import { addForeignKey, createTable, dropForeignKey, qualified } from './table.ts'

/** @throws {UsageError} when the schema cannot be said in SQL. */
export function planOfMysql(collected: Collected, { comments }: StatementOptions): PlanItem[] {
  if (comments !== undefined && [...comments].length > 0)
    throw new UsageError('Comments are not written for MySQL: leave out the option comments.')
  return [
    ...collected.schemas.map(({ name }) =>
      item('schema', undefined, name, [`create database ${mysql.quote(name)} character set utf8mb4`]),
    ),
    ...tableItems(collected.tables),
    ...inOrder(collected.views, mysql).map(({ parts }) => item('view', parts.schema, parts.name, [createView(parts)])),
  ]
}

function item(kind: PlanItem['kind'], schema: string | undefined, name: string, create: readonly string[]): PlanItem {
  return { kind, schema, name, sqlName: qualified(schema, name), create, references: [], policies: [] }
}

/** A table stands behind those that it refers to. Where they refer to each other in a circle, a foreign key is added behind them all. */
function tableItems(tables: readonly Table[]): PlanItem[] {
  const items: PlanItem[] = []
  const keyed = tables.map((table) => ({
    table,
    keys: table.parts.foreignKeys.map((key) => ({ key, target: targetOf(key, table) })),
  }))
  const waiting = [...keyed]
  const isWaiting = (target: string, self: string): boolean =>
    target !== self && waiting.some(({ table }) => nameOf(table) === target)
  while (waiting.length > 0) {
    const free = waiting.findIndex(({ table, keys }) => !keys.some(({ target }) => isWaiting(target, nameOf(table))))
    const [next] = waiting.splice(Math.max(free, 0), 1)
    if (next === undefined) break
    const { table, keys } = next
    const late = keys.filter(({ target }) => isWaiting(target, nameOf(table))).map(({ key }) => key)
    const inside = table.parts.foreignKeys.filter((key) => !late.includes(key))
    items.push({
      ...item('table', table.parts.schema, table.parts.name, [createTable(table.parts, inside)]),
      references: late.map((key) => addForeignKey(table.parts, key)),
      releases: late.map((key) => dropForeignKey(table.parts, key)),
    })
  }
  return items
}

const nameOf = ({ parts: { schema, name } }: Table): string => JSON.stringify([schema ?? null, name])

function targetOf(key: ForeignKeyParts, table: Table): string {
  const { schema, name } = tableParts(key.reference().foreignTable)
  return JSON.stringify([schema ?? table.parts.schema ?? null, name])
}

const algorithms = ['undefined', 'merge', 'temptable']
const securities = ['definer', 'invoker']
const checks = ['cascaded', 'local']

function createView({ schema, name, query, algorithm, sqlSecurity, withCheckOption }: ViewParts): string {
  const word = (words: readonly string[], given: string, option: string): string =>
    keyword(words, given, `The option ${option} of the view "${name}"`)
  return [
    'create',
    ...(algorithm === undefined ? [] : [`algorithm = ${word(algorithms, algorithm, 'algorithm')}`]),
    ...(sqlSecurity === undefined ? [] : [`sql security ${word(securities, sqlSecurity, 'sqlSecurity')}`]),
    `view ${qualified(schema, name)} as (${query === undefined ? '' : expression(query, undefined, mysql)})`,
    ...(withCheckOption === undefined ? [] : [`with ${word(checks, withCheckOption, 'withCheckOption')} check option`]),
  ].join(' ')
}
