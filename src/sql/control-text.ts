// What a text of transaction control asks for, for those who do not pass it on to a server as it is.
import { type IsolationLevel, parseIsolation } from './dialect.ts'
import { Token } from './scan.ts'

export type SavepointVerb = 'savepoint' | 'release' | 'rollback to'

export type ControlText =
  | { readonly kind: 'begin' | 'modes'; readonly isolation: IsolationLevel | null; readonly readOnly: boolean }
  | { readonly kind: 'commit' | 'rollback' }
  | { readonly kind: SavepointVerb; readonly name: string }
  /** It has no form in savepoints, or is no transaction control at all. */
  | { readonly kind: 'other'; readonly what: string }

const mostKnown = 500

/** Reads one statement, and remembers what it found. */
export function controlReader(read: (text: string) => ControlText): (text: string) => ControlText {
  const known = new Map<string, ControlText>()
  return (text) => {
    let control = known.get(text)
    if (control === undefined) {
      control = read(text)
      if (known.size >= mostKnown) known.clear()
      known.set(text, control)
    }
    return control
  }
}

/** A text, token by token. */
interface Words {
  next(): number
  word(): string
  name(): string
}

/** Words in lower case and quoted names. */
export function wordsOf(scanner: Words, nameOf: (name: string) => string = (name) => name): string[] {
  const words: string[] = []
  for (let kind = scanner.next(); kind !== Token.end; kind = scanner.next()) {
    if (kind === Token.word) words.push(scanner.word())
    else if (kind === Token.quoted) words.push(nameOf(scanner.name()))
  }
  return words
}

export function other(what: string): ControlText {
  return { kind: 'other', what }
}

/** `words` are in lower case. */
export function modesOf(words: readonly string[]): { isolation: IsolationLevel | null; readOnly: boolean } {
  const level = words.lastIndexOf('level')
  const [first = '', second = ''] = level < 0 ? [] : words.slice(level + 1)
  const isolation = level < 0 ? null : parseIsolation(first === 'serializable' ? first : `${first} ${second}`)
  return { isolation, readOnly: words.some((word, at) => word === 'only' && words[at - 1] === 'read') }
}
