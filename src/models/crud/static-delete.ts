// `User.delete().where(…)`: one DELETE of many rows.
import type { SQL } from 'drizzle-orm'
import type { ModelLike } from '../meta/model-meta.ts'
import type { Writer } from '../statement/sink.ts'
import type { Fragment } from '../../sql/tag.ts'
import type { Handle } from '../../engine/handle.ts'
import type { CallOptions, Filter } from '../types/model.ts'
import { writable } from '../values/writable.ts'
import { ManyRows, type Returned, type Rows } from '../statement/many-rows.ts'

/** Runs when awaited, and gives the number of rows. @throws {UsageError} when awaited without `where()` or `everyRow()`. */
export interface ModelDelete<I, Row> extends PromiseLike<number> {
  /** Only rows of which this holds too. Undefined, and an object without members, ask for nothing. */
  where(condition: SQL | Fragment | Filter<Row> | undefined): ModelDelete<I, Row>
  /** Says that every row is meant. */
  everyRow(): ModelDelete<I, Row>
  /** Gives instances of what was deleted instead. */
  returning(): Returned<I>
  apply(options?: CallOptions | Handle): Promise<number>
}

export class DeleteRows extends ManyRows<DeleteRows> {
  constructor(model: ModelLike, rows?: Rows) {
    super(model, 'delete', rows)
    writable(model, 'delete()')
  }

  protected override with(rows: Rows): DeleteRows {
    return new DeleteRows(this.model, rows)
  }

  protected override write(writer: Writer): boolean {
    writer.add(`delete from ${this.meta.sqlName}`)
    return true
  }
}
