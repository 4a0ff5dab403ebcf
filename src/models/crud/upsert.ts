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
import type { Writer } from '../statement/sink.ts'
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
  const upsert = new Upsert(model, options, 'upsert()')
  const { meta } = upsert
  const row = await upsert.row(values)
  const executor = meta.executor(options.on)
  if (meta.dialect.models.returns || (await returnsRows(meta, executor, options)))
    return executor.one(upsert.statement(row), options)
  const [made] = await upsert.reading(executor, [row], options)
  return made as object
}

/** One call of `upsert()` or `upsertMany()`. */
export class Upsert {
  readonly model: ModelLike
  readonly meta: ModelMeta
  /** The key that decides whether a row is there. */
  readonly target: Target
  readonly #update: UpsertOptions<string>['update']
  readonly #method: string

  /** @throws {UsageError} for a model without a table, or a target that is no key. */
  constructor(model: ModelLike, options: UpsertOptions<string>, method: string) {
    this.model = model
    this.meta = writable(model, method)
    this.target = targetOf(model, this.meta, options, method)
    this.#update = options.update
    this.#method = method
  }

  /** @throws {UsageError} when a column of the target has no value. */
  async row(values: unknown): Promise<UpsertRow> {
    const { meta, target } = this
    const update = this.#update
    const given = asValues(values, this.#method)
    const keys = ownKeys(meta, given)
    const made = await prepared(meta, given, this.#method)
    const cells = cellsOf(meta, made)
    target.check(new Set(cells.map(({ column }) => column)))
    const missing = target.needed.filter((column) => !cells.some((cell) => cell.column === column))
    if (missing.length > 0)
      throw new UsageError(
        `${this.#method} of ${modelName(this.model)} decides by ${names(target.columns)}, and has no value for ${names(missing)}: give one, or name another unique key as target.`,
      )
    if (!areKeys(update)) {
      const changes = changesOf(meta, asValues(update, `The update of ${this.#method}`))
      return { cells, changes, ofRow: new Set(), own: false }
    }
    const changing = update === undefined ? this.#given(keys, made) : this.#named(update, made)
    const columns = meta.columns.filter(({ key }) => changing.includes(key) && !meta.propertiesOf.has(key))
    const changes = changesOf(meta, Object.fromEntries(changing.map((key) => [key, made[key]])))
    return { cells, changes, ofRow: new Set(columns), own: columns.length < changing.length }
  }

  /** The values that change in an existing row: those that the caller gave, without the key that found it. */
  #given(keys: readonly string[], made: Values): readonly string[] {
    const { columns } = this.target
    return keys.filter((key) => has(made, key) && !columns.some((column) => column.key === key))
  }

  /** The same, as the option `update` names it. */
  #named(update: readonly string[], made: Values): readonly string[] {
    const { byKey, properties } = this.meta
    const unknown = update.filter((key) => !byKey.has(key) && !properties.has(key))
    if (unknown.length > 0) throw unknownKeys(this.meta, unknown, [...byKey.keys(), ...properties.keys()])
    const missing = update.filter((key) => !has(made, key))
    if (missing.length > 0)
      throw new UsageError(`${this.#method} is to update ${missing.join(', ')}, which was given no value.`)
    return update
  }

  #write(row: UpsertRow): Writer {
    const writer = writeRow(this.meta, row.cells)
    writeUpdate(writer, this.meta, this.target, row)
    return writer
  }

  statement(row: UpsertRow): Ready<object> {
    const { meta } = this
    const { text, params } = this.#write(row).add(` returning ${meta.list()}`)
    return ready<object>(meta, text, params, meta.specOf(this.model) as never, meta.loaded)
  }

  /** Writes the rows and reads them again, where no INSERT gives its rows. */
  reading(executor: Executor, rows: readonly UpsertRow[], options: CallOptions): Promise<object[]> {
    const { model, meta } = this
    const written = rows.map((row) => {
      const places = [placeOfUpsert(model, row, this.#method)]
      const { text, params } = this.#write(row)
      return { write: ready<object>(meta, text, params), places }
    })
    const reading = { spec: meta.specOf(model), decode: meta.loaded, latest: true }
    return writeAndRead(model, executor, written, reading, options)
  }
}

const has = (made: Values, key: string): boolean => Object.hasOwn(made, key) && made[key] !== undefined

function areKeys(update: UpsertOptions<string>['update']): update is readonly string[] | undefined {
  return update === undefined || Array.isArray(update)
}

/** The keys that the caller gave, before anything is filled in. */
function ownKeys(meta: ModelMeta, given: Values): readonly string[] {
  const known = [...meta.byKey.keys(), ...meta.properties.keys()]
  return known.filter((key) => Object.hasOwn(given, key) && given[key] !== undefined)
}

function names(columns: readonly ModelColumn[]): string {
  return columns.map(({ key }) => key).join(', ')
}
