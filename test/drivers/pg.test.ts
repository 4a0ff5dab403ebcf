/** The driver `pg`: the contract, and what only a server of its own can show. */

import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { pgDriver } from '../../src/driver/pg/driver.ts'
import type { Driver } from '../../src/driver/driver.ts'
import { Dirty } from '../../src/sql/compiled.ts'
import { type FreshDatabase, freshDatabase, onServer } from '../support/database.ts'
import { until } from '../support/until.ts'
import { driverContract } from './contract/contract.ts'
import { closeAll, connect, failureOf, later, TestConnection, type TestOp } from './test-connection.ts'

let database: Promise<FreshDatabase> | undefined

async function options(): Promise<Record<string, unknown>> {
  database ??= freshDatabase()
  return fromUrl((await database).url)
}

function fromUrl(text: string): Record<string, unknown> {
  const url = new URL(text)
  const password = url.password === '' ? undefined : decodeURIComponent(url.password)
  return {
    host: url.hostname,
    port: Number(url.port || 5432),
    user: url.username,
    password,
    database: url.pathname.slice(1),
  }
}

const driver = pgDriver as Driver
const open = async (more: Record<string, unknown> = {}): Promise<TestConnection> =>
  connect(driver, { ...(await options()), ...more })
const opening = async (more: Record<string, unknown>, deadline = later()): Promise<unknown> =>
  driver.open(driver.parse({ ...(await options()), ...more }), new TestConnection(), deadline)

/** A server of somebody else may let everybody in. */
async function trusts(user: string): Promise<boolean> {
  const connection = await open({ user }).catch(() => null)
  await connection?.raw.close(later())
  if (connection !== null) await onServer(`drop role ${user}`)
  return connection !== null
}

driverContract({ name: 'pg', driver, options })

const servers: Server[] = []
const sockets = new Set<Socket>()

/** A port where `meet` meets whoever connects. */
async function listen(meet: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    meet(socket)
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as { port: number }).port
}

/** A port that passes everything on to the server, until told to stop. */
async function proxy(): Promise<{ port: number; blackhole(): void; refuse(): void; cut(): void }> {
  const { host, port } = (await options()) as { host: string; port: number }
  let refusing = false
  const links: [Socket, Socket][] = []
  const own = await listen((client) => {
    if (refusing) {
      client.destroy()
      return
    }
    const server = connectSocket(port, host).on('error', () => {})
    sockets.add(server)
    client.pipe(server).pipe(client)
    links.push([client, server])
  })
  return {
    port: own,
    blackhole: () => links.forEach(([client, server]) => client.unpipe(server) && server.unpipe(client)),
    refuse: () => (refusing = true),
    cut: () => links.forEach(([client, server]) => client.destroy() && server.destroy()),
  }
}

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  for (const server of servers.splice(0)) server.close()
  sockets.clear()
  await closeAll()
})

/** Resolves when the server sleeps for it. */
const sleeping = (c: TestConnection): Promise<unknown> =>
  until(
    async () =>
      (await onServer(`select 1 from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'`, [c.raw.id])).length >
      0,
    { what: 'it sleeps' },
  )

