// The library's knowledge about a model: made once by `Model()`, shared by its subclasses, found through the class. Statics, queries,
// loaders and instances all read it. It holds no row and no connection.
import type { Table } from 'drizzle-orm'
import { pathTaken } from '../../engine/context/place.ts'
import type { Executor } from '../../engine/query/executor.ts'
import type { MadeWith } from '../../sql/statement.ts'
import { placeOf } from '../../engine/handle.ts'
import { isTime } from '../../builder/drizzle/core/codec.ts'
import { mayBeKey } from '../../builder/drizzle/core/exact-time.ts'
import { dialectOf } from '../../builder/drizzle/core/render.ts'
import type { Db } from '../../db/db.ts'
import { UsageError } from '../../errors/index.ts'
import type { RowSpec } from '../../sql/compiled.ts'
import type { Dialect } from '../../sql/dialect.ts'
import { asynchronous, isAsync } from '../json/at-once.ts'
import { describeType } from '../../util/options.ts'
import type { JsonProperty } from '../json/property.ts'
import type { ModelHooks } from '../types/values.ts'
import { makerOf } from './maker.ts'
import { ModelColumn } from './model-column.ts'
import { type Decode, Shapes } from '../statement/ready.ts'
import { columnsOf, sqlNameOf } from './table.ts'
import { noKey, Row } from './row.ts'

/** Where the meta hangs on a class; registered, so that two copies of the package agree. */
export const modelMeta: unique symbol = Symbol.for('genever.model')

/** A class made by `Model()`, or by extending one. */
export interface ModelLike {
  new (): object
  readonly name: string
  readonly [modelMeta]: ModelMeta
}

export interface MetaParts {
  /** In messages, instead of the name of the class. */
  readonly name?: string | undefined
  readonly db: Db
  /** Or a view. */
  readonly table: Table
  readonly primaryKey: () => readonly string[]
  readonly view: boolean
  readonly properties: ReadonlyMap<string, JsonProperty>
  readonly hidden: ReadonlySet<string>
  readonly hooks: ModelHooks
}

/** An update of a row by its key, and what it gives of the changed row. */
export interface MadeUpdate {
  readonly text: string
  readonly columns: readonly ModelColumn[]
  readonly spec: RowSpec<readonly unknown[]>
}

export class ModelMeta {
  readonly db: Db
  readonly table: Table
  /** The dialect of its table and of its statements. */
  readonly dialect: Dialect
  /** Its name in messages, when it was given one. */
  readonly named: string | undefined
  /** `"schema"."table"`. */
  readonly sqlName: string
  readonly columns: readonly ModelColumn[]
  readonly byKey: ReadonlyMap<string, ModelColumn>
  /** Columns that have another value after an update, although it does not set them. */
  readonly recomputed: readonly ModelColumn[]
  /** A view: read only. */
  readonly view: boolean
  /** JSON properties by their names on the instance. */
  readonly properties: ReadonlyMap<string, JsonProperty>
  /** JSON properties by the columns that keep them. */
  readonly propertiesOf: ReadonlyMap<string, readonly JsonProperty[]>
  /** Keys that are shown nowhere. */
  readonly hidden: ReadonlySet<string>
  /** Columns that are not enumerable: hidden ones, and those that keep hidden properties. */
  readonly concealed: readonly string[]
  readonly hooks: ModelHooks
  /** The texts of its statements. */
  readonly texts: Shapes<string> = new Shapes()
  /** The texts of `create()`. */
  readonly inserts: Shapes<string> = new Shapes()
  /** The texts of updates and deletes of many rows. */
  readonly writes: Shapes<string> = new Shapes()
  /** The texts of updates of instances. */
  readonly updates: Shapes<MadeUpdate> = new Shapes()
  /** Gives the rows it gets to `afterLoad`; undefined without that hook. For `Statement.decode`, whose errors reach the caller. */
  readonly loaded: Decode<never> | undefined
  /** The same for new rows, which are none any more when their transaction is rolled back. */
  readonly created: Decode<never>
  #primaryKey: readonly ModelColumn[] | null = null
  #keep: ((row: object) => void) | null | undefined
  readonly #parts: MetaParts
  readonly #selections = new Shapes<readonly string[]>()
  readonly #arrays = new Shapes<RowSpec<readonly unknown[]>>()
  readonly #specs = new WeakMap<ModelLike, RowSpec>()

