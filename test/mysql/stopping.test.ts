/** A statement that is stopped on MySQL: nothing of anybody else is stopped with it, and the transaction around it goes on. And sessions that end. */

import { createDb } from 'genever'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, freshMysql, type FreshMysql } from '../support/mysql.ts'
import { mysqlFront, packetOf } from '../support/mysql-front.ts'
import { until } from '../support/until.ts'

describeMysql('a statement that is stopped', () => {
  let server: FreshMysql

  beforeAll(async () => {
    server = await freshMysql('create table t (a varchar(20))')
  })
  afterAll(() => server[Symbol.asyncDispose]())

  test.each([
    'ROLLBACK TO SAVEPOINT `genever_1`',
    'RELEASE SAVEPOINT `genever_1`',
    'SAVEPOINT `genever_2`',
    'insert into t values (?)',
  ])('in a nested transaction, while %s goes in front of it, leaves the one around it alone', async (moment) => {
    await server.query('delete from t')
    const stop = new AbortController()
    let due = false
    // The driver reads no answer before the server was asked to stop, so this one comes behind that.
    await using front = await mysqlFront(server.url, {
      text: (text) => {
        if (due && text === moment) stop.abort()
        return null
      },
    })
    const db = createDb(front.url, { pool: { max: 1 }, cancelTimeoutMs: 50_000, statementCacheSize: 0 })
    const insert = 'insert into t values (?)'

    await db.transaction(async (tx) => {
      await tx.status(insert, ['around'])
      const undone = tx.transaction(async (inner) => {
        await inner.status(insert, ['undone'])
        due = true
        throw new Error('undone')
      })
      const stopped = caught(undone).then(() =>
        tx.transaction((inner) => inner.status(insert, ['stopped'], { signal: stop.signal })),
      )
      expect(await caught(stopped)).toMatchObject({ name: 'AbortedError' })
      await tx.transaction((inner) => inner.status(insert, ['nested']))
      await tx.status(insert, ['last'])
    })
    expect((await server.query('select a from t')).map(({ a }) => a)).toEqual(['around', 'nested', 'last'])
    await db.close()
  })

  test('is stopped as soon as the server has room for the connection that asks for it, and its own goes on', async () => {
    let refusals = 0
    const full = packetOf(
      Buffer.concat([Buffer.from([0xff, 1040 & 0xff, 1040 >> 8]), Buffer.from('Too many connections')]),
      0,
    )
    await using front = await mysqlFront(server.url, {
      greeting: (packet) => (refusals > 0 && refusals-- > 0 ? full : packet),
      text: () => null,
    })
    const db = createDb(front.url, { pool: { max: 1 }, cancelTimeoutMs: 50_000 })
    const session = await db.scalar('select connection_id()')
    const stop = new AbortController()
    const running = caught(db.all('select sleep(3600)', [], { signal: stop.signal }))
    const asked = "select info from information_schema.processlist where id = ? and info like 'select sleep%'"
    await until(async () => (await server.query(asked, [session])).length === 1, { what: 'the statement runs' })
    refusals = 3
    stop.abort()

    expect(await running).toMatchObject({ name: 'AbortedError' })
    expect(await db.scalar('select connection_id()')).toBe(session)
    expect(refusals).toBe(0)
    await db.close()
  })

  test.each([
    [1153, "Got a packet bigger than 'max_allowed_packet' bytes", { errno: 1153, outcome: 'rolled_back' }],
    [1927, 'Connection was killed', { name: 'ConnectionLostError', message: expect.stringContaining('(error 1927)') }],
  ])(
    'a session that the server ends behind the error %i serves nobody else, and the error says why',
    async (errno, why, told) => {
      await server.query('delete from t')
      const error = Buffer.from([0xff, errno & 0xff, errno >> 8])
      await using front = await mysqlFront(server.url, {
        text: (text) =>
          text.includes('refused') ? packetOf(Buffer.concat([error, Buffer.from(`#08S01${why}`)]), 1) : null,
      })
      const db = createDb(front.url, { pool: { max: 1 } })
      const session = (): Promise<unknown> => db.scalar('select connection_id()')
      const first = await session()
      expect(await caught(db.status("insert into t values ('refused')"))).toMatchObject(told)
      const second = await session()
      const inside = db.transaction(async (tx) => {
        await tx.status("insert into t values ('inside')")
        await tx.status("insert into t values ('refused')")
      })
      expect(await caught(inside)).toMatchObject(told)
      const third = await session()

      expect(new Set([first, second, third]).size).toBe(3)
      expect(await server.query('select a from t')).toEqual([])
      await db.close()
    },
  )
})
