/** Servers that are silent, slow, wrong or rude, and answers that come in the strangest pieces. */

import { AcquireTimeoutError, ConnectError, createDb, createEngine, type EngineOptions, ProtocolError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught, type Caught } from '../support/caught.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'
import { errorResponse, message } from './messages.ts'
import { site, sound, watch } from './support.ts'

/** AuthenticationOk, a key for cancelling, ReadyForQuery: enough for a client to be content. */
const welcome = Buffer.concat([
  message('R', Buffer.alloc(4)),
  message('K', Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])),
  message('Z', 'I'),
])

describe('a server that accepts and says nothing', () => {
  test('is a ConnectError at the connect timeout', async () => {
    await using proxy = await startProxy('postgres://postgres@127.0.0.1:1/none')
    await proxy.accept('silent')

    const error = await caught(createEngine(proxy.url, { pool: { connectTimeoutMs: 300 } }))

    expect(error).toBeInstanceOf(ConnectError)
    expect(error).toMatchObject({ outcome: 'not_started', retryable: true })
  })

  test('behind its yes to TLS is the same', async () => {
    await using proxy = await startProxy('postgres://postgres@127.0.0.1:1/none')
    await proxy.accept((socket) => socket.once('data', () => socket.write('S')))

    const error = await caught(createEngine(proxy.url, { ssl: true, pool: { connectTimeoutMs: 300 } }))

    expect(error).toBeInstanceOf(ConnectError)
    expect(error.outcome).toBe('not_started')
  })

  test('ends each wait at the deadline of who waits, not of the connecting', async () => {
    using time = leapingTime()
    await using place = await site({ pool: { max: 3, acquireTimeoutMs: 300_000, connectTimeoutMs: 3_600_000 } })
    await place.proxy.accept('silent')
    const held = await place.db.acquire()
    const controller = new AbortController()
    const acquire = watch(place.db.scalar('select 1'))
    const statement = watch(place.db.scalar('select 1', [], { timeoutMs: 100_000 }))
    const transaction = watch(place.db.transaction(() => {}, { timeoutMs: 200_000 }))
    const signal = watch(place.db.scalar('select 1', [], { signal: controller.signal }))
    const waits = [signal, statement, transaction, acquire]

    controller.abort()
    for (const [ended, wait] of waits.entries()) {
      await until(() => wait.state === 'rejected')
      expect(waits.filter(({ state }) => state === 'pending')).toHaveLength(3 - ended)
      time.leap(100_000)
    }

    expect(waits.map(({ value }) => (value as Caught).outcome)).not.toContain('unknown')
    expect(acquire.value).toBeInstanceOf(AcquireTimeoutError)
    expect((acquire.value as Caught).phase).toBe('connect')
    await held.release()
  })
})

