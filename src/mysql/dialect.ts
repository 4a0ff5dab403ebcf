// The dialect of MySQL and MariaDB, whatever driver speaks to it.
import { UsageError } from '../errors/index.ts'
import { Dirty, Pin, type TypedText } from '../sql/compiled.ts'
import { type BeginOptions, type Dialect, nameProblem, parseIsolation, savepointWords } from '../sql/dialect.ts'
import type { KeyRows, MemberType, ModelWords } from '../sql/model-words.ts'
import { DecimalParameter } from '../sql/parameters.ts'
import { settingName, settingValue, zoneAdvice } from '../sql/settings.ts'
import { inRoot } from '../util/context.ts'
import type { classify } from './classify.ts'
import type { explain, safeMessage } from './errno.ts'
import { cut } from './lexer.ts'

const mostNameCharacters = 64

/** Whatever `completion_type` the session has: with another one each end would begin a transaction, or end the session. */
const alone = 'AND NO CHAIN NO RELEASE'

/** Nothing is open behind it. */
export const plainRollback: string = `ROLLBACK ${alone}`

/** The setting that is no variable, but the database which names without one are looked up in. */
export const currentDatabase = 'database'

/** Settings of transactions that begin later. */
const beginning = /^(?:tx|transaction)_(?:isolation|read_only)$/
/** Limits of time, and what changes how texts are read. */
const lasting = /^(?:(?:tx|transaction)_\w+|\w*timeout|timestamp|\w*insert_id|autocommit|sql_mode)$/

