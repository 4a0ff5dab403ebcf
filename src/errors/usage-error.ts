// The caller's mistakes: wrong options, a call at the wrong time, a value that cannot be sent. Thrown by every layer;
// doing the same again never helps, and nothing was sent to the server unless `outcome` says so.

// The root of every error this package throws, and the test that works across two copies of it. Imported by the other
// files of this folder only; everybody else imports index.ts. Holds no text: who throws an error composes its message.

/**
 * Whether the work of a failed statement or transaction took effect.
 *
 * - `not_started`: The server never got it, so it can be done again.
 * - `rolled_back`: It was undone, so it can be done again.
 * - `committed`: It took effect, although an error is thrown.
 * - `unknown`: It may or may not have taken effect.
 */
export type Outcome = 'not_started' | 'rolled_back' | 'committed' | 'unknown'

/** Details that the constructor of every error takes besides its message. */
export interface ErrorDetails {
  /** The error that led to this one. */
  readonly cause?: unknown
  /** Default: see the documentation of the class. */
  readonly outcome?: Outcome | undefined
  /** The statement that failed, without its parameters. */
  readonly statement?: { readonly sql: string } | undefined
  /** Default: see the documentation of the class. */
  readonly retryable?: boolean | undefined
  /** True if what a client sent is wrong. Default: see the documentation of the class. */
  readonly clientError?: boolean | undefined
  /** Default: 400 for an error of a client. Otherwise see the documentation of the class. */
  readonly suggestedStatus?: number | undefined
}

/** The same in every copy of the package that is loaded. */
const brand: symbol = Symbol.for('genever.error')

/**
 * The root of every error this package throws.
 *
 * Neither the message nor the output of `util.inspect` holds a password or the value of a parameter. SQL text does appear,
 * as it was given. `docs/errors.md` has a heading for every `code`.
 */
export class GeneverError extends Error {
  /** The code of the errors of this class; it never changes. */
  static readonly code: string = 'GENEVER_ERROR'
  /** Default of `retryable`. */
  static readonly retryable: boolean = false
  /** Default of `outcome`. */
  static readonly outcome: Outcome = 'unknown'
  /** Default of `clientError`. */
  static readonly clientError: boolean = false
  /** Default of `suggestedStatus`. */
  static readonly suggestedStatus: number | undefined = undefined

  /** Stable, upper case, starts with `GENEVER_`. */
  readonly code: string
  /** Whether doing the same again may succeed without doing anything twice. */
  readonly retryable: boolean
  readonly outcome: Outcome
  /** True if the client sent something wrong: a cursor, a key, a name of a column. Absent otherwise. */
  declare readonly clientError?: true
  /**
   * The status that fits for a web answer. No framework acts on it by itself, but the `errorHandler()` of a plug-in does.
   * 503: the database had no time or could not be reached. Absent for all other faults of the server.
   */
  declare readonly suggestedStatus?: number
  /** The statement that failed, never its parameters. Absent if there was none. */
  declare readonly statement?: { readonly sql: string }
  /** Of `executeMany()`: the index of the set of parameters that failed, from 0. Absent otherwise. */
  declare parameterSet?: number

  constructor(message: string, details: ErrorDetails = {}) {
    nameErrors(new.target)
    const limit = allowOurFrames()
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    limitFrames(limit)
    this.code = new.target.code
    this.retryable = details.retryable ?? new.target.retryable
    this.outcome = details.outcome ?? new.target.outcome
    const ofClient = details.clientError ?? new.target.clientError
    if (ofClient) this.clientError = true
    const status = details.suggestedStatus ?? new.target.suggestedStatus ?? (ofClient ? 400 : undefined)
    if (status !== undefined) this.suggestedStatus = status
    if (details.statement !== undefined) this.statement = { sql: details.statement.sql }
  }

  static {
    Object.defineProperty(this.prototype, brand, { value: true })
  }
}

/**
 * Frames of this package, and of a query builder on it, that may stand between the place where an error is made and the code of the caller.
 * V8 keeps the ten innermost frames, so without more than these the line of the caller could be missing.
 */
const framesOfOurs = 30

/** Has V8 keep more frames, unless it keeps none. Gives the limit as it was, for `limitFrames`. */
function allowOurFrames(): number {
  const limit = Error.stackTraceLimit
  if (limit > 0) limitFrames(limit + framesOfOurs)
  return limit
}

