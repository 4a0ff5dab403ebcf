// What the library knows of a model: made once by `Model()`, shared by its subclasses, found through the class. Statics,
// queries, loaders and instances all read it; it holds no row and no connection.
import type { Table } from 'drizzle-orm'
import type { Executor } from '../../engine/query/executor.ts'
import { quoteName } from '../../builder/drizzle/core/render.ts'
import type { Db } from '../../db/db.ts'
import { UsageError } from '../../errors/index.ts'
import type { RowSpec } from '../../sql/compiled.ts'
import type { JsonProperty } from '../json/property.ts'
import type { ModelHooks } from './hooks.ts'
import { makerOf } from './maker.ts'
import { ModelColumn } from './model-column.ts'
import type { Decode } from '../statement/ready.ts'
import { columnsOf, sqlNameOf } from './table.ts'
import { Shapes } from '../statement/shapes.ts'

/** Where the meta hangs on a class; registered, so that two copies of the package agree. */
export const modelMeta: unique symbol = Symbol.for('genever.model')

/** A class made by `Model()`, or by extending one. */
export interface ModelLike {
  new (): object
  readonly name: string
  readonly [modelMeta]: ModelMeta
}

export interface MetaParts {
  readonly db: Db
  /** Or a view. */
  readonly table: Table
  readonly primaryKey: readonly string[]
  readonly view: boolean
  readonly properties: ReadonlyMap<string, JsonProperty>
  readonly hidden: ReadonlySet<string>
  readonly hooks: ModelHooks
}

export class ModelMeta {
  readonly db: Db
  readonly table: Table
  /** `"schema"."table"`. */
  readonly sqlName: string
  readonly columns: readonly ModelColumn[]
  readonly byKey: ReadonlyMap<string, ModelColumn>
  /** Empty: the model has no primary key. */
  readonly primaryKey: readonly ModelColumn[]
  /** What every update computes anew. */
  readonly generated: readonly ModelColumn[]
  /** A view: read only. */
  readonly view: boolean
  /** JSON properties by their names on the instance. */
  readonly properties: ReadonlyMap<string, JsonProperty>
  /** JSON properties by the columns that keep them. */
  readonly propertiesOf: ReadonlyMap<string, readonly JsonProperty[]>
  /** Keys that `toJSON` leaves out. */
  readonly hidden: ReadonlySet<string>
  readonly hooks: ModelHooks
  /** The texts of its statements. */
  readonly texts: Shapes<string> = new Shapes()
  /** Gives the rows it gets to `afterLoad`; undefined without that hook. For `Statement.decode`, whose errors reach the caller. */
  readonly loaded: Decode<never> | undefined
  readonly #parts: MetaParts
  readonly #selections = new Shapes<readonly string[]>()
  readonly #arrays = new Shapes<RowSpec<readonly unknown[]>>()
  readonly #specs = new WeakMap<ModelLike, RowSpec>()

  constructor(parts: MetaParts) {
    const { db, table, primaryKey, view, properties, hidden, hooks } = parts
    this.#parts = parts
    this.db = db
    this.table = table
    this.sqlName = sqlNameOf(table)
    this.columns = Object.entries(columnsOf(table)).map(([key, column], index) => new ModelColumn(key, column, index))
    this.byKey = new Map(this.columns.map((column) => [column.key, column]))
    this.primaryKey = primaryKey.map((key) => this.columnOf(key))
    this.generated = this.columns.filter(({ isGenerated }) => isGenerated)
    this.view = view
    this.properties = properties
    this.propertiesOf = grouped(properties)
    this.hidden = hidden
    this.hooks = hooks
    const { afterLoad } = hooks
    if (afterLoad !== undefined)
      this.loaded = (rows) => {
        for (const row of rows) afterLoad(row as object)
        return rows as never[]
      }
  }

  /** The same model on another database. */
  at(db: Db): ModelMeta {
    return new ModelMeta({ ...this.#parts, db })
  }

  /** @throws {UsageError} when there is no such column. */
  columnOf(key: string): ModelColumn {
    const column = this.byKey.get(key)
    if (column === undefined) throw new UsageError(`${this.sqlName} has no column '${key}'.`)
    return column
  }

  /** All columns, as a select list or after RETURNING: `"id", "name"`; with a qualifier `"boss"."id", …`. */
  list(qualifier?: string): string {
    const prefix = qualifier === undefined ? '' : `${qualifier}.`
    return this.columns.map(({ quoted }) => prefix + quoted).join(', ')
  }

  /** Equal lists of keys as one list. */
  keysOf(keys: readonly string[]): readonly string[] {
    return this.#selections.get(JSON.stringify(keys), () => [...keys])
  }

  /** A row of `list()` as an instance of that class, in one step. @throws {UsageError} when the class cannot be filled. */
  specOf(model: ModelLike): RowSpec {
    let spec = this.#specs.get(model)
    if (spec === undefined) {
      spec = { into: 'object', make: makerOf(model, this), columns: this.columns.map((column) => column.spec()) }
      this.#specs.set(model, spec)
    }
    return spec
  }

  /** A row of those columns as an array, for an instance that is there already. */
  arrayOf(columns: readonly ModelColumn[]): RowSpec<readonly unknown[]> {
    return this.#arrays.get(columns.map(({ index }) => index).join(), () => ({
      into: 'array',
      make: null,
      columns: columns.map(({ decode }) => ({ path: [], ...decode })),
    }))
  }

  /** Where a call runs: where it says, else on the model's db. */
  executor(on: Executor | undefined): Executor {
    return on ?? this.db
  }

  /** How a table is named in `FROM` under an alias. */
  aliased(alias: string): string {
    return `${this.sqlName} as ${quoteName(alias)}`
  }
}

function grouped(properties: ReadonlyMap<string, JsonProperty>): Map<string, JsonProperty[]> {
  const groups = new Map<string, JsonProperty[]>()
  for (const property of properties.values())
    groups.set(property.column, [...(groups.get(property.column) ?? []), property])
  return groups
}

/** @throws {UsageError} when the value is no model. */
export function metaOf(model: unknown): ModelMeta {
  const meta = typeof model === 'function' ? (model as Partial<ModelLike>)[modelMeta] : undefined
  if (meta === undefined) throw new UsageError('A model was expected: a class that extends Model(db, table).')
  return meta
}

export function isModel(value: unknown): value is ModelLike {
  return typeof value === 'function' && (value as Partial<ModelLike>)[modelMeta] !== undefined
}