/** A text that ends where it should whatever the sql_mode makes of a backslash. */
export function literal(text: string): string {
  return /['\\]/.test(text) ? `convert(0x${Buffer.from(text).toString('hex')} using utf8mb4)` : `'${text}'`
}

/** For places where no expression may stand. @throws {UsageError} for a backslash, which a mode of the session may read as an escape. */
export function quotedText(text: string): string {
  if (text.includes('\\'))
    throw new UsageError('A text in the schema has a backslash, which MySQL may read as an escape: leave it out.')
  return `'${text.replaceAll("'", "''")}'`
}

const casts: Readonly<Record<MemberType, readonly [before: string, after: string]>> = {
  text: ['', ''],
  json: ['', ''],
  bigint: ['cast(', ' as signed)'],
  'double precision': ['cast(', ' as double)'],
  boolean: ['', " = 'true'"],
  timestamptz: ['cast(replace(replace(', ", 'T', ' '), 'Z', '') as datetime(3))"],
}

const cast = (type: MemberType): readonly [string, string] => casts[type]

/** The name of the rows of keys: no table of a user has it. */
const keyed = '`genever o`'

const modelWords: ModelWords = {
  returns: false,
  updateReturns: false,
  emptyRow: '() values ()',
  rowsAtOnce: null,
  listAsArray: false,
  namesKey: false,
  incoming: (column) => `values(${column})`,
  onConflict: ' on duplicate key update ',
  text: ['cast(', ' as char)'],
  nothing: '1 ',
  pageKeys: { facts: pageKeyFacts, write: pageKeyText, read: pageKeyValue },
  patch: (json) => [`json_merge_patch(case when json_type(${json}) = 'OBJECT' then ${json} else '{}' end, `, ')'],
  nullsFirst: true,
  nullsPlaced: false,
  distinctOn: false,
  equalsJson: false,
  everyRow: '18446744073709551615',
  member: {
    read(key, type) {
      const path = literal(`$.${JSON.stringify(key)}`)
      const [before, after] = cast(type)
      return [
        'case when json_type(json_extract(',
        `, ${path})) <> 'NULL' then ${before}json_unquote(json_extract(`,
        `, ${path}))${after} end`,
      ]
    },
    cast,
  },
  lock({ wait, joined }) {
    if (joined)
      throw new UsageError(
        'forUpdate() of a query with other tables would lock the rows of all of them: MySQL cannot lock those of one table. Lock the rows ' +
          'by a query of their keys first.',
      )
    return ` for update${wait === null ? '' : ` ${wait}`}`
  },
  lists: {
    inColumn: null,
    typed: true,
    keyText: (column) => column,
    keyType: (column) => `collation(${column})`,
    ord: `${keyed}.ord`,
    keys: keyRows,
  },
}

/** What statements do and errors mean. Null: no engine has asked for it, so there is none of MySQL. */
let meanings: {
  readonly classify: typeof classify
  readonly explain: typeof explain
  readonly message: typeof safeMessage
} | null = null

function known(): NonNullable<typeof meanings> {
  if (meanings === null) throw new UsageError('The dialect of MySQL is not ready: await its ready() first.')
  return meanings
}

export const mysql: Dialect = Object.freeze<Dialect>({
  name: 'mysql',
  family: 'mysql',
  system: 'mysql',
  title: 'MySQL',
  placeholder: { numbered: false, text: () => '?', most: 65_535, insteadOfMore: '' },
  async ready() {
    if (meanings !== null) return
    const [{ classify }, { explain, safeMessage }] = await inRoot(() =>
      Promise.all([import('./classify.ts'), import('./errno.ts')]),
    )
    meanings = { classify, explain, message: safeMessage }
  },
  classify: (text) => known().classify(text),
  cut,
  functions: null,
  // The server does not say which locks and temporary tables a session has: what was pinned stays so.
  stillHeld: null,
  commit: `COMMIT ${alone}`,
  rollback: plainRollback,
  begin({ isolation, readOnly, deferrable }: BeginOptions = {}) {
    if (deferrable === true)
      throw new UsageError('MySQL has no deferrable transactions: leave out the option deferrable.')
    const level = isolation === undefined ? null : parseIsolation(isolation).toUpperCase()
    return {
      before: level === null ? [] : [`SET TRANSACTION ISOLATION LEVEL ${level}`],
      begin: `START TRANSACTION${readOnly === undefined ? '' : readOnly ? ' READ ONLY' : ' READ WRITE'}`,
      // A level that no transaction has used up would hold for the next one.
      abandon: level === null ? null : plainRollback,
    }
  },
  idleLimit: () => null,
  savepoint: savepointWords(quote),
  quote,
  settings: {
    set(settings, until) {
      if (until === 'transaction')
        throw new UsageError(
          'MySQL has no settings that end with a transaction. Give them to scope() or to the engine.',
        )
      const entries = Object.entries(settings)
      if (entries.length === 0) return { sql: 'DO 0', params: [] }
      const { [currentDatabase]: database } = settings
      if (database !== undefined) return { sql: `USE ${quote(settingValue(currentDatabase, database))}`, params: [] }
      return {
        sql: `SET ${entries.map(([name]) => `${target(settingName(name))} = ?`).join(', ')}`,
        params: entries.map(([name, value]) => asSent(name, settingValue(name, value))),
      }
    },
    takeBack: (name) => `SET ${target(settingName(name))} = ${name.includes('.') ? 'NULL' : 'DEFAULT'}`,
    kind: (name) => (beginning.test(name) ? 'beginning' : lasting.test(name) ? 'lasting' : 'plain'),
    undone: false,
    alone: new Set([currentDatabase]),
    guards: [],
    isolation: (level) => ({
      sql: `SET SESSION TRANSACTION ISOLATION LEVEL ${level.toUpperCase()}`,
      params: [],
    }),
    baseline: {
      pins: Pin.settings | Pin.role,
      // The server does not say what a session has set, so the texts do; a reset runs the same statements again.
      unlisted: (text) => namesSet(text).map((name) => name.replaceAll('`', '')),
      read: (names) => ({
        sql:
          names.length === 0
            ? 'select 1 from dual where 1 = 0'
            : names
                .map((name) => `select '${settingName(name)}' as name, ${current(name)} as setting`)
                .join(' union all '),
        params: [],
      }),
      restore: () => '',
    },
    refusesWrites: (name) => /(?:^|\W)(?:transaction|tx)_read_only\b/.test(name),
  },
  // CALL and its kin: whatever may do anything.
  severalResults: ({ cls, dirties }) => cls === 'commits' && (dirties & Dirty.unknown) !== 0,
  parts: { verbs: new Set(['SELECT', 'WITH', 'VALUES', 'TABLE']), cursor: null },
  outcome: null,
  explain: (error) => known().explain(error),
  message: (error) => known().message(error),
  models: modelWords,
  advice: {
    withoutSession: 'Use a direct connection to the server.',
    transactionOnly: 'The isolation level and the access mode of SET TRANSACTION',
    onConnect:
      'onConnect may set settings and variables; temporary tables, locks, PREPARE, HANDLER and the role would be lost',
    lastNumbers: 'last_insert_id(), row_count(), found_rows() and the warnings',
    insteadOfNumbers: 'the answer of status()',
    encoding:
      'The character set of a session can only be utf8mb4, because text is sent and read as utf8mb4 only. Convert in SQL instead, with ' +
      'convert(… using …).',
    quotes:
      'The sql_mode can only be set to a text that is written in the statement, without ANSI_QUOTES and NO_BACKSLASH_ESCAPES: Genever reads ' +
      'SQL without them, and quotes would end elsewhere.',
    zone: zoneAdvice,
  },
})

function current(name: string): string {
  return `cast(${name.includes('.') ? `@${quote(name)}` : `@@session.${name}`} as char)`
}

/** A name with a dot is a variable of the user's, any other one of the session's. */
function target(name: string): string {
  return name.includes('.') ? `@${quote(name)}` : `SESSION ${name}`
}

/** The value of a setting as the server takes it: a whole number only as one, but for variables of the user. */
export function asSent(name: string, value: string): string | number {
  if (name.includes('.') || !/^-?\d{1,15}$/.test(value)) return value
  return Number(value)
}

function quote(name: string): string {
  const problem =
    nameProblem(name) ??
    (/[\ud800-\udfff\u{10000}-\u{10ffff}]/u.test(name)
      ? 'holds a character that names of MySQL cannot have'
      : name.endsWith(' ')
        ? 'ends in a space'
        : name.length > mostNameCharacters
          ? `has ${name.length} characters, more than the ${mostNameCharacters} that MySQL allows`
          : undefined)
  if (problem !== undefined) throw new UsageError(`An identifier ${problem}.`)
  return `\`${name.replaceAll('`', '``')}\``
}

/** A variable of the user's, or a setting of the session. */
const named = /@(?:`(?:[^`]|``)*`|[\w.$]+)|(?:session\s+|@@(?:session\.)?)[a-z_]\w*/.source
const value = /\?|'[^'\\]*'|-?\d+|default|null|on|off|true|false/.source
const simple = new RegExp(`^\\s*set\\s+(?:(?:${named})\\s*:?=\\s*(?:${value})\\s*(?:,\\s*|$))+$`, 'i')
const targets = new RegExp(`(${named})\\s*:?=`, 'gi')

/** `@a` and `SESSION a`, as SET takes them; null where a text does anything else. */
export function targetsSet(text: string): readonly string[] | null {
  if (!simple.test(text)) return null
  return Array.from(text.matchAll(targets), ([, name = '']) =>
    name.startsWith('@@') || !name.startsWith('@')
      ? `SESSION ${name.replace(/^(?:@@(?:session\.)?|session\s+)/i, '')}`
      : name,
  )
}

/** Names that settings of a scope can have too. */
function namesSet(text: string): readonly string[] {
  return (targetsSet(text) ?? [])
    .filter((name) => name.startsWith('SESSION ') || name.includes('.'))
    .map((name) => name.replace(/^(?:SESSION |@)/, '').toLowerCase())
}

// Keys of pages, each compared by the type that its column has in the result: the table may not be the declared one.
const exact =
  /^(?:(?:tiny|small|medium|big)?int|serial|boolean|year|decimal|numeric|char|varchar|(?:tiny|medium|long)?text|enum|datetime|timestamp|date|time)\b/

function unfit(what: string): UsageError {
  return new UsageError(
    `Pages need an order by columns that MySQL compares exactly with what a cursor holds: whole numbers, decimals, texts, dates and times, not ${what}. Use limit() and offset().`,
  )
}

/** The number that an enum sorts by; of all else, whether the server sorts by the start of the value alone. */
function pageKeyFacts(key: string, declared: string | null): string {
  if (declared === null || !exact.test(declared)) throw unfit(declared ?? 'an expression')
  return declared.startsWith('enum')
    ? `cast(${key} as unsigned)`
    : `coalesce(greatest(length(weight_string(${key})), length(${key})) > @@max_sort_length, 0)`
}

function pageKeyText(key: string, declared: string, { type, text, sortsAs }: TypedText, facts: unknown): string {
  if (sortsAs === 'enum' && declared.startsWith('enum')) return `n${String(facts)}`
  if (sortsAs !== undefined) throw unfit(`${key}, which is ${sortsAs} in the database and ${declared} in its model`)
  if (!declared.startsWith('enum') && Number(facts) > 0)
    throw new UsageError(
      `A page ends at a value of ${key} that is longer than the start of texts by which the server sorts, so it could not go on there. Raise max_sort_length by the option settings, or use limit() and offset().`,
    )
  const kind = kinds.find(([types]) => types.test(type))?.[1]
  if (kind === undefined) throw unfit(`${key}, which is ${type} in the database and ${declared} in its model`)
  return kind + text
}

/** How a key of a type travels: as a whole number, a decimal, bytes, or the text that the server reads as the type. */
const kinds = [
  [/^(?:bigint|year)/, 'n'],
  [/^decimal/, 'd'],
  [/^varbinary/, 'b'],
  [/^(?:varchar|date|time|timestamp|datetime)\b/, 't'],
] as const

function pageKeyValue(text: string): unknown {
  const rest = text.slice(1)
  switch (text.charAt(0)) {
    case 'n':
      return /^-?\d+$/.test(rest) ? BigInt(rest) : undefined
    case 'd':
      return /^-?\d+(?:\.\d+)?$/.test(rest) ? new DecimalParameter(rest) : undefined
    case 'b':
      return /^(?:[0-9a-f]{2})*$/.test(rest) ? Buffer.from(rest, 'hex') : undefined
    case 't':
      return rest
    default:
      return undefined
  }
}

// Keys of objects whose lists one more statement asks for. They come back in JSON; each is compared as the column it came from is in that
// result: a text in its character set and collation, bytes as bytes. The declared type says nothing: the table may be another one.
const bytes = /^varbinary\((\d+)\)/
const texts = /^varchar\((\d+)\)/
/** So long is a varchar of a table of keys at most, in characters: no index has longer ones. */
const mostKeyCharacters = 1024

/** As `ListWords.keys`. A derived table with a group is made once, with a key; a bare JSON_TABLE would be read again for each row. */
function keyRows(
  types: readonly string[],
  columns: readonly (readonly string[])[],
  place: (value: unknown) => string,
): KeyRows {
  const parts = types.map(partOf)
  const rows = columns[0]?.map((_, row) => columns.map((column) => column[row])) ?? []
  const read = parts.map(({ type }, at) => `j${at} ${type} path '$[${at}]'`).join(', ')
  const table = `json_table(${place(JSON.stringify(rows))}, '$[*]' columns (ord for ordinality, ${read}))`
  const made = parts.map(({ around: [before, after] }, at) => `${before}j${at}${after} as k${at}`).join(', ')
  const group = parts.map((_, at) => `j${at}`).join(', ')
  return {
    from: `(select ord, ${made} from ${table} as j group by ord, ${group}) as ${keyed}`,
    parts: parts.map((_, at) => `${keyed}.k${at}`),
  }
}

interface Part {
  /** How JSON_TABLE reads it. */
  readonly type: string
  /** What makes it what the column holds. */
  readonly around: readonly [before: string, after: string]
}

/** Of a type as the driver says it, with a collation behind it. */
function partOf(typed: string): Part {
  const space = typed.lastIndexOf(' ')
  const [type, collation] = [typed.slice(0, space), typed.slice(space + 1)]
  const [, size] = bytes.exec(type) ?? []
  if (size !== undefined) return { type: textOf(Number(size) * 2), around: ['unhex(', ')'] }
  const [, length] = texts.exec(type) ?? []
  if (length === undefined) return { type, around: ['', ''] }
  const [set = ''] = collation.split('_', 1)
  return { type: `${textOf(Number(length))} character set ${set} collate ${collation}`, around: ['', ''] }
}

const textOf = (length: number): string => (length > mostKeyCharacters ? 'longtext' : `varchar(${length})`)
