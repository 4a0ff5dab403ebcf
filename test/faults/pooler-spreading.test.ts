/**
 * A pooler that spreads reads over servers, of which nobody has said anything: settings would be made in one session and read in another.
 */

import { type Db, UsageError } from 'genever'
import { describe, expect, test } from 'vitest'
import { behind, type Behind } from '../support/behind.ts'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { startSpreader } from '../support/spreader.ts'

async function place(driver: 'pg' | 'socket'): Promise<Behind> {
  const direct = await freshDatabase('create table t (n int)')
  return behind(direct, await startSpreader(direct.url), { driver, pool: { max: 2 } })
}

const who = `select coalesce(current_setting('app.who', true), '')`

/** Of this database: other tests have locks on the server. */
const locks = `select objid from pg_locks join pg_database d on d.oid = database where locktype = 'advisory' and datname = current_database()`

const stays: readonly (readonly [what: string, run: (db: Db) => Promise<unknown>])[] = [
  ['settings of a scope', (db) => db.scope(() => db.scalar(who), { settings: { 'app.who': '7' } })],
  ['an advisory lock', (db) => db.scope(() => db.scalar('select pg_try_advisory_lock(4711)'))],
  ['lock()', (db) => db.lock('mine', async () => 'held')],
  ['listen()', (db) => db.listen('news')],
]

for (const driver of ['pg', 'socket'] as const)
  describe(driver, () => {
    test.each(stays)('%s is refused, and nothing of it stays anywhere', async (_, run) => {
      await using at = await place(driver)
      for (let n = 0; n < 2; n++) {
        const error = await caught(run(at.db))
        expect(error).toBeInstanceOf(UsageError)
        expect(error.message).toContain('load_balance_mode = off')
      }
      expect(await at.direct.query(locks)).toEqual([])
      expect(await at.db.scalar(who)).toBe('')
    })

    test('what needs no session runs', async () => {
      await using at = await place(driver)
      await at.db.status('insert into t values ($1)', [7])
      expect(await at.db.scalar('select n from t where n = $1', [7])).toBe(7)
      expect(await Promise.all([1, 2, 3].map((n) => at.db.scalar('select $1::int', [n])))).toEqual([1, 2, 3])
    })
  })
