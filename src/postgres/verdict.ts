// The judgement of one statement by its leading words and by the telling words seen in it. Called by classification at
// the end of every statement. A verb that is not listed is a write that leaves the session dirty.
import { Dirty, Names, Pin } from '../sql/compiled.ts'
import { oneOf, type Verdict } from '../sql/scan.ts'

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
  if (isLocal && writesText(name)) return ['write', Dirty.settings, Pin.transaction]
  if (isLocal || name === 'constraints') return local
  const isRole = /^"?(?:role|session_authorization)$/.test(name) && next !== '.'
  return isRole || (name === 'session' && next === 'authorization') ? role : settings
}

/** A setting by which the server writes values as text, and not in binary. Also one of a transaction alone makes a session unusual. */
export const writesText = (name: string): boolean => /^["']?(?:datestyle|extra_float_digits)'?$/i.test(name)

const readers: ReadonlySet<string> = new Set([
  'timezone',
  'datestyle',
  'intervalstyle',
  'array_nulls',
  'lc_monetary',
  'timezone_abbreviations',
  'transform_null_equals',
  'xmloption',
])

/** A setting, in any case, by which the server reads literals while it parses a text. */
export const readsBy = (name: string): boolean => readers.has(name.toLowerCase())

/** Whether a literal may stand for a time that is another one each time that it is read. */
export const meansNow = (literal: string): boolean => /\b(?:now|today|tomorrow|yesterday)\b/i.test(literal)

/** What a statement that is no transaction control does to the meaning of names, besides what its calls do. */
export function namesOf(head: readonly string[], signs: Signs): number {
  const [verb = '', second = ''] = head
  switch (verb) {
    case 'alter':
    case 'drop':
      return typesParameters.test(second) ? Names.catalogue | Names.columns : Names.catalogue
    case 'create':
    case 'import':
    case 'call':
      return Names.catalogue
    case 'do':
      return Names.catalogue | Names.columns | Names.path | Names.reading
    case 'select':
    case 'with':
      return signs.has('into') || signs.has('into temp') ? Names.catalogue : 0
    case 'set': {
      const at = /^(?:local|session)$/.test(second) && head[2] !== 'authorization' ? 2 : 1
      return movedBy(head[at] ?? '')
    }
    case 'reset':
      return second === 'all' ? Names.path | Names.reading : movedBy(second)
    case 'discard':
      return second === 'all' || second.startsWith('temp')
        ? Names.catalogue | (second === 'all' ? Names.path | Names.reading : 0)
        : 0
    default:
      return 0
  }
}

/** Objects that give parameters their types. */
const typesParameters =
  /^(?:table|view|materialized|foreign|type|domain|schema|function|procedure|routine|aggregate|operator|cast|extension|owned)$/

const movesPath = /^"?(?:search_path|schema|role|session|session_authorization)$/i

function movedBy(name: string): number {
  if (movesPath.test(name)) return Names.path
  return name === 'time' || readsBy(name.replace(/^"/, '')) ? Names.reading : 0
}

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

// Functions of PostgreSQL that a text may call without leaving anything in its session. Called by classification: a name that is not
// here may be one of the user's own, which may leave anything. It errs on that side: then a scope keeps its connection.

/** Functions of PostgreSQL that are not volatile in any form, and a few that are but leave nothing behind. */
const isHarmless = oneOf(`
  abs acos acosd acosh age any_value array_agg array_append array_cat array_dims array_fill array_length array_lower
  array_ndims array_position array_positions array_prepend array_remove array_replace array_reverse array_to_json
  array_to_string array_to_tsvector array_upper ascii asin asind asinh atan atan2 atan2d atand atanh avg bit_and
  bit_count bit_length bit_or bit_xor bool_and bool_or broadcast btrim cardinality cbrt ceil ceiling char_length
  character_length chr clock_timestamp coalesce col_description concat concat_ws convert convert_from convert_to corr
  cos cosd cosh cot cotd count covar_pop covar_samp cume_dist current_database current_schema current_schemas
  current_setting current_user date date_add date_part date_subtract date_trunc daterange decode degrees dense_rank
  div encode enum_first enum_last enum_range every exp extract factorial family first_value float8 floor format
  format_type gcd gen_random_uuid generate_series generate_subscripts get_bit get_byte get_current_ts_config greatest
  has_table_privilege hashtext host hostmask inet_merge inet_same_family initcap int4 int4range int8 int8range
  interval is_normalized isempty isfinite json_agg json_agg_strict json_array_elements json_array_elements_text
  json_array_length json_build_array json_build_object json_each json_each_text json_exists json_extract_path
  json_extract_path_text json_object json_object_agg json_object_agg_strict json_object_agg_unique
  json_object_agg_unique_strict json_object_keys json_populate_record json_populate_recordset json_query
  json_strip_nulls json_table json_to_record json_to_recordset json_to_tsvector json_typeof json_value jsonb_agg
  jsonb_agg_strict jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array
  jsonb_build_object jsonb_concat jsonb_contains jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text
  jsonb_insert jsonb_object jsonb_object_agg jsonb_object_agg_strict jsonb_object_agg_unique
  jsonb_object_agg_unique_strict jsonb_object_keys jsonb_path_exists jsonb_path_exists_tz jsonb_path_match
  jsonb_path_match_tz jsonb_path_query jsonb_path_query_array jsonb_path_query_array_tz jsonb_path_query_first
  jsonb_path_query_first_tz jsonb_path_query_tz jsonb_populate_record jsonb_populate_record_valid
  jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset
  jsonb_to_tsvector jsonb_typeof justify_days justify_hours justify_interval lag last_value lcm lead least left length
  ln log log10 lower lower_inc lower_inf lpad ltrim make_date make_interval make_time make_timestamp make_timestamptz
  masklen max md5 min min_scale mod mode multirange netmask normalize now nth_value ntile nullif num_nonnulls
  num_nulls numeric numnode numrange obj_description octet_length overlaps overlay parse_ident percent_rank
  percentile_cont percentile_disc pg_column_size pg_database_size pg_get_constraintdef pg_get_expr pg_get_indexdef
  pg_get_viewdef pg_relation_size pg_size_pretty pg_sleep pg_table_size pg_total_relation_size pg_typeof
  phraseto_tsquery pi plainto_tsquery position pow power quote_ident quote_literal quote_nullable radians random
  range_agg range_intersect_agg range_merge rank regexp_count regexp_instr regexp_like regexp_match regexp_matches
  regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr regr_avgx regr_avgy regr_count
  regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy repeat replace reverse right round row_number
  row_to_json rpad rtrim scale session_user set_bit set_byte set_masklen setweight sha224 sha256 sha384 sha512
  shobj_description sign sin sind sinh split_part sqrt starts_with statement_timestamp stddev stddev_pop stddev_samp
  string_agg string_to_array string_to_table strip strpos substr substring sum system_user tan tand tanh text time
  timeofday timestamp timestamptz timezone to_ascii to_char to_date to_hex to_json to_jsonb to_number to_oct
  to_regclass to_regcollation to_regnamespace to_regoper to_regoperator to_regproc to_regprocedure to_regrole
  to_regtype to_regtypemod to_timestamp to_tsquery to_tsvector transaction_timestamp translate trim_array trim_scale
  trunc ts_delete ts_filter ts_headline ts_lexize ts_rank ts_rank_cd tsrange tstzrange tsvector_to_array unnest upper
  upper_inc upper_inf uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7 var_pop var_samp variance version
  websearch_to_tsquery width_bucket xml_is_well_formed xml_is_well_formed_content xml_is_well_formed_document xmlagg
  xmlcomment xmlexists xmltext xmlvalidate xpath xpath_exists`)

/** Words in front of a bracket that call nothing. */
const isGrammar = oneOf(`
  check conflict constraint do foreign generated hash including inherits key list no of only primary range returning set
  statistics storage unique update
  all and any array as asc between by case cast collate cross cube default desc distinct else end except exists extract filter
  from full group grouping having ilike in inner intersect into is isnull join lateral left like limit materialized natural not
  notnull nulls offset on or order outer over overlay partition position recursive right rollup row select sets similar some
  substring symmetric system tablesample bernoulli then treat trim union using values when where window with within
  bit char character decimal dec float numeric nchar varchar varying interval precision time timestamp timestamptz timetz
  current_time current_timestamp localtime localtimestamp xmlconcat xmlelement xmlforest xmlparse xmlpi xmlroot xmlserialize`)

/** Whether the answer of a text with this name in it depends on the session. The functions and views leave nothing in it. */
export const namesSession: (name: string) => boolean = oneOf(`
  pg_backend_pid pg_my_temp_schema pg_is_other_temp_schema pg_listening_channels inet_client_addr inet_client_port
  inet_server_addr inet_server_port pg_cursors pg_prepared_statements pg_locks pg_lock_status pg_settings pg_temp
  pg_show_all_settings pg_notification_queue_usage pg_current_xact_id pg_current_xact_id_if_assigned txid_current
  txid_current_if_assigned pg_stat_get_backend_pid pg_stat_activity pg_stat_get_activity pg_blocking_pids pg_stat_xact_all_tables
  pg_stat_ssl pg_stat_gssapi pg_backend_memory_contexts pg_trigger_depth pg_conf_load_time pg_export_snapshot`)

/** Whether a name in front of a bracket calls nothing, or nothing but a harmless function of PostgreSQL. */
export function isHarmlessCall(name: string, schema: string): boolean {
  if (schema !== '' && schema !== 'pg_catalog') return false
  return isHarmless(name) || (schema === '' && isGrammar(name))
}

// Functions that make a SELECT more than a read, and what they do to the session. Looked up by classification for every
// call in a text. `set_config` is not here: its arguments decide. Functions of the user's own cannot be known.

/** Bits to OR into the masks of a statement. */
export type Effect = readonly [dirties: number, pins: number]

/** A write that leaves nothing behind in the session. */
const nothing: Effect = [0, 0]
const anything: Effect = [Dirty.unknown, 0]
const takesLock: Effect = [Dirty.locks, Pin.locks]
const freesLock: Effect = [Dirty.locks, 0]
/** Held until the end of the transaction: alone, that is the end of the statement. */
const locksTransaction: Effect = [0, Pin.transaction]
/** What this very session did before: no other connection may answer. */
const asksSession: Effect = [0, Pin.sequences]

const isWrite = oneOf(`nextval setval loread lowrite pg_notify pg_cancel_backend pg_terminate_backend
  pg_reload_conf pg_rotate_logfile pg_switch_wal pg_promote pg_nextoid pg_create_restore_point pg_drop_replication_slot
  pg_replication_slot_advance pg_export_snapshot pg_import_system_collations pg_sync_replication_slots pg_prewarm`)

const byName: ReadonlyMap<string, Effect> = new Map<string, Effect>([
  ['currval', asksSession],
  ['lastval', asksSession],
  ['pg_advisory_lock', takesLock],
  ['pg_advisory_lock_shared', takesLock],
  ['pg_try_advisory_lock', takesLock],
  ['pg_try_advisory_lock_shared', takesLock],
  ['pg_advisory_unlock', freesLock],
  ['pg_advisory_unlock_shared', freesLock],
  ['pg_advisory_unlock_all', freesLock],
  ['setseed', [Dirty.settings, 0]],
  ['ts_stat', anything],
  ['ts_rewrite', anything],
])

/** Those that run SQL given as a text, reach other servers or start backups and replication can do anything. */
const byPrefix: readonly (readonly [prefix: string, effect: Effect])[] = [
  ['pg_advisory_xact_', locksTransaction],
  ['pg_try_advisory_xact_', locksTransaction],
  ['lo_', nothing],
  ['pg_stat_reset', nothing],
  ['pg_stat_statements_reset', nothing],
  ['pg_wal_replay_', nothing],
  ['pg_logical_', nothing],
  ['pg_log_', nothing],
  ['pg_restore_', nothing],
  ['pg_clear_', nothing],
  ['pg_file_', nothing],
  ['brin_', nothing],
  ['gin_clean_', nothing],
  ['dblink', anything],
  ['query_to_xml', anything],
  ['cursor_to_xml', anything],
  ['crosstab', anything],
  ['connectby', anything],
  ['xpath_table', anything],
  ['pg_backup_', anything],
  ['pg_create_', anything],
  ['pg_copy_', anything],
  ['pg_replication_origin_', anything],
]

/** The effect of calling a function of this name in any schema; `undefined` for one that is taken to be harmless. */
export function effectOf(name: string): Effect | undefined {
  return isWrite(name) ? nothing : (byName.get(name) ?? byPrefix.find(([prefix]) => name.startsWith(prefix))?.[1])
}
