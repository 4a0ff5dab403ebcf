// The judgement of one statement of MySQL or MariaDB by its leading words and by telling words seen in it. Called by classification at
// the end of every statement, and the effects of functions, looked up for every call. A verb that is not listed may do anything, so
// it runs in no transaction. Stored functions of the user's own cannot be known.
import { type Control, Dirty, Pin } from '../sql/compiled.ts'
import { oneOf, type Verdict } from '../sql/scan.ts'

/** Words that tell wherever they stand. */
export type Sign =
  | 'into'
  | 'row lock'
  | 'modifies'
  | 'sets'
  | 'own'
  | 'reading'
  | 'encoding'
  | 'zone'
  | 'autocommit'
  | 'temporary'
  | 'numbers'
  | 'holds'
  | 'sequence'

type Signs = ReadonlySet<Sign>

const clean: Verdict = ['write', 0, 0]
const control: Verdict = ['control', 0, 0]
/** It ends any transaction, also when it fails. */
const commits: Verdict = ['commits', 0, 0]
/** It may commit, and leave anything behind. */
const anything: Verdict = ['commits', Dirty.unknown, 0]
const settings: Verdict = ['write', Dirty.settings, Pin.settings]
const temporary: Verdict = ['write', Dirty.temp, Pin.temp]
const role: Verdict = ['write', Dirty.role, Pin.role]
const asks: Verdict = ['write', 0, Pin.sequences]
const takesLocks: Verdict = ['commits', Dirty.locks, Pin.locks]

const plain: ReadonlyMap<string, Verdict> = new Map<string, Verdict>([
  ...words('insert replace update delete explain describe desc help checksum do', clean),
  ...words('begin start commit rollback savepoint release xa', control),
  ...words(
    `alter rename truncate grant revoke optimize repair check cache reset install uninstall change purge stop`,
    commits,
  ),
  ...words('call execute if case loop while for repeat declare kill shutdown binlog', anything),
  ...words('signal resignal get', asks),
  ['use', settings],
  ['lock', takesLocks],
  ['unlock', ['commits', Dirty.locks, 0]],
  ['backup', takesLocks],
  ['prepare', ['write', Dirty.prepared, Pin.prepared]],
  ['deallocate', ['write', Dirty.prepared, 0]],
  ['handler', ['write', Dirty.cursors, Pin.cursors]],
])

function words(list: string, all: Verdict): [string, Verdict][] {
  return list
    .trim()
    .split(/\s+/)
    .map((word) => [word, all])
}

/** `head`: the leading tokens, words in lower case. */
export function verdict(head: readonly string[], signs: Signs): Verdict {
  const [verb = '', second = ''] = head
  switch (verb) {
    case 'select':
    case 'values':
    case 'table':
    case 'with':
      return query(signs)
    case 'show':
      return /^(?:warnings|errors|count)$/.test(second) ? asks : clean
    case 'set':
      return set(head, signs)
    case 'create':
      return head[second === 'or' ? 3 : 1] === 'temporary' ? temporary : commits
    case 'drop':
      if (second === 'prepare') return ['write', Dirty.prepared, 0]
      return second === 'temporary' ? ['write', Dirty.temp, 0] : commits
    case 'load':
      return second === 'index' ? commits : clean
    case 'flush':
      return signs.has('holds') ? takesLocks : commits
    case 'begin':
      return second === 'not' ? anything : control
    case 'start':
    case 'stop':
      return second === 'transaction' ? control : anything
    case 'analyze':
      // ANALYZE UPDATE runs it.
      return /^(?:tables?|local|no_write_to_binlog)$/.test(second) ? commits : clean
    default:
      return plain.get(verb) ?? anything
  }
}

function query(signs: Signs): Verdict {
  if (signs.has('sets')) return settings
  if (signs.has('sequence')) return ['write', Dirty.sequences, 0]
  return signs.has('into') || signs.has('row lock') || signs.has('modifies') ? clean : ['read', 0, 0]
}

