// What a text for MySQL or MariaDB may do, from one scan: its class, the session state it dirties or pins, its statements and
// placeholders. Called once per text by the statement cache. It reads words, not grammar; in doubt the strictest answer.
import { type Control, Dirty, Pin } from '../sql/compiled.ts'
import type { Classified } from '../sql/dialect.ts'
import { type Reading, readStatements, type Verdict } from '../sql/scan.ts'
import { isUtcZone, isUtf8mb4 } from '../sql/settings.ts'
import { Scanner, Token } from './lexer.ts'
import { controlOf, effectOf, setsAll, type Sign, verdict } from './verdict.ts'

/** Classifies a text in one linear scan. Never fails: what the server will refuse is left to the server. */
export function classify(text: string): Classified {
  const scanner = new Scanner(text)
  let parameters = 0
  let apart = false
  let ofSession = false
  const found = readStatements(
    scanner,
    () => new Statement(scanner),
    () => parameters++,
    (statement) => {
      apart ||= statement.apart
      ofSession ||= statement.ofSession
    },
  )
  if ((found.pins & Pin.encoding) !== 0 && setsUtf8(text)) found.pins &= ~Pin.encoding
  if ((found.pins & Pin.strings) !== 0 && readsTheSame(text)) found.pins &= ~Pin.strings
  if ((found.pins & Pin.zone) !== 0 && staysInUtc(text)) found.pins &= ~Pin.zone
  if (scanner.unterminated) {
    if (found.cls === 'read') found.cls = 'write'
    found.dirties |= Dirty.unknown
  }
  const leaves = (found.dirties & Dirty.unknown) !== 0
  const planned = preparable.has(found.verb)
  const plain =
    found.cls === 'read' && planned && !ofSession && !apart && found.pins === 0 && found.dirties === 0 && !leaves
  // A `?` never stands for itself.
  return { ...found, names: 0, leaves, plain, preparable: planned, parameters, valued: true }
}

/** The statements of a text, without their semicolons; comments alone are none. One whose body holds semicolons goes to the end. */
export function statementsOf(text: string): string[] {
  const scanner = new Scanner(text)
  const found: string[] = []
  let from = 0
  for (let statement = new Statement(scanner); ;) {
    const kind = scanner.next()
    if (kind !== Token.end && !(scanner.code === 59 && kind === Token.other && statement.whole)) {
      statement.take(kind)
      continue
    }
    const written = text.slice(from, scanner.start).trim()
    if (!statement.empty) found.push(statement.whole ? written : written.replace(/;$/, ''))
    if (kind === Token.end) return found
    from = scanner.end
    statement = new Statement(scanner)
  }
}

const preparable: ReadonlySet<string> = new Set('SELECT VALUES TABLE WITH INSERT UPDATE DELETE REPLACE DO'.split(' '))

/** `character_set_results` and the like count as well: what is not known to be utf8 is refused. */
const encodings =
  /\b(?:names|(?:character_set_(?:client|connection|results)|collation_connection)`?\s*:?=|character\s+set|charset)\s*['"]?([\w-]+)/gi

function setsUtf8(text: string): boolean {
  let some = false
  for (const [, name = ''] of text.matchAll(encodings)) {
    some = true
    if (!isUtf8mb4(name)) return false
  }
  return some
}

/** Whether a text that sets `sql_mode` leaves the meaning of quotes and backslashes as it is: only one that is written down tells. */
function readsTheSame(text: string): boolean {
  const modes = [...text.matchAll(/sql_mode`?\s*:?=\s*(?:'([^'\\]*)'|"([^"\\]*)")/gi)]
  if (modes.length === 0) return false
  return modes.every(
    ([, single = '', double = '']) =>
      !/ANSI|NO_BACKSLASH_ESCAPES|ORACLE|MSSQL|DB2|MAXDB|POSTGRESQL/i.test(single + double),
  )
}

