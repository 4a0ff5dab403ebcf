// What the engine tells subscribers: plain data, made only when somebody listens.
import { connectionChannel, statementChannel, transactionChannel } from '../observe/channels.ts'
import type { EngineOp } from './query/op.ts'
import type { TransactionRecord } from './transaction/record.ts'

export function reportStatement(op: EngineOp): void {
  if (op.stmt.cls === 'control' || op.sentAt === 0) return
  statementChannel.publish({
    engine: op.engine.name,
    connection: op.slot?.lease?.raw.id ?? null,
    sql: op.stmt.text,
    durationMs: performance.now() - op.sentAt,
    rowCount: op.count < 0 ? op.rows.length : op.count,
    ...(op.failure === null ? {} : { error: op.failure.fields?.code ?? op.failure.kind, outcome: op.failure.outcome }),
  })
}

export function reportTransaction(record: TransactionRecord, event: 'begin' | 'commit' | 'rollback'): void {
  if (!transactionChannel.hasSubscribers) return
  transactionChannel.publish({
    engine: record.engine.name,
    connection: record.slot.lease?.raw.id ?? null,
    event,
    durationMs: performance.now() - record.since,
  })
}

export function reportConnection(engine: string, connection: number, event: 'open' | 'close' | 'lost'): void {
  if (connectionChannel.hasSubscribers) connectionChannel.publish({ engine, connection, event })
}
