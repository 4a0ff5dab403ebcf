// The dialect of PostgreSQL, whatever driver speaks to it.
import { UsageError } from '../errors/index.ts'
import { type BeginOptions, type Dialect, nameProblem, parseIsolation, savepointWords } from '../sql/dialect.ts'
import type { ListColumnWords, RowsAtOnce } from '../sql/model-words.ts'
import type { Statement } from '../sql/statement.ts'
import { mostNameBytes, settingName, settingValue } from '../sql/settings.ts'
import { isWellFormed } from '../util/options.ts'
import { classify } from './classify.ts'
import { functions } from './functions/catalogue.ts'
import { cut } from './lexer.ts'
import {
  baseline,
  channels,
  copy,
  cursor,
  literal,
  locks,
  outcome,
  replication,
  settingsChanged,
  stillHeld,
} from './session-sql.ts'
import { explain, safeMessage } from './sqlstate.ts'
import { type Sql, tagFor } from '../sql/tag.ts'

/** The count in Bind has two bytes. */
export const mostParameters = 65_535

/** Cannot be taken back, or not always; ends the session or what takes it back; makes it somebody else's. */
const lasting =
  /^(?:transaction_\w+|seed|temp_buffers|session_authorization|idle_session_timeout|statement_timeout|tcp_\w+)$/

/** A search path as `withSchema` and tenants have it, with names that can stand in a text as they are: no `"`, `,`, `\`, control characters. */
const pathToSchemas = /^(?:"[\x20\x21\x23-\x2b\x2d-\x5b\x5d-\x7e\xa0-\ud7ff\ue000-\u{10ffff}]+", )+pg_temp$/u

/** Sets a path by a text for it alone; null: it goes as a parameter. The server would plan a call of set_config() again for each path. */
function setPath(path: string): Statement | null {
  return pathToSchemas.test(path) ? { sql: `set search_path = ${path}`, params: [] } : null
}

/** The widest type of its kind: such a list still fits when another program has widened the column. */
const kin: Readonly<Record<string, string>> = {
  int2: 'int8',
  int4: 'int8',
  varchar: 'text',
  bpchar: 'text',
}

const rowsAtOnce: RowsAtOnce = {
  types: (table) => `with recursive types (name, type, domain) as (
    select attname, atttypid, false from pg_catalog.pg_attribute
    where attrelid = ${literal(table)}::pg_catalog.regclass and attnum > 0 and not attisdropped
    union all select name, typbasetype, true from types join pg_catalog.pg_type on oid = type and typtype = 'd'
  ) select name::text, domain, t.oid in (114, 3802), n.nspname::text, t.typname::text, t.typarray <> 0 and t.typcategory <> 'A' and t.typtype <> 'c'
  from types join pg_catalog.pg_type t on t.oid = type and t.typtype <> 'd'
  join pg_catalog.pg_namespace n on n.oid = t.typnamespace`,
  listOf: (schema, type) => `${quote(schema)}.${quote(schema === 'pg_catalog' ? (kin[type] ?? type) : type)}[]`,
  instants: '"pg_catalog"."timestamptz"[]',
  lists: (types) =>
    `select * from rows from (${types.map((type, at) => `pg_catalog.unnest($${at + 1}::${type})`).join(', ')})`,
  json: (table, columns) => `select ${columns} from json_populate_recordset(null::${table}, $1::json)`,
}

const inColumn: ListColumnWords = {
  // In the binary form of a record.
  object: (fields) => `pg_catalog.record_send(row(${fields}))`,
  relations: (count) =>
    `select pg_catalog.concat_ws(',', ${Array.from({ length: count }, (_, at) => relation(at * 4 + 1)).join(', ')})`,
}

