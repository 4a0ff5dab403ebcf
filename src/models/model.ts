// `Model(db, table, options)`: the class that a table's rows become. Everything it can do is in `instance/model-base.ts`; here
// it gets its table, its columns and the accessors of its JSON properties.
import type { Table, View } from 'drizzle-orm'
import type { Db } from '../db/db.ts'
import { ModelBase } from './instance/model-base.ts'
import { define, type GivenOptions } from './meta/define.ts'
import { expressionsOf } from './meta/expressions.ts'
import type { ModelHooks } from './meta/hooks.ts'
import { modelMeta, type ModelMeta } from './meta/model-meta.ts'
import { Row } from './meta/row.ts'
import type { JsonMap } from './types/json.ts'
import type { ModelClass } from './types/model.ts'
import type { CheckColumns, DefaultPk, Key, ViewTable } from './types/values.ts'

export interface ModelOptions<J, PK, H extends string> extends ModelHooks {
  /**
   * The key of the column, or the keys of the columns, that find a row; default the primary key of the table. Columns that
   * are not its primary key must be unique and not NULL. A composite key has types only when it is named here.
   */
  readonly pk?: PK
  /** Its name in messages; default the name of the class, or of the table where a bundler has shortened that. */
  readonly name?: string | undefined
  /** JSON properties by the key of the column that keeps them. */
  readonly json?: J
  /**
   * Columns and JSON properties that are read by their names and seen nowhere else: they are not enumerable, so that
   * copies, JSON and printed instances do not have them. A column that keeps one is not enumerable either.
   */
  readonly hidden?: readonly H[]
}

/**
 * The class of a table's rows, to be extended: `class User extends Model(db, users) {}`. Everything is checked here, against
 * the table as Drizzle declares it; the database is not asked. A view gives a class that only reads. (GINO: `db.Model`.)
 *
 * @throws {UsageError} when the table has a column with a reserved name, `pk` is not unique, or a JSON property has no
 *   json or jsonb column or takes the name of a column.
 * @throws {InvalidOptionError} for an option there is not.
 */
// oxlint-disable typescript/no-explicit-any, typescript/no-empty-object-type -- any database names; no properties
export function Model<
  D extends Db<any>,
  T extends Table,
  const J extends JsonMap<T> = {},
  const PK extends Key<T> | readonly [Key<T>, ...Key<T>[]] = DefaultPk<T>,
  const H extends string = never,
>(db: D, table: T & CheckColumns<T>, options?: ModelOptions<J, PK, H>): ModelClass<D, T, J, PK, H>
export function Model<
  D extends Db<any>,
  V extends View,
  const J extends JsonMap<ViewTable<V>> = {},
  const PK extends Key<ViewTable<V>> | readonly [Key<ViewTable<V>>, ...Key<ViewTable<V>>[]] = DefaultPk<ViewTable<V>>,
  const H extends string = never,
>(db: D, view: V, options?: ModelOptions<J, PK, H>): ModelClass<D, ViewTable<V>, J, PK, H>
export function Model(db: Db, table: object, options?: GivenOptions): object {
  const meta = define(db, table, options)
  class Base extends ModelBase {
    static readonly [modelMeta]: ModelMeta = meta
    static readonly table: Table = meta.table
    static readonly c: object = expressionsOf(meta)
  }
  // The class itself may be the model: then it has the name of its table.
  Object.defineProperty(Base, 'name', { value: meta.named ?? meta.sqlName.replaceAll('"', ''), configurable: true })
  for (const key of meta.concealed) Object.defineProperty(Base.prototype, key, Row.concealing(key))
  for (const [name, property] of meta.properties) {
    const { column } = property
    Object.defineProperty(Base.prototype, name, {
      configurable: true,
      get(this: Record<string, unknown>) {
        return property.read(this[column], this)
      },
      set(this: Record<string, unknown>, value: unknown) {
        this[column] = property.into(this[column], value)
      },
    })
  }
  return Base
}
