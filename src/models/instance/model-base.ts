// What every model extends: the methods of its class and of its instances. `Model()` adds the table. Each method is a plain
// call of what does the work; nothing here is a layer of its own.
import type { Column, SQL } from 'drizzle-orm'
import { createOne } from '../crud/create.ts'
import { getById, getOrThrow } from '../crud/get.ts'
import { aliasOf, distinctOf, inQueryOf, loadOf, onOf } from '../load/loader.ts'
import { metaOf, type ModelLike, modelMeta, type ModelMeta } from '../meta/model-meta.ts'
import { type ModelQuery, queryOf, selectOf } from '../query/model-query.ts'
import type { CallOptions } from '../types/model.ts'
import { fill } from './fill.ts'

export class ModelBase {
  declare static readonly [modelMeta]: ModelMeta

  constructor(values?: object) {
    if (values !== undefined) fill(this, metaOf(this.constructor), values)
  }

  static create(this: ModelLike, values: unknown, options?: CallOptions): Promise<object> {
    return attempt(() => createOne(this, values, options))
  }

  static get(this: ModelLike, id: unknown, options?: CallOptions): Promise<object | undefined> {
    try {
      return getById(this, id, options)
    } catch (error) {
      return rejected(error)
    }
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

  static getOr404(this: ModelLike, id: unknown, options?: CallOptions): Promise<object> {
    return getOrThrow(this, id, options)
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
  return Promise.reject(error as Error)
}
