// Failures become errors here and nowhere else: after the await of the executor, so that the stack shows the line of
// the caller. Driver and server errors are wrapped once; no parameter value reaches a message.
import { type Failure, isFailure, type Refusal } from '../../driver/driver.ts'
import {
  AbortedError,
  AcquireTimeoutError,
  captureStack,
  ConnectionLostError,
  type ErrorDetails,
  type ErrorFields,
  GeneverError,
  ParameterError,
  namesAdvice,
  PoolClosedError,
  poolerAdvice,
  ProtocolError,
  QueryError,
  QueryTimeoutError,
  SelfDeadlockError,
  TooManyWaitersError,
  TransactionAbortedError,
  TransactionTimeoutError,
  toConnectError,
  toQueryError,
  toUnreadError,
} from '../../errors/index.ts'
import type { Place } from '../../observe/place.ts'
import { textIn, thrownText, tlsTrouble } from '../../util/thrown.ts'
import { type Compiled, shortText } from '../../sql/compiled.ts'
import type { Dialect } from '../../sql/dialect.ts'
import type { Fate } from '../../sql/statement.ts'
import type { EngineCore } from '../core.ts'
import type { Carrier } from '../slot/waiting.ts'
import type { StatementTransaction } from '../transaction/statement-transaction.ts'
import type { Spoiling } from '../transaction/state.ts'

/** The statement that failed, or the engine it happened on. */
export type About = FailedStatement | Where

type Where = Pick<EngineCore, 'dialect'> & { readonly options?: Pick<EngineCore['options'], 'pooler'> }

export interface FailedStatement {
  readonly engine: EngineCore
  readonly stmt: Compiled
  readonly transaction: StatementTransaction | null
  readonly slot: Pick<Carrier, 'flight'> | null
}

/** The error for whatever was thrown by a wait: a failure is turned into one, anything else stays. */
export function thrownError(thrown: unknown, about: About): unknown {
  return isFailure(thrown) ? failureError(thrown, about) : thrown
}

/** `transaction`: in which it happened, if that is not the statement's own. */
export function failureError(failure: Failure, about: About, within?: StatementTransaction): Error {
  const op = 'stmt' in about ? about : null
  const engine = op === null ? (about as Where) : op.engine
  const transaction = within ?? op?.transaction ?? null
  const { outcome, cause } = failure
  const statement = op === null ? undefined : { sql: op.stmt.text }
  const details = { outcome, cause, statement }
  switch (failure.kind) {
    case 'server':
      return abortedError(engine, failure, op) ?? serverError(engine, failure, op?.stmt.text)
    case 'refused':
      return refusalError(engine.dialect, failure.refusal as Refusal, failure, op)
    case 'lost':
      return lostError(engine, failure, details, transaction)
    case 'timeout':
      return new QueryTimeoutError(
        'The statement did not finish within its timeoutMs and was cancelled. Give it more time, or make it faster.',
        details,
      )
    case 'aborted':
      if (cause instanceof GeneverError) return cause
      return new AbortedError('The statement was aborted by its signal.', details)
    case 'encode':
      if (cause instanceof GeneverError) return cause
      return new ParameterError(
        'A parameter could not be sent: its value cannot be encoded. Pass data that can be written as text or JSON.',
        details,
      )
    case 'decode':
      return toUnreadError(details, failure.column, failureError)
    case 'skipped':
      return (
        (op === null ? null : op.transaction?.abortedError(op.stmt)) ??
        new TransactionAbortedError('The statement did not run because one sent before it failed.', details)
      )
    case 'closed':
      return new PoolClosedError('The connection was closed before the statement ended.', details)
    case 'protocol':
      if (cause instanceof GeneverError && !(cause instanceof ProtocolError)) return cause
      return new ProtocolError(
        `The server sent a message that the protocol does not allow${reasonOf(cause)}. The connection was closed; ${outcomeAdvice[outcome]}`,
        details,
      )
  }
}

function reasonOf(cause: unknown): string {
  const reason = cause instanceof Error ? cause.message : cause
  return typeof reason === 'string' ? ` (${reason})` : ''
}

