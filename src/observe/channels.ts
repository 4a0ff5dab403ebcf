// What the package tells about itself: one `diagnostics_channel` for each kind of event, with plain data as payload (names,
// counters, SQL text, milliseconds; no live object, no parameter). Published by engine, session source and notice.ts, which
// test `hasSubscribers` first, so that nothing is made or measured for nobody. Printing and tracing subscribe. Where a
// payload has a counterpart in OpenTelemetry, the comment names it; durations are in seconds there.
import { channel } from 'node:diagnostics_channel'
import { thrownText } from '../util/thrown.ts'

/** A channel of `node:diagnostics_channel` whose payload has a type. */
export interface EventChannel<E> {
  readonly name: string | symbol
  readonly hasSubscribers: boolean
  /**
   * Calls every subscriber now, in the context of the caller. An error that a subscriber throws becomes an uncaught
   * exception.
   */
  publish(event: E): void
  subscribe(subscriber: (event: E) => void): void
  unsubscribe(subscriber: (event: E) => void): boolean
}

/**
 * The code of a notice.
 *
 * - `waiting-for-transaction`: A statement has been waiting for another transaction or cursor on its connection.
 * - `held-while-idle`: `idle()` cannot give the connection back.
 * - `held-while-waiting`: A transaction or cursor runs nothing and keeps its connection while others wait for one.
 * - `manual-transaction-open`: A statement without a handle was issued while a manual transaction is open.
 * - `manual-transaction-rolled-back`: A manual transaction was open when its connection was released.
 * - `transaction-outlived-scope`: A scope ended before a transaction that was begun in it.
 * - `transaction-idle`: The server ended a transaction that ran no statement for too long.
 * - `listening-interrupted`: The connection that listens to channels was lost, and cannot be opened again yet.
 * - `hook-failed`: A callback of the user failed, and no caller could receive the error.
 * - `connection-closed-dirty`: A connection came back in a state that had to be undone.
 * - `connection-leak`: Code has held a connection for longer than `leak.afterMs` and does nothing with it.
 * - `connection-unleaked`: A connection that was reported as leaked came back after all.
 * - `waiting-for-cursor`: A statement waits for a connection, and cursors outside of any transaction hold all of them.
 * - `waiting-for-copy`: A statement waits for a connection, and COPYs that are neither read nor written now use all of them.
 * - `waiting-to-close`: `close()` waits for connections that are still lent.
 * - `functions-unread`: The catalogue of functions could not be read.
 * - `functions-hidden`: Any statement may call functions that may leave something in a session, such as those of casts.
 * - `pinned-by-trigger`: A scope keeps its connection because a trigger, view, default, policy or type may leave something in the session.
 * - `pinned-for-numbers`: A scope keeps its connection because `currval()` or `lastval()` follows its statement.
 * - `prebake-failed`: A baked statement could not be prepared on a new connection.
 * - `statements-unprepared`: A pooler does not keep prepared statements, so statements run unnamed in spite of `prepare: true`.
 * - `types-unknown`: The option `types` of an engine has names that are no types of its database.
 * - `sync-beside-server`: A call of `genever/sync` blocks a thread in which a server listens.
 * - `global-replaced`: A file that was loaded again gave `globalDb()` other options, so the old pool is closed.
 * - `database-not-connected`: A registry is used although the code that manages it has not opened it.
 * - `another-engine`: A statement is issued inside of a transaction of another engine of the same database.
 * - `replica-left-out`: A replica gets no reads. The message says why.
 * - `replica-back`: That replica gets reads again.
 * - `primary-changed`: Another server of a database with replicas is the primary now.
 * - `slow-statement`: A statement took longer than `slow.afterMs`.
 * - `repeated-statement`: One scope has sent the same text more than `repeats.afterTimes` times.
 * - `primary-gone`: The primary of a database with replicas takes no writes any more.
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
  | 'listening-interrupted'
  | 'connection-closed-dirty'
  | 'connection-leak'
  | 'connection-unleaked'
  | 'waiting-for-cursor'
  | 'waiting-for-copy'
  | 'waiting-to-close'
  | 'prebake-failed'
  | 'statements-unprepared'
  | 'functions-unread'
  | 'functions-hidden'
  | 'pinned-by-trigger'
  | 'pinned-for-numbers'
  | 'types-unknown'
  | 'sync-beside-server'
  | 'global-replaced'
  | 'database-not-connected'
  | 'another-engine'
  | 'replica-left-out'
  | 'replica-back'
  | 'primary-changed'
  | 'primary-gone'
  | 'slow-statement'
  | 'repeated-statement'

/** A notice: something that the author of the code should know, but not an error. */
export interface NoticeEvent {
  readonly code: NoticeCode
  readonly message: string
  /** The name of the engine; null where there is none. OpenTelemetry: `db.client.connection.pool.name`. */
  readonly engine: string | null
  /** Where it came from, the most useful place first: `src/jobs.ts:12:3 (sendMail)` or a description. */
  readonly places: readonly string[]
  /** Numbers behind the message: `heldMs` and `idleMs` of the two about leaks. */
  readonly details?: Readonly<Record<string, number>> | undefined
  /** For `hook-failed`: the text of the error that the callback threw. */
  readonly error?: string | undefined
}

