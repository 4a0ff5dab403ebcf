// What the package tells about itself: one `diagnostics_channel` for each kind of event, with plain data as payload (names,
// counters, SQL text, milliseconds; no live object, no parameter). Published by pool, engine and notice.ts, which test
// `hasSubscribers` first, so that nothing is made for nobody. Printing, tracing and leak reports subscribe.
import { channel } from 'node:diagnostics_channel'

/** A channel of `node:diagnostics_channel` whose payload has a type. */
export interface EventChannel<E> {
  readonly name: string | symbol
  readonly hasSubscribers: boolean
  /** Calls every subscriber now, in the context of the caller; what one throws becomes an uncaught exception. */
  publish(event: E): void
  subscribe(subscriber: (event: E) => void): void
  unsubscribe(subscriber: (event: E) => void): boolean
}

/**
 * - `waiting-for-transaction`: a statement has been waiting for another transaction or cursor on its connection.
 * - `held-while-idle`: `idle()` cannot give the connection back.
 * - `manual-transaction-open`: a statement without a handle was issued while a manual transaction is open.
 * - `manual-transaction-rolled-back`: a manual transaction was open when its connection was released.
 * - `transaction-outlived-scope`: a scope ended before a transaction begun in it.
 * - `hook-failed`: a callback of the user failed where nobody can be told.
 * - `connection-closed-dirty`: a connection came back in a state that had to be undone.
 */
export type NoticeCode =
  | 'waiting-for-transaction'
  | 'held-while-idle'
  | 'manual-transaction-open'
  | 'manual-transaction-rolled-back'
  | 'transaction-outlived-scope'
  | 'hook-failed'
  | 'connection-closed-dirty'

/** Something its author should know, that is no error. */
export interface NoticeEvent {
  readonly code: NoticeCode
  readonly message: string
  /** The name of the engine; null where there is none. OpenTelemetry: `db.client.connection.pool.name`. */
  readonly engine: string | null
  /** Where it came from, the most telling first: `src/jobs.ts:12:3 (sendMail)` or a description. */
  readonly places: readonly string[]
}

/** A statement has ended, well or not. */
export interface StatementEvent {
  /** The name of the engine. OpenTelemetry: `db.client.connection.pool.name`. */
  readonly engine: string
  /** The server's number for the connection; null if none was involved any more. */
  readonly connection: number | null
  /** With placeholders, never with the values of parameters. OpenTelemetry: `db.query.text`. */
  readonly sql: string
  /** From sending to the last answer. OpenTelemetry: `db.client.operation.duration`, there in seconds. */
  readonly durationMs: number
  /** Rows returned or changed. OpenTelemetry: `db.response.returned_rows`. */
  readonly rowCount: number
  /** SQLSTATE or the kind of failure. OpenTelemetry: `error.type`, `db.response.status_code`. */
  readonly error?: string | undefined
  /** What became of a statement that failed: `not_started`, `rolled_back`, `committed` or `unknown`. */
  readonly outcome?: string | undefined
}

/** The life of a connection to the server. OpenTelemetry counts them as `db.client.connection.count`. */
export interface ConnectionEvent {
  readonly engine: string
  readonly connection: number
  /** `lost`: it died by itself. `reset`: its session was cleaned for the next user. */
  readonly event: 'open' | 'close' | 'lost' | 'reset'
}

/** A connection was lent or came back. */
export interface LeaseEvent {
  readonly engine: string
  readonly connection: number
  readonly event: 'acquire' | 'release'
  /** How long its user waited for it. OpenTelemetry: `db.client.connection.wait_time`, there in seconds. */
  readonly waitMs: number
  /** How long it was lent; 0 at `acquire`. OpenTelemetry: `db.client.connection.use_time`, there in seconds. */
  readonly useMs: number
}

/** A transaction began or ended. */
export interface TransactionEvent {
  readonly engine: string
  /** Null if no connection is involved (any more). */
  readonly connection: number | null
  readonly event: 'begin' | 'commit' | 'rollback'
  /** Since it began. */
  readonly durationMs: number
}

export const noticeChannel: EventChannel<NoticeEvent> = typed('genever:notice')
export const statementChannel: EventChannel<StatementEvent> = typed('genever:statement')
export const connectionChannel: EventChannel<ConnectionEvent> = typed('genever:connection')
export const leaseChannel: EventChannel<LeaseEvent> = typed('genever:lease')
export const transactionChannel: EventChannel<TransactionEvent> = typed('genever:transaction')

function typed<E>(name: string): EventChannel<E> {
  return channel(name) as unknown as EventChannel<E>
}