describe('pg: cancelling', () => {
  test('stops what runs, and tells that the connection is free only after the fence', async () => {
    const c = await open()
    const op = c.op('select pg_sleep(60)')
    let told: readonly string[] | undefined
    const fail = op.fail.bind(op)
    op.fail = (failure) => {
      told = [...c.told]
      fail(failure)
    }
    c.raw.submit(op)
    await sleeping(c)
    const cancelling = c.raw.cancel(op, later())

    expect(c.raw.quarantined).toBe(true)
    expect((await c.run('select 1')).end).toBe('closed not_started')
    await op.settled
    expect([op.end, told]).toEqual(['server 57014 rolled_back', []])
    expect(await cancelling).toBe('cancelled')
    expect([c.raw.quarantined, c.told]).toEqual([false, ['room', 'idle']])
    expect(await c.value('select 1')).toBe(1)
  })

  test('in a transaction fails it, also when it is asked at once', async () => {
    for (let i = 0; i < 5; i++) {
      const c = await open()
      await c.run('begin')
      const op = c.op('select pg_sleep(60)')
      c.raw.submit(op)

      expect(await c.raw.cancel(op, later())).toBe('cancelled')
      expect(c.raw.status).toBe('failed')
    }
  })

  test('never hits a later statement', async () => {
    const c = await open()
    const counts = { cancelled: 0, completed: 0, innocent: 0 }
    for (let i = 0; i < 200; i++) {
      // However busy the machine is, some are cancelled.
      const op = c.op(`select pg_sleep(${i % 20 === 0 ? 60 : 0.002})`)
      c.raw.submit(op)
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 4))
      const verdict = await c.raw.cancel(op, later())
      expect(verdict).not.toBe('broken')
      counts[verdict as 'cancelled' | 'completed']++
      if ((await c.run('select count(*) from generate_series(1, 2000)')).failure !== null) counts.innocent++
    }

    expect(counts).toMatchObject({ innocent: 0 })
    expect(counts.cancelled).toBeGreaterThan(0)
  })

  test('breaks at its deadline when the server does not answer, or cannot be asked', async () => {
    const link = await proxy()
    const [silent, refused] = [await open({ port: link.port }), await open({ port: link.port })]
    const ops = [silent, refused].map((c) => {
      const op = c.op('select pg_sleep(60)')
      c.raw.submit(op)
      return op
    }) as [TestOp, TestOp]
    link.refuse()
    expect(await refused.raw.cancel(ops[1], later(1000))).toBe('broken')
    link.blackhole()

    expect(await silent.raw.cancel(ops[0], later(100))).toBe('broken')
    expect([silent.raw.quarantined, await silent.raw.ping(later(50))]).toEqual([true, false])
    silent.raw.destroy({ kind: 'timeout', outcome: 'unknown' })
    refused.raw.destroy({ kind: 'timeout', outcome: 'unknown' })
  })

  test('a reset and a ping end at their deadline too', async () => {
    const link = await proxy()
    const c = await open({ port: link.port })
    link.blackhole()

    expect(await c.raw.ping(later(50))).toBe(false)
    const d = await open({ port: (await proxy()).port })
    expect(await d.raw.ping(later())).toBe(true)
  })
})

describe('pg: loss', () => {
  test('a server that ends an idle connection says why', async () => {
    const c = await open()
    await onServer('select pg_terminate_backend($1)', [c.raw.id])
    await until(() => c.told.length > 0)

    expect([c.told, c.raw.alive]).toEqual([['lost lost 57P01'], false])
  })

  test('what was in flight fails as lost, with what the server said', async () => {
    const c = await open()
    await c.run('begin')
    const op = c.op('select pg_sleep(60)')
    c.raw.submit(op)
    await onServer('select pg_terminate_backend($1)', [c.raw.id])

    expect((await op.settled).end).toBe('lost 57P01 rolled_back')
    await until(() => c.told.length > 2)
    expect(c.told.slice(2)).toEqual(['lost lost 57P01'])
  })

  test('a server that ends an idle transaction may say so twice', async () => {
    const c = await open()
    await c.run("set idle_in_transaction_session_timeout to '30ms'")
    await c.run('begin')
    await until(() => !c.raw.alive)

    await until(() => c.told.some((what) => what.startsWith('lost')))
    expect(c.told.filter((what) => what.startsWith('lost'))).toEqual(['lost lost 25P03'])
  })

  test('a socket that breaks loses the connection', async () => {
    const link = await proxy()
    const c = await open({ port: link.port })
    const op = c.op('select pg_sleep(60)')
    c.raw.submit(op)
    link.cut()

    expect((await op.settled).end).toBe('lost unknown')
    await until(() => c.told.length > 0)
    expect(c.told).toEqual(['lost lost'])
  })

  test('closing says good-bye to the server', async () => {
    const c = await open()
    await c.raw.close(later())
    const [row] = await onServer('select count(*)::int as n from pg_stat_activity where pid = $1', [c.raw.id])

    await until(async () => {
      const [left] = await onServer('select count(*)::int as n from pg_stat_activity where pid = $1', [c.raw.id])
      return left?.['n'] === 0
    })
    expect(row).toBeDefined()
  })

  test('an idle connection holds no process, a busy one does', async () => {
    const c = await open()
    const handle = (c.raw.native as any).connection.stream._handle as { hasRef(): boolean }
    const idle = handle.hasRef()
    const op = c.op('select 1')
    c.raw.submit(op)
    const busy = handle.hasRef()
    await op.settled

    expect([idle, busy, handle.hasRef()]).toEqual([false, true, false])
  })
})

