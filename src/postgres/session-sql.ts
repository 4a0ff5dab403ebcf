// SQL about a PostgreSQL session: what undoes its state, as one text; how its settings are remembered and set again; cursors;
// and how the fate of a COMMIT is asked for.
import { UsageError } from '../errors/index.ts'
import { Dirty, Pin } from '../sql/compiled.ts'
import type {
  Baseline,
  ChannelWords,
  CopyOptions,
  CopyWords,
  CursorWords,
  LockKey,
  LockWords,
  OutcomeQuestion,
  ReplicationWords,
  TextWithParams,
} from '../sql/dialect.ts'
import { Scanner, Token } from './lexer.ts'

/** All that a reset can undo, except that it leaves our own prepared statements. */
export const everything: number =
  Dirty.role | Dirty.settings | Dirty.framed | Dirty.locks | Dirty.cursors | Dirty.listen | Dirty.temp | Dirty.unknown

// RESET ALL leaves the role alone, so that is undone first; it may also be what forbids the rest.
export const undoes: readonly (readonly [bit: number, sql: string])[] = [
  [Dirty.role | Dirty.framed, 'RESET ROLE'],
  [Dirty.settings | Dirty.framed, 'RESET ALL'],
  [Dirty.locks, 'SELECT pg_advisory_unlock_all()'],
  [Dirty.cursors, 'CLOSE ALL'],
  [Dirty.listen, 'UNLISTEN *'],
  [Dirty.temp, 'DISCARD TEMP'],
  [Dirty.unknown | Dirty.sequences, 'DISCARD SEQUENCES'],
  [Dirty.prepared, 'DEALLOCATE ALL'],
]

/** Several texts as one. Empty ones are left out. */
export function joined(texts: readonly string[]): string {
  return texts.filter((text) => text !== '').join('; ')
}

/**
 * One text for the simple protocol. With `unknown` it ends by asking for statements that were not prepared by us: by SQL, and
 * after a loan by the client too.
 *
 * @param open Whether a transaction may be open.
 */
export function resetText(open: boolean, dirty: number, authorization: string, baseline: string, lent = false): string {
  const parts = undoes.filter(([bit]) => (dirty & bit) !== 0).map(([, sql]) => sql)
  if ((dirty & Dirty.role) !== 0) parts.unshift(`SET SESSION AUTHORIZATION ${authorization}`)
  if (open) parts.unshift('ROLLBACK')
  if (baseline !== '') parts.push(baseline)
  if ((dirty & Dirty.unknown) !== 0)
    parts.push(`SELECT name, from_sql FROM pg_prepared_statements${lent ? '' : ' WHERE from_sql'}`)
  return parts.join('; ')
}

const temporary = (catalogue: string, schema: string): string =>
  `exists (select from pg_catalog.${catalogue} where ${schema} = pg_my_temp_schema())`

/** One trip for all: it is cheap but for the locks. */
export const stillHeld: string = `select
  case when pg_my_temp_schema() <> 0 and (${temporary('pg_class', 'relnamespace')} or ${temporary('pg_proc', 'pronamespace')}
    or ${temporary('pg_type', 'typnamespace')}) then ${Pin.temp} else 0 end
  + case when exists (select from pg_listening_channels()) then ${Pin.listen} else 0 end
  + case when exists (select from pg_catalog.pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) then ${Pin.locks} else 0 end
  + case when exists (select from pg_catalog.pg_cursors where is_holdable) then ${Pin.cursors} else 0 end
  + case when exists (select from pg_catalog.pg_prepared_statements where from_sql) then ${Pin.prepared} else 0 end`

/** Settings with a dot in their name belong to extensions and applications. */
const customSetting = /[a-z_][\w$]*\.[a-z_][\w$]*/gi

export const baseline: Baseline = {
  pins: Pin.settings | Pin.role,
  unlisted: (text) => Array.from(text.matchAll(customSetting), ([name]) => name),
  read: (unlisted) => ({
    sql: `select name, current_setting(name) as setting from pg_settings
      where source = 'session' and name <> 'role'
      union select name, current_setting(name, true) from unnest($1::text[]) as name
      where current_setting(name, true) is not null
      union select 'role', current_setting('role') where current_setting('role') <> 'none'`,
    params: [unlisted],
  }),
  restore: (rows) =>
    rows
      .map(({ name, setting }) => `select set_config(${literal(String(name))}, ${literal(String(setting))}, false);`)
      .join(' '),
}