/** For what the server said to a statement of that text. */
export function serverError(
  { dialect, options }: Where,
  { fields = {}, outcome, cause }: Pick<Failure, 'fields' | 'outcome' | 'cause'>,
  sql?: string,
): QueryError {
  const statement = sql === undefined ? undefined : { sql }
  const meaning = dialect.explain(fields)
  const pooled = options?.pooler !== undefined
  const advice = meaning.kind !== 'lost-statement' ? '' : ` ${pooled ? namesAdvice : poolerAdvice}`
  return toQueryError(meaning, `${dialect.message(fields, sql)}${advice}`, { fields, outcome, cause, statement })
}

/** For a statement that the server did not run, because one before it had failed in its transaction. */
function abortedError(
  { dialect }: Where,
  { fields = {}, ...failure }: Failure,
  op: FailedStatement | null,
): Error | null {
  if (op === null || dialect.explain(fields).kind !== 'aborted') return null
  const known = op.transaction?.abortedError(op.stmt)
  if (known) return known
  const first = op.slot?.flight.spoiler ?? { failure: { ...failure, fields }, stmt: op.stmt }
  return abortedBy(op.engine, null, first, op.stmt)
}

/**
 * The error of a statement that comes after one that has failed in the same transaction.
 * @param place Where the transaction began; null: it was begun by text.
 * @param stmt The later statement, if it is known here.
 */
export function abortedBy(
  engine: Where,
  place: Place | null,
  first: Spoiling | null,
  stmt: Compiled | null,
): TransactionAbortedError {
  const which = place === null ? 'its transaction' : `the transaction begun at ${place}`
  const cause = first === null ? undefined : causeOf(engine, first.failure, first.stmt)
  const failed = first === null || first.stmt === null ? '' : ` after its statement "${shortText(first.stmt)}" failed`
  const isUnheard = first !== null && unheard.has(first.failure)
  const advice = place === null ? 'set a savepoint before a statement that may fail.' : nestAdvice
  return new TransactionAbortedError(
    `The statement did not run, because ${which} cannot go on${failed}${sayingOf(cause)} ` +
      (isUnheard ? 'A cursor gives the rows before that error first.' : `Let the first error through, or ${advice}`),
    {
      cause,
      outcome: 'rolled_back',
      retryable: isUnheard && cause instanceof QueryError && cause.retryable,
      statement: stmt === null ? undefined : { sql: stmt.text },
    },
  )
}

/** The error of a transaction that was to be committed although something had spoiled it. */
export function uncommittedBy(engine: Where, place: Place, first: Spoiling | null): TransactionAbortedError {
  const cause = first === null ? undefined : causeOf(engine, first.failure, first.stmt)
  const what = first === null || first.stmt === null ? 'a statement inside' : `its statement "${shortText(first.stmt)}"`
  return new TransactionAbortedError(
    `The transaction begun at ${place} could not be committed and was rolled back, because ${what} had failed and the error ` +
      `was caught inside${sayingOf(cause)} Let the error through, or ${nestAdvice}`,
    { cause, outcome: 'rolled_back' },
  )
}

const nestAdvice =
  'put a statement that may fail into a nested db.transaction(): then only the nested one is rolled back.'

/** The end of a sentence. */
function sayingOf(cause: Error | undefined): string {
  if (cause === undefined) return '.'
  return /[.!?]$/.test(cause.message) ? `: ${cause.message}` : `: ${cause.message}.`
}

/** The error of the statement that failed first; it was made for its caller then, who has kept it from going on. */
function causeOf(engine: Where, failure: Failure, stmt: Compiled | null): Error {
  if (failure.kind === 'server') return serverError(engine, failure, stmt?.text)
  return failureError(failure, engine)
}

/** The server closed the session because its transaction ran no statement for too long: it was rolled back. */
export function wasIdle(dialect: Dialect, { kind, fields = {} }: Failure): boolean {
  return kind === 'lost' && dialect.explain(fields).kind === 'idle-transaction'
}

/** The server closed the session because its transaction took too long, idle or as a whole: it was rolled back. */
export function tookTooLong(dialect: Dialect, failure: Failure): boolean {
  const { kind, fields = {} } = failure
  return wasIdle(dialect, failure) || (kind === 'lost' && dialect.explain(fields).kind === 'long-transaction')
}

