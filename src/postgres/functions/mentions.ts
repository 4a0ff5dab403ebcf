// What a text names: functions it calls, tables it writes, anything else by its name, and whether it makes or changes
// functions. Read once per text, beside its class, and held against the catalogue of the database. It reads words, not
// grammar, and names without their schema: two functions of one name are one here.
import { Pin } from '../../sql/compiled.ts'
import { classify } from '../classify.ts'
import { Scanner, Token } from '../lexer.ts'
import { effectOf } from '../verdict.ts'

export interface Mentions {
  /** Names in front of a bracket, and keywords and aliases among them: whoever asks knows which are functions. */
  readonly calls: readonly string[]
  /** The same with tables, aliases and types that have a list behind them. */
  readonly bracketed: ReadonlySet<string>
  /** Names behind a dot: columns, and functions of a row that are called like one; tables with their schema too. */
  readonly fields: ReadonlySet<string>
  /** Tables and views after INSERT INTO, UPDATE, DELETE FROM, MERGE INTO, COPY and TRUNCATE. */
  readonly writes: readonly string[]
  /** Every name, quoted or not, and every word. */
  readonly names: ReadonlySet<string>
  /** The first word of each statement, in lower case. */
  readonly verbs: readonly string[]
  /** It may make, replace or drop a function, a trigger, a view, an extension or a schema, or move what triggers hang on. */
  readonly changes: boolean
  /** A quote or comment ran to the end of the text. */
  readonly unterminated: boolean
}

/** Objects whose change makes what is known of functions out of date; names, partitions, copies and cascades of tables with triggers too. */
const known: ReadonlySet<string> = new Set(
  `function procedure routine aggregate trigger extension schema view operator policy domain cast event rule language owned import rename
  partition inherit inherits like cascade delete update`.split(/\s+/),
)

const defining = /^(?:create|alter|drop)$/

/** Words of PL/pgSQL behind which a statement may begin. */
const openers: ReadonlySet<string> = new Set('begin then else loop declare exception'.split(' '))

/** Words in front of UPDATE and DELETE that make no statement of them. */
const noStatement = /^(?:for|key|do|on|before|after|or|of|instead|\.)$/

/** @param procedural It is PL/pgSQL. */
export function mentionsOf(text: string, procedural: boolean = false): Mentions {
  const scanner = new Scanner(text)
  const calls = new Set<string>()
  const bracketed = new Set<string>()
  const fields = new Set<string>()
  const writes = new Set<string>()
  const names = new Set<string>()
  const verbs = new Set<string>()
  let changes = false
  let verb = ''
  let defines = false
  let statementWord = 0
  let before = ''
  /** The name before, which a bracket makes a call. */
  let callee = ''
  /** What stands in front of that name and its schema. */
  let ahead = ''
  const target = new Target(writes)
  for (;;) {
    const kind = scanner.next()
    if (kind === Token.end) break
    const word = kind === Token.word ? scanner.word() : ''
    const name = kind === Token.quoted ? scanner.name() : word
    const character = kind === Token.other ? String.fromCharCode(scanner.code) : ''
    if (character === ';' || (procedural && openers.has(word))) {
      statementWord = 0
      verb = ''
      defines = false
    } else if (statementWord++ === 0) {
      verb = word
      defines = defining.test(word)
      changes ||= word === 'do'
      verbs.add(word !== '' ? word : character)
    }
    if (name !== '') names.add(name)
    if (name !== '' && before === '.') fields.add(name)
    if (character === '(' && callee !== '') {
      bracketed.add(callee)
      if (!makesNoCall(ahead, verb)) calls.add(callee)
    }
    if (character !== '.' && before !== '.') ahead = before
    target.take(name, character)
    if (starts(word, before, verb, statementWord === 1)) target.expect(word === 'truncate')
    if (defines && known.has(word)) changes = true
    callee = kind === Token.named ? scanner.text.slice(scanner.start + 1, scanner.end).toLowerCase() : name
    before = word !== '' ? word : character
  }
  target.end()
  const { unterminated } = scanner
  return { calls: [...calls], bracketed, fields, writes: [...writes], names, verbs: [...verbs], changes, unterminated }
}

/** What stands behind these and in front of a bracket is a table, an alias or a type with a list. */
const relation = /^(?:into|table|references|as|with|recursive|exists|function|procedure|aggregate|\)|:)$/

const makesNoCall = (ahead: string, verb: string): boolean =>
  relation.test(ahead) || (ahead === 'on' && (verb === 'create' || verb === 'copy'))

/** Whether the name of a table that is written comes next. */
function starts(word: string, before: string, verb: string, first: boolean): boolean {
  switch (word) {
    case 'into':
      return before === 'insert' || before === 'merge'
    case 'update':
      return !noStatement.test(before) && verb !== 'create'
    case 'from':
      return before === 'delete'
    case 'copy':
    case 'truncate':
      return first
    default:
      return false
  }
}

/** Reads the name of a table behind a keyword: ONLY and TABLE are passed over, a schema is forgotten. */
class Target {
  readonly #writes: Set<string>
  #state: 'none' | 'expected' | 'named' = 'none'
  #name = ''
  #several = false

  constructor(writes: Set<string>) {
    this.#writes = writes
  }

  expect(several: boolean): void {
    this.end()
    this.#state = 'expected'
    this.#several = several
  }

