/** A connection that listens, and whose way dies: nobody says so, no notification comes any more. */

import { ConnectionLostError, type Db, QueryTimeoutError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { until } from '../support/until.ts'
import { short, site, sound } from './support.ts'

interface Listener extends AsyncDisposable {
  readonly heard: string[]
  /** Proves that notifications arrive: one to itself, with a deadline that a test may wait for. */
  beat(timeoutMs?: number): Promise<void>
}

/** As the documentation of PostgreSQL advises an application: a connection of its own, and the driver's own events. */
async function listen(db: Db): Promise<Listener> {
  const connection = await db.acquire()
  const heard: string[] = []
  const native = (await connection.rawConnection()) as {
    on(event: 'notification', listener: (message: { payload: string }) => void): void
  }
  native.on('notification', ({ payload }) => heard.push(payload))
  await connection.status('listen news')
  let beats = 0
  return {
    heard,
    async beat(timeoutMs = 50_000) {
      const payload = `beat ${++beats}`
      await connection.status(`select pg_notify('news', $1)`, [payload], { timeoutMs })
      await until(() => heard.includes(payload))
    },
    [Symbol.asyncDispose]: () => connection.release(),
  }
}

const listening = (place: Awaited<ReturnType<typeof site>>): Promise<unknown[]> =>
  place.direct.query(
    `select 1 from pg_stat_activity where datname = current_database() and application_name = 'genever-site'
      and (query like 'listen%' or query like '%pg_notify%')`,
  )

test('a heartbeat with a deadline finds it out; the connection is closed, the next use says that the session is gone', async () => {
  await using place = await site({ ...short, driver: 'pg', pool: { max: 2 } })
  await using listener = await listen(place.db)
  const link = place.proxy.open.at(-1)!
  await place.direct.query(`notify news, 'first'`)
  await until(() => listener.heard.includes('first'))
  await listener.beat()
  link.break('blackhole')
  await place.direct.query(`notify news, 'lost'`)

  expect(await caught(listener.beat(300))).toBeInstanceOf(QueryTimeoutError)

  await until(() => !link.held)
  // The gap is told, never bridged in silence: without LISTEN on it the handle gets no other connection.
  expect(await caught(listener.beat())).toBeInstanceOf(ConnectionLostError)
  await using again = await listen(place.db)
  await again.beat()
  await place.direct.query(`notify news, 'second'`)
  await until(() => again.heard.includes('second'))
  expect(listener.heard).not.toContain('lost')
})

test('what it listened to is gone when it is released, on the server too', async () => {
  await using place = await site({ driver: 'pg', pool: { max: 1 } })
  {
    await using listener = await listen(place.db)
    await listener.beat()
    expect(await listening(place)).toHaveLength(1)
  }

  expect(await place.db.all('select pg_listening_channels()')).toEqual([])
  await sound(place)
  expect(place.proxy.links).toHaveLength(1)
})
