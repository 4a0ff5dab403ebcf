// What an error of PostgreSQL means to those above, by its SQLSTATE: the one table. A state of five characters wins over its class of
// two. Also the message without what it quotes of values.
import type { ErrorFields, ErrorKind, Meaning } from '../sql/dialect.ts'

/** What nobody but the statement's caller needs to know. It ends what may follow in its transaction. */
const usual: Meaning = { kind: 'other', transaction: 'failed', health: 'well', opening: 'statement' }

const meaning = (part: Partial<Meaning>): Meaning => Object.freeze({ ...usual, ...part })

const endpoint = meaning({ opening: 'endpoint' })
const login = meaning({ kind: 'authentication', opening: 'config' })
const stopping = meaning({ health: 'shutdown', opening: 'endpoint' })
const of = (kind: ErrorKind): Meaning => meaning({ kind })

/** PostgreSQL manual, appendix "PostgreSQL Error Codes". */
const meanings: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ['08', endpoint],
  // A pooler that does not keep a session answers what the protocol does not allow.
  ['08P01', meaning({ kind: 'pooler', opening: 'endpoint' })],
  ...each(of('data'), '22001 22003 22007 22008 22021 22P02 22P03 22P05'),
  ['23', of('constraint')],
  ['23001', of('still-referenced')],
  ['23502', of('not-null')],
  ['23503', of('foreign-key')],
  ['23505', of('unique')],
  ['23514', of('check')],
  ['23P01', of('exclusion')],
  ['25006', meaning({ kind: 'read-only', health: 'standby' })],
  ['25P02', meaning({ kind: 'aborted' })],
  ['25P03', meaning({ kind: 'idle-transaction', transaction: 'ended', health: 'session' })],
  ['25P04', meaning({ transaction: 'ended', health: 'session' })],
  ['26000', of('lost-statement')],
  ['28', login],
  ['3D000', meaning({ opening: 'config' })],
  ['40001', of('serialization')],
  ['40P01', of('deadlock')],
  ['42501', meaning({ opening: 'config' })],
  ...each(of('syntax'), '42601 42703 42883 42P01'),
  ['42704', meaning({ opening: 'config' })],
  ['42P05', of('lost-statement')],
  ['53', endpoint],
  ['53300', meaning({ opening: 'full' })],
  ['55P03', of('lock-timeout')],
  ['57014', meaning({ kind: 'cancelled' })],
  ['57P01', stopping],
  ['57P02', stopping],
  ['57P03', stopping],
  ['57P04', endpoint],
  ['57P05', endpoint],
  ['58', endpoint],
])

const stalePlan = of('stale-plan')
const stillReferenced = of('still-referenced')

function each(meaningOf: Meaning, codes: string): [string, Meaning][] {
  return codes.split(' ').map((code) => [code, meaningOf])
}

export function explain(fields: ErrorFields): Meaning {
  const { code = '', message = '' } = fields
  const found = meanings.get(code) ?? meanings.get(code.slice(0, 2)) ?? usual
  if (code === '0A000' && isStalePlan(fields)) return stalePlan
  // Where other rows refer to the row, the message names three things in every language: its table, the constraint, theirs.
  return found.kind === 'foreign-key' && (message.match(quotes)?.length ?? 0) > 4 ? stillReferenced : found
}

/** PostgreSQL gives this no SQLSTATE; the routine is the same in every language. */
function isStalePlan({ routine, message }: ErrorFields): boolean {
  return routine === 'RevalidateCachedQuery' || message === 'cached plan must not change result type'
}

const longestMessage = 2_000

/** What the server said to a statement of this text, if there was one. */
export function safeMessage(fields: ErrorFields, sql: string | undefined): string {
  const { code = '', message: said = '' } = fields
  if (said === '') return `The database refused the statement${code === '' ? '' : ` (SQLSTATE ${code})`}.`
  const safe = withoutValues(said, fields, sql)
  return safe.length > longestMessage ? `${safe.slice(0, longestMessage)}…` : safe
}

