// What undoes the state of a PostgreSQL session, as one text, and the statements that a session runs for itself. Used by
// sessions when they are reset, and by a server of PGlite when the floor changes hands.
import { type Compiled, Dirty } from '../../sql/compiled.ts'
import { type Failure, type Op, OpState } from '../driver.ts'
import type { Status } from './outcome.ts'

export interface SilentOp extends Op<Record<string, string | undefined>> {
  failure: Failure | null
}

/** A statement of the session's own; nobody waits for it but the exchange. */
export function silentText(text: string): SilentOp {
  const stmt = {
    text,
    name: '',
    cls: 'multi',
    verb: '',
    hasControl: true,
    dirties: 0,
    pins: 0,
    names: 0,
    shape: null,
  } as const
  return silentOp({ ...stmt }, 0)
}

export function silentOp(stmt: Compiled, maxRows: number, params: readonly unknown[] = []): SilentOp {
  return {
    failure: null,
    stmt,
    params,
    spec: null,
    maxRows,
    rows: [],
    tag: '',
    count: -1,
    state: OpState.sent,
    done() {},
    fail(failure) {
      this.failure = failure
    },
  }
}

/** All that a reset can undo, except that it leaves our own prepared statements. */
export const everything: number =
  Dirty.role | Dirty.settings | Dirty.locks | Dirty.cursors | Dirty.listen | Dirty.temp | Dirty.unknown

// RESET ALL leaves the role alone, so that is undone first; it may also be what forbids the rest.
const undoes: readonly (readonly [bit: number, sql: string])[] = [
  [Dirty.role, 'RESET ROLE'],
  [Dirty.settings, 'RESET ALL'],
  [Dirty.locks, 'SELECT pg_advisory_unlock_all()'],
  [Dirty.cursors, 'CLOSE ALL'],
  [Dirty.listen, 'UNLISTEN *'],
  [Dirty.temp, 'DISCARD TEMP'],
  [Dirty.unknown, 'DISCARD SEQUENCES'],
  [Dirty.prepared, 'DEALLOCATE ALL'],
]

/** One text for the simple protocol. With `unknown` it ends by asking for statements that were
 * not prepared by us: by SQL, and after a loan by the client too. */
export function resetText(
  status: Status,
  dirty: number,
  authorization: string,
  baseline: string,
  lent = false,
): string {
  const parts = undoes.filter(([bit]) => (dirty & bit) !== 0).map(([, sql]) => sql)
  if ((dirty & Dirty.role) !== 0) parts.unshift(`SET SESSION AUTHORIZATION ${authorization}`)
  if (status !== 'idle') parts.unshift('ROLLBACK')
  if (baseline !== '') parts.push(baseline)
  if ((dirty & Dirty.unknown) !== 0)
    parts.push(`SELECT name, from_sql FROM pg_prepared_statements${lent ? '' : ' WHERE from_sql'}`)
  return parts.join('; ')
}
