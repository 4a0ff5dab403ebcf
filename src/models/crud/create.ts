// `Model.create`: one INSERT, whose row comes back as an instance with what the database filled in.
import type { RowSpec } from '../../sql/compiled.ts'
import type { SqlLike } from '../../builder/drizzle/core/render.ts'
import { uncovered } from '../meta/maker.ts'
import type { ModelLike, ModelMeta } from '../meta/model-meta.ts'
import { ready } from '../statement/ready.ts'
import { type Sink, Writer } from '../statement/sink.ts'
import type { CallOptions } from '../types/model.ts'
import { asValues } from '../values/given.ts'
import { prepared } from '../values/hooks.ts'
import { type Cell, cellsOf } from '../values/insert.ts'
import { writable } from '../values/writable.ts'

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
  const writer = new Writer()
  if (cells.length === 0) return writer.add(`insert into ${meta.sqlName} default values returning ${meta.list()}`)
  writer.add(`${head(meta, cells)}(`)
  cells.forEach((cell, index) => {
    if (index > 0) writer.add(', ')
    writeCell(writer, cell)
  })
  return writer.add(`) returning ${meta.list()}`)
}

/** `insert into "users" ("name", "email") values `. */
export function head(meta: ModelMeta, cells: readonly Cell[]): string {
  return `insert into ${meta.sqlName} (${cells.map(({ column }) => column.quoted).join(', ')}) values `
}

export function writeCell(sink: Sink, { column, value, isSql }: Cell): void {
  if (isSql) sink.expression(value as SqlLike)
  else sink.add(sink.place(column.encode(value)))
}
