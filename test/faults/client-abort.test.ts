/** Clients of a web server that go away at any moment, while their request uses the database. */

import { EventEmitter, once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { onServer } from '../support/database.ts'
import { until } from '../support/until.ts'
import { site, type Site, sound } from './support.ts'

interface Web extends AsyncDisposable {
  readonly port: number
  /** Emits the id of each request that arrived: what stands behind the `?` of its URL. */
  readonly arrivals: EventEmitter
  /** How many requests are being handled. */
  readonly busy: number
  readonly seen: number
}

type Handler = (request: { readonly path: string; readonly signal: AbortSignal }) => Promise<unknown>

/** A plain server: the signal of a request aborts when its client has gone before the answer was sent. */
async function serve(handle: Handler): Promise<Web> {
  let busy = 0
  let seen = 0
  const arrivals = new EventEmitter().setMaxListeners(0)
  const answer = async (url: string, response: ServerResponse): Promise<void> => {
    const [path = '', id = ''] = url.split('?')
    arrivals.emit(id)
    const controller = new AbortController()
    response.once('close', () => {
      if (!response.writableFinished) controller.abort(new Error('the client went away'))
    })
    busy++
    seen++
    try {
      response.end(JSON.stringify(await handle({ path, signal: controller.signal })))
    } catch {
      response.writeHead(500).end()
    } finally {
      busy--
    }
  }
  const server: Server = createServer((request, response) => void answer(request.url ?? '', response))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    arrivals,
    get busy() {
      return busy
    },
    get seen() {
      return seen
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

let asked = 0

/** Asks, and destroys its socket so long after the request arrived, or at once: it may then never arrive. */
async function impatient(web: Web, path: string, ms: number | null): Promise<void> {
  const id = `${++asked}`
  const socket = connect(web.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.resume()
  const arrived = ms === null ? null : once(web.arrivals, id)
  socket.write(`GET ${path}?${id} HTTP/1.1\r\nHost: x\r\n\r\n`)
  if (ms !== null) {
    await arrived
    await Promise.race([sleep(ms), once(socket, 'close')])
  }
  socket.resetAndDestroy()
}

const locks = async ({ direct }: Site): Promise<number> => {
  const rows = await onServer(
    `select l.mode from pg_locks l join pg_database d on d.oid = l.database where d.datname = $1
      and l.pid in (select pid from pg_stat_activity where application_name = 'genever-site')`,
    [direct.name],
  )
  return rows.length
}

const work: Readonly<Record<string, (place: Site, signal: AbortSignal) => Promise<unknown>>> = {
  '/statement': ({ db }, signal) => db.scalar('select 1 from pg_sleep(0.01)', [], { signal }),
  '/scope': ({ db }, signal) =>
    db.scope(async () => {
      await db.scalar(`select set_config('app.tenant', '7', false)`, [], { signal })
      await sleep(2)
      return db.scalar('select 1 from pg_sleep(0.005)', [], { signal })
    }),
  '/transaction': ({ db }, signal) =>
    db.transaction(
      async (tx) => {
        await tx.status('insert into t values (1)')
        await tx.scalar('select 1 from pg_sleep(0.005)')
        await sleep(2)
        tx.raiseRollback()
      },
      { signal },
    ),
  '/cursor': async ({ db }, signal) => {
    let sum = 0
    for await (const { n } of db.iterate<{ n: number }>('select generate_series(1, 200) as n', [], {
      batchSize: 20,
      signal,
    }))
      sum += n
    return sum
  },
  '/unaware': ({ db }) => db.transaction((tx) => tx.scalar('select 1 from pg_sleep(0.004)')),
}

test('400 clients that go away at random moments leave no connection lent, no statement running, no lock, no row', async () => {
  await using place = await site({ pool: { max: 4 } })
  await using web = await serve(({ path, signal }) => (work[path] as (typeof work)[string])(place, signal))
  const paths = Object.keys(work)
  const client = async (first: number): Promise<void> => {
    for (let n = 0; n < 40; n++)
      await impatient(web, paths[(first + n) % paths.length] as string, n % 8 === 0 ? null : Math.random() * 25)
  }

  await Promise.all(Array.from({ length: 10 }, (_, n) => client(n)))

  await until(() => web.busy === 0, { timeoutMs: 50_000, what: 'every handler has ended' })
  expect(web.seen).toBeGreaterThanOrEqual(350)
  await sound(place)
  expect(place.db.stats().open).toBeLessThanOrEqual(4)
  await until(async () => (await locks(place)) === 0, { what: 'no lock is left' })
  expect(await place.rows()).toEqual([])
})

test('a client that goes away stops its statement on the server, and frees the connection for who waits', async () => {
  await using place = await site({ pool: { max: 1 } })
  await using web = await serve(({ signal }) =>
    place.db.transaction(
      async (tx) => {
        await tx.status('insert into t values (1)')
        await tx.scalar('select 1 from pg_sleep(60)')
      },
      { signal },
    ),
  )
  const socket = connect(web.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(async () => (await place.sleeping()) === 1)
  const waiting = place.db.scalar('select 7')

  socket.resetAndDestroy()

  expect(await waiting).toBe(7)
  await until(() => web.busy === 0)
  await sound(place)
  await until(async () => (await locks(place)) === 0, { what: 'no lock is left' })
  expect(await place.rows()).toEqual([])
  expect(place.proxy.links.filter(({ cancels }) => !cancels)).toHaveLength(1)
})
