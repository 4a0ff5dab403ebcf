/** Sessions the server ends by itself, for whatever reason, and what is told of them twice. */

import { setTimeout as sleep } from 'node:timers/promises'
import { createDb, TransactionTimeoutError } from 'genever'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { ownServer, type OwnServer } from '../support/own-server.ts'
import { until } from '../support/until.ts'
import { site, sound } from './support.ts'

test('an idle transaction the server ends, and then its socket, is one loss, told once to everybody', async () => {
  await using place = await site({ name: 'twice', pool: { max: 1 } })
  using heard = hear('twice')
  const loose: unknown[] = []
  const note = (reason: unknown): void => void loose.push(reason)
  process.on('unhandledRejection', note).on('uncaughtException', note)
  const [link] = place.proxy.links
  place.proxy.on({ to: 'client', type: 'E', text: '25P03', when: 'after' }, (each) => each.break('reset'))
  let before: unknown

  const error = await caught(
    place.db.transaction(async (tx) => {
      await tx.status('insert into t values (1)')
      before = await tx.scalar('select pg_backend_pid()')
      await tx.status(`set local idle_in_transaction_session_timeout = '50ms'`)
      await until(() => !link!.alive)
      await until(() => place.db.stats().open === 0)
      await tx.status('insert into t values (2)')
    }),
  )

  expect(error).toBeInstanceOf(TransactionTimeoutError)
  expect(error).toMatchObject({ outcome: 'rolled_back' })
  await sound(place)
  expect(await place.rows()).toEqual([])
  await until(
    async () => (await place.direct.query('select 1 from pg_stat_activity where pid = $1', [before])).length === 0,
    { what: 'the session is gone' },
  )
  expect(heard.connections.filter(({ event }) => event === 'lost')).toMatchObject([{ error: '25P03' }])
  await sleep(1)
  process.off('unhandledRejection', note).off('uncaughtException', note)
  expect(loose).toEqual([])
})

let server: OwnServer

beforeAll(async () => {
  server = await ownServer()
  await server.query('create table t (n int)')
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

test('a backend killed like a crash takes all sessions of the server with it: each is told, and all go on', async () => {
  // Test servers do not wait for the disk at COMMIT: without this the table may be gone after the crash.
  await server.query('checkpoint')
  await using db = createDb(server.url, { pool: { max: 4, acquireTimeoutMs: 50_000 } })
  const victim = await db.acquire()
  const pid = Number(await victim.scalar('select pg_backend_pid()'))
  const transaction = caught(
    db.transaction(async (tx) => {
      await tx.status('insert into t values (1)')
      await tx.scalar('select 1 from pg_sleep(60)')
    }),
  )
  const read = caught(db.scalar('select 2 from pg_sleep(60)'))
  await until(
    async () => (await server.query(`select 1 from pg_stat_activity where wait_event = 'PgSleep'`)).length === 2,
  )

  process.kill(pid, 'SIGKILL')

  expect(await transaction).toMatchObject({ code: 'GENEVER_CONNECTION_LOST', outcome: 'rolled_back' })
  expect(await read).toMatchObject({ code: 'GENEVER_CONNECTION_LOST', outcome: 'unknown' })
  // Meanwhile the server recovers and refuses: that is waited for, not told.
  expect(await victim.scalar('select 3')).toBe(3)
  await victim.release()
  expect(await Promise.all(Array.from({ length: 8 }, (_, n) => db.scalar('select $1::int', [n])))).toHaveLength(8)
  expect(await db.scalar('select count(*)::int from t')).toBe(0)
  await until(() => db.stats().reserved === 0 && db.stats().waiting === 0)
})
