/** What every plug-in does for requests, as sentences, over real sockets and on real databases. */

import { Agent } from 'node:http'
import { connect } from 'node:net'
import { pgTable, text as textColumn } from 'drizzle-orm/pg-core'
import { type Connection, type Db, NotFoundError, TransactionStateError } from 'genever'
import { Model } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { hear } from '../support/events.ts'
import { gate } from '../support/gate.ts'
import { functionsKnown } from '../support/functions.ts'
import { doing, forEachDriver, pid, quiet, type TestedDriver } from '../support/matrix.ts'
import { sample } from '../support/extent.ts'
import { until } from '../support/until.ts'
import type { Adapter, Answer, App, Call, Route, RunningApp } from './adapter.ts'
import { ask, head, send } from './client.ts'

/** Declares the suite for one framework. */
export function requestSuite(adapter: Adapter): void {
  describe(adapter.name, () => forEachDriver((driver) => suite(adapter, driver)))
}

const get = (path: string, work: Route['work'], more: Partial<Route> = {}): Route => ({
  method: 'GET',
  path,
  work,
  ...more,
})
const post = (path: string, work: Route['work'], more: Partial<Route> = {}): Route => ({
  ...get(path, work, more),
  method: 'POST',
})
const answers = async (body: unknown, more: Partial<Answer> = {}): Promise<Answer> => ({ body: await body, ...more })
const never = (): Promise<never> => new Promise(() => {})
const silence = { log: false } as const

