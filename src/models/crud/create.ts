// `Model.create`: one INSERT, whose row comes back as an instance with what the database filled in.
import { noOptions } from '../../util/options.ts'
import type { Executor } from '../../engine/query/executor.ts'
import type { SqlLike } from '../../builder/drizzle/core/render.ts'
import { uncovered } from '../meta/maker.ts'
import type { ModelLike, ModelMeta } from '../meta/model-meta.ts'
import { Row } from '../meta/row.ts'
import { type Decode, ready, shapeOf } from '../statement/ready.ts'
import { returnsRows } from '../statement/returning.ts'
import { type Sink, Writer } from '../statement/sink.ts'
import type { CallOptions, IgnoreOptions } from '../types/model.ts'
import { asValues, type Values, writable } from '../values/given.ts'
import { prepared } from '../values/hooks.ts'
import { type Cell, cellsOf, cellsOfInstance } from '../values/insert.ts'
import { Memory } from '../values/memory.ts'
import { checkTarget, ignoring } from './conflict.ts'
import { placeOfNew, type Reading, writeAndRead } from './read-back.ts'
import { insertUnlessThere } from './unless-there.ts'

export function createOne(model: ModelLike, row: unknown, options?: CallOptions): Promise<object> {
  const meta = writable(model, 'create()')
  const instance = row instanceof (model as unknown as new () => object) ? row : null
  const given = instance === null ? asValues(row, 'create()') : (instance as Values)
  const { validate, beforeCreate } = meta.hooks
  if (validate === undefined && beforeCreate === undefined) return insert(model, meta, given, instance, options)
  return prepared(meta, given, 'create()').then((values) => insert(model, meta, values, instance, options))
}

function insert(
  model: ModelLike,
  meta: ModelMeta,
  values: Values,
  instance: object | null,
  options: CallOptions | undefined,
): Promise<object> {
  const cells = values === instance ? cellsOfInstance(meta, values) : cellsOf(meta, values)
  const reading = instance === null ? readingOf(model, meta) : readingInto(model, meta, instance)
  return insertOne({ model, meta, cells, reading, method: 'create()' }, meta.executor(options?.on), options)
}

/** The row becomes the instance that was given. */
function readingInto(model: ModelLike, meta: ModelMeta, instance: object): Reading {
  const make = (): object => uncovered(instance, [...meta.properties.keys(), ...meta.concealed])
  return { spec: { ...meta.specOf(model), make }, decode: completing(meta, instance), latest: false }
}

/** A row that is inserted, and comes back. */
export interface NewRow {
  readonly model: ModelLike
  readonly meta: ModelMeta
  readonly cells: readonly Cell[]
  readonly reading: Reading
  /** The method that was called, for messages. */
  readonly method: string
}

/** It comes back with its INSERT, or is read again where the server has no RETURNING. */
export function insertOne(row: NewRow, executor: Executor, options?: CallOptions): Promise<object> {
  const returns = returnsRows(row.meta, executor, options)
  return returns === true ? createReturning(row, executor, options) : createReading(returns, row, executor, options)
}

function createReturning(
  { meta, cells, reading: { spec, decode } }: NewRow,
  executor: Executor,
  options: CallOptions | undefined,
): Promise<object> {
  const { text, params } = insertText(meta, cells, true)
  return executor.one(ready<object>(meta, text, params, spec as never, decode), options)
}

/** How a row that no call has an instance for is read. */
export function readingOf(model: ModelLike, meta: ModelMeta): Reading {
  return { spec: meta.specOf(model), decode: meta.created, latest: false }
}

/** Where no INSERT gives its row, or the server has not said yet whether it does. */
async function createReading(
  returns: false | Promise<boolean>,
  row: NewRow,
  executor: Executor,
  options: CallOptions | undefined,
): Promise<object> {
  if (returns !== false && (await returns)) return createReturning(row, executor, options)
  const { model, meta, cells, reading, method } = row
  const places = [placeOfNew(model, cells, method)]
  const { text, params } = insertText(meta, cells, false)
  const written = [{ write: ready<object>(meta, text, params), places }]
  const [made] = await writeAndRead(model, executor, written, reading, options)
  return made as object
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
  if (!meta.dialect.models.namesKey) {
    checkTarget(model, meta, options, cells, 'createOrIgnore()')
    return insertUnlessThere(
      meta.executor(options.on),
      (tx) => insertOne({ model, meta, cells, reading: readingOf(model, meta), method: 'createOrIgnore()' }, tx),
      options,
    )
  }
  const writer = writeRow(meta, cells)
  ignoring(model, meta, options, 'createOrIgnore()')(writer)
  const { text, params } = writer.add(` returning ${meta.list()}`)
  return meta
    .executor(options.on)
    .first(ready<object>(meta, text, params, meta.specOf(model) as never, meta.created), options)
}

/** `insert into … values (…)` and what follows. Kept by its shape when it has no SQL of the caller. */
function insertText(
  meta: ModelMeta,
  cells: readonly Cell[],
  returns: boolean,
): { readonly text: string; readonly params: readonly unknown[] } {
  const params = valuesIn(cells)
  if (params === null) return writeInsert(meta, cells, returns)
  const shape = returns ? shapeOf(cells) : `${shapeOf(cells)} read`
  return { text: meta.inserts.peek(shape) ?? meta.inserts.keep(shape, writeInsert(meta, cells, returns).text), params }
}

function writeInsert(meta: ModelMeta, cells: readonly Cell[], returns: boolean): Writer {
  return writeRow(meta, cells).add(returns ? ` returning ${meta.list()}` : '')
}

/** Their parameters; null where some are SQL. */
function valuesIn(cells: readonly Cell[]): readonly unknown[] | null {
  for (const { isSql } of cells) if (isSql) return null
  return cells.map(encodedCell)
}

function encodedCell({ column, value }: Cell): unknown {
  return column.encode(value)
}

/** `insert into "users" ("name", "email") values ($1, $2)`. */
export function writeRow(meta: ModelMeta, cells: readonly Cell[]): Writer {
  const writer = new Writer(meta.dialect).add(`insert into ${meta.sqlName} `)
  if (cells.length === 0) return writer.add(meta.dialect.models.emptyRow)
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
