// Transaction control of MySQL and MariaDB, word by word.
import { controlReader, type ControlText, modesOf, other, wordsOf } from '../sql/control-text.ts'
import { Scanner } from './lexer.ts'

/** Reads one statement. Names of savepoints are in lower case, because the server compares them so. */
export const controlOf: (text: string) => ControlText = controlReader((text) =>
  read(wordsOf(new Scanner(text), (name) => name.toLowerCase())),
)

function read(words: readonly string[]): ControlText {
  const [verb = '', second = ''] = words
  const last = words.at(-1) ?? ''
  switch (verb) {
    case 'begin':
    case 'start':
      return { kind: 'begin', ...modesOf(words) }
    case 'set':
      if (second === 'transaction') return { kind: 'modes', ...modesOf(words) }
      break
    case 'savepoint':
      return { kind: 'savepoint', name: last }
    case 'release':
      return { kind: 'release', name: last }
    case 'commit':
    case 'rollback':
      if (verb === 'rollback' && words.includes('to')) return { kind: 'rollback to', name: last }
      if (last === 'release' && words.at(-2) === 'no') return read(words.slice(0, -2))
      if (last === 'chain' && words.at(-2) !== 'no') return other(`${verb.toUpperCase()} AND CHAIN`)
      if (last === 'release') return other(`${verb.toUpperCase()} RELEASE`)
      return { kind: verb }
  }
  const setting = words.includes('completion_type') ? 'completion_type' : 'autocommit'
  return other(verb === 'set' ? `SET ${setting}` : `${verb} ${second}`.toUpperCase())
}