function lostError(
  { dialect, options }: Where,
  { outcome, fields = {} }: Failure,
  details: ErrorDetails,
  transaction: StatementTransaction | null,
): ConnectionLostError | TransactionTimeoutError {
  const { kind } = dialect.explain(fields)
  if (kind === 'idle-transaction') return idleError(details, transaction, codeOf(fields))
  if (kind === 'long-transaction') return longError(details, transaction?.place ?? null, codeOf(fields))
  const advice = kind === 'protocol' && options?.pooler === undefined ? ` ${poolerAdvice}` : ''
  const said = fields.message === undefined ? '' : `: ${dialect.message(fields, undefined)}`
  return new ConnectionLostError(
    `The connection to the database was lost${codeOf(fields)}${said}; ${outcomeAdvice[outcome]}${advice}`,
    details,
  )
}

function longError(details: ErrorDetails, place: Place | null, code: string): TransactionTimeoutError {
  const which = place === null ? 'transaction of the statement' : `transaction begun at ${place}`
  return new TransactionTimeoutError(
    `The ${which} took longer than the server's limit for transactions (transaction_timeout), so the server rolled it back ` +
      `and closed its connection${code}. Do slow work before or after the transaction, or give it more time.`,
    { ...details, outcome: 'rolled_back' },
  )
}

function idleError(details: ErrorDetails, within: StatementTransaction | null, code: string): TransactionTimeoutError {
  const own = within !== null && within.idleTimeoutMs !== Infinity
  const which = within === null ? '' : ` begun at ${within.place}`
  const limit = own ? `its idleTimeoutMs (${within.idleTimeoutMs} ms)` : "the server's limit for idle transactions"
  return new TransactionTimeoutError(
    `The transaction${which} ran no statement for longer than ${limit}, so the server rolled it back and closed its ` +
      `connection${code}. Do slow work before or after the transaction, or give it more time.`,
    { ...details, outcome: 'rolled_back', ...(own ? { timeoutMs: within.idleTimeoutMs } : {}) },
  )
}

/** The error of an attempt to open a connection. */
export function connectError(dialect: Dialect, failure: Failure, target: string): Error {
  if (failure.cause instanceof GeneverError && !(failure.cause instanceof ProtocolError)) return failure.cause
  const { fields } = failure
  const details = { outcome: 'not_started' as const, cause: failure.cause }
  const reason = fields?.message ?? (failure.cause instanceof Error ? causeText(failure.cause) : null) ?? failure.kind
  const message = `Could not connect to ${target}: ${reason}.`
  const { kind, opening } = dialect.explain(fields ?? {})
  const tls = fields === undefined ? tlsTrouble(failure.cause) : null
  return toConnectError(message, { kind, opening, reason, tls }, { ...details, ...codesOf(fields ?? {}) })
}

/** Some databases number their errors, and have states beside. */
function codesOf({ code, sqlState }: ErrorFields): { readonly sqlState?: string; readonly errno?: number } {
  if (sqlState !== undefined) return { ...(sqlState === '' ? {} : { sqlState }), errno: Number(code) }
  return code === undefined ? {} : { sqlState: code }
}

/** Behind a sentence: the SQLSTATE, or the number of the error where the database has numbers. */
function codeOf({ code, sqlState }: ErrorFields): string {
  return code === undefined ? '' : sqlState === undefined ? ` (SQLSTATE ${code})` : ` (error ${code})`
}

function causeText(cause: unknown): string {
  if (cause instanceof ProtocolError)
    return `the server sent a message that the protocol does not allow (${cause.message})`
  const [code, message] = [textIn(cause, 'code'), textIn(cause, 'message')]
  // mysql2 has one code for all that can be wrong with TLS.
  return (code?.startsWith('HANDSHAKE_') === true ? message : code) ?? message ?? thrownText(cause)
}

const outcomeAdvice = {
  not_started: 'the statement had not started, so it can be sent again.',
  rolled_back: 'its transaction was rolled back and can be run again.',
  committed: 'the statement had been committed.',
  unknown: 'the statement may have taken effect. Look for its effects before doing it again.',
} as const

function withOutcome(cause: GeneverError, failure: Failure): GeneverError {
  Object.defineProperty(cause, 'outcome', { value: failure.outcome, enumerable: true, configurable: true })
  return cause
}

/** The statement that ran, but of whose rows no results could be made. */
interface Unmade extends FailedStatement {
  readonly kept: boolean
}