/** A string literal whatever `standard_conforming_strings` says. (PostgreSQL manual 4.1.2.2.) */
export function literal(value: string): string {
  const quoted = `'${value.replaceAll("'", "''")}'`
  return value.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted
}

export const cursor: CursorWords = {
  declare: (name, query) => `DECLARE ${name} NO SCROLL CURSOR FOR ${query}`,
  fetch: (name, count) => `FETCH FORWARD ${count} FROM ${name}`,
  move: (name, count) => `MOVE FORWARD ${count} FROM ${name}`,
  close: (name) => `CLOSE ${name}`,
}

export const outcome: OutcomeQuestion = {
  // Asking gives it no number, which would cost the server a commit record.
  number: 'select pg_catalog.pg_current_xact_id_if_assigned()::text',
  // A standby may not have heard of it yet, so it is not the one to say. NULL: it was too long ago.
  fate: "select case when pg_catalog.pg_is_in_recovery() then 'in progress' else pg_catalog.pg_xact_status($1::pg_catalog.xid8) end",
  read(answer) {
    if (answer === 'committed') return 'committed'
    if (answer === 'aborted') return 'rolled_back'
    return answer === 'in progress' ? 'running' : 'unknown'
  },
}

// What a client of PostgreSQL does beside queries: advisory locks, LISTEN and NOTIFY, COPY.

function keyOf(key: LockKey): TextWithParams {
  if (typeof key === 'string') return { sql: 'hashtextextended($1::text, 0)', params: [key] }
  if (typeof key === 'object') return { sql: '$1::int4, $2::int4', params: key }
  return { sql: '$1::int8', params: [key] }
}

export const locks: LockWords = {
  take(key, { shared, attempt, until }) {
    const { sql, params } = keyOf(key)
    const name = `pg_${attempt ? 'try_' : ''}advisory_${until === 'transaction' ? 'xact_' : ''}lock${shared ? '_shared' : ''}`
    return { sql: attempt ? `select ${name}(${sql})` : `select true from ${name}(${sql})`, params }
  },
  free(key, shared) {
    const { sql, params } = keyOf(key)
    return { sql: `select pg_advisory_unlock${shared ? '_shared' : ''}(${sql})`, params }
  },
}

export const channels: ChannelWords = {
  listen: (name) => `listen ${name}`,
  unlisten: (name) => `unlisten ${name}`,
  notify: (channel, payload) => ({ sql: 'select pg_notify($1, $2)', params: [channel, payload] }),
}

/** Texts of queries, which COPY takes in brackets; all else is a table. */
const query = /^(?:\s|--.*|\/\*[^]*?\*\/)*(?:select|with|values|table|insert|update|delete|merge)\b/i

function optionsOf({ format = 'text', header, delimiter, nullText, quote, escape }: CopyOptions): string {
  const parts = [`format ${format}`]
  if (header !== undefined) parts.push(`header ${header}`)
  for (const [name, value] of Object.entries({ delimiter, null: nullText, quote, escape }))
    if (value !== undefined) parts.push(`${name} ${literal(value)}`)
  return `(${parts.join(', ')})`
}

/** Where a comment may stand at its end, which goes as far as its line. */
const closed = (text: string): string => (text.includes('--') ? `${text}\n` : text)

export const copy: CopyWords = {
  into: (target, options) => `copy ${closed(target)} from stdin with ${optionsOf(options)}`,
  from(given, options) {
    const source = closed(given)
    return `copy ${query.test(source) ? `(${source})` : source} to stdout with ${optionsOf(options)}`
  },
  check({ format = 'text', ...rest }) {
    const given = Object.entries(rest).filter(([, value]) => value !== undefined)
    if (format === 'binary' && given.length > 0)
      throw new UsageError(`COPY in the format binary has no ${given.map(([name]) => name).join(' and no ')}.`)
    if (format === 'text' && (rest.quote ?? rest.escape) !== undefined)
      throw new UsageError('COPY has quote and escape in the format csv alone.')
  },
}

// What servers of PostgreSQL say of streaming replication. A position is one in the write-ahead log: that of insertion, because what
// was committed without waiting for the disk is visible to others before it is written.

/** A record at the beginning of a page stands behind the head of that page, while who has replayed all before it stands in front. */
const pageBytes = 8_192n
const headBytes = 24n
/** … that of the first page of a file. */
const firstHeadBytes = 40n

