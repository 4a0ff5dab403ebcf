// Reports events to subscribers: plain data, made only when somebody listens. A statement that was issued while somebody listened
// carries its trace. An end without a beginning is not reported.
import {
  connectionChannel,
  type ConnectionEvent,
  leaseChannel,
  type LeaseEvent,
  type ServerInfo,
  statementChannel,
  statementStartChannel,
  transactionChannel,
  type TransactionEvent,
  waitChannel,
} from '../observe/channels.ts'
import type { Failure, Refusal } from '../driver/driver.ts'
import { textIn } from '../util/thrown.ts'
import type { EngineCore } from './core.ts'
import type { Lease } from '../pool/lease.ts'
import type { Compiled } from '../sql/compiled.ts'
import type { Fate } from '../sql/statement.ts'
import type { Past } from './transaction/state.ts'
import { clock } from '../util/clock.ts'

/** The data of events about a statement. */
export interface Told {
  readonly engine: EngineCore
  readonly handle: object | null
  readonly slot: object | null
  readonly transaction: { readonly id: number } | null
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly rows: readonly unknown[]
  readonly count: number
  /** The receiver of a stream, which has given its rows away. */
  readonly port: object | null
  /** Of rows in parts, which may be read before the last of them has come. */
  readonly portal: object | null
  readonly failure: Failure | null
}

/** The data of events about a transaction. */
interface ToldTransaction {
  id: number
  readonly engine: EngineCore
  readonly parent: { readonly id: number } | null
  readonly slot: { readonly lease: Lease | null }
  readonly past: Past
  readonly fate: Fate
  readonly since: number
}

/** The measurements of a statement while somebody listens. Times are monotonic milliseconds. */
export interface StatementTrace {
  readonly id: number
  readonly issuedAt: number
  /** 0 until it is sent. */
  sentAt: number
  connection: number | null
  /** 0 until it has ended. */
  endedAt: number
  /** The server, of a database with several. */
  server: ServerInfo | null
  /** It is the one by which there are too many of its text in its scope. */
  repeated: Repeated | null
}

/** How often a scope has sent one text. */
export interface Repeated {
  times: number
  readonly first: readonly unknown[]
  /** Each time with the same values. */
  same: boolean
}

let statements = 0
let transactions = 0

/** Called when a statement is issued, synchronously in its caller's context. Null: nobody listens, or it is the engine's own. */
export function traceStatement(op: Told): StatementTrace | null {
  if (!statementChannel.hasSubscribers && !statementStartChannel.hasSubscribers && op.engine.watch === null) return null
  if (op.stmt.cls === 'control' && op.handle === null) return null
  const id = ++statements
  if (statementStartChannel.hasSubscribers) statementStartChannel.publish({ id, engine: op.engine.name })
  return { id, issuedAt: clock.now(), sentAt: 0, connection: null, endedAt: 0, server: null, repeated: null }
}

export function reportStatement(op: Told, trace: StatementTrace): void {
  const now = (trace.endedAt = clock.now())
  if (!statementChannel.hasSubscribers) return
  const { id, issuedAt, sentAt, connection, server } = trace
  const { engine, stmt, failure } = op
  const rowCount = op.count < 0 ? op.rows.length : op.count
  statementChannel.publish({
    id,
    engine: engine.name,
    server: server ?? serverOf(engine),
    connection,
    transaction: op.transaction === null || op.transaction.id === 0 ? null : op.transaction.id,
    implicit: op.slot === null && op.handle === null,
    operation: stmt.cls === 'multi' ? '' : stmt.verb,
    sql: textOf(stmt),
    parameters: op.params.length,
    waitMs: (sentAt === 0 ? now : sentAt) - issuedAt,
    durationMs: sentAt === 0 ? 0 : now - sentAt,
    rowCount: failure === null ? rowCount : 0,
    returnedRows: failure === null ? (op.port === null && op.portal === null ? op.rows.length : rowCount) : 0,
    ...(failure === null ? {} : { error: errorOf(failure), outcome: failure.outcome }),
  })
}