/** Whether a text that sets `time_zone` sets UTC: only a value that is written down tells. */
function staysInUtc(text: string): boolean {
  const zones = [...text.matchAll(/time_zone`?\s*:?=\s*(?:(['"])([^'"\\]*)\1\s*(?=,|;|$|for\b))?/gi)]
  return zones.length > 0 && zones.every(([, , zone = '']) => isUtcZone(zone))
}

const headSize = 8

/** Settings that say how a transaction ends, and whether one begins. */
const endings = /^(?:autocommit|completion_type)$/

/** Objects whose bodies hold semicolons. */
const programs: ReadonlySet<string> = new Set(['procedure', 'function', 'trigger', 'event', 'package'])
/** First words of statements that hold others, up to the end of the text. */
const blocks: ReadonlySet<string> = new Set(['if', 'case', 'loop', 'while', 'for', 'repeat', 'declare'])

/** One statement while it is read. */
class Statement implements Reading<Token> {
  readonly #scanner: Scanner
  /** Words in lower case, the character for anything else. */
  readonly #head: string[] = []
  readonly #signs = new Set<Sign>()
  #dirties = 0
  #pins = 0
  #before = ''
  #callee = ''
  /** Behind a point: in a database. */
  #isInDatabase = false
  /** The bracket behind `last_insert_id` was the last token. */
  #asking = false
  /** What stands in front of it. */
  #ahead = ''
  /** Its first word stands in a comment that some servers take for code: others run another statement. */
  #doubtful = false
  /** Its semicolons end no statement. */
  #compound = false
  /** The last token is a `time_zone` that may be set. */
  #zone = false
  /** It calls what gives something else each time, or waits. */
  apart = false
  /** It names what only its session knows. */
  ofSession = false

  constructor(scanner: Scanner) {
    this.#scanner = scanner
  }

  get whole(): boolean {
    return !this.#compound
  }

  get empty(): boolean {
    return this.#head.length === 0
  }

  get verb(): string {
    const [verb = ''] = this.#head
    return /^[a-z]/.test(verb) ? verb.toUpperCase() : ''
  }

  get control(): Control | null {
    return controlOf(this.#head)
  }

  judge(): Verdict {
    const [cls, own, pins] = verdict(this.#head, this.#signs)
    const dirties = this.#signs.has('sets') ? own | Dirty.settings : own
    const changed =
      cls === 'read' && (this.#dirties !== 0 || (this.#pins & ~Pin.sequences) !== 0 || this.#signs.has('numbers'))
    if (this.#doubtful) return ['commits', dirties | this.#dirties | Dirty.unknown, pins | this.#pins]
    return [changed ? 'write' : cls, dirties | this.#dirties, pins | this.#pins]
  }

  take(kind: Token): void {
    const scanner = this.#scanner
    const word = kind === Token.word ? scanner.word() : ''
    const character = kind === Token.other ? scanner.text.slice(scanner.start, scanner.end) : ''
    if (this.#head.length < headSize) this.#lead(kind, word, character)
    if (this.#asking) {
      // With an argument it sets the number.
      this.#asking = false
      if (character === ')') this.#pins |= Pin.sequences
      else this.#signs.add('numbers')
    }
    if (word !== '') this.#notice(word)
    if (character === ':=') this.#signs.add('sets')
    if (kind === Token.variable || kind === Token.setting) this.#variable(kind)
    if (character === '(' && this.#callee !== '') this.#call(this.#callee)
    const name = kind === Token.quoted ? scanner.name().toLowerCase() : word
    if (this.#zone && (character === '=' || character === ':=')) this.#signs.add('zone')
    this.#zone = this.#head[0] === 'set' && scanner.depth === 0 && this.#isZone(kind, name)
    if (this.#head[0] === 'set' && this.#before === ',' && scanner.depth === 0 && !this.#isForAll(kind, word))
      this.#signs.add('own')
    this.#callee = name
    this.#isInDatabase = this.#before === '.'
    // Of `schema.name` what stands in front of both.
    if (name !== '' && this.#before !== '.') this.#ahead = this.#before
    this.#before = name !== '' ? name : character
  }

  /** Brackets in front of a query are no verb. */
  #lead(kind: Token, word: string, character: string): void {
    if (this.#head.length === 0 && character === '(') return
    this.#head.push(
      word !== '' ? word : kind === Token.variable ? '@' : kind === Token.setting ? '@@' : character || "'",
    )
    const [verb = ''] = this.#head
    if (this.#head.length === 1) {
      this.#compound = blocks.has(word)
      this.#doubtful = this.#scanner.conditional
    }
    if ((verb === 'create' || verb === 'alter') && programs.has(word)) this.#compound = true
    if (verb === 'begin' && this.#head[1] === 'not') this.#compound = true
  }

  #notice(word: string): void {
    const signs = this.#signs
    const before = this.#before
    if (word === 'into' && before !== 'insert' && before !== 'replace' && before !== 'ignore') signs.add('into')
    else if (word === 'update' && before === 'for') signs.add('row lock')
    else if (word === 'share' && (before === 'for' || before === 'in')) signs.add('row lock')
    else if (word === 'update' || word === 'delete' || word === 'insert' || word === 'replace') {
      if (before !== 'on' && before !== '.' && this.#head[0] === 'with') signs.add('modifies')
    } else if ((word === 'lock' || word === 'export') && this.#head[0] === 'flush') signs.add('holds')
    // As nextval() and lastval(), in the words of the standard.
    else if (word === 'for' && before === 'value' && this.#ahead === 'next') signs.add('sequence')
    else if (word === 'for' && before === 'value' && this.#ahead === 'previous') this.#pins |= Pin.sequences
    else if (word === 'sql_mode') signs.add('reading')
    else if (/^(?:character_set_|collation_connection)/.test(word)) signs.add('encoding')
    else if (endings.test(word)) signs.add('autocommit')
    else if (bare.has(word) && before !== '.') this.ofSession = true
  }

  #variable(kind: Token): void {
    const name = this.#scanner.name().toLowerCase()
    this.ofSession = true
    if (this.#head[0] === 'set') {
      if (/(?:^|\.)sql_mode$/.test(name)) this.#signs.add('reading')
      if (/(?:^|\.)(?:character_set_\w+|collation_connection)$/.test(name)) this.#signs.add('encoding')
      if (endings.test(name.slice(name.lastIndexOf('.') + 1))) this.#signs.add('autocommit')
    } else if (kind === Token.variable) {
      // SELECT … INTO @x, @y; LOAD DATA … (@x); GET DIAGNOSTICS … @x = …
      const fills = filling.has(this.#head[0] ?? '')
      const into = this.#signs.has('into') && (this.#before === 'into' || this.#before === ',')
      if (fills || into) this.#signs.add('sets')
    }
    if (/^(?:last_insert_id|identity|warning_count|error_count|last_gtid)$/.test(name)) this.#pins |= Pin.sequences
  }

  #isZone(kind: Token, name: string): boolean {
    if (kind === Token.setting) return /^(?:(?:session|local)\.)?time_zone$/i.test(this.#scanner.name())
    return name === 'time_zone' && !/^(?:global|persist|persist_only)$/.test(this.#before)
  }

  /** A target of SET that is no session's own. */
  #isForAll(kind: Token, word: string): boolean {
    return kind === Token.setting ? /^(?:global|persist|persist_only)\./i.test(this.#scanner.name()) : setsAll(word)
  }

  #call(name: string): void {
    // A table with its columns.
    if (relation.has(this.#ahead) || definition.has(this.#head[0] ?? '')) return
    const effect = effectOf(name, this.#isInDatabase)
    if (effect === undefined) return
    this.ofSession = true
    if (name === 'last_insert_id' && !this.#isInDatabase) this.#asking = true
    else if (effect === 'apart') this.apart = true
    else {
      this.#dirties |= effect[0]
      this.#pins |= effect[1]
    }
  }
}

/** Behind these stands a table, an alias or the name of a key. */
const relation: ReadonlySet<string> = new Set(
  'into table references as with recursive key index constraint on update join from insert replace ignore )'.split(' '),
)
/** Statements whose variables get values. */
const filling: ReadonlySet<string> = new Set(['load', 'get'])
const definition: ReadonlySet<string> = new Set(['create', 'alter'])

/** Words without brackets that say something of the session. */
const bare: ReadonlySet<string> = new Set(['current_user', 'current_role', 'identity'])
