// Errors of connections: the pool could not lend one, none could be opened, or one died in use. Thrown by pool, drivers and engine.
// Errors that the server gives to a statement are in query-error.ts.
import { poolerAdvice } from './query-error.ts'
import { captureStack, GeneverError, type ErrorDetails, type Outcome, UsageError } from './usage-error.ts'

/** The pool did not lend a connection. Outcome: `not_started`. Suggested status: 503. */
export class PoolError extends GeneverError {
  static override readonly code: string = 'GENEVER_POOL'
  static override readonly outcome: Outcome = 'not_started'
  static override readonly suggestedStatus: number = 503
}

/** Details of an `AcquireTimeoutError`. */
export interface AcquireTimeoutDetails extends ErrorDetails {
  readonly phase?: string | undefined
  readonly timeoutMs?: number | undefined
  readonly holders?: readonly string[] | undefined
  readonly stats?: Readonly<Record<string, number>> | undefined
}

/** The connection, transaction or cursor that was waited for did not become free in time. Retryable. */
export class AcquireTimeoutError extends PoolError {
  static override readonly code: string = 'GENEVER_ACQUIRE_TIMEOUT'
  static override readonly retryable: boolean = true
  /**
   * The thing that was waited for. `connection`: a free connection. `connect`: a connection that was being opened.
   * `transaction` or `cursor`: the end of a transaction or cursor on the same connection. `tenant`: a connection of the database of
   * a tenant.
   */
  readonly phase: string
  /** The wait in milliseconds. */
  readonly timeoutMs: number
  /** The holders of the connections that were waited for, a line each. */
  readonly holders: readonly string[]
  /** The counts of the pool at that moment. */
  readonly stats: Readonly<Record<string, number>>

  constructor(message: string, details: AcquireTimeoutDetails = {}) {
    super(message, details)
    this.phase = details.phase ?? 'connection'
    this.timeoutMs = details.timeoutMs ?? 0
    this.holders = details.holders ?? []
    this.stats = details.stats ?? {}
  }
}

/** `pool.maxWaiting` were waiting already. Retryable, after a while. */
export class TooManyWaitersError extends PoolError {
  static override readonly code: string = 'GENEVER_TOO_MANY_WAITERS'
  static override readonly retryable: boolean = true
}

/** The engine has been closed, which is final. */
export class PoolClosedError extends PoolError {
  static override readonly code: string = 'GENEVER_POOL_CLOSED'
}

/** Details of a `ConnectError`. */
export interface ConnectDetails extends ErrorDetails {
  readonly sqlState?: string | undefined
  readonly errno?: number | undefined
}

/**
 * No connection could be opened: name look-up, network, TLS, or the server refused. Outcome: `not_started`. Retryable.
 * Suggested status: 503.
 */
export class ConnectError extends GeneverError {
  static override readonly code: string = 'GENEVER_CONNECT'
  static override readonly outcome: Outcome = 'not_started'
  static override readonly retryable: boolean = true
  static override readonly suggestedStatus: number = 503
  /** The SQLSTATE of the server's answer, if there was one. */
  declare readonly sqlState?: string
  /** The number of the error, where the database has one (MySQL): `1045`. */
  declare readonly errno?: number

  constructor(message: string, details: ConnectDetails = {}) {
    super(message, details)
    if (details.sqlState !== undefined) this.sqlState = details.sqlState
    if (details.errno !== undefined) this.errno = details.errno
  }
}

/** The server refused the user, the password or the way to prove it (SQLSTATE class 28). Not retryable. */
export class AuthenticationError extends ConnectError {
  static override readonly code: string = 'GENEVER_AUTHENTICATION'
  static override readonly retryable: boolean = false
}

/** The server has no connection left for this user, database or in all (SQLSTATE 53300). Retryable, after a while. */
export class TooManyConnectionsError extends ConnectError {
  static override readonly code: string = 'GENEVER_TOO_MANY_CONNECTIONS'
}

/** A connection died in use. Retryable if its outcome is `not_started` or `rolled_back`. Suggested status: 503. */
export class ConnectionLostError extends GeneverError {
  static override readonly code: string = 'GENEVER_CONNECTION_LOST'
  static override readonly suggestedStatus: number = 503

