// Options of making and dropping schemas, and what both tell.
import { boolean, must } from '../util/checks.ts'
import type { Checks } from '../util/options.ts'

/**
 * A Drizzle table, enum, sequence, view, role, policy or `pgSchema`, or anything with such a `table`, as a model has: an
 * array of them, or a module that exports them (`import * as schema`), of which relations and the rest are ignored.
 */
export type SchemaSource = object

export interface StatementOptions {
  /**
   * Comments (`COMMENT ON`) for tables, columns, views, enums, sequences and schemas, by the Drizzle object: a `Map`, or a
   * list of pairs. Drizzle has no place for them.
   */
  readonly comments?: Iterable<readonly [object, string]> | undefined
}

export interface CreateOptions extends StatementOptions {
  /**
   * Leaves alone what is there already, as a whole: neither columns nor indexes of a table that exists are added. With
   * false the server refuses what exists. Default true. (GINO: `checkfirst`.)
   */
  readonly checkFirst?: boolean | undefined
}

export interface DropStatementOptions {
  /** Drops also what depends on it and was not given: views, foreign keys of other tables. Default false. */
  readonly cascade?: boolean | undefined
  /** Drops also the roles that were given. They belong to the whole server. Default false. */
  readonly roles?: boolean | undefined
  /** Drops also the schemas the objects were in, never `public`. Default false. */
  readonly schemas?: boolean | undefined
}

export interface DropOptions extends DropStatementOptions {
  /** Passes over what is not there, and over schemas that hold something else. With false the server refuses. Default true. */
  readonly checkFirst?: boolean | undefined
}

/** Objects by what they are and their SQL names: `table "shop"."orders"`. */
export interface CreateReport {
  readonly created: readonly string[]
  /** They were there and were left alone. */
  readonly existing: readonly string[]
}

export interface DropReport {
  readonly dropped: readonly string[]
  /** They were not there. */
  readonly missing: readonly string[]
}

const isIterable = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && typeof Reflect.get(value, Symbol.iterator) === 'function'

export const statementChecks: Checks<StatementOptions> = { comments: must('a Map or a list of pairs', isIterable) }

export const createChecks: Checks<CreateOptions> = { ...statementChecks, checkFirst: boolean }

export const dropStatementChecks: Checks<DropStatementOptions> = {
  cascade: boolean,
  roles: boolean,
  schemas: boolean,
}

export const dropChecks: Checks<DropOptions> = { ...dropStatementChecks, checkFirst: boolean }
