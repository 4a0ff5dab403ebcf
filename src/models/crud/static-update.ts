// `User.update({ … }).where(…)`: one UPDATE of many rows.
import type { SQL } from 'drizzle-orm'
import type { ModelLike } from '../meta/model-meta.ts'
import type { Writer } from '../statement/sink.ts'
import type { Fragment } from '../../sql/tag.ts'
import type { Handle } from '../../engine/handle.ts'
import type { CallOptions, Filter } from '../types/model.ts'
import { changesOf, writeAssignments } from '../values/changes.ts'
import { asValues, checkKeys, later, type Values } from '../values/given.ts'
import { changed } from '../values/hooks.ts'
import { writable } from '../values/writable.ts'
import { ManyRows, type Returned, type Rows } from '../statement/many-rows.ts'

/** Runs when awaited, and gives the number of rows. @throws {UsageError} when awaited without `where()` or `everyRow()`. */
export interface ModelUpdate<I, Row, Set = object> extends PromiseLike<number> {
  /** Changes more; of several values for one column the last wins. */
  set(values: Set): ModelUpdate<I, Row, Set>
  /** Only rows of which this holds too. Undefined, and an object without members, ask for nothing. */
  where(condition: SQL | Fragment | Filter<Row> | undefined): ModelUpdate<I, Row, Set>
  /** Says that every row is meant. */
  everyRow(): ModelUpdate<I, Row, Set>
  /** Gives instances of what was changed instead. */
  returning(): Returned<I>
  apply(options?: CallOptions | Handle): Promise<number>
}

export class UpdateRows extends ManyRows<UpdateRows> {
  readonly #values: Values
  #hooked: Values | null = null

  constructor(model: ModelLike, values: unknown, rows?: Rows) {
    super(model, 'update', rows)
    const meta = writable(model, 'update()')
    this.#values = asValues(values, 'update()')
    checkKeys(meta, this.#values)
  }

  set(values: unknown): UpdateRows {
    return new UpdateRows(this.model, later(this.meta, this.#values, asValues(values, 'set()')), this.rows)
  }

  protected override with(rows: Rows): UpdateRows {
    return new UpdateRows(this.model, this.#values, rows)
  }

  protected override prepare(): Promise<void> | undefined {
    const { beforeUpdate } = this.meta.hooks
    if (beforeUpdate === undefined) return undefined
    const hook = async (): Promise<void> => {
      const copy = { ...this.#values }
      this.#hooked = changed(await beforeUpdate(copy, undefined), copy, 'update()')
    }
    return hook()
  }

  protected override write(writer: Writer): boolean {
    const changes = changesOf(this.meta, this.#hooked ?? this.#values)
    if (changes.length === 0) return false
    writer.add(`update ${this.meta.sqlName} set `)
    writeAssignments(writer, this.meta, changes)
    return true
  }
}
