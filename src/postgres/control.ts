// Transaction control of PostgreSQL, word by word.
import { controlReader, type ControlText, modesOf, other, wordsOf } from '../sql/control-text.ts'
import { Scanner } from './lexer.ts'

/** Reads one statement. */
export const controlOf: (text: string) => ControlText = controlReader((text) => read(wordsOf(new Scanner(text))))

function read(words: readonly string[]): ControlText {
  const [verb = '', second = ''] = words
  const last = words.at(-1) ?? ''
  switch (verb) {
    case 'begin':
    case 'start':
      return { kind: 'begin', ...modesOf(words) }
    case 'set':
      if (!words.includes('transaction')) break
      return words.includes('snapshot') ? other('SET TRANSACTION SNAPSHOT') : { kind: 'modes', ...modesOf(words) }
    case 'savepoint':
      return { kind: 'savepoint', name: last }
    case 'release':
      return { kind: 'release', name: last }
    case 'commit':
    case 'end':
    case 'rollback':
    case 'abort': {
      const ending = verb === 'commit' || verb === 'end' ? 'commit' : 'rollback'
      if (second === 'prepared') return other(`${verb.toUpperCase()} PREPARED`)
      if (last === 'chain' && words.at(-2) !== 'no') return other(`${verb.toUpperCase()} AND CHAIN`)
      return ending === 'rollback' && words.includes('to') ? { kind: 'rollback to', name: last } : { kind: ending }
    }
  }
  return other(`${verb} ${second}`.toUpperCase())
}
