// The checks of an operation by its text alone, before it is sent: the reasons to refuse it, its size, and whether it goes as text or
// prepared.
import { ParameterError, TransactionStateError, UsageError } from '../../errors/index.ts'
import { type Compiled, Dirty } from '../../sql/compiled.ts'
import type { Failure, Op } from '../driver.ts'
import { type Encoded, encodeAll, executeSize } from './values.ts'

/** What the prepared protocol refuses; and USE, which it undoes at the second time. */
export const asText: ReadonlySet<string> = new Set(['PREPARE', 'EXECUTE', 'DEALLOCATE', 'DROP', 'USE'])

/** The lock on all tables of the server is none of these: it stays when a transaction begins. */
export const locksTables = ({ verb, text, dirties }: Compiled): boolean =>
  (dirties & Dirty.locks) !== 0 &&
  ((verb === 'LOCK' && /\btables?\b/i.test(text)) || (verb === 'FLUSH' && !/\btables?\s+with\s+read\b/i.test(text)))

const queries: ReadonlySet<string> = new Set(['SELECT', 'WITH', 'VALUES', 'TABLE', 'CALL'])

/**
 * Rows of tables, or of calculations. The server cuts numbers of four bytes to six digits in rows of text, so such a statement is
 * prepared.
 */
export const givesRows = ({ verb, text }: Compiled): boolean => queries.has(verb) || /\breturning\b/i.test(text)

/** Of `USE`. */
export function databaseOf(text: string): string {
  const [, name = ''] = /^\s*use\s+(`(?:[^`]|``)+`|[\w$]+)\s*;?\s*$/i.exec(text) ?? []
  return name.startsWith('`') ? name.slice(1, -1).replaceAll('``', '`') : name
}

const headerBytes = 4
const commandBytes = 1

/** Of a statement that the server would refuse unread, ending the session, while it is still being sent. */
export function largerThan(most: number, { text }: Compiled, encoded: readonly Encoded[]): Failure | null {
  const bytes = Math.max(
    text.length * 3 < most ? 0 : Buffer.byteLength(text) + commandBytes,
    executeSize(encoded) - headerBytes,
  )
  if (bytes < most) return null
  const cause = new ParameterError(
    `The statement has ${bytes} bytes with its parameters, and this server takes less than ${most} at once: its max_allowed_packet. ` +
      'Nothing was sent. Send less in one statement, or raise that variable on the server.',
    { statement: { sql: text } },
  )
  return { kind: 'encode', outcome: 'not_started', cause }
}

/** Facts about the session that decide what may be sent. */
interface Facts {
  /** The server takes packets of fewer bytes than these. */
  readonly mostBytes: number
  /** Tables are locked by name. */
  readonly tablesLocked: boolean
}

/** What keeps an operation from being sent at all; else its parameters are added to `encoded`. */
export function check(
  { stmt, params, copy }: Op,
  encoded: (readonly Encoded[])[],
  { mostBytes, tablesLocked }: Facts,
): Failure | null {
  try {
    if (tablesLocked && stmt.control === 'begin')
      throw new TransactionStateError(
        'LOCK TABLES has locked tables on this connection, and the server would unlock them when a transaction begins. UNLOCK TABLES first, ' +
          'or leave LOCK TABLES out and lock rows in the transaction, by select … for update.',
        { statement: { sql: stmt.text } },
      )
    if (copy !== undefined && copy !== null) throw new UsageError('MySQL has no COPY: send rows by INSERT.')
    if (stmt.cls === 'multi')
      throw new UsageError(
        'A text for MySQL holds one statement: several in one are turned off, because they are how an injection goes on. Send them one ' +
          'by one.',
        { statement: { sql: stmt.text } },
      )
    if (params.length > 0 && asText.has(stmt.verb))
      throw new UsageError(`${stmt.verb} takes no parameters on MySQL. Write its values into the text.`, {
        statement: { sql: stmt.text },
      })
    const own = encodeAll(params)
    encoded.push(own)
    return largerThan(mostBytes, stmt, own)
  } catch (cause) {
    return { kind: 'encode', outcome: 'not_started', cause }
  }
}
