// What the server's refusal of a statement says of what was known of it: whether it is missing, stale, or was refused before it ran.
import type { Fields } from '../outcome.ts'
import type { Prepared } from './statement.ts'

/** What was asked for a statement when it was refused. */
interface Refused {
  /** It was parsed with it. */
  readonly parse: boolean
  /** It runs: what is refused may be what it does. */
  readonly running: boolean
  readonly op: { readonly stmt: { readonly verb: string } }
}

/** Before it runs the server says that a statement is missing which it had, or there already: they are kept for no client. */
export function isUnkept({ code }: Fields, { parsed }: Prepared, { parse, running, op: { stmt } }: Refused): boolean {
  if (code === '42P05') return parse
  const own = stmt.verb !== 'EXECUTE' && stmt.verb !== 'DEALLOCATE' && !running
  return code === '26000' && own && (parse || parsed)
}

/** A pooler may have parsed it anew in front of its parameters, and that was refused: not what they hold. */
export function isUnparsed({ code = '' }: Fields, { parse, running }: Refused): boolean {
  return !parse && !running && /^(?:42|3F|0A|XX)/.test(code)
}

/** The server no longer has the statement, or no longer with that result. The messages are translated, the routine is not. */
export function isStale({ code, routine }: Fields): boolean {
  return code === '26000' || (code === '0A000' && routine === 'RevalidateCachedQuery')
}

/**
 * A type has become another since the statement's parameters got theirs, or is gone, its name perhaps another's. For the latter
 * there is no SQLSTATE of its own; errors that users should never see are not translated.
 */
export function isRetyped({ code, message = '' }: Fields): boolean {
  if (code === 'XX000') return message.startsWith('cache lookup failed for type ')
  return code === '42804' || code === '42883' || code === '42846' || code === '42704'
}