/** The error for what was thrown while results were made of rows: no error says that a statement which ran has not started. */
export function unmadeError(thrown: unknown, op: Unmade): unknown {
  if (!(thrown instanceof GeneverError) || thrown.outcome !== 'not_started') return thrown
  const failure: Failure = { kind: 'decode', outcome: op.kept ? 'committed' : 'rolled_back', cause: thrown }
  const { transaction } = op
  if (transaction === null) return withOutcome(thrown, failure)
  let fate: Fate | null = null
  transaction.follow((ended) => (fate = ended))
  if (fate !== null) return withOutcome(thrown, { ...failure, outcome: outcomeOf[fate as Fate] })
  const told: Failure = { ...failure, outcome: 'rolled_back' }
  transaction.noteFailure(told, op)
  return withOutcome(thrown, told)
}

const outcomeOf = { commit: 'committed', rollback: 'rolled_back', unknown: 'unknown' } as const

function refusalError(dialect: Dialect, refusal: Refusal, failure: Failure, op: FailedStatement | null): Error {
  const statement = op === null ? undefined : { sql: op.stmt.text }
  const cause = isFailure(failure.cause) ? connectError(dialect, failure.cause, 'the database') : failure.cause
  const details = { outcome: 'not_started' as const, cause, statement }
  const { holders = [], stats } = refusal
  const held = holders.length === 0 ? '' : ` Held by: ${holders.join('; ')}.`
  switch (refusal.reason) {
    case 'usage':
      return failure.cause as Error
    case 'pool-closed':
      return new PoolClosedError(
        'The engine has been closed, so it lends no more connections. Create another one.',
        details,
      )
    case 'too-many-waiters':
      return new TooManyWaitersError(
        `Too many callers wait for a connection already (pool.maxWaiting; ${counts(stats)}). Try again later.`,
        details,
      )
    case 'self-deadlock':
      return new SelfDeadlockError(
        `The code that is calling holds all connections of the pool (${counts(stats)}), so a wait for one more ` +
          `would never end.${held} Use reuse: true, release the outer connection first, or raise pool.max.`,
        details,
      )
    case 'connect':
      return connectError(dialect, failure, 'the database')
    case 'acquire-timeout':
      return new AcquireTimeoutError(acquireMessage(refusal, held), {
        ...details,
        phase: refusal.phase ?? 'connection',
        timeoutMs: refusal.waitedMs ?? 0,
        holders,
        stats: stats ?? {},
      })
  }
}

function acquireMessage(refusal: Refusal, held: string): string {
  const waited = `Waited ${String(refusal.waitedMs)} ms`
  if (refusal.phase === 'transaction')
    return `${waited} for another transaction on the same connection to end.${held} Await it first, or use a separate connection with reuse: false.`
  if (refusal.phase === 'cursor')
    return `${waited} for a cursor to be closed.${held} Read it to its end or close it first.`
  if (refusal.phase === 'connect')
    return `${waited} for a connection to be opened (${counts(refusal.stats)}). Check that the server can be reached.`
  if (refusal.phase === 'tenant')
    return (
      `${waited} for a connection. The databases of all tenants together may have ${refusal.stats?.['maxConnections']} (maxConnections), and ` +
      `all are in use.${held} Allow more connections, or release them sooner.`
    )
  return `${waited} for a free connection (${counts(refusal.stats)}).${held} Shorten the transactions that hold them, release handles sooner, or raise pool.max.`
}

function counts(stats: Readonly<Record<string, number>> | undefined): string {
  if (stats === undefined) return 'no counts'
  return Object.entries(stats)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
}

/** Failures of cursors whose rows in front of them are read first. */
export const unheard: WeakSet<object> = new WeakSet()

/** Whether the rows in front of the failure are good. */
export function comesBehindRows(thrown: unknown): boolean {
  const { kind } = thrown as Partial<Failure>
  return kind === 'server' || kind === 'decode'
}

/**
 * The place where a stream or a loop was made. Its errors are made in a callback of the driver, which no code of the caller awaits, so
 * they get the stack of this place.
 */
export class Origin {
  readonly #made: { readonly stack?: string } = {}

  constructor() {
    captureStack(this.#made, Origin)
  }

  /** Gives an error of this package the stack of that place. */
  mark<E>(error: E): E {
    if (!(error instanceof GeneverError)) return error
    const { stack = '' } = this.#made
    const frames = stack.indexOf('\n    at ')
    const value = `${error.name}: ${error.message}${frames === -1 ? '' : stack.slice(frames)}`
    Object.defineProperty(error, 'stack', { value, writable: true, configurable: true, enumerable: false })
    return error
  }
}
