// The arguments of `Model()`, checked once: from here on a model is known to fit its table. Every mistake is an error of
// the definition, so the stack shows its line.
import { type Column, Column as ColumnClass, is, Table } from 'drizzle-orm'
import { isOfMysql } from '../../builder/drizzle/core/kinds.ts'
import { isJsonType } from '../../builder/drizzle/core/render.ts'
import { PgTable } from 'drizzle-orm/pg-core'
import { checkDrizzle } from '../../builder/drizzle/core/version.ts'
import { UsageError } from '../../errors/index.ts'
import type { Db } from '../../db/db.ts'
import { asynchronous, ignore, isAsync, isPromise } from '../json/at-once.ts'
import { PropertyDraft } from '../json/json.ts'
import { JsonProperty } from '../json/property.ts'
import type { ModelHooks } from '../types/values.ts'
import { ModelMeta } from './model-meta.ts'
import { keyOf } from './key.ts'
import { columnsOf, isView, sqlNameOf } from './table.ts'
import { callOptions } from '../../engine/handle.ts'
import { callback, describeType, isPlain, must, type Checks } from '../../util/options.ts'

/** The options of `Model()`, without types. */
export interface GivenOptions extends ModelHooks {
  readonly name?: string | undefined
  readonly pk?: string | readonly string[] | undefined
  readonly json?: Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>> | undefined
  readonly hidden?: readonly string[] | undefined
}

const isKeys = (value: unknown): boolean =>
  typeof value === 'string' || (Array.isArray(value) && value.every((key) => typeof key === 'string'))

const checks: Checks<GivenOptions> = {
  name: must('a text', (value) => typeof value === 'string' && value !== ''),
  pk: must('the key of a column, or a list of keys', isKeys),
  json: must('a plain object of columns and their properties', isPlain),
  hidden: must('a list of keys', (value) => Array.isArray(value)),
  validate: must('a Standard Schema, such as one of zod, valibot or arktype', isSchema),
  beforeCreate: callback,
  beforeUpdate: callback,
  afterLoad: callback,
}

function isSchema(value: unknown): boolean {
  const schema = Object(value) as { readonly '~standard'?: { readonly validate?: unknown } }
  return typeof schema['~standard']?.validate === 'function'
}

/** Members that every instance has. */
export const reserved: ReadonlySet<string> = new Set([
  'update',
  'delete',
  'reload',
  'lookup',
  'toJSON',
  'constructor',
  '__proto__',
])

/**
 * @throws {InvalidOptionError} for options that do not exist.
 * @throws {UsageError} for everything else that does not fit.
 */
export function define(db: Db, table: unknown, given: GivenOptions | undefined): ModelMeta {
  checkDrizzle('genever/models')
  if (typeof (db as Partial<Db> | undefined)?.databaseAt !== 'function')
    throw new UsageError(`Model() takes a db made by createDb() first, not ${describeType(db)}.`)
  if (!is(table, PgTable) && !isView(table) && !isMysqlTable(table))
    throw new UsageError(`Model() takes a pgTable, mysqlTable or a view second, not ${describeType(table)}.`)
  const options = callOptions<GivenOptions>(given, checks, 'Model()')
  const view = isView(table)
  const columns = columnsOf(table)
  const name = sqlNameOf(table)
  const computed = Object.keys(columns).filter((key) => !is(columns[key], ColumnClass))
  if (computed.length > 0)
    throw new UsageError(
      `${name}: ${computed.join(', ')} is no column. Declare the view with its columns: pgView('name', { … }).as(query).`,
    )
  checkNames(name, columns)
  const properties = propertiesOf(name, columns, options.json ?? {})
  const hidden = new Set<string>(options.hidden)
  for (const key of hidden)
    if (!Object.hasOwn(columns, key) && !properties.has(key))
      throw new UsageError(`hidden: ${name} has no column or property '${key}'.`)
  const primaryKey = keyOf(name, table as Table, columns, options.pk)
  const { validate, beforeCreate, beforeUpdate } = options
  const hooks = { validate, beforeCreate, beforeUpdate, afterLoad: atOnce(name, options.afterLoad) }
  return new ModelMeta({ name: options.name, db, table: table as Table, primaryKey, view, properties, hidden, hooks })
}

function isMysqlTable(table: unknown): table is Table {
  return is(table, Table) && isOfMysql(table)
}

function checkNames(name: string, columns: Readonly<Record<string, Column>>): void {
  const taken = Object.keys(columns).filter((key) => reserved.has(key))
  if (taken.length > 0)
    throw new UsageError(
      `${name} has a column with the key ${taken.join(', ')}, which every instance has as a method: rename the TypeScript key of the column.`,
    )
}

function propertiesOf(
  name: string,
  columns: Readonly<Record<string, Column>>,
  json: NonNullable<GivenOptions['json']>,
): Map<string, JsonProperty> {
  const properties = new Map<string, JsonProperty>()
  for (const [key, drafts] of Object.entries(json)) {
    const column = Object.hasOwn(columns, key) ? columns[key] : undefined
    if (column === undefined || !isJsonType(column.columnType))
      throw new UsageError(
        `json: ${name} has no json or jsonb column '${key}', so there is nothing to keep its properties in.`,
      )
    for (const [property, draft] of Object.entries(drafts ?? {})) {
      if (!(draft instanceof PropertyDraft))
        throw new UsageError(
          `json: ${key}.${property} is made by json.string(), json.integer() or another member of json.`,
        )
      if (Object.hasOwn(columns, property) || reserved.has(property))
        throw new UsageError(
          `json: the property '${property}' has the name of a column or method. Give it another one, and keep its key with { prop: '${property}' }.`,
        )
      if (properties.has(property))
        throw new UsageError(`json: the property '${property}' is declared twice, for two columns.`)
      properties.set(property, new JsonProperty(property, key, draft.kind, draft.options))
    }
  }
  return properties
}

/** Work that it does later would come after the instance was given away, and errors it throws later would reach no caller. */
function atOnce(name: string, afterLoad: GivenOptions['afterLoad']): GivenOptions['afterLoad'] {
  if (afterLoad === undefined) return undefined
  if (isAsync(afterLoad)) return afterLoad
  return (instance) => {
    const returned: unknown = afterLoad(instance)
    if (!isPromise(returned)) return
    ignore(returned)
    throw asynchronous(name)
  }
}
