// The names that one statement of MySQL changes in its session: variables, settings, the database, temporary tables.
import { Scanner, Token } from '../../../mysql/lexer.ts'
import { type Compiled, Dirty } from '../../../sql/compiled.ts'

export interface Touched {
  /** As SET takes them: `@`name`` and `SESSION name`, in lower case. */
  readonly targets: readonly string[]
  /** A part of it that acts on more than the session; null: none. */
  readonly beyond: string | null
}

const none: Touched = { targets: [], beyond: null }
const known = new WeakMap<Compiled, Touched>()

/** Of what was set, these alone were used up when the next statement has run, or cannot be read. */
const passing = /^(?:last_insert_id|identity|insert_id|rand_seed[12])$/
const later = /^(?:tx|transaction)_(?:isolation|read_only)$/
const global = /^(?:global|persist|persist_only)$/

/** Variables and settings that a statement changes. */
export function touchedBy(stmt: Compiled): Touched {
  if ((stmt.dirties & (Dirty.settings | Dirty.framed)) === 0) return none
  let touched = known.get(stmt)
  if (touched === undefined) {
    touched = read(stmt.text)
    known.set(stmt, touched)
  }
  return touched
}

function read(text: string): Touched {
  const scanner = new Scanner(text)
  const targets = new Set<string>()
  let beyond: string | null = null
  /** It is SET, whose commas have targets behind them. */
  let sets = false
  /** A target of SET comes next. */
  let expected = false
  const setting = (name: string): void => {
    const [scope = ''] = name.split('.')
    if (global.test(scope)) beyond = `SET ${scope.toUpperCase()}`
    const plain = name.replace(/^(?:session|local)\./, '')
    if (later.test(plain)) beyond = `SET ${plain}`
    else if (!passing.test(plain) && !plain.includes('.')) targets.add(`SESSION ${plain}`)
  }
  for (let kind = scanner.next(), first = true; kind !== Token.end; kind = scanner.next(), first = false) {
    const word = kind === Token.word ? scanner.word() : ''
    if (kind === Token.variable && nameable(scanner.name()))
      targets.add(`@\`${scanner.name().toLowerCase().replaceAll('`', '``')}\``)
    if (first) expected = sets = word === 'set'
    else if (sets && text[scanner.start] === ',' && scanner.depth === 0) expected = true
    else if (expected && word !== 'session' && word !== 'local') {
      expected = false
      if (global.test(word)) beyond = `SET ${word.toUpperCase()}`
      else if (word === 'transaction') beyond = 'SET SESSION TRANSACTION'
      else if (/^(?:names|character|charset)$/.test(word)) targets.add('SESSION collation_connection')
      else if (kind === Token.setting) setting(scanner.name().toLowerCase())
      else if (kind === Token.word || kind === Token.quoted) setting(word || scanner.name().toLowerCase())
    }
  }
  return { targets: [...targets], beyond }
}

const mostCharacters = 64

/** The server has a variable of that name. */
function nameable(name: string): boolean {
  return name !== '' && name.length <= mostCharacters && !/[\0\p{Surrogate}\u{10000}-\u{10FFFF}]/u.test(name)
}

/** The database that USE goes to; null: it is no USE. */
export function databaseOf({ verb, text }: Compiled): string | null {
  if (verb !== 'USE') return null
  const [name = ''] = namesBehind(text, 'use', new Set())
  return name
}

const ifNot: ReadonlySet<string> = new Set(['if', 'not', 'exists'])

/** The temporary table that a statement makes, `schema.name` or `name`; null: none. */
export function temporaryOf({ text, dirties, verb }: Compiled): readonly string[] | null {
  if ((dirties & Dirty.temp) === 0 || verb !== 'CREATE') return null
  return namesBehind(text, 'table', ifNot)
}

/** The name behind a word, in its parts. */
function namesBehind(text: string, behind: string, skipped: ReadonlySet<string>): string[] {
  const scanner = new Scanner(text)
  const parts: string[] = []
  let at = false
  for (let kind = scanner.next(); kind !== Token.end; kind = scanner.next()) {
    const word = kind === Token.word ? scanner.word() : ''
    if (!at) at = word === behind
    else if (parts.length === 0 && skipped.has(word)) continue
    else if (kind === Token.word) parts.push(text.slice(scanner.start, scanner.end))
    else if (kind === Token.quoted) parts.push(scanner.name())
    else break
    if (at && parts.length > 0) {
      if (text[scanner.end] !== '.') break
      scanner.next()
    }
  }
  return parts
}
