// The outcome of a MySQL statement that failed, or whose connection was lost. It follows from the class of the statement and from
// whether a transaction was open.
import { explain, fieldsOf, type Refused } from '../../mysql/errno.ts'
import type { Failure, Op, Outcome, RawConnection } from '../driver.ts'
import { type Compiled, Dirty } from '../../sql/compiled.ts'
import type { Meaning } from '../../sql/dialect.ts'

/** Of one that was not sent because its unit was asked to stop. */
export const stopped: Failure = { kind: 'aborted', outcome: 'not_started' }

/** Of one behind one that failed. */
export const skipped: Failure = { kind: 'skipped', outcome: 'not_started' }

export function wasStopped(failure: Failure | null): boolean {
  return failure !== null && (failure.kind === 'aborted' || explain(failure.fields ?? {}).kind === 'cancelled')
}

export function refusedBy(refusal: Refused): Failure {
  return { kind: 'server', outcome: 'rolled_back', fields: fieldsOf(refusal) }
}

/** Whether the server ends the session behind that refusal. */
export function endsSession({ fields = {} }: Failure): boolean {
  const { health } = explain(fields)
  return health === 'session' || health === 'shutdown'
}

/** What the server's refusal means. Of several tables DROP may have dropped some, and a procedure may have committed. */
export function refusalOutcome({ cls, verb, dirties }: Compiled, { kind }: Meaning): Outcome {
  if (cls !== 'commits' || (kind === 'syntax' && verb !== 'CALL' && verb !== 'EXECUTE')) return 'rolled_back'
  return verb === 'DROP' || (dirties & Dirty.unknown) !== 0 ? 'unknown' : 'rolled_back'
}

/** Of a statement that was running. Outside of a transaction it may have had its effect. */
export function lossOutcome({ stmt: { cls, control } }: Op, status: RawConnection['status']): Outcome {
  if (control === 'begin') return 'rolled_back'
  if (cls === 'control')
    return control === 'commit' || control === 'prepare' || control === null ? 'unknown' : 'rolled_back'
  return status === 'tx' && (cls === 'read' || cls === 'write') ? 'rolled_back' : 'unknown'
}

/** Whether a command tells how many rows it was about. */
export function counts({ cls, verb }: Compiled): boolean {
  return cls === 'read' || counted.has(verb)
}

const counted: ReadonlySet<string> = new Set(
  'SELECT VALUES TABLE WITH INSERT UPDATE DELETE REPLACE LOAD SHOW EXPLAIN DESCRIBE DESC CALL EXECUTE HANDLER ANALYZE'.split(
    ' ',
  ),
)
