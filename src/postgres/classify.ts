// What a statement text may do, from one scan: its class, the session state it dirties or pins, and the statements and
// placeholders it holds. Called once per text by the statement cache. It reads words, not grammar: whatever it does not
// know is a write that leaves the session dirty. Effects hidden inside functions of the user's own are beyond it.
import { isConforming, isUtf8 } from '../sql/settings.ts'
import { type Control, Dirty, Names, Pin } from '../sql/compiled.ts'
import type { Classified } from '../sql/dialect.ts'
import { type Reading, readStatements, type Verdict } from '../sql/scan.ts'
import {
  effectOf,
  type Effect,
  isHarmlessCall,
  meansNow,
  namesSession,
  namesOf,
  readsBy,
  type Sign,
  verdict,
  writesText,
} from './verdict.ts'
import { Scanner, Token } from './lexer.ts'

/** Classifies a text in one linear scan. Never fails: what the server will refuse is left to the server. */
export function classify(text: string): Classified {
  const scanner = new Scanner(text)
  let names = 0
  let calls = false
  let ofSession = false
  let parameters = 0
  let valued = false
  let ofNow = false
  const found = readStatements(
    scanner,
    () => new Statement(scanner),
    (statement) => {
      parameters = Math.max(parameters, Number(text.slice(scanner.start + 1, scanner.end)))
      valued ||= preparable.has(statement.verb)
    },
    (statement) => {
      names |= statement.names
      calls ||= statement.calls
      ofSession ||= statement.ofSession
      ofNow ||= statement.ofNow
    },
  )
  if ((found.pins & Pin.encoding) !== 0 && setsUtf8(text)) found.pins &= ~Pin.encoding
  if ((found.pins & Pin.strings) !== 0 && conforms(text)) found.pins &= ~Pin.strings
  // Several statements sent at once are a transaction.
  if (found.statements > 1) found.pins &= ~Pin.transaction
  if (scanner.unterminated) {
    if (found.cls === 'read') found.cls = 'write'
    found.dirties |= Dirty.unknown
  }
  const leaves = calls || (found.dirties & Dirty.unknown) !== 0
  const plain = found.cls === 'read' && !leaves && !ofSession && found.pins === 0 && found.dirties === 0
  const planned = preparable.has(found.verb)
  const cheap = plain && planned
  return { ...found, names, leaves, plain: cheap, preparable: planned && !ofNow, parameters, valued }
}

/** What the server plans, and so gains from being prepared. */
const preparable: ReadonlySet<string> = new Set('SELECT VALUES TABLE WITH INSERT UPDATE DELETE MERGE'.split(' '))

