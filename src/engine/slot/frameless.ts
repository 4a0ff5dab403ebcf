// Statements without a frame: whether they may run on any free connection. And the errors of statements about a session or its
// transaction that were not sent where these are.
import { SessionMovedError, TransactionStateError, UsageError } from '../../errors/index.ts'
import { type Compiled, Dirty, Pin } from '../../sql/compiled.ts'
import type { Dialect } from '../../sql/dialect.ts'
import type { EngineCore } from '../core.ts'
import { draws } from '../functions.ts'
import type { EngineOp } from '../query/op.ts'

/** Whether a statement without a frame may run; it was refused if not. Its connection is reset after what may leave something. */
export function mayRunAnywhere(op: EngineOp): boolean {
  const { stmt } = op
  const { functions } = op.engine
  if (!functions.active) return true
  const reach = functions.reachOf(stmt)
  functions.noteChange(stmt)
  if (reach === null || reach.stateful.length > 0) op.extraDirty = Dirty.unknown
  else if (functions.numbers && (reach.draws || draws(stmt))) op.extraDirty = Dirty.sequences
  if (reach === null || reach.asks.length === 0 || reach.draws) return true
  op.refuseWith(numbersRefused(stmt, op.engine.dialect))
  return false
}

/** The error of a statement without a frame that would change the session. */
export function sessionStateRefused(
  stmt: Compiled,
  { dialect, options: { pooler } }: EngineCore,
): UsageError | TransactionStateError {
  if ((stmt.pins & Pin.reading) !== 0) return readingRefused(stmt, dialect)
  if ((stmt.pins & Pin.transaction) !== 0) return withoutTransaction(stmt, dialect)
  if (pooler !== undefined) return withoutSession(stmt, dialect)
  if (stmt.pins === Pin.sequences) return numbersRefused(stmt, dialect)
  return new UsageError(
    'This statement changes the state of a session, but it would run on any free connection and be undone at once. Run it ' +
      'inside scope(work), or on a connection from acquire().',
    { statement: { sql: stmt.text } },
  )
}

export function sessionMoved(stmt: Compiled, { advice }: Dialect): SessionMovedError {
  return new SessionMovedError(
    `${advice.lastNumbers} would return a number of somebody else: after its last write this scope waited for something else, ` +
      `and its connection served others. Use ${advice.insteadOfNumbers}, ask before you wait, or give the scope the option hold: true.`,
    { statement: { sql: stmt.text } },
  )
}

/** The server would give what an earlier user of the connection has drawn, or say that there is none. */
export function nothingDrawn(stmt: Compiled, { advice }: Dialect): UsageError {
  return new UsageError(
    `${advice.lastNumbers} return the last number of their session, but this scope has drawn none on its connection: they would ` +
      `return a number of somebody else. Ask behind the INSERT, in the same scope or transaction, or use ${advice.insteadOfNumbers}.`,
    { statement: { sql: stmt.text } },
  )
}

/** It runs on any free connection. */
function numbersRefused(stmt: Compiled, { advice }: Dialect): UsageError {
  return new UsageError(
    `${advice.lastNumbers} return the last number of their session, but this statement would run on any free connection ` +
      `and return a number of somebody else. Use ${advice.insteadOfNumbers}, or run both inside scope(work) or transaction(work).`,
    { statement: { sql: stmt.text } },
  )
}

/** A pooler would leave what it does to whoever comes next on the same session of the server. */
export function withoutSession(stmt: Compiled, { advice }: Dialect): UsageError {
  return new UsageError(
    'This statement changes the state of a session, but behind a pooler (option pooler) the next transaction runs in another ' +
      `one. ${advice.withoutSession}`,
    { statement: { sql: stmt.text } },
  )
}

/** It would change how texts, or dates, have to be written and read. */
export function readingRefused(stmt: Compiled, { advice }: Dialect): UsageError {
  const { encoding, quotes, zone = encoding } = advice
  const why = (stmt.pins & Pin.strings) !== 0 ? quotes : (stmt.pins & Pin.encoding) !== 0 ? encoding : zone
  return new UsageError(why, { statement: { sql: stmt.text } })
}

/** The server would only warn. */
export function withoutTransaction(stmt: Compiled, { advice }: Dialect): TransactionStateError {
  return new TransactionStateError(
    `${advice.transactionOnly} hold until the end of their transaction. There is none here, so they ` +
      'would end with this statement. Run it inside transaction(work) with the statements that need it, or use ' +
      'scope(work, { settings }).',
    { statement: { sql: stmt.text } },
  )
}
