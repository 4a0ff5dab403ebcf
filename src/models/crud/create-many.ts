// `Model.createMany` and `createManyOrIgnore`: new rows, all or nothing.
import { noOptions } from '../../util/options.ts'
import { UsageError } from '../../errors/index.ts'
import { describeType } from '../../util/checks.ts'
import type { ModelLike, ModelMeta } from '../meta/model-meta.ts'
import type { CallOptions, IgnoreOptions } from '../types/model.ts'
import { asValues } from '../values/given.ts'
import { prepared } from '../values/hooks.ts'
import { type Cell, cellsOf } from '../values/insert.ts'
import { writable } from '../values/writable.ts'
import { ignoring } from './conflict.ts'
import { insertMany } from './insert-many.ts'

/** No rows are no statement. Instances are in the order of the values. */
export async function createAll(model: ModelLike, values: unknown, options?: CallOptions): Promise<object[]> {
  const meta = writable(model, 'createMany()')
  return insertMany(model, meta, await rowsOf(meta, values, 'createMany()'), options)
}

/** Instances of the rows that were not there. */
export async function createMissing(
  model: ModelLike,
  values: unknown,
  options: IgnoreOptions<string> = noOptions,
): Promise<object[]> {
  const meta = writable(model, 'createManyOrIgnore()')
  const tail = ignoring(model, meta, options, 'createManyOrIgnore()')
  return insertMany(model, meta, await rowsOf(meta, values, 'createManyOrIgnore()'), options, tail)
}

async function rowsOf(meta: ModelMeta, values: unknown, method: string): Promise<Cell[][]> {
  const rows: Cell[][] = []
  for (const each of asList(values, method)) {
    const given = asValues(each, method)
    const checked =
      meta.hooks.validate === undefined && meta.hooks.beforeCreate === undefined
        ? given
        : await prepared(meta, given, method)
    rows.push(cellsOf(meta, checked))
  }
  return rows
}

/** @throws {UsageError} for what is no list. */
export function asList(values: unknown, method: string): readonly unknown[] {
  if (Array.isArray(values)) return values as readonly unknown[]
  throw new UsageError(`${method} takes a list of objects, not ${describeType(values)}.`)
}
