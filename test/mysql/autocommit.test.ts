/** Each statement commits by itself unless a transaction was begun, and nothing is open behind the end of one, whatever is set in the session. */

import { createDb, type Db, TransactionStateError, UsageError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { installedMariadb, startMariadb } from '../support/mariadb.ts'
import { describeMysql, type FreshMysql, onFreshMysql } from '../support/mysql.ts'

describeMysql('without autocommit', () => {
  let server: FreshMysql
  let db: Db
  onFreshMysql(
    [
      'create table t (n int)',
      'create procedure by_hand() begin set autocommit = 0; insert into t values (1); end',
      "create procedure chained() set completion_type = 'CHAIN'",
      "create procedure released() set completion_type = 'RELEASE'",
    ],
    (made) => ({ server, db } = made),
    { pool: { max: 1 } },
  )

  const stored = async (): Promise<unknown[]> => {
    const rows = await server.query('select n from t order by n')
    await server.query('truncate t')
    return rows.map(({ n }) => n)
  }

  test.each<Record<string, string>>([
    { autocommit: '0' },
    { AUTOCOMMIT: 'off' },
    { completion_type: 'CHAIN' },
    { completion_type: '2' },
  ])('settings are refused by name: %o', async (settings) => {
    const [name = ''] = Object.keys(settings)
    await using refused = createDb(server.url, { settings })
    expect((await caught(refused.open())).message).toContain(name)
    const error = await caught(db.scope(() => db.status('insert into t values (1)'), { settings }))
    expect([error.constructor, error.message]).toEqual([UsageError, expect.stringContaining(`"${name.toLowerCase()}"`)])
    expect(await stored()).toEqual([])
  })

  test('settings that say what is so anyway are taken', async () => {
    const settings = { autocommit: 'ON', completion_type: 'NO_CHAIN' }
    expect(await db.scope(() => db.scalar('select 7'), { settings })).toBe(7)
  })

  test.each([
    "set completion_type = 'CHAIN'",
    'set @@session.completion_type = 1',
    'set sql_mode = default, autocommit = 0',
  ])('as a text it is transaction control: %s', async (text) => {
    expect(await caught(db.scope(() => db.status(text)))).toBeInstanceOf(TransactionStateError)
  })

  test.each(['call by_hand()', "execute immediate 'set autocommit = 0'"])(
    'no statement is taken for committed behind a procedure that turned it off: %s',
    async (text) => {
      if (text.startsWith('execute') && !(await isMariadb())) return
      const error = await caught(
        db.scope(async () => {
          await db.status(text)
          await db.status('insert into t values (2)')
        }),
      )
      expect([error.constructor, error.message]).toEqual([
        UsageError,
        expect.stringContaining('has turned autocommit off'),
      ])
      expect(await stored()).toEqual([])
      await db.status('insert into t values (3)')
      expect(await stored()).toEqual([3])
    },
  )

  test('on a connection from acquire() a text may turn it off and on', async () => {
    const connection = await db.acquire()
    await connection.status('set autocommit = 0')
    await connection.status('insert into t values (1)')
    await connection.status('rollback')
    await connection.status('insert into t values (2)')
    await connection.status('commit')
    await connection.status('set autocommit = 1')
    await connection.status('insert into t values (3)')
    await connection.release()
    expect(await stored()).toEqual([2, 3])
  })

  test.each(['call chained()', 'call released()'])(
    'transactions end with their COMMIT or ROLLBACK behind %s',
    async (text) => {
      await db.scope(async () => {
        await db.status(text)
        await db.transaction(() => db.status('insert into t values (1)'))
        const error = new TypeError('mine')
        const failed = db.transaction(async () => {
          await db.status('insert into t values (2)')
          throw error
        })
        expect(await caught(failed)).toBe(error)
        await db.status('insert into t values (3)')
        expect(await db.scalar('select count(*) from t')).toBe(2)
      })
      expect(await stored()).toEqual([1, 3])
    },
  )

  test('a server whose sessions begin without it is used with it', async () => {
    if ((await installedMariadb()) === undefined) return
    const other = await startMariadb(['--autocommit=OFF'])
    try {
      await using opened = createDb(other.url, { pool: { max: 2 } })
      await opened.status('create table t (n int) engine = innodb')
      await opened.scope(() => opened.status('insert into t values (1)'))
      const rows = await opened.scope(() => opened.all('select n from t'), { reuse: false })
      expect([rows, await opened.scalar('select @@global.autocommit')]).toEqual([[{ n: 1 }], 0])
    } finally {
      await other.stop()
    }
  })

  async function isMariadb(): Promise<boolean> {
    return String(await db.scalar('select version()')).includes('MariaDB')
  }
})
