// `Model.upsert`: INSERT … ON CONFLICT DO UPDATE … RETURNING, in one statement, so that no other session can insert
// the row between a look and the write. An existing row changes only in the values that the caller gave: values from validation and hooks
// are for new rows.
import { noOptions } from '../../util/options.ts'
import type { Executor } from '../../engine/query/executor.ts'
import { UsageError } from '../../errors/index.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import { type ModelLike, type ModelMeta, modelName } from '../meta/model-meta.ts'
import { unknownKeys } from '../query/compile/condition.ts'
import { ready, type Ready } from '../statement/ready.ts'
import { returnsRows } from '../statement/returning.ts'
import type { CallOptions, UpsertOptions } from '../types/model.ts'
import { changesOf } from '../values/changes.ts'
import { asValues, type Values, writable } from '../values/given.ts'
import { prepared } from '../values/hooks.ts'
import { cellsOf } from '../values/insert.ts'
import { type Target, targetOf, writeUpdate } from './conflict.ts'
import { writeRow } from './create.ts'
import { placeOfUpsert, type UpsertRow, writeAndRead } from './read-back.ts'

export async function upsertOne(
  model: ModelLike,
  values: unknown,
  options: UpsertOptions<string> = noOptions,
): Promise<object> {
  const meta = writable(model, 'upsert()')
  const target = targetOf(model, meta, options, 'upsert()')
  const row = await upsertRow(model, meta, target, options.update, values, 'upsert()')
  const executor = meta.executor(options.on)
  if (meta.dialect.models.returns || (await returnsRows(meta, executor, options)))
    return executor.one(upsertStatement(model, meta, target, row), options)
  const [made] = await upsertReading(model, meta, executor, target, [row], options, 'upsert()')
  return made as object
}

/** Where no INSERT gives its rows. */
export function upsertReading(
  model: ModelLike,
  meta: ModelMeta,
  executor: Executor,
  target: Target,
  rows: readonly UpsertRow[],
  options: CallOptions,
  method: string,
): Promise<object[]> {
  const written = rows.map((row) => {
    const places = [placeOfUpsert(model, meta, row, method)]
    const writer = writeRow(meta, row.cells)
    writeUpdate(writer, meta, target, row)
    return { write: ready<object>(meta, writer.text, writer.params), places }
  })
  const reading = { spec: meta.specOf(model), decode: meta.loaded, latest: true }
  return writeAndRead(model, meta, executor, written, reading, options)
}

/** @throws {UsageError} when a column of the target has no value. */
export async function upsertRow(
  model: ModelLike,
  meta: ModelMeta,
  target: Target,
  update: UpsertOptions<string>['update'],
  values: unknown,
  method: string,
): Promise<UpsertRow> {
  const given = asValues(values, method)
  const keys = ownKeys(meta, given)
  const made = await prepared(meta, given, method)
  const cells = cellsOf(meta, made)
  target.check(new Set(cells.map(({ column }) => column)))
  const missing = target.needed.filter((column) => !cells.some((cell) => cell.column === column))
  if (missing.length > 0)
    throw new UsageError(
      `${method} of ${modelName(model)} decides by ${names(target.columns)}, and has no value for ${names(missing)}: give one, or name another unique key as target.`,
    )
  if (!areKeys(update))
    return {
      cells,
      changes: changesOf(meta, asValues(update, `The update of ${method}`)),
      ofRow: new Set(),
      own: false,
    }
  const changing = chosen(meta, keys, made, target, update, method)
  const columns = meta.columns.filter(({ key }) => changing.includes(key) && !meta.propertiesOf.has(key))
  const changes = changesOf(meta, Object.fromEntries(changing.map((key) => [key, made[key]])))
  return { cells, changes, ofRow: new Set(columns), own: columns.length < changing.length }
}

export function upsertStatement(model: ModelLike, meta: ModelMeta, target: Target, row: UpsertRow): Ready<object> {
  const writer = writeRow(meta, row.cells)
  writeUpdate(writer, meta, target, row)
  const { text, params } = writer.add(` returning ${meta.list()}`)
  return ready<object>(meta, text, params, meta.specOf(model) as never, meta.loaded)
}

function areKeys(update: UpsertOptions<string>['update']): update is readonly string[] | undefined {
  return update === undefined || Array.isArray(update)
}

/** What the caller gave, before anything is filled in. */
function ownKeys(meta: ModelMeta, given: Values): readonly string[] {
  const known = [...meta.byKey.keys(), ...meta.properties.keys()]
  return known.filter((key) => Object.hasOwn(given, key) && given[key] !== undefined)
}

/** Keys of what changes in a row that is there. */
function chosen(
  meta: ModelMeta,
  keys: readonly string[],
  made: Values,
  { columns }: Target,
  update: readonly string[] | undefined,
  method: string,
): readonly string[] {
  const has = (key: string): boolean => Object.hasOwn(made, key) && made[key] !== undefined
  if (update === undefined) return keys.filter((key) => has(key) && !columns.some((column) => column.key === key))
  const unknown = update.filter((key) => !meta.byKey.has(key) && !meta.properties.has(key))
  if (unknown.length > 0) throw unknownKeys(meta, unknown, [...meta.byKey.keys(), ...meta.properties.keys()])
  const missing = update.filter((key) => !has(key))
  if (missing.length > 0)
    throw new UsageError(`${method} is to update ${missing.join(', ')}, which was given no value.`)
  return update
}

function names(columns: readonly ModelColumn[]): string {
  return columns.map(({ key }) => key).join(', ')
}