  take(name: string, character: string): void {
    if (this.#state === 'none') return
    if (this.#state === 'expected') {
      if (name === 'only' || name === 'table') return
      if (name === '') this.#state = 'none'
      else {
        this.#name = name
        this.#state = 'named'
      }
      return
    }
    if (character === '.') {
      this.#state = 'expected'
      return
    }
    this.end()
    if (this.#several && character === ',') this.#state = 'expected'
  }

  end(): void {
    if (this.#state === 'named') this.#writes.add(this.#name)
    this.#state = 'none'
  }
}

// Whether a function of the user's own may leave something in the session that called it, judged by its source. Called when
// the catalogue is read, for every function of a database: most sources are judged by one pass over their words. What cannot be
// read is taken to leave something.
export interface Judgement {
  /**
   * It may change a setting, the role, a lock, a temporary table or anything else that stays with the session, or asks for numbers.
   * `set_config(…, true)`, `SET LOCAL` and transaction locks do not stay. Functions that it calls are judged for themselves.
   */
  readonly leaves: boolean
  /** It asks for the numbers that its session has drawn. */
  readonly asks: boolean
  /** It may draw numbers of sequences, by a default or a trigger too. */
  readonly draws: boolean
  readonly calls: readonly string[]
  /** Names behind a dot. */
  readonly fields: ReadonlySet<string>
  /** Tables. */
  readonly writes: readonly string[]
  /** Every name and word. */
  readonly names: ReadonlySet<string>
}

/**
 * @param language As `pg_language` has it.
 * @param defined The source is the whole definition of the function, as `pg_get_functiondef` writes it.
 */
export function judgeSource(language: string, source: string, defined: boolean): Judgement {
  const procedural = language === 'plpgsql'
  const text = defined ? bodyOf(source) : source
  const mentions = mentionsOf(text, procedural)
  const { calls, fields, writes, names } = mentions
  const readable = procedural || language === 'sql'
  const asks = names.has('currval') || names.has('lastval')
  return {
    leaves: asks || !readable || mayLeave(text, mentions, procedural),
    asks,
    draws: !readable || writing.some((word) => names.has(word)),
    calls,
    fields,
    writes,
    names,
  }
}

const writing: readonly string[] = 'insert update delete merge copy nextval setval execute'.split(' ')

/** Verbs that leave something by themselves, or whose whole statement decides. */
const risky: ReadonlySet<string> = new Set(
  'set reset listen unlisten prepare deallocate discard load create alter drop lock import reindex copy do'.split(' '),
)

/** Verbs whose whole statement is judged; anything else is an expression, of which the calls count. */
const judged: ReadonlySet<string> = new Set([...risky, ...'insert update delete merge with select'.split(' ')])

function mayLeave(text: string, { names, verbs, bracketed, unterminated }: Mentions, procedural: boolean): boolean {
  // Text that is made while it runs can do anything.
  if (unterminated || (procedural && names.has('execute'))) return true
  let suspect = names.has('uescape')
  for (const verb of verbs) suspect ||= procedural ? risky.has(verb) : !quiet.has(verb)
  for (const name of bracketed) suspect ||= name === 'set_config' || stays(effectOf(name) ?? [0, 0])
  if (procedural) return suspect && segments(text).some((segment) => leaves(segment))
  return (suspect || names.has('into')) && leaves(text)
}

/** Verbs of SQL that leave what their calls do. SELECT INTO makes a table. */
const quiet: ReadonlySet<string> = new Set('select values table with insert update delete merge ('.split(' '))

const stays = ([dirties, pins]: readonly [dirties: number, pins: number]): boolean =>
  dirties !== 0 || (pins & ~Pin.transaction) !== 0

function leaves(text: string): boolean {
  const { dirties, pins } = classify(text)
  return stays([dirties, pins])
}

/** The statements of a PL/pgSQL body, and pieces of its control structures, as SQL. INTO names variables there, and is left out. */
function segments(source: string): readonly string[] {
  const scanner = new Scanner(source)
  const found: string[] = []
  let from = -1
  let text = ''
  let before = ''
  const cut = (at: number): void => {
    if (from !== -1) found.push(text + source.slice(from, at))
    from = -1
    text = ''
  }
  for (let kind = scanner.next(); kind !== Token.end; kind = scanner.next()) {
    const word = kind === Token.word ? scanner.word() : ''
    if ((kind === Token.other && scanner.code === 59) || openers.has(word)) cut(scanner.start)
    else if (from === -1) {
      // PERFORM and CALL are how PL/pgSQL says SELECT.
      from = word === 'perform' || word === 'call' ? scanner.end : scanner.start
      text = judged.has(word) ? '' : 'select '
    } else if (word === 'into' && before !== 'insert' && before !== 'merge') {
      text += source.slice(from, scanner.start)
      from = scanner.end
    }
    before = word
  }
  cut(source.length)
  return found
}

/** What stands behind BEGIN ATOMIC, or behind the RETURN of a body that is one expression; all of it where neither is found. */
function bodyOf(definition: string): string {
  const scanner = new Scanner(definition)
  let before = ''
  for (let kind = scanner.next(); kind !== Token.end; kind = scanner.next()) {
    const word = kind === Token.word ? scanner.word() : ''
    if (scanner.depth === 0 && word === 'atomic' && before === 'begin') return definition.slice(scanner.end)
    if (scanner.depth === 0 && word === 'return' && before !== '.') return `select ${definition.slice(scanner.end)}`
    before = word !== '' ? word : String.fromCharCode(scanner.code)
  }
  return definition
}
