/** A host name that leads to several addresses: they are tried in order, each beside those that have not answered yet. */

import dns from 'node:dns'
import { once } from 'node:events'
import { connect, createServer, type Server, Socket } from 'node:net'
import { AuthenticationError, ConnectError, createDb, type Db, type EngineOptions } from 'genever'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { onServer, serverUrl } from '../support/database.ts'
import { freePort } from '../support/free-port.ts'
import { until } from '../support/until.ts'
import { zone } from '../support/zone.ts'
import { leapingTime } from '../support/virtual-time.ts'

const name = 'db.genever.test'

afterEach(() => {
  vi.restoreAllMocks()
})

async function listening(ip: string, port: number, welcome: (socket: Socket) => void): Promise<Server> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    welcome(socket)
  })
  await once(server.listen(port, ip), 'listening')
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return server
}

interface Swallowed {
  readonly ip: string
  readonly socket: Socket
  /** The packets arrive after all. */
  arrive(): void
}

/** What is sent to these addresses goes nowhere: neither a connection nor a refusal comes back. Gives who tried, in order. */
function swallowing(...ips: readonly string[]): Swallowed[] {
  const tried: Swallowed[] = []
  // oxlint-disable-next-line typescript/unbound-method -- it is applied to the socket
  const real = Socket.prototype.connect as (...args: unknown[]) => Socket
  vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (this: Socket, ...args: unknown[]) {
    const ip = ips.find((each) => JSON.stringify(args).includes(JSON.stringify(each)))
    if (ip === undefined) return real.apply(this, args)
    tried.push({ ip, socket: this, arrive: () => void real.apply(this, args) })
    return this
  })
  return tried
}

/** Leads to the server of the tests, at one of the many addresses of the loopback. Gives how many connections arrived. */
async function served(ip: string, port: number): Promise<() => number> {
  let arrived = 0
  await listening(ip, port, (socket) => {
    arrived++
    const upstream = connect(Number(new URL(serverUrl()).port), '127.0.0.1').on('error', () => {})
    socket.once('close', () => upstream.destroy())
    upstream.once('close', () => socket.destroy())
    socket.pipe(upstream).pipe(socket)
  })
  return () => arrived
}

function open(port: number, driver: string, parameters = '', options: EngineOptions = {}): Promise<Db> {
  const url = new URL(serverUrl())
  url.hostname = name
  url.port = String(port)
  url.search = parameters
  const db = createDb(url.href, { driver: driver as 'pg', ...options })
  onTestFinished(async () => void (await db.close()))
  return db.open()
}

