// What transaction control typed as text asks for. The sandbox has to say it in savepoints; what has no such form is
// refused with advice.
import type { Op } from '../../../driver/driver.ts'
import { type IsolationLevel, parseIsolation } from '../../../sql/dialect.ts'
import { Scanner, Token } from '../../../sql/text/scan.ts'

export type SavepointVerb = 'savepoint' | 'release' | 'rollback to'

export type Control =
  | { readonly kind: 'begin' | 'modes'; readonly isolation: IsolationLevel | null; readonly readOnly: boolean }
  | { readonly kind: 'commit' | 'rollback' }
  | { readonly kind: SavepointVerb; readonly name: string }
  | { readonly kind: 'impossible'; readonly what: string }

const known = new Map<string, Control>()
const mostKnown = 500

/** Reads one statement of the class `control`. */
export function controlOf(text: string): Control {
  let control = known.get(text)
  if (control === undefined) {
    control = read(wordsOf(text))
    if (known.size >= mostKnown) known.clear()
    known.set(text, control)
  }
  return control
}

/** BEGIN, in whatever form. */
export function opens({ stmt }: Op): boolean {
  return stmt.cls === 'control' && controlOf(stmt.text).kind === 'begin'
}

/** Words in lower case and the names in quotes. */
function wordsOf(text: string): string[] {
  const scanner = new Scanner(text)
  const words: string[] = []
  for (let kind = scanner.next(); kind !== Token.end; kind = scanner.next()) {
    if (kind === Token.word) words.push(scanner.word())
    else if (kind === Token.quoted) words.push(scanner.name())
  }
  return words
}

function read(words: readonly string[]): Control {
  const [verb = '', second = ''] = words
  const last = words.at(-1) ?? ''
  switch (verb) {
    case 'begin':
    case 'start':
      return { kind: 'begin', ...modesOf(words) }
    case 'set':
      return words.includes('snapshot') ? impossible('SET TRANSACTION SNAPSHOT') : { kind: 'modes', ...modesOf(words) }
    case 'savepoint':
      return { kind: 'savepoint', name: last }
    case 'release':
      return { kind: 'release', name: last }
    case 'commit':
    case 'end':
    case 'rollback':
    case 'abort': {
      const ending = verb === 'commit' || verb === 'end' ? 'commit' : 'rollback'
      if (second === 'prepared') return impossible(`${verb.toUpperCase()} PREPARED`)
      if (last === 'chain' && words.at(-2) !== 'no') return impossible(`${verb.toUpperCase()} AND CHAIN`)
      return ending === 'rollback' && words.includes('to') ? { kind: 'rollback to', name: last } : { kind: ending }
    }
    default:
      return impossible(`${verb} ${second}`.toUpperCase())
  }
}

function impossible(what: string): Control {
  return { kind: 'impossible', what }
}

function modesOf(words: readonly string[]): { isolation: IsolationLevel | null; readOnly: boolean } {
  const level = words.lastIndexOf('level')
  const [first = '', second = ''] = level < 0 ? [] : words.slice(level + 1)
  const isolation = level < 0 ? null : parseIsolation(first === 'serializable' ? first : `${first} ${second}`)
  return { isolation, readOnly: words.some((word, at) => word === 'only' && words[at - 1] === 'read') }
}