/** Without the tags behind it. */
export const textOf = (stmt: Compiled): string => stmt.untagged ?? stmt.text

export function reportBegin(record: ToldTransaction): void {
  if (!transactionChannel.hasSubscribers) return
  record.id = ++transactions
  publishTransaction(record, 'begin')
}

export function reportEnd(record: ToldTransaction): void {
  if (transactionChannel.hasSubscribers) publishTransaction(record, record.fate)
}

function publishTransaction(record: ToldTransaction, event: TransactionEvent['event']): void {
  const { engine, id, parent, past } = record
  const { broken, first } = past
  // A transaction that is rolled back finds itself ended by the server, which is no failure.
  const failure = event === 'rollback' ? (first ?? (broken?.kind === 'protocol' ? null : broken)) : null
  transactionChannel.publish({
    id,
    parent: parent === null ? null : parent.id,
    engine: engine.name,
    server: serverOf(engine),
    connection: record.slot.lease?.raw.id ?? null,
    event,
    durationMs: clock.now() - record.since,
    ...(failure === null ? {} : { error: errorOf(failure) }),
  })
}

interface ConnectionReport extends Pick<ConnectionEvent, 'connection' | 'event' | 'host'> {
  /** The start of its duration, monotonic milliseconds. */
  readonly since: number
  readonly failure?: Failure | null
}

export function reportConnection(
  { name }: EngineCore,
  { connection, event, since, failure = null, host }: ConnectionReport,
): void {
  if (!connectionChannel.hasSubscribers) return
  const durationMs = clock.now() - since
  const error = failure === null ? {} : { error: errorOf(failure, causeOf(failure)) }
  const where = host === undefined ? {} : { host }
  connectionChannel.publish({ engine: name, connection, event, durationMs, ...error, ...where })
}

/** A connection was lent or came back. */
export function reportLease(
  { name }: EngineCore,
  event: Omit<LeaseEvent, 'engine' | 'recalled'>,
  recalled: boolean,
): void {
  if (leaseChannel.hasSubscribers) leaseChannel.publish({ engine: name, ...event, ...(recalled ? { recalled } : {}) })
}

/** Somebody gave up waiting. */
export function reportTimeout(engine: EngineCore, { phase, waitedMs = 0 }: Refusal): void {
  if (!waitChannel.hasSubscribers) return
  const { waiting } = engine.stats()
  waitChannel.publish({ engine: engine.name, event: 'timeout', waiting, waitMs: waitedMs, phase })
}

/** SQLSTATE, which says more than how the connection ended behind it; else what it was by, the reason it was refused, or the kind of failure. */
function errorOf({ fields, refusal, kind }: Failure, by?: string): string {
  return fields?.['code'] ?? by ?? refusal?.reason ?? kind
}

/** The code of Node.js for a connection that failed: `ECONNREFUSED`. */
function causeOf({ cause }: Failure): string | undefined {
  return textIn(cause, 'code')
}

const servers = new WeakMap<EngineCore, ServerInfo>()

/** The database of an engine, in every event of it: another object for each engine. */
export function serverOf(engine: EngineCore): ServerInfo {
  let server = servers.get(engine)
  if (server === undefined) {
    server = serverInfo(engine, engine.options.connection)
    servers.set(engine, server)
  }
  return server
}

/** The server of a connection, as events describe it. */
export function serverInfo({ dialect }: EngineCore, connection: Readonly<Record<string, unknown>>): ServerInfo {
  const { host, port, database } = connection as Readonly<Record<string, string | number | undefined>>
  return Object.freeze({
    system: dialect.system,
    ...(database === undefined ? {} : { database: String(database) }),
    ...(host === undefined ? {} : { address: String(host) }),
    // A socket in a directory has no port.
    ...(typeof port !== 'number' || String(host).startsWith('/') ? {} : { port }),
  })
}
