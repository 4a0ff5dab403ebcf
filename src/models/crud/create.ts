// `Model.create`: one INSERT, whose row comes back as an instance with what the database filled in.
import { noOptions } from '../../util/options.ts'
import type { RowSpec } from '../../sql/compiled.ts'
import type { SqlLike } from '../../builder/drizzle/core/render.ts'
import { uncovered } from '../meta/maker.ts'
import type { ModelLike, ModelMeta } from '../meta/model-meta.ts'
import { Row } from '../meta/row.ts'
import { type Decode, ready } from '../statement/ready.ts'
import { type Sink, Writer } from '../statement/sink.ts'
import type { CallOptions, IgnoreOptions } from '../types/model.ts'
import { asValues, type Values } from '../values/given.ts'
import { prepared } from '../values/hooks.ts'
import { type Cell, cellsOf } from '../values/insert.ts'
import { Memory } from '../values/memory.ts'
import { writable } from '../values/writable.ts'
import { ignoring } from './conflict.ts'

export function createOne(model: ModelLike, row: unknown, options?: CallOptions): Promise<object> {
  const meta = writable(model, 'create()')
  const instance = row instanceof (model as unknown as new () => object) ? row : null
  const given = instance === null ? asValues(row, 'create()') : (instance as Values)
  const { validate, beforeCreate } = meta.hooks
  if (validate === undefined && beforeCreate === undefined)
    return insert(model, meta, cellsOf(meta, given, instance !== null), instance, options)
  return prepared(meta, given, 'create()').then((values) =>
    insert(model, meta, cellsOf(meta, values, values === instance), instance, options),
  )
}

function insert(
  model: ModelLike,
  meta: ModelMeta,
  cells: readonly Cell[],
  instance: object | null,
  options: CallOptions | undefined,
): Promise<object> {
  const own = meta.specOf(model)
  const covered = (): Iterable<string> => [...meta.properties.keys(), ...meta.concealed]
  const spec: RowSpec = instance === null ? own : { ...own, make: () => uncovered(instance, covered()) }
  const decode = instance === null ? meta.created : completing(meta, instance)
  const inserted = insertText(meta, cells)
  return meta.executor(options?.on).one(ready(inserted.text, inserted.params, spec, decode), options) as Promise<object>
}

/** The instance is what it was when the transaction is rolled back, so that it can be stored by another one. */
function completing(meta: ModelMeta, instance: object): Decode<never> {
  const before = meta.columns.map(({ key }): unknown => Reflect.get(instance, key))
  const row = Row.keyOf(instance)
  return (rows, within) => {
    if (within !== null) {
      const memory = new Memory(instance)
      meta.columns.forEach(({ key }, index) => memory.note(key, before[index]))
      memory.note(null, row)
      memory.follow(within)
    }
    return meta.loaded === undefined ? (rows as never[]) : meta.loaded(rows, within)
  }
}

/** Undefined when a row with its key is there. Its values may be an instance, which stays as it is: another one is made. */
export async function createIfMissing(
  model: ModelLike,
  row: unknown,
  options: IgnoreOptions<string> = noOptions,
): Promise<object | undefined> {
  const meta = writable(model, 'createOrIgnore()')
  const cells = cellsOf(meta, await prepared(meta, asValues(row, 'createOrIgnore()'), 'createOrIgnore()'))
  const writer = writeRow(meta, cells)
  ignoring(model, meta, options, 'createOrIgnore()')(writer)
  const { text, params } = writer.add(` returning ${meta.list()}`)
  return meta
    .executor(options.on)
    .first(ready<object>(text, params, meta.specOf(model) as never, meta.created), options)
}

/** `insert into … values (…)` and what follows. Kept by its shape when it has no SQL of the caller. */
function insertText(
  meta: ModelMeta,
  cells: readonly Cell[],
): { readonly text: string; readonly params: readonly unknown[] } {
  if (cells.some(({ isSql }) => isSql)) return writeInsert(meta, cells)
  let shape = 'create'
  for (const { column } of cells) shape += `,${column.index}`
  const text = meta.texts.get(shape, () => writeInsert(meta, cells).text)
  return { text, params: cells.map(({ column, value }) => column.encode(value)) }
}

function writeInsert(meta: ModelMeta, cells: readonly Cell[]): Writer {
  return writeRow(meta, cells).add(` returning ${meta.list()}`)
}

/** `insert into "users" ("name", "email") values ($1, $2)`. */
export function writeRow(meta: ModelMeta, cells: readonly Cell[]): Writer {
  const writer = new Writer().add(`insert into ${meta.sqlName} `)
  if (cells.length === 0) return writer.add('default values')
  writer.add(`(${cells.map(({ column }) => column.quoted).join(', ')}) values (`)
  cells.forEach((cell, index) => {
    if (index > 0) writer.add(', ')
    writeCell(writer, cell)
  })
  return writer.add(')')
}

export function writeCell(sink: Sink, { column, value, isSql }: Cell): void {
  if (isSql) sink.expression(value as SqlLike)
  else sink.add(sink.place(column.encode(value)))
}