function suite(adapter: Adapter, driver: TestedDriver): void {
  let made = 0
  const several = driver.most > 1

  /** A database whose events can be told from those of others. */
  async function open(max = 4): Promise<{ db: Db; name: string }> {
    const name = `web ${adapter.name} ${driver.name} ${process.pid} ${++made}`
    return { db: await driver.db({ name, pool: { max } }), name }
  }
  const start = (app: App): Promise<RunningApp> => adapter.start({ ...app, options: { ...silence, ...app.options } })
  const count = (db: Db, table: string): Promise<unknown> => db.scalar(`select count(*)::int from ${table}`)

  describe('the connection of a request', () => {
    test('is one, borrowed by the first statement, shared by all functions it calls, and back with the response', async () => {
      const { db, name } = await open()
      const deep = (): Promise<number> => pid(db)
      const work = async (call: Call): Promise<Answer> => {
        const connection = call.connection()
        const before = connection.borrowed
        const pids = [await pid(connection), await deep(), await db.scope(deep), await db.transaction(deep)]
        return answers({
          before,
          after: connection.borrowed,
          pids: new Set(pids).size,
          same: db.current === connection,
        })
      }
      await using app = await start({ db, routes: [get('/read', work)] })
      using heard = hear(name)

      const { status, body } = await ask(app.port, 'GET /read')
      await quiet(db)

      expect([status, body]).toEqual([200, { before: false, after: true, pids: 1, same: true }])
      expect(heard.leases.map(({ event }) => event)).toEqual(['acquire', 'release'])
    })

    test('is never borrowed when the request runs no statement', async () => {
      const { db, name } = await open()
      const routes = [get('/none', (call) => answers({ borrowed: call.connection().borrowed }))]
      await using app = await start({ db, routes })
      using heard = hear(name)

      expect(await ask(app.port, 'GET /none')).toEqual({ status: 200, body: { borrowed: false } })
      expect([heard.leases, heard.statements]).toEqual([[], []])
    })

    test('is another for each request at the same time, and for each request of one socket', async () => {
      const { db } = await open()
      const both = gate()
      let arrived = 0
      const seen = new Set<Connection>()
      const work = async (call: Call): Promise<Answer> => {
        seen.add(call.connection())
        const own = several ? await pid(db) : 0
        if (++arrived === 2) both.open()
        await both.promise
        return answers({ own })
      }
      await using app = await start({ db, options: { holdForRequest: true }, routes: [get('/read', work)] })
      const replies = await Promise.all([ask(app.port, 'GET /read'), ask(app.port, 'GET /read')])
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      for (let i = 0; i < 3; i++) await ask(app.port, 'GET /read', { agent })
      agent.destroy()

      expect(seen.size).toBe(5)
      expect(new Set(replies.map(({ body }) => body.own)).size).toBe(several ? 2 : 1)
      await quiet(db)
    })

    test('goes back while the handler waits for something else: release({ permanent: false }), idle', async () => {
      const { db } = await open()
      const work = async (call: Call): Promise<Answer> => {
        const connection = call.connection()
        await pid(db)
        await connection.release({ permanent: false })
        const released = doing(db)
        await pid(db)
        const idle = await db.idle(() => doing(db))
        await pid(connection)
        const idleToo = await connection.idle(() => doing(db))
        return answers([released, idle, idleToo])
      }
      await using app = await start({ db, routes: [get('/wait', work)] })
      const { body } = await ask(app.port, 'GET /wait')

      expect(body).toEqual(Array.from({ length: 3 }, () => expect.stringMatching(/^0 lent/)))
    })

    test('is called as the option says, one for each of several databases, and off when switched off', async () => {
      const first = await open()
      const second = await open()
      const off = await open()
      const work = async (call: Call): Promise<Answer> => {
        const [one, two] = [call.connection('main'), call.connection('replica')]
        await Promise.all([one.scalar('select 1'), two.scalar('select 1'), off.db.scalar('select 1')])
        return answers([one === first.db.current, two === second.db.current, off.db.current === undefined])
      }
      await using app = await start({
        db: first.db,
        options: { as: 'main' },
        more: [
          { db: second.db, options: { as: 'replica', ...silence } },
          { db: off.db, options: { useConnectionForRequest: false, as: 'off', ...silence } },
        ],
        routes: [get('/both', work)],
      })

      expect(await ask(app.port, 'GET /both')).toEqual({ status: 200, body: [true, true, true] })
      for (const { db } of [first, second, off]) await quiet(db)
    })

    test('is the same for several copies of the plug-in', async () => {
      const { db, name } = await open()
      const work = async (call: Call): Promise<Answer> => {
        await pid(call.connection('again'))
        return answers(call.connection() === call.connection('again') && db.current === call.connection())
      }
      const more = [{ db, options: { as: 'again', ...silence } }]
      await using app = await start({ db, more, routes: [get('/same', work)] })
      using heard = hear(name)

      expect((await ask(app.port, 'GET /same')).body).toBe(true)
      await quiet(db)
      expect(heard.leases).toHaveLength(2)
    })

    test('that was given to another request is not waited for when the first has been answered', async () => {
      const { db } = await open(1)
      const [begun, taken] = [gate(), gate()]
      const routes = [
        get('/first', async () => {
          await pid(db)
          begun.open()
          await taken.promise
          return answers('one')
        }),
        get('/second', async () => answers(await pid(db))),
      ]
      await using app = await start({ db, routes })
      const first = ask(app.port, 'GET /first')
      await begun.promise
      expect(await ask(app.port, 'GET /second')).toMatchObject({ status: 200 })
      taken.open()
      expect(await first).toMatchObject({ status: 200 })

      expect(await db.close({ timeoutMs: Infinity })).toEqual({ drained: 1, broken: [] })
    })

    test('runs what was issued before the end of its request, also while no connection was free', async () => {
      const { db } = await open(1)
      const busy = await db.acquire()
      let made: Connection | undefined
      let issued: Promise<unknown>[] = []
      const work = async (call: Call): Promise<Answer> => {
        made = call.connection()
        issued = [db.scalar('select 1'), made.scalar('select 2'), db.transaction(() => db.scalar('select 3'))]
        return answers('at once')
      }
      await using app = await start({ db, routes: [get('/issue', work)] })
      expect((await ask(app.port, 'GET /issue')).body).toBe('at once')
      if (adapter.settles) await until(() => made?.released === true)
      await busy.release()

      expect(await Promise.all(issued)).toEqual([1, 2, 3])
      await quiet(db)
    })

    test('has the settings of its request on every borrow', async () => {
      const { db } = await open()
      const tenant = "select current_setting('app.tenant', true)"
      const work = async (): Promise<Answer> => {
        const first = await db.scalar(tenant)
        await db.idle(() => {})
        return answers([first, await db.scalar(tenant)])
      }
      const options = { settingsForRequest: () => ({ 'app.tenant': '7' }) }
      await using app = await start({ db, options, routes: [get('/tenant', work)] })

      expect((await ask(app.port, 'GET /tenant')).body).toEqual(['7', '7'])
      await quiet(db)
      expect(await db.scalar(tenant)).not.toBe('7')
    })
  })

  describe('the statements of a request', () => {
    test('have its method and, where the framework knows it, its route behind them, if the option says so', async () => {
      const { db } = await open()
      const seen = 'select current_query()'
      const routes = [get('/tagged', () => answers(db.scalar(seen)))]
      await using app = await start({ db, options: { tagRoutes: true }, routes })
      await using plain = await start({ db, routes })

      const { body } = await ask(app.port, 'GET /tagged')
      const route = adapter.routes === false ? '' : ",route='%2Ftagged'"
      expect(body).toBe(`${seen} /*method='GET'${route}*/`)
      expect((await ask(plain.port, 'GET /tagged')).body).toBe(seen)
    })
  })

  describe('errors', () => {
    const boom = (): never => {
      throw new TransactionStateError('boom')
    }

    test('before the first statement, in a transaction and after the last are answered by 500, and nothing is held', async () => {
      const { db } = await open()
      const table = await driver.table('text text')
      const routes = [
        get('/before', async () => boom()),
        get('/in', () =>
          db.transaction(async () => {
            await db.status(`insert into ${table} values ('in')`)
            boom()
            return {}
          }),
        ),
        get('/after', async () => {
          await pid(db)
          return boom()
        }),
      ]
      await using app = await start({ db, routes })
      for (const { path } of routes) expect((await ask(app.port, `GET ${path}`)).status, path).toBe(500)
      await quiet(db)

      expect(await count(db, table)).toBe(0)
    })

    test('by status leave nothing held', async () => {
      const { db } = await open()
      const routes = [get('/conflict', async () => answers(pid(db), { status: 409 }))]
      await using app = await start({ db, routes })

      expect((await ask(app.port, 'GET /conflict')).status).toBe(409)
      await quiet(db)
    })

    test('of what is not found are answered by 404, with the message', async () => {
      const { db } = await open()
      const missing = async (): Promise<never> => {
        throw new NotFoundError('Bottle is not found')
      }
      await using app = await start({ db, routes: [get('/bottles', missing)] })
      const { status, body } = await ask(app.port, 'GET /bottles')

      expect([status, JSON.stringify(body)]).toEqual([404, expect.stringContaining('Bottle is not found')])
    })

    test('of models that have no such row name the model and never the key', async () => {
      const { db } = await open()
      class Bottle extends Model(
        db,
        pgTable(await driver.table('id text primary key'), { id: textColumn().primaryKey() }),
      ) {}
      const routes = [
        get('/bottle', () => answers(Bottle.getOr404('key-4711'))),
        get('/first', () => answers(Bottle.where({ id: 'key-4711' }).firstOr404())),
      ]
      await using app = await start({ db, routes })

      for (const path of ['/bottle', '/first']) {
        const { status, body } = await ask(app.port, `GET ${path}`)
        expect([status, JSON.stringify(body)]).toEqual([404, expect.stringContaining('Bottle')])
        expect(JSON.stringify(body)).not.toContain('4711')
      }
    })
  })

  describe('a client that leaves', () => {
    test('while the handler never answers leaves nothing held', async () => {
      const { db } = await open()
      const begun = gate()
      const routes = [
        get('/hang', async () => {
          await pid(db)
          begun.open()
          return never()
        }),
      ]
      await using app = await start({ db, routes })
      const sent = send(app.port, 'GET /hang')
      await begun.promise
      expect(db.stats().reserved).toBe(1)
      sent.destroy()

      await quiet(db)
    })

    test('while its request waits behind another one of its socket leaves nothing held', async () => {
      const { db } = await open()
      const [first, begun, hanging, last] = [gate(), gate(), gate(), gate()]
      const routes = [
        get('/first', async () => {
          await first.promise
          return answers('nobody hears it')
        }),
        get('/answered', async () => {
          await pid(db)
          begun.open()
          return answers('nobody hears it')
        }),
        get(
          '/hanging',
          async () => {
            await pid(db)
            hanging.open()
            return never()
          },
          { transaction: true },
        ),
        get('/last', async () => {
          last.open()
          return answers('one')
        }),
      ]
      await using app = await start({ db, options: { onAbort: 'cancel' }, routes })
      const socket = connect(app.port, '127.0.0.1')
      socket.on('error', () => {})
      const paths = ['/first', '/answered', ...(several ? ['/hanging'] : []), '/last']
      socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: test\r\n\r\n`).join(''))
      await Promise.all([begun.promise, last.promise, ...(several ? [hanging.promise] : [])])
      socket.destroy()

      await quiet(db)
      first.open()
      expect(await ask(app.port, 'GET /last')).toMatchObject({ status: 200 })
    })

    test('does not disturb the handler, whose later statements borrow and give back at once', async () => {
      const { db } = await open()
      const table = await driver.table('text text')
      const [begun, left, done] = [gate(), gate(), gate()]
      const seen: unknown[] = []
      const work = async (call: Call): Promise<Answer> => {
        const connection = call.connection()
        await pid(db)
        begun.open()
        await left.promise
        try {
          await connection.status(`insert into ${table} values ('handle')`)
          seen.push(connection.borrowed)
          await db.transaction(() => db.status(`insert into ${table} values ('ambient')`))
          seen.push(connection.borrowed)
          for await (const { text } of db.iterate<{ text: string }>(`select text from ${table} order by 1`))
            seen.push(text)
        } catch (error) {
          seen.push(String(error))
        }
        done.open()
        return answers('nobody hears it')
      }
      await using app = await start({ db, routes: [get('/slow', work)] })
      const sent = send(app.port, 'GET /slow')
      await begun.promise
      sent.destroy()
      await quiet(db)
      left.open()
      await done.promise

      expect(seen).toEqual([false, false, 'ambient', 'handle'])
      await quiet(db)
    })

    test('does not end a transaction that is open', async () => {
      const { db } = await open()
      const table = await driver.table('text text')
      const [begun, left, done] = [gate(), gate(), gate()]
      const work = async (): Promise<Answer> => {
        await db.transaction(async () => {
          await db.status(`insert into ${table} values ('kept')`)
          begun.open()
          await left.promise
          await db.status(`insert into ${table} values ('kept too')`)
        })
        done.open()
        return answers('nobody hears it')
      }
      await using app = await start({ db, routes: [get('/slow', work)] })
      const sent = send(app.port, 'GET /slow')
      await begun.promise
      sent.destroy()
      if (app.server !== undefined) await disconnected(app.server)
      expect(db.stats().reserved).toBe(1)
      left.open()
      await done.promise
      await quiet(db)

      expect(await count(db, table)).toBe(2)
    })

    test('takes the state of the session along: a later statement is refused rather than run without it', async () => {
      const { db } = await open()
      const [begun, left, done] = [gate(), gate(), gate()]
      const seen: string[] = []
      const work = async (call: Call): Promise<Answer> => {
        await db.status("set app.tenant to '7'")
        begun.open()
        await left.promise
        for (const executor of [db, call.connection()])
          await executor.scalar('select 1').then(
            () => seen.push('ran'),
            (error: unknown) => seen.push((error as Error).name),
          )
        done.open()
        return answers('nobody hears it')
      }
      await using app = await start({ db, routes: [get('/set', work)] })
      const sent = send(app.port, 'GET /set')
      await begun.promise
      sent.destroy()
      await quiet(db)
      left.open()
      await done.promise

      expect(seen).toEqual(['TransactionStateError', 'TransactionStateError'])
      expect(await db.scalar("select current_setting('app.tenant', true)")).not.toBe('7')
    })

    test.skipIf(!several)('cancels its statements if the option says so, and what comes later is refused', async () => {
      const { db } = await open()
      const [begun, done] = [gate(), gate()]
      const seen: string[] = []
      const work = async (call: Call): Promise<Answer> => {
        const refused = (error: Error): unknown => seen.push(error.name)
        const sleeping = db.scalar('select pg_sleep(60)').catch(refused)
        begun.open()
        await sleeping
        await db.scalar('select 1').catch(refused)
        await call.connection().scalar('select 1').catch(refused)
        done.open()
        return answers('nobody hears it')
      }
      await using app = await start({ db, options: { onAbort: 'cancel' }, routes: [get('/sleep', work)] })
      const sent = send(app.port, 'GET /sleep')
      await begun.promise
      await until(() => db.stats().reserved === 1)
      sent.destroy()
      await done.promise

      expect(seen).toEqual(['AbortedError', 'AbortedError', 'AbortedError'])
      await quiet(db)
    })

    test('is not one who got all: onAbort cancels nothing then', async () => {
      const { db } = await open()
      const [answered, done] = [gate(), gate()]
      let late: unknown
      const work = async (): Promise<Answer> => {
        const after = async (): Promise<void> => {
          await answered.promise
          late = await db.scalar('select 5').catch(String)
          done.open()
        }
        return answers(pid(db), { after })
      }
      await using app = await start({ db, options: { onAbort: 'cancel' }, routes: [get('/late', work)] })
      await ask(app.port, 'GET /late')
      await quiet(db)
      answered.open()
      await done.promise

      expect(late).toBe(5)
      await quiet(db)
    })
  })

  describe('a streamed body', () => {
    const lines = async function* (db: Db, rows: number, width = 0): AsyncGenerator<string> {
      const cursor = db.iterate<{ line: string }>(
        "select n || repeat(' ', $2::int) || e'\\n' as line from generate_series(1, $1::int) n",
        [rows, width],
        { batchSize: 50 },
      )
      for await (const { line } of cursor) yield line
    }

    test('comes row by row from a cursor, which keeps the connection until its end', async () => {
      const { db, name } = await open()
      const rows = (): AsyncIterable<string> => lines(db, 1000)
      await using app = await start({ db, routes: [get('/rows', async () => ({ stream: rows() }))] })
      // Else the engine would borrow a connection to read what the functions of the database do.
      await functionsKnown(db)
      using heard = hear(name)
      const { status, body } = await ask(app.port, 'GET /rows')

      expect([status, body]).toEqual([200, Array.from({ length: 1000 }, (_, i) => `${i + 1}\n`).join('')])
      await quiet(db)
      expect(heard.leases.filter(({ event }) => event === 'acquire').length).toBe(1)
    })

    test('is on the connection of the request also when its cursor was made by the handler', async () => {
      const { db } = await open()
      const work = async (call: Call): Promise<Answer> => {
        const cursor = call.connection().iterate<{ n: number }>('select n from generate_series(1, 300) n')
        const texts = async function* (): AsyncGenerator<string> {
          for await (const { n } of cursor) yield `${n} `
        }
        return { stream: texts() }
      }
      await using app = await start({ db, routes: [get('/rows', work)] })

      expect((await ask(app.port, 'GET /rows')).body).toHaveLength(1092)
      await quiet(db)
    })

    test('that waits behind another answer of its socket closes its cursor when the client leaves', async () => {
      const { db } = await open()
      const streaming = gate()
      const work = async (): Promise<Answer> => {
        const piped = async function* (): AsyncGenerator<string> {
          for await (const line of lines(db, 20_000, 10_000)) {
            streaming.open()
            yield line
          }
        }
        return { stream: piped() }
      }
      await using app = await start({ db, routes: [get('/hanging', never), get('/rows', work)] })
      const socket = connect(app.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(['/hanging', '/rows'].map((path) => `GET ${path} HTTP/1.1\r\nhost: test\r\n\r\n`).join(''))
      await streaming.promise
      expect(db.stats().reserved).toBe(1)
      socket.destroy()

      await quiet(db)
      expect(await db.scalar('select 1')).toBe(1)
    })

    test('that nobody reads any more closes its cursor and gives the connection back', async () => {
      const { db } = await open()
      const rows = (): AsyncIterable<string> => lines(db, 20_000, 10_000)
      await using app = await start({ db, routes: [get('/rows', async () => ({ stream: rows() }))] })
      const sent = send(app.port, 'GET /rows')
      const response = await head(sent)
      await new Promise((resolve) => response.once('data', resolve))
      expect(db.stats().reserved).toBe(1)
      response.destroy()

      await quiet(db)
      expect(await db.scalar('select 1')).toBe(1)
    })
  })

  describe('a transaction around a request', () => {
    const insert = (db: Db, table: string, text: string): Promise<unknown> =>
      db.status(`insert into ${table} values ($1)`, [text])

    const transactional = (db: Db, table: string): Route['work'] => {
      return async ({ query }) => {
        const end = query.get('end')
        await insert(db, table, end ?? '')
        if (end === 'throw') throw new TransactionStateError('boom')
        if (end === 'swallow') await db.scalar('select 1 / 0').catch(() => {})
        if (end === 'missing') throw new NotFoundError('Bottle is not found')
        return answers({ end }, { status: end === 'conflict' ? 409 : 201 })
      }
    }

    test('is committed before the answer is sent, and rolled back on a throw and on the status of an error', async () => {
      const { db, name } = await open()
      const table = await driver.table('text text')
      const routes = [post('/orders', transactional(db, table), { transaction: true })]
      await using app = await start({ db, routes })
      using heard = hear(name)
      const statuses: number[] = []
      for (const end of ['ok', 'throw', 'conflict', 'missing', 'swallow'])
        statuses.push((await ask(app.port, `POST /orders?end=${end}`)).status)
      await quiet(db)

      expect(statuses).toEqual([201, 500, 409, 404, 500])
      expect(await db.all(`select text from ${table}`)).toEqual([{ text: 'ok' }])
      const ends = heard.transactions.map(({ event }) => event).filter((event) => event !== 'begin')
      expect(ends).toEqual(['commit', 'rollback', 'rollback', 'rollback', 'rollback'])
    })

    test.skipIf(!several)('that takes its time to commit, or fails to, is never answered as done before', async () => {
      const { db } = await open()
      const table = await driver.table('text text')
      await db.status(`
        create function ${table}_check() returns trigger language plpgsql as $$ begin
          perform pg_sleep(0.2);
          if new.text = 'refused' then raise exception 'refused at commit'; end if;
          return null;
        end $$`)
      await db.status(`
        create constraint trigger checked after insert on ${table} deferrable initially deferred
        for each row execute function ${table}_check()`)
      const routes = [post('/orders', transactional(db, table), { transaction: true })]
      await using app = await start({ db, routes })
      const committed = await head(send(app.port, 'POST /orders?end=slow'))
      const seen = await count(db, table)
      committed.resume()
      const refused = await ask(app.port, 'POST /orders?end=refused')

      expect([committed.statusCode, seen]).toEqual([201, 1])
      expect([refused.status, await count(db, table)]).toEqual([500, 1])
      expect(JSON.stringify(refused.body)).not.toContain('"end"')
      await quiet(db)
    })

    test('borrows nothing without a statement, and is one transaction with those inside', async () => {
      const { db, name } = await open()
      const table = await driver.table('text text')
      const routes = [
        get('/none', () => answers('nothing'), { transaction: true }),
        get(
          '/nested',
          async () => {
            await db.transaction((tx) => insert(db, table, 'inner').then(() => tx.raiseRollback()))
            return answers(db.transaction(() => insert(db, table, 'kept').then(() => 'done')))
          },
          { transaction: true },
        ),
      ]
      await using app = await start({ db, routes })
      using heard = hear(name)

      expect((await ask(app.port, 'GET /none')).status).toBe(200)
      expect(heard.leases).toEqual([])
      expect((await ask(app.port, 'GET /nested')).status).toBe(200)
      await quiet(db)
      expect(await db.all(`select text from ${table}`)).toEqual([{ text: 'kept' }])
    })

    test('of a handler that never answers is rolled back when the client leaves, if the option cancels', async () => {
      const { db } = await open()
      const table = await driver.table('text text')
      const begun = gate()
      const work = async (): Promise<Answer> => {
        await insert(db, table, 'lost')
        begun.open()
        return never()
      }
      const routes = [post('/orders', work, { transaction: true })]
      await using app = await start({ db, options: { onAbort: 'cancel' }, routes })
      const sent = send(app.port, 'POST /orders')
      await begun.promise
      sent.destroy()
      await quiet(db)

      expect(await count(db, table)).toBe(0)
    })

    test.skipIf(adapter.general === false)('can be had for every request by option', async () => {
      const { db } = await open()
      const table = await driver.table('text text')
      const routes = [post('/orders', transactional(db, table))]
      await using app = await start({ db, options: { transaction: true }, routes })
      for (const end of ['ok', 'throw', 'conflict']) await ask(app.port, `POST /orders?end=${end}`)
      await quiet(db)

      expect(await db.all(`select text from ${table}`)).toEqual([{ text: 'ok' }])
    })

    test.skipIf(adapter.general === false)('has the options of a transaction', async () => {
      const { db } = await open()
      const options = {
        isolation: 'repeatable read',
        idleTimeoutMs: 40_000,
        resolveCommitMs: 500,
        readOnly: true,
      } as const
      const work = (): Promise<Answer> =>
        answers(
          db.one(`select current_setting('transaction_isolation') as isolation,
          current_setting('transaction_read_only') as "readOnly", current_setting('idle_in_transaction_session_timeout') as idle`),
        )
      await using app = await start({ db, options: { transaction: options }, routes: [get('/settings', work)] })

      const { body } = await ask(app.port, 'GET /settings')
      // PGlite has no limit for idle transactions: nobody else waits for their locks.
      const idle = driver.name === 'pglite' ? '0' : '40s'
      expect(body).toEqual({ isolation: 'repeatable read', readOnly: 'on', idle })
    })
  })

  describe('around requests', () => {
    test('an upgrade is left alone', async () => {
      const { db } = await open()
      await using app = await start({ db, routes: [get('/read', () => answers(pid(db)))] })
      const { server } = app
      if (server === undefined) return
      let seen: unknown
      server.on('upgrade', (_request, socket) => {
        socket.on('error', () => {})
        void (async () => {
          seen = [db.current, await db.scalar('select 1'), doing(db).startsWith('0 lent')]
          socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello')
        })()
      })
      const socket = connect(app.port, '127.0.0.1')
      socket.end('GET /read HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      let text = ''
      for await (const piece of socket) text += String(piece)

      expect([text.slice(-5), seen]).toEqual(['hello', [undefined, 1, true]])
    })

    test('readiness is 200 with counts, and 503 by its deadline when no connection is free; nothing in it is secret', async () => {
      const { db } = await open(1)
      // Some close the database with their application.
      await using patient = await start({ db, routes: [] })
      const ready = await ask(patient.port, 'GET /ready')
      await using hasty = await start({ db, routes: [], readyMs: 200 })
      const held = await db.acquire()
      const busy = await ask(hasty.port, 'GET /ready')
      await held.release()

      expect([ready.status, ready.body]).toMatchObject([200, { status: 'ok', pool: { max: 1 } }])
      expect([busy.status, busy.body]).toMatchObject([503, { status: 'unavailable', pool: { reserved: 1 } }])
      expect(Object.keys(busy.body as object).toSorted()).toEqual(['pool', 'reason', 'status'])
      expect(busy.body.reason).toMatch(/^GENEVER_\w+$/)
    })
  })

  test.skipIf(!several)(
    'many requests whose clients leave at any moment: nothing is held, lost or mixed up',
    async () => {
      const { db } = await open(8)
      const table = await driver.table('n int primary key')
      const foreign: unknown[] = []
      const unhandled: unknown[] = []
      const note = (reason: unknown): unknown => unhandled.push(reason)
      process.on('unhandledRejection', note)
      await using app = await start({ db, routes: stormRoutes(db, table, foreign) })
      const random = dice(20_261_121)
      const outcomes = { answered: 0, cut: 0 }
      const requests = sample({ once: 200, matrix: 2000, soak: 10_000 })
      const one = async (n: number): Promise<void> => {
        const route = ['GET /read', 'GET /rows', 'POST /write', 'POST /orders', 'GET /throw', 'GET /none'][n % 6]
        const sent = send(app.port, `${route}?n=${n}`)
        const cutAfterMs = random() < 0.6 ? random() * 12 : Infinity
        const timer = cutAfterMs === Infinity ? undefined : setTimeout(() => sent.destroy(), cutAfterMs)
        try {
          const response = await head(sent)
          let text = ''
          for await (const piece of response) text += String(piece)
          if (response.statusCode === 200 && !text.startsWith(`${n} `)) foreign.push([route, n, text.slice(0, 40)])
          outcomes.answered++
        } catch {
          outcomes.cut++
        } finally {
          clearTimeout(timer)
        }
      }
      for (let from = 0; from < requests; from += 50)
        await Promise.all(Array.from({ length: 50 }, (_, i) => one(from + i)))
      await until(() => doing(db).startsWith('0 lent') && db.stats().waiting === 0, {
        what: doing(db),
      })
      process.off('unhandledRejection', note)

      expect([foreign, unhandled]).toEqual([[], []])
      expect(outcomes.answered + outcomes.cut).toBe(requests)
      expect(outcomes.cut, 'the storm should cut some').toBeGreaterThan(requests / 20)
      expect(outcomes.answered, 'and answer some').toBeGreaterThan(requests / 20)
      // Half of a pair is never there: every transaction was whole.
      expect(
        await db.scalar(
          `select count(*)::int from ${table} a where not exists (select from ${table} b where b.n = -a.n)`,
        ),
      ).toBe(0)
      expect(db.stats().open).toBeLessThanOrEqual(8)
    },
    120_000,
  )
}

function stormRoutes(db: Db, table: string, foreign: unknown[]): Route[] {
  const own = async ({ query }: Call): Promise<number> => {
    const n = Number(query.get('n'))
    const seen = await db.scalar('select $1::int', [n])
    if (seen !== n) foreign.push([n, seen])
    return n
  }
  const pair = async (call: Call): Promise<Answer> => {
    const n = await own(call)
    await db.status(`insert into ${table} values ($1)`, [n + 1])
    await db.status(`insert into ${table} values ($1)`, [-n - 1])
    return { stream: text(`${n} inserted`) }
  }
  const rows = async function* (n: number): AsyncGenerator<string> {
    yield `${n} `
    for await (const { m } of db.iterate<{ m: number }>('select $1::int + g as m from generate_series(1, 500) g', [n]))
      yield `${m} `
  }
  return [
    get('/read', async (call) => {
      const n = await own(call)
      const seen = await call.connection().scalar('select $1::int', [n])
      await db.idle(() => new Promise((resolve) => setTimeout(resolve, n % 5)))
      return { stream: text(`${String(seen)} ${String(await own(call))}`) }
    }),
    get('/rows', async ({ query }) => ({ stream: rows(Number(query.get('n'))) })),
    post('/write', (call) => db.transaction(() => pair(call))),
    post('/orders', pair, { transaction: true }),
    get('/throw', async (call) => {
      await own(call)
      throw new TransactionStateError('boom')
    }),
    get('/none', async ({ query }) => ({ stream: text(`${query.get('n')} nothing`) })),
  ]
}

async function* text(whole: string): AsyncGenerator<string> {
  yield whole
}

/** The same numbers from 0 to 1 in every run. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

function disconnected(server: NonNullable<RunningApp['server']>): Promise<unknown> {
  return until(
    () =>
      new Promise<boolean>((resolve, reject) =>
        server.getConnections((error, open) => (error === null ? resolve(open === 0) : reject(error))),
      ),
  )
}
