// Options of making and dropping schemas, and what both tell.
import { boolean, must, type Checks } from '../util/options.ts'

/**
 * A Drizzle table, enum, sequence, view, role, policy or `pgSchema`, or an object with such a `table`, as a model has. Also
 * an array of them, or a module that exports them (`import * as schema`). Relations and other exports of the module are
 * ignored.
 */
export type SchemaSource = object

/** Options of `createStatements()`. */
export interface StatementOptions {
  /**
   * Comments (`COMMENT ON`) for tables, columns, views, enums, sequences and schemas, by the Drizzle object. Give a `Map`,
   * or a list of pairs. Drizzle itself cannot hold comments.
   */
  readonly comments?: Iterable<readonly [object, string]> | undefined
}

/** Options of `createAll()`. */
export interface CreateOptions extends StatementOptions {
  /**
   * Leaves existing objects alone. A table that exists gets no new columns or indexes. False: the server refuses objects
   * that exist. Default true. (GINO: `checkfirst`.)
   */
  readonly checkFirst?: boolean | undefined
}

/** Options of `dropStatements()`. */
export interface DropStatementOptions {
  /** Also drops objects that depend on the given ones and were not given: views, foreign keys of other tables. Default false. */
  readonly cascade?: boolean | undefined
  /** Also drops the roles that were given. They belong to the whole server. Default false. */
  readonly roles?: boolean | undefined
  /** Also drops the schemas that the objects were in, but never `public`. Default false. */
  readonly schemas?: boolean | undefined
}

/** Options of `dropAll()`. */
export interface DropOptions extends DropStatementOptions {
  /** Ignores objects that do not exist, and schemas that hold something else. False: the server refuses them. Default true. */
  readonly checkFirst?: boolean | undefined
}

/** Objects, each by its kind and SQL name: `table "shop"."orders"`. */
export interface CreateReport {
  readonly created: readonly string[]
  /** They existed and were left alone. */
  readonly existing: readonly string[]
}

/** The result of `dropAll()`: objects, each by its kind and SQL name. */
export interface DropReport {
  readonly dropped: readonly string[]
  /** They did not exist. */
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
