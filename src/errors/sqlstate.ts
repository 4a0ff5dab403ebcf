// The one table from SQLSTATE to class, and the one place where a server's message is cleaned of values. Called by
// whoever turns a failure of a driver into an error. Decides nothing about retrying or about connections.
import { AuthenticationError, ConnectError, type ConnectDetails, TooManyConnectionsError } from './connection-error.ts'
import type { Outcome } from './genever-error.ts'
import {
  CheckViolationError,
  ConstraintViolationError,
  DeadlockDetectedError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  NotNullViolationError,
  QueryCanceledError,
  QueryError,
  ReadOnlyError,
  SerializationError,
  SqlSyntaxError,
  StalePlanError,
  UniqueViolationError,
  type ErrorFields,
} from './query-error.ts'

/** PostgreSQL manual, appendix "PostgreSQL Error Codes". A class of two characters stands for the rest of it. */
const kinds: ReadonlyMap<string, typeof QueryError> = new Map<string, typeof QueryError>([
  ['23', ConstraintViolationError],
  ['23001', ForeignKeyViolationError],
  ['23502', NotNullViolationError],
  ['23503', ForeignKeyViolationError],
  ['23505', UniqueViolationError],
  ['23514', CheckViolationError],
  ['23P01', ExclusionViolationError],
  ['25006', ReadOnlyError],
  ['40001', SerializationError],
  ['40P01', DeadlockDetectedError],
  ['42601', SqlSyntaxError],
  ['42703', SqlSyntaxError],
  ['42883', SqlSyntaxError],
  ['42P01', SqlSyntaxError],
  ['57014', QueryCanceledError],
])

const longestMessage = 2_000

/**
 * The error for what the server said to a statement. Never throws.
 *
 * @param fields The ErrorResponse by name, as node-postgres names them; `code` is the SQLSTATE.
 * @param sql The statement's text, if there was one.
 * @param outcome Default `rolled_back`.
 * @param cause The error of the driver's package, if any; kept as `driverError`, because it prints what the server said.
 */
export function toQueryError(fields: ErrorFields, sql?: string, outcome?: Outcome, cause?: unknown): QueryError {
  const sqlState = fields['code'] ?? ''
  const kind = isStalePlan(fields)
    ? StalePlanError
    : (kinds.get(sqlState) ?? kinds.get(sqlState.slice(0, 2)) ?? QueryError)
  const statement = sql === undefined ? undefined : { sql }
  return new kind(safeMessage(fields), { fields, outcome, cause, statement })
}

/**
 * The error for a connection that the server refused: `AuthenticationError` for class 28, `TooManyConnectionsError` for
 * 53300, else `ConnectError`, which is not retryable if the database does not exist (3D000) or may not be used (42501).
 *
 * @param message The caller's; it knows which server was asked.
 * @param sqlState What the server answered; undefined if it did not.
 */
export function toConnectError(message: string, sqlState?: string, details: ConnectDetails = {}): ConnectError {
  const kind = sqlState?.startsWith('28')
    ? AuthenticationError
    : sqlState === '53300'
      ? TooManyConnectionsError
      : ConnectError
  const final = sqlState === '3D000' || sqlState === '42501'
  return new kind(message, { ...details, sqlState, retryable: details.retryable ?? (final ? false : undefined) })
}

/** Whether the server ends this connection because it stops or restarts (57P01, 57P02, 57P03). */
export function isServerShutdown(sqlState: string): boolean {
  return sqlState === '57P01' || sqlState === '57P02' || sqlState === '57P03'
}

/** PostgreSQL gives this no SQLSTATE of its own; the routine is the same in every language. */
function isStalePlan(fields: ErrorFields): boolean {
  if (fields['code'] !== '0A000') return false
  return (
    fields['routine'] === 'RevalidateCachedQuery' || fields['message'] === 'cached plan must not change result type'
  )
}

function safeMessage(fields: ErrorFields): string {
  const { code, message } = fields
  if (message === undefined || message === '')
    return `The database refused the statement${code ? ` (SQLSTATE ${code})` : ''}.`
  const safe = quotesInput(code ?? '') ? withoutValues(message) : message
  return safe.length > longestMessage ? `${safe.slice(0, longestMessage)}…` : safe
}

/**
 * PostgreSQL quotes what it was given in class 22 (data exceptions), and only names everywhere else. MySQL quotes it in
 * 23000 and HY000, which PostgreSQL does not use. What comes without a state is not trusted.
 */
function quotesInput(sqlState: string): boolean {
  return sqlState.startsWith('22') || sqlState === '23000' || sqlState === 'HY000' || sqlState === ''
}

/** The quotation marks of the languages the server speaks. */
const quotes = /["'`«»„“”‘’‚‹›「」『』]/gu
/** Numbers, except the length of a type and the number of a parameter. */
const numbers = /(?<![A-Za-z\d_$(.,]|parameter )[-+]?\d[\w.:,+-]*/gu
/** Letters of a language whose translation is not known to quote what it was given (the Georgian one does not). */
const foreign =
  /[^\p{Script=Latin}\p{Script=Common}\p{Script=Cyrillic}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u

/**
 * Replaces everything from the first quotation mark to the last, as the value between may hold quotation marks itself;
 * what follows a colon after it (`encoding "UTF8": 0xff`); and loose numbers (`out of range: 2024-13-01`).
 */
function withoutValues(message: string): string {
  const marks = [...message.matchAll(quotes)].map(({ index }) => index)
  const [first, last] = [marks[0], marks.at(-1)]
  if (first === undefined || last === undefined) return withoutNumbers(message)
  const after = first === last ? '' : message.slice(last + 1)
  return withoutNumbers(`${message.slice(0, first)}"…"${after.startsWith(':') ? '' : after}`)
}

function withoutNumbers(message: string): string {
  return foreign.test(message) ? 'The database refused a value.' : message.replace(numbers, '…')
}
