// Asks a pooler, before a session through it is used, whether it keeps prepared statements for its clients.
import { ofPgBouncer, probe, probeName } from '../prepared/pooler.ts'
import { silentOp } from '../reset.ts'
import type { Session } from '../session.ts'

const refusal = /prepared statement/i

/** What the pooler does for its clients. */
export interface PoolerAnswer {
  /** It keeps prepared statements. */
  readonly keeps: boolean
  /** It is PgBouncer 1.21 or newer: see `RawConnection.keepsServer`. */
  readonly holds: boolean
}

export const keepsNothing: PoolerAnswer = { keeps: false, holds: false }

/**
 * Finds out whether the pooler keeps statements, before anybody uses the session. One that does not hands them on to the server as
 * they are. Null: there was no answer in time, or the session is gone.
 */
export async function askPooler(session: Session, deadline: number): Promise<PoolerAnswer | null> {
  const op = silentOp(probe, 0, [probeName()])
  if (await session.run([op], deadline)) {
    const names = op.rows.map((row) => String((row as Readonly<Record<string, unknown>>)['name']))
    if (names.includes(probeName())) return keepsNothing
    return { keeps: true, holds: names.some((name) => ofPgBouncer.test(name)) }
  }
  const { failure } = op
  if (failure?.kind === 'server') return keepsNothing
  return failure?.kind === 'lost' && refusal.test(failure.fields?.['message'] ?? '') ? keepsNothing : null
}
