/** Transactions of XA, by text on a connection from `acquire()`: one that was prepared outlives its connection. */

import type { Connection, Db } from 'genever'
import { beforeEach, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { describeMysql, type FreshMysql, onFreshMysql, onMysql } from '../support/mysql.ts'
import { until } from '../support/until.ts'

describeMysql('a transaction of XA', () => {
  let db: Db
  let server: FreshMysql
  const schema = ['create table t (n int primary key)']
  onFreshMysql(schema, (made) => ({ db, server } = made), { name: 'two phases', pool: { max: 1 } })
  beforeEach(() => server.query('delete from t'))

  const branch = (): string => `'${server.name}'`
  const recovered = async (): Promise<boolean> =>
    (await onMysql('xa recover')).some(({ data }) => String(data) === server.name)
  const rows = async (): Promise<unknown[]> => (await server.query('select n from t')).map(({ n }) => n)

  async function begun(): Promise<{ readonly connection: Connection; readonly session: unknown }> {
    const connection = await db.acquire()
    const session = await connection.scalar('select connection_id()')
    await connection.status(`xa start ${branch()}`)
    await connection.status('insert into t values (1)')
    await connection.status(`xa end ${branch()}`)
    return { connection, session }
  }

  async function kill(session: unknown): Promise<void> {
    await onMysql(`kill ${String(session)}`)
    const gone = async (): Promise<boolean> =>
      (await onMysql('select 1 from information_schema.processlist where id = ?', [session])).length === 0
    await until(gone, { what: 'the session is gone' })
  }

  test('that is prepared is not called rolled back when its connection is lost, and is committed from another one', async () => {
    const { connection, session } = await begun()
    await connection.status(`xa prepare ${branch()}`)
    await kill(session)

    expect(await recovered()).toBe(true)
    expect(await rows()).toEqual([])
    // The connection that is lost ends one call or none.
    const lost = await connection.scalar('select 1').then(
      () => ({}),
      (error: unknown) => error,
    )
    expect(lost).not.toMatchObject({ outcome: 'rolled_back' })
    await connection.status(`xa commit ${branch()}`)
    expect(await rows()).toEqual([1])
    expect(await recovered()).toBe(false)
    await connection.release()
  })

  test('that is not prepared is rolled back when its connection is lost', async () => {
    const { connection, session } = await begun()
    await kill(session)
    expect(await caught(connection.scalar('select 1'))).toMatchObject({
      name: 'ConnectionLostError',
      outcome: 'rolled_back',
    })
    expect(await recovered()).toBe(false)
    expect(await rows()).toEqual([])
    await connection.release()
  })

  test('that comes back prepared stays so, which a notice says; the next user has a session without it', async () => {
    using heard = hear('two phases')
    const { connection } = await begun()
    await connection.status(`xa prepare ${branch()}`)
    expect((await caught(connection.transaction(() => 1))).message).toContain('begun by text')
    await connection.release()

    expect(heard.notices.map(({ message }) => message)).toEqual([
      expect.stringMatching(/came back with a transaction that was prepared: .*until it is committed or rolled back/),
    ])
    expect(await db.transaction((tx) => tx.scalar('select 2'))).toBe(2)
    expect(await recovered()).toBe(true)
    await server.query(`xa rollback ${branch()}`)
    expect(await rows()).toEqual([])
  })

  test('that is committed or rolled back by its connection leaves it free', async () => {
    using heard = hear('two phases')
    for (const end of ['commit', 'rollback']) {
      const { connection } = await begun()
      await connection.status(`xa prepare ${branch()}`)
      await connection.status(`xa ${end} ${branch()}`)
      expect(await connection.transaction((tx) => tx.scalar('select count(*) from t'))).toBe(1)
      await connection.release()
      if (end === 'commit')
        await server.query('insert into t values (3)').then(() => server.query('delete from t where n = 1'))
    }
    expect(heard.notices).toEqual([])
    expect(await rows()).toEqual([3])
  })
})
