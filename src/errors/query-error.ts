// Errors that the database gives to statements: one class for each kind that programs treat differently. Made by `toQueryError` only.
// The server's words may hold values: `message` was cleaned before, and every other field that may hold them is a getter of the
// prototype, which neither util.inspect, JSON nor loggers print.
import { GeneverError, isGeneverError, type ErrorDetails, type Outcome } from './usage-error.ts'

/** The fields of an ErrorResponse by name, as node-postgres calls them (`code` is the SQLSTATE). */
export type ErrorFields = Readonly<Record<string, string | undefined>>

/** Details of a `QueryError`: the fields of the server's answer. */
export interface QueryErrorDetails extends ErrorDetails {
  readonly fields?: ErrorFields | undefined
}

const shown = ['constraint', 'table', 'column', 'schema'] as const

/**
 * The database refused a statement. Outcome: `rolled_back`.
 *
 * The message is the server's, without the parts that it quotes from parameters (SQLSTATE class 22, parts of 42). The
 * original is `serverMessage`. A message that your own functions raise (`RAISE`) is passed on as it is.
 *
 * @see PostgreSQL manual, "Error and Notice Message Fields" and appendix "PostgreSQL Error Codes".
 */
export class QueryError extends GeneverError {
  static override readonly code: string = 'GENEVER_QUERY'
  static override readonly outcome: Outcome = 'rolled_back'

  /** SQLSTATE, five characters: `23505`; empty if the server gave none. */
  readonly sqlState: string
  /** The number of the error, where the database has one (MySQL): `1062`. */
  declare readonly errno?: number
  /** `ERROR` or `FATAL`, in the language of the server. */
  readonly severity: string
  declare readonly constraint?: string
  declare readonly table?: string
  declare readonly column?: string
  declare readonly schema?: string
  /** The position in the SQL text, in characters counted from 1. */
  declare readonly position?: number
  readonly #fields: ErrorFields
  readonly #driverError: unknown

