// What is asked of a pooler before anybody uses a session through it.
import { before } from '../../../util/clock.ts'
import { probe, probeName } from '../prepared/pooler.ts'
import { silentOp } from '../reset.ts'
import type { Session } from '../session.ts'

const refusal = /prepared statement/i

/**
 * Finds out whether the pooler keeps statements, before anybody uses the session. One that does not hands them on to the server as
 * they are. Null: there was no answer in time, or the session is gone.
 */
export async function keepsStatements(session: Session, deadline: number): Promise<boolean | null> {
  const op = silentOp(probe, 0, [probeName])
  const run = new Promise<boolean>((resolve) => session.work([op], resolve))
  if (await before(deadline, run)) return op.rows.length === 0
  const { failure } = op
  if (failure?.kind === 'server') return false
  return failure?.kind === 'lost' && refusal.test(failure.fields?.['message'] ?? '') ? false : null
}