/**
 * The database of an engine, as its options name it. Every event of an engine has the same object. Each engine has its own,
 * even if two have the same name.
 */
export interface ServerInfo {
  /** The kind of database, as its driver names it: `postgresql`. OpenTelemetry: `db.system.name`. */
  readonly system: string
  /** The database connected to; a later `SET search_path` does not change it. OpenTelemetry: `db.namespace`. */
  readonly database?: string | undefined
  /** A name, an address, or the directory of a socket. OpenTelemetry: `server.address`. */
  readonly address?: string | undefined
  /** OpenTelemetry: `server.port`. */
  readonly port?: number | undefined
}

/** A statement was issued. Published synchronously in the async context of its caller. */
export interface StatementStartEvent {
  /** The event of its end has the same id. */
  readonly id: number
  /** The name of the engine. */
  readonly engine: string
}

/**
 * A statement has ended, with or without an error. Published in the context of the code that ended it, often that of a
 * socket.
 */
export interface StatementEvent {
  /** As in the event of its start; 0 if nobody listened to that. */
  readonly id: number
  /** The name of the engine. OpenTelemetry: `db.client.connection.pool.name`. */
  readonly engine: string
  readonly server: ServerInfo
  /** The server's number for the connection; null if it never reached one. */
  readonly connection: number | null
  /**
   * The id of the transaction it ran in, as in the events of that transaction. Null: it ran in none, or nobody listened to
   * its beginning.
   */
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
  /** Whether a statement that failed took effect: `not_started`, `rolled_back`, `committed` or `unknown`. */
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
  /** For `failed` and `lost`: SQLSTATE or the kind of failure. */
  readonly error?: string | undefined
  /** Host and port of the server, for a database with replicas. */
  readonly host?: string | undefined
}

/** A connection was lent to a scope, handle or transaction, or given back by it. Implicit statements publish no such event. */
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
  /** Host and port of the server, for a database with replicas. */
  readonly host?: string | undefined
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
  /** For `timeout`: it waited for a connection, for one to be opened, or for a transaction or cursor on its own connection. */
  readonly phase?: 'connection' | 'connect' | 'transaction' | 'cursor' | 'tenant' | undefined
  /** Host and port of the server, for a database with replicas. */
  readonly host?: string | undefined
}

/**
 * The server sent a message beside its answers: NOTICE, WARNING, INFO, LOG, DEBUG. Its setting `client_min_messages` says
 * which ones it sends.
 */
export interface ServerMessageEvent {
  readonly engine: string
  /** The server's number for the connection; null while it is being opened. */
  readonly connection: number | null
  /** As the server writes it, maybe translated: `NOTICE`. */
  readonly severity: string
  /** SQLSTATE; `00000` of a plain RAISE NOTICE. */
  readonly code: string
  /** The server's own words. `RAISE NOTICE` may put values into them. */
  readonly message: string
  readonly detail?: string | undefined
  readonly hint?: string | undefined
}

/** A transaction began or ended. `begin` is published in the async context of the code that began it. */
export interface TransactionEvent {
  /** The number of the transaction, the same in all its events. 0 if nobody listened to its beginning. */
  readonly id: number
  /** The id of the transaction around it, if this one is a savepoint. */
  readonly parent: number | null
  readonly engine: string
  readonly server: ServerInfo
  /** Null if no connection is involved (any more). */
  readonly connection: number | null
  /** `unknown`: its connection was lost while it was being committed. */
  readonly event: 'begin' | 'commit' | 'rollback' | 'unknown'
  /** The time since the transaction was asked for. At `begin` it is the wait for its connection. */
  readonly durationMs: number
  /** For a rollback: the failure inside that led to it, if there was one. The values are those of `StatementEvent`. */
  readonly error?: string | undefined
}

export const noticeChannel: EventChannel<NoticeEvent> = typed('genever:notice')
export const serverMessageChannel: EventChannel<ServerMessageEvent> = typed('genever:server-message')
export const statementStartChannel: EventChannel<StatementStartEvent> = typed('genever:statement:start')
export const statementChannel: EventChannel<StatementEvent> = typed('genever:statement')
export const connectionChannel: EventChannel<ConnectionEvent> = typed('genever:connection')
export const leaseChannel: EventChannel<LeaseEvent> = typed('genever:lease')
export const waitChannel: EventChannel<WaitEvent> = typed('genever:wait')
export const transactionChannel: EventChannel<TransactionEvent> = typed('genever:transaction')

