// Functions of PostgreSQL that a text may call without leaving anything in its session. Called by classification: a name that is not
// here may be one of the user's own, which may leave anything. It errs on that side: then a scope keeps its connection.

/** Functions of PostgreSQL that are not volatile in any form, and a few that are but leave nothing behind. */
const harmless = `
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
  xmlcomment xmlexists xmltext xmlvalidate xpath xpath_exists`

/** Words in front of a bracket that call nothing. */
const grammar = `
  check conflict constraint do foreign generated hash including inherits key list no of only primary range returning set
  statistics storage unique update
  all and any array as asc between by case cast collate cross cube default desc distinct else end except exists extract filter
  from full group grouping having ilike in inner intersect into is isnull join lateral left like limit materialized natural not
  notnull nulls offset on or order outer over overlay partition position recursive right rollup row select sets similar some
  substring symmetric system tablesample bernoulli then treat trim union using values when where window with within
  bit char character decimal dec float numeric nchar varchar varying interval precision time timestamp timestamptz timetz`

/** Names of functions and views that say something of the session that asks; they leave nothing in it. */
const ofSession = `
  pg_backend_pid pg_my_temp_schema pg_is_other_temp_schema pg_listening_channels inet_client_addr inet_client_port
  inet_server_addr inet_server_port pg_cursors pg_prepared_statements pg_locks pg_lock_status pg_settings pg_temp
  pg_show_all_settings pg_notification_queue_usage pg_current_xact_id pg_current_xact_id_if_assigned txid_current
  txid_current_if_assigned pg_stat_get_backend_pid pg_stat_activity pg_stat_get_activity pg_blocking_pids pg_stat_xact_all_tables
  pg_stat_ssl pg_stat_gssapi pg_backend_memory_contexts pg_trigger_depth pg_conf_load_time pg_export_snapshot`

const setOf = (words: string): ReadonlySet<string> => new Set(words.trim().split(/\s+/))
const known = setOf(harmless)
const words = setOf(grammar)
const session = setOf(ofSession)

/** Whether a name in front of a bracket calls nothing, or nothing but a harmless function of PostgreSQL. */
export function isHarmlessCall(name: string, schema: string): boolean {
  if (schema !== '' && schema !== 'pg_catalog') return false
  return known.has(name) || (schema === '' && words.has(name))
}

/** Whether the answer of a text with this name in it depends on the session. */
export function namesSession(name: string): boolean {
  return session.has(name)
}
