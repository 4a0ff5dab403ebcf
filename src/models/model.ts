// `Model(db, table, options)`: the class that a table's rows become. Everything it can do is in `instance/model-base.ts`; here
// it gets its table, its columns and the accessors of its JSON properties.
import type { Table, View } from 'drizzle-orm'
import type { Db } from '../db/db.ts'
import { ModelBase } from './instance/model-base.ts'
import { loadingInto } from './load/into.ts'
import { registerLoaders } from '../sql/statement.ts'
import { define, type GivenOptions } from './meta/define.ts'
import { expressionsOf } from './meta/expressions.ts'
import type { ModelHooks } from './types/values.ts'
import { modelMeta, type ModelMeta } from './meta/model-meta.ts'
import { Row } from './meta/row.ts'
import { defaultOf } from './values/insert.ts'
import type { JsonMap, CheckColumns, DefaultPk, Key, ViewTable } from './types/values.ts'
import type { ModelClass } from './types/model.ts'

/** Options of `Model()`. */
export interface ModelOptions<J, PK, H extends string> extends ModelHooks {
  /**
   * The key of the column, or the keys of the columns, that identify a row. Default: the primary key of the table. Other
   * columns must be unique and not NULL. A composite key has types only when it is named here. A view has the key `id`
   * if it has that column; `[]` says that it has no key.
   */
  readonly pk?: PK
  /** Its name in messages. Default: the name of the class, or that of the table if a bundler has shortened the class name. */
  readonly name?: string | undefined
  /** JSON properties, by the key of the column that stores them. */
  readonly json?: J
  /**
   * Columns and JSON properties that can be read only by name. They are not enumerable, so copies, JSON and printed
   * instances do not contain them. A column that stores such a property is not enumerable either.
   */
  readonly hidden?: readonly H[]
}

/**
 * Makes the base class for the rows of a table: `class User extends Model(db, users) {}`. It checks everything now, against
 * the table as Drizzle declares it, and does not ask the database. A view gives a read-only class. (GINO: `db.Model`.)
 *
 * @throws {UsageError} when the table has a column with a reserved name, `pk` is not unique, or a JSON property has no
 *   json or jsonb column or takes the name of a column.
 * @throws {InvalidOptionError} for an unknown option.
 */
// oxlint-disable typescript/no-empty-object-type -- no properties
export function Model<
  D extends Db,
  T extends Table,
  const J extends JsonMap<T> = {},
  const PK extends Key<T> | readonly [Key<T>, ...Key<T>[]] = DefaultPk<T>,
  const H extends string = never,
>(db: D, table: T & CheckColumns<T>, options?: ModelOptions<J, PK, H>): ModelClass<D, T, J, PK, H>
export function Model<
  D extends Db,
  V extends View,
  const J extends JsonMap<ViewTable<V>> = {},
  const PK extends Key<ViewTable<V>> | readonly Key<ViewTable<V>>[] = DefaultPk<ViewTable<V>>,
  const H extends string = never,
>(db: D, view: V, options?: ModelOptions<J, PK, H>): ModelClass<D, ViewTable<V>, J, PK, H>
export function Model(db: Db, table: object, options?: GivenOptions): object {
  registerLoaders(loadingInto)
  const meta = define(db, table, options)
  class Base extends ModelBase {
    static readonly [modelMeta]: ModelMeta = meta
    static readonly table: Table = meta.table
    static readonly c: object = expressionsOf(meta)
  }
  // The class itself may be the model: then it has the name of its table.
  Object.defineProperty(Base, 'name', { value: meta.named ?? meta.sqlName.replaceAll(/["`]/g, ''), configurable: true })
  for (const key of meta.concealed) Object.defineProperty(Base.prototype, key, Row.concealing(key))
  for (const [name, property] of meta.properties) {
    const { column } = property
    Object.defineProperty(Base.prototype, name, {
      configurable: true,
      get(this: Record<string, unknown>) {
        return property.read(this[column], this)
      },
      set(this: Record<string, unknown>, value: unknown) {
        const stored = this[column] === undefined ? defaultOf(meta.columnOf(column)) : this[column]
        this[column] = property.into(stored, value)
      },
    })
  }
  return Base
}
