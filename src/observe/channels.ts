// What the package tells about itself: one `diagnostics_channel` for each kind of event, with plain data as payload (names,
// counters, SQL text, milliseconds; no live object, no parameter). Published by engine, session source and notice.ts, which
// test `hasSubscribers` first, so that nothing is made or measured for nobody. Printing and tracing subscribe. Where a
// payload has a counterpart in OpenTelemetry, the comment names it; durations are in seconds there.
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
 * - `held-while-waiting`: a transaction or cursor runs nothing and keeps its connection while others wait for one.
 * - `manual-transaction-open`: a statement without a handle was issued while a manual transaction is open.
 * - `manual-transaction-rolled-back`: a manual transaction was open when its connection was released.
 * - `transaction-outlived-scope`: a scope ended before a transaction begun in it.
 * - `transaction-idle`: the server ended a transaction that ran no statement for too long.
 * - `hook-failed`: a callback of the user failed where nobody can be told.
 * - `connection-closed-dirty`: a connection came back in a state that had to be undone.
 * - `connection-leak`: a connection has been held for longer than `leak.afterMs` by code that does nothing with it.
 * - `waiting-for-cursor`: a statement waits for a connection, and cursors outside of any transaction hold all of them.
 * - `waiting-to-close`: `close()` waits for connections that are still lent.
 * - `prebake-failed`: a baked statement could not be prepared on a new connection.
 * - `sync-beside-server`: a call of `genever/sync` blocks a thread in which a server listens.
 * - `connection-unleaked`: a connection told of as leaked came back after all.
 */
export type NoticeCode =
  | 'waiting-for-transaction'
  | 'held-while-idle'
  | 'held-while-waiting'
  | 'manual-transaction-open'
  | 'manual-transaction-rolled-back'
  | 'transaction-outlived-scope'
  | 'transaction-idle'
  | 'hook-failed'
  | 'connection-closed-dirty'
  | 'connection-leak'
  | 'connection-unleaked'
  | 'waiting-for-cursor'
  | 'waiting-to-close'
  | 'prebake-failed'
  | 'sync-beside-server'

/** Something its author should know, that is no error. */
export interface NoticeEvent {
  readonly code: NoticeCode
  readonly message: string
  /** The name of the engine; null where there is none. OpenTelemetry: `db.client.connection.pool.name`. */
  readonly engine: string | null
  /** Where it came from, the most telling first: `src/jobs.ts:12:3 (sendMail)` or a description. */
  readonly places: readonly string[]
  /** Numbers behind the message: `heldMs` and `idleMs` of the two about leaks. */
  readonly details?: Readonly<Record<string, number>> | undefined
  /** Of `hook-failed`: what the callback threw, as text. */
  readonly error?: string | undefined
}

/**
 * The database of an engine, as its options name it; the same object in every event of the engine, and another one for each
 * engine, also of the same name.
 */
export interface ServerInfo {
  /** OpenTelemetry: `db.system.name`. */
  readonly system: 'postgresql' | 'mysql'
  /** The database connected to; a later `SET search_path` does not change it. OpenTelemetry: `db.namespace`. */
  readonly database?: string | undefined
  /** A name, an address, or the directory of a socket. OpenTelemetry: `server.address`. */
  readonly address?: string | undefined
  /** OpenTelemetry: `server.port`. */
  readonly port?: number | undefined
}

/** A statement was issued. Published synchronously in the async context of its caller. */
export interface StatementStartEvent {
  /** The same in the event that tells of its end. */
  readonly id: number
  /** The name of the engine. */
  readonly engine: string
}

/** A statement has ended, well or not. Published in the context of whoever ended it, often that of a socket. */
export interface StatementEvent {
  /** As in the event of its start; 0 if nobody listened to that. */
  readonly id: number
  /** The name of the engine. OpenTelemetry: `db.client.connection.pool.name`. */
  readonly engine: string
  readonly server: ServerInfo
  /** The server's number for the connection; null if it never reached one. */
  readonly connection: number | null
  /** The id of the transaction it ran in, as in that one's events; null: in none, or nobody listened to its beginning. */
  readonly transaction: number | null
  /** It had no scope, handle or transaction around it and took a connection of the pool for itself alone. */
  readonly implicit: boolean
  /** The first keyword in upper case; empty for a text of several statements. OpenTelemetry: `db.operation.name`. */
  readonly operation: string
  /** With placeholders, never with the values of parameters. OpenTelemetry: `db.query.text`. */
  readonly sql: string
  /** How many parameters it has. Without any, its text may hold values that somebody wrote into it. */
  readonly parameters: number
  /** From being issued to being sent, or to giving up: the wait for a connection, a turn or a transaction. */
  readonly waitMs: number
  /** From sending to the last answer; 0 if it was never sent. OpenTelemetry: `db.client.operation.duration` with `waitMs`. */
  readonly durationMs: number
  /** Rows returned or changed; 0 when it failed. */
  readonly rowCount: number
  /** Rows returned. OpenTelemetry: `db.response.returned_rows`. */
  readonly returnedRows: number
  /**
   * SQLSTATE, or the kind of failure in lower case: `lost`, `timeout`, `aborted`, `encode`, `decode`, `closed`, `skipped`,
   * `protocol`; never sent: `acquire-timeout`, `too-many-waiters`, `self-deadlock`, `connect`, `pool-closed`, `usage`.
   * OpenTelemetry: `error.type`, `db.response.status_code`.
   */
  readonly error?: string | undefined
  /** What became of a statement that failed: `not_started`, `rolled_back`, `committed` or `unknown`. */
  readonly outcome?: string | undefined
}

