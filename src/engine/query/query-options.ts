// Options of one statement, as users write them.
import type { Into } from '../../sql/into.ts'
import type { CursorTerms, QueryTerms, StatusTerms } from './query-terms.ts'
import type { Executor } from './executor.ts'

/** Options of one statement. A connection or transaction in place of them means `{ on: handle }`. */
export interface QueryOptions extends QueryTerms {
  /** Where to run it: a connection or transaction of the same database, or another db or engine. */
  readonly on?: Executor | undefined
}

/** Options of a method that gives rows, with what rows become. */
export interface IntoOptions<I extends Into> extends QueryOptions {
  /**
   * The kind of object that each row becomes: an instance of a model, the objects of a loader, or the result of a function or class. For
   * SQL text, `db.sql` and queries of other builders. A field belongs to the column whose name it has, and that of a member to
   * `member.column`. (GINO: `model`, `loader`.)
   * @throws {UsageError} when the rows lack a column.
   */
  readonly into: I
}

/** Options of `status()`. */
export interface StatusOptions extends QueryOptions, StatusTerms {}

/** Options of `iterate()` and of cursors. */
export interface CursorOptions extends QueryOptions, CursorTerms {}
