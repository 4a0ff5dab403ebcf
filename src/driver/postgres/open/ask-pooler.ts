// What is asked of a pooler before anybody uses a session through it.
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
  if (await session.run([op], deadline)) return op.rows.length === 0
  const { failure } = op
  if (failure?.kind === 'server') return false
  return failure?.kind === 'lost' && refusal.test(failure.fields?.['message'] ?? '') ? false : null
}
