// The arguments of `where` as conditions that can be written: Drizzle's SQL as it is, an object as equality of its members.
import { type Column, eq, inArray, isNull, type SQL, sql } from 'drizzle-orm'
import { GeneverError, ParameterError, UnknownColumnError, UsageError } from '../../../errors/index.ts'
import { describeType, isPlain } from '../../../util/options.ts'
import { sqlGiven } from '../given.ts'
import { kinds } from '../../json/kinds.ts'
import { isSqlLike } from '../../../builder/drizzle/core/render.ts'
import { jsonText } from '../../../sql/parameters.ts'
import type { ModelColumn } from '../../meta/model-column.ts'
import type { ModelMeta } from '../../meta/model-meta.ts'
import type { SqlText } from '../../meta/sql-text.ts'

type Columns = Readonly<Record<string, Column | SQL>>

export type Condition = SQL | Equalities

/** Members of an object that was given to `where`. */
export class Equalities {
  readonly members: readonly (SQL | Equality)[]

  constructor(members: readonly (SQL | Equality)[]) {
    this.members = members
  }

  /** @throws {ParameterError} when a value does not fit its column. */
  write(text: SqlText): void {
    this.members.forEach((member, index) => {
      if (index > 0) text.add(' and ')
      if (member instanceof Equality) member.write(text)
      else text.sql(member)
    })
  }
}

/** Equality of a column and data, which is neither null nor SQL. */
export class Equality {
  readonly #column: Column
  readonly #model: ModelColumn
  readonly #value: unknown

  /** Its column, where its text depends on nothing else: custom types may write SQL themselves. */
  get shape(): ModelColumn | undefined {
    return this.#model.isCustom ? undefined : this.#model
  }

  get param(): unknown {
    return this.#model.encode(this.#value)
  }

  get column(): Column {
    return this.#column
  }

  constructor(column: Column, model: ModelColumn, value: unknown) {
    this.#column = column
    this.#model = model
    this.#value = value
  }