function set(head: readonly string[], signs: Signs): Verdict {
  const [, first = '', next = ''] = head
  // SET STATEMENT … FOR a statement: its own words are judged as well.
  const zone = signs.has('zone') ? Pin.zone : 0
  if (first === 'statement') return ['commits', Dirty.unknown, zone | reading(head, signs)]
  // Behind a comma the session's own may follow.
  const own = signs.has('own')
  if (setsAll(first) && !own) return ['write', 0, zone]
  if (first === 'password' || (first === 'default' && next === 'role'))
    return own ? ['commits', Dirty.settings, 0] : commits
  if (first === 'transaction') return ['control', 0, Pin.transaction]
  if (first === 'role') return role
  if (signs.has('autocommit')) return ['control', Dirty.settings, zone]
  return ['write', Dirty.settings, Pin.settings | zone | reading(head, signs)]
}

/** Whether a word of SET says that what follows is for all sessions. */
export function setsAll(word: string): boolean {
  return word === 'global' || word === 'persist' || word === 'persist_only'
}

/** Whether it changes how texts are read. */
function reading([, first = '', next = '']: readonly string[], signs: Signs): number {
  const encoding =
    signs.has('encoding') || /^(?:names|charset)$/.test(first) || (first === 'character' && next === 'set')
  return (signs.has('reading') ? Pin.strings : 0) | (encoding ? Pin.encoding : 0)
}

/** What a statement of class `control` does to the transaction on the wire. */
export function controlOf(head: readonly string[]): Control | null {
  const [verb = '', second = ''] = head
  switch (verb) {
    case 'begin':
    case 'start':
      return 'begin'
    case 'commit':
      return 'commit'
    case 'rollback':
      return head.includes('to') ? 'rollback to' : 'rollback'
    case 'savepoint':
      return 'savepoint'
    case 'release':
      return 'release'
    case 'xa':
      return second === 'start' || second === 'begin'
        ? 'begin'
        : second === 'prepare'
          ? 'prepare'
          : second === 'commit' || second === 'rollback'
            ? second
            : null
    default:
      return null
  }
}

/** Bits to OR into the masks of a statement; `apart`: it is no plain read, and leaves nothing. */
export type Effect = readonly [dirties: number, pins: number] | 'apart'

const takesLock: Effect = [Dirty.locks, Pin.locks]
const freesLock: Effect = [Dirty.locks, 0]
/** What this very session did before: no other connection may answer. */
const asksSession: Effect = [0, Pin.sequences]

const effects: ReadonlyMap<string, Effect> = new Map<string, Effect>([
  ['get_lock', takesLock],
  ['release_lock', freesLock],
  ['release_all_locks', freesLock],
  ['last_insert_id', asksSession],
  ['lastval', asksSession],
  ['row_count', asksSession],
  ['found_rows', asksSession],
  ['nextval', [Dirty.sequences, 0]],
  ['setval', [Dirty.sequences, 0]],
])

const isApart = oneOf(`
  connection_id database schema user session_user system_user current_user current_role sleep benchmark rand uuid uuid_short
  sys_guid random_bytes is_used_lock is_free_lock master_pos_wait load_file`)

