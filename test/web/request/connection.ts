/** The connection of a request, and its statements: one, lazy, shared, and back with the response. */

import { Agent } from 'node:http'
import { type Connection } from 'genever'
import { describe, expect, test } from 'vitest'
import { hear } from '../../support/events.ts'
import { gate } from '../../support/gate.ts'
import { doing, pid, quiet } from '../../support/matrix.ts'
import { until } from '../../support/until.ts'
import { type Answer, type Call } from '../adapter.ts'
import { ask } from '../client.ts'
import { answers, get, silence, type RequestTest } from './request-test.ts'

export function connections({ adapter, several, open, start }: RequestTest): void {
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
}
