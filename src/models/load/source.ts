// Something rows come from in a query: a model's table, an alias of it, a subquery with its columns, a bare table. Known by
// the qualifier that its columns are written with, so that one thing never gets into FROM twice.
import { aliasedTableColumn, type Column, getTableColumns, is, SQL, sql as fragment, Table } from 'drizzle-orm'
import { dialectOf, render, tableName } from '../../builder/drizzle/core/render.ts'
import type { Executor } from '../../engine/query/executor.ts'
import { UsageError } from '../../errors/index.ts'
import type { Dialect } from '../../sql/dialect.ts'
import { expressionsOf, withProperties } from '../meta/expressions.ts'
import { isModel, metaOf, type ModelLike, type ModelMeta, modelName } from '../meta/model-meta.ts'
import { nameOf } from '../meta/table.ts'
import { describeType, isPlain } from '../../util/options.ts'

/** How an alias, or a model over a subquery, tells its source. */
export const sourceSymbol: unique symbol = Symbol('genever.source')

/** `name`: by default the `id`. */
type Given = Pick<Source, 'id' | 'model' | 'table' | 'columns' | 'from'> & Partial<Pick<Source, 'name' | 'isQuery'>>

export class Source {
  /** `"users"`, `"schema"."users"`, `"boss"`. */
  readonly id: string
  /** The same without the schema, as FOR UPDATE OF takes it. */
  readonly name: string
  /** Null for a bare table. */
  readonly model: ModelLike | null
  readonly meta: ModelMeta | null
  /** The table whose foreign keys it has. */
  readonly table: Table
  /** The dialect of its statements. */
  readonly dialect: Dialect
  /** Columns by key, and JSON properties. */
  readonly columns: Readonly<Record<string, Column | SQL>>
  /** Has the rows of a query, which may be fewer than the table's. */
  readonly isQuery: boolean
  /** How it stands in FROM. */
  readonly from: SQL

  constructor({ id, name = id, model, table, columns, from, isQuery = false }: Given) {
    this.id = id
    this.name = name
    this.model = model
    this.meta = model === null ? null : metaOf(model)
    this.table = table
    this.dialect = dialectOf(table)
    this.columns = columns
    this.from = from
    this.isQuery = isQuery
  }

  /** The column of this source that stands for a column of its table. */
  columnNamed(name: string): Column {
    for (const [key, column] of Object.entries<Column>(getTableColumns(this.table)))
      if (column.name === name) return this.columns[key] as Column
    throw new UsageError(`${this.id} has no column "${name}".`)
  }
}

const ofModels = new WeakMap<ModelLike, Source>()

/** @throws {UsageError} when the value is no model, alias or table. */
export function sourceOf(value: unknown): Source {
  if (isModel(value)) {
    let source = ofModels.get(value)
    if (source === undefined) {
      const meta = metaOf(value)
      source = ofTable(meta.sqlName, value, meta.table, expressionsOf(meta))
      ofModels.set(value, source)
    }
    return source
  }
  const own = (value as { readonly [sourceSymbol]?: Source } | null | undefined)?.[sourceSymbol]
  if (own !== undefined) return own
  if (!isPlain(value) && is(value, Table))
    return ofTable(tableName(value) as string, null, value, getTableColumns(value))
  throw new UsageError(`A model, an alias of one, or a table was expected, not ${describeType(value)}.`)
}

function ofTable(id: string, model: ModelLike | null, table: Table, columns: Source['columns']): Source {
  const name = dialectOf(table).quote(nameOf(table))
  return new Source({ id, name, model, table, columns, from: fragment.raw(id) })
}

/** The model's table once more, under another name. */
export function aliasSource(model: ModelLike, name: string): Source {
  const meta = metaOf(model)
  return new Source({
    id: meta.dialect.quote(name),
    model,
    table: meta.table,
    columns: expressionsOf(meta, name),
    from: fragment.raw(meta.aliased(name)),
  })
}

/** The model over a subquery. @throws {UsageError} when it lacks a column, or has no name. */
export function subquerySource(model: ModelLike, subquery: object): Source {
  const meta = metaOf(model)
  const given = subquery as Readonly<Record<string, Column>> & { readonly _?: { readonly alias?: string } }
  const isObject = typeof subquery === 'object' && (subquery as object | null) !== null && !isPlain(subquery)
  const alias = isObject ? given._?.alias : undefined
  if (alias === undefined)
    throw new UsageError("inQuery() takes a named subquery, such as q.select().from(users).as('recent').")
  const missing = meta.columns.filter(({ key }) => given[key] === undefined).map(({ key }) => key)
  if (missing.length > 0)
    throw new UsageError(`The subquery '${alias}' lacks columns of ${modelName(model)}: ${missing.join(', ')}.`)
  const columns = Object.fromEntries(
    meta.columns.map(({ key, column }) => [key, columnOfQuery(given[key] as Column | SQL.Aliased, column, alias)]),
  )
  return new Source({
    id: meta.dialect.quote(alias),
    model,
    table: meta.table,
    columns: withProperties(meta, columns),
    from: fragment`${subquery as SQL}`,
    isQuery: true,
  })
}

/** A column of a subquery; an expression in it is read as the model's column. */
function columnOfQuery(given: Column | SQL.Aliased, column: Column, alias: string): Column {
  if (!is(given, SQL.Aliased)) return given
  const named: Column = Object.create(column, { name: { value: given.fieldAlias, enumerable: true } })
  return aliasedTableColumn(named, alias)
}

/** The dialect of the database, or that of the table while no database is known. A table of another family is refused when it runs. */
export function dialectAt(executor: Pick<Executor, 'dialectHere'>, { dialect }: Pick<Source, 'dialect'>): Dialect {
  const here = executor.dialectHere()
  return here.family === dialect.family ? here : dialect
}

/** A value as text, in the words of the source's database. */
export function asText(by: Column | SQL, { dialect }: Pick<Source, 'dialect'>): SQL<string | null> {
  const [before, after] = dialect.models.text
  return fragment<string | null>`${fragment.raw(before)}${by}${fragment.raw(after)}`
}

const qualifiers = new WeakMap<Column, string>()

/** The qualifier a column is written with: the `id` of its source. */
export function qualifierOf(column: Column): string {
  let qualifier = qualifiers.get(column)
  if (qualifier === undefined) {
    const { sql } = render(column)
    qualifier = sql.slice(0, sql.length - dialectOf(column).quote(column.name).length - 1)
    qualifiers.set(column, qualifier)
  }
  return qualifier
}
