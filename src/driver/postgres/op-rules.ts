// Rules about operations that follow from their statements and command tags: which may be written beside which, whether names mean
// something else afterwards, whether a count is one of rows. It knows no messages and no sessions.
import { type Compiled, Names } from '../../sql/compiled.ts'
import type { Op, Portal } from '../driver.ts'

/**
 * A statement behind which nothing may be written before it was answered: it may change what names mean, what the session is or
 * whether there is a transaction; and behind a COPY the server takes a neighbour for data.
 */
export function standsLast({ stmt }: Op): boolean {
  const { cls, names, dirties, verb } = stmt
  if (names !== 0 || dirties !== 0 || (cls !== 'read' && cls !== 'write') || verb === 'COPY') return true
  return callsAnything(stmt) || leavesHidden(stmt)
}

/**
 * A statement that is written behind nothing, where no transaction is open: a request to stop what is in front might stop it too, and
 * what may have done something is not run again. In a transaction such a stop is the end of both.
 */
export function standsFirst({ stmt }: Op): boolean {
  return callsAnything(stmt)
}

/** Whether it can be sent once more although it has run. */
export function isRepeatable({ stmt }: Pick<Op, 'stmt'>): boolean {
  return stmt.cls === 'read' && !callsAnything(stmt)
}

/** It calls functions that are not known to change nothing: the search_path for this transaction, or the data. */
function callsAnything({ leaves, reach }: Compiled): boolean {
  return reach?.once === true || (leaves === true && (reach?.plain !== true || reach.unknown.length > 0))
}

/** What it reaches may leave something in the session, be it by triggers or views. */
function leavesHidden({ reach }: Compiled): boolean {
  return reach !== undefined && reach !== null && reach.stateful.length > 0
}

/**
 * What it does to the meaning of names, as `Names` bits. A statement that is stale is prepared again, but for a transaction, whose end it
 * is; one that a temporary table makes mean another table is not even stale. `lasting`: the session keeps what they leave.
 */
export function namesMoved(stmt: Compiled, inside: boolean, lasting: boolean): number {
  const { cls, leaves, names, reach } = stmt
  // Of what triggers call nobody expects DDL.
  if (leaves !== true && !(cls === 'read' && leavesHidden(stmt))) return names
  const known = reach !== undefined && reach !== null
  // The engine reads the functions of a database when it opens it, and a first statement that calls now() must not set its session apart.
  if (!inside && !(lasting && known)) return names
  // A function that makes its statements while it runs may run DDL.
  return known && reach.unknown.length === 0 && reach.stateful.length === 0 ? names : names | Names.catalogue
}

/** Whether names may mean something else behind one of these steps. */
export function movesNames(steps: readonly { readonly names: number }[]): boolean {
  for (let i = 0; i < steps.length; i++) if (steps[i]?.names !== 0) return true
  return false
}

/** COMMIT and nothing else: as a plain query it costs both sides less than by the messages of a statement. */
export function commitsAlone(ops: readonly Op[]): boolean {
  const [op] = ops
  if (ops.length !== 1 || op?.stmt.text !== 'COMMIT') return false
  return op.params.length === 0 && op.maxRows === 0 && !op.portal
}

/** The end of a transaction and nothing else: its portals end with it. */
export function endsTransaction(ops: readonly Op[]): boolean {
  const [op] = ops
  return ops.length === 1 && (op?.stmt.control === 'commit' || op?.stmt.control === 'rollback')
}

/** Such control may stand in front of statements that share a Sync. */
const opens: ReadonlySet<string> = new Set(['begin', 'savepoint', 'release', 'rollback to'])

/**
 * Whether one more may share the Sync of these: those of one statement; `opening`: those behind BEGIN, SAVEPOINT or RELEASE, and these.
 * `again`: others have joined, so the first were looked at: there may be thousands.
 */
export function mayJoin(ops: readonly Op[], op: Op, opening: boolean, again: boolean): boolean {
  if (standsLast(op)) return false
  if (!opening) return ops.every(({ stmt }) => stmt === op.stmt)
  return again || ops.every((each) => !standsLast(each) || opens.has(each.stmt.control ?? ''))
}

/** What the end of a command says of itself; a count of -1: nothing. */
export function noteTag({ op, portal }: Ended, tag: string, count: number): void {
  op.tag = tag
  op.count = count
  if (portal !== null) portal.ended = true
}

interface Ended {
  readonly op: Op
  readonly portal: Portal | null
}

/** As if it had never run. */
export function clear(op: Op): void {
  op.rows.length = 0
  if (op.results) op.results.length = 0
  if (op.portal) {
    op.portal.columns = null
    op.portal.held?.clear()
    op.held = 0
  }
  op.tag = ''
  op.count = -1
}

/**
 * Whether the count of its tag is that of its rows. A rule may change what the others count, but not from some to none; among
 * several statements the rows may be those of a query that a rule has added.
 */
export function countsRows(tag: string, count: number, { cls }: Compiled): boolean {
  if (tag === 'SELECT' || tag === 'FETCH') return true
  return cls !== 'multi' && count > 0 && (tag === 'INSERT' || tag === 'UPDATE' || tag === 'DELETE' || tag === 'MERGE')
}

/** PGlite ends itself over it. In one pass, however often a text says COPY. */
export function copiesIn(text: string): boolean {
  const at = text.search(/\bcopy\b/i)
  return at >= 0 && /\bfrom\s+stdin\b/i.test(text.slice(at))
}

/** Why a COPY between the database and this process does not run: as a statement, or at all. */
export function copyRefusal(carrier: unknown, way: 'in' | 'out'): string {
  if (carrier === null)
    return 'This driver carries no data of a COPY: there is neither copyFrom() nor copyTo() here. The drivers pg and socket do.'
  return way === 'in'
    ? 'COPY FROM STDIN has no data as a statement. Send them by copyFrom(table).from(data).'
    : 'COPY TO STDOUT gives no rows as a statement. Read its data by copyTo(table or query).'
}
