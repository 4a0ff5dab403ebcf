// The base class of every model: the methods of its class and of its instances. `Model()` adds the table. Each method is a plain call of
// the function that does the work; there is no further layer here.
import { inspect, type InspectOptions } from 'node:util'
import type { Column, SQL } from 'drizzle-orm'
import { createAll, createMissing } from '../crud/insert-many.ts'
import { createIfMissing, createOne } from '../crud/create.ts'
import { getById, getOrThrow } from '../crud/get.ts'
import { deleteRow, reloadRow } from '../crud/one-row.ts'
import { conditionOfRow, keyCondition, type RowCondition } from '../statement/row-condition.ts'
import { DeleteRows, UpdateRows } from '../crud/static-writes.ts'
import { callOf, ignoreOf, upsertOf } from '../statement/call.ts'
import { InstanceUpdate } from '../crud/update.ts'
import { upsertAll } from '../crud/upsert-many.ts'
import { upsertOne } from '../crud/upsert.ts'
import type { Handle } from '../../engine/context/frame.ts'
import { aliasOf, distinctOf, inQueryOf, loadOf, onOf } from '../load/loader.ts'
import { metaOf, type ModelLike, type ModelMeta } from '../meta/model-meta.ts'
import { Row } from '../meta/row.ts'
import { queryOf, selectOf } from '../query/model-query.ts'
import type { ModelQuery } from '../types/query.ts'
import type { CallOptions, IgnoreOptions, UpsertOptions } from '../types/model.ts'
import { writable, checkKnown, asValues } from '../values/given.ts'
import { jsonOf, printed } from './plain.ts'
import { type Origin, type Originated, originated } from '../../engine/query/made-with.ts'
import { usingOf } from './using.ts'
import { attempt, rejected } from '../../util/thrown.ts'

export class ModelBase extends Row {
  constructor(values?: object) {
    super()
    if (values !== undefined) fill(this, metaOf(this.constructor), values)
  }

  static create(this: ModelLike, values: unknown, options?: CallOptions | Handle): Promise<object> {
    return attempt(() => createOne(this, values, callOf(options, 'create()')))
  }

  static createMany(this: ModelLike, values: unknown, options?: CallOptions | Handle): Promise<object[]> {
    return attempt(() => createAll(this, values, callOf(options, 'createMany()')))
  }

  static createOrIgnore(
    this: ModelLike,
    values: unknown,
    options?: IgnoreOptions<string> | Handle,
  ): Promise<object | undefined> {
    return attempt(() => createIfMissing(this, values, ignoreOf(options, 'createOrIgnore()')))
  }

  static createManyOrIgnore(
    this: ModelLike,
    values: unknown,
    options?: IgnoreOptions<string> | Handle,
  ): Promise<object[]> {
    return attempt(() => createMissing(this, values, ignoreOf(options, 'createManyOrIgnore()')))
  }

  static upsert(this: ModelLike, values: unknown, options?: UpsertOptions<string> | Handle): Promise<object> {
    return attempt(() => upsertOne(this, values, upsertOf(options, 'upsert()')))
  }

  static upsertMany(this: ModelLike, values: unknown, options?: UpsertOptions<string> | Handle): Promise<object[]> {
    return attempt(() => upsertAll(this, values, upsertOf(options, 'upsertMany()')))
  }

  static get(this: ModelLike, id: unknown, options?: CallOptions | Handle): Promise<object | undefined> {
    try {
      return getById(this, id, callOf(options, 'get()'))
    } catch (error) {
      return rejected(error)
    }
  }

  static getOr404(this: ModelLike, id: unknown, options?: CallOptions | Handle): Promise<object> {
    return attempt(() => getOrThrow(this, id, callOf(options, 'getOr404()')))
  }

  static query(this: ModelLike): ModelQuery<unknown> {
    return queryOf(this)
  }

  static where(this: ModelLike, condition: unknown): ModelQuery<unknown> {
    return queryOf(this).where(condition as never)
  }

  static select(this: ModelLike, ...keys: readonly string[]): ModelQuery<unknown> {
    return selectOf(this, keys)
  }

  static update(this: ModelLike, values: unknown): UpdateRows {
    return UpdateRows.of(this, values)
  }

  static delete(this: ModelLike): DeleteRows {
    return new DeleteRows(this)
  }

  static load(this: ModelLike, map: Readonly<Record<string, unknown>>): object {
    return loadOf(this, map)
  }

  static on(this: ModelLike, condition: SQL): object {
    return onOf(this, condition)
  }

  static distinct(this: ModelLike, ...by: readonly Column[]): object {
    return distinctOf(this, by)
  }

  static alias(this: ModelLike, name: string): object {
    return aliasOf(this, name)
  }

  static inQuery(this: ModelLike, subquery: object): object {
    return inQueryOf(this, subquery)
  }

  static using(this: ModelLike, where: unknown): ModelLike {
    return usingOf(this, where)
  }

  update(values: unknown): InstanceUpdate {
    writable(modelOf(this), 'update()')
    return new InstanceUpdate(this, values, finder(this))
  }

  delete(options?: CallOptions | Handle): Promise<undefined> {
    return attempt(() => deleteRow(this, rowOf(this), callOf(options, 'delete()')))
  }

  reload(options?: CallOptions | Handle): Promise<object> {
    return attempt(() => reloadRow(this, rowOf(this), callOf(options, 'reload()')))
  }

  lookup(): SQL {
    return keyCondition(metaOf(this.constructor), this)
  }

  toJSON(): Record<string, unknown> {
    return jsonOf(this)
  }

  static {
    const value = function (
      this: object,
      depth: number | null,
      options: InspectOptions,
      print: typeof inspect,
    ): string {
      return printed(this, depth, options, print)
    }
    Object.defineProperty(this.prototype, inspect.custom, { value, writable: true, configurable: true })
    const wants: Originated = { strays, remember }
    Object.defineProperty(this.prototype, originated, { value: wants })
  }
}

/** It has settings, or another database than its model. */
function strays(this: object, { engine, settings }: Origin): boolean {
  return settings !== null || metaOf(this.constructor).db.engineAtHome() !== engine
}

function remember(this: object, origin: Origin): void {
  Row.setOrigin(this, origin)
}

function modelOf(instance: object): ModelLike {
  return instance.constructor as unknown as ModelLike
}

const standardLookup: unknown = Object.getOwnPropertyDescriptor(ModelBase.prototype, 'lookup')?.value

function rowOf(instance: ModelBase): RowCondition {
  return conditionOfRow(metaOf(instance.constructor), instance, standardLookup)
}

/**
 * The row of the instance when changes are applied. A row that is found by fields is found now, before the changes. If there is
 * none, the call that applies them says why.
 */
function finder(instance: ModelBase): () => RowCondition {
  if (Row.keyOf(instance) !== undefined && instance.lookup === standardLookup) return () => rowOf(instance)
  try {
    const condition = rowOf(instance)
    return () => condition
  } catch (error) {
    return () => {
      throw error
    }
  }
}

/** @throws {UnknownColumnError} for keys that the model has not. */
function fill(instance: object, meta: ModelMeta, values: object): void {
  const given = asValues(values, 'A model')
  checkKnown(meta, given)
  // Columns first: properties are kept in them.
  for (const key of Object.keys(given)) if (meta.byKey.has(key)) Reflect.set(instance, key, given[key])
  for (const key of Object.keys(given)) if (meta.properties.has(key)) Reflect.set(instance, key, given[key])
}
