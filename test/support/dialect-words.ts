/** Statements that each database writes in its own way, and words for those that a test writes itself. */

export interface Words {
  /** A statement that takes so long; `seconds` may be a placeholder. */
  sleep(seconds: number | string): string
  /** A statement that gives back its only parameter, a whole number or a text. */
  readonly integer: string
  readonly text: string
  /** A statement that takes a value as JSON. */
  readonly json: string
  /** A statement with the rows 1, 2, … `to`, in a column `n`; `to` may be a placeholder. */
  series(to: number | string): string
  /** A statement that gives the number of the session. */
  readonly session: string
  /** A statement that ends another session, and one that has a row as long as the server lists that session. */
  kill(session: number): string
  listed(session: number): string
  /** A statement that gives the other sessions that run a text which is like its only parameter, in a column `id`. */
  readonly runners: string
  /** A statement that gives the name of the database. */
  readonly database: string
  /** A statement that gives its own text, as it reached the server. */
  readonly itself: string
  /** A statement that makes a setting of the user's, for the session. */
  set(name: string, value: string): string
  /** A statement that gives a setting; nothing where nobody made it. */
  setting(name: string): string
  /** Where the value with this number goes, counted from 1. */
  placeholder(index: number): string
  /** A statement whose last column is the isolation level, and one that sets it for the session. */
  readonly isolation: string
  setIsolation(level: string): string
  /** A setting of the server that is another for the session, with its usual value. */
  readonly other: readonly [name: string, value: string]
  /** A statement that keeps a statement under a name in its session. */
  prepare(name: string): string
  /** Statements by which a session forgets all that it can. */
  readonly discards: readonly string[]
  /** A statement that gives the number of open cursors, where the database counts them. */
  readonly cursors: string | null
  /** Whether a rollback takes back CREATE TABLE. */
  readonly rollsBackTables: boolean
  /** A statement that gives the sum of a column, as a number, and one that gives how many rows a table has. */
  sum(column: string, table: string): string
  count(table: string): string
  /** A statement that takes a lock of its session, one that gives it back, and one that makes a temporary table. */
  lock(key: number): string
  unlock(key: number): string
  temporary(name: string): string
  /** OpenTelemetry's name of the database, and the code of `select exp(1000)`, which fails. */
  readonly system: string
  readonly outOfRange: string
  /** The code for a table that is not there. */
  readonly noTable: string
  /** A setting of the session that takes only a number. */
  readonly number: string
  /** Whether a text may hold several statements. */
  readonly several: boolean
  /** A column `id` that numbers the rows by itself. */
  readonly id: string
  /** A statement that makes a column one of short texts. */
  toText(table: string, column: string): string
}

export const postgresWords: Words = {
  sleep: (seconds) => `select pg_sleep(${seconds})`,
  integer: 'select $1::int',
  text: 'select $1::text',
  json: 'select $1::jsonb',
  series: (to) => `select n from generate_series(1, ${to}) n`,
  session: 'select pg_backend_pid()',
  kill: (session) => `select pg_terminate_backend(${session})`,
  listed: (session) => `select 1 from pg_stat_activity where pid = ${session}`,
  runners: `select pid as id from pg_stat_activity where state = 'active' and query like $1 and pid <> pg_backend_pid()`,
  database: 'select current_database()',
  itself: 'select current_query()',
  set: (name, value) => `set ${name} = '${value}'`,
  setting: (name) => `select current_setting('${name}', true)`,
  placeholder: (index) => `$${index}`,
  isolation: 'show transaction_isolation',
  setIsolation: (level) => `set session characteristics as transaction isolation level ${level}`,
  other: ['role', 'pg_monitor'],
  prepare: (name) => `prepare ${name} as select 1`,
  discards: ['discard all'],
  cursors: `select count(*) from pg_cursors where name <> ''`,
  rollsBackTables: true,
  system: 'postgresql',
  outOfRange: '22003',
  noTable: '42P01',
  several: true,
  number: 'statement_timeout',
  sum: (column, table) => `select sum(${column})::int from ${table}`,
  count: (table) => `select count(*)::int from ${table}`,
  lock: (key) => `select pg_advisory_lock(${key})`,
  unlock: (key) => `select pg_advisory_unlock(${key})`,
  temporary: (name) => `create temp table ${name} (n int)`,
  id: 'id serial primary key',
  toText: (table, column) => `alter table ${table} alter column ${column} type varchar(40)`,
}

/** MariaDB ends a recursion after a thousand rounds. */
function mysqlSeries(to: number | string): string {
  if (typeof to === 'number' && to > 1000) {
    const [ones, thousands] = [mysqlSeries(1000), mysqlSeries(Math.ceil(to / 1000))]
    const n = '(b.n - 1) * 1000 + a.n'
    return `select ${n} as n from (${ones}) a, (${thousands}) b where ${n} <= ${to} order by 1`
  }
  return `with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < ${to}) select n from numbers`
}

export const mysqlWords: Words = {
  sleep: (seconds) => `select sleep(${seconds})`,
  integer: 'select cast(? as signed)',
  text: 'select cast(? as char)',
  json: "select json_extract(?, '$')",
  series: mysqlSeries,
  session: 'select connection_id() + 0',
  kill: (session) => `kill ${session}`,
  listed: (session) => `select 1 from information_schema.processlist where id = ${session}`,
  runners: 'select id from information_schema.processlist where info like ? and id <> connection_id()',
  database: 'select database()',
  itself: 'select info from information_schema.processlist where id = connection_id()',
  set: (name, value) => `set @\`${name}\` = '${value}'`,
  setting: (name) => `select ${name.includes('.') ? `@\`${name}\`` : `@@${name}`}`,
  placeholder: () => '?',
  isolation: "show session variables where variable_name in ('tx_isolation', 'transaction_isolation')",
  setIsolation: (level) => `set session transaction isolation level ${level}`,
  other: ['sort_buffer_size', '100000'],
  prepare: (name) => `prepare ${name} from 'select 1'`,
  discards: [],
  cursors: null,
  rollsBackTables: false,
  system: 'mysql',
  outOfRange: '1690',
  noTable: '1146',
  several: false,
  number: 'sort_buffer_size',
  sum: (column, table) => `select cast(sum(${column}) as signed) from ${table}`,
  count: (table) => `select count(*) from ${table}`,
  lock: (key) => `select get_lock('${key}', 30)`,
  unlock: (key) => `select release_lock('${key}')`,
  temporary: (name) => `create temporary table ${name} (n int)`,
  id: 'id int auto_increment primary key',
  toText: (table, column) => `alter table ${table} modify ${column} varchar(40)`,
}
