// What an error of PostgreSQL means to those above, by its SQLSTATE: the one table. A state of five characters has what its class of two
// says, unless it says so itself. Also the message without what it quotes of values.
import { type ErrorFields, type Meaning, meaningOf } from '../sql/dialect.ts'

/** For drivers and sandboxes, where they have to speak for the server. */
export const State = {
  aborted: '25P02',
  cancelled: '57014',
  inUse: '55006',
  notInTransaction: '25P01',
  unreadable: '22P02',
  wrongPassword: '28P01',
} as const

interface Row extends Meaning {
  /**
   * What its message quotes:
   *
   * - `input`: what the server was given, as in data exceptions, and in what comes without a state or with one that PostgreSQL does not use.
   * - `names`: tables, constraints and the like, or what a function of the user raises, which is its author's business.
   * - `either`: a name from the SQL text, or what was given, as in `syntax error in tsquery: "…"` (42601), `$1::regclass` or SQL that a
   *   function made of it. What was found while the text was parsed has a position, and names what stands there.
   */
  readonly quotes: 'input' | 'either' | 'names'
}

/** PostgreSQL manual, appendix "PostgreSQL Error Codes". */
const tell = (): Readonly<Record<string, Partial<Row>>> => ({
  ...each({ quotes: 'names' }, '25 26 2B 34 40 55 57 P0'),
  ...each({ quotes: 'input' }, '23000 HY000'),
  '': { quotes: 'input' },
  '08': { opening: 'endpoint', quotes: 'names' },
  // A pooler that does not keep a session answers what the protocol does not allow.
  '08P01': { kind: 'protocol' },
  // What a server that follows another one does not do at all.
  '0A': { about: 'text', following: 'never' },
  '22': { about: 'value', quotes: 'input' },
  ...each({ kind: 'data' }, '22001 22003 22007 22008 22021 22P02 22P03 22P05'),
  '23': { kind: 'constraint', quotes: 'names' },
  '23001': { kind: 'still-referenced' },
  '23502': { kind: 'not-null' },
  '23503': { kind: 'foreign-key' },
  '23505': { kind: 'unique' },
  '23514': { kind: 'check' },
  '23P01': { kind: 'exclusion' },
  '25006': { kind: 'read-only', health: 'standby', following: 'never' },
  [State.aborted]: { kind: 'aborted' },
  '25P03': { kind: 'idle-transaction', transaction: 'ended', health: 'session' },
  '25P04': { kind: 'long-transaction', transaction: 'ended', health: 'session' },
  '26000': { kind: 'lost-statement', prepared: 'missing' },
  '28': { kind: 'authentication', opening: 'config', quotes: 'names' },
  [State.wrongPassword]: { kind: 'password' },
  '3D000': { kind: 'unknown-object', opening: 'config' },
  '3F': { about: 'text' },
  '3F000': { kind: 'unknown-object' },
  // On a server that follows: what it needed was changed by what it has to follow.
  '40001': { kind: 'serialization', retryable: true, following: 'now' },
  '40003': { transaction: 'unknown' },
  '40P01': { kind: 'deadlock', retryable: true, following: 'now' },
  '42': { about: 'text' },
  '42501': { opening: 'config', quotes: 'names' },
  '42601': { kind: 'syntax' },
  ...each({ kind: 'naming' }, '42703 42P01'),
  '42704': { kind: 'unknown-object', opening: 'config', prepared: 'types' },
  ...each({ prepared: 'types' }, '42804 42846'),
  '42883': { kind: 'naming', prepared: 'types' },
  ...each({ kind: 'object-exists' }, '42710 42723 42P04 42P06 42P07'),
  '42P05': { kind: 'lost-statement', prepared: 'there' },
  '53': { opening: 'endpoint', quotes: 'names' },
  '53300': { opening: 'full' },
  [State.inUse]: { opening: 'config' },
  '55P03': { kind: 'lock-timeout', retryable: true },
  [State.cancelled]: { kind: 'cancelled' },
  ...each({ health: 'shutdown', opening: 'endpoint' }, '57P01 57P02 57P03'),
  ...each({ opening: 'endpoint' }, '57P04 57P05'),
  '58': { opening: 'endpoint' },
  XX: { about: 'text', quotes: 'names' },
})

/** What has no state that says so. The messages are translated, names of routines are not, nor errors that nobody should ever see. */
const special: readonly (readonly [code: string, fits: (error: ErrorFields) => boolean, part: Partial<Meaning>])[] = [
  [
    '0A000',
    ({ routine, message }) =>
      routine === 'RevalidateCachedQuery' || message === 'cached plan must not change result type',
    { kind: 'stale-plan', retryable: true, prepared: 'result' },
  ],
  // Where other rows refer to the row, the message names three things in every language: its table, the constraint, theirs.
  ['23503', ({ message = '' }) => (message.match(quotes)?.length ?? 0) > 4, { kind: 'still-referenced' }],
  ['55000', ({ message = '' }) => /recovery/i.test(message), { following: 'now' }],
  ['XX000', ({ message = '' }) => message.startsWith('cache lookup failed for type '), { prepared: 'types' }],
]

