/** What PostgreSQL has and MySQL has not: each is refused by its name, before anything is sent. */

import { createDb, type Db } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { describeMysql, mysqlWorkerUrl } from '../support/mysql.ts'

describeMysql('what MySQL has not', () => {
  const doors: readonly (readonly [what: string, named: string, use: (db: Db) => Promise<unknown>])[] = [
    ['listen()', 'listen()', (db) => db.listen('channel', () => {})],
    ['notify()', 'notify()', (db) => db.notify('channel', 'text')],
    ['copyFrom()', 'copyFrom()', async (db) => db.copyFrom('things (id)').from('1\n')],
    [
      'copyTo()',
      'copyTo()',
      async (db) => {
        for await (const _ of db.copyTo('things'));
      },
    ],
    ['lock()', 'lock()', (db) => db.lock('key', () => {})],
    ['deferrable', 'deferrable', (db) => db.transaction((tx) => tx.scalar('select 1'), { deferrable: true })],
    [
      'resolveCommitMs',
      'resolveCommitMs',
      (db) => db.transaction((tx) => tx.scalar('select 1'), { resolveCommitMs: 9 }),
    ],
    ['idleTimeoutMs', 'idleTimeoutMs', (db) => db.transaction((tx) => tx.scalar('select 1'), { idleTimeoutMs: 9 })],
    ['a text of several statements', 'one statement', (db) => db.status('select 1; select 2')],
    ['DDL in a transaction', 'CREATE', (db) => db.transaction((tx) => tx.status('create table things (id int)'))],
  ]

  test.each(doors)('%s is refused by name before anything is sent', async (what, named, use) => {
    await using db = await createDb(await mysqlWorkerUrl(), { name: `refuses ${what}` }).open()
    using heard = hear(`refuses ${what}`)
    const error = await caught(use(db))

    expect([error.code, error.message]).toEqual([
      expect.stringMatching(/^GENEVER_(?:USAGE|TRANSACTION_STATE)$/),
      expect.stringContaining(named),
    ])
    expect(error.message).toContain('MySQL')
    expect(heard.statements.filter(({ outcome }) => outcome !== 'not_started')).toEqual([])
  })
})