  write(text: SqlText): void {
    const encoded = this.param
    text.sql(this.#column).add(' = ')
    if (isSqlLike(encoded)) text.sql(encoded)
    else text.param(encoded)
  }
}

/** All of them hold. */
export function writeConditions(text: SqlText, conditions: readonly Condition[]): void {
  const [only, more] = conditions
  if (only === undefined) return
  if (more === undefined && !(only instanceof Equalities)) text.sql(only)
  else
    conditions.forEach((condition, index) => {
      if (index > 0) text.add(' and ')
      writeOne(text, condition)
    })
}

/** The same behind another condition. */
export function writeFurtherConditions(text: SqlText, conditions: readonly Condition[]): void {
  for (const condition of conditions) writeOne(text.add(' and '), condition)
}

function writeOne(text: SqlText, condition: Condition): void {
  if (condition instanceof Equalities) condition.write(text)
  else text.add('(').sql(condition).add(')')
}

/** More columns than that have no shape. */
const mostInShape = 4
/** How many columns a place of a shape can tell apart. */
const columnsInShape = 32

/** Identifies the text of equalities with columns of one table, as a number below 2 ** 20; undefined for others. */
export function shapeOfConditions(conditions: readonly Condition[]): number | undefined {
  let shape = 0
  let count = 0
  for (const condition of conditions) {
    if (!(condition instanceof Equalities)) return undefined
    for (const member of condition.members) {
      const column = member instanceof Equality ? member.shape : undefined
      if (column === undefined || column.index >= columnsInShape - 1 || ++count > mostInShape) return undefined
      shape = shape * columnsInShape + column.index + 1
    }
  }
  return shape
}

/** The parameters of conditions that have a shape. @throws {ParameterError} when a value does not fit its column. */
export function addParams(params: unknown[], conditions: readonly Condition[]): void {
  for (const { members } of conditions as readonly Equalities[])
    for (const member of members as readonly Equality[]) params.push(member.param)
}

/**
 * The condition of the argument. `columns` are those of the model, or of an alias. Undefined, and an object without members, give no
 * condition.
 * @throws {UnknownColumnError} for a key the model has not.
 * @throws {UsageError} for a member that is undefined, which would silently match every row.
 */
export function conditionOf(meta: ModelMeta, columns: Columns, filter: unknown): Condition | undefined {
  if (filter === undefined) return undefined
  try {
    return isPlain(filter) ? equalities(meta, columns, filter) : sqlOf(filter)
  } catch (cause) {
    if (cause instanceof GeneverError) throw cause
    throw new UsageError('The filter of where() cannot be read: reading it throws.', { cause })
  }
}

function sqlOf(filter: unknown): SQL {
  const condition = sqlGiven(filter)
  if (condition !== undefined) return condition
  throw new UsageError(
    `where() takes a condition, such as eq(User.c.name, 'Ada'), or a plain object, such as { name: 'Ada' }, not ${describeType(filter)}.`,
  )
}

/** Own members, each read once. */
function equalities(
  meta: ModelMeta,
  columns: Columns,
  filter: Readonly<Record<string, unknown>>,
): Equalities | undefined {
  const keys = Reflect.ownKeys(filter)
  if (keys.length === 0) return undefined
  for (const key of keys) if (!Object.hasOwn(columns, key)) throw unknownMembers(meta, columns, keys)
  return new Equalities((keys as string[]).map((key) => equality(key, columns[key] as Column | SQL, filter[key], meta)))
}

function unknownMembers(meta: ModelMeta, columns: Columns, keys: readonly PropertyKey[]): UnknownColumnError {
  const unknown = keys.filter((key) => !Object.hasOwn(columns, key))
  return unknownKeys(meta, unknown.map(String), Object.keys(columns))
}

/** @throws {UnknownColumnError} always: names what was given and what there is. */
export function unknownKeys(meta: ModelMeta, given: readonly string[], known: readonly string[]): UnknownColumnError {
  const shown = known.filter((key) => !meta.hidden.has(key)).join(', ')
  return new UnknownColumnError(
    `${meta.sqlName} has no ${given.map((key) => JSON.stringify(key)).join(', ')}. It has ${shown}.`,
  )
}

/** @throws {UsageError} on a database that compares JSON by its text, or not at all. */
function checkEqualsJson(key: string, { dialect }: ModelMeta): void {
  if (dialect.models.equalsJson) return
  throw new UsageError(
    `where({ ${key} }) compares JSON. ${dialect.title} compares it as text, or not at all, so equal values may differ. Compare a member of it, or write the ` +
      'condition as SQL, such as json_equals(…) of MariaDB.',
  )
}

function jsonOf(key: string, value: readonly unknown[]): string {
  return jsonText(value, (what) => {
    throw new ParameterError(`The value of where({ ${key} }) ${what}.`)
  })
}

/** A number of a column of four bytes, which MySQL compares as the double that it is. */
function asStored(model: ModelColumn | undefined, value: unknown): unknown {
  return typeof value === 'number' && model?.column.columnType === 'MySqlFloat' ? Math.fround(value) : value
}

function equality(key: string, column: Column | SQL, value: unknown, meta: ModelMeta): SQL | Equality {
  if (value === undefined)
    throw new UsageError(
      `where({ ${key} }) was given undefined, which would match every row. Leave the member out, or pass null for NULL.`,
    )
  if (value === null) return isNull(column)
  const model = meta.byKey.get(key)
  const kind = meta.properties.get(key)?.kind
  if ((model?.isJson === true || kind?.type === 'json') && !isSqlLike(value)) checkEqualsJson(key, meta)
  if (kind === kinds.array && Array.isArray(value)) return sql`${column} = ${jsonOf(key, value)}`
  if (!Array.isArray(value) || (model !== undefined && (model.isArray || model.isJson))) {
    if (model === undefined || isSqlLike(value)) return eq(column as Column, value)
    return new Equality(column as Column, model, asStored(model, value))
  }
  if (value.length === 0) return sql`false`
  const given = value.filter((item) => item !== null).map((item: unknown) => asStored(model, item))
  const listed = given.length === 0 ? undefined : inArray(column as Column, given)
  if (given.length === value.length) return listed as SQL
  return listed === undefined ? isNull(column) : sql`(${listed} or ${isNull(column)})`
}
