/**
 * The SQL of the second fake: placeholders that are not numbered, names in backticks, a transaction that is opened by two
 * texts, DDL that commits, errors by numbers. What it does not change is written as the first fake understands it.
 */

import { postgres } from '../../../src/postgres/dialect.ts'
import { type Classified, type Cut, type Dialect, type Meaning, meaningOf } from '../../../src/sql/dialect.ts'

type Piece = 'text' | 'value' | 'name' | 'place' | 'named'

/** Cuts a text into strings, names, placeholders and all else. */
function* pieces(text: string): Generator<{ readonly kind: Piece; readonly from: number; readonly to: number }> {
  for (const { 0: found, index } of text.matchAll(/'(?:''|[^'])*'?|`(?:``|[^`])*`?|\?|(?<!:):\w+|[^'`?:]+|:/g)) {
    const kind: Piece = found.startsWith("'")
      ? 'value'
      : found.startsWith('`')
        ? 'name'
        : found === '?'
          ? 'place'
          : /^:\w/.test(found)
            ? 'named'
            : 'text'
    yield { kind, from: index, to: index + found.length }
  }
}

/** The text as the first fake understands it. */
export function translate(text: string): string {
  let count = 0
  let out = ''
  for (const { kind, from, to } of pieces(text)) {
    const piece = text.slice(from, to)
    if (kind === 'place') out += `$${++count}`
    else out += kind === 'name' ? `"${piece.slice(1, -1).replaceAll('``', '`').replaceAll('"', '""')}"` : piece
  }
  return out
}

const ddl = /^(?:CREATE|ALTER|DROP|TRUNCATE)$/

function classify(text: string): Classified {
  const found = postgres.classify(translate(text))
  return ddl.test(found.verb) ? { ...found, cls: 'commits', dirties: 0 } : found
}

function cut(text: string, at: 'positional' | 'named'): Cut {
  const [texts, offsets, uses, names]: [string[], number[], number[], string[]] = [[], [], [], []]
  let start = 0
  let unterminated = false
  for (const { kind, from, to } of pieces(text)) {
    const quote = text[from] ?? ''
    if (kind === 'value' || kind === 'name') unterminated ||= to - from < 2 || text[to - 1] !== quote
    if (kind !== (at === 'named' ? 'named' : 'place')) continue
    texts.push(text.slice(start, from))
    offsets.push(from)
    const name = text.slice(from + 1, to)
    if (at === 'named' && !names.includes(name)) names.push(name)
    uses.push(at === 'named' ? names.indexOf(name) : uses.length)
    start = to
  }
  texts.push(text.slice(start))
  return { texts, offsets, uses, names, unterminated, commented: false }
}

const quote = (name: string): string => {
  postgres.quote(name)
  return `\`${name.replaceAll('`', '``')}\``
}

/** One error takes all of the transaction away, and leaves none open. Any other takes its own statement away. */
export const deadlock = '1213'
export const lockTimeout = '1205'

const usual = meaningOf({})
const meanings = new Map<string | undefined, Meaning>([
  [deadlock, meaningOf({ kind: 'deadlock', retryable: true, transaction: 'ended' })],
  // Not worth another attempt on this server, whatever other servers do.
  [lockTimeout, meaningOf({ kind: 'lock-timeout' })],
  ['1317', meaningOf({ kind: 'cancelled' })],
  ['1040', meaningOf({ opening: 'full' })],
  ['1053', meaningOf({ health: 'shutdown', opening: 'endpoint', transaction: 'ended' })],
])

export const second: Dialect = {
  ...postgres,
  name: 'second',
  title: 'The second fake',
  system: 'other_sql',
  placeholder: { ...postgres.placeholder, numbered: false, text: () => '?', insteadOfMore: '' },
  classify,
  cut,
  quote,
  begin: (options) => ({
    before: [`SET TRANSACTION ISOLATION LEVEL ${(options?.isolation ?? 'repeatable read').toUpperCase()}`],
    begin: 'START TRANSACTION',
    abandon: 'ROLLBACK',
  }),
  idleLimit: () => null,
  stillHeld: null,
  savepoint: {
    set: (name) => `SAVEPOINT ${quote(name)}`,
    release: (name) => `RELEASE SAVEPOINT ${quote(name)}`,
    back: (name) => `ROLLBACK TO SAVEPOINT ${quote(name)}`,
  },
  settings: {
    ...postgres.settings,
    set(given, until) {
      const { sql, params } = postgres.settings.set(given, until)
      return { sql: sql.replaceAll(/\$\d+/g, '?'), params }
    },
    isolation: () => null,
  },
  outcome: null,
  explain: ({ code }) => meanings.get(code) ?? usual,
  models: {
    ...postgres.models,
    // A derived table with a group is made once, with a key; a bare JSON_TABLE would be read again for each row.
    lists: {
      inColumn: null,
      typed: false,
      keyText: (column) => `cast(${column} as char)`,
      keyType: (_, declared) => `'${declared}'`,
      ord: 'o.ord',
      keys(types, columns, place) {
        const names = types.map((_, at) => `k${at}`).join(', ')
        const parts = types.map((type, at) => `k${at} ${type} path '$[${at}]'`).join(', ')
        const rows = columns[0]?.map((_, row) => columns.map((column) => column[row])) ?? []
        const table = `json_table(${place(JSON.stringify(rows))}, '$[*]' columns (ord for ordinality, ${parts}))`
        return {
          from: `(select ord, ${names} from ${table} as j group by ord, ${names}) as o`,
          parts: types.map((_, at) => `o.k${at}`),
        }
      },
    },
  },
}
