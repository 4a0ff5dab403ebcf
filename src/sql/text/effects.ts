// Functions that make a SELECT more than a read, and what they do to the session. Looked up by classification for every
// call in a text. `set_config` is not here: its arguments decide. Functions of the user's own cannot be known.
import { Dirty, Pin } from '../compiled.ts'

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

const writes = `nextval setval loread lowrite pg_notify pg_cancel_backend pg_terminate_backend
  pg_reload_conf pg_rotate_logfile pg_switch_wal pg_promote pg_nextoid pg_create_restore_point pg_drop_replication_slot
  pg_replication_slot_advance pg_export_snapshot pg_import_system_collations pg_sync_replication_slots pg_prewarm`

const byName: ReadonlyMap<string, Effect> = new Map<string, Effect>([
  ...writes.split(/\s+/).map((name): [string, Effect] => [name, nothing]),
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
  return byName.get(name) ?? byPrefix.find(([prefix]) => name.startsWith(prefix))?.[1]
}
