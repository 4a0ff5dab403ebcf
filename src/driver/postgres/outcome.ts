// The outcomes of the statements of a unit when one of them fails or the connection is lost. They follow from the classes of the
// statements and from whether a transaction was open. Exchanges ask for them; it knows no messages.
import type { Failure, Op, Outcome, RawConnection } from '../driver.ts'
import { explain, State } from '../../postgres/sqlstate.ts'
import type { Compiled } from '../../sql/compiled.ts'

/** The fields of an ErrorResponse by name. */
export type Fields = Readonly<Record<string, string>>

export type Status = RawConnection['status']

/** Of the byte in ReadyForQuery. */
export function statusOf(byte: string): Status {
  return byte === 'I' ? 'idle' : byte === 'T' ? 'tx' : 'failed'
}

/** What was known of a unit when it ended. */
export interface UnitState {
  readonly ops: readonly Op[]
  readonly before: Status
  /** Any of it was written. */
  readonly sent: boolean
  /** COMMIT was answered. */
  readonly committed: boolean
  /** How many statements were written, and whether the Sync was. */
  readonly written: number
  readonly synced: boolean
}

/** What a unit knows of one of its operations. */
interface Answered {
  readonly op: Op
  readonly failure: Failure | null
}

/**
 * Settles the operations of a unit in order.
 * @param failed The one that has failed; Infinity: none.
 * @param error Null: because it could not be written down, or sent whole.
 */
export function settleFailed(
  steps: readonly Answered[],
  failed: number,
  error: Fields | null,
  status: Status,
  state: UnitState,
): void {
  const rolledBackFrom = error === null ? Infinity : implicitStart(state, failed)
  steps.forEach(({ op, failure }, i) => {
    if (i === failed) op.fail(failure?.kind === 'encode' ? failure : serverFailure(op, error ?? {}, state))
    else if (i > failed || !state.sent) op.fail({ kind: 'skipped', outcome: 'not_started' })
    else if (i >= rolledBackFrom) op.fail({ kind: 'skipped', outcome: 'rolled_back' })
    else if (failure !== null) op.fail({ ...failure, outcome: decodeOutcome(op, status, state) })
    else op.done()
  })
}

/** What a server says of every statement in a transaction that has failed. */
const aborted: Fields = {
  severity: 'ERROR',
  code: State.aborted,
  message: 'current transaction is aborted, commands ignored until end of transaction block',
}

/**
 * Of a transaction that has failed the server speaks last: first of a text that is none, and of a statement that nobody has parsed because
 * the one before was to do so. Neither would have run.
 */
function isBehindFailure(fields: Fields, { ops, before }: UnitState): boolean {
  if (before !== 'failed' || endsSession(fields) || wasStopped(fields)) return false
  return !ops.some(({ stmt }) => stmt.hasControl)
}

/** What the server's refusal of a statement means. */
function serverFailure(op: Op, said: Fields, state: UnitState): Failure {
  const { ops, before, committed, sent } = state
  // It came too late to be sent once more: nobody had parsed it, because the one before was to do so.
  if (!sent && explain(said).prepared === 'missing') return { kind: 'skipped', outcome: 'not_started' }
  const { cls } = op.stmt
  const fields = isBehindFailure(said, state) ? aborted : said
  const alone = before === 'idle' && !ops.some(({ stmt }) => begins(stmt))
  const partly = (cls === 'multi' && committed) || (cls === 'alone' && alone)
  const unsure = partly || endsSession(fields) || explain(fields).transaction === 'unknown'
  return { kind: 'server', outcome: unsure ? 'unknown' : 'rolled_back', fields }
}

/**
 * Whether a session of the server ends, or a pooler has lost it or got none: nothing is known of a statement by that. The server always
 * names the routine that complains, a pooler never does.
 */
export function endsSession(fields: Fields): boolean {
  const { severity, routine } = fields
  return (
    severity === 'FATAL' || severity === 'PANIC' || (routine === undefined && explain(fields).opening === 'endpoint')
  )
}

/** Whether the server says that it was asked to stop. */
export function wasStopped(error: Fields | null): boolean {
  return error !== null && explain(error).kind === 'cancelled'
}

/** Of a statement that ran, and whose answer could not be read. */
export function decodeOutcome(op: Op, status: Status, { ops, committed }: UnitState): Outcome {
  const kept = status === 'idle' && (committed || !ops.some(({ stmt }) => ends(stmt)))
  return kept && op.stmt.cls !== 'read' ? 'committed' : 'rolled_back'
}

/** The first of the operations before `end` that an error takes back because they had no transaction of their own. */
function implicitStart({ ops, before }: UnitState, end: number): number {
  let start = before === 'idle' ? 0 : Infinity
  ops.slice(0, end).forEach(({ stmt }, i) => {
    if (begins(stmt)) start = Infinity
    else if (ends(stmt)) start = i + 1
  })
  return start
}

export const strayTransaction =
  'a transaction is open behind a statement, and nobody began one; pgpool-II leaves one open so with backend_clustering_mode = raw'

/** Whether a transaction that is open behind these is one that nobody began: something between here and the server did. */
export function isStray(before: Status, ops: readonly Op[]): boolean {
  return before === 'idle' && !ops.some(({ stmt }) => stmt.hasControl)
}

/** The status when all of them have run. */
export function statusAfter(before: Status, ops: readonly Op[]): Status {
  const last = ops.findLast(({ stmt }) => begins(stmt) || ends(stmt))
  return last === undefined ? before : begins(last.stmt) ? 'tx' : 'idle'
}

/**
 * The connection is gone: every operation fails with what is known of it.
 * @param behind What was sent behind it while its transaction was open, and may have ended that.
 */
export function loseAll(failure: Failure, error: Fields | null, state: UnitState, behind: readonly Op[] = []): void {
  const fields = failure.fields ?? error
  const told = fields === null ? failure : { ...failure, fields }
  state.ops.forEach((op, i) => op.fail({ ...told, outcome: lossOutcome(state, behind, i) }))
}

function lossOutcome(state: UnitState, behind: readonly Op[], index: number): Outcome {
  const { ops, before, written, synced } = state
  if (written <= index && !synced) return 'not_started'
  const stmts = [...ops, ...behind].map(({ stmt }) => stmt)
  const endsAt = stmts.findIndex(ends)
  const end = stmts[endsAt]
  // Without an end nothing was kept of a transaction, nor of what had no Sync yet to commit it.
  if (end === undefined) {
    const open = before !== 'idle' || stmts.some(begins) || !synced
    return open && !stmts.some(({ cls }) => cls === 'alone') ? 'rolled_back' : 'unknown'
  }
  const failed = before === 'failed' && !stmts.slice(0, endsAt).some(({ control }) => control === 'rollback to')
  const undone = index <= endsAt && end.cls === 'control' && (failed || !commits(end))
  return undone ? 'rolled_back' : 'unknown'
}

function begins({ cls, control }: Compiled): boolean {
  return cls === 'control' && control === 'begin'
}

function commits({ cls, control }: Compiled): boolean {
  return cls === 'control' && (control === 'commit' || control === 'prepare')
}

/** Ends the transaction either way; ROLLBACK TO only ends a savepoint, several statements in one text may do anything. */
function ends(stmt: Compiled): boolean {
  if (commits(stmt) || (stmt.cls === 'multi' && stmt.hasControl)) return true
  return stmt.cls === 'control' && stmt.control === 'rollback'
}
