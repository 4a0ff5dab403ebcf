// `Model.create`: one INSERT, whose row comes back as an instance with what the database filled in.
import type { RowSpec } from '../../sql/compiled.ts'
import type { SqlLike } from '../../builder/drizzle/core/render.ts'
import { uncovered } from '../meta/maker.ts'
import type { ModelLike, ModelMeta } from '../meta/model-meta.ts'
import { ready } from '../statement/ready.ts'
import { type Sink, Writer } from '../statement/sink.ts'
import type { CallOptions, IgnoreOptions } from '../types/model.ts'
import { asValues } from '../values/given.ts'
import { prepared } from '../values/hooks.ts'
import { type Cell, cellsOf } from '../values/insert.ts'
import { writable } from '../values/writable.ts'
import { ignoring } from './conflict.ts'

export function createOne(model: ModelLike, row: unknown, options?: CallOptions): Promise<object> {
  const meta = writable(model, 'create()')
  const given = asValues(row, 'create()')
  const instance = given instanceof (model as unknown as new () => object) ? given : null
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
  const spec: RowSpec = instance === null ? own : { ...own, make: () => uncovered(instance, meta.properties.keys()) }
  const inserted = insertText(meta, cells)
  return meta
    .executor(options?.on)
    .one(ready(inserted.text, inserted.params, spec, meta.loaded), options) as Promise<object>
}

/** Undefined when a row with its key is there. Its values may be an instance, which stays as it is: another one is made. */
export async function createIfMissing(
  model: ModelLike,
  row: unknown,
  options: IgnoreOptions<string> = {},
): Promise<object | undefined> {
  const meta = writable(model, 'createOrIgnore()')
  const cells = cellsOf(meta, await prepared(meta, asValues(row, 'createOrIgnore()'), 'createOrIgnore()'))
  const writer = writeRow(meta, cells)
  ignoring(model, meta, options, 'createOrIgnore()')(writer)
  const { text, params } = writer.add(` returning ${meta.list()}`)
  return meta.executor(options.on).first(ready<object>(text, params, meta.specOf(model) as never, meta.loaded), options)
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
