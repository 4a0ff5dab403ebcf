// Failures become errors here and nowhere else: after the await of the executor, so that the stack shows the line of
// the caller. Driver and server errors are wrapped once; no parameter value reaches a message.
import type { Failure, Refusal } from '../../driver/driver.ts'
import {
  AbortedError,
  AcquireTimeoutError,
  ConnectionLostError,
  type ErrorDetails,
  GeneverError,
  ParameterError,
  PoolClosedError,
  poolerAdvice,
  ProtocolError,
  QueryTimeoutError,
  SelfDeadlockError,
  TooManyWaitersError,
  TransactionAbortedError,
  TransactionTimeoutError,
  toConnectError,
  toQueryError,
} from '../../errors/index.ts'
import { textIn, thrownText } from '../../util/thrown.ts'
import type { Compiled } from '../../sql/compiled.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import type { EngineOp } from './op.ts'

/** What user code throws can be any object. */
const kinds: ReadonlySet<unknown> = new Set<Failure['kind']>([
  'server',
  'lost',
  'protocol',
  'encode',
  'decode',
  'timeout',
  'aborted',
  'closed',
  'skipped',
  'refused',
])

export function isFailure(thrown: unknown): thrown is Failure {
  return (
    typeof thrown === 'object' &&
    thrown !== null &&
    !(thrown instanceof Error) &&
    'outcome' in thrown &&
    kinds.has((thrown as Partial<Failure>).kind)
  )
}

/** The error for whatever was thrown by a wait: a failure is turned into one, anything else stays. */
export function thrownError(thrown: unknown, op: EngineOp | null): unknown {
  return isFailure(thrown) ? failureError(thrown, op) : thrown
}

/** `transaction`: in which it happened, if that is not the statement's own. */
export function failureError(
  failure: Failure,
  op: EngineOp | null,
  transaction: TransactionRecord | null = op?.transaction ?? null,
): Error {
  const { outcome, cause } = failure
  const statement = op === null ? undefined : { sql: op.stmt.text }
  const details = { outcome, cause, statement }
  switch (failure.kind) {
    case 'server':
      return abortedError(failure, op) ?? toQueryError(failure.fields ?? {}, op?.stmt.text, outcome, cause)
    case 'refused':
      return refusalError(failure.refusal as Refusal, failure, op)
    case 'lost':
      if (wasIdle(failure)) return idleError(details, transaction)
      return new ConnectionLostError(
        `The connection to the database was lost${failure.fields?.code === undefined ? '' : ` (SQLSTATE ${failure.fields.code})`}; ` +
          `${outcomeAdvice[outcome]}${failure.fields?.code === '08P01' ? ` ${poolerAdvice}` : ''}`,
        details,
      )
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
        'A parameter could not be sent: its value cannot be encoded. Give data that can be written as text or JSON.',
        details,
      )
    case 'decode':
      if (cause instanceof GeneverError) return withOutcome(cause, failure)
      return new ProtocolError(
        `The answer of the server could not be read${typeof cause === 'string' ? `: ${cause}` : ''}.`,
        details,
      )
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
        `The server answered what the protocol does not allow${reasonOf(cause)}. The connection was closed; ${outcomeAdvice[outcome]}`,
        details,
      )
  }
}

function reasonOf(cause: unknown): string {
  const reason = cause instanceof Error ? cause.message : cause
  return typeof reason === 'string' ? ` (${reason})` : ''
}

/** For a statement that the server did not run, because one before it had failed in its transaction (25P02). */
function abortedError(failure: Failure, op: EngineOp | null): Error | null {
  if (failure.fields?.['code'] !== '25P02' || op === null) return null
  const known = op.transaction?.abortedError(op.stmt)
  if (known) return known
  const first = op.slot?.flight.spoiler ?? { failure, stmt: op.stmt }
  return abortedBy('its transaction', first, op.stmt)
}

/**
 * What a statement is told that comes after one that has failed in the same transaction.
 * @param which Transaction, for the message.
 * @param first The failure, and its statement.
 * @param stmt The later statement, if it is known here.
 */
export function abortedBy(
  which: string,
  first: { readonly failure: Failure; readonly stmt: Compiled | null } | null,
  stmt: Compiled | null,
): TransactionAbortedError {
  const cause = first === null ? null : causeOf(first.failure, first.stmt)
  return new TransactionAbortedError(
    `The statement did not run, because ${which} cannot go on${cause === null ? '.' : `: ${cause.message}`} Let the first error ` +
      'through, or run a statement that may fail in a nested transaction.',
    { cause: cause ?? undefined, outcome: 'rolled_back', statement: stmt === null ? undefined : { sql: stmt.text } },
  )
}

