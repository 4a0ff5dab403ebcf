/** Frames with other settings than those around them: roles, and triggers that run with the commit. */

import { expect, test } from 'vitest'
import { forEachDriver } from '../support/matrix.ts'
import { within } from '../support/overlay.ts'

const settings = { 'app.tenant': 'a' }

forEachDriver((driver) => {
  test('a role is taken back before other settings are changed, and set behind them', async () => {
    const db = await driver.single()
    const roles = `select concat_ws(' ', current_user, current_setting('session_replication_role'))`
    const low = { role: 'pg_monitor', session_replication_role: 'replica' }

    await db.scope(
      async () => {
        const owner = await db.scalar('select session_user::text')
        const seen = [
          await db.scalar(roles),
          await within(db, { role: null, session_replication_role: null }, () => db.scalar(roles)),
          await within(db, { role: 'pg_read_all_stats', session_replication_role: 'local' }, () => db.scalar(roles)),
          await within(db, { session_replication_role: 'local' }, () => db.scalar(roles)),
          await db.scalar(roles),
        ]
        expect(seen).toEqual([
          'pg_monitor replica',
          `${String(owner)} origin`,
          'pg_read_all_stats local',
          'pg_monitor local',
          'pg_monitor replica',
        ])
      },
      { settings: low },
    )
  })

  test('what a commit still runs on the server has the settings of the transaction', async () => {
    const table = await driver.table('who text')
    const db = await driver.single()
    await db.status(`create function ${table}f() returns trigger language plpgsql as $$
      begin insert into ${table} select current_setting('app.tenant') where new.who = 'deferred'; return null; end $$`)
    await db.status(`create constraint trigger t after insert on ${table} initially deferred for each row
      execute function ${table}f()`)

    await db.scope(
      () =>
        db.transaction(async () => {
          await db.status(`insert into ${table} values ('deferred')`)
          await within(db, 'b', () => db.scalar(driver.words.setting('app.tenant')))
        }),
      { settings },
    )

    expect(await db.all(`select who from ${table} where who <> 'deferred'`)).toEqual([{ who: 'a' }])
  })
})
