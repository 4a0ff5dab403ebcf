// What the database answers when it refuses a statement: one class for each answer that programs treat differently.
// Made by sqlstate.ts only. What the server says may hold values: `message` was cleaned there, and everything else that
// may hold them is a getter of the prototype, which neither util.inspect, JSON nor loggers print.
import { GeneverError, isGeneverError, type ErrorDetails, type Outcome } from './genever-error.ts'

/** The fields of an ErrorResponse by name, as node-postgres calls them (`code` is the SQLSTATE). */
export type ErrorFields = Readonly<Record<string, string | undefined>>

export interface QueryErrorDetails extends ErrorDetails {
  readonly fields?: ErrorFields | undefined
}

const shown = ['constraint', 'table', 'column', 'schema'] as const

/**
 * The database refused a statement. Outcome: `rolled_back`.
 *
 * The message is the server's, without what it quotes from parameters (SQLSTATE class 22, parts of 42); the original is
 * `serverMessage`. A message that functions of your own raise (`RAISE`) is passed on as it is.
 *
 * @see PostgreSQL manual, "Error and Notice Message Fields" and appendix "PostgreSQL Error Codes".
 */
export class QueryError extends GeneverError {
  static override readonly code: string = 'GENEVER_QUERY'
  static override readonly outcome: Outcome = 'rolled_back'

  /** SQLSTATE, five characters: `23505`; empty if the server gave none. */
  readonly sqlState: string
  /** `ERROR` or `FATAL`, in the language of the server. */
  readonly severity: string
  declare readonly constraint?: string
  declare readonly table?: string
  declare readonly column?: string
  declare readonly schema?: string
  /** Where in the SQL text, in characters counted from 1. */
  declare readonly position?: number
  readonly #fields: ErrorFields
  readonly #driverError: unknown

  /** A `cause` of another library is kept as `driverError`: it repeats what the server said, values included. */
  constructor(message: string, details: QueryErrorDetails = {}) {
    const { cause, fields = {} } = details
    const clean = isGeneverError(cause)
    super(message, { ...details, cause: clean ? cause : undefined })
    this.sqlState = fields['code'] ?? ''
    this.severity = fields['severity'] ?? 'ERROR'
    for (const name of shown) if (fields[name] !== undefined) this[name] = fields[name]
    if (fields['position'] !== undefined) this.position = Number(fields['position'])
    this.#fields = fields
    this.#driverError = clean ? undefined : cause
  }

  /** The server's message as it came. May hold values; not printed. */
  get serverMessage(): string | undefined {
    return this.#fields['message']
  }

  /** The server's further explanation, often with the values of a row. Not printed. */
  get detail(): string | undefined {
    return this.#fields['detail']
  }

  /** The server's advice. May hold values; not printed. */
  get hint(): string | undefined {
    return this.#fields['hint']
  }

  /** The context, such as the stack of server-side functions. May hold values; not printed. */
  get where(): string | undefined {
    return this.#fields['where']
  }

  /** The text of a statement the server made itself. May hold values; not printed. */
  get internalQuery(): string | undefined {
    return this.#fields['internalQuery']
  }

  /** All that the server said. May hold values; not printed. */
  get fields(): ErrorFields {
    return this.#fields
  }

  /** The error of the driver's package, where there is one. May hold values; not printed. */
  get driverError(): unknown {
    return this.#driverError
  }
}

/** A constraint refused the change (SQLSTATE class 23); `constraint`, `table`, `column` say which. Suggested status: 422. */
export class ConstraintViolationError extends QueryError {
  static override readonly code: string = 'GENEVER_CONSTRAINT_VIOLATION'
  static override readonly suggestedStatus: number = 422
}

/** SQLSTATE 23505. Suggested status: 409. */
export class UniqueViolationError extends ConstraintViolationError {
  static override readonly code: string = 'GENEVER_UNIQUE_VIOLATION'
  static override readonly suggestedStatus: number = 409
}

/**
 * SQLSTATE 23503; 23001, which PostgreSQL 18 gives for RESTRICT. Suggested status: 409 where other rows refer to the row, 422
 * where there is no row to refer to.
 */
export class ForeignKeyViolationError extends ConstraintViolationError {
  static override readonly code: string = 'GENEVER_FOREIGN_KEY_VIOLATION'
}

/** SQLSTATE 23502. */
export class NotNullViolationError extends ConstraintViolationError {
  static override readonly code: string = 'GENEVER_NOT_NULL_VIOLATION'
}

/** SQLSTATE 23514. */
export class CheckViolationError extends ConstraintViolationError {
  static override readonly code: string = 'GENEVER_CHECK_VIOLATION'
}

/** SQLSTATE 23P01. Suggested status: 409. */
export class ExclusionViolationError extends ConstraintViolationError {
  static override readonly code: string = 'GENEVER_EXCLUSION_VIOLATION'
  static override readonly suggestedStatus: number = 409
}

/** The transaction lost against a concurrent one and was rolled back (SQLSTATE 40001). Retryable: the whole transaction. */
export class SerializationError extends QueryError {
  static override readonly code: string = 'GENEVER_SERIALIZATION'
  static override readonly retryable: boolean = true
}

/** The server ended a deadlock by rolling this transaction back (SQLSTATE 40P01). Retryable: the whole transaction. */
export class DeadlockDetectedError extends SerializationError {
  static override readonly code: string = 'GENEVER_DEADLOCK_DETECTED'
}

/** The server cancelled the statement: somebody's request, `statement_timeout` or `lock_timeout` (SQLSTATE 57014). */
export class QueryCanceledError extends QueryError {
  static override readonly code: string = 'GENEVER_QUERY_CANCELED'
}

/** A prepared statement gives other columns since a table was altered (SQLSTATE 0A000). Retryable, outside a transaction. */
export class StalePlanError extends QueryError {
  static override readonly code: string = 'GENEVER_STALE_PLAN'
  static override readonly retryable: boolean = true
}

/** A write in a read-only transaction or on a standby (SQLSTATE 25006). */
export class ReadOnlyError extends QueryError {
  static override readonly code: string = 'GENEVER_READ_ONLY'
}

/** The text is no SQL (42601) or names a table (42P01), column (42703) or function (42883) that does not exist. */
export class SqlSyntaxError extends QueryError {
  static override readonly code: string = 'GENEVER_SQL_SYNTAX'
}