const timelineOf = (position: string): string => `('x' || left(pg_walfile_name(${position}), 8))::bit(32)::int`

export const replication: ReplicationWords = {
  // A standby says its timeline by what it last noted of it; the newest is right, for it never goes back.
  question: `select concat_ws(' ', pg_is_in_recovery(), (select system_identifier from pg_control_system()),
    case when pg_is_in_recovery() then greatest(
      (select timeline_id from pg_control_checkpoint()),
      (select min_recovery_end_timeline from pg_control_recovery()),
      (select received_tli from pg_stat_wal_receiver))
    else ${timelineOf('pg_current_wal_insert_lsn()')} end,
    case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end,
    pg_size_bytes(current_setting('wal_segment_size')))`,
  read(answer) {
    const [follows, system, timeline, lsn, fileBytes] = answer.split(' ')
    let position = lsn === undefined ? null : positionOf(lsn)
    if (position === null || fileBytes === undefined) return null
    if (position % BigInt(fileBytes) === firstHeadBytes) position -= firstHeadBytes
    return { primary: follows === 'f', system: system as string, timeline: Number(timeline), position }
  },
  position: `select ${timelineOf('pg_current_wal_insert_lsn()')} || ':' || pg_current_wal_insert_lsn()`,
  readPosition(text) {
    const [, timeline, lsn] = /^(\d{1,10}):([0-9A-F]{1,8}\/[0-9A-F]{1,8})$/i.exec(text) ?? []
    const position = lsn === undefined ? null : positionOf(lsn)
    return position === null || Number(timeline) < 1 ? null : { timeline: Number(timeline), position }
  },
  // The messages are translated, the routine is not.
  unconfirmed: ({ routine }) => routine === 'SyncRepWaitForLSN',
}

function positionOf(lsn: string): bigint | null {
  const [high, low] = lsn.split('/')
  if (high === undefined || low === undefined) return null
  const position = (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`)
  return position % pageBytes === headBytes ? position - headBytes : position
}

// Which settings of its session a text changes by name, for all to see: SET, RESET, DISCARD ALL and set_config() with its name in
// quotes. What functions do, and names that are put together at run time, cannot be seen.

const none: readonly string[] = []
/** More tokens say nothing of the name. */
const headSize = 8

/** A text that may call the function which does so. */
export const setter: RegExp = /set_config/i

/** Names in lower case; `*` for all. */
export function settingsChanged(text: string): readonly string[] {
  if (!/set|discard/i.test(text)) return none
  const names = new Set<string>()
  const scanner = new Scanner(text)
  let head: string[] = []
  let call = ''
  for (let kind = scanner.next(); ; kind = scanner.next()) {
    const over = kind === Token.end || (scanner.code === 59 && scanner.depth === 0)
    if (over) {
      const name = changedBy(head)
      if (name !== null) names.add(name)
      head = []
      if (kind === Token.end) return [...names]
      continue
    }
    const token = tokenOf(scanner, kind)
    if (call === '(' && kind === Token.string) names.add(nameIn(token))
    call = token === 'set_config' || (call === 'set_config' && token === '(') ? token : ''
    if (head.length < headSize) head.push(token)
  }
}

function tokenOf(scanner: Scanner, kind: Token): string {
  if (kind === Token.word) return scanner.word()
  return kind === Token.quoted ? scanner.name().toLowerCase() : scanner.text.slice(scanner.start, scanner.end)
}

function nameIn(string: string): string {
  return string.replaceAll(/^[a-z&]*'|'$/gi, '').toLowerCase()
}

function changedBy([verb, ...rest]: readonly string[]): string | null {
  if (verb === 'discard') return rest[0] === 'all' ? '*' : null
  if (verb === 'reset') return rest[0] === 'all' ? '*' : nameOf(rest)
  if (verb !== 'set') return null
  const scoped =
    rest[0] === 'local' || (rest[0] === 'session' && !/^(?:authorization|characteristics)$/.test(rest[1] ?? ''))
  return nameOf(scoped ? rest.slice(1) : rest)
}

function nameOf([first = '', second = '', third = '']: readonly string[]): string | null {
  if (first === 'schema') return 'search_path'
  if (first === 'session') return second === 'authorization' ? 'session_authorization' : null
  if (first === 'time') return 'timezone'
  if (/^(?:transaction|constraints|names)$/.test(first)) return null
  return second === '.' ? `${first}.${third}` : first
}