/** States whose messages never repeat what was given: constraints, states of the session, what a function raises (P0), … */
const harmless = /^(?:08|23|25|26|28|2B|34|40|53|55|57|P0|XX|42501)/

/**
 * What the server quotes in a message:
 *
 * - `input`: what it was given, in class 22 (data exceptions); whatever comes without a state, or with one that PostgreSQL does
 *   not use.
 * - `names`: tables, constraints and the like. What was found while the text was parsed has a position and names what stands
 *   there; what a function of the user raises is its author's business.
 * - `either`: a name from the SQL text, or what was given, as in `syntax error in tsquery: "…"` (42601), `$1::regclass` or SQL
 *   that a function made of it.
 */
function quoted({ code = '', position, routine }: ErrorFields): 'input' | 'either' | 'names' {
  if (routine === 'exec_stmt_raise') return 'names'
  if (code.startsWith('22') || code === '23000' || code === 'HY000' || code === '') return 'input'
  return position !== undefined || harmless.test(code) ? 'names' : 'either'
}

/** The quotation marks of the languages the server speaks. */
const quotes = /["'`«»„“”‘’‚‹›「」『』]/gu
/** Numbers, except the length of a type and the number of a bound parameter. */
const numbers = /(?<![A-Za-z\d_$(.,]|bind parameter )[-+]?\d[\w.:,+-]*/gu
/** Letters of a language whose translation is not known to quote what it was given (the Georgian one does not). */
const foreign =
  /[^\p{Script=Latin}\p{Script=Common}\p{Script=Cyrillic}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u

/**
 * Replaces everything from the first quotation that may be a value to the last quotation mark, as a value may hold marks
 * itself; what follows a colon after it (`encoding "UTF8": 0xff`); and loose numbers (`out of range: 2024-13-01`).
 */
function withoutValues(message: string, fields: ErrorFields, sql: string | undefined): string {
  const kind = quoted(fields)
  if (kind === 'names') return message
  const marks = [...message.matchAll(quotes)].map(({ index }) => index)
  const [first, last] = [marks[kind === 'either' ? countNames(message, marks, fields, sql) : 0], marks.at(-1)]
  let text = message
  if (first !== undefined && last !== undefined) {
    const after = first === last ? '' : message.slice(last + 1)
    text = `${message.slice(0, first)}"…"${after.startsWith(':') ? '' : after}`
  }
  if (foreign.test(text)) return 'The database refused a value.'
  if (kind === 'either') text = withoutTail(text, fields['code'])
  return text.replace(numbers, '…')
}

/** A name that was given may stand without marks: `operator does not exist: abc`. */
function withoutTail(text: string, code: string = ''): string {
  const colon = text.indexOf(': ')
  return code.startsWith('42') && colon !== -1 && !text.includes('"', colon) ? `${text.slice(0, colon)}: …` : text
}

/** How many of the quotation marks, from the first on, are around names. */
function countNames(message: string, marks: readonly number[], fields: ErrorFields, sql: string | undefined): number {
  for (let count = 0; ; count += 2) {
    const [open, close] = [marks[count], marks[count + 1]]
    if (open === undefined || close === undefined || !isName(message.slice(open + 1, close), fields, sql)) return count
  }
}

/** Whether the text is that of a field that names something, or stands in the statement as a word. */
function isName(text: string, fields: ErrorFields, sql: string = ''): boolean {
  const name = text.trim()
  if (name === '') return false
  if (naming.some((field) => fields[field] === name)) return true
  const [statement, word] = [sql.toLowerCase(), name.toLowerCase()]
  const at = statement.indexOf(word)
  return at !== -1 && !/\w/.test(statement.charAt(at - 1)) && !/\w/.test(statement.charAt(at + word.length))
}

const naming = ['constraint', 'table', 'column', 'schema', 'dataType']
