// The state of a session that the server reports although the driver did not change it: how texts, dates and quotes are read, and
// whether statements commit. A change by which values would be misread ends the session.
import { type Compiled, Dirty } from '../../sql/compiled.ts'
import { isUtcZone, zoneAdvice } from '../../sql/settings.ts'
import type { Ok } from './packets.ts'

/** Variables whose values decide what is read. With the collation goes the character set of the connection. */
const watched = ['character_set_client', 'character_set_results', 'collation_connection', 'time_zone']

/** The server names a variable that is set to what it is. */
export const naming: string = `SET ${watched.map((name) => `SESSION ${name} = @@session.${name}`).join(', ')}`

/** What shows in the text of a statement that changes the session. */
const shown = Dirty.settings | Dirty.role | Dirty.temp | Dirty.prepared | Dirty.unknown | Dirty.framed

/** Whether a change of which the server tells is none of the statement's own. */
export function isHidden({ cls, dirties }: Compiled): boolean {
  return cls !== 'control' && (dirties & shown) === 0
}

const zoneMoved =
  'A procedure, or SQL that was made in the server, has changed the time_zone of the session, so its connection was closed. '

const charsetMoved =
  'A procedure, or SQL that was made in the server, has changed the character set of the session, so its connection was closed: text is ' +
  'sent and read as utf8mb4. Convert in SQL instead, with convert(… using …).'

export const quotesMoved: string =
  'The session has ANSI_QUOTES or NO_BACKSLASH_ESCAPES in its sql_mode, but SQL is read as without: quotes would end elsewhere. ' +
  'The connection was closed. Take the mode away from the server, the role or the procedure that sets it, or give the engine ' +
  'settings with an sql_mode that has neither.'

export const uncommitted: string =
  'A procedure, or SQL that was made in the server, has turned autocommit off in the session, so its connection was closed: statements ' +
  'would have been rolled back that are taken for committed. Begin and end a transaction in the procedure instead.'

export const leftOpen: string =
  'A procedure has left a transaction open, so its connection was closed, and what ran in it was rolled back. End the transaction in the ' +
  'procedure, or call the procedure inside of transaction(work) and begin none in it.'

/** Why dates would be stored and read shifted, or texts as others. Null: neither would. */
export function misleading({ zone, charset }: Ok): string | null {
  if (zone !== null && !isUtcZone(zone)) return zoneMoved + zoneAdvice
  return charset === null ? null : charsetMoved
}