/** The life of a connection to the server. */
export interface ConnectionEvent {
  readonly engine: string
  /** The server's number for it; null if it could not be opened. */
  readonly connection: number | null
  /** `failed`: it could not be opened. `lost`: it died by itself. `reset`: its session was cleaned for the next user. */
  readonly event: 'open' | 'failed' | 'reset' | 'close' | 'lost'
  /**
   * `open` and `failed`: from dialling to the end of `onConnect`; OpenTelemetry: `db.client.connection.create_time`.
   * `reset`: the cleaning. `close` and `lost`: how old it became.
   */
  readonly durationMs: number
  /** Of `failed` and `lost`: SQLSTATE or the kind of failure. */
  readonly error?: string | undefined
}

/** A connection was lent to a scope, handle or transaction, or its time there ended. Implicit statements are not told here. */
export interface LeaseEvent {
  readonly engine: string
  readonly connection: number
  readonly event: 'acquire' | 'release'
  /** How long its user waited for it; 0 at `release`. OpenTelemetry: `db.client.connection.wait_time`. */
  readonly waitMs: number
  /** How long it was lent; 0 at `acquire`. OpenTelemetry: `db.client.connection.use_time`. */
  readonly useMs: number
  /** True at a `release` that its user did not ask for: the pool took back a connection that was quiet, for somebody who waited. */
  readonly recalled?: boolean | undefined
}

/** The queue for a connection. */
export interface WaitEvent {
  readonly engine: string
  /**
   * `begin` and `end`: somebody joined the queue of the pool, or left it, served or not. `timeout`: a statement, scope,
   * handle or transaction gave up after `waitMs`; OpenTelemetry: `db.client.connection.timeouts`.
   */
  readonly event: 'begin' | 'end' | 'timeout'
  /** How many are in the queue now. OpenTelemetry: `db.client.connection.pending_requests`. */
  readonly waiting: number
  /** How long this one waited; 0 at `begin`. */
  readonly waitMs: number
  /** Of `timeout`: it waited for a connection, for one to be opened, or for a transaction or cursor on its own one. */
  readonly phase?: 'connection' | 'connect' | 'transaction' | 'cursor' | undefined
}

/** A transaction began or ended. `begin` is published in the async context of the code that began it. */
export interface TransactionEvent {
  /** The same in all events of one transaction; 0 if nobody listened to its beginning. */
  readonly id: number
  /** The id of the transaction around it: then this one is a savepoint. */
  readonly parent: number | null
  readonly engine: string
  readonly server: ServerInfo
  /** Null if no connection is involved (any more). */
  readonly connection: number | null
  /** `unknown`: its connection was lost while it was being committed. */
  readonly event: 'begin' | 'commit' | 'rollback' | 'unknown'
  /** Since it was asked for: at `begin` the wait for its connection. */
  readonly durationMs: number
  /** Of a rollback: the failure inside that led to it, if one did; as in `StatementEvent`. */
  readonly error?: string | undefined
}

export const noticeChannel: EventChannel<NoticeEvent> = typed('genever:notice')
export const statementStartChannel: EventChannel<StatementStartEvent> = typed('genever:statement:start')
export const statementChannel: EventChannel<StatementEvent> = typed('genever:statement')
export const connectionChannel: EventChannel<ConnectionEvent> = typed('genever:connection')
export const leaseChannel: EventChannel<LeaseEvent> = typed('genever:lease')
export const waitChannel: EventChannel<WaitEvent> = typed('genever:wait')
export const transactionChannel: EventChannel<TransactionEvent> = typed('genever:transaction')

function typed<E>(name: string): EventChannel<E> {
  return channel(name) as unknown as EventChannel<E>
}
