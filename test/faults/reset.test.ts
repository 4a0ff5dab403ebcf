/** Resets that fail or hang, and code that stops the whole process for a while. */

import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { createDb, type Db, type EngineOptions } from 'genever'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { urlForPg } from '../support/database.ts'
import { until } from '../support/until.ts'
import { errorResponse, message } from './messages.ts'
import { passTime, short, site, sound, watch } from './support.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

describe('a reset that', () => {
  test.each(['reset', 'finish', 'blackhole'] as const)(
    'meets a dead way (%s) costs its connection only',
    async (how) => {
      await using place = await site({ ...short, pool: { max: 1 } })
      const [link] = place.proxy.links
      place.proxy.cut({ to: 'server', text: 'RESET ALL', when: 'before' }, how)

      const value = await place.db.scope(async () => {
        await place.db.scalar(`select set_config('app.tenant', 'a', false)`)
        return 7
      })

      expect(value).toBe(7)
      await until(() => !link!.held)
      expect(await place.db.scalar(`select current_setting('app.tenant', true)`)).toBeFalsy()
      await sound(place)
    },
  )

  test('is refused by the server costs its connection only', async () => {
    await using place = await site({ pool: { max: 1 } })
    const [link] = place.proxy.links
    place.proxy.on({ to: 'server', text: 'RESET ALL', when: 'before' }, ({ toClient }) => {
      toClient.write(Buffer.concat([errorResponse('ERROR', '42501', 'no'), message('Z', 'I')]))
    })

    await using connection = await place.db.acquire()
    await connection.status(`set application_name = 'other'`)
    await connection.release()

    await until(() => !link!.held)
    expect(await place.db.scalar(`select current_setting('application_name')`)).toBe('genever-site')
    await sound(place)
  })

  test('hangs does not keep those who wait: they get another connection', async () => {
    await using place = await site({ ...short, pool: { max: 1 } })
    place.proxy.cut({ to: 'server', text: 'RESET ALL', when: 'before' }, 'blackhole')
    const held = await place.db.acquire()
    await held.status(`set application_name = 'other'`)
    const waiting = place.db.scalar(`select current_setting('application_name')`)

    await held.release()

    expect(await waiting).toBe('genever-site')
    await sound(place)
  })

  test('has to roll back a transaction left open by text, and hangs, does the same', async () => {
    await using place = await site({ ...short, pool: { max: 1 } })
    const [link] = place.proxy.links
    const held = await place.db.acquire()
    await held.status('begin')
    await held.status('insert into t values (1)')
    link!.break('blackhole')

    await held.release()

    expect(await place.db.scalar('select 1')).toBe(1)
    await until(() => !link!.held)
  })
})

const name = 'genever-stands-still'

/** Another process waits until the server has answered all that this application asked; then it sees it for as long again. */
const waiter = `
  const { Client } = require(process.argv[1])
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
  const work = async () => {
    const client = new Client(process.argv[2])
    await client.connect()
    const busy = "select 1 from pg_stat_activity where application_name = '${name}' and state <> 'idle'"
    while ((await client.query(busy)).rows.length > 0) await pause(10)
    await client.end()
    await pause(800)
  }
  void work()`

/** Nothing of this process runs until the server has answered, and for longer than the deadlines. */
function standStill(url: string): void {
  execFileSync(process.execPath, ['-e', waiter, createRequire(import.meta.url).resolve('pg'), urlForPg(url)])
}

function plain(url: string, options: EngineOptions): Promise<Db> {
  return createDb(url, { ...options, applicationName: name }).open()
}

// Without the proxy: it would stand still as well.
describe('code that blocks the process for longer than the deadlines', () => {
  test('makes no statement fail that was answered in time', async () => {
    await using place = await site()
    await using db = await plain(place.direct.url, { pool: { max: 3 } })
    const held = await Promise.all([1, 2, 3].map(() => db.acquire()))
    for (const connection of held) await connection.release()
    const answers = [1, 2, 3].map((n) => db.scalar('select $1::int', [n], { timeoutMs: 300 }))
    await new Promise(setImmediate)

    standStill(place.direct.url)

    expect(await Promise.all(answers)).toEqual([1, 2, 3])
    expect(db.stats().open).toBe(3)
  })

  test('makes no wait fail for which a connection became free in time', async () => {
    await using place = await site()
    await using db = await plain(place.direct.url, { pool: { max: 1, acquireTimeoutMs: 300 } })
    const running = db.scalar('select 1 from pg_sleep(0.05)')
    const waiting = watch(db.scalar('select 2'))
    await new Promise(setImmediate)

    standStill(place.direct.url)

    expect(await running).toBe(1)
    await until(() => waiting.state !== 'pending')
    expect(waiting).toEqual({ state: 'resolved', value: 2 })
  })

  test('has no connection declared dead that answers', async () => {
    await using place = await site()
    await using db = await plain(place.direct.url, { pool: { max: 1 } })
    const before = await db.scalar('select pg_backend_pid()')
    passTime()
    const asked = db.scalar('select pg_backend_pid()')
    await new Promise(setImmediate)

    standStill(place.direct.url)

    expect(await asked).toBe(before)
  })

  test('has no reset declared hopeless that was answered', async () => {
    await using place = await site()
    await using db = await plain(place.direct.url, { ...short, pool: { max: 2, acquireTimeoutMs: 50_000 } })
    const held = await db.acquire()
    const before = await held.scalar('select pg_backend_pid()')
    await held.status(`set application_name = 'other'`)
    const opening = db.scalar('select 1')
    const released = held.release()
    await new Promise(setImmediate)

    standStill(place.direct.url)

    await released
    expect(await opening).toBe(1)
    const both = await Promise.all([db.acquire(), db.acquire()])
    const pids = await Promise.all(both.map((each) => each.scalar('select pg_backend_pid()')))
    for (const each of both) await each.release()
    expect(pids).toContain(before)
  })
})
