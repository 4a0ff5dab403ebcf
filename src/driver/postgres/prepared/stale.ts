// Judges the refusal of a prepared statement: the server lacks it, it is stale, or it was refused before it ran.
import type { Meaning } from '../../../sql/dialect.ts'
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
export function isUnkept(said: Meaning, { parsed }: Prepared, { parse, running, op: { stmt } }: Refused): boolean {
  if (said.prepared === 'there') return parse
  const own = stmt.verb !== 'EXECUTE' && stmt.verb !== 'DEALLOCATE' && !running
  return said.prepared === 'missing' && own && (parse || parsed)
}

/** A pooler may have parsed it anew in front of its parameters, and that was refused: not what they hold. */
export function isUnparsed(said: Meaning, { parse, running }: Refused): boolean {
  return !parse && !running && said.about === 'text'
}

/** The server no longer has the statement, or no longer with that result. */
export function isStale({ prepared }: Meaning): boolean {
  return prepared === 'missing' || prepared === 'result'
}
