// Refuses statements that a transaction cannot run which is rolled back at its end, before they are sent, with advice.
import type { Op } from '../../driver/driver.ts'
import { type GeneverError, TransactionStateError } from '../../errors/index.ts'
import type { SharedConnection } from './shared.ts'
import type { Job } from './job.ts'
import type { View } from './view.ts'
import { isolationLevels } from '../../sql/dialect.ts'
import { opens } from './wire/step.ts'

const rank = (level: string): number => isolationLevels.findIndex((each) => each === level)

export interface Problem {
  readonly op: Op
  readonly error: GeneverError
}

export function problemOf(shared: SharedConnection, view: View, job: Job): Problem | null {
  for (const op of job.ops) {
    const message = messageFor(shared, view, op) ?? (opens(op) ? tooLate(shared, view, job) : null)
    if (message === null) continue
    const text = `${message} (The sandbox was opened at ${shared.place}.)`
    return { op, error: new TransactionStateError(text, { statement: { sql: op.stmt.text } }) }
  }
  return null
}

function messageFor(shared: SharedConnection, view: View, op: Op): string | null {
  const { isolation, words } = shared
  const { cls, text, hasControl } = op.stmt
  const refusal = words.refusal(shared, view, op)
  if (refusal !== null) return refusal
  if (cls === 'multi' && hasControl)
    return (
      'Transaction control among several statements in one text cannot run in a sandbox. Run them one by one, or use ' +
      'transaction(work).'
    )
  if (cls !== 'control') return null
  const control = words.control(text)
  if (control.kind === 'other')
    return `${control.what} cannot run in a sandbox, which never commits. Test it outside of one.`
  if (control.kind !== 'begin' && control.kind !== 'modes') return null
  if (control.isolation === null || rank(control.isolation) <= rank(isolation)) return null
  return (
    `A transaction asked for the isolation level "${control.isolation}", but the sandbox around it has "${isolation}". ` +
    `Open the sandbox with { isolation: '${control.isolation}' }.`
  )
}

/** A transaction begins inside of one that runs inside of it: it would take that one's statements back with its own. */
function tooLate({ savepoints: { top } }: SharedConnection, view: View, { holding }: Job): string | null {
  if (top === undefined || view.transaction !== null) return null
  const at = holding.indexOf(top.view)
  if (at < 0 || holding.indexOf(view) < at) return null
  return (
    `The ${view.describe()} would run its first statement inside of the ${top.view.describe()}, which runs inside of it. In a ` +
    'sandbox they are savepoints of one connection: run a statement in the outer one first.'
  )
}
