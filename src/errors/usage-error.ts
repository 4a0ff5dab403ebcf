// The caller's mistakes: wrong options, a call at the wrong time, a value that cannot be sent. Thrown by every layer;
// doing the same again never helps, and nothing was sent to the server unless `outcome` says so.
import { GeneverError, type ErrorDetails, type Outcome } from './genever-error.ts'

/** The library was used in a way that cannot work; the message says what to do instead. Outcome: `not_started`. */
export class UsageError extends GeneverError {
  static override readonly code: string = 'GENEVER_USAGE'
  static override readonly outcome: Outcome = 'not_started'
}

/** A database URL that cannot be understood, or that asks for what is refused. Neither the URL nor a value is in the message. */
export class InvalidUrlError extends UsageError {
  static override readonly code: string = 'GENEVER_INVALID_URL'
}

/** What is wrong with one option. */
export interface OptionProblem {
  /** With its group: `pool.max`. */
  readonly name: string
  /** A clause that follows the name, without the value: `is not an option`. */
  readonly problem: string
}

export interface InvalidOptionDetails extends ErrorDetails {
  readonly options?: readonly OptionProblem[] | undefined
}

/** Options that do not exist, have the wrong type or are out of range: all of them in one error, without their values. */
export class InvalidOptionError extends UsageError {
  static override readonly code: string = 'GENEVER_INVALID_OPTION'
  /** Every option that is wrong. */
  readonly options: readonly OptionProblem[]

  constructor(message: string, details: InvalidOptionDetails = {}) {
    super(message, details)
    this.options = details.options ?? []
  }
}

/** The package of a driver is not installed; the message has the command that installs it. */
export class DriverNotInstalledError extends UsageError {
  static override readonly code: string = 'GENEVER_DRIVER_NOT_INSTALLED'
}

/** A database was used before it was bound to an engine. (GINO: `UninitializedError`.) */
export class NotBoundError extends UsageError {
  static override readonly code: string = 'GENEVER_NOT_BOUND'
}

/** A database was bound a second time. (GINO: `InitializedError`.) */
export class AlreadyBoundError extends UsageError {
  static override readonly code: string = 'GENEVER_ALREADY_BOUND'
}

/** A connection was used after it, or the connection it shared, had been released. */
export class ReleasedConnectionError extends UsageError {
  static override readonly code: string = 'GENEVER_RELEASED_CONNECTION'
}

/** Code that was started inside a transaction ran a statement after that transaction had ended. */
export class TransactionEndedError extends UsageError {
  static override readonly code: string = 'GENEVER_TRANSACTION_ENDED'
}

/** What was asked is not possible in the state the transaction, cursor or session is in. */
export class TransactionStateError extends UsageError {
  static override readonly code: string = 'GENEVER_TRANSACTION_STATE'
}

/** What a session knows was asked for, but the connection was given to others since: `currval()`, `lastval()`. */
export class SessionMovedError extends UsageError {
  static override readonly code: string = 'GENEVER_SESSION_MOVED'
}

/** Waiting for a connection would never end, because those who hold them all are waiting for the one who asks. */
export class SelfDeadlockError extends UsageError {
  static override readonly code: string = 'GENEVER_SELF_DEADLOCK'
}

/** A parameter is missing, is one too many, or cannot be sent. Its value is not in the message. */
export class ParameterError extends UsageError {
  static override readonly code: string = 'GENEVER_PARAMETER'
}

/** A filter, update or new row names a column that its table does not have. */
export class UnknownColumnError extends UsageError {
  static override readonly code: string = 'GENEVER_UNKNOWN_COLUMN'
  static override readonly clientError: boolean = true
}

/** What a validation schema says of one value; the part of Standard Schema that errors carry. */
export interface ValidationIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

export interface ValidationDetails extends ErrorDetails {
  readonly issues?: readonly ValidationIssue[] | undefined
}

/**
 * The schema of a model refused values. The message has where, `issues` has why: that is the text of the schema, which may
 * quote what it was given, so it is not printed with the error.
 */
export class ValidationError extends UsageError {
  static override readonly code: string = 'GENEVER_VALIDATION'
  static override readonly clientError: boolean = true
  static override readonly suggestedStatus: number = 422
  declare readonly issues: readonly ValidationIssue[]

  constructor(message: string, details: ValidationDetails = {}) {
    super(message, details)
    Object.defineProperty(this, 'issues', { value: details.issues ?? [] })
  }
}

/** A filter, update or new row names a JSON property that its model does not have. */
export class UnknownJsonPropertyError extends UsageError {
  static override readonly code: string = 'GENEVER_UNKNOWN_JSON_PROPERTY'
}