const encodings =
  /\bset\s+(?:(?:session|local)\s+)?(?:names|"?client_encoding"?\s*(?:=|\bto\b))\s*['"]?([\w-]+)|\bset_config\s*\(\s*'client_encoding'\s*,\s*'([\w-]+)'/gi

/** Whether every encoding that a text sets is the one there is. One that is not written down shows when the server tells it. */
function setsUtf8(text: string): boolean {
  for (const [, set = '', called = set] of text.matchAll(encodings))
    if (!isUtf8(called) && called.toLowerCase() !== 'default') return false
  return true
}

const conforming =
  /\bset\s+(?:(?:session|local)\s+)?"?standard_conforming_strings"?\s*(?:=|\bto\b)\s*['"]?(\w+)|\bset_config\s*\(\s*'standard_conforming_strings'\s*,\s*'(\w+)'/gi

/** As `setsUtf8`, of `standard_conforming_strings`. */
function conforms(text: string): boolean {
  for (const [, set = '', called = set] of text.matchAll(conforming))
    if (!isConforming(called) && called.toLowerCase() !== 'default') return false
  return true
}

const defines = /^(?:create|alter|prepare)$/

/** What stands behind these and in front of a bracket is no call: a table, an alias or a type with a list. */
const namesRelation: ReadonlySet<string> = new Set(['into', 'table', 'references', 'as', 'with', 'recursive', ')', ':'])

/** By the verb; ROLLBACK TO is looked at. */
const controls: ReadonlyMap<string, Control> = new Map<string, Control>([
  ['begin', 'begin'],
  ['start', 'begin'],
  ['commit', 'commit'],
  ['end', 'commit'],
  ['rollback', 'rollback'],
  ['abort', 'rollback'],
  ['prepare', 'prepare'],
  ['savepoint', 'savepoint'],
  ['release', 'release'],
])

/** How many leading tokens of a statement are kept for its verdict. */
const headSize = 8

/** One `set_config(…)` being read: it is local to the transaction only if its third argument is the bare word `true`. */
interface Setting {
  /** Of the brackets around its arguments. */
  readonly depth: number
  argument: number
  /** Tokens of the current argument, and the text of the only one. */
  tokens: number
  only: string
  name: string
  local: boolean
}

/** One statement while it is read. */
class Statement implements Reading<Token> {
  readonly #scanner: Scanner
  /** Words in lower case, `"name` for a quoted one, `'` for a value, the character for anything else. */
  readonly #head: string[] = []
  readonly #signs = new Set<Sign>()
  #dirties = 0
  #pins = 0
  #explains = false
  #analyzes = false
  /** The token before: a word in lower case, a character, or `''`. */
  #before = ''
  /** The name before, quoted or not, which a bracket would make a call. */
  #callee = ''
  /** The schema of that name, and what stands in front of both. */
  #schema = ''
  #qualifier = ''
  #ahead = ''
  /** It calls a function that is not known to be harmless. */
  calls = false
  /** It names what says something of the session. */
  ofSession = false
  /** A literal of it may be another time each time that it is parsed. */
  ofNow = false
  readonly #settings: Setting[] = []
  /** So far it is `select set_config(…), …` and nothing else, each for the transaction alone. */
  #onlySets = true
  #names = 0
  /** Open BEGIN ATOMIC and CASE of a function body, whose semicolons end no statement. */
  #body = 0

  constructor(scanner: Scanner) {
    this.#scanner = scanner
  }

  get empty(): boolean {
    return this.#head.length === 0 && !this.#explains
  }

  /** Whether a semicolon would end the statement here. */
  get whole(): boolean {
    return this.#scanner.depth === 0 && this.#body === 0
  }

  get verb(): string {
    const verb = this.#explains ? 'explain' : (this.#head[0] ?? '')
    return /^[a-z]/.test(verb) ? verb.toUpperCase() : ''
  }

  /** Once it was judged to be one. */
  get control(): Control | null {
    const [verb = ''] = this.#head
    if (verb === 'rollback' && this.#head.includes('to')) return 'rollback to'
    return controls.get(verb) ?? null
  }

  /** Once it was judged. */
  get names(): number {
    return this.#names
  }

  take(kind: Token): void {
    const scanner = this.#scanner
    const word = kind === Token.word ? scanner.word() : ''
    const name = kind === Token.quoted ? scanner.name() : word
    const character = kind === Token.other ? String.fromCharCode(scanner.code) : ''
    if (kind === Token.string) this.ofNow ||= meansNow(scanner.text.slice(scanner.start, scanner.end))
    this.#onlySets &&= this.#goesOnSetting(kind, word, character)
    if (character === '(' && this.#callee !== '') this.#call(this.#callee)
    else if (this.#settings.length > 0) this.#argument(kind, character, word)
    if (this.#head.length < headSize) this.#lead(character, word, kind === Token.quoted ? `"${name}` : `'`)
    if (word !== '') this.#notice(word)
    if (name === 'pg_temp') this.#signs.add('pg_temp')
    if (name !== '') {
      this.#schema = this.#before === '.' ? this.#qualifier : ''
      this.ofSession ||= namesSession(name)
      if (this.#before !== '.') this.#ahead = this.#before
    } else if (character === '.') this.#qualifier = this.#callee
    // `json_object('k':f(1))` is a call for the server.
    this.#callee = kind === Token.named ? scanner.text.slice(scanner.start + 1, scanner.end).toLowerCase() : name
    this.#before = word !== '' ? word : character
  }

  judge(): Verdict {
    for (const setting of this.#settings) this.#apply(setting)
    // Unicode escapes with a character of the user's choice can spell any function.
    if (this.#signs.has('uescape')) this.#effect([Dirty.unknown, 0])
    if (this.#explains && !this.#analyzes) return ['read', 0, 0]
    const [cls, dirties, pins] = verdict(this.#head, this.#signs)
    this.#names |= cls === 'control' ? Names.transaction : namesOf(this.#head, this.#signs)
    const vain = this.#onlySets && this.#head.length > 1 ? Pin.transaction : 0
    // What is called in a definition runs later, or somewhere else.
    const called = defines.test(this.#head[0] ?? '') ? this.#pins & ~(Pin.transaction | Pin.sequences) : this.#pins
    return [this.#explains ? 'write' : cls, this.#dirties | dirties, called | pins | vain]
  }

  /** Whether a statement that was `select set_config(…), …` until now still is. */
  #goesOnSetting(kind: Token, word: string, character: string): boolean {
    const { depth } = this.#scanner
    if (character === '(') return depth > 1 || this.#callee === 'set_config'
    if (depth > 0) return true
    const before = this.#before
    if (character !== '')
      return character === ')' || character === ',' || (character === '.' && before === 'pg_catalog')
    if (before === ')' || before === 'as') return kind === Token.word || kind === Token.quoted
    if (word === 'select') return this.#head.length === 0
    if (word === 'pg_catalog') return before === 'select' || before === ','
    return word === 'set_config' && (before === 'select' || before === ',' || before === '.')
  }

  /** Adds a token to the head, less opening brackets in front and EXPLAIN with its options. */
  #lead(character: string, word: string, otherwise: string): void {
    if (this.#head.length === 0) {
      if (character === '(') return
      if (this.#explains ? this.#option(character, word) : word === 'explain') {
        this.#explains = true
        return
      }
    }
    this.#head.push(word || character || otherwise)
  }

  /** Whether the token belongs to the options of an EXPLAIN: bare words, or a list in brackets. */
  #option(character: string, word: string): boolean {
    const analyzes = word === 'analyze' || word === 'analyse'
    this.#analyzes ||= analyzes
    if (analyzes || word === 'verbose' || character === ')') return true
    return this.#scanner.depth > 0 && !/^(?:select|with|values|table)$/.test(word)
  }

  #notice(word: string): void {
    const sign = this.#sign(word, this.#before)
    if (sign !== undefined) this.#signs.add(sign)
    if (this.#body > 0) this.#body += word === 'case' ? 1 : word === 'end' ? -1 : 0
    else if (word === 'atomic' && this.#before === 'begin' && this.whole && this.#makesRoutine()) this.#body = 1
  }

  #sign(word: string, before: string): Sign | undefined {
    switch (word) {
      case 'insert':
      case 'update':
      case 'delete':
      case 'merge':
        return before === '.' ? undefined : 'modifies'
      case 'into':
        return before === 'insert' || before === 'merge' ? undefined : 'into'
      case 'temp':
      case 'temporary':
        if (before === 'into') return 'into temp'
        return (before === 'local' || before === 'global') && this.#signs.has('into') ? 'into temp' : undefined
      case 'share':
      case 'no':
      case 'key':
        return before === 'for' ? 'row lock' : undefined
      case 'hold':
        return before === 'with' ? 'with hold' : undefined
      case 'drop':
        return before === 'commit' ? 'on commit drop' : undefined
      case 'tablespace':
        return before === 'set' ? 'set tablespace' : undefined
      case 'concurrently':
      case 'uescape':
        return word
      default:
        return undefined
    }
  }

  #makesRoutine(): boolean {
    return this.#head[0] === 'create' && this.#head.some((word) => word === 'function' || word === 'procedure')
  }

  #call(name: string): void {
    const unknown =
      name !== 'set_config' &&
      effectOf(name) === undefined &&
      !isHarmlessCall(name, this.#schema) &&
      !namesSession(name)
    this.calls ||= unknown && !namesRelation.has(this.#ahead)
    if (name === 'set_config') {
      const { depth } = this.#scanner
      this.#settings.push({ depth, argument: 1, tokens: 0, only: '', name: '', local: false })
      this.#signs.add('call')
      return
    }
    const effect = effectOf(name)
    if (effect !== undefined) this.#effect(effect)
  }

  #effect([dirties, pins]: Effect): void {
    this.#signs.add('call')
    this.#dirties |= dirties
    this.#pins |= pins
  }

  #argument(kind: Token, character: string, word: string): void {
    const setting = this.#settings.at(-1)
    if (setting === undefined) return
    const { depth } = this.#scanner
    const closed = depth < setting.depth
    if (!closed && !(character === ',' && depth === setting.depth)) {
      setting.only = setting.tokens++ > 0 ? '' : kind === Token.string ? this.#literal() : word
      return
    }
    if (setting.argument === 1) setting.name = setting.only
    if (setting.argument === 3) setting.local = setting.only === 'true'
    setting.argument++
    setting.tokens = 0
    setting.only = ''
    if (closed) {
      this.#settings.pop()
      this.#apply(setting)
    }
  }

  /** The current string in its quotes when it is an ordinary one: no word can equal it. */
  #literal(): string {
    return this.#scanner.code === 39 ? this.#scanner.text.slice(this.#scanner.start, this.#scanner.end) : ''
  }

  #apply({ name, local, argument }: Setting): void {
    if (name.toLowerCase() === "'client_encoding'") this.#pins |= Pin.encoding
    if (name.toLowerCase() === "'standard_conforming_strings'") this.#pins |= Pin.strings
    if (name === '' || /^'(?:role|session_authorization|search_path)'$/i.test(name)) this.#names |= Names.path
    if (name === '' || readsBy(name.slice(1, -1))) this.#names |= Names.reading
    if (local && argument === 4) {
      if (writesText(name)) this.#dirties |= Dirty.settings
      return
    }
    this.#onlySets = false
    const known = name !== '' && name.startsWith("'") && !/^'(?:role|session_authorization)'$/i.test(name)
    this.#effect([known ? Dirty.settings : Dirty.settings | Dirty.role, Pin.settings])
  }
}
