/** A database that cannot be opened is asked at the pace of one that was open once, however many callers try again at once. */

import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { ConnectError, createDb, type Db, PoolClosedError, TooManyConnectionsError } from 'genever'
import { afterEach, describe, expect, test } from 'vitest'
import { FakeDriver } from '../support/fake/driver.ts'
import { caught } from '../support/caught.ts'
import { serverUrl } from '../support/database.ts'
import { forEachDriver } from '../support/matrix.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

/** A server that counts who connects, and lets nobody in. */
async function refusing(answer: (socket: Socket) => unknown = (socket) => socket.destroy()): Promise<{
  readonly url: string
  connects: number
}> {
  const server = createServer((socket) => {
    counted.connects++
    socket.on('error', () => {})
    answer(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.push(() => server.close())
  const counted = { connects: 0, url: '' }
  counted.url = `postgres://postgres@127.0.0.1:${(server.address() as { port: number }).port}/none`
  return counted
}

/** ErrorResponse to the start-up message. */
const says =
  (code: string) =>
  (socket: Socket): void => {
    const body = Buffer.from(`SFATAL\0VFATAL\0C${code}\0Msorry\0\0`, 'latin1')
    const head = Buffer.alloc(5)
    head.write('E')
    head.writeInt32BE(body.length + 4, 1)
    socket.once('data', () => socket.end(Buffer.concat([head, body])))
  }

const callers = 20
const spanMs = 250
/** How often a server may have been asked in so much time: the shortest pause is 50 ms; two are under way at the borders of the span. */
const mostIn = (ms: number): number => ms / 50 + 3

/** Callers that try again at once for a while, and until it is `enough`; `most` is how often that may have asked the server. */
async function hammer(
  use: () => Promise<unknown>,
  enough: () => boolean = () => true,
): Promise<{ readonly names: string[]; readonly most: number }> {
  const names = new Set<string>()
  const began = performance.now()
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (performance.now() - began < spanMs || !enough()) {
        names.add((await caught(use())).name)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }),
  )
  return { names: [...names], most: mostIn(performance.now() - began) }
}

const closing = (db: Db): Db => {
  ends.push(() => db.close({ timeoutMs: 0 }))
  return db
}

describe('callers that try again and again', () => {
  test.each<[string, (db: Db) => Promise<unknown>]>([
    ['statements', (db) => db.scalar('select 1')],
    ['scopes', (db) => db.scope(() => {})],
    ['transactions', (db) => db.transaction(() => {})],
    ['handles', (db) => db.acquire()],
    ['open()', (db) => db.open()],
  ])('do not hammer a server that lets nobody in: %s', async (_, use) => {
    const server = await refusing()
    const db = closing(createDb(server.url, { pool: { min: 5, max: 10 } }))

    const { names, most } = await hammer(
      () => use(db),
      () => server.connects > 1,
    )
    expect(names).toEqual(['ConnectError'])

    expect(server.connects).toBeLessThanOrEqual(most)
  })

  test('nor one that refuses their password, and each is told so', async () => {
    const server = await refusing(says('28P01'))
    const db = closing(createDb(server.url))

    const { names, most } = await hammer(() => db.scalar('select 1'))
    expect(names).toEqual(['AuthenticationError'])

    expect(server.connects).toBeLessThanOrEqual(most)
  })

  test('nor by withBind, where each has an engine of its own', async () => {
    const server = await refusing()
    const db = createDb()

    const { names, most } = await hammer(() => db.withBind(server.url, () => {}))
    expect(names).toEqual(['ConnectError'])

    // The first ones came before anybody knew.
    expect(server.connects).toBeLessThanOrEqual(callers + most)
  })

  test('several databases have a pace each, and one that is well is as quick as ever', async () => {
    const server = await refusing()
    const dead = [1, 2, 3].map(() => closing(createDb(server.url)))
    const well = closing(createDb(serverUrl()))
    let turn = 0

    const hammering = hammer(() => (dead[turn++ % 3] as Db).scalar('select 1'))
    expect(await well.scalar('select 1')).toBe(1)
    const { most } = await hammering

    expect(server.connects).toBeLessThanOrEqual(most * 3)
  })

  test('are served as soon as the server lets them in', async () => {
    const proxy = await startProxy(serverUrl())
    ends.push(() => proxy[Symbol.asyncDispose]())
    let refuse = true
    const gate = await refusing((socket) => {
      if (refuse) socket.destroy()
    })
    const db = closing(createDb(() => (refuse ? gate.url : proxy.url)))
    await hammer(() => db.scalar('select 1'))
    refuse = false

    expect(await db.scalar('select 2')).toBe(2)
    expect(await db.scalar('select 3')).toBe(3)
  })

  test('a name that cannot be looked up, and a source that throws, are told to each of them', async () => {
    let asked = 0
    const nameless = closing(createDb('postgres://postgres@no-such-host.invalid/none'))
    const sourceless = closing(
      createDb(() => {
        asked++
        throw new RangeError('no vault')
      }),
    )

    expect(await caught(nameless.scalar('select 1'))).toBeInstanceOf(ConnectError)
    const { names, most } = await hammer(() => sourceless.scalar('select 1'))
    expect(names).toEqual(['RangeError'])
    expect(asked).toBeLessThanOrEqual(most)
  })
})

describe('a server without room for another connection', () => {
  const full = async (): Promise<{ readonly other: Db; readonly db: Db; readonly driver: FakeDriver }> => {
    const driver = new FakeDriver({ maxConnections: 1 })
    const other = await createDb({ driver }).open()
    return { driver, other, db: closing(createDb({ driver }, { pool: { acquireTimeoutMs: 20_000 } })) }
  }

  test('is waited for by statements, and refuses open() at once', async () => {
    const { db, other } = await full()
    const waiting = [db.scalar('select 1'), db.transaction((tx) => tx.scalar('select 2')), db.scope(() => 3)]

    expect(await caught(db.open())).toBeInstanceOf(TooManyConnectionsError)
    await other.close()

    expect(await Promise.all(waiting)).toEqual([1, 2, 3])
  })

  test('is waited for by withBind', async () => {
    const { driver, other } = await full()
    const db = createDb()
    const waiting = db.withBind({ driver }, () => db.scalar('select 1'))
    await new Promise((resolve) => setTimeout(resolve, 100))
    await other.close()

    expect(await waiting).toBe(1)
  })

  test('is told of when no room is made in the time of a wait', async () => {
    const driver = new FakeDriver({ maxConnections: 0 })
    const db = closing(createDb({ driver }, { pool: { acquireTimeoutMs: 1_000 } }))

    expect(await caught(db.scalar('select 1'))).toBeInstanceOf(TooManyConnectionsError)
    expect(await caught(db.scalar('select 1', [], { timeoutMs: 20 }))).toMatchObject({ name: 'AcquireTimeoutError' })
  })

  test('does not keep close() waiting', async () => {
    const { db, other } = await full()
    const waiting = caught(db.scalar('select 1'))
    await until(async () => (await caught(db.open())) instanceof TooManyConnectionsError)

    await db.close()

    expect(await waiting).toBeInstanceOf(Error)
    await other.close()
  })

  test('asks over the wire at the same pace', async () => {
    const server = await refusing(says('53300'))
    const db = closing(createDb(server.url, { pool: { acquireTimeoutMs: 4 * spanMs } }))

    const began = performance.now()
    const errors = await Promise.all(Array.from({ length: callers }, () => caught(db.scalar('select 1'))))
    const most = mostIn(performance.now() - began)

    expect(new Set(errors.map(({ name }) => name))).toEqual(new Set(['TooManyConnectionsError']))
    // On a busy machine one attempt may take all of the time.
    expect(server.connects).toBeGreaterThan(0)
    expect(server.connects).toBeLessThanOrEqual(most)
  })
})

forEachDriver((driver) => {
  test('statements that wait for the opening are served by close(), all of them; later ones are not', async () => {
    const table = await driver.table('n int')
    const db = createDb(await driver.url(), { pool: { max: driver.most === 1 ? 1 : 2 } })
    const issued = [
      db.scalar('select 1'),
      db.transaction(async (tx) => {
        await tx.status(`insert into ${table} values (1)`)
        return tx.scalar(`select count(*) + 1 from ${table}`)
      }),
      db.scope(() => db.scalar('select 3')),
      db.iterate<{ n: number }>('select 4 as n').read(),
    ]
    await until(() => String(db) === 'Db { opening }')

    const report = await db.close()
    const late = caught(db.scalar('select 5'))

    expect(await Promise.all(issued)).toEqual([1, 2, 3, { n: 4 }])
    expect(report.broken).toEqual([])
    expect(await late).toBeInstanceOf(PoolClosedError)
  })

  test('whoever opens it explicitly is told at once that it was closed', async () => {
    const db = createDb(await driver.url())
    const opening = caught(db.open())

    await db.close()

    expect(await opening).toBeInstanceOf(PoolClosedError)
  })
})
