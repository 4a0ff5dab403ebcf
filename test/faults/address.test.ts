/** A host name that leads to another address after a failover. */

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { createDb, type Db, QueryTimeoutError } from 'genever'
import { afterEach, expect, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { onServer, serverUrl } from '../support/database.ts'
import { freePort } from '../support/free-port.ts'
import { until } from '../support/until.ts'
import { zone } from '../support/zone.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

const name = 'db.genever.test'

interface Address extends AsyncDisposable {
  /** How many connections arrived. */
  readonly arrived: number
  readonly open: number
  /** Nobody can connect any more, and those there are break. */
  fail(): void
}

/** Leads to the server of the tests, at one of the many addresses of the loopback. */
async function address(ip: string, port: number): Promise<Address> {
  const { port: target } = new URL(serverUrl())
  const sockets = new Set<Socket>()
  let arrived = 0
  const server = createServer((socket) => {
    arrived++
    const upstream = connect(Number(target), '127.0.0.1')
    sockets.add(socket)
    socket.once('close', () => (sockets.delete(socket), upstream.destroy()))
    upstream.once('close', () => socket.destroy())
    for (const each of [socket, upstream]) each.on('error', () => {})
    socket.pipe(upstream).pipe(socket)
  })
  await once(server.listen(port, ip), 'listening')
  const fail = (): void => {
    server.close()
    for (const socket of sockets) socket.resetAndDestroy()
  }
  return {
    get arrived() {
      return arrived
    },
    get open() {
      return sockets.size
    },
    fail,
    async [Symbol.asyncDispose]() {
      fail()
      if (server.listening) await once(server, 'close')
    },
  }
}

function open(port: number, pool: Readonly<Record<string, number>> = {}): Promise<Db> {
  const url = new URL(serverUrl())
  url.hostname = name
  url.port = String(port)
  return createDb(url.href, {
    pool: { acquireTimeoutMs: 50_000, connectTimeoutMs: 50_000, ...pool },
    cancelTimeoutMs: 50_000,
  }).open()
}

test('is looked up for every connection: after the old address failed, the next ones go to the new one', async () => {
  const port = await freePort()
  await using old = await address('127.0.0.1', port)
  await using next = await address('127.0.0.2', port)
  const entry = zone(name, '127.0.0.1')
  await using db = await open(port, { max: 3 })
  const held = await Promise.all([1, 2, 3].map(() => db.acquire()))
  for (const connection of held) await connection.release()
  const before = old.arrived

  entry.addresses = ['127.0.0.2']
  old.fail()
  await until(() => db.stats().open === 0)
  const values = await Promise.all(Array.from({ length: 10 }, (_, n) => db.scalar('select $1::int', [n])))

  expect(values).toEqual(Array.from({ length: 10 }, (_, n) => n))
  await until(() => db.stats().opening === 0)
  expect(old.arrived).toBe(before)
  expect(next.arrived).toBeGreaterThanOrEqual(1)
  expect(entry.asked).toBe(old.arrived + next.arrived)
})

test('while the old address still answers its connections stay, and move when they reach their age', async () => {
  const port = await freePort()
  await using old = await address('127.0.0.1', port)
  await using next = await address('127.0.0.2', port)
  const entry = zone(name, '127.0.0.1')
  await using steady = await open(port, { max: 1, maxLifetimeMs: 600_000 })
  await using aging = await open(port, { max: 1, maxLifetimeMs: 400 })
  entry.addresses = ['127.0.0.2']

  await until(() => old.open === 1)
  const values = [await steady.scalar('select 1'), await aging.scalar('select 2')]

  expect(values).toEqual([1, 2])
  expect([old.open, next.arrived > 0]).toEqual([1, true])
})

test('a cancel request goes to the address of the connection it is for, wherever the name leads by then', async () => {
  const port = await freePort()
  await using old = await address('127.0.0.1', port)
  await using next = await address('127.0.0.2', port)
  const entry = zone(name, '127.0.0.1')
  await using db = await open(port, { max: 1 })
  const mark = `address ${process.pid}`
  const told = caught(db.scalar(`select 1 from pg_sleep(60) /* ${mark} */`, [], { timeoutMs: 300 }))
  entry.addresses = ['127.0.0.2']

  expect(await told).toBeInstanceOf(QueryTimeoutError)

  expect(await db.scalar('select 7')).toBe(7)
  // A request that has had no effect for a while is sent again.
  expect(old.arrived).toBeGreaterThanOrEqual(2)
  expect(next.arrived).toBe(0)
  expect(
    await onServer(
      `select 1 from pg_stat_activity where state = 'active' and query like $1 and pid <> pg_backend_pid()`,
      [`%${mark}%`],
    ),
  ).toEqual([])
})

test('a name that leads nowhere for a while is asked again until it does', async () => {
  const port = await freePort()
  await using old = await address('127.0.0.1', port)
  const entry = zone(name, '127.0.0.1')
  await using db = await open(port, { max: 1 })
  await using next = await address('127.0.0.2', port)
  entry.addresses = ['127.0.0.3']
  old.fail()
  await until(() => db.stats().open === 0)
  const asked = entry.asked
  const waiting = db.scalar('select 7')
  await until(() => entry.asked > asked + 1)

  entry.addresses = ['127.0.0.2']

  expect(await waiting).toBe(7)
  expect(next.arrived).toBe(1)
})
