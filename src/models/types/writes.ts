// The types of changes and deletions. Nothing is sent before they are awaited or applied.
import type { SQL } from 'drizzle-orm'
import type { Fragment } from '../../sql/tag.ts'
import type { Handle } from '../../engine/context/frame.ts'
import type { CallOptions, Filter } from './model.ts'

/**
 * Changes to one row that are not yet made. It is thenable, so that `await user.update({ … })` is never a silent no-op.
 * Applying it again runs it again, and evaluates its expressions again. (GINO: `UpdateRequest`.)
 */
export interface Update<Self, Set> extends PromiseLike<Self> {
  /** Changes more; of several values for one column the last wins. */
  set(values: Set): Update<Self, Set>
  /**
   * Runs it. Without a change, nothing is sent.
   * @throws {NoSuchRowError} when the row is gone.
   * @throws {UsageError} when the model has no primary key and no `lookup()`.
   */
  apply(options?: CallOptions | Handle): Promise<Self>
}

/** Runs when awaited, and gives the number of rows. @throws {UsageError} when awaited without `where()` or `everyRow()`. */
export interface ModelUpdate<I, Row, Set = object> extends PromiseLike<number> {
  /** Changes more; of several values for one column the last wins. */
  set(values: Set): ModelUpdate<I, Row, Set>
  /** Only rows of which this holds too. Undefined, and an object without members, ask for nothing. */
  where(condition: SQL | Fragment | Filter<Row> | undefined): ModelUpdate<I, Row, Set>
  /** Says that every row is meant. */
  everyRow(): ModelUpdate<I, Row, Set>
  /** Returns the changed instances instead of their number. */
  returning(): Returned<I>
  /** Runs it, and gives the number of rows. */
  apply(options?: CallOptions | Handle): Promise<number>
}

/** Runs when awaited, and gives the number of rows. @throws {UsageError} when awaited without `where()` or `everyRow()`. */
export interface ModelDelete<I, Row> extends PromiseLike<number> {
  /** Only rows of which this holds too. Undefined, and an object without members, ask for nothing. */
  where(condition: SQL | Fragment | Filter<Row> | undefined): ModelDelete<I, Row>
  /** Says that every row is meant. */
  everyRow(): ModelDelete<I, Row>
  /** Returns the deleted instances instead of their number. */
  returning(): Returned<I>
  /** Runs it, and gives the number of rows. */
  apply(options?: CallOptions | Handle): Promise<number>
}

/** The written instances. */
export interface Returned<I> extends PromiseLike<I[]> {
  /** Runs it. */
  apply(options?: CallOptions | Handle): Promise<I[]>
}
