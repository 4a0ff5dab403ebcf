/** Several servers in one URL, and how a connection is secured: the way to a server as libpq's parameters describe it. */

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { AuthenticationError, ConnectError, createDb, type EngineOptions, UsageError } from 'genever'
import { describe, expect, onTestFinished, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { certificate } from '../support/certificate.ts'
import { databaseUrl, freshDatabase, onServer } from '../support/database.ts'
import { deadPorts } from '../support/free-port.ts'
import { secureServer } from '../support/own-server.ts'
import { startProxy } from '../support/proxy.ts'
import { wantedDrivers } from '../support/extent.ts'
import { cluster, replicationServer } from '../support/replication.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'

/** The URL with these hosts in place of its own, and these parameters. */
async function at(hosts: readonly (number | 'here')[], parameters = '', url?: string): Promise<string> {
  const { username, password, port, pathname, hostname } = new URL(url ?? (await databaseUrl()))
  const secret = password === '' ? '' : `:${password}`
  const places = hosts.map((each) => (each === 'here' ? `${hostname}:${port}` : `127.0.0.1:${each}`))
  return `postgres://${username}${secret}@${places.join(',')}${pathname}${parameters === '' ? '' : `?${parameters}`}`
}

async function ask<T>(url: string, sql: string, options?: EngineOptions): Promise<T> {
  await using db = createDb(url, options)
  return (await db.scalar<T>(sql)) as T
}

/** Accepts connections and never says anything. */
async function silentServer(): Promise<{ port: number; reached: Promise<unknown> }> {
  const server = createServer(() => {}).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { port: (server.address() as AddressInfo).port, reached: once(server, 'connection') }
}

describe.skipIf(!wantedDrivers().includes('socket'))('several hosts', () => {
  test('are tried in their order, until one can be reached', async () => {
    expect(await ask(await at([deadPorts[0], 'here']), 'select 1')).toBe(1)
    expect(await ask(await at(['here', deadPorts[0]]), 'select 1')).toBe(1)
  })

  test('share the time: one that never answers leaves some to the next', async () => {
    const { port, reached } = await silentServer()
    const url = await at([port, 'here'])
    using time = leapingTime()

    const answer = ask(url, 'select 1', { pool: { connectTimeoutMs: 100_000, acquireTimeoutMs: Infinity } })
    await reached
    time.leap(50_000)

    expect(await answer).toBe(1)
  })

  test.each(['socket', 'pg'])(
    'share the time (%s): one that does not say whether it fits leaves some to the next, and its connection is closed',
    async (driver) => {
      await using proxy = await startProxy(await databaseUrl())
      const asked = proxy.cut({ to: 'server', text: 'pg_is_in_recovery', when: 'before' }, 'blackhole')
      const url = await at([Number(new URL(proxy.url).port), 'here'], 'target_session_attrs=primary')
      using time = leapingTime()

      const options: EngineOptions = { pool: { connectTimeoutMs: 100_000, acquireTimeoutMs: Infinity } }
      const answer = ask(url, 'select 1', { ...options, driver: driver as 'pg' })
      await until(() => asked.link !== null)
      time.leap(50_000)

      expect(await answer).toBe(1)
      await until(() => asked.link?.held === false)
    },
  )

  test('are tried in a random order when that is asked for', async () => {
    const url = await at([deadPorts[0], 'here'], 'load_balance_hosts=random')

    expect(await ask(url, 'select 1')).toBe(1)
  })

  test('may be given as options', async () => {
    const { hostname, port, username, password, pathname } = new URL(await databaseUrl())
    await using db = createDb({
      hosts: [
        { host: '127.0.0.1', port: deadPorts[0] },
        { host: hostname, port: Number(port) },
      ],
      user: username,
      ...(password === '' ? {} : { password: decodeURIComponent(password) }),
      database: pathname.slice(1),
    })

    expect(await db.scalar('select 1')).toBe(1)
  })

  test('fail together, each with its reason and none with the password', async () => {
    const [one, two] = deadPorts
    const error = await caught(createDb(`postgres://u:hunter2@127.0.0.1:${one},127.0.0.1:${two}/db`).open())

    expect(error).toBeInstanceOf(ConnectError)
    expect(error.message).toContain(`127.0.0.1:${one}: ECONNREFUSED; 127.0.0.1:${two}: ECONNREFUSED`)
    expect(error.message).not.toContain('hunter2')
  })

  test('are not asked further when one refuses the login', async () => {
    const role = `hosts_${process.pid}`
    await onServer(`create role ${role} login password 'right'`)
    onTestFinished(async () => void (await onServer(`drop role ${role}`)))
    const { hostname, port, pathname } = new URL(await databaseUrl())
    const { port: silent } = await silentServer()
    const url = `postgres://${role}:wrong@${hostname}:${port},127.0.0.1:${silent}${pathname}`

    expect(await caught(createDb(url).open())).toBeInstanceOf(AuthenticationError)
  })

  test('are asked for their role, which the parameter target_session_attrs names', async () => {
    const writable = new URL(await databaseUrl()).pathname.slice(1)
    await using fresh = await freshDatabase()
    await onServer(`alter database ${fresh.name} set default_transaction_read_only = on`)
    const role = async (target: string, url?: string): Promise<unknown> =>
      ask(await at(['here', 'here'], `target_session_attrs=${target}`, url), 'select current_database()')

    expect(await role('read-write')).toBe(writable)
    expect(await role('primary')).toBe(writable)
    expect(await role('prefer-standby')).toBe(writable)
    expect(await role('read-only', fresh.url)).toBe(fresh.name)
    expect(String(await caught(role('read-write', fresh.url)))).toContain('none of which is read-write')
    expect(String(await caught(role('standby')))).toContain('a primary')
    expect(String(await caught(role('read-only')))).toContain('read-write')
  })

  test('take one whose role will not do no connection away', async () => {
    const name = `hosts-role-${process.pid}`
    const url = await at(['here'], `target_session_attrs=standby&application_name=${name}`)
    await caught(createDb(url).open())

    const sessions = 'select from pg_stat_activity where application_name = $1'
    await until(async () => (await onServer(sessions, [name])).length === 0)
  })
})

describe.skipIf(replicationServer === undefined || !wantedDrivers().includes('socket'))(
  'a primary and a standby (PostgreSQL 15 of this machine)',
  () => {
    test('are told apart as libpq tells them, whichever is named first', async () => {
      await using servers = await cluster()
      const { primary } = servers
      await primary.start()
      const standby = await servers.follow()
      await standby.start()
      const [one, two] = [primary.port, standby.port]
      const cases: readonly (readonly [target: string, whenPrimaryIsFirst: number, whenStandbyIsFirst: number])[] = [
        ['any', one, two],
        ['read-write', one, one],
        ['primary', one, one],
        ['read-only', two, two],
        ['standby', two, two],
        ['prefer-standby', two, two],
      ]
      const question = 'select inet_server_port()'

      for (const [target, first, second] of cases)
        for (const [ports, expected] of [
          [[one, two], first],
          [[two, one], second],
        ] as const) {
          const hosts = ['127.0.0.1', ...ports.map(() => '127.0.0.1')].join()
          const source = `host=${hosts} port=${[deadPorts[0], ...ports].join()} user=postgres target_session_attrs=${target}`
          expect([String(expected), undefined]).toContain(byPsql(source, question))
          for (const driver of ['socket', 'pg'])
            expect([target, ports, await ask(source, question, { driver })]).toEqual([target, ports, expected])
        }
      const alone = `host=127.0.0.1 port=${one} user=postgres target_session_attrs=`
      for (const driver of ['socket', 'pg']) {
        expect(await ask(`${alone}prefer-standby`, question, { driver })).toBe(one)
        expect(String(await caught(ask(`${alone}standby`, question, { driver })))).toContain('a primary')
      }
    })
  },
)

/** What `psql` finds; undefined on a machine without it. */
function byPsql(source: string, question: string): string | undefined {
  try {
    return execFileSync('psql', ['-XAtw', '-d', source, '-c', question], { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trimEnd()
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined
    throw error
  }
}

describe.skipIf(!wantedDrivers().includes('socket')).each(['pg', 'socket'])('TLS with the driver %s', (driver) => {
  test('is used as sslmode says, and the password exchange is bound to it where that is asked for', async () => {
    await using server = await secureServer()
    const { port } = new URL(server.url)
    const base = `${driver}://secure:secret@127.0.0.1:${port}/postgres`
    const encrypted = 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'

    for (const mode of ['allow', 'prefer', 'require', 'no-verify'])
      expect([mode, await ask(`${base}?sslmode=${mode}`, encrypted)]).toEqual([mode, true])
    const trusted = { ssl: { ca: certificate } }
    for (const mode of ['verify-ca', 'verify-full'])
      expect([mode, await ask(`${base}?sslmode=${mode}`, encrypted, trusted)]).toEqual([mode, true])
    expect(await ask(`${base}?sslmode=require&channel_binding=require`, encrypted)).toBe(true)
    expect(await ask(`${base}?sslmode=require&channel_binding=prefer`, encrypted)).toBe(true)
    expect(await ask(`${base}?sslmode=require&sslnegotiation=direct`, encrypted)).toBe(true)
    const byAddress = `${driver}://secure:secret@localhost:${port}/postgres?hostaddr=127.0.0.1&sslmode=verify-full`
    expect(await ask(byAddress, encrypted, trusted)).toBe(true)

    expect(await caught(createDb(`${base}?sslmode=disable`).open())).toBeInstanceOf(AuthenticationError)
    const unsigned = await caught(createDb(`${base}?sslmode=verify-full`).open())
    expect(unsigned).toBeInstanceOf(ConnectError)
    expect(unsigned).toMatchObject({ retryable: false, message: expect.stringContaining('who signed the certificate') })
    const elsewhere = `${driver}://secure:secret@other.example:${port}/postgres?hostaddr=127.0.0.1&sslmode=verify-full`
    expect(await caught(createDb(elsewhere, trusted).open())).toBeInstanceOf(ConnectError)
    // The superuser needs no password here, so nothing can be bound.
    const trusting = `${driver}://postgres@127.0.0.1:${port}/postgres?sslmode=require&channel_binding=require`
    const refused = await caught(createDb(trusting).open())
    expect(refused).toBeInstanceOf(UsageError)
    expect(refused.message).toContain('does not ask for a password')
  })

  test('is left out under prefer where the server has none, and demanded under require', async () => {
    const { href } = new URL(await at(['here']))
    const url = href.replace('postgres:', `${driver}:`)

    expect(await ask(`${url}?sslmode=prefer`, 'select 1')).toBe(1)
    expect(await ask(`${url}?sslmode=allow`, 'select 1')).toBe(1)
    const refused = await caught(createDb(`${url}?sslmode=require`).open())
    expect(refused).toBeInstanceOf(ConnectError)
    expect(refused).toMatchObject({ retryable: false, message: expect.stringContaining('sslmode=disable') })
  })
})
