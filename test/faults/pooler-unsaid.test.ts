/**
 * A pooler of which nobody has said anything. A proxy plays it: it announces a process of its own, as poolers do that have no session of
 * the server yet. Whether the session stays is for the option to say.
 */

import { createDb, type Db, type EngineOptions, UsageError } from 'genever'
import { describe, expect, test } from 'vitest'
import { behind, type Behind } from '../support/behind.ts'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { startProxy } from '../support/proxy.ts'
import { message } from './messages.ts'

const most = 6

async function place(options: EngineOptions): Promise<Behind> {
  const direct = await freshDatabase()
  const proxy = await startProxy(direct.url)
  for (let n = 0; n < most; n++)
    proxy.on({ to: 'client', type: 'K', when: 'before' }, (link) =>
      link.toClient.write(message('K', Buffer.alloc(8, 1))),
    )
  return behind(direct, proxy, { pool: { max: 2 }, ...options })
}

const who = `select coalesce(current_setting('app.who', true), '')`
const settings = { settings: { 'app.who': '7' } }

/** What needs a session that stays, and its answer there. */
const stays: readonly (readonly [what: string, run: (db: Db) => Promise<unknown>, answer: unknown])[] = [
  ['settings of a scope', (db) => db.scope(() => db.scalar(who), settings), '7'],
  ['settings around a transaction', (db) => db.scope(() => db.transaction((tx) => tx.scalar(who)), settings), '7'],
  [
    'SET in a transaction',
    (db) => db.transaction(async (tx) => (await tx.status(`set app.who = '7'`), tx.scalar(who))),
    '7',
  ],
  [
    'settings in front of a statement that stands alone',
    (db) => db.scope(async () => (await db.status(`select 1; ${who} as who`)).rows, settings),
    [{ who: '7' }],
  ],
  ['SET', (db) => db.scope(async () => (await db.status(`set app.who = '7'`), db.scalar(who))), '7'],
  [
    'SET among several statements',
    (db) => db.scope(async () => (await db.status(`select 1; set app.who = '7'`), db.scalar(who))),
    '7',
  ],
  [
    'SET on an acquired connection',
    async (db) => {
      await using connection = await db.acquire()
      await connection.status(`set app.who = '7'`)
      return await connection.scalar(who)
    },
    '7',
  ],
  [
    'a temporary table',
    (db) =>
      db.scope(
        async () => (await db.status('create temporary table mine as select 7 as n'), db.scalar('select n from mine')),
      ),
    7,
  ],
  ['an advisory lock', (db) => db.scope(() => db.scalar('select pg_try_advisory_lock(4711)')), true],
  [
    'PREPARE',
    (db) => db.scope(async () => (await db.status('prepare mine as select 7'), db.scalar('execute mine'))),
    7,
  ],
  ['lock()', (db) => db.lock('mine', async () => 'held'), 'held'],
  [
    'listen()',
    async (db) => {
      await using heard = await db.listen('news')
      await db.notify('news', 'seven')
      for await (const { payload } of heard) return payload
      return null
    },
    'seven',
  ],
]

for (const driver of ['pg', 'socket'] as const)
  describe(driver, () => {
    test.each(stays)('%s is refused, and works once it is said that the session stays', async (_, run, answer) => {
      await using unsaid = await place({ driver })
      for (let n = 0; n < 2; n++) {
        const error = await caught(run(unsaid.db))
        expect(error).toBeInstanceOf(UsageError)
        expect(error.message).toContain("Set the option pooler: 'transaction'")
        expect(error.message).toContain("pooler: 'session'")
      }
      expect(await unsaid.db.scalar(who)).toBe('')
      expect(await unsaid.db.scope(() => unsaid.db.transaction((tx) => tx.scalar(who)))).toBe('')
      await using said = await place({ driver, pooler: 'session' })
      expect(await run(said.db)).toEqual(answer)
    })

    test.each<[string, EngineOptions]>([
      ['isolation', { isolation: 'serializable' }],
      ['onConnect', { onConnect: (connection) => connection.status(`set app.who = '7'`) }],
    ])('the option %s is refused as the connection is opened', async (_, options) => {
      await using unsaid = await place({ driver, ...options })
      expect((await caught(unsaid.db.open())).message).toContain("Set the option pooler: 'transaction'")
      await using said = await place({ driver, pooler: 'session', ...options })
      expect(await said.db.scalar('select 7')).toBe(7)
    })

    test('the server itself is asked once for each connection, in the unit of what needs the session', async () => {
      await using direct = await freshDatabase()
      await using proxy = await startProxy(direct.url)
      await using db = createDb(proxy.url, { driver, pool: { max: 1 } })
      await db.scalar('select 1')
      const [link] = proxy.links
      const before = link!.toServer.types
      for (let n = 0; n < 3; n++) expect(await db.scope(() => db.scalar(who), settings)).toBe('7')
      const sent = link!.toServer.types.slice(before.length)

      // Of both proofs, the settings and the statement, with one Sync.
      expect(sent.slice(0, sent.indexOf('S') + 1).replaceAll(/[PD]/g, '')).toBe('BEBEBEBES')
    })
  })