  /** A `cause` of another library is kept as `driverError`: it repeats what the server said, values included. */
  constructor(message: string, details: QueryErrorDetails = {}) {
    const { cause, fields = {} } = details
    const clean = isGeneverError(cause)
    super(message, { ...details, cause: clean ? cause : undefined })
    this.sqlState = fields['sqlState'] ?? fields['code'] ?? ''
    if (fields['sqlState'] !== undefined) this.errno = Number(fields['code'])
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

  /** All fields that the server sent. May hold values; not printed. */
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
 * SQLSTATE 23503, or 23001, which PostgreSQL 18 gives for RESTRICT. Suggested status: 409 if other rows refer to the row,
 * 422 if there is no row to refer to.
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

/**
 * The statement waited for a lock for longer than `lock_timeout`, or was sent with NOWAIT while the lock was taken
 * (SQLSTATE 55P03; MySQL 1205 and 3572, after which only the statement was undone). Retryable: the whole transaction, once it
 * has been rolled back.
 */
export class LockTimeoutError extends QueryError {
  static override readonly code: string = 'GENEVER_LOCK_TIMEOUT'
  static override readonly retryable: boolean = true
}

/** The server cancelled the statement: somebody's request, or `statement_timeout` (SQLSTATE 57014). */
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

/** The text is not valid SQL (42601), or it names a table (42P01), column (42703) or function (42883) that does not exist. */
export class SqlSyntaxError extends QueryError {
  static override readonly code: string = 'GENEVER_SQL_SYNTAX'
}

// Work that was stopped, or whose end is not what its author expects: deadlines, signals, COMMIT and what runs after
// it, migrations. Thrown by the engine. Mistakes in the use of transactions are in usage-error.ts.
/** Details of a `CommitOutcomeUnknownError`. */
export interface CommitOutcomeDetails extends ErrorDetails {
  readonly xid?: string | undefined
}

/** The connection died, or the timeout passed, while COMMIT was on its way. The transaction may or may not have taken effect. */
export class CommitOutcomeUnknownError extends GeneverError {
  static override readonly code: string = 'GENEVER_COMMIT_OUTCOME_UNKNOWN'
  /**
   * The number of the transaction on the server, for `pg_xact_status`. Absent unless the transaction had `resolveCommitMs`
   * and changed something.
   */
  declare readonly xid?: string

  constructor(message: string, details: CommitOutcomeDetails = {}) {
    super(message, details)
    if (details.xid !== undefined) this.xid = details.xid
  }
}

/** Details of an `AfterCommitError`. */
export interface AfterCommitDetails extends ErrorDetails {
  readonly result?: unknown
  readonly errors?: readonly unknown[] | undefined
}

/** The transaction was committed, but `afterCommit` hooks failed. Outcome: `committed`. */
export class AfterCommitError extends GeneverError {
  static override readonly code: string = 'GENEVER_AFTER_COMMIT'
  static override readonly outcome: Outcome = 'committed'
  /** The errors that the hooks threw, in order. */
  readonly errors: readonly unknown[]
  readonly #result: unknown

  constructor(message: string, details: AfterCommitDetails = {}) {
    super(message, details)
    this.errors = details.errors ?? []
    this.#result = details.result
  }

  /** The result that the transaction would have returned. It is not printed, because it may hold data of the database. */
  get result(): unknown {
    return this.#result
  }
}

/**
 * Statements of the transaction failed and were ignored by its code, so it was not committed. `cause` is the first
 * failure. Outcome: `rolled_back`.
 */
export class TransactionAbortedError extends GeneverError {
  static override readonly code: string = 'GENEVER_TRANSACTION_ABORTED'
  static override readonly outcome: Outcome = 'rolled_back'
}

/** Details of the errors of deadlines. */
export interface TimeoutDetails extends ErrorDetails {
  readonly timeoutMs?: number | undefined
}

/** The statement did not end within its `timeoutMs`. The server was asked to cancel it. */
export class QueryTimeoutError extends GeneverError {
  static override readonly code: string = 'GENEVER_QUERY_TIMEOUT'
  /** Milliseconds. */
  declare readonly timeoutMs?: number

  constructor(message: string, details: TimeoutDetails = {}) {
    super(message, details)
    if (details.timeoutMs !== undefined) this.timeoutMs = details.timeoutMs
  }
}

/**
 * The transaction was rolled back. It did not end within its `timeoutMs`, which includes all of its callback, or it ran no
 * statement for longer than its `idleTimeoutMs`. Outcome: `rolled_back`.
 */
export class TransactionTimeoutError extends GeneverError {
  static override readonly code: string = 'GENEVER_TRANSACTION_TIMEOUT'
  static override readonly outcome: Outcome = 'rolled_back'
  /** Milliseconds. */
  declare readonly timeoutMs?: number

  constructor(message: string, details: TimeoutDetails = {}) {
    super(message, details)
    if (details.timeoutMs !== undefined) this.timeoutMs = details.timeoutMs
  }
}

/** The signal given to a call was aborted. `cause` is the reason of the signal. */
export class AbortedError extends GeneverError {
  static override readonly code: string = 'GENEVER_ABORTED'
}

/** A migration cannot be applied, or failed. */
export class MigrationError extends GeneverError {
  static override readonly code: string = 'GENEVER_MIGRATION'
}

/** Details of a `StepError`. */
export interface StepDetails extends ErrorDetails {
  readonly step: number
}

/** A step of `trans()` failed. `cause` is its error. Outcome: `rolled_back`. */
export class StepError extends GeneverError {
  static override readonly code: string = 'GENEVER_STEP'
  static override readonly outcome: Outcome = 'rolled_back'
  /** The number of the step, counted from 1. */
  readonly step: number

  constructor(message: string, details?: StepDetails) {
    super(message, details)
    this.step = details?.step ?? 1
  }
}

const classes: ReadonlyMap<string, typeof QueryError> = new Map<string, typeof QueryError>([
  ['constraint', ConstraintViolationError],
  ['unique', UniqueViolationError],
  ['foreign-key', ForeignKeyViolationError],
  ['still-referenced', ForeignKeyViolationError],
  ['not-null', NotNullViolationError],
  ['check', CheckViolationError],
  ['exclusion', ExclusionViolationError],
  ['serialization', SerializationError],
  ['deadlock', DeadlockDetectedError],
  ['lock-timeout', LockTimeoutError],
  ['read-only', ReadOnlyError],
  ['syntax', SqlSyntaxError],
  ['naming', SqlSyntaxError],
  ['cancelled', QueryCanceledError],
  ['stale-plan', StalePlanError],
])

/** What differs from the class, by kind. */
const blames: Readonly<Record<string, QueryErrorDetails>> = {
  data: { clientError: true },
  'still-referenced': { suggestedStatus: 409 },
}

/** For errors that only a transaction pooler between us and the server explains. */
export const poolerAdvice: string =
  "If a transaction pooler such as PgBouncer is in between, set the option pooler: 'transaction' (in a URL: pgbouncer=true), with " +
  'prepare: true only if it keeps prepared statements for its clients.'

/** For those where that is said, and names of statements are not what they were. */
export const namesAdvice: string = 'Say prepare: true only if the pooler keeps prepared statements for its clients.'

/**
 * The error for what the server said to a statement. Never throws.
 *
 * @param meaning What the dialect says of it. `retryable` is its word: the classes have defaults for errors that programs make.
 * @param message What the server said, without values.
 * @param details A cause is kept as `driverError`, because it prints what the server said.
 */
export function toQueryError(
  { kind, retryable }: { readonly kind: string; readonly retryable: boolean },
  message: string,
  details: QueryErrorDetails,
): QueryError {
  return new (classes.get(kind) ?? QueryError)(message, { retryable, ...details, ...blames[kind] })
}
