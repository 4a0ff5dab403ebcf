// What the engine tells subscribers: plain data, made only when somebody listens. A statement that was issued while
// somebody did carries its trace; an end without a beginning is not told.
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
import type { Engine } from './engine.ts'
import type { EngineOp } from './query/op.ts'
import type { TransactionRecord, TransactionState } from './transaction/record.ts'
import { clock } from '../util/clock.ts'

/** What is measured of a statement while somebody listens. Times are monotonic milliseconds. */
export interface StatementTrace {
  readonly id: number
  readonly issuedAt: number
  /** 0 until it is sent. */
  sentAt: number
  connection: number | null
}

let statements = 0
let transactions = 0

/** Called when a statement is issued, synchronously in its caller's context. Null: nobody listens, or it is the engine's own. */
export function traceStatement(op: EngineOp): StatementTrace | null {
  if (!statementChannel.hasSubscribers && !statementStartChannel.hasSubscribers) return null
  if (op.stmt.cls === 'control' && op.handle === null) return null
  const id = ++statements
  if (statementStartChannel.hasSubscribers) statementStartChannel.publish({ id, engine: op.engine.name })
  return { id, issuedAt: clock.now(), sentAt: 0, connection: null }
}

export function reportStatement(op: EngineOp, { id, issuedAt, sentAt, connection }: StatementTrace): void {
  if (!statementChannel.hasSubscribers) return
  const { engine, stmt, failure } = op
  const now = clock.now()
  const rowCount = op.count < 0 ? op.rows.length : op.count
  statementChannel.publish({
    id,
    engine: engine.name,
    server: serverOf(engine),
    connection,
    transaction: op.transaction === null || op.transaction.id === 0 ? null : op.transaction.id,
    implicit: op.slot === null && op.handle === null,
    operation: stmt.cls === 'multi' ? '' : stmt.verb,
    sql: stmt.text,
    parameters: op.params.length,
    waitMs: (sentAt === 0 ? now : sentAt) - issuedAt,
    durationMs: sentAt === 0 ? 0 : now - sentAt,
    rowCount: failure === null ? rowCount : 0,
    returnedRows: failure === null ? op.rows.length : 0,
    ...(failure === null ? {} : { error: errorOf(failure), outcome: failure.outcome }),
  })
}

export function reportBegin(record: TransactionRecord): void {
  if (!transactionChannel.hasSubscribers) return
  record.id = ++transactions
  publishTransaction(record, 'begin')
}

const endings: Readonly<Record<TransactionState, TransactionEvent['event']>> = {
  open: 'rollback',
  closing: 'rollback',
  ending: 'rollback',
  rolled_back: 'rollback',
  committed: 'commit',
  unknown: 'unknown',
}

export function reportEnd(record: TransactionRecord): void {
  if (transactionChannel.hasSubscribers) publishTransaction(record, endings[record.state])
}

function publishTransaction(record: TransactionRecord, event: TransactionEvent['event']): void {
  const { engine, id, parent, broken, firstFailure } = record
  // A transaction that is rolled back finds itself ended by the server, which is no failure.
  const failure = event === 'rollback' ? (firstFailure ?? (broken?.kind === 'protocol' ? null : broken)) : null
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

export function reportConnection(
  engine: Engine,
  connection: number | null,
  event: ConnectionEvent['event'],
  since: number,
  failure: Failure | null = null,
): void {
  if (!connectionChannel.hasSubscribers) return
  const durationMs = clock.now() - since
  const error = failure === null ? {} : { error: causeOf(failure) ?? errorOf(failure) }
  connectionChannel.publish({ engine: engine.name, connection, event, durationMs, ...error })
}

/** A connection was lent or came back. */
export function reportLease({ name }: Engine, event: Omit<LeaseEvent, 'engine' | 'recalled'>, recalled: boolean): void {
  if (leaseChannel.hasSubscribers) leaseChannel.publish({ engine: name, ...event, ...(recalled ? { recalled } : {}) })
}

/** Somebody gave up waiting. */
export function reportTimeout(engine: Engine, { phase, waitedMs = 0 }: Refusal): void {
  if (!waitChannel.hasSubscribers) return
  const { waiting } = engine.stats()
  waitChannel.publish({ engine: engine.name, event: 'timeout', waiting, waitMs: waitedMs, phase })
}

/** SQLSTATE, the reason it was refused, or the kind of failure. */
function errorOf({ fields, refusal, kind }: Failure): string {
  return fields?.['code'] ?? refusal?.reason ?? kind
}

/** What Node.js says of a connection: `ECONNREFUSED`. */
function causeOf({ cause }: Failure): string | undefined {
  return textIn(cause, 'code')
}

const servers = new WeakMap<Engine, ServerInfo>()

/** The database of an engine, in every event of it: another object for each engine. */
export function serverOf(engine: Engine): ServerInfo {
  let server = servers.get(engine)
  if (server === undefined) {
    const { host, port, database } = engine.options.connection as Readonly<Record<string, string | number | undefined>>
    server = Object.freeze({
      system: engine.options.dialect === 'postgres' ? 'postgresql' : engine.options.dialect,
      ...(database === undefined ? {} : { database: String(database) }),
      ...(host === undefined ? {} : { address: String(host) }),
      // The port says nothing of a socket in a directory.
      ...(typeof port !== 'number' || String(host).startsWith('/') ? {} : { port }),
    })
    servers.set(engine, server)
  }
  return server
}
