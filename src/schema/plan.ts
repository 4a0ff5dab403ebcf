// The objects of a schema with their statements, in the order in which they are made: what both making and dropping
// work through. It asks no database.
import { quoteName, quoteText } from '../builder/drizzle/core/render.ts'
import { UsageError } from '../errors/index.ts'
import { describeType } from '../util/options.ts'
import { policySql, roleSql } from './ddl/policy.ts'
import { sequenceSql } from './ddl/sequence.ts'
import type { PlanItem } from './item.ts'
import { planOfMysql } from './mysql/plan.ts'
import { foreignKeysSql, policiesSql, tableSql } from './ddl/table.ts'
import { inOrder, viewSql } from './ddl/view.ts'
import type { StatementOptions } from './options.ts'
import type { Collected, Table } from './source/collect.ts'
import type { DrizzleKind } from './source/drizzle.ts'
import { qualified } from './text/names.ts'

/** @throws {UsageError} when the schema cannot be said in SQL. */
export function planOf(collected: Collected, options: StatementOptions = {}): PlanItem[] {
  if (collected.dialect === 'mysql') return planOfMysql(collected, options)
  const comments = new Comments(options.comments)
  const items = [
    ...collected.schemas.map(({ name, source }) =>
      item('schema', undefined, name, [
        `create schema ${quoteName(name)}`,
        ...comments.on('schema', quoteName(name), source),
      ]),
    ),
    ...collected.roles.map((role) => item('role', undefined, role.name, [roleSql(role)])),
    ...collected.enums.map((type) => {
      const name = qualified(type.schema, type.enumName)
      const values = type.enumValues.map((value) => quoteText(value)).join(', ')
      const create = [`create type ${name} as enum (${values})`, ...comments.on('type', name, type)]
      return item('enum', type.schema, type.enumName, create)
    }),
    ...collected.sequences.map((sequence) => {
      const { schema, seqName } = sequence
      const name = String(seqName)
      const create = [sequenceSql(sequence), ...comments.on('sequence', qualified(schema, name), sequence)]
      return item('sequence', schema, name, create)
    }),
    ...collected.tables.map((table) => tableItem(table, comments)),
    ...inOrder(collected.views).map((view) => {
      const { schema, name } = view.parts
      const kind = view.materialized ? 'materialized view' : 'view'
      return item(kind, schema, name, [viewSql(view), ...comments.on(kind, qualified(schema, name), view.source)])
    }),
    ...collected.policies.map(({ parts, table }) => ({
      ...item('policy', table.schema, parts.name, [policySql(table, parts)]),
      table: table.name,
      sqlName: `${quoteName(parts.name)} on ${qualified(table.schema, table.name)}`,
    })),
  ]
  comments.finish()
  return items
}

/** In the order in which they run. */
export function statementsOf(items: readonly PlanItem[]): string[] {
  const before = items.filter(({ kind }) => !isLate(kind))
  const late = items.filter(({ kind }) => isLate(kind))
  return [
    ...before.flatMap(({ create }) => create),
    ...items.flatMap(({ references }) => references),
    ...late.flatMap(({ create }) => create),
    ...items.flatMap(({ policies }) => policies),
  ]
}

const isLate = (kind: DrizzleKind): boolean => kind === 'view' || kind === 'materialized view' || kind === 'policy'

function item(kind: DrizzleKind, schema: string | undefined, name: string, create: readonly string[]): PlanItem {
  return { kind, schema, name, sqlName: qualified(schema, name), create, references: [], policies: [] }
}

function tableItem(table: Table, comments: Comments): PlanItem {
  const { schema, name, columns } = table.parts
  const sqlName = qualified(schema, name)
  const create = [
    ...tableSql(table),
    ...comments.on('table', sqlName, table.source),
    ...columns.flatMap((column) => comments.on('column', `${sqlName}.${quoteName(column.name)}`, column)),
  ]
  return { ...item('table', schema, name, create), references: foreignKeysSql(table), policies: policiesSql(table) }
}

/** Each belongs to an object of the schema: one that is left over was meant for something else. */
class Comments {
  readonly #texts: Map<object, string>

  constructor(given: StatementOptions['comments']) {
    this.#texts = new Map(given)
    for (const text of this.#texts.values())
      if (typeof text !== 'string') throw new UsageError(`A comment is a string, not ${describeType(text)}.`)
  }

  on(kind: string, name: string, source: object | undefined): string[] {
    const text = source === undefined ? undefined : this.#texts.get(source)
    if (source === undefined || text === undefined) return []
    this.#texts.delete(source)
    return [`comment on ${kind} ${name} is ${quoteText(text)}`]
  }

  finish(): void {
    if (this.#texts.size > 0)
      throw new UsageError(
        `${this.#texts.size} of the comments are for objects that are not in the schema: give tables, columns, views, enums, sequences or schemas of it.`,
      )
  }
}
