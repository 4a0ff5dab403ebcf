/** A connection that a scope keeps for nothing goes to those who wait, and reads of one scope run side by side, on MySQL. */

import { createDb, SessionMovedError, TransactionStateError } from 'genever'
import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { describeMysql, freshMysql, type FreshMysql, onMysql } from '../support/mysql.ts'
import { runScript } from '../support/script.ts'
import { until } from '../support/until.ts'

describeMysql('lending on MySQL', () => {
  let server: FreshMysql
  let other: FreshMysql
  beforeAll(async () => {
    server = await freshMysql(
      'create table t (n int primary key auto_increment, v int)',
      'insert into t (v) values (1)',
    )
    other = await freshMysql('create table t (n int, v int)', 'insert into t values (1, 2)')
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    await other[Symbol.asyncDispose]()
  })

  test('a scope that waits for something else lends its connection, and finds its database and its settings again', async () => {
    await using db = createDb(server.url, { pool: { max: 1 } })
    const settings = { database: other.name, 'app.tenant': '7' }
    const elsewhere = gate()
    const seen: unknown[] = []
    const scope = db.scope(
      async () => {
        seen.push(await db.scalar('select v from t'))
        await elsewhere.promise
        seen.push(await db.scalar('select v from t'), await db.scalar('select @`app.tenant`'))
      },
      { settings },
    )
    await until(() => seen.length === 1)

    expect([await db.scalar('select v from t'), await db.scalar('select @`app.tenant`')]).toEqual([1, null])
    elsewhere.open()
    await scope
    expect(seen).toEqual([2, 2, '7'])
  })

  test.each([
    ['a temporary table', 'create temporary table mine (n int)', 'select count(*) from mine', 0],
    ['a variable', 'set @mine = 5', 'select @mine', 5],
    ['a lock', "do get_lock('mine', 0)", "select is_used_lock('mine') = connection_id()", 1],
  ])('%s keeps the connection until the scope ends', async (_, makes, asks, answer) => {
    await using db = createDb(server.url, { pool: { max: 1 } })
    const elsewhere = gate()
    const order: string[] = []
    const scope = db.scope(async () => {
      await db.status(makes)
      order.push('made')
      await elsewhere.promise
      expect(await db.scalar(asks)).toBe(answer)
      order.push('scope')
    })
    await until(() => order.length === 1)
    const waiting = db.scalar('select 1').then(() => order.push('other'))
    await until(() => db.stats().waiting === 1)

    elsewhere.open()
    await Promise.all([scope, waiting])
    expect(order).toEqual(['made', 'scope', 'other'])
  })

  test('the last number of a session that served others meanwhile is refused, not that of somebody else', async () => {
    await using db = createDb(server.url, { pool: { max: 1 } })
    const elsewhere = gate()
    let inserted = false
    const scope = db.scope(async () => {
      await db.status('insert into t (v) values (5)')
      inserted = true
      await elsewhere.promise
      return caught(db.scalar('select last_insert_id()'))
    })
    await until(() => inserted)
    await db.status('insert into t (v) values (6)')
    elsewhere.open()

    expect(await scope).toBeInstanceOf(SessionMovedError)
  })

  test('plain reads that are issued together in a scope run side by side, and a write waits for them', async () => {
    await using db = await createDb(server.url, { pool: { min: 3, max: 3 } }).open()
    await until(() => db.stats().idle === 3)
    const { hostname, port, username, password } = new URL(server.url)
    const locker = await createConnection({
      host: hostname,
      port: Number(port || 3306),
      user: decodeURIComponent(username),
      password: decodeURIComponent(password),
      database: server.name,
    })
    try {
      await locker.query('lock tables t write')
      const running = async (text: string): Promise<number> => {
        const found = await onMysql(
          'select count(*) as n from information_schema.processlist where db = ? and info like ?',
          [server.name, `${text}%`],
        )
        return Number(found[0]?.['n'])
      }
      const work = db.scope(() =>
        Promise.all([
          db.scalar('select count(*) from t'),
          db.scalar('select min(n) from t'),
          db.scalar('select max(n) from t'),
          db.status('update t set v = v'),
        ]),
      )
      await until(async () => (await running('select')) >= 3, { what: 'three reads wait for the table' })
      expect(await running('update')).toBe(0)
      await locker.query('unlock tables')
      expect(String((await work)[3])).toMatch(/^UPDATE \d/)
    } finally {
      await locker.end()
    }
  })

  test('in a transaction reads run on its one connection, one after the other', async () => {
    await using db = createDb(server.url, { pool: { max: 3 } })
    const ids = await db.transaction(() =>
      Promise.all([1, 2, 3].map(() => db.scalar('select connection_id() from t limit 1'))),
    )

    expect(new Set(ids).size).toBe(1)
    expect(await caught(db.transaction(() => db.status('truncate table t')))).toBeInstanceOf(TransactionStateError)
  })

  test('a process whose connection does nothing ends by itself', async () => {
    const script = `
      import { createDb } from 'genever'
      const db = createDb(process.env.URL, { pool: { max: 1, idleTimeoutMs: Infinity } })
      await db.acquire()
      console.log('end')`

    expect(await runScript(script, { env: { URL: server.url } })).toMatchObject({ code: 0, stdout: 'end' })
  })
})