function each(part: Partial<Row>, codes: string): Record<string, Partial<Row>> {
  return Object.fromEntries(codes.split(' ').map((code) => [code, part]))
}

/** An error ends what may follow in its transaction. */
const usual: Row = { ...meaningOf({ transaction: 'failed' }), quotes: 'either' }

/** They are made when the first error comes. */
function makeRows(): {
  readonly rows: ReadonlyMap<string, Row>
  readonly specials: readonly {
    readonly code: string
    readonly fits: (error: ErrorFields) => boolean
    readonly row: Row
  }[]
} {
  const told = tell()
  const row = (code: string, part: Partial<Row> = {}): Row =>
    Object.freeze({ ...usual, ...told[code.slice(0, 2)], ...told[code], ...part })
  return {
    rows: new Map(Object.keys(told).map((code) => [code, row(code)])),
    specials: special.map(([code, fits, part]) => ({ code, fits, row: row(code, part) })),
  }
}

let made: ReturnType<typeof makeRows> | undefined

function rowOf(fields: ErrorFields): Row {
  const { code = '' } = fields
  const { rows, specials } = (made ??= makeRows())
  for (const one of specials) if (one.code === code && one.fits(fields)) return one.row
  return rows.get(code) ?? rows.get(code.slice(0, 2)) ?? usual
}

export const explain: (error: ErrorFields) => Meaning = rowOf

const longestMessage = 2_000

/** What the server said to a statement of this text, if there was one. */
export function safeMessage(fields: ErrorFields, sql: string | undefined): string {
  const { code = '', message: said = '' } = fields
  if (said === '') return `The database refused the statement${code === '' ? '' : ` (SQLSTATE ${code})`}.`
  const safe = withoutValues(said, fields, sql)
  const short = safe.length > longestMessage ? `${safe.slice(0, longestMessage)}…` : safe
  return `${short}${rowOfCopy(fields)}${parameterOf(fields)}${placeOfValues(fields)}`
}

/** The server says so beside its message, and behind it what stood there. */
const placeInCopy = /^COPY .*?, line (\d+)(?:, column ([^:\n]{1,64}))?/m

/** Which row of a COPY the server has refused. */
function rowOfCopy({ where = '' }: ErrorFields): string {
  const [, line, column] = placeInCopy.exec(where) ?? []
  if (line === undefined) return ''
  return ` (line ${line} of the COPY${column === undefined ? '' : `, column "${column}"`})`
}

/** The server says so beside its message, in English. */
const parameterInContext = /^(?:unnamed portal|portal "[^"\n]*") parameter \$(\d+)(?: = |$)/m

/** Whose text the server could not read as a value of the parameter's type. */
function parameterOf({ where = '' }: ErrorFields): string {
  const [, number] = parameterInContext.exec(where) ?? []
  return number === undefined ? '' : ` (parameter $${number})`
}

/** Advice for a text that has a placeholder where the grammar takes no value, such as `in $1` and `from $1`. */
function placeOfValues({ code, message = '' }: ErrorFields): string {
  if (code !== '42601' || !/"\$\d+"/.test(message)) return ''
  return '. A placeholder stands for one value: write = any(…) for a list, and sql.identifier(name) for the name of a table or column'
}

/** The quotation marks of the languages the server speaks. */
const quotes = /["'`«»„“”‘’‚‹›「」『』]/gu
/** Numbers, except the length of a type and the number of a bound parameter. */
const numbers = /(?<![A-Za-z\d_$(.,]|bind parameter )[-+]?\d[\w.:,+-]*/gu
/**
 * Letters of a language whose translation is not known to quote what it was given (the Georgian one does not). Not a literal: V8 would look
 * up the letters of each script when it loads this file.
 */
function hasForeign(text: string): boolean {
  const scripts = ['Latin', 'Common', 'Cyrillic', 'Han', 'Hiragana', 'Katakana', 'Hangul']
  foreign ??= new RegExp(`[^${scripts.map((script) => `\\p{Script=${script}}`).join('')}]`, 'u')
  return foreign.test(text)
}

let foreign: RegExp | undefined

/**
 * Replaces everything from the first quotation that may be a value to the last quotation mark, as a value may hold marks
 * itself; what follows a colon after it (`encoding "UTF8": 0xff`); and loose numbers (`out of range: 2024-13-01`).
 */
function withoutValues(message: string, fields: ErrorFields, sql: string | undefined): string {
  const { quotes: usually } = rowOf(fields)
  const named = fields['routine'] === 'exec_stmt_raise' || (usually === 'either' && fields['position'] !== undefined)
  const kind = named ? 'names' : usually
  if (kind === 'names') return message
  const marks = [...message.matchAll(quotes)].map(({ index }) => index)
  const [first, last] = [marks[kind === 'either' ? countNames(message, marks, fields, sql) : 0], marks.at(-1)]
  let text = message
  if (first !== undefined && last !== undefined) {
    const after = first === last ? '' : message.slice(last + 1)
    text = `${message.slice(0, first)}"…"${after.startsWith(':') ? '' : after}`
  }
  if (hasForeign(text)) return 'The database refused a value.'
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