/** Functions of the server that leave nothing, and words that stand in front of a bracket. */
const isHarmless = oneOf(
  `abs acos add_months adddate addtime aes_decrypt aes_encrypt against all and any any_value as asin atan atan2 between bigint
    bin bin_to_uuid binary binlog_gtid_pos bit bit_and bit_count bit_length bit_or bit_xor by case cast ceil ceiling char
    char_length character_length charset check chr coalesce coercibility collation column_check column_exists column_json
    column_list columns compress concat concat_operator_oracle concat_ws conv convert convert_tz cos cot count crc32 crc32c
    cume_dist curdate current_date current_time current_timestamp curtime date date_add date_format date_sub datediff datetime
    day dayname dayofmonth dayofweek dayofyear decimal decode decode_histogram decode_oracle default degrees dense_rank
    des_decrypt des_encrypt distinct div double duplicate else elt encode encrypt end enum escape except exists exp export_set
    extract extractvalue field find_in_set first_value float floor for foreign format from from_base64 from_days from_unixtime
    greatest group group_concat grouping gtid_subset gtid_subtract having hex hour if ifnull ignore in index inet4 inet6
    inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr int integer intersect interval into is is_ipv4 is_ipv4_compat
    is_ipv4_mapped is_ipv6 is_uuid isnull join json json_array json_array_append json_array_insert json_arrayagg json_compact
    json_contains json_contains_path json_depth json_detailed json_equals json_exists json_extract json_insert json_keys
    json_length json_loose json_merge json_merge_patch json_merge_preserve json_normalize json_object json_objectagg
    json_overlaps json_pretty json_query json_quote json_remove json_replace json_schema_valid json_search json_set
    json_storage_size json_table json_type json_unquote json_valid json_value key lag last_day lateral lcase lead least left
    length lengthb like limit ln localtime localtimestamp locate log log10 log2 lower lpad lpad_oracle ltrim ltrim_oracle
    make_set makedate maketime master_gtid_wait match max md5 median mediumint microsecond mid min minute mod month monthname
    name_const natural_sort_key nested not now nth_value ntile nullif numeric nvl nvl2 oct octet_length offset old_password on
    or ord order over partition password path percent_rank percentile_cont percentile_disc period_add period_diff pi position
    pow power primary quarter quote radians rank recursive regexp regexp_instr regexp_like regexp_replace regexp_substr repeat
    replace replace_oracle return returning reverse right rlike round row row_number rows rpad rpad_oracle rtrim rtrim_oracle
    schemas sec_to_time second select set sformat sha sha1 sha2 sign signed sin smallint some soundex space sqrt
    statement_digest std stddev stddev_pop stddev_samp str_to_date strcmp subdate substr substr_oracle substring substring_index
    subtime sum table tan then time time_format time_to_sec timediff timestamp tinyint to to_base64 to_char to_days to_seconds
    trim trim_oracle truncate ucase uncompress uncompressed_length unhex union unique unix_timestamp unsigned update updatexml
    upper using utc_date utc_time utc_timestamp uuid_to_bin validate_password_strength value values var_pop var_samp varbinary
    varchar variance version week weekday weekofyear when where wsrep_last_seen_gtid wsrep_last_written_gtid
    wsrep_sync_wait_upto_gtid xor year yearweek`,
)

/** Functions of space, with `st_` or `mbr` in front. */
const isOfSpace = oneOf(
  `st_area st_asbinary st_asgeojson st_astext st_aswkb st_aswkt st_boundary st_buffer st_buffer_strategy st_centroid st_collect
    st_contains st_convexhull st_crosses st_difference st_dimension st_disjoint st_distance st_distance_sphere st_endpoint
    st_envelope st_equals st_exteriorring st_frechetdistance st_geohash st_geomcollfromtext st_geomcollfromtxt
    st_geomcollfromwkb st_geometrycollectionfromtext st_geometrycollectionfromwkb st_geometryfromtext st_geometryfromwkb
    st_geometryn st_geometrytype st_geomfromgeojson st_geomfromtext st_geomfromwkb st_hausdorffdistance st_interiorringn
    st_intersection st_intersects st_isclosed st_isempty st_isring st_issimple st_isvalid st_latfromgeohash st_latitude
    st_length st_linefromtext st_linefromwkb st_lineinterpolatepoint st_lineinterpolatepoints st_linestringfromtext
    st_linestringfromwkb st_longfromgeohash st_longitude st_makeenvelope st_mlinefromtext st_mlinefromwkb st_mpointfromtext
    st_mpointfromwkb st_mpolyfromtext st_mpolyfromwkb st_multilinestringfromtext st_multilinestringfromwkb
    st_multipointfromtext st_multipointfromwkb st_multipolygonfromtext st_multipolygonfromwkb st_numgeometries
    st_numinteriorring st_numinteriorrings st_numpoints st_overlaps st_pointatdistance st_pointfromgeohash st_pointfromtext
    st_pointfromwkb st_pointn st_pointonsurface st_polyfromtext st_polyfromwkb st_polygonfromtext st_polygonfromwkb st_relate
    st_simplify st_srid st_startpoint st_swapxy st_symdifference st_touches st_transform st_union st_validate st_within st_x
    st_y mbrcontains mbrcoveredby mbrcovers mbrdisjoint mbrequal mbrequals mbrintersects mbroverlaps mbrtouches mbrwithin`,
)

const anyEffect: Effect = [Dirty.unknown, 0]

/**
 * The effect of calling a function of this name. One that is not the server's may leave variables in the session.
 * @param inDatabase It stands behind the name of a database: it is none of the server's, whatever its name.
 */
export function effectOf(name: string, inDatabase: boolean): Effect | undefined {
  if (inDatabase) return anyEffect
  const known = isApart(name) ? 'apart' : effects.get(name)
  if (known !== undefined) return known
  return isHarmless(name) || isOfSpace(name) ? undefined : anyEffect
}
