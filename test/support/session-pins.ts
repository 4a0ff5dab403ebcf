/** What code can make in a session that it then relies on, on each database. */

import type { Connection, Db } from 'genever'
import { caught } from './caught.ts'
import { wordsFor } from './matrix.ts'

type Pins = Readonly<Record<string, (connection: Connection) => Promise<unknown>>>

export const mysqlPins: Pins = {
  SET: (connection) => connection.status("set @`app.user` = 'pinned'"),
  'a temporary table': (connection) => connection.status('create temporary table pinned (n int)'),
  'a lock': (connection) => connection.scalar("select get_lock('pinned', 0)"),
  PREPARE: (connection) => connection.status("prepare mine from 'select 1'"),
  HANDLER: (connection) => connection.status('handler released_for_now open as pinned'),
  'rawConnection()': (connection) => connection.rawConnection(),
}

export const postgresPins: Pins = {
  SET: (connection) => connection.status(`set application_name = 'pinned'`),
  'set_config for the session': (connection) => connection.scalar(`select set_config('app.user', '7', false)`),
  'SET ROLE': (connection) => connection.status('set role postgres'),
  'a temporary table': (connection) => connection.status('create temporary table pinned (n int)'),
  LISTEN: (connection) => connection.status('listen news'),
  'an advisory lock': (connection) => connection.scalar('select pg_advisory_lock(4711)'),
  PREPARE: (connection) => connection.status('prepare mine as select 1'),
  'DECLARE … WITH HOLD': (connection) => connection.status('declare c cursor with hold for select 1'),
  'rawConnection()': (connection) => connection.rawConnection(),
}

const state = `select current_setting('application_name') as name, coalesce(current_setting('app.user', true), '') as setting,
  current_user::text as role, to_regclass('pg_temp.pinned') as temporary, (select count(*)::int from pg_listening_channels()) as channels,
  (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks, (select count(*)::int from pg_cursors) as cursors,
  (select count(*)::int from pg_prepared_statements where name = 'mine') as prepared`
/** What a session has of all that. */
export async function pinnedOf(db: Db): Promise<unknown> {
  if (wordsFor(db).system !== 'mysql') return db.one(state)
  const errors: unknown[] = []
  for (const text of ['select * from pinned', 'execute mine', 'handler pinned read first'])
    errors.push((await caught(db.status(text))).errno)
  return [errors, await db.one("select @`app.user` as setting, is_used_lock('pinned') as owner")]
}
