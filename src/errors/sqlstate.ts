// The one table from SQLSTATE to class, and the one place where a server's message is cleaned of values. Called by
// whoever turns a failure of a driver into an error. Decides nothing about retrying or about connections.
import { AuthenticationError, ConnectError, type ConnectDetails, TooManyConnectionsError } from './connection-error.ts'
import type { ErrorDetails, Outcome } from './genever-error.ts'
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

/** A prepared statement is there that should not be, or is not there that should: another session answers than the one before. */
const lostStatement: ReadonlySet<string> = new Set(['42P05', '26000'])

/** For errors that only a transaction pooler between us and the server explains. */
export const poolerAdvice =
  "If a transaction pooler such as PgBouncer is in between, set the option pooler: 'transaction' (in a URL: pgbouncer=true)."

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
  const advice = lostStatement.has(sqlState) ? ` ${poolerAdvice}` : ''
  return new kind(`${safeMessage(fields, sql)}${advice}`, { fields, outcome, cause, statement, ...blame(fields) })
}

/** A value that is not of its type, or too large or too long for it. */
const misfit = /^22(?:001|003|007|008|021|P02|P03|P05)$/

/** Where the fault lies, as far as the state says. */
function blame({ code = '', message = '' }: ErrorFields): Pick<ErrorDetails, 'clientError' | 'suggestedStatus'> {
  if (misfit.test(code)) return { clientError: true }
  if (code === '23001') return { suggestedStatus: 409 }
  if (code !== '23503') return {}
  // Where other rows refer to the row, the message names three things in every language: its table, the constraint, theirs.
  return { suggestedStatus: (message.match(quotes)?.length ?? 0) > 4 ? 409 : 422 }
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

function safeMessage(fields: ErrorFields, sql: string | undefined): string {
  const { code = '', message = '' } = fields
  if (message === '') return `The database refused the statement${code === '' ? '' : ` (SQLSTATE ${code})`}.`
  const safe = withoutValues(message, fields, sql)
  return safe.length > longestMessage ? `${safe.slice(0, longestMessage)}…` : safe
}

/** States whose messages never repeat what was given: constraints, states of the session, what a function raises (P0), … */
const harmless = /^(?:08|23|25|26|28|2B|34|40|53|55|57|P0|XX|42501)/

/**
 * What the server quotes in a message:
 *
 * - `input`: what it was given. PostgreSQL in class 22 (data exceptions); MySQL in 23000 and HY000, which PostgreSQL does not
 *   use; whatever comes without a state.
 * - `names`: tables, constraints and the like. What was found while the text was parsed has a position and names what stands
 *   there; what a function of the user raises is its author's business.
 * - `either`: a name from the SQL text, or what was given, as in `syntax error in tsquery: "…"` (42601), `$1::regclass` or SQL
 *   that a function made of it.
 */
function quoted({ code = '', position, routine }: ErrorFields): 'input' | 'either' | 'names' {
  if (routine === 'exec_stmt_raise') return 'names'
  if (code.startsWith('22') || code === '23000' || code === 'HY000' || code === '') return 'input'
  return position !== undefined || harmless.test(code) ? 'names' : 'either'
}

/** The quotation marks of the languages the server speaks. */
const quotes = /["'`«»„“”‘’‚‹›「」『』]/gu
/** Numbers, except the length of a type and the number of a bound parameter. */
const numbers = /(?<![A-Za-z\d_$(.,]|bind parameter )[-+]?\d[\w.:,+-]*/gu
/** Letters of a language whose translation is not known to quote what it was given (the Georgian one does not). */
const foreign =
  /[^\p{Script=Latin}\p{Script=Common}\p{Script=Cyrillic}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u

/**
 * Replaces everything from the first quotation that may be a value to the last quotation mark, as a value may hold marks
 * itself; what follows a colon after it (`encoding "UTF8": 0xff`); and loose numbers (`out of range: 2024-13-01`).
 */
function withoutValues(message: string, fields: ErrorFields, sql: string | undefined): string {
  const kind = quoted(fields)
  if (kind === 'names') return message
  const marks = [...message.matchAll(quotes)].map(({ index }) => index)
  const [first, last] = [marks[kind === 'either' ? countNames(message, marks, fields, sql) : 0], marks.at(-1)]
  let text = message
  if (first !== undefined && last !== undefined) {
    const after = first === last ? '' : message.slice(last + 1)
    text = `${message.slice(0, first)}"…"${after.startsWith(':') ? '' : after}`
  }
  if (foreign.test(text)) return 'The database refused a value.'
  if (kind === 'either') text = withoutTail(text, fields['code'])
  return text.replace(numbers, '…')
}

/** A name that was given may stand without marks: `operator does not exist: abc`. */
function withoutTail(text: string, code: string = ''): string {
  const colon = text.indexOf(': ')
  return code.startsWith('42') && colon !== -1 && !text.includes('"', colon) ? `${text.slice(0, colon)}: …` : text
}

/** How many of the quotation marks, from the first on, are around names. */
function countNames(message: string, marks: readonly number[], fields: ErrorFields, sql: string | undefined): number {
  for (let count = 0; ; count += 2) {
    const [open, close] = [marks[count], marks[count + 1]]
    if (open === undefined || close === undefined || !isName(message.slice(open + 1, close), fields, sql)) return count
  }
}

/** Whether the text is that of a field that names something, or stands in the statement as a word. */
function isName(text: string, fields: ErrorFields, sql: string = ''): boolean {
  const name = text.trim()
  if (name === '') return false
  if (naming.some((field) => fields[field] === name)) return true
  const [statement, word] = [sql.toLowerCase(), name.toLowerCase()]
  const at = statement.indexOf(word)
  return at !== -1 && !/\w/.test(statement.charAt(at - 1)) && !/\w/.test(statement.charAt(at + word.length))
}

const naming = ['constraint', 'table', 'column', 'schema', 'dataType']