describe('a server that speaks another language', () => {
  test.each([
    ['HTTP', 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'],
    ['SSH', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['nothing in particular', '\0\0\0\0\0\0\0\0\0\0\0\0'],
    ['MySQL', 'J\0\0\0\n8.0.36\0\x08\0\0\0'],
  ])('%s is refused within the connect timeout', async (_, text) => {
    await using proxy = await startProxy('postgres://postgres@127.0.0.1:1/none')
    await proxy.accept((socket) => socket.write(text, 'latin1'))

    const error = await caught(createEngine(proxy.url, { pool: { connectTimeoutMs: 400 } }))

    expect(error).toBeInstanceOf(ConnectError)
    expect(error.outcome).toBe('not_started')
  })

  test('together with its welcome is refused while connecting: nothing is said of a pool that was closed', async () => {
    await using proxy = await startProxy('postgres://postgres@127.0.0.1:1/none')
    await proxy.accept((socket) =>
      socket.once('data', () => socket.write(Buffer.concat([welcome, message('T', '\0\0')]))),
    )
    await using db = createDb(proxy.url.replace(/^\w+/, 'socket'))

    const error = await caught(db.scalar('select 1'))

    expect(error).toBeInstanceOf(ConnectError)
    expect(error).toMatchObject({ outcome: 'not_started', message: expect.stringContaining('an answer to nothing') })
  })

  test.each<[string, string, EngineOptions]>([
    ['which server it is', '?target_session_attrs=read-write', {}],
    ['whether it keeps statements', '', { pooler: 'transaction', prepare: true }],
  ])('and ends the connection when it is asked %s: the error has its words', async (_, parameters, options) => {
    await using proxy = await startProxy('postgres://postgres@127.0.0.1:1/none')
    await proxy.accept((socket) => {
      const leave = (): unknown => socket.end(errorResponse('FATAL', '57P01', 'we close now'))
      socket.once('data', () => socket.write(welcome, () => socket.once('data', leave)))
    })
    for (const scheme of ['socket', 'postgres']) {
      const error = await caught(createEngine(proxy.url.replace(/^\w+/, scheme) + parameters, options))

      expect(error).toBeInstanceOf(ConnectError)
      expect(error).toMatchObject({ outcome: 'not_started', message: expect.stringContaining('we close now') })
    }
  })

  test('after a good beginning breaks the protocol: a ProtocolError, and the connection is closed', async () => {
    await using place = await site({ pool: { max: 1 } })
    const [link] = place.proxy.links
    place.proxy.on({ to: 'client', type: 'D', when: 'before' }, ({ toClient }) => {
      toClient.write(message('~', 'what?'))
      toClient.swallows = true
    })

    const error = await caught(place.db.scalar('select 2', [], { timeoutMs: 50_000 }))

    expect(error).toBeInstanceOf(ProtocolError)
    await until(() => !link!.held)
    await sound(place)
  })
})

test.each([['while connecting'], ['as an answer']])(
  '2 GiB announced %s take no memory and keep nobody',
  async (when) => {
    const chunk = message('D', Buffer.alloc(65_531))
    chunk.writeInt32BE(0x7fffffff, 1)
    const drip = Buffer.alloc(65_536)
    await using proxy = await startProxy('postgres://postgres@127.0.0.1:1/none')
    let sent = 0
    await proxy.accept((socket) => {
      const flood = (): void => {
        socket.write(chunk)
        const timer = setInterval(() => {
          if (sent > 64 * 2 ** 20) return
          sent += drip.length
          socket.write(drip)
        }, 1)
        socket.once('close', () => clearInterval(timer))
      }
      if (when === 'as an answer') socket.once('data', () => socket.write(welcome, () => socket.once('data', flood)))
      else socket.once('data', flood)
    })
    global.gc?.()
    const before = process.memoryUsage().rss

    const db = createDb(proxy.url, { pool: { connectTimeoutMs: 500 }, closeTimeoutMs: 100, cancelTimeoutMs: 100 })
    const error = await caught(db.scalar('select 1', [], { timeoutMs: 500 }))

    expect(error.message).toBeTruthy()
    expect((process.memoryUsage().rss - before) / 2 ** 20).toBeLessThan(200)
    await db.close()
  },
)

test('a row of a cursor that does not fit its columns ends the loop behind those before it, and the connection with it', async () => {
  await using place = await site({ pool: { max: 1 } })
  const [link] = place.proxy.links
  // One field of 100 bytes, of which one is there.
  const misfit = message('D', Buffer.from([0, 1, 0, 0, 0, 100, 65]))
  place.proxy.on({ to: 'client', type: 'D', text: 'the 150th', when: 'before' }, ({ toClient }) =>
    toClient.write(misfit),
  )
  const seen: string[] = []
  const loop = async (): Promise<void> => {
    const rows = place.db.iterate<{ t: string }>(`select 'the ' || n || 'th' as t from generate_series(1, 300) as n`)
    for await (const { t } of rows) seen.push(t)
  }

  const error = await caught(loop())

  expect(error).toBeInstanceOf(ProtocolError)
  expect(seen).toEqual(Array.from({ length: 149 }, (_, at) => `the ${at + 1}th`))
  await until(() => !link!.held)
  await sound(place)
})

describe('an ErrorResponse after CommandComplete', () => {
  test.each([
    ['ERROR', '40003'],
    ['FATAL', '57P01'],
  ])('%s %s neither hangs nor confuses what follows', async (severity, code) => {
    await using place = await site({ pool: { max: 1 } })
    place.proxy.on({ to: 'client', type: 'C', when: 'after' }, (link) => {
      link.toClient.write(errorResponse(severity, code, 'too late'))
      if (severity === 'FATAL') link.break('finish')
    })

    const error = await caught(place.db.all('select 2'))

    expect(error).toMatchObject({ name: severity === 'FATAL' ? 'ConnectionLostError' : 'QueryError' })
    await sound(place)
  })
})

describe('answers in pieces', () => {
  const wide = `select n, repeat('ä€😀', n) as text, n % 2 = 0 as even, null as none, to_jsonb(n) as json
    from generate_series(1, 8) as n`

  test('byte by byte are read as they were meant', async () => {
    await using place = await site({ pool: { max: 1 } })
    const whole = await place.db.all(wide)
    place.proxy.links[0]!.trickle()

    expect(await place.db.all(wide)).toEqual(whole)
    expect(await place.db.transaction((tx) => tx.all(wide))).toEqual(whole)
  })

  test('cut in two at any byte are read as they were meant', async () => {
    await using place = await site({ pool: { max: 1 } })
    const [link] = place.proxy.links
    const whole = await place.db.all(wide)
    const { bytes } = link!.toClient
    await place.db.all(wide)
    const length = link!.toClient.bytes - bytes

    for (let at = 1; at < length; at += 3) {
      link!.toClient.split = at
      expect(await place.db.all(wide)).toEqual(whole)
    }
  })

  test('late by any time are worth waiting for', async () => {
    await using place = await site({ pool: { max: 2 } })
    await place.warm(2)
    for (const link of place.proxy.links) link.delay(60)

    expect(await place.db.scalar('select 1', [], { timeoutMs: 50_000 })).toBe(1)
    await place.db.transaction((tx) => tx.status('insert into t values (1)'))
    expect(await place.rows()).toEqual([1])
  })

  test('a connection that is opened byte by byte is as good as any', async () => {
    await using place = await site({ pool: { max: 2 } })
    const held = await place.db.acquire()
    place.proxy.on({ to: 'server', type: '-', when: 'after' }, (link) => link.trickle())

    expect(await place.db.scalar('select 7')).toBe(7)
    await held.release()
  })
})
