/** A procedure opens a transaction and leaves it open: what ran in it is not committed, and nobody is told that it was. */

import { type Db, UsageError } from 'genever'
import { beforeEach, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, type FreshMysql, onFreshMysql } from '../support/mysql.ts'

describeMysql('a transaction that a procedure leaves open', () => {
  let server: FreshMysql
  let db: Db
  onFreshMysql(
    [
      'create table t (n int primary key) engine = innodb',
      'create procedure leaves(n int) begin start transaction; insert into t values (n); select n; end',
      'create procedure ends(n int) begin start transaction; insert into t values (n); select n; commit; end',
    ],
    (made) => ({ server, db } = made),
    { pool: { max: 1 } },
  )
  beforeEach(() => server.query('delete from t'))

  const rows = async (): Promise<unknown[]> => (await server.query('select n from t order by n')).map(({ n }) => n)

  test.each<[string, () => Promise<unknown>]>([
    ['without a scope', () => db.all('call leaves(1)')],
    ['in a scope', () => db.scope(() => db.all('call leaves(1)'))],
  ])('fails %s, and the next statement has another connection', async (_, run) => {
    const error = await caught(run())

    expect([error.constructor, error.outcome]).toEqual([UsageError, 'rolled_back'])
    expect(error.message).toContain('has left a transaction open')
    await db.status('insert into t values (2)')
    expect(await rows()).toEqual([2])
  })

  test('one that a procedure ends itself is committed, and one begun by text stays open', async () => {
    await db.all('call ends(3)')
    const connection = await db.acquire()
    await connection.status('start transaction')
    await connection.all('insert into t values (4)')
    await connection.status('commit')
    await connection.status('set autocommit = 0')
    await connection.status('insert into t values (5)')
    await connection.status('commit')
    await connection.release()
    expect(await rows()).toEqual([3, 4, 5])
  })
})