/** The error of the statement that failed first; it was made for its caller then, who has kept it from going on. */
function causeOf(failure: Failure, stmt: Compiled | null): Error {
  if (failure.kind === 'server') return toQueryError(failure.fields ?? {}, stmt?.text, failure.outcome, failure.cause)
  return failureError(failure, null)
}

/** The server closed the session because its transaction ran no statement for too long: it was rolled back. */
export function wasIdle({ kind, fields }: Failure): boolean {
  return kind === 'lost' && fields?.['code'] === '25P03'
}

function idleError(details: ErrorDetails, transaction: TransactionRecord | null): TransactionTimeoutError {
  const own = transaction !== null && transaction.idleTimeoutMs !== Infinity
  const which = transaction === null ? '' : ` begun at ${transaction.place}`
  const limit = own ? `its idleTimeoutMs (${transaction.idleTimeoutMs} ms)` : "the server's limit for idle transactions"
  return new TransactionTimeoutError(
    `The transaction${which} ran no statement for longer than ${limit}, so the server rolled it back and closed its ` +
      'connection (SQLSTATE 25P03). Do what takes long before or after the transaction, or give it more time.',
    { ...details, outcome: 'rolled_back', ...(own ? { timeoutMs: transaction.idleTimeoutMs } : {}) },
  )
}

/** What opening a connection failed with. */
export function connectError(failure: Failure, target: string): Error {
  if (failure.cause instanceof GeneverError && !(failure.cause instanceof ProtocolError)) return failure.cause
  const { fields } = failure
  const details = { outcome: 'not_started' as const, cause: failure.cause }
  const reason = fields?.message ?? (failure.cause instanceof Error ? causeText(failure.cause) : null) ?? failure.kind
  const message = `Could not connect to ${target}: ${reason}.`
  const advice = /unsupported startup parameter/i.test(fields?.message ?? '')
    ? poolerAdvice
    : fields?.['code']?.startsWith('28') === true
      ? "Check user, password and the server's access rules."
      : 'Check that the server runs and that host, port and database are right.'
  return toConnectError(`${message} ${advice}`, fields?.['code'], details)
}

function causeText(cause: unknown): string {
  if (cause instanceof ProtocolError) return `the server sent what the protocol does not allow (${cause.message})`
  return textIn(cause, 'code') ?? textIn(cause, 'message') ?? thrownText(cause)
}

const outcomeAdvice = {
  not_started: 'the statement had not started, so it can be sent again.',
  rolled_back: 'its transaction was rolled back and can be run again.',
  committed: 'the statement had been committed.',
  unknown: 'whether the statement took effect is not known. Look for its effects before doing it again.',
} as const

function withOutcome(cause: GeneverError, failure: Failure): GeneverError {
  Object.defineProperty(cause, 'outcome', { value: failure.outcome, enumerable: true, configurable: true })
  return cause
}

function refusalError(refusal: Refusal, failure: Failure, op: EngineOp | null): Error {
  const statement = op === null ? undefined : { sql: op.stmt.text }
  const cause = isFailure(failure.cause) ? connectError(failure.cause, 'the database') : failure.cause
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
        `Too many are waiting for a connection already (pool.maxWaiting; ${counts(stats)}). Try again later.`,
        details,
      )
    case 'self-deadlock':
      return new SelfDeadlockError(
        `This code runs inside of the holders of every connection there may be (${counts(stats)}), so waiting for another ` +
          `would never end.${held} Use reuse: true, release the outer connection first, or raise pool.max.`,
        details,
      )
    case 'connect':
      return connectError(failure, 'the database')
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
    return `${waited} for another transaction on the same connection to end.${held} Await it first, or use a connection of its own with reuse: false.`
  if (refusal.phase === 'cursor')
    return `${waited} for a cursor to be closed.${held} Read it to its end or close it first.`
  if (refusal.phase === 'connect')
    return `${waited} for a connection to be opened (${counts(refusal.stats)}). Check that the server can be reached.`
  return `${waited} for a free connection (${counts(refusal.stats)}).${held} Release connections sooner, use idle() around slow calls, or raise pool.max.`
}

function counts(stats: Readonly<Record<string, number>> | undefined): string {
  if (stats === undefined) return 'no counts'
  return Object.entries(stats)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
}
