/** Locks of whole tables on MySQL and MariaDB belong to their session: no other user gets one that is left, and none goes unseen. */

import { type Db, TransactionStateError, UsageError } from 'genever'
import { afterEach, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, type FreshMysql, onFreshMysql } from '../support/mysql.ts'

describeMysql('table locks of MySQL', () => {
  let server: FreshMysql
  let db: Db
  onFreshMysql(
    ['create table t (n int primary key) engine = innodb', 'create sequence s'],
    (made) => ({ server, db } = made),
    { pool: { max: 1 } },
  )
  afterEach(() => server.query('delete from t'))

  const locked = async (): Promise<boolean> => {
    const rows = await server.query(`show open tables from \`${server.name}\` where in_use > 0 and \`table\` = 't'`)
    return rows.length > 0
  }

  const ofOne = ['lock tables t write', 'flush tables t with read lock', 'flush local tables t for export']

  test.each(['flush tables with read lock', 'FLUSH LOCAL TABLES WITH READ LOCK', ...ofOne])(
    '%s is refused without a scope, where nobody would unlock them',
    async (text) => {
      const error = await caught(db.status(text))
      expect([error.constructor, error.outcome]).toEqual([UsageError, 'not_started'])
      expect(error.message).toContain('inside scope(work)')
      expect(await locked()).toBe(false)
    },
  )

  test.each(ofOne)('what %s has locked is unlocked at the end of its scope', async (text) => {
    await db.scope(async () => {
      await db.status(text)
      expect(await locked()).toBe(true)
    })
    await db.status('insert into t values (1)')
    expect(await server.query('select n from t')).toEqual([{ n: 1 }])
  })

  test.each(ofOne)('no transaction begins while %s holds: the server would unlock them', async (text) => {
    await db.scope(async (conn) => {
      await db.status(text)
      for (const begins of [
        () => db.transaction((tx) => tx.all('select n from t')),
        () => db.transaction((tx) => tx.all('select n from t'), { isolation: 'serializable', readOnly: true }),
        () => db.executeMany('insert into t values (?)', [[1], [2]]),
        () => conn.transaction((tx) => tx.all('select n from t')),
      ]) {
        const error = await caught(begins())
        expect([error.constructor, error.outcome]).toEqual([TransactionStateError, 'not_started'])
        expect(error.message).toMatch(/^LOCK TABLES has locked tables.* UNLOCK TABLES first/)
        expect(await locked()).toBe(true)
      }
      await db.status('unlock tables')
      await db.transaction((tx) => tx.status('insert into t values (3)'))
    })
    expect(await server.query('select n from t')).toEqual([{ n: 3 }])
  })

  test('a transaction begun by text is refused as well, and one behind a LOCK TABLES that failed begins', async () => {
    const connection = await db.acquire()
    await connection.status('lock tables t write')
    const error = await caught(connection.status('start transaction'))
    expect([error.constructor, await locked()]).toEqual([TransactionStateError, true])
    expect((await caught(connection.status('lock tables nowhere write'))).name).toBe('SqlSyntaxError')
    expect(await locked()).toBe(false)
    await connection.status('start transaction')
    await connection.status('insert into t values (1)')
    await connection.status('commit')
    await connection.release()
    expect(await server.query('select n from t')).toEqual([{ n: 1 }])
  })

  test('a transaction begins behind locks that have names, and behind rawConnection(), whose client may unlock', async () => {
    await db.scope(async (conn) => {
      await db.status("do get_lock('genever of tables', 0)")
      await db.transaction((tx) => tx.status('insert into t values (1)'))
      await db.status('lock tables t write')
      const client = (await conn.rawConnection()) as { query(text: string, done: (error: unknown) => void): void }
      await new Promise((resolve) => client.query('unlock tables', resolve))
      await db.transaction((tx) => tx.status('insert into t values (2)'))
    })
    expect(await server.query('select n from t order by n')).toEqual([{ n: 1 }, { n: 2 }])
  })

  test.each([
    '/*!999999 select */ truncate t',
    '/*!80400 select 1 from */ truncate t',
    '/*!50700 insert into t select n from */ truncate t',
  ])(
    'a text whose first word only some servers read may be any statement, so no transaction runs it: %s',
    async (text) => {
      const error = await caught(
        db.transaction(async (tx) => {
          await tx.status('insert into t values (1)')
          await tx.all(text)
        }),
      )
      expect([error.constructor, error.outcome]).toEqual([TransactionStateError, 'not_started'])
      expect(await server.query('select n from t')).toEqual([])
    },
  )

  test('a number of a sequence that is drawn in the words of the standard is asked for behind it, in its scope', async () => {
    if (!String(await db.scalar('select version()')).includes('MariaDB')) return
    const error = await caught(db.scalar('select previous value for s'))
    expect(error.message).toContain('last number of their session')
    await db.scope(async () => {
      const drawn = await db.scalar('select next value for s')
      expect(await db.scalar('select previous value for s')).toBe(drawn)
    })
  })
})