/** An index serves that leads with the columns, if the comparison can use it: of one type, or types of one family, and one collation. */
function relation(first: number): string {
  const [child, columns, parent, others] = [first, first + 1, first + 2, first + 3].map((at) => `$${at}`) as [
    string,
    string,
    string,
    string,
  ]
  return `case when pg_catalog.to_regclass(${child}) is null or pg_catalog.to_regclass(${parent}) is null then 'unknown' else (
    select pg_catalog.concat(case when alike and exists (
      select from pg_catalog.pg_index i
      join pg_catalog.pg_class k on k.oid = i.indexrelid
      join pg_catalog.pg_am m on m.oid = k.relam
      where i.indrelid = pg_catalog.to_regclass(${child}) and i.indisvalid and i.indpred is null
        and (m.amname = 'btree' or (m.amname = 'hash' and i.indnatts = 1))
        and (pg_catalog.string_to_array(i.indkey::text, ' ')::int2[])[1:pg_catalog.cardinality(${columns}::text[])]
          operator(pg_catalog.@>) (
            select pg_catalog.array_agg(a.attnum) from pg_catalog.pg_attribute a
            where a.attrelid = i.indrelid and a.attname = any(${columns}::text[]))
    ) then 'indexed' end, case when whole then 'whole' end)
    from (
      select pg_catalog.bool_and(coalesce(one = other and c.attcollation = p.attcollation, false)) as alike,
        pg_catalog.bool_and(coalesce(one = 20 and other = 20, false)) and pg_catalog.count(*) = 1 as whole
      from rows from (pg_catalog.unnest(${columns}::text[]), pg_catalog.unnest(${others}::text[])) as pair (child, parent)
      left join pg_catalog.pg_attribute c on c.attrelid = pg_catalog.to_regclass(${child}) and c.attname = pair.child
      left join pg_catalog.pg_attribute p on p.attrelid = pg_catalog.to_regclass(${parent}) and p.attname = pair.parent
      left join lateral (${family('c')}) as ct (one) on true
      left join lateral (${family('p')}) as pt (other) on true
    ) as pairs) end`
}

/** The type beneath that of an attribute: one for all whole numbers, one for text of any length. */
function family(attribute: string): string {
  return `select case when base in (21, 23) then 20 when base = 1043 then 25 else base end
    from (select coalesce(nullif(t.typbasetype, 0), t.oid) as base from pg_catalog.pg_type t where t.oid = ${attribute}.atttypid) as bases`
}