describe('pg: opening', () => {
  test('has the id of the server process', async () => {
    const c = await open()

    expect(await c.value('select pg_backend_pid()')).toBe(c.raw.id)
  })

  test('fails with what the server says, and what that says about the rest', async (context) => {
    const role = `opener_${process.pid}`
    await onServer(`create role ${role} login password 'right'`)
    if (await trusts(role)) context.skip('this server asks for no passwords')
    const failures = [
      await failureOf(opening({ user: role, password: 'wrong' })),
      await failureOf(opening({ user: role })),
      await failureOf(opening({ database: 'nowhere' })),
    ]
    await onServer(`drop role ${role}`)

    expect(failures.map(({ kind, outcome, fields }) => [kind, outcome, fields?.['code']])).toEqual([
      ['server', 'not_started', '28P01'],
      ['server', 'not_started', '28P01'],
      ['server', 'not_started', '3D000'],
    ])
    expect(failures.map((failure) => driver.classify(failure))).toEqual(['config', 'config', 'config'])
    expect(JSON.stringify(failures)).not.toMatch(/wrong|right/)
  })

  test('asks a function for the password, for every connection', async (context) => {
    const role = `asked_${process.pid}`
    await onServer(`create role ${role} login password 'secret'`)
    if (await trusts(role)) context.skip('this server asks for no passwords')
    let asked = 0
    const password = async (): Promise<string> => {
      asked++
      return 'secret'
    }
    for (let i = 0; i < 2; i++)
      expect(await (await open({ user: role, password })).value('select current_user')).toBe(role)
    const broken = await failureOf(opening({ user: role, password: () => Promise.reject(new Error('no vault')) }))
    await closeAll()
    await onServer(`drop role ${role}`)

    expect(asked).toBe(2)
    expect([broken.kind, broken.outcome, (broken.cause as Error).message]).toEqual(['lost', 'not_started', 'no vault'])
  })

  test('fails when nobody listens', async () => {
    const failure = await failureOf(opening({ port: 1 }))

    expect([failure.kind, failure.outcome, driver.classify(failure)]).toEqual(['lost', 'not_started', 'endpoint'])
  })

  test('fails at its deadline when the server is silent, and leaves nothing behind', async () => {
    let ended = false
    const port = await listen((socket) => socket.resume().on('close', () => (ended = true)))
    const failure = await failureOf(opening({ port }, later(100)))

    expect([failure.kind, failure.outcome, driver.classify(failure)]).toEqual(['timeout', 'not_started', 'endpoint'])
    await until(() => ended)
  })

  test('fails when something else answers', async () => {
    const port = await listen((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const failure = await failureOf(opening({ port }, later(500)))

    expect(['lost', 'timeout', 'server', 'protocol']).toContain(failure.kind)
  })

  test('a server without TLS is refused when TLS is asked for', async () => {
    const failure = await failureOf(opening({ ssl: true }))

    expect([failure.kind, driver.classify(failure)]).toEqual(['lost', 'config'])
  })

  test('settings of the options outlive every reset', async () => {
    const c = await open({
      settings: { search_path: 'app, public', 'app.tenant': 'a b\\c' },
      applicationName: 'harbour',
    })
    await c.run("set search_path to x; set app.tenant to ''")
    await c.raw.reset(Dirty.unknown, later())

    expect(await c.value('show search_path')).toBe('app, public')
    expect(await c.value('show app.tenant')).toBe('a b\\c')
    expect(await c.value('show application_name')).toBe('harbour')
  })

  test('another date style of the server is overruled, after a reset too', async () => {
    const c = await open({ options: '-c datestyle=German' })
    const date = await c.value('select now()')
    await c.raw.reset(Dirty.unknown, later())

    expect([date, await c.value('select now()')]).toEqual([expect.any(Date), expect.any(Date)])
  })

  test('refuses a NUL in whatever goes into the first packet', () => {
    const nul = {
      user: 'a\0b',
      database: 'a\0',
      applicationName: '\0',
      options: '\0',
      settings: { a: '\0' },
      password: '\0',
    }

    expect(() => driver.parse(nul)).toThrow(/user.*database.*applicationName.*options.*settings.*password/)
  })
})
