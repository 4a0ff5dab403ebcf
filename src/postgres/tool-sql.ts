// What tools ask a server of PostgreSQL: the record of migrations and its lock, what a cut-off migration has done, `genever doctor`, the
// sandbox.

/** A lock by a key of any text. Each gives whether it has it. */
export const toolLock = {
  ofTransaction: 'select pg_try_advisory_xact_lock(hashtextextended($1, 0))',
  ofSession: 'select pg_try_advisory_lock(hashtextextended($1, 0))',
  free: 'select pg_advisory_unlock(hashtextextended($1, 0))',
} as const

/** The tables of a record. Their names, and those of schemas, are quoted; a parameter is such a name too. */
export const recordSql = {
  schema: 'select to_regnamespace($1)::text',
  makeSchema: (schema: string): string => `create schema if not exists ${schema}`,
  make: (table: string, named: boolean): string =>
    `create table if not exists ${table} (id serial primary key, hash text not null, created_at bigint${named ? ', name text, applied_at timestamp with time zone default now()' : ''})`,
  makeSteps: (table: string): string =>
    `create table if not exists ${table} (hash text not null, step integer not null, done boolean not null, primary key (hash, step))`,
  columns:
    'select attname as name from pg_attribute where attrelid = to_regclass($1) and attnum > 0 and not attisdropped',
  /** Of a hash, a time and, where it has names, a name. */
  add: (table: string, named: boolean): string =>
    named
      ? `insert into ${table} (hash, created_at, name) values ($1, $2, $3)`
      : `insert into ${table} (hash, created_at) values ($1, $2)`,
  /** Times are numbers, whatever the engine makes of 8-byte integers. */
  entries: (table: string, named: boolean): string =>
    `select hash, created_at::float8 as "createdAt", ${named ? 'name' : 'null::text as name'} from ${table} order by id`,
  /** Of a hash. */
  steps: (table: string): string => `select step, done from ${table} where hash = $1`,
  /** Of a hash, a number, and whether it is done. */
  mark: (table: string): string =>
    `insert into ${table} (hash, step, done) values ($1, $2, $3) on conflict (hash, step) do update set done = excluded.done`,
  forget: (table: string): string => `delete from ${table} where hash = $1`,
} as const

/** What the catalogue says of a statement that was begun. Names are as they are written. */
export const doneSql = {
  version: "select current_setting('server_version_num')::int",
  schemas: 'select nspname as name from pg_namespace',
  /** Whether another session runs this statement. */
  running: `select exists (select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
        and state = 'active' and left(query, 200) = left($1, 200))`,
  /** Of a type and a value. */
  enumValue: 'select exists (select from pg_enum where enumtypid = to_regtype($1) and enumlabel = $2)',
  database: 'select exists (select from pg_database where datname = $1)',
  tablespace: 'select exists (select from pg_tablespace where spcname = $1)',
  relation: 'select to_regclass($1) is not null',
  /** Of an index and its table. */
  index: `select i.indisvalid as valid, n.nspname as schema from pg_index i join pg_class c on c.oid = i.indexrelid
      join pg_namespace n on n.oid = c.relnamespace where c.relname = $1 and i.indrelid = to_regclass($2)`,
  /** Whether a partition is being detached; no row: it is none. */
  detaching: 'select inhdetachpending from pg_inherits where inhrelid = to_regclass($1)',
} as const

/** Limits on how long a transaction may be open or idle. */
export const limitNames: RegExp = /\b(?:idle_in_transaction_session_timeout|transaction_timeout)\b/i

/** Those limits that the server has, and what takes them away for a transaction. */
export const limitsSql = {
  read: `select name, setting from pg_settings where name in ('idle_in_transaction_session_timeout', 'transaction_timeout')`,
  off: (names: readonly string[]): string =>
    `select ${names.map((name) => `set_config('${name}', '0', true)`).join(', ')}`,
} as const

/** Names of constraints that a transaction leaves to its end. */
export const deferredSql: string =
  "select distinct format('%I.%I', n.nspname, c.conname) as name from pg_constraint c " +
  'join pg_namespace n on n.oid = c.connamespace where c.condeferred'

/** For `genever doctor`. */
export const doctorSql = {
  server: `select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
  current_setting('server_encoding') as encoding, pg_is_in_recovery() as recovery,
  current_setting('default_transaction_read_only') as "readOnly", current_setting('max_connections')::int as most,
  current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true), '0')::int as kept,
  (select count(*)::int from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()) as used,
  rolconnlimit as "ofRole", datconnlimit as "ofDatabase", rolsuper or rolbypassrls as bypass, current_schema() as schema,
  has_schema_privilege(current_schema(), 'create') as creates,
  current_setting('idle_in_transaction_session_timeout') as "idleTimeout", pg_backend_pid() as pid
  from pg_roles, pg_database where rolname = current_user and datname = current_database()`,
  encryption: 'select ssl, version from pg_stat_ssl where pid = pg_backend_pid()',
  /** Milliseconds since 1970. */
  now: 'select extract(epoch from clock_timestamp())::float8 * 1000 as now',
} as const
