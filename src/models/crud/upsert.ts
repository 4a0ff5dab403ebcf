// `Model.upsert`: INSERT … ON CONFLICT DO UPDATE … RETURNING, in one statement, so that somebody else's row between look and
// write is no accident.
import { UsageError } from '../../errors/index.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import type { ModelLike, ModelMeta } from '../meta/model-meta.ts'
import { unknownKeys } from '../query/compile/condition.ts'
import { ready } from '../statement/ready.ts'
import { Writer } from '../statement/sink.ts'
import type { UpsertOptions } from '../types/model.ts'
import { type Change, changesOf, writeAssignments } from '../values/changes.ts'
import { asValues, type Values } from '../values/given.ts'
import { prepared } from '../values/hooks.ts'
import { cellsOf } from '../values/insert.ts'
import { writable } from '../values/writable.ts'
import { head, writeCell } from './create.ts'

export async function upsertOne(
  model: ModelLike,
  values: unknown,
  options: UpsertOptions<string> = {},
): Promise<object> {
  const meta = writable(model, 'upsert()')
  const given = await prepared(meta, asValues(values, 'upsert()'), 'upsert()')
  const cells = cellsOf(meta, given)
  const target = targetOf(model, meta, options.target)
  const missing = target.filter((column) => !cells.some((cell) => cell.column === column))
  if (missing.length > 0)
    throw new UsageError(
      `upsert() of ${model.name} decides by ${keys(target)}, and has no value for ${keys(missing)}: give one, or name another unique key as target.`,
    )
  const changes = changesOf(meta, chosen(meta, given, target, options.update))
  const writer = new Writer()
  writer.add(`${head(meta, cells)}(`)
  cells.forEach((cell, index) => {
    if (index > 0) writer.add(', ')
    writeCell(writer, cell)
  })
  writer.add(`) on conflict (${target.map(({ quoted }) => quoted).join(', ')}) do update set `)
  writeUpdate(writer, meta, target, changes)
  writer.add(` returning ${meta.list()}`)
  const { text, params } = writer
  return meta.executor(options.on).one(ready<object>(text, params, meta.specOf(model) as never, meta.loaded), options)
}

/** With nothing to change the key is set to itself: only an update gives the row that is there. */
function writeUpdate(
  writer: Writer,
  meta: ModelMeta,
  target: readonly ModelColumn[],
  changes: readonly Change[],
): void {
  if (changes.length > 0) writeAssignments(writer, meta, changes)
  else writer.add(target.map(({ quoted }) => `${quoted} = excluded.${quoted}`).join(', '))
}

function targetOf(model: ModelLike, meta: ModelMeta, given: readonly string[] | undefined): readonly ModelColumn[] {
  const unknown = (given ?? []).filter((key) => !meta.byKey.has(key))
  if (unknown.length > 0) throw unknownKeys(meta, unknown, [...meta.byKey.keys()])
  const target = given === undefined ? meta.primaryKey : given.map((key) => meta.columnOf(key))
  if (target.length === 0)
    throw new UsageError(`upsert() of ${model.name} needs a target: the columns of a unique key.`)
  return target
}

/** What changes in a row that is there: what `update` names, else all that was given but the key. */
function chosen(
  meta: ModelMeta,
  given: Values,
  target: readonly ModelColumn[],
  update: readonly string[] | undefined,
): Values {
  const inKey = (key: string): boolean => target.some((column) => column.key === key)
  const known = Object.keys(given).filter((key) => given[key] !== undefined)
  if (update === undefined)
    return Object.fromEntries(known.filter((key) => !inKey(key)).map((key) => [key, given[key]]))
  const unknown = update.filter((key) => !meta.byKey.has(key) && !meta.properties.has(key))
  if (unknown.length > 0) throw unknownKeys(meta, unknown, [...meta.byKey.keys(), ...meta.properties.keys()])
  const missing = update.filter((key) => !known.includes(key))
  if (missing.length > 0) throw new UsageError(`upsert() is to update ${missing.join(', ')}, which was given no value.`)
  return Object.fromEntries(update.map((key) => [key, given[key]]))
}

function keys(columns: readonly ModelColumn[]): string {
  return columns.map(({ key }) => key).join(', ')
}