function limitFrames(limit: number): void {
  // Not an assignment: it would throw under --frozen-intrinsics.
  Reflect.set(Error, 'stackTraceLimit', limit)
}

type Behind = ((...args: never[]) => unknown) | (abstract new (...args: never[]) => unknown)

/** Gives `target` the stack of this moment. `behind`: a function on it, which is left out with all that it has called. */
export function captureStack(target: object, behind: Behind = captureStack): void {
  const limit = allowOurFrames()
  Error.captureStackTrace(target, behind)
  limitFrames(limit)
}

/** A class of errors, from whichever copy of the package. */
export interface ErrorKind<E extends GeneverError> {
  readonly code: string
  readonly prototype: E
}

/**
 * Whether a thrown value is an error of this package. With a code or class, whether it is of that kind or of a kind below
 * it.
 *
 * Unlike `instanceof` it also recognises errors of another copy of the package (two versions in one dependency tree, or a
 * bundled one). The code may be given without `GENEVER_`.
 *
 * @example
 * if (isGeneverError(error, UniqueViolationError)) return `${error.constraint} is taken`
 * if (isGeneverError(error, 'CONSTRAINT_VIOLATION')) return 'refused by a constraint'
 */
export function isGeneverError<E extends GeneverError>(error: unknown, kind: ErrorKind<E>): error is E
export function isGeneverError(error: unknown, code?: string): error is GeneverError
export function isGeneverError(error: unknown, kind?: string | ErrorKind<GeneverError>): boolean {
  if (typeof error !== 'object' || error === null || !(brand in error)) return false
  if (kind === undefined) return true
  const code = typeof kind === 'string' ? kind : kind.code
  return codesOf(error).includes(code.startsWith('GENEVER_') ? code : `GENEVER_${code}`)
}

/** The codes of its class and the classes above. */
function codesOf(error: object): unknown[] {
  const codes: unknown[] = [(error as { code?: unknown }).code]
  for (let kind: unknown = error.constructor; typeof kind === 'function'; kind = Object.getPrototypeOf(kind))
    codes.push((kind as { code?: unknown }).code)
  return codes
}

/**
 * Gives the errors of a class its name, on the prototype so that the first line of the stack has it too. Names of ours
 * come from the code (`GENEVER_NOT_BOUND`: `NotBoundError`), because bundlers shorten the names of classes.
 */
function nameErrors(kind: typeof GeneverError): void {
  if (Object.hasOwn(kind.prototype, 'name') || !Object.isExtensible(kind.prototype)) return
  const named = kind !== GeneverError && Object.hasOwn(kind, 'code') && kind.code.startsWith('GENEVER_')
  const value = kind === GeneverError ? 'GeneverError' : named ? nameFromCode(kind.code) : kind.name
  Object.defineProperty(kind.prototype, 'name', { value, writable: true, configurable: true })
}

function nameFromCode(code: string): string {
  const words = code.slice('GENEVER_'.length).toLowerCase().split('_')
  return `${words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')}Error`
}

/** The library was used in a way that cannot work. The message says what to do instead. Outcome: `not_started`. */
export class UsageError extends GeneverError {
  static override readonly code: string = 'GENEVER_USAGE'
  static override readonly outcome: Outcome = 'not_started'
}

/**
 * A database URL that cannot be understood, or that asks for something that is refused. Neither the URL nor a value is in
 * the message.
 */
export class InvalidUrlError extends UsageError {
  static override readonly code: string = 'GENEVER_INVALID_URL'
}

/** One option that is wrong. */
export interface OptionProblem {
  /** With its group: `pool.max`. */
  readonly name: string
  /** A clause that follows the name, without the value: `is not an option`. */
  readonly problem: string
}

/** Details of an `InvalidOptionError`. */
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

/** The package of a driver is not installed. The message has the command that installs it. */
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

/** A connection was used after it had been released, or after the connection that it shared had been. */
export class ReleasedConnectionError extends UsageError {
  static override readonly code: string = 'GENEVER_RELEASED_CONNECTION'
}

/** Code that was started inside a transaction ran a statement after that transaction had ended. */
export class TransactionEndedError extends UsageError {
  static override readonly code: string = 'GENEVER_TRANSACTION_ENDED'
}

/** The call is not possible in the state of the transaction, cursor or session. */
export class TransactionStateError extends UsageError {
  static override readonly code: string = 'GENEVER_TRANSACTION_STATE'
}