  constructor(message: string, details: ErrorDetails = {}) {
    const undone = details.outcome === 'not_started' || details.outcome === 'rolled_back'
    super(message, { ...details, retryable: details.retryable ?? undone })
  }
}

/**
 * The server sent something that its protocol does not allow, or an answer that cannot be read. The connection is not used
 * again.
 */
export class ProtocolError extends GeneverError {
  static override readonly code: string = 'GENEVER_PROTOCOL'
}

/** Why TLS could not be had. */
export type TlsTrouble = 'missing' | 'certificate' | 'other'

/** What is known of a connection that could not be opened. */
export interface OpeningFailure {
  /** What went wrong, in the words of the server, of Node.js or of the driver. */
  readonly reason: string
  /** What the dialect says about the server's answer. */
  readonly kind: string
  readonly opening: string
  readonly tls: TlsTrouble | null
}

const usualAdvice = 'Check that the server runs and that host, port and database are right.'
const tlsAdvice: Readonly<Record<TlsTrouble, string>> = {
  missing:
    'Switch TLS on in the server, or connect without it where the network is trusted (PostgreSQL: sslmode=disable).',
  certificate: 'Check who signed the certificate of the server, for which name, and until when.',
  other: usualAdvice,
}

/**
 * The error for a connection that could not be opened: `AuthenticationError`, `TooManyConnectionsError` or `ConnectError`, which is
 * not retryable where trying again is in vain. It says what to check.
 *
 * @param message The caller's; it knows which server was asked.
 */
export function toConnectError(message: string, why: OpeningFailure, details: ConnectDetails): ConnectError {
  const { reason, kind, opening, tls } = why
  if (kind === 'authentication' || kind === 'password')
    return new AuthenticationError(`${message} Check user, password and the server's access rules.`, details)
  const advice = /unsupported startup parameter/i.test(reason)
    ? poolerAdvice
    : tls === null
      ? usualAdvice
      : tlsAdvice[tls]
  const hopeless = opening === 'config' || tls === 'missing' || tls === 'certificate'
  const Kind = opening === 'full' ? TooManyConnectionsError : ConnectError
  return new Kind(`${message} ${advice}`, hopeless ? { ...details, retryable: false } : details)
}

/**
 * The error of a connection or pool once more, with the stack of this moment: several callers may wait for the same opening, and each has
 * its line in the stack of its error. Anything else stays as it is.
 */
export function anew(error: unknown): unknown {
  if (!(error instanceof ConnectError || error instanceof PoolError)) return error
  const Kind = error.constructor as new (message: string, details: ErrorDetails) => GeneverError
  return Object.assign(new Kind(error.message, error), error)
}

/**
 * The error for an answer that could not be read. What was thrown deep inside, where neither the column nor the statement nor the caller is
 * known, becomes one that says all three.
 *
 * @param made The function that its stack begins behind.
 */
export function toUnreadError(
  { cause, outcome, statement }: ErrorDetails,
  column: string | undefined,
  made: (...args: never[]) => unknown,
): GeneverError {
  const place = column === undefined ? undefined : `Column ${JSON.stringify(column.slice(0, 64))} could not be read.`
  if (!(cause instanceof GeneverError)) {
    const whole = `The answer of the server could not be read${typeof cause === 'string' ? `: ${cause}` : ''}.`
    return new ProtocolError(place === undefined ? whole : `${place} The cause says why.`, {
      cause,
      outcome,
      statement,
    })
  }
  const known = place !== undefined && cause.message.startsWith(place)
  if (place !== undefined && !known) cause.message = `${place} ${cause.message}`
  if (!known && (place !== undefined || cause.constructor === UsageError)) captureStack(cause, made)
  const own = cause.statement ?? statement
  const members = { outcome, ...(own === undefined ? {} : { statement: own }) }
  for (const [name, value] of Object.entries(members))
    Object.defineProperty(cause, name, { value, enumerable: true, configurable: true })
  return cause
}