describe.each(['pg', 'socket'])('%s', (driver) => {
  test('the next address is tried where nobody listens at one', async () => {
    const port = await freePort()
    await served('127.0.0.3', port)
    zone(name, '127.0.0.2', '127.0.0.3', '127.0.0.4')

    const db = await open(port, driver)

    expect(await db.scalar('select 7')).toBe(7)
  })

  test('one that never answers leaves time to the next', async () => {
    const port = await freePort()
    const reached = once(await listening('127.0.0.2', port, () => {}), 'connection')
    await served('127.0.0.3', port)
    zone(name, '127.0.0.2', '127.0.0.3')
    using time = leapingTime()

    const opening = open(port, driver, '', { pool: { connectTimeoutMs: 100_000, acquireTimeoutMs: Infinity } })
    await reached
    time.leap(50_000)

    expect(await (await opening).scalar('select 7')).toBe(7)
  })

  test('one that swallows packets holds nobody up: the next is tried beside it, and its socket is closed', async () => {
    const port = await freePort()
    const arrived = await served('127.0.0.3', port)
    zone(name, '127.0.0.2', '127.0.0.3', '127.0.0.4')
    const tried = swallowing('127.0.0.2')

    // Half of it would never be over.
    const db = await open(port, driver, '', { pool: { connectTimeoutMs: 2_000_000_000, acquireTimeoutMs: Infinity } })

    expect(await db.scalar('select 7')).toBe(7)
    expect(tried.map(({ ip, socket }) => [ip, socket.destroyed])).toEqual([['127.0.0.2', true]])
    expect(arrived()).toBe(1)
  })

  test('the first goes on beside the next, and wins if it is connected first', async () => {
    const port = await freePort()
    const arrived = await served('127.0.0.2', port)
    zone(name, '127.0.0.2', '127.0.0.3')
    const tried = swallowing('127.0.0.2', '127.0.0.3')

    const opening = open(port, driver, '', { pool: { connectTimeoutMs: 2_000_000_000, acquireTimeoutMs: Infinity } })
    await until(() => tried.length === 2)
    tried[0]?.arrive()

    expect(await (await opening).scalar('select 7')).toBe(7)
    expect(tried.map(({ ip, socket }) => [ip, socket.destroyed])).toEqual([
      ['127.0.0.2', false],
      ['127.0.0.3', true],
    ])
    expect(arrived()).toBe(1)
  })

  test('one that lost is tried again where the connected one gives no session', async () => {
    const port = await freePort()
    const arrived = await served('127.0.0.2', port)
    await listening('127.0.0.3', port, (socket) => socket.once('data', () => socket.resetAndDestroy()))
    zone(name, '127.0.0.2', '127.0.0.3')
    const tried = swallowing('127.0.0.2')
    const opening = open(port, driver, '', { pool: { connectTimeoutMs: 2_000_000_000, acquireTimeoutMs: Infinity } })

    await until(() => tried.length === 2)
    tried[1]?.arrive()

    expect(await (await opening).scalar('select 7')).toBe(7)
    expect(tried[0]?.socket.destroyed).toBe(true)
    expect(arrived()).toBe(1)
    expect(vi.mocked(dns.lookup).mock.calls.filter(([host]) => host === name)).toHaveLength(1)
  })

  test('the error names one that swallowed packets and one that refused', async () => {
    const port = await freePort()
    zone(name, '127.0.0.2', '127.0.0.3')
    const tried = swallowing('127.0.0.2')
    using time = leapingTime()

    const opening = caught(open(port, driver, '', { pool: { connectTimeoutMs: 100_000, acquireTimeoutMs: Infinity } }))
    await until(() => tried.length === 1)
    time.leap(50_000)
    const error = await opening

    expect(error).toBeInstanceOf(ConnectError)
    expect(error.message).toContain(`${name}:${port} (127.0.0.2): no answer in time`)
    expect(error.message).toContain(`${name}:${port} (127.0.0.3): ECONNREFUSED`)
    expect(tried[0]?.socket.destroyed).toBe(true)
  })

  test('where all fail the error names each of them', async () => {
    const port = await freePort()
    zone(name, '127.0.0.2', '127.0.0.3')

    const error = await caught(open(port, driver))

    expect(error).toBeInstanceOf(ConnectError)
    expect(error.message).toContain(
      `${name}:${port} (127.0.0.2): ECONNREFUSED; ${name}:${port} (127.0.0.3): ECONNREFUSED`,
    )
  })

  test('one that refuses the login ends the search', async () => {
    const port = await freePort()
    const role = `addresses_${driver}_${process.pid}`
    await onServer(`create role ${role} login password 'right'`)
    onTestFinished(async () => void (await onServer(`drop role ${role}`)))
    await served('127.0.0.2', port)
    const second = await served('127.0.0.3', port)
    zone(name, '127.0.0.2', '127.0.0.3')
    const url = new URL(serverUrl())

    using _ = leapingTime(250)
    const wrong = `postgres://${role}:wrong@${name}:${port}${url.pathname}`

    expect(await caught(createDb(wrong, { driver: driver as 'pg' }).open())).toBeInstanceOf(AuthenticationError)
    expect(second()).toBe(0)
  })

  test('load_balance_hosts=random tries them in a random order', async () => {
    const port = await freePort()
    const [one, other] = [await served('127.0.0.2', port), await served('127.0.0.3', port)]
    zone(name, '127.0.0.2', '127.0.0.3')

    await until(async () => {
      await (await open(port, driver, 'load_balance_hosts=random')).close()
      return one() > 0 && other() > 0
    })
  })

  test('all connections go to the first that answers without it', async () => {
    const port = await freePort()
    const [one, other] = [await served('127.0.0.2', port), await served('127.0.0.3', port)]
    zone(name, '127.0.0.2', '127.0.0.3')
    using _ = leapingTime(250)
    const db = await open(port, driver, '', { pool: { max: 3 } })

    const held = await Promise.all([1, 2, 3].map(() => db.acquire()))
    for (const connection of held) await connection.release()

    expect([one(), other()]).toEqual([3, 0])
  })
})