/** The dialect of PostgreSQL, for drivers of it. */
export const postgres: Dialect = Object.freeze<Dialect>({
  name: 'postgres',
  family: 'postgres',
  system: 'postgresql',
  title: 'PostgreSQL',
  placeholder: {
    numbered: true,
    text: (index) => `$${index + 1}`,
    most: mostParameters,
    insteadOfMore: ', or as arrays with unnest($1)',
  },
  classify,
  cut,
  functions,
  stillHeld,
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
  begin({ isolation, readOnly, deferrable }: BeginOptions = {}) {
    let text = 'BEGIN'
    if (isolation !== undefined) text += ` ISOLATION LEVEL ${parseIsolation(isolation).toUpperCase()}`
    if (readOnly !== undefined) text += readOnly ? ' READ ONLY' : ' READ WRITE'
    if (deferrable !== undefined) text += deferrable ? ' DEFERRABLE' : ' NOT DEFERRABLE'
    return { before: [], begin: text, abandon: null }
  },
  idleLimit: (ms) => `SET LOCAL idle_in_transaction_session_timeout = ${Math.ceil(ms)}`,
  savepoint: savepointWords(quote),
  quote,
  settings: {
    set(settings, until) {
      const entries = Object.entries(settings)
      const path = entries.length === 1 && until === 'session' ? settings['search_path'] : undefined
      const set = typeof path === 'string' ? setPath(path) : null
      if (set !== null) return set
      const setters = entries.map(
        (_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, ${until === 'transaction'})`,
      )
      // Without entries this is a bare SELECT, which PostgreSQL accepts.
      return {
        sql: `select ${setters.join(', ')}`.trimEnd(),
        params: entries.flatMap(([name, value]) => [settingName(name), settingValue(name, value)]),
      }
    },
    takeBack(name, until) {
      const quoted = settingName(name).split('.').map(quote).join('.')
      return until === 'session' ? `RESET ${quoted}` : `SET LOCAL ${quoted} TO DEFAULT`
    },
    kind: (name) => (name.startsWith('default_transaction_') ? 'beginning' : lasting.test(name) ? 'lasting' : 'plain'),
    guards: ['session_authorization', 'role'],
    isolation: (level) => ({
      sql: "select set_config('default_transaction_isolation', $1, false)",
      params: [level],
    }),
    undone: true,
    alone: new Set(),
    refusesWrites: (name) => /(?:^|\W)(?:default_)?transaction_read_only\b/.test(name),
    changedBy: settingsChanged,
    baseline,
  },
  parts: { verbs: new Set(['SELECT', 'WITH', 'VALUES', 'TABLE']), cursor },
  outcome,
  replication,
  locks,
  channels,
  copy,
  explain,
  message: safeMessage,
  models: {
    returns: true,
    updateReturns: true,
    emptyRow: 'default values',
    rowsAtOnce,
    listAsArray: true,
    namesKey: true,
    incoming: (column) => `excluded.${column}`,
    onConflict: ' do update set ',
    text: ['', '::text'],
    nothing: '',
    pageKeys: null,
    patch: () => null,
    member: null,
    nullsFirst: false,
    nullsPlaced: true,
    distinctOn: true,
    equalsJson: true,
    everyRow: null,
    lock: ({ name, wait }) => ` for update of ${name}${wait === null ? '' : ` ${wait}`}`,
    lists: {
      inColumn,
      typed: false,
      keyText: (column) => `${column}::text`,
      keyType: (column) => `pg_catalog.format_type(pg_catalog.pg_typeof(${column})::oid, -1)`,
      ord: '"genever o".ord',
      keys: (types, columns, place) => ({
        from: `rows from (${columns.map((column) => `pg_catalog.unnest(${place(column)}::text[])`).join(', ')}) with ordinality as "genever o" (${types.map((_, at) => `k${at}, `).join('')}ord)`,
        parts: types.map((type, at) => `"genever o".k${at}::${type}`),
      }),
    },
  },
  advice: {
    withoutSession:
      'Inside a transaction use SET LOCAL, pg_advisory_xact_lock() and temporary tables with ON COMMIT DROP. Around it ' +
      'use the settings of scope(). For LISTEN connect to the server directly.',
    transactionOnly: 'SET LOCAL, LOCK TABLE and pg_advisory_xact_lock()',
    onConnect:
      'onConnect may set settings and the role; temporary tables, LISTEN, advisory locks, cursors and PREPARE would be lost',
    lastNumbers: 'currval() and lastval()',
    insteadOfNumbers: 'INSERT … RETURNING',
    encoding:
      'client_encoding can only be UTF8, because text is sent and read as UTF8 only. Convert in SQL instead, with ' +
      'convert_to() and convert_from().',
    quotes:
      'standard_conforming_strings cannot be turned off: Genever reads SQL with it on, and quotes would end elsewhere. ' +
      "Write E'…' where a backslash should escape.",
  },
})

function quote(name: string): string {
  const problem =
    nameProblem(name) ??
    (!isWellFormed(name)
      ? 'holds half a surrogate pair'
      : Buffer.byteLength(name) > mostNameBytes
        ? `has ${Buffer.byteLength(name)} bytes, more than the ${mostNameBytes} that PostgreSQL keeps`
        : undefined)
  if (problem !== undefined) throw new UsageError(`An identifier ${problem}.`)
  return `"${name.replaceAll('"', '""')}"`
}

/** The `sql` tag without a database, for fragments that are made where there is none. Its placeholders are those of PostgreSQL. */
export const sql: Sql = tagFor(postgres)
