// `Model.create`: one INSERT, whose row comes back as an instance with what the database filled in.
import type { RowSpec } from '../../sql/compiled.ts'
import type { SqlLike } from '../../builder/drizzle/core/render.ts'
import type { ModelLike, ModelMeta } from '../meta/model-meta.ts'
import { SqlText } from '../meta/sql-text.ts'
import { Ready } from '../statement/ready.ts'
import type { CallOptions } from '../types/model.ts'
import { asValues } from './given.ts'
import { prepared } from './hooks.ts'
import { type Cell, cellsOf } from './insert.ts'
import { writable } from './writable.ts'

export function createOne(model: ModelLike, values: unknown, options?: CallOptions): Promise<object> {
  const meta = writable(model, 'create()')
  const given = asValues(values, 'create()')
  const instance = given instanceof (model as unknown as new () => object) ? given : null
  const { validate, beforeCreate } = meta.hooks
  if (validate === undefined && beforeCreate === undefined)
    return insert(model, meta, cellsOf(meta, given, instance !== null), instance, options)
  return prepared(meta, given, 'create()').then((ready) =>
    insert(model, meta, cellsOf(meta, ready, ready === instance), instance, options),
  )
}

function insert(
  model: ModelLike,
  meta: ModelMeta,
  cells: readonly Cell[],
  instance: object | null,
  options: CallOptions | undefined,
): Promise<object> {
  const spec: RowSpec = instance === null ? meta.specOf(model) : { ...meta.specOf(model), make: () => instance }
  const { text, params } = insertText(meta, cells, ` returning ${meta.list()}`, 'create')
  return meta.executor(options?.on).one(new Ready(text, params, spec, meta.loaded), options) as Promise<object>
}

/** `insert into … values (…)` and what follows. Kept by its shape when it has no SQL of the caller. */
export function insertText(
  meta: ModelMeta,
  cells: readonly Cell[],
  suffix: string,
  shape: string,
): { readonly text: string; readonly params: readonly unknown[] } {
  if (cells.some(({ isSql }) => isSql)) {
    const text = new SqlText().add(`${head(meta, cells)}(`)
    text.list(
      cells.map((cell) => (to: SqlText): void => {
        writeCell(to, cell)
      }),
      ', ',
    )
    text.add(`)${suffix}`)
    return { text: text.text, params: text.params }
  }
  let key = shape
  for (const { column } of cells) key += `,${column.index}`
  const text = meta.texts.get(key, () =>
    cells.length === 0
      ? `insert into ${meta.sqlName} default values${suffix}`
      : `${head(meta, cells)}(${cells.map((_, index) => `$${index + 1}`).join(', ')})${suffix}`,
  )
  return { text, params: cells.map(({ column, value }) => column.encode(value)) }
}

/** `insert into "users" ("name", "email") values `. */
export function head(meta: ModelMeta, cells: readonly Cell[]): string {
  return `insert into ${meta.sqlName} (${cells.map(({ column }) => column.quoted).join(', ')}) values `
}

/** The expression, in brackets because it may be a query, or a parameter. */
export function writeCell(text: SqlText, { column, value, isSql }: Cell): void {
  if (isSql)
    text
      .add('(')
      .sql(value as SqlLike)
      .add(')')
  else text.param(column.encode(value))
}