  constructor(parts: MetaParts) {
    const { db, table, view, properties, hidden, hooks } = parts
    this.#parts = parts
    this.named = parts.name
    this.db = db
    this.table = table
    this.dialect = dialectOf(table)
    this.sqlName = sqlNameOf(table)
    this.columns = Object.entries(columnsOf(table)).map(([key, column], index) => new ModelColumn(key, column, index))
    for (const { key, column } of this.columns) if (isTime(column)) mayBeKey(column, key, parts.primaryKey)
    this.byKey = new Map(this.columns.map((column) => [column.key, column]))
    this.recomputed = this.columns.filter(({ isRecomputed }) => isRecomputed)
    this.view = view
    this.properties = properties
    this.propertiesOf = grouped(properties)
    this.hidden = hidden
    this.concealed = this.columns.map(({ key }) => key).filter((key) => hidden.has(key) || this.#keepsHidden(key))
    this.hooks = hooks
    const { afterLoad } = hooks
    if (afterLoad !== undefined)
      this.loaded = (rows) => {
        for (const row of rows) afterLoad(row as object)
        return rows as never[]
      }
    this.created = (rows, within) => {
      within?.follow((fate) => {
        if (fate === 'rollback') for (const row of rows) Row.setKey(row as object, noKey.uncreated)
      })
      return this.loaded === undefined ? (rows as never[]) : this.loaded(rows, within)
    }
  }

  /** Empty: the model has no key. */
  get primaryKey(): readonly ModelColumn[] {
    return (this.#primaryKey ??= this.#parts.primaryKey().map((key) => this.columnOf(key)))
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
      // Before anything is sent, where it says so itself.
      if (isAsync(this.hooks.afterLoad)) throw asynchronous(modelName(model))
      const make = makerOf(model, this, modelName(model))
      const { keep } = this
      const fold = keep === null ? undefined : keeping(keep)
      spec = { into: 'object', make, columns: this.columns.map((column) => column.spec()), ...(fold && { fold }) }
      this.#specs.set(model, spec)
    }
    return spec
  }

  /** Notes of which row an instance is, once its fields are there. */
  get keep(): ((row: object) => void) | null {
    if (this.#keep === undefined) this.#keep = Row.keeper(this.primaryKey.map(({ key }) => key))
    return this.#keep
  }

  /** A row of those columns as an array, for an instance that is there already. */
  arrayOf(columns: readonly ModelColumn[]): RowSpec<readonly unknown[]> {
    return this.#arrays.get(columns.map(({ index }) => index).join(), () => ({
      into: 'array',
      make: null,
      columns: columns.map(({ decode }) => ({ path: [], ...decode })),
    }))
  }

  #keepsHidden(column: string): boolean {
    return this.propertiesOf.get(column)?.some(({ name }) => this.hidden.has(name)) === true
  }

  /**
   * Where a call runs: where it says, else on the model's db. `made`, `madeOn`: of what goes to a schema or a database by
   * itself.
   * @throws {TenantError} outside of a tenant where one is needed.
   */
  executor(on: Executor | undefined, made: MadeWith | null = null, madeOn: Executor = this.db): Executor {
    if (madeOn === this.db && (made === null || pathTaken(made) === null)) this.db.modelsHere(on)
    return placeOf(on, madeOn, 'a call of a model')
  }

  /** How a table is named in `FROM` under an alias. */
  aliased(alias: string): string {
    return `${this.sqlName} as ${this.dialect.quote(alias)}`
  }
}

function grouped(properties: ReadonlyMap<string, JsonProperty>): Map<string, JsonProperty[]> {
  const groups = new Map<string, JsonProperty[]>()
  for (const property of properties.values())
    groups.set(property.column, [...(groups.get(property.column) ?? []), property])
  return groups
}

function keeping(keep: (row: object) => void): NonNullable<RowSpec['fold']> {
  return (rows, row) => {
    keep(row as object)
    rows.push(row)
  }
}

/** The shortest name of a class that is taken for one: bundlers that minify give shorter ones. */
const shortest = 3

/** The model in messages: as it was named, or its class, or else its table. */
export function modelName(model: unknown): string {
  const { name } = model as ModelLike
  const meta = metaOf(model)
  return meta.named ?? (name.length >= shortest ? name : meta.sqlName.replaceAll(/["`]/g, ''))
}

/** @throws {UsageError} when the value is no model. */
export function metaOf(model: unknown): ModelMeta {
  const meta = typeof model === 'function' ? (model as Partial<ModelLike>)[modelMeta] : undefined
  if (meta === undefined)
    throw new UsageError(`A model was expected, a class that extends Model(db, table), not ${describeType(model)}.`)
  return meta
}

export function isModel(value: unknown): value is ModelLike {
  return typeof value === 'function' && (value as Partial<ModelLike>)[modelMeta] !== undefined
}