function typed<E>(name: string): EventChannel<E> {
  return channel(name) as unknown as EventChannel<E>
}

// The engines that are open, for observers that ask how many instead of listening to each change: gauges are true however
// late one begins to look. Held weakly: an engine that was dropped without being closed is not kept alive from here.

/** Counts of one moment, as in `stats()` of an engine. */
interface ObservedStats {
  readonly open: number
  readonly idle: number
  readonly max: number
  readonly waiting: number
}

interface ObservedEngine {
  readonly name: string
  stats(): ObservedStats
}

const enrolled = new Set<WeakRef<ObservedEngine>>()

/** Counts an engine among the open ones; the function returned ends that. */
export function enrol(engine: ObservedEngine): () => void {
  const entry = new WeakRef(engine)
  for (const other of enrolled) if (other.deref() === undefined) enrolled.delete(other)
  enrolled.add(entry)
  return () => void enrolled.delete(entry)
}

export function openEngines(): ObservedEngine[] {
  return [...enrolled].map((entry) => entry.deref()).filter((engine) => engine !== undefined)
}

// Tells the author of a program what is not an error but probably not meant. Called by pool and engine. It publishes,
// and warns on the process once for each code and place; it never throws and changes nothing.

interface NoticeOptions {
  /** The name of the engine. */
  readonly engine?: string | undefined
  /** Where it came from, the most telling first; turned into text only if somebody is told. */
  readonly places?: readonly (string | { toString(): string })[] | undefined
  readonly details?: Readonly<Record<string, number>> | undefined
  /** What a callback threw, as text. */
  readonly error?: string | undefined
  /** The type of the process warning. Default `GeneverWarning`. */
  readonly type?: string | undefined
  /** False: publishes only. Default true. */
  readonly warn?: boolean | undefined
}

const mostRemembered = 1_000

/** Codes and first places that were warned of, oldest first. */
const warned = new Set<string>()

/**
 * Publishes to `genever:notice` and, once for each code and first place, emits a process warning of the type
 * `GeneverWarning` (`node --trace-warnings`, `--no-warnings` and `process.on('warning')` apply). The thousand latest
 * places are remembered. Never throws.
 *
 * @param message One sentence or two: what happened and what to do, without any value of a parameter.
 */
export function notice(code: NoticeCode, message: string, options: NoticeOptions = {}): void {
  const { engine, details, error, type = 'GeneverWarning', warn = true } = options
  if (!warn && !noticeChannel.hasSubscribers) return
  const places = (options.places ?? []).map(placeText).filter((place) => place !== '')
  if (noticeChannel.hasSubscribers)
    noticeChannel.publish({
      code,
      message,
      engine: engine ?? null,
      places,
      ...(details === undefined ? {} : { details }),
      ...(error === undefined ? {} : { error }),
    })
  if (warn && remember(`${code} ${places[0] ?? engine ?? ''}`))
    process.emitWarning(message, {
      type,
      code,
      detail: [...(error === undefined ? [] : [`    ${error}`]), ...places.map((place) => `    at ${place}`)].join(
        '\n',
      ),
    })
}

/** A callback of the user failed where nobody waits for it. */
export function hookFailed(message: string, thrown: unknown, options: NoticeOptions = {}): void {
  notice('hook-failed', message, { ...options, error: thrownText(thrown) })
}

/** A place may be described by a function of the user. */
function placeText(place: string | { toString(): string }): string {
  try {
    return String(place)
  } catch {
    return ''
  }
}

/** Whether it is new. */
function remember(key: string): boolean {
  if (warned.has(key)) return false
  if (warned.size >= mostRemembered) for (const oldest of warned.keys()) if (warned.delete(oldest)) break
  warned.add(key)
  return true
}

/** Comments; dollar quotes; strings, with and without escapes; quoted names, which stay; numbers. What is not closed ends with the text. */
const pieces =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|(?<![\w$])\$([A-Za-z_]\w*)?\$[\s\S]*?(?:\$\1\$|$)|(?<!\w)[eE]'[^'\\]*(?:(?:\\[\s\S]|'')[^'\\]*)*(?:'|$)|'[^']*(?:''[^']*)*(?:'|$)|"[^"]*(?:""[^"]*)*(?:"|$)|(?<![\w$.])(?:0[xXoObB][\da-fA-F_]+|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)/g

/** `select ? from t where a = ?` */
export function withoutLiterals(sql: string): string {
  return sql.replaceAll(pieces, (piece) => {
    if (piece.startsWith('--') || piece.startsWith('/*')) return ' '
    return piece.startsWith('"') ? piece : '?'
  })
}
