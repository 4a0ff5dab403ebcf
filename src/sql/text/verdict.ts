// The judgement of one statement by its leading words and by the telling words seen in it. Called by classification at
// the end of every statement. A verb that is not listed is a write that leaves the session dirty.
import { Dirty, Names, Pin, type StatementClass } from '../compiled.ts'

export type Verdict = readonly [cls: StatementClass, dirties: number, pins: number]

/** Words that tell wherever they stand; `Statement` in classify.ts says in which company. */
export type Sign =
  | 'modifies'
  | 'into'
  | 'into temp'
  | 'row lock'
  | 'with hold'
  | 'on commit drop'
  | 'set tablespace'
  | 'concurrently'
  | 'pg_temp'
  | 'uescape'
  | 'call'
type Signs = ReadonlySet<Sign>

const clean: Verdict = ['write', 0, 0]
/** PostgreSQL only warns where there is no transaction (25P01). */
const local: Verdict = ['write', 0, Pin.transaction]
const control: Verdict = ['control', 0, 0]
const write: Verdict = ['write', Dirty.unknown, 0]
const alone: Verdict = ['alone', Dirty.unknown, 0]
const settings: Verdict = ['write', Dirty.settings, Pin.settings]
const role: Verdict = ['write', Dirty.role, Pin.role]
const temporary: Verdict = ['write', Dirty.temp, Pin.temp]

/** Verbs whose judgement needs no second look. */
const plain: ReadonlyMap<string, Verdict> = new Map<string, Verdict>([
  ['insert', clean],
  ['update', clean],
  ['delete', clean],
  ['merge', clean],
  ['show', clean],
  ['begin', control],
  ['start', control],
  ['commit', control],
  ['end', control],
  ['rollback', control],
  ['abort', control],
  ['savepoint', control],
  ['release', control],
  ['listen', ['write', Dirty.listen, Pin.listen]],
  ['unlisten', ['write', Dirty.listen, 0]],
  ['deallocate', ['write', Dirty.prepared, 0]],
  ['call', alone],
  ['vacuum', alone],
  ['cluster', alone],
  ['copy', alone],
  ['lock', ['write', 0, Pin.transaction]],
])

/** `head`: the leading tokens, words in lower case. */
export function verdict(head: readonly string[], signs: Signs): Verdict {
  const [verb = '', second = ''] = head
  switch (verb) {
    case 'select':
    case 'values':
    case 'table':
    case 'with':
      return query(signs)
    case 'set':
      return set(head)
    case 'reset':
      return ['write', Dirty.settings | (/role|session/.test(second) ? Dirty.role : 0), 0]
    case 'discard':
      return second === 'all'
        ? ['alone', Dirty.settings | Dirty.role | Dirty.prepared, 0]
        : ['write', Dirty.settings, 0]
    case 'declare':
      return ['write', Dirty.cursors, signs.has('with hold') ? Pin.cursors : Pin.transaction]
    case 'prepare':
      return second === 'transaction' ? control : ['write', Dirty.prepared, Pin.prepared]
    case 'create':
      return create(head, signs)
    case 'drop':
      return isServerWide(second) || signs.has('concurrently') ? alone : write
    case 'alter':
      return second === 'system' || signs.has('concurrently') || (second === 'database' && signs.has('set tablespace'))
        ? alone
        : write
    case 'reindex':
      return signs.has('concurrently') || /^(?:database|system|schema)$/.test(behindOptions(head)) ? alone : write
    default:
      return plain.get(verb) ?? write
  }
}

function query(signs: Signs): Verdict {
  if (signs.has('into temp') || (signs.has('into') && signs.has('pg_temp'))) return temporary
  if (signs.has('into')) return write
  return signs.has('modifies') || signs.has('row lock') || signs.has('call') ? clean : ['read', 0, 0]
}

function set(head: readonly string[]): Verdict {
  const [, scope = '', first = ''] = head
  const isLocal = scope === 'local'
  const scoped = isLocal || (scope === 'session' && first !== 'authorization' && first !== 'characteristics')
  const [name = '', next = ''] = head.slice(scoped ? 2 : 1)
  if (name === 'transaction') return ['control', 0, Pin.transaction]
  // What it is set to is looked at when all of the text is known.
  if (/^"?client_encoding$/.test(name) || (name === 'names' && !isLocal))
    return ['write', Dirty.settings, Pin.encoding | (isLocal ? Pin.transaction : Pin.settings)]
  if (/^"?standard_conforming_strings$/.test(name))
    return ['write', Dirty.settings, Pin.strings | (isLocal ? Pin.transaction : Pin.settings)]
  if (isLocal || name === 'constraints') return local
  const isRole = /^"?(?:role|session_authorization)$/.test(name) && next !== '.'
  return isRole || (name === 'session' && next === 'authorization') ? role : settings
}

/** What a statement that is no transaction control does to the meaning of names, besides what its calls do. */
export function namesOf(head: readonly string[], signs: Signs): number {
  const [verb = '', second = ''] = head
  switch (verb) {
    case 'create':
    case 'alter':
    case 'drop':
    case 'import':
    case 'call':
      return Names.catalogue
    case 'do':
      return Names.catalogue | Names.path
    case 'select':
    case 'with':
      return signs.has('into') || signs.has('into temp') ? Names.catalogue : 0
    case 'set': {
      const at = /^(?:local|session)$/.test(second) && head[2] !== 'authorization' ? 2 : 1
      return movesPath(head[at] ?? '') ? Names.path : 0
    }
    case 'reset':
      return second === 'all' || movesPath(second) ? Names.path : 0
    case 'discard':
      return second === 'all' || second.startsWith('temp') ? Names.catalogue | (second === 'all' ? Names.path : 0) : 0
    default:
      return 0
  }
}

const movesPath = (name: string): boolean => /^"?(?:search_path|schema|role|session|session_authorization)$/i.test(name)

function create(head: readonly string[], signs: Signs): Verdict {
  const modifiers = head.slice(
    1,
    1 + head.slice(1).findIndex((word) => !/^(?:or|replace|local|global|temp|temporary)$/.test(word)),
  )
  if (!signs.has('pg_temp') && !modifiers.some((word) => word.startsWith('temp')))
    return isServerWide(head[1] ?? '') || signs.has('concurrently') ? alone : write
  // What is dropped with its transaction nobody can rely on after it.
  return signs.has('on commit drop') ? ['write', Dirty.temp, 0] : temporary
}

/** Objects whose creation and removal refuse to run in a transaction. */
const isServerWide = (object: string): boolean => /^(?:database|tablespace|subscription)$/.test(object)

/** The first word behind the verb and its bracketed options. */
const behindOptions = (head: readonly string[]): string => head[head[1] === '(' ? head.indexOf(')') + 1 : 1] ?? ''
