// What every model extends: the methods of its class and of its instances. `Model()` adds the table. Each method is a plain
// call of what does the work; nothing here is a layer of its own.
import { inspect, type InspectOptions } from 'node:util'
import type { Column, SQL } from 'drizzle-orm'
import { createAll, createMissing } from '../crud/create-many.ts'
import { createIfMissing, createOne } from '../crud/create.ts'
import { getById, getOrThrow } from '../crud/get.ts'
import { deleteRow, reloadRow } from '../crud/one-row.ts'
import { conditionOfRow, keyCondition, type RowCondition } from '../statement/row-condition.ts'
import { DeleteRows } from '../crud/static-delete.ts'
import { callOf, ignoreOf, upsertOf } from '../statement/call.ts'
import { UpdateRows } from '../crud/static-update.ts'
import { InstanceUpdate } from '../crud/update.ts'
import { upsertAll } from '../crud/upsert-many.ts'
import { upsertOne } from '../crud/upsert.ts'
import type { Handle } from '../../engine/handle.ts'
import { aliasOf, distinctOf, inQueryOf, loadOf, onOf } from '../load/loader.ts'
import { metaOf, type ModelLike } from '../meta/model-meta.ts'
import { Row } from '../meta/row.ts'
import { queryOf, selectOf } from '../query/model-query.ts'
import type { ModelQuery } from '../types/query.ts'
import type { CallOptions, IgnoreOptions, UpsertOptions } from '../types/model.ts'
import { writable } from '../values/writable.ts'
import { fill } from './fill.ts'
import { jsonOf } from './plain.ts'
import { printed } from './printed.ts'
import { usingOf } from './using.ts'

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
    return new UpdateRows(this, values)
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

  static using(this: ModelLike, name: string): ModelLike {
    return usingOf(this, name)
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
  }
}

function modelOf(instance: object): ModelLike {
  return instance.constructor as unknown as ModelLike
}

const standardLookup: unknown = Object.getOwnPropertyDescriptor(ModelBase.prototype, 'lookup')?.value

function rowOf(instance: ModelBase): RowCondition {
  return conditionOfRow(metaOf(instance.constructor), instance, standardLookup)
}

/**
 * The row it is when changes are applied; one that is found by fields, as it is now, before the changes. Why there is none
 * is told when they are applied.
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

/** Mistakes reject, like everything else that can go wrong with a call. */
function attempt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return work()
  } catch (error) {
    return rejected(error)
  }
}

function rejected(error: unknown): Promise<never> {
  // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- what was thrown goes on
  return Promise.reject(error)
}
