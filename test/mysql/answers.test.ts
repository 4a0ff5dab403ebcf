/** Answers of MySQL that come seldom: a prepared statement that is gone, no room for one, an end that was on its way, and junk. */

import {
  ConnectionLostError,
  createDb,
  type Db,
  QueryError,
  type Transaction,
  TransactionTimeoutError,
  UsageError,
} from 'genever'
import { createConnection } from 'mysql2/promise'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { installedMariadb, startMariadb } from '../support/mariadb.ts'
import { describeMysql, freshMysql, type FreshMysql } from '../support/mysql.ts'
import { mysqlFront, packetOf, refusalOf } from '../support/mysql-front.ts'

describeMysql('answers of MySQL', () => {
  let server: FreshMysql
  /** What the next statements are answered with, instead of being run. */
  let texts: Buffer[] = []
  let executions: Buffer[] = []
  let db: Db
  beforeEach(async () => {
    server = await freshMysql('create table t (n int) engine = innodb')
    const front = await mysqlFront(server.url, {
      text: (text) => (text.includes('marked') ? (texts.shift() ?? null) : null),
      execute: () => executions.shift() ?? null,
    })
    db = createDb(front.url, { pool: { max: 1 } })
    onTestFinished(async () => {
      await db.close({ timeoutMs: 5_000 })
      await front[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    })
  })
  afterEach(() => {
    texts = []
    executions = []
  })

  const gone = {
    1243: 'Unknown prepared statement handler (1) given to mysqld_stmt_execute',
    1615: 'Prepared statement needs to be re-prepared',
  }
  const insert = 'insert into t values (?)'
  const stored = (): Promise<Record<string, unknown>[]> => server.query('select n from t order by n')

  test.each(Object.entries(gone))(
    'a statement that the server wants prepared again (error %s) is, and runs once',
    async (errno, message) => {
      const answer = refusalOf(Number(errno), message)
      await db.status(insert, [1])
      executions = [answer]
      expect(await db.status(insert, [2])).toMatchObject({ rowCount: 1 })
      await db.transaction(async (tx) => {
        await tx.status(insert, [3])
        executions = [answer]
        await tx.status(insert, [4])
        executions = [answer]
        expect(await tx.all('select n from t where n > ? order by n', [2])).toEqual([{ n: 3 }, { n: 4 }])
      })
      expect(executions).toEqual([])
      expect(await stored()).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }])
    },
  )

  test('one that the server still wants prepared then fails, and the connection goes on', async () => {
    const answer = refusalOf(1615, gone[1615])
    executions = [answer, answer]
    const error = (await caught(db.status(insert, [1]))) as QueryError
    expect([error.constructor, error.errno]).toEqual([QueryError, 1615])
    await db.status(insert, [2])
    expect(await stored()).toEqual([{ n: 2 }])
  })

  test('a procedure is not called again: it may have run others before', async () => {
    await server.query('create procedure adds(a int) insert into t values (a)')
    await db.status('call adds(?)', [1])
    executions = [refusalOf(1615, gone[1615])]
    const error = (await caught(db.status('call adds(?)', [2]))) as QueryError
    expect([error.errno, error.outcome, executions]).toEqual([1615, 'unknown', []])
    expect(await stored()).toEqual([{ n: 1 }])
  })

  test('a statement that crosses the end of an idle session has not started, and can be sent again', async () => {
    const idle = refusalOf(4031, 'The client was disconnected by the server because of inactivity.')
    await db.status(insert, [1])
    executions = [idle]
    const error = await caught(db.status(insert, [2]))
    expect([error.constructor, error.outcome]).toEqual([ConnectionLostError, 'not_started'])
    await db.status(insert, [3])

    executions = [idle]
    const inside = await caught(db.transaction((tx: Transaction) => tx.status(insert, [4])))
    expect([inside.constructor, inside.outcome]).toEqual([TransactionTimeoutError, 'rolled_back'])
    expect(await stored()).toEqual([{ n: 1 }, { n: 3 }])
  })

  const asText = "optimize table t /* 'marked', as a text */"
  const asPrepared = "select n from t where 'marked' = 'prepared'"

  test.each([
    ['asks for a file', asText, Buffer.from('û/etc/passwd', 'latin1')],
    ['asks for a file instead of preparing', asPrepared, Buffer.from('û/etc/passwd', 'latin1')],
    ['prepares nothing that is known', asPrepared, Buffer.from([5])],
    ['ends in the middle', asText, Buffer.from([0, 0, 0, 2])],
    ['ends in the middle of what it prepares', asPrepared, Buffer.from([0, 0, 0, 2])],
    [
      'has lengths that go nowhere',
      asText,
      Buffer.from([0, 0, 0, 2, 0x40, 0, 0, 0, 10, 0, 8, ...Array<number>(8).fill(0xfb)]),
    ],
  ])('an answer that %s ends the connection, and the next one serves', async (_, sql, payload) => {
    texts = [packetOf(payload, 1)]
    const error = await caught(db.status(sql))
    expect([error.constructor, error.outcome]).toEqual([ConnectionLostError, 'unknown'])
    expect(await db.scalar('select 1')).toBe(1)
  })

  test.each([
    ['client_ed25519', /plugin client_ed25519, which mysql2 does not have/],
    ['mysql_clear_password', /plugin mysql_clear_password, by which anybody in between would read the password/],
  ])('a server that asks for the authentication plugin %s gets no password, and that is said', async (plugin, says) => {
    const ask = Buffer.concat([Buffer.from([0xfe]), Buffer.from(`${plugin}\0${'s'.repeat(20)}\0`)])
    let logins = 0
    await using front = await mysqlFront(server.url, {
      text: () => null,
      login: () => {
        logins++
        return packetOf(ask, 2)
      },
    })
    const url = new URL(front.url)
    url.password = 'secret'
    await using other = createDb(url.href)
    const error = await caught(other.open())
    expect([error.constructor, error.outcome, logins]).toEqual([UsageError, 'not_started', 1])
    expect(error.message).toMatch(says)
  })

  test('where the server has no room for a prepared statement, other sessions give theirs up', async () => {
    if ((await installedMariadb()) === undefined) return
    const own = await startMariadb(['--max-prepared-stmt-count=12'])
    try {
      await using small = createDb(own.url, { pool: { max: 2 } })
      const elsewhere = await createConnection(own.url)
      const [one, other] = [await small.acquire(), await small.acquire()]
      for (let i = 0; i < 8; i++) await one.all(`select ${i} + ?`, [1])
      let held = 0
      const full = async (): Promise<boolean> =>
        elsewhere.prepare(`select ${held}`).then(
          () => ++held < 0,
          () => true,
        )
      while (!(await full()));
      // What is held by others stays theirs.
      expect(held).toBeLessThan(8)
      for (let i = 0; i < 3; i++) {
        expect(await other.scalar(`select ${i} * ?`, [2])).toBe(i * 2)
        expect(await one.scalar(`select ${i} + ?`, [1])).toBe(i + 1)
      }
      await one.release()
      await other.release()
      await elsewhere.end()
    } finally {
      await own.stop()
    }
  })
})
