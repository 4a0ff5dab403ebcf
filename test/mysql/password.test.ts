/** Passwords of MySQL that a function gives: for each connection that is opened, and in time. */

import { ConnectError, createDb } from 'genever'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, freshMysql, type FreshMysql } from '../support/mysql.ts'
import { until } from '../support/until.ts'

describeMysql('a function that gives the password', () => {
  let server: FreshMysql
  let user: string

  beforeAll(async () => {
    server = await freshMysql()
    user = server.name.slice(-30)
    await server.query(`create user '${user}'@'%' identified by 'first'`)
    await server.query(`grant all on \`${server.name}\`.* to '${user}'@'%'`)
  })
  afterAll(async () => {
    await server.query(`drop user '${user}'@'%'`)
    await server[Symbol.asyncDispose]()
  })

  test('is asked again to stop a statement: the password of the connection may not hold any more', async () => {
    let password = 'first'
    const url = Object.assign(new URL(server.url), { username: user, password: '' })
    await using db = createDb(url.href, { password: () => password, pool: { max: 1 }, cancelTimeoutMs: 50_000 })
    const session = await db.scalar('select connection_id()')
    await server.query(`alter user '${user}'@'%' identified by 'second'`)
    password = 'second'
    const stop = new AbortController()
    const running = caught(db.all('select sleep(3600)', [], { signal: stop.signal }))
    const asked = "select info from information_schema.processlist where id = ? and info like 'select sleep%'"
    await until(async () => (await server.query(asked, [session])).length === 1, { what: 'the statement runs' })

    stop.abort()

    expect(await running).toMatchObject({ name: 'AbortedError' })
    await until(async () => (await server.query(asked, [session])).length === 0, { what: 'the statement has ended' })
    expect(await db.scalar('select connection_id()')).toBe(session)
  })

  test('and does not answer lets the opening of the connection fail at its deadline', async () => {
    const silent = (): Promise<string> => new Promise(() => {})
    const db = createDb(server.url, { password: silent, pool: { connectTimeoutMs: 1_000 }, retry: { limit: 0 } })

    expect(await caught(db.open())).toBeInstanceOf(ConnectError)
    await db.close()
  })
})