/** `currval()` or `lastval()` asked for a value of the session, but the connection was given to others since. */
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

/** The command `genever` was called in a way that cannot work, or its configuration is not what it should be. */
export class CommandLineError extends UsageError {
  static override readonly code: string = 'GENEVER_COMMAND_LINE'
}

/** A problem that a validation schema found with one value. It is the part of Standard Schema that errors carry. */
export interface ValidationIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** Details of a `ValidationError`. */
export interface ValidationDetails extends ErrorDetails {
  readonly issues?: readonly ValidationIssue[] | undefined
}

/**
 * The schema of a model refused values. The message says where, and `issues` says why. These texts come from the schema and
 * may quote the values, so they are not printed with the error.
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

/** No tenant was named where one is needed, or its name cannot be used. */
export class TenantError extends UsageError {
  static override readonly code: string = 'GENEVER_TENANT'
}

/**
 * A request names no tenant, an invalid one, or one that does not exist. The `cause` says which. Web frameworks answer it
 * with status 400 and its message, as they answer `NotFoundError` with 404.
 */
export class RequestTenantError extends TenantError {
  static override readonly code: string = 'GENEVER_REQUEST_TENANT'
  static override readonly clientError: boolean = true
  readonly status: number = 400
  readonly statusCode: number = 400
  readonly expose: boolean = true

  /** The message as a response of that status. Hono asks errors for it (its `HTTPResponseError`). */
  getResponse(): Response {
    return new Response(this.message, { status: this.status })
  }
}

/** A schema that was named does not exist, or the role may not use it. PostgreSQL itself ignores both silently. */
export class SchemaNotFoundError extends UsageError {
  static override readonly code: string = 'GENEVER_SCHEMA_NOT_FOUND'
}

// The statement succeeded, but its answer has not the shape that was asked for. Thrown by the executor, models and
// plug-ins. Doing the same again gives the same, unless data has changed meanwhile.

/**
 * The answer of the database does not have the shape that was asked for. Outcome: `unknown`, unless the code that throws it
 * knows better.
 */
export class ResultError extends GeneverError {
  static override readonly code: string = 'GENEVER_RESULT'
}

/** `one()` found no row. */
export class NoResultError extends ResultError {
  static override readonly code: string = 'GENEVER_NO_RESULT'
}

/** `one()` or `oneOrNone()` found more than one row. */
export class MultipleResultsError extends ResultError {
  static override readonly code: string = 'GENEVER_MULTIPLE_RESULTS'
}

/** An update, deletion or reload of an instance found no row: it was deleted, or its key changed. (GINO: `NoSuchRowError`.) */
export class NoSuchRowError extends ResultError {
  static override readonly code: string = 'GENEVER_NO_SUCH_ROW'
}

/**
 * The thing that a request asks for does not exist. Web frameworks answer it with status 404 and its message. They look at
 * `status` (Koa, Hono, h3), `statusCode` (Fastify, Express) and `expose` (Koa, Express).
 *
 * @see GINO's extensions: `get_or_404`, `first_or_404`.
 */
export class NotFoundError extends ResultError {
  static override readonly code: string = 'GENEVER_NOT_FOUND'
  static override readonly suggestedStatus: number = 404
  readonly status: number = 404
  readonly statusCode: number = 404
  readonly expose: boolean = true

  /** The message as a response of that status. Hono asks errors for it (its `HTTPResponseError`). */
  getResponse(): Response {
    return new Response(this.message, { status: this.status })
  }
}

/** An 8-byte integer is too large for a `number`. Its value is not in the message. Ask for `int8: 'bigint'` or `'string'`. */
export class UnsafeIntegerError extends ResultError {
  static override readonly code: string = 'GENEVER_UNSAFE_INTEGER'
}

/** The worker of `genever/sync` did not answer in time. Its work goes on, so whether it took effect is not known. */
export class SyncTimeoutError extends GeneverError {
  static override readonly code: string = 'GENEVER_SYNC_TIMEOUT'
  static override readonly outcome: Outcome = 'unknown'
}

/** The worker of `genever/sync` has ended: by `process.exit()`, or because an error was not caught there. */
export class SyncWorkerError extends GeneverError {
  static override readonly code: string = 'GENEVER_SYNC_WORKER'
  static override readonly outcome: Outcome = 'unknown'
}
