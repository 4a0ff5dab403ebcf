// Statements of migrations for MySQL and MariaDB: what may be in a file, and of which object a statement changes the definition.
import { MigrationError } from '../errors/index.ts'
import { classify } from '../mysql/classify.ts'
import { Scanner, Token } from '../mysql/lexer.ts'
import { Dirty } from '../sql/compiled.ts'
import type { Migration } from './folder.ts'
import { short } from './failures.ts'

/**
 * `each-time`: it sets something for those behind it. `transaction`: it can be taken back. `commits`: it cannot.
 */
export type StatementKind = 'each-time' | 'transaction' | 'commits'

export function kindOf(statement: string): StatementKind {
  const { cls, verb } = classify(statement)
  if (verb === 'SET') return 'each-time'
  return cls === 'read' || cls === 'write' ? 'transaction' : 'commits'
}

/** @throws {MigrationError} for what a run that was cut off could not go on behind. */
export function checkFile({ name, statements }: Migration): void {
  for (const statement of statements) {
    const why = refusal(statement)
    if (why !== null)
      throw new MigrationError(`${name} contains ${short(statement)}: ${why}. Nothing was applied.`, {
        outcome: 'not_started',
      })
  }
}

function refusal(statement: string): string | null {
  const { verb, dirties, hasControl } = classify(statement)
  if (verb === 'DELIMITER')
    return 'DELIMITER is a command of the mysql client. Put each program into a file, without it'
  if (verb === 'USE') return 'migrations are of one database. Give the others by the option databases'
  if (hasControl)
    return 'each statement is recorded by itself, so a file may not begin or end transactions. Take it out'
  // Settings are set again by a run that goes on, where the statement does nothing else.
  const kept = verb === 'SET' ? Dirty.settings | Dirty.role | Dirty.framed : 0
  if ((dirties & ~(kept | Dirty.unknown)) !== 0)
    return 'a run that was cut off goes on in another session, which would not have what this leaves in its own'
  return null
}

/** An object whose definition shows whether a statement was done. */
export interface Subject {
  readonly kind: string
  /** As it is written, with its database where it has one. */
  readonly name: string
}

interface Word {
  /** In lower case; `''` for what is no plain word. */
  readonly said: string
  readonly raw: string
  readonly start: number
  readonly end: number
}

function wordsOf(statement: string): Word[] {
  const scanner = new Scanner(statement)
  const words: Word[] = []
  for (let kind = scanner.next(); kind !== Token.end; kind = scanner.next()) {
    const { start, end } = scanner
    words.push({ said: kind === Token.word ? scanner.word() : '', raw: statement.slice(start, end), start, end })
  }
  return words
}

const kinds = /^(?:table|view|index|trigger|procedure|function|event|database|schema|sequence)$/
/** They may run again without harm. */
const harmless = /^(?:grant|revoke|analyze|optimize|repair|check|flush)$/
/** Of ALTER TABLE: what changes rows, but no definition. */
const movesRows = /^(?:exchange|discard|import|truncate)$/

/** `again`: it may run twice. Null: nothing shows whether it was done. */
export function subjectOf(statement: string): Subject | 'again' | null {
  const words = wordsOf(statement)
  const [verb = ''] = words.map(({ said }) => said)
  if (harmless.test(verb)) return 'again'
  if (!/^(?:create|alter|drop|rename)$/.test(verb)) return null
  const at = words.findIndex(({ said }) => kinds.test(said))
  const kind = words[at]?.said ?? ''
  if (at === -1 || words.slice(0, at).some(({ raw }) => raw === '(')) return null
  if ((verb === 'drop' || verb === 'rename') && words.some(({ raw }) => raw === ',')) return null
  if (kind === 'table' && verb === 'alter' && words.some(({ said }) => movesRows.test(said))) return null
  // With another table of the same form nothing would show.
  if (kind === 'table' && verb === 'create' && words.slice(0, at).some(({ said }) => said === 'replace')) return null
  const on = words.findIndex(({ said }, index) => index > at && said === 'on')
  if (kind === 'index' && on === -1) return null
  const name = nameAt(statement, words, kind === 'index' ? on + 1 : at + 1)
  return name === null ? null : { kind: kind === 'index' || kind === 'view' ? 'table' : kind, name }
}

function nameAt(statement: string, words: readonly Word[], from: number): string | null {
  let at = from
  while (/^(?:if|not|exists)$/.test(words[at]?.said ?? '')) at++
  const first = words[at]
  const last = words[at + 1]?.raw === '.' ? words[at + 2] : first
  return first === undefined || last === undefined ? null : statement.slice(first.start, last.end)
}
