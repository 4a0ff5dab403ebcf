// `delete()` and `reload()` of an instance. Both find its row like an update does, and say so when it is not there.
import type { Within } from '../../sql/statement.ts'
import { metaOf, type ModelMeta, type ModelLike } from '../meta/model-meta.ts'
import { ready } from '../statement/ready.ts'
import { Writer } from '../statement/sink.ts'
import type { CallOptions } from '../types/model.ts'
import { writable } from '../values/given.ts'
import { Memory } from '../values/memory.ts'
import { type RowCondition, writeCondition } from '../statement/row-condition.ts'
import { executorOf } from './place.ts'
import { gone } from './update.ts'

/** Resolves with nothing. @throws {NoSuchRowError} when there was no row. */
export function deleteRow(instance: object, condition: RowCondition, options?: CallOptions): Promise<undefined> {
  const meta = writable(instance.constructor as unknown as ModelLike, 'delete()')
  const decode = (rows: readonly unknown[]): undefined[] => {
    if (rows.length === 0) throw gone(instance)
    return []
  }
  const executor = executorOf(instance, meta, options?.on)
  if (!meta.dialect.models.returns) {
    const { text, params } = written(meta, 'delete', condition, `delete from ${meta.sqlName} where `, '')
    return executor.status(ready(meta, text, params), options).then(({ rowCount }) => {
      if (rowCount === 0) throw gone(instance)
      return undefined
    })
  }
  const { text, params } = written(meta, 'delete', condition, `delete from ${meta.sqlName} where `, ' returning 1')
  return executor.first(ready<undefined>(meta, text, params, undefined, decode), options)
}

/** Reads every column again. @throws {NoSuchRowError} when there is no row. */
export function reloadRow(instance: object, condition: RowCondition, options?: CallOptions): Promise<object> {
  const meta = metaOf(instance.constructor)
  const decode = (rows: readonly unknown[], within: Within | null): object[] => {
    if (rows.length === 0) throw gone(instance)
    if (within === null) take(instance, meta, rows[0] as readonly unknown[])
    else remembering(instance, meta, within, () => take(instance, meta, rows[0] as readonly unknown[]))
    return [instance]
  }
  const { text, params } = written(meta, 'reload', condition, `select ${meta.list()} from ${meta.sqlName} where `, '')
  const statement = ready<object>(meta, text, params, meta.arrayOf(meta.columns), decode)
  return executorOf(instance, meta, options?.on).first(statement, options) as Promise<object>
}

function take(instance: object, meta: ModelMeta, values: readonly unknown[]): void {
  meta.columns.forEach(({ key }, index) => Reflect.set(instance, key, values[index]))
  for (const property of meta.properties.values()) property.forget(instance)
  meta.keep?.(instance)
  meta.hooks.afterLoad?.(instance)
}

/** Values that were read in a transaction that is rolled back may never have been stored: the fields get their old values again. */
function remembering(instance: object, { columns }: ModelMeta, within: Within, work: () => void): void {
  const memory = new Memory(instance)
  const before = columns.map(({ key }): unknown => Reflect.get(instance, key))
  try {
    work()
  } finally {
    columns.forEach(({ key }, index) => {
      if (!Object.is(Reflect.get(instance, key), before[index])) memory.note(key, before[index])
    })
    memory.follow(within)
  }
}

function written(
  meta: ModelMeta,
  shape: string,
  condition: RowCondition,
  before: string,
  after: string,
): { readonly text: string; readonly params: readonly unknown[] } {
  const write = (): Writer => {
    const writer = new Writer(meta.dialect).add(before)
    writeCondition(writer, meta, condition)
    return writer.add(after)
  }
  if ('sql' in condition) {
    const { text, params } = write()
    return { text, params }
  }
  return { text: meta.texts.get(shape, () => write().text), params: condition.key }
}
