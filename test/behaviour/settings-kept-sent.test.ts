/** What is sent for settings of a scope that stay on its connection, and that nobody sees them whatever breaks. */

import { type Db, type EngineOptions, QueryError } from 'genever'
import { describe, expect, test } from 'vitest'
import type { Fault, FaultPhase } from '../../src/driver/fake/scenario.ts'
import { caught } from '../support/caught.ts'
import { fake, sound } from '../support/fake.ts'

describe('what is sent', () => {
  const tenant = `select current_setting('app.tenant', true)`
  const scope = (db: Db, id: string): Promise<unknown> =>
    db.scope(() => db.scalar(tenant), { settings: { 'app.tenant': id } })
  const single: EngineOptions = { pool: { max: 1 } }

  test('no trip takes them back: the next user does, in the packet of its first statement', async () => {
    await using server = await fake({}, single)
    const { db } = server
    expect([await scope(db, '7'), await scope(db, '8'), await scope(db, '8')]).toEqual(['7', '8', '8'])
    expect(server.sent()).toEqual([
      `select set_config($1, $2, false); ${tenant}`,
      `select set_config($1, $2, false); ${tenant}`,
      tenant,
    ])
    expect([await db.scalar(tenant), await db.scalar(tenant)]).toEqual(['', ''])
    expect(server.sent()).toEqual([`RESET "app"."tenant"; ${tenant}`, tenant])
    await scope(db, '7')
    await db.scope(() => db.scalar(tenant))
    expect(server.sent()).toEqual([`select set_config($1, $2, false); ${tenant}`, `RESET "app"."tenant"; ${tenant}`])
    await sound(server)
  })

  test('what stands alone on the wire waits for a trip', async () => {
    await using server = await fake({}, single)
    const { db } = server
    await scope(db, '7')
    server.sent()
    await db.status('vacuum t')
    expect(server.sent()).toEqual(['<reset framed>', 'vacuum t', '<reset unknown>'])
    await scope(db, '7')
    server.sent()
    await db.scope(() => db.status('vacuum t'))
    expect(server.sent()).toEqual(['RESET "app"."tenant"; select 1', 'vacuum t', '<reset unknown>'])
    await sound(server)
  })

  test.each(['statement_timeout', 'default_transaction_read_only', 'transaction_read_only', 'session_authorization'])(
    '%s never stays',
    async (name) => {
      await using server = await fake({}, single)
      await server.db.scope(() => server.db.status('notice x'), { settings: { [name]: '0' } })
      expect(server.sent().at(-1)).toMatch(/^<reset .*settings/)
      await sound(server)
    },
  )

  test('with reset: always nothing stays', async () => {
    await using server = await fake({}, { ...single, reset: 'always' })
    await scope(server.db, '7')
    expect(server.sent().at(-1)).toMatch(/^<reset /)
    await sound(server)
  })

  test('a reset that the server refuses is the error of that statement, and the session is cleaned behind it', async () => {
    await using server = await fake({}, single)
    const { db } = server
    await scope(db, '7')
    server.driver.faults.at('RESET', { error: '42501' })
    expect(await caught(db.scalar(tenant))).toBeInstanceOf(QueryError)
    expect(await db.scalar(tenant)).toBe('')
    expect(server.sent().some((line) => /^<reset .*settings/.test(line))).toBe(true)
    await sound(server)
  })

  test('reads share no connection on which they are', async () => {
    await using server = await fake({ maxInFlight: 4 }, { pool: { max: 2, shared: 2 } })
    const { db } = server
    for (let i = 0; i < 5; i++) await db.scalar(tenant)
    for (let i = 0; i < 20; i++) {
      await Promise.all([scope(db, '7'), scope(db, '8')])
      const seen = await Promise.all(Array.from({ length: 6 }, () => db.scalar(tenant)))
      for (const each of seen) expect(each ?? '').toBe('')
    }
    await sound(server)
  })
})

describe('whatever breaks, at any message', () => {
  const tenant = `select current_setting('app.tenant', true) as tenant`
  const faults: readonly (readonly [string, FaultPhase, Fault])[] = [
    ['an error', 'send', { error: '57014' }],
    ['a loss before', 'send', { lost: true }],
    ['a loss behind', 'answer', { lost: '57P01' }],
    ['an answer that cannot be read', 'answer', { decode: 'broken' }],
    ['no answer', 'send', { hang: true }],
    ['a value that cannot be written', 'encode', { encode: 'broken' }],
    ['a reset that fails', 'reset', { error: 'XX000' }],
  ]

  /** Those of the program, one behind the other; each says what it has seen, and what it should have. */
  const users: readonly ((db: Db, seen: (own: string, found: unknown) => void) => Promise<unknown>)[] = [
    (db, seen) => db.scope(async () => seen('7', await db.scalar(tenant)), { settings: { 'app.tenant': '7' } }),
    async (db, seen) => seen('', await db.scalar(tenant)),
    (db, seen) =>
      db.scope(
        async () => {
          seen('8', await db.scalar(tenant))
          await caught(db.scalar('select $1', [1]).then(() => db.scalar('fail 22012')))
          seen('8', await db.scalar(tenant))
        },
        { settings: { 'app.tenant': '8', 'app.user': 'ann' } },
      ),
    (db, seen) => db.transaction(async (tx) => [seen('', await tx.scalar(tenant)), tx.raiseRollback()]),
    (db, seen) => db.scope(async () => seen('', await db.scalar(tenant))),
    (db, seen) =>
      db.scope(() => db.transaction(async (tx) => seen('9', await tx.scalar(tenant))), {
        settings: { 'app.tenant': '9' },
      }),
    (db) => db.status('vacuum t'),
    async (db, seen) => seen('', await db.scalar(tenant)),
  ]

  test.each(faults)('%s', async (_, phase, fault) => {
    for (let nth = 1; nth <= 14; nth++)
      for (const maxInFlight of [1, 3]) {
        await using server = await fake(
          { maxInFlight },
          { pool: { max: 1 }, query: { timeoutMs: 30 }, resetTimeoutMs: 30, cancelTimeoutMs: 30 },
        )
        const { db, driver } = server
        driver.faults.at({ phase, nth }, fault)
        const wrong: string[] = []
        const seen = (own: string, found: unknown): void => {
          if ((found ?? '') !== own) wrong.push(`message ${nth}: ${String(found)} instead of ${own}`)
        }
        for (const use of users) await use(db, seen).catch(() => {})
        expect(wrong).toEqual([])
        expect(driver.violations).toEqual([])
      }
  })
})
